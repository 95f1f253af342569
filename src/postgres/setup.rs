//! What must stand before streaming begins: checks, then the publication, then the slot.
//!
//! In this order, since a slot that is older than its publication can never decode it.

pub(super) mod slot;

use std::time::Duration;

use postgres_protocol::escape::escape_literal;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::PostgresError;
use super::session::Session;
use crate::lsn::{Epoch, Lsn};

/// The replication session's name in `pg_stat_replication`; what `synchronous_standby_names` would match.
pub const APPLICATION_NAME: &str = "walcast";

/// The oldest server whose slots send logical messages.
pub(super) const OLDEST: i32 = 14;

/// Which slot and publication to read, and what may be created.
#[derive(Clone, Debug)]
pub struct Source {
    /// Slot name.
    pub slot: String,
    /// Publication name.
    pub publication: String,
    /// The slot lives only as long as the session.
    pub temporary: bool,
    /// A missing publication is created, where that breaks nobody's writes.
    pub create_publication: bool,
    /// What becomes of a permanent slot that is lost.
    pub on_slot_lost: OnSlotLost,
    /// How much log the replay window may keep behind the slot, in bytes.
    pub window_wal: u64,
}

/// What is done when the slot that was read is gone, or Postgres has given it up. What was written since cannot be
/// had any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSlotLost {
    /// The stream stays down until somebody decides.
    #[default]
    Stop,
    /// It is made anew, and every client is told.
    Recreate,
}

/// What the preparation found.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    /// `wal_sender_timeout`; zero when it is switched off.
    pub wal_sender_timeout: Duration,
    /// The database has no encoding (`SQL_ASCII`): its bytes need not be UTF-8, and a conversion would fail in
    /// the server, at the same row again and again.
    pub sql_ascii: bool,
    /// Where a permanent slot goes on; `None` for a temporary one, which the session creates itself.
    pub slot_position: Option<Lsn>,
}

/// Checks the server and makes publication and slot. `known` is the epoch in which this process has read the slot
/// before: then the slot is no longer missing but lost, unless the server has been promoted or replaced meanwhile, and
/// the log is another one in any case.
///
/// # Errors
/// With whole sentences for the operator where something is missing.
pub async fn prepare(
    session: &Session,
    source: &Source,
    known: Option<Epoch>,
) -> Result<Prepared, PostgresError> {
    let client = session.client().await?;
    let (wal_sender_timeout, sql_ascii) = check_server(&client, source).await?;
    let created = ensure_publication(&client, source).await?;
    let slot_position =
        if source.temporary { None } else { Some(slot::ensure(&client, source, created, known).await?) };
    Ok(Prepared { wal_sender_timeout, sql_ascii, slot_position })
}

const SERVER: &str = "select current_setting('server_version_num')::int, current_setting('wal_level'), \
    pg_is_in_recovery(), current_setting('synchronous_standby_names'), \
    (select setting::bigint from pg_settings where name = 'wal_sender_timeout'), \
    (select rolreplication or rolsuper from pg_roles where rolname = current_user), current_user::text, \
    emit.oid::regprocedure::text, has_function_privilege(emit.oid, 'execute'), \
    current_setting('server_encoding') = 'SQL_ASCII', \
    (select setting::int8 from pg_settings where name = 'max_slot_wal_keep_size') \
    from pg_proc emit where emit.proname = 'pg_logical_emit_message' and emit.pronamespace = 'pg_catalog'::regnamespace \
      and emit.proargtypes[2] = 'text'::regtype";

/// Refuses a server that cannot serve us; returns its `wal_sender_timeout` and whether it has no encoding.
async fn check_server(client: &Client, source: &Source) -> Result<(Duration, bool), PostgresError> {
    let row = client.query_one(SERVER, &[]).await.map_err(PostgresError::Sql)?;
    let (version, wal_level, standby): (i32, String, bool) = (row.get(0), row.get(1), row.get(2));
    let (synchronous, timeout): (String, i64) = (row.get(3), row.get(4));
    let (replication, role): (bool, String) = (row.get(5), row.get(6));
    let (emit, may_emit): (String, bool) = (row.get(7), row.get(8));
    let role = postgres_protocol::escape::escape_identifier(&role);
    if version / 10_000 < OLDEST {
        return operator(format!("PostgreSQL {} is too old; {OLDEST} or newer is needed", version / 10_000));
    }
    if standby {
        return operator("this server is a standby; connect to the primary".into());
    }
    if wal_level != "logical" {
        return operator(format!(
            "wal_level is {wal_level}; run ALTER SYSTEM SET wal_level = logical and restart Postgres"
        ));
    }
    // A managed server may grant replication by a role of its own; its word comes with the slot then.
    if !replication && !managed_replication(client).await? {
        return operator(format!(
            "the role {role} may not replicate; run ALTER ROLE {role} REPLICATION as a superuser"
        ));
    }
    if !may_emit {
        return operator(format!(
            "the role {role} may not execute pg_logical_emit_message, which marks where the stream is live; run \
             GRANT EXECUTE ON FUNCTION {emit} TO {role} as a superuser"
        ));
    }
    if matches_synchronous(&synchronous, APPLICATION_NAME) {
        return operator(format!(
            "synchronous_standby_names ({synchronous}) would make the application's commits wait for this server; \
             list the standbys by name"
        ));
    }
    // In MiB; -1 is no limit (PostgreSQL manual, 20.6.1).
    if let Ok(keep) = u64::try_from(row.get::<_, i64>(10)).map(|keep| keep.saturating_mul(1 << 20))
        && keep <= source.window_wal
    {
        tracing::warn!(
            max_slot_wal_keep_size = keep,
            window_wal_bytes = source.window_wal,
            "Postgres may give the slot up for what the replay window keeps: set window.wal_bytes below \
             max_slot_wal_keep_size"
        );
    }
    Ok((Duration::from_millis(timeout.unsigned_abs()), row.get(9)))
}

/// Amazon RDS and Google Cloud SQL hand out replication through roles of theirs.
async fn managed_replication(client: &Client) -> Result<bool, PostgresError> {
    let sql = "select exists(select from pg_roles r where r.rolname in ('rds_replication', 'cloudsqlsuperuser', \
               'azure_pg_admin') and pg_has_role(current_user, r.oid, 'member'))";
    Ok(client.query_one(sql, &[]).await.map_err(PostgresError::Sql)?.get(0))
}

/// Whether `synchronous_standby_names` (PostgreSQL manual, 20.6.2) would choose a walsender of this name.
pub(super) fn matches_synchronous(setting: &str, name: &str) -> bool {
    let mut names: Vec<String> = Vec::new();
    let mut rest = setting.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            '"' => {
                let mut quoted = String::new();
                while let Some(char) = rest.next() {
                    // A doubled quote stands for one.
                    if char == '"' && rest.next_if_eq(&'"').is_none() {
                        break;
                    }
                    quoted.push(char);
                }
                names.push(quoted);
            }
            // What came before is the method and the number.
            '(' => names.clear(),
            ')' | ',' => {}
            char if char.is_whitespace() => {}
            char => {
                let mut plain = String::from(char);
                while let Some(char) = rest.next_if(|char| !char.is_whitespace() && !",()\"".contains(*char))
                {
                    plain.push(char);
                }
                names.push(plain);
            }
        }
    }
    // Postgres lets a quoted asterisk match everything, too.
    names.iter().any(|entry| entry == "*" || entry.eq_ignore_ascii_case(name))
}

/// Makes sure that the publication exists; `true` when it was created now.
async fn ensure_publication(client: &Client, source: &Source) -> Result<bool, PostgresError> {
    let name = &source.publication;
    let sql = "select exists(select from pg_publication where pubname = $1)";
    let exists: bool = client.query_one(sql, &[name]).await.map_err(PostgresError::Sql)?.get(0);
    if exists {
        let tables: i64 = client
            .query_one("select count(*) from pg_publication_tables where pubname = $1", &[name])
            .await
            .map_err(PostgresError::Sql)?
            .get(0);
        if tables == 0 {
            tracing::warn!(publication = name, "the publication has no tables: no change will ever come");
        }
        return Ok(false);
    }
    let quoted = postgres_protocol::escape::escape_identifier(name);
    let tables = own_tables(client).await?;
    let advice = creation(&quoted, &tables);
    if !source.create_publication {
        return operator(format!(
            "there is no publication {quoted}; run this as a superuser or as the tables' owner, or set \
             replication.create_publication:\n  {advice}"
        ));
    }
    match client.batch_execute(&advice).await {
        Ok(()) => {
            tracing::info!(publication = name, statement = advice, "created the publication");
            for table in tables.iter().filter(|table| !table.identified) {
                tracing::warn!(
                    table = table.name,
                    "left out of the publication: it, or a partition of it, has no replica identity, and publishing it \
                     would make its UPDATEs and DELETEs fail; give it a primary key or REPLICA IDENTITY FULL, then \
                     ALTER PUBLICATION .. ADD TABLE"
                );
            }
            Ok(true)
        }
        // Another process was faster.
        Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::DUPLICATE_OBJECT) => Ok(false),
        Err(error) if error.code().is_some_and(|code| code.code() == "42501") => operator(format!(
            "there is no publication {quoted} and this role may not create it; run as a superuser:\n  {advice}"
        )),
        Err(error) => Err(PostgresError::Sql(error)),
    }
}

#[derive(Debug)]
struct OwnTable {
    /// Quoted and qualified.
    name: String,
    /// Its updates and deletes can be published. For a partitioned table that is a matter of its partitions:
    /// none inherits the root's `REPLICA IDENTITY`.
    identified: bool,
}

// Postgres refuses an UPDATE by the identity of the table that holds the row (its function
// CheckCmdReplicaIdentity), and takes no deferrable key for one.
const OWN_TABLES: &str = "with identity(relid, found) as ( \
      select c.oid, c.relreplident = 'f' or exists(select from pg_index i where i.indrelid = c.oid \
          and i.indimmediate and i.indisvalid and case c.relreplident when 'd' then i.indisprimary \
          when 'i' then i.indisreplident else false end) \
      from pg_class c where c.relkind in ('r', 'p')) \
    select format('%I.%I', n.nspname, c.relname), coalesce( \
        (select bool_and(leaf.found) from pg_partition_tree(c.oid) t join identity leaf on leaf.relid = t.relid \
         where t.isleaf and c.relkind = 'p'), own.found) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join identity own on own.relid = c.oid \
    where c.relkind in ('r', 'p') and c.relpersistence = 'p' and not c.relispartition \
      and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_' order by 1";

async fn own_tables(client: &Client) -> Result<Vec<OwnTable>, PostgresError> {
    let rows = client.query(OWN_TABLES, &[]).await.map_err(PostgresError::Sql)?;
    Ok(rows.iter().map(|row| OwnTable { name: row.get(0), identified: row.get(1) }).collect())
}

/// The statement that makes a publication which breaks no write: all tables when each has an identity,
/// else those that have one. Changes of partitions are told as their root's, which is the name that
/// applications use.
fn creation(publication: &str, tables: &[OwnTable]) -> String {
    let with = "WITH (publish_via_partition_root = true)";
    if tables.iter().all(|table| table.identified) {
        return format!("CREATE PUBLICATION {publication} FOR ALL TABLES {with}");
    }
    let names: Vec<&str> =
        tables.iter().filter(|table| table.identified).map(|table| table.name.as_str()).collect();
    if names.is_empty() {
        return format!("CREATE PUBLICATION {publication} {with}");
    }
    format!("CREATE PUBLICATION {publication} FOR TABLE {} {with}", names.join(", "))
}

fn operator<T>(text: String) -> Result<T, PostgresError> {
    Err(PostgresError::Operator(text))
}

/// Writes a message to the log, in a transaction of its own that no synchronous standby keeps waiting; returns where it is.
///
/// # Errors
/// When the session breaks, or the role may not.
pub async fn mark(client: &Client, prefix: &str, name: &str) -> Result<Lsn, PostgresError> {
    let (prefix, name) = (escape_literal(prefix), escape_literal(name));
    let sql = format!(
        "begin; set local synchronous_commit = local; select pg_logical_emit_message(true, {prefix}, {name}); commit"
    );
    let answers = client.simple_query(&sql).await.map_err(PostgresError::Sql)?;
    let row = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(row.and_then(|lsn| lsn.parse().ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synchronous_standby_names_that_would_choose_us_are_seen() {
        for setting in [
            "*",
            "walcast",
            " a ,\nWalcast\t",
            "FIRST 1 (a, \"walcast\")",
            "any 2(*)",
            "2 (a, walcast)",
            "2(walcast)",
            "walcast, \"s(1\"",
            "\"a,b\", walcast",
            "\"say \"\"(hi)\"\"\", walcast",
            "\"*\"",
        ] {
            assert!(matches_synchronous(setting, "walcast"), "{setting}");
        }
        for setting in [
            "",
            "standby1",
            "FIRST 1 (a, b)",
            "walcast2",
            "\"walcast \"",
            "\"a, walcast\"",
            "\"walcast\"\"\"",
            "\"x(walcast)\", b",
            "\"**\"",
        ] {
            assert!(!matches_synchronous(setting, "walcast"), "{setting}");
        }
    }

    #[test]
    fn a_created_publication_never_breaks_a_table_without_a_key() {
        let table = |name: &str, identified| OwnTable { name: name.into(), identified };
        let with = "WITH (publish_via_partition_root = true)";
        assert_eq!(creation("p", &[table("a", true)]), format!("CREATE PUBLICATION p FOR ALL TABLES {with}"));
        assert_eq!(
            creation("p", &[table("a", true), table("b", false), table("c", true)]),
            format!("CREATE PUBLICATION p FOR TABLE a, c {with}")
        );
        assert_eq!(creation("p", &[table("b", false)]), format!("CREATE PUBLICATION p {with}"));
    }
}
