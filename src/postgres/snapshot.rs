//! The rows of a table as one snapshot shows them, in pages.
//!
//! `COPY` reads them at the pace of whoever takes the pages. When the snapshot has been taken, a mark is written to the
//! log: once it comes back, all that the snapshot shows has come, and what comes then is not in it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use postgres_protocol::escape::escape_identifier;
use tokio::sync::{Semaphore, mpsc};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::gate::quote_name;
use super::session::Session;
use super::{Login, PostgresError, setup, types};
use crate::change::message::MARK;
use crate::change::types::{TypeInfo, builtin};
use crate::change::wire::page::Page;
use crate::change::{Column, Relation};
use crate::channel::Refusal;
use crate::hub::snapshot::{Part, Wanted};
use crate::pgoutput::ReplicaIdentity;

/// A page is handed on once it has so many bytes.
const PAGE_BYTES: usize = 64 * 1024;

/// The columns that the log carries of a table, what partitions and publications do to its rows, and whether it is one
/// whose descendants are told under its name.
///
/// Generated columns are not in the log; from 18 on a publication can have them, and then lists them (PostgreSQL manual,
/// 29.6 Generated Column Replication). Before 15 there are no lists.
const TABLE: &str = "select c.oid, c.relkind = 'p', a.attname::text, a.atttypid, a.atttypmod, \
      c.relreplident = 'f' or coalesce((select a.attnum = any(i.indkey) from pg_index i where i.indrelid = c.oid and \
        case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end limit 1), false), \
      to_jsonb(p) ->> 'rowfilter' \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
      join pg_publication_tables p on p.pubname = $3 and p.schemaname = n.nspname and p.tablename = c.relname \
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
    where n.nspname = $1 and c.relname = $2 \
      and coalesce(to_jsonb(p) -> 'attnames' ? a.attname::text, true) \
      and (a.attgenerated = '' or current_setting('server_version_num')::int >= 180000) \
    order by a.attnum";

/// Takes snapshots, a few at a time.
#[derive(Clone)]
pub struct Snapshots {
    login: Arc<Login>,
    /// Where the marks are written.
    session: Session,
    publication: Arc<str>,
    within: Duration,
    at_a_time: Arc<Semaphore>,
}

impl Snapshots {
    /// Snapshots of tables of `publication`, each taken `within` this time, `at_a_time` of them.
    #[must_use]
    pub fn new(
        login: &Login,
        session: Session,
        publication: &str,
        within: Duration,
        at_a_time: usize,
    ) -> Self {
        let at_a_time = Arc::new(Semaphore::new(at_a_time));
        Self { login: Arc::new(login.clone()), session, publication: publication.into(), within, at_a_time }
    }

    /// Takes snapshots until all who ask are gone.
    pub async fn run(self, mut questions: mpsc::Receiver<Wanted>) {
        while let Some(wanted) = questions.recv().await {
            let snapshots = self.clone();
            tokio::spawn(async move {
                let parts = wanted.parts.clone();
                let taking = async {
                    tokio::select! {
                        // Whoever has left holds no snapshot.
                        () = parts.closed() => Ok(()),
                        taken = snapshots.take(&wanted) => taken,
                    }
                };
                let taken = tokio::time::timeout(snapshots.within, taking).await;
                let seconds = snapshots.within.as_secs();
                if let Err(refusal) = taken.unwrap_or(Err(Refusal::SnapshotTooSlow { seconds })) {
                    let _ = parts.send(Part::Failed(refusal)).await;
                }
            });
        }
    }

    async fn take(&self, wanted: &Wanted) -> Result<(), Refusal> {
        let Some((schema, table)) = wanted.pattern.table() else { return Err(Refusal::SnapshotTopic) };
        // The semaphore is never closed.
        let _turn = self.at_a_time.acquire().await;
        let session = Session::new(&self.login, "walcast-snapshot");
        let client = session.client().await.map_err(lost)?;
        // Whoever waits for us ends it sooner: the server's own limit is for when we have vanished.
        let limit = self.within.saturating_add(Duration::from_secs(10));
        let begin = format!(
            "begin isolation level repeatable read read only; set local statement_timeout = {}; \
             set local lock_timeout = 5000; set local row_security = off",
            limit.as_millis()
        );
        client.batch_execute(&begin).await.map_err(PostgresError::Sql).map_err(lost)?;
        lock(&client, schema, table).await?;
        let sql = "select pg_current_snapshot()::text";
        let text: String = client.query_one(sql, &[]).await.map_err(PostgresError::Sql).map_err(lost)?.get(0);
        let snapshot = text.parse().map_err(|_| Refusal::Unavailable("the database did not answer"))?;
        if wanted.parts.send(Part::Begun(snapshot)).await.is_err() {
            return Ok(());
        }
        self.mark(&wanted.mark).await.map_err(lost)?;
        let source = self.source(&client, schema, table).await.map_err(lost)?;
        let source = source.ok_or_else(|| gone(&format!("{schema}.{table}")))?;
        copy(&client, &source, wanted).await
    }

    async fn mark(&self, name: &str) -> Result<(), PostgresError> {
        let client = self.session.client().await?;
        setup::mark(&client, MARK, name).await.map(drop)
    }

    async fn source(
        &self,
        client: &Client,
        schema: &str,
        table: &str,
    ) -> Result<Option<TableRows>, PostgresError> {
        let names: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&schema, &table, &&*self.publication];
        let rows = client.query(TABLE, &names).await.map_err(PostgresError::Sql)?;
        let Some(first) = rows.first() else { return Ok(None) };
        let (oid, partitioned, filter): (u32, bool, Option<String>) =
            (first.get(0), first.get(1), first.get(6));
        let foreign: Vec<u32> =
            rows.iter().map(|row| row.get(3)).filter(|oid| builtin(*oid).is_none()).collect();
        let explained = types::look_up(client, &foreign).await?;
        let columns = rows.iter().map(|row| {
            let type_oid = row.get(3);
            let info = builtin(type_oid).or_else(|| explained.types.get(&type_oid).cloned());
            let info = info.unwrap_or_else(|| TypeInfo::text("unknown"));
            Column {
                name: row.get::<_, String>(2).into(),
                key: row.get(5),
                type_oid,
                type_modifier: row.get(4),
                info,
            }
        });
        let relation =
            Relation::new(oid, schema.into(), table.into(), ReplicaIdentity::Default, columns.collect());
        Ok(Some(TableRows { relation, partitioned, filter }))
    }
}

/// Locks the table before there is a snapshot. To an older one, a table that ALTER TABLE has written anew is empty
/// (PostgreSQL manual, 13.6), and that tells no row.
async fn lock(client: &Client, schema: &str, table: &str) -> Result<(), Refusal> {
    let name = format!("{schema}.{table}");
    let lock = format!("lock table {} in access share mode", quote_name(schema, table));
    let locked = client.batch_execute(&lock).await;
    locked.map_err(|error| match error.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Refusal::SnapshotDenied(name),
        Some(code) if [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(code) => {
            gone(&name)
        }
        _ => lost(PostgresError::Sql(error)),
    })
}

fn gone(name: &str) -> Refusal {
    Refusal::NotPublished(format!("{name} is not published any more"))
}

/// What is read.
struct TableRows {
    relation: Relation,
    /// Its partitions' changes are told under its name, and nobody else's.
    partitioned: bool,
    /// The publication's row filter, as the database writes it.
    filter: Option<String>,
}

impl TableRows {
    fn statement(&self, wanted: &Wanted) -> String {
        let Relation { schema, table, columns, .. } = &self.relation;
        let names: Vec<String> = columns.iter().map(|column| escape_identifier(&column.name)).collect();
        let only = if self.partitioned { "" } else { "only " };
        let conditions: Vec<String> = self
            .filter
            .iter()
            .cloned()
            .chain(wanted.pattern.condition())
            .map(|part| format!("({part})"))
            .collect();
        let filter = if conditions.is_empty() {
            String::new()
        } else {
            format!(" where {}", conditions.join(" and "))
        };
        // One more than is wanted tells whether there are more.
        let limit = wanted
            .limit
            .map_or(String::new(), |limit| format!(" limit {}", limit.saturating_add(1).min(1 << 62)));
        format!(
            "copy (select {} from {only}{}{filter}{limit}) to stdout",
            names.join(", "),
            quote_name(schema, table),
        )
    }
}

async fn copy(client: &Client, source: &TableRows, wanted: &Wanted) -> Result<(), Refusal> {
    let failed = |error: tokio_postgres::Error| match error.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            Refusal::SnapshotDenied(format!("{}.{}", source.relation.schema, source.relation.table))
        }
        _ => lost(PostgresError::Sql(error)),
    };
    let lines = client.copy_out(&source.statement(wanted)).await.map_err(failed)?;
    pin_mut!(lines);
    let limit = wanted.limit.unwrap_or(u64::MAX);
    let mut page = Page::new(&source.relation, wanted.profile);
    let (mut rows, mut complete) = (0_u64, true);
    // A message of the copy is a row in all versions, which the protocol does not promise.
    let mut begun: Vec<u8> = Vec::new();
    while let Some(data) = lines.next().await {
        let data = data.map_err(failed)?;
        let mut rest: &[u8] = &data;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            if rows == limit {
                complete = false;
                continue;
            }
            rows += 1;
            let added = if begun.is_empty() {
                page.push(line)
            } else {
                begun.extend_from_slice(line);
                page.push(&std::mem::take(&mut begun))
            };
            added.map_err(|error| {
                tracing::error!(%error, "a snapshot cannot be read");
                Refusal::Unavailable("the database answered what was not asked")
            })?;
        }
        begun.extend_from_slice(rest);
        if page.len() >= PAGE_BYTES && wanted.parts.send(Part::Rows(page.take())).await.is_err() {
            return Ok(());
        }
    }
    if !page.is_empty() || rows == 0 {
        let _ = wanted.parts.send(Part::Rows(page.take())).await;
    }
    let _ = wanted.parts.send(Part::Done { rows, complete }).await;
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn lost(error: PostgresError) -> Refusal {
    tracing::warn!(%error, "a snapshot could not be taken");
    Refusal::Unavailable("the database did not answer")
}
