//! The replication slot: that it exists, where it goes on, and that nobody of ours is left on it.

use tokio_postgres::Client;

use super::{OnSlotLost, Source, operator};
use crate::lsn::{Epoch, Lsn};
use crate::postgres::PostgresError;
use crate::postgres::session::Session;

// The reason is a column from 17 on. No process has the number 0; of no number at all, every process would be told of.
const SLOT: &str = "select plugin::text, database::text, current_database()::text, temporary, wal_status::text, \
    confirmed_flush_lsn::text, active_pid, to_jsonb(s) ->> 'invalidation_reason', \
    exists (select from pg_stat_get_activity(coalesce(active_pid, 0)) holder \
        where holder.backend_type = 'walsender' and holder.wait_event = 'ClientWrite') \
    from pg_replication_slots s where slot_name = $1";

/// The setting of Postgres by which a slot was given up (PostgreSQL manual, 53.20 `pg_replication_slots`).
pub(in crate::postgres) fn invalidation(reason: Option<&str>) -> &str {
    match reason {
        Some("wal_removed") | None => "max_slot_wal_keep_size",
        Some("idle_timeout") => "idle_replication_slot_timeout",
        Some(reason) => reason,
    }
}

/// Makes sure that the permanent slot exists, and returns where it goes on.
///
/// # Errors
/// With whole sentences for the operator where it is another's, lost or cannot be decoded, and when the session breaks.
pub(super) async fn ensure(
    client: &Client,
    source: &Source,
    publication_is_new: bool,
    known: Option<Epoch>,
) -> Result<Lsn, PostgresError> {
    let slot = &source.slot;
    let Some(row) = client.query_opt(SLOT, &[slot]).await.map_err(PostgresError::Sql)? else {
        if known.is_some() && known == Some(epoch(client).await?) {
            if source.on_slot_lost == OnSlotLost::Stop {
                return operator(format!(
                    "the slot {slot:?} was dropped while this server was reading it, and the changes since cannot be \
                     had any more; to go on from now, restart, or run SELECT \
                     pg_create_logical_replication_slot('{slot}', 'pgoutput'); with replication.on_slot_lost = \
                     \"recreate\" that is done at once"
                ));
            }
            tracing::warn!(slot, "the replication slot was dropped; it is made anew");
        }
        return create(client, slot).await;
    };
    let (plugin, database, here): (Option<String>, Option<String>, String) =
        (row.get(0), row.get(1), row.get(2));
    let (temporary, status): (bool, Option<String>) = (row.get(3), row.get(4));
    let (confirmed, pid): (Option<String>, Option<i32>) = (row.get(5), row.get(6));
    if plugin.as_deref() != Some("pgoutput") || database.as_deref() != Some(here.as_str()) {
        return operator(format!(
            "the slot {slot:?} belongs to another use (plugin {}, database {}); choose another replication.slot",
            plugin.unwrap_or_else(|| "none".into()),
            database.unwrap_or_else(|| "none".into())
        ));
    }
    if status.as_deref() == Some("lost") {
        let reason: Option<String> = row.get(7);
        let reason = invalidation(reason.as_deref());
        if source.on_slot_lost == OnSlotLost::Stop {
            return operator(format!(
                "the slot {slot:?} is lost: Postgres gave it up ({reason}), and the changes that were not read yet \
                 cannot be had any more; to go on from now, run SELECT pg_drop_replication_slot('{slot}') and \
                 restart; with replication.on_slot_lost = \"recreate\" that is done at once"
            ));
        }
        tracing::warn!(slot, reason, "Postgres gave the replication slot up; it is made anew");
        // In one transaction with its creation the name would still be taken.
        let drop = client.execute("select pg_drop_replication_slot($1)", &[slot]).await;
        drop.map_err(PostgresError::Sql)?;
        return create(client, slot).await;
    }
    if publication_is_new {
        return operator(format!(
            "the slot {slot:?} is older than the publication just created, and can never decode it; run SELECT \
             pg_drop_replication_slot('{slot}') and restart"
        ));
    }
    if let Some(pid) = pid {
        // For its stream a walsender waits elsewhere (`WalSenderWriteData`), and before it has nothing to send that could
        // block.
        let last_words = row.get::<_, bool>(8) && !temporary;
        return Err(PostgresError::SlotInUse { slot: slot.clone(), pid, last_words });
    }
    if temporary {
        return operator(format!(
            "the slot {slot:?} is another session's temporary slot; choose another name"
        ));
    }
    position(confirmed.as_deref().unwrap_or("0/0"))
}

async fn create(client: &Client, slot: &str) -> Result<Lsn, PostgresError> {
    let sql = "select lsn::text from pg_create_logical_replication_slot($1, 'pgoutput')";
    let created = client.query_one(sql, &[&slot]).await.map_err(PostgresError::Sql)?;
    tracing::info!(slot, "created the replication slot");
    position(created.get(0))
}

/// The epoch in which the server writes now. The timeline is the first eight digits of a segment's name: what the
/// control file says of it lags behind a promotion.
async fn epoch(client: &Client) -> Result<Epoch, PostgresError> {
    let sql = "select system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int8 \
               from pg_control_system()";
    let row = client.query_one(sql, &[]).await.map_err(PostgresError::Sql)?;
    let (system, timeline): (i64, i64) = (row.get(0), row.get(1));
    // It is unsigned, and SQL has no such type.
    Ok(Epoch { system: system.cast_unsigned(), timeline: u32::try_from(timeline).unwrap_or_default() })
}

/// Up to where a slot is confirmed; `None` when there is no such slot.
///
/// # Errors
/// When the session breaks.
pub(in crate::postgres) async fn confirmed(
    session: &Session,
    slot: &str,
) -> Result<Option<Lsn>, PostgresError> {
    let client = session.client().await?;
    let sql = "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1";
    let row = client.query_opt(sql, &[&slot]).await.map_err(PostgresError::Sql)?;
    row.and_then(|row| row.get::<_, Option<String>>(0)).map(|text| position(&text)).transpose()
}

fn position(text: &str) -> Result<Lsn, PostgresError> {
    text.parse()
        .map_err(|error| PostgresError::Operator(format!("the slot's position cannot be read: {error}")))
}

/// Why a session is taken for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Dead {
    /// It was ours, and we gave it up.
    Ours,
    /// Its walsender waits to say why it ends, and still does when it is told.
    LastWords,
}

/// Ends the walsender of a dead session, if it still holds the slot; `pid` is its process. Returns whether nothing more can
/// be done: it holds it no longer, or we may not end it.
///
/// One that was told to end while its connection is dead waits for ever in sending why, which `wal_sender_timeout` does not
/// bound. Told a second time it ends without a word (`ProcessClientWriteInterrupt` of Postgres).
///
/// # Errors
/// When the session breaks. That the role may not do this is logged: the slot may be free by itself.
pub(in crate::postgres) async fn release(
    session: &Session,
    slot: &str,
    pid: i32,
    dead: Dead,
) -> Result<bool, PostgresError> {
    let client = session.client().await?;
    // Each waits up to a second for its end (PostgreSQL manual, 9.28.2 Server Signaling Functions).
    let sql = "select pg_terminate_backend(s.active_pid, 1000) \
               from pg_replication_slots s, pg_stat_get_activity(s.active_pid) holder \
               where s.slot_name = $1 and s.active_pid = $2 and ($3 or holder.wait_event = 'ClientWrite')";
    for _ in 0..2 {
        match client.query_opt(sql, &[&slot, &pid, &(dead == Dead::Ours)]).await {
            Ok(None) => return Ok(true),
            Ok(Some(_)) => {
                tracing::info!(
                    slot,
                    pid,
                    "the walsender of a dead session still held the slot, and was told to end"
                );
            }
            Err(error) if error.code().is_some() => {
                tracing::warn!(slot, pid, %error, "the walsender of a dead session cannot be told to end");
                return Ok(true);
            }
            Err(error) => return Err(PostgresError::Sql(error)),
        }
    }
    Ok(false)
}
