//! What the server says of itself, of the slot and of the publication.

use tokio_postgres::Client;

use crate::postgres::PostgresError;

/// The server, its settings, and the role that asks.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Server {
    pub(super) version: i32,
    pub(super) version_text: String,
    pub(super) wal_level: String,
    pub(super) standby: bool,
    pub(super) synchronous: String,
    /// In milliseconds; 0 when it is off.
    pub(super) wal_sender_timeout: i64,
    /// In MiB; negative without a limit.
    pub(super) max_slot_wal_keep_size: i64,
    /// As Postgres writes it; `None` before 18.
    pub(super) idle_slot_timeout: Option<String>,
    pub(super) max_slots: i64,
    pub(super) slots: i64,
    pub(super) max_senders: i64,
    pub(super) senders: i64,
    /// Standbys that stream from here.
    pub(super) standbys: i64,
    pub(super) role: String,
    pub(super) may_replicate: bool,
    pub(super) emit: String,
    pub(super) may_emit: bool,
    /// The role may create a publication in this database.
    pub(super) may_create: bool,
    pub(super) is_superuser: bool,
    /// The protocol of TLS on this connection.
    pub(super) tls: Option<String>,
    /// `None` on a Unix-domain socket.
    pub(super) address: Option<String>,
    pub(super) is_local: bool,
    pub(super) port: Option<i32>,
}

const SERVER: &str = "select current_setting('server_version_num')::int, current_setting('server_version'), \
    current_setting('wal_level'), pg_is_in_recovery(), current_setting('synchronous_standby_names'), \
    (select setting::int8 from pg_settings where name = 'wal_sender_timeout'), \
    (select setting::int8 from pg_settings where name = 'max_slot_wal_keep_size'), \
    current_setting('idle_replication_slot_timeout', true), \
    current_setting('max_replication_slots')::int8, (select count(*) from pg_replication_slots), \
    current_setting('max_wal_senders')::int8, \
    (select count(*) from pg_stat_activity where backend_type = 'walsender'), \
    (select count(*) from pg_replication_slots where slot_type = 'physical' and active), \
    current_user::text, \
    coalesce((select rolreplication or rolsuper from pg_roles where rolname = current_user), false) or exists( \
        select from pg_roles r where r.rolname in ('rds_replication', 'cloudsqlsuperuser', 'azure_pg_admin') \
        and pg_has_role(current_user, r.oid, 'member')), \
    emit.oid::regprocedure::text, has_function_privilege(emit.oid, 'execute'), \
    has_database_privilege(current_database(), 'create'), \
    coalesce((select rolsuper from pg_roles where rolname = current_user), false), \
    (select version from pg_stat_ssl where pid = pg_backend_pid() and ssl), \
    host(inet_server_addr()), \
    coalesce(inet_client_addr() <<= '127.0.0.0/8' or inet_client_addr() <<= '::1/128', true), inet_server_port() \
    from pg_proc emit where emit.proname = 'pg_logical_emit_message' \
      and emit.pronamespace = 'pg_catalog'::regnamespace and emit.proargtypes[2] = 'text'::regtype";

pub(super) async fn server(client: &Client) -> Result<Server, PostgresError> {
    let row = client.query_one(SERVER, &[]).await.map_err(PostgresError::Sql)?;
    Ok(Server {
        version: row.get(0),
        version_text: row.get(1),
        wal_level: row.get(2),
        standby: row.get(3),
        synchronous: row.get(4),
        wal_sender_timeout: row.get(5),
        max_slot_wal_keep_size: row.get(6),
        idle_slot_timeout: row.get(7),
        max_slots: row.get(8),
        slots: row.get(9),
        max_senders: row.get(10),
        senders: row.get(11),
        standbys: row.get(12),
        role: row.get(13),
        may_replicate: row.get(14),
        emit: row.get(15),
        may_emit: row.get(16),
        may_create: row.get(17),
        is_superuser: row.get(18),
        tls: row.get(19),
        address: row.get(20),
        is_local: row.get(21),
        port: row.get(22),
    })
}

/// The slot.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) plugin: Option<String>,
    pub(super) database: Option<String>,
    pub(super) here: String,
    pub(super) temporary: bool,
    pub(super) wal_status: Option<String>,
    /// Why it was given up, from 17 on.
    pub(super) invalidation: Option<String>,
    pub(super) pid: Option<i32>,
    /// Who reads it: application and address.
    pub(super) reader: Option<String>,
    /// Bytes of log that Postgres keeps for it.
    pub(super) kept: i64,
    /// Bytes of log that were not acknowledged.
    pub(super) unconfirmed: i64,
    /// Bytes that may still be written before it is lost; `None` without a limit.
    pub(super) left: Option<i64>,
    /// Whether it follows to a standby, from 17 on.
    pub(super) failover: Option<bool>,
    /// Since when nobody reads it, from 17 on.
    pub(super) inactive_since: Option<String>,
}

// Columns of later versions are asked for as of an object: a name that is not known would be an error.
const SLOT: &str = "select s.plugin::text, s.database::text, current_database()::text, s.temporary, s.wal_status::text, \
    to_jsonb(s) ->> 'invalidation_reason', s.active_pid, \
    (select a.application_name || coalesce(' from ' || host(a.client_addr), '') from pg_stat_activity a \
     where a.pid = s.active_pid), \
    coalesce(pg_wal_lsn_diff(now.lsn, s.restart_lsn), 0)::int8, \
    coalesce(pg_wal_lsn_diff(now.lsn, s.confirmed_flush_lsn), 0)::int8, s.safe_wal_size, \
    (to_jsonb(s) ->> 'failover')::bool, to_jsonb(s) ->> 'inactive_since' \
    from pg_replication_slots s, (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() \
        else pg_current_wal_lsn() end as lsn) now where s.slot_name = $1";

pub(super) async fn slot(client: &Client, name: &str) -> Result<Option<Slot>, PostgresError> {
    let row = client.query_opt(SLOT, &[&name]).await.map_err(PostgresError::Sql)?;
    Ok(row.map(|row| Slot {
        plugin: row.get(0),
        database: row.get(1),
        here: row.get(2),
        temporary: row.get(3),
        wal_status: row.get(4),
        invalidation: row.get(5),
        pid: row.get(6),
        reader: row.get(7),
        kept: row.get(8),
        unconfirmed: row.get(9),
        left: row.get(10),
        failover: row.get(11),
        inactive_since: row.get(12),
    }))
}

/// The publication.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Publication {
    pub(super) all_tables: bool,
    /// What is not published of insert, update, delete, truncate.
    pub(super) left_out: Vec<String>,
    pub(super) updates_or_deletes: bool,
    pub(super) via_root: bool,
    /// Stored generated columns are published, from 18 on.
    pub(super) generated: bool,
}

const PUBLICATION: &str = "select puballtables, array_remove(array[ \
        case when not pubinsert then 'insert' end, case when not pubupdate then 'update' end, \
        case when not pubdelete then 'delete' end, case when not pubtruncate then 'truncate' end], null), \
    pubupdate or pubdelete, pubviaroot, coalesce(to_jsonb(p) ->> 'pubgencols' = 's', false) \
    from pg_publication p where pubname = $1";

pub(super) async fn publication(client: &Client, name: &str) -> Result<Option<Publication>, PostgresError> {
    let row = client.query_opt(PUBLICATION, &[&name]).await.map_err(PostgresError::Sql)?;
    Ok(row.map(|row| Publication {
        all_tables: row.get(0),
        left_out: row.get(1),
        updates_or_deletes: row.get(2),
        via_root: row.get(3),
        generated: row.get(4),
    }))
}
