//! Takes back what walcast made in a database, when it leaves for good: `walcast remove`.

use postgres_protocol::escape::escape_identifier;

use super::check::size;
use super::session::Session;
use super::{Login, PostgresError};

const SLOT: &str = "select s.plugin::text, s.database::text, current_database()::text, s.active_pid, \
    (select a.application_name || coalesce(' from ' || host(a.client_addr), '') from pg_stat_activity a \
     where a.pid = s.active_pid), \
    coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)::int8 \
    from pg_replication_slots s where s.slot_name = $1";

/// Drops the slot, and `publication` if there is one to be dropped; returns a line for each thing done. A slot that
/// is not there is no error, so that it can be run twice.
///
/// # Errors
/// When somebody reads the slot, when it is another's, or a right is missing. The publication then stays, too.
pub async fn remove(
    login: &Login,
    slot: &str,
    publication: Option<&str>,
) -> Result<Vec<String>, PostgresError> {
    let session = Session::new(login, "walcast-remove");
    let client = session.client().await?;
    let mut done = Vec::new();
    if let Some(row) = client.query_opt(SLOT, &[&slot]).await.map_err(PostgresError::Sql)? {
        let (plugin, database, here): (Option<String>, Option<String>, String) =
            (row.get(0), row.get(1), row.get(2));
        if plugin.as_deref() != Some("pgoutput") || database.as_deref() != Some(here.as_str()) {
            return Err(PostgresError::Operator(format!(
                "the slot {slot:?} is not walcast's (plugin {}, database {}); it was left alone",
                plugin.as_deref().unwrap_or("none"),
                database.as_deref().unwrap_or("none")
            )));
        }
        if let Some(pid) = row.get::<_, Option<i32>>(3) {
            let reader: Option<String> = row.get(4);
            return Err(PostgresError::Operator(format!(
                "the slot {slot:?} is being read by {} (pid {pid}); stop it first. Nothing was removed",
                reader.as_deref().unwrap_or("an unknown session")
            )));
        }
        let kept = u64::try_from(row.get::<_, i64>(5)).unwrap_or_default();
        let drop = "select pg_drop_replication_slot($1)";
        client.execute(drop, &[&slot]).await.map_err(PostgresError::Sql)?;
        done.push(format!("dropped the slot {slot:?}; Postgres had kept {} of log for it", size(kept)));
    } else {
        done.push(format!("there is no slot {slot:?}"));
    }
    if let Some(publication) = publication {
        let exists = "select exists(select from pg_publication where pubname = $1)";
        let exists: bool =
            client.query_one(exists, &[&publication]).await.map_err(PostgresError::Sql)?.get(0);
        let name = escape_identifier(publication);
        if exists {
            let drop = format!("drop publication {name}");
            client.batch_execute(&drop).await.map_err(PostgresError::Sql)?;
            done.push(format!("dropped the publication {name}"));
        } else {
            done.push(format!("there is no publication {name}"));
        }
    }
    Ok(done)
}
