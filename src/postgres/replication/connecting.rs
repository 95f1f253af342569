//! What a replication session is asked for, and what its commands answer.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use pgwire_replication::{PgWireError, ReplicationClient, ReplicationConfig};

use crate::lsn::{Epoch, Lsn};
use crate::postgres::session::PINNED_OUTPUT;
use crate::postgres::setup::{APPLICATION_NAME, Prepared, Source};
use crate::postgres::{Login, PostgresError};

/// Events that the crate may buffer. It counts events, not bytes, and a row may be large.
const BUFFERED_EVENTS: usize = 64;

/// How often the position is reported, unless `wal_sender_timeout` asks for more. With a timeout of 0, which asks for
/// nothing, it is this.
const STATUS: Duration = Duration::from_secs(1);

/// A session that reads `source` in the database of `login`, with rows of at most `row_bytes` bytes.
pub(super) fn config(
    login: &Login,
    source: &Source,
    row_bytes: usize,
    prepared: &Prepared,
) -> ReplicationConfig {
    let fifth = prepared.wal_sender_timeout / 5;
    let status = if fifth.is_zero() { STATUS } else { STATUS.min(fifth) };
    probe(login, source)
        .with_status_interval(status)
        .with_wakeup_interval(status)
        .with_buffer_size(BUFFERED_EVENTS)
        .with_max_message_size(row_bytes)
}

/// A session that logs in as ours would, and reads nothing.
pub(in crate::postgres) fn probe(login: &Login, source: &Source) -> ReplicationConfig {
    let (host, port) = login.endpoint();
    let config = login.config();
    let user = config.get_user().unwrap_or("postgres");
    let password = config.get_password().map(String::from_utf8_lossy).unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let quote = postgres_protocol::escape::escape_identifier;
    let own = config.get_options().unwrap_or_default();
    ReplicationConfig::new(host, user, password, database, quote(&source.slot), quote(&source.publication))
        .with_port(port)
        .with_tls(login.replication_tls())
        // Nobody reads notices here, and a walsender that tells some can wait for that as one does that ends.
        .with_options(format!("{own} {PINNED_OUTPUT} -c client_min_messages=error"))
        .with_application_name(APPLICATION_NAME)
}

/// Of what history the server is, and the process that serves the session.
///
/// # Errors
/// When the server answers what cannot be read.
pub(super) async fn identify(client: &mut ReplicationClient) -> Result<(Epoch, i32), PostgresError> {
    let system = client.identify_system().await.map_err(PostgresError::Stream)?;
    let id = system.system_id.parse::<u64>();
    let id = id.map_err(|_| unread("the system identifier is not a number"))?;
    let answer = client.simple_query("SELECT pg_backend_pid()").await.map_err(PostgresError::Stream)?;
    let walsender = column(&answer, 0).ok_or_else(|| unread("pg_backend_pid() is not a number"))?;
    Ok((Epoch { system: id, timeline: system.timeline }, walsender))
}

/// Begins to stream from the slot, which is made here if it is temporary; returns where it begins.
///
/// # Errors
/// When the server refuses a step, or answers what cannot be read.
pub(super) async fn start(
    client: &mut ReplicationClient,
    source: &Source,
    prepared: &Prepared,
) -> Result<Lsn, PostgresError> {
    if prepared.sql_ascii {
        client.simple_query("SET client_encoding = 'SQL_ASCII'").await.map_err(PostgresError::Stream)?;
    }
    let position = if let Some(position) = prepared.slot_position {
        position
    } else {
        let slot = postgres_protocol::escape::escape_identifier(&source.slot);
        let sql = format!("CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT");
        let created = client.simple_query(&sql).await.map_err(PostgresError::Stream)?;
        // The second column (PostgreSQL manual, 55.4 Streaming Replication Protocol).
        let begin = column(&created, 1);
        begin.ok_or_else(|| unread("CREATE_REPLICATION_SLOT did not say where the slot begins"))?
    };
    client.start().await.map_err(PostgresError::Stream)?;
    let started = client.wait_started().await.map_err(PostgresError::Stream);
    // Publications are looked for later: here it is the slot that does not exist (undefined_object).
    started.map_err(|error| match error.sqlstate() {
        Some("42704") => PostgresError::SlotGone { slot: source.slot.clone() },
        _ => error,
    })?;
    Ok(position)
}

/// What an error of the stream says of our settings, where it does.
pub(super) fn explain(error: PgWireError, source: &Source, row_bytes: usize) -> PostgresError {
    match error {
        PgWireError::MessageTooLarge { payload_bytes, .. } => {
            PostgresError::RowTooLarge { bytes: payload_bytes, limit: row_bytes }
        }
        // A change is decoded with the catalog of its time (PostgreSQL manual, 49.2 Logical Decoding Concepts).
        PgWireError::Server(text) if text.contains("publication") && text.contains("SQLSTATE 42704") => {
            let Source { slot, publication, .. } = source;
            PostgresError::Operator(format!(
                "the slot {slot:?} holds changes from before the publication {publication:?} was made, and cannot decode \
                 them ({text}); to give them up, run SELECT pg_drop_replication_slot('{slot}') and restart"
            ))
        }
        error => PostgresError::Stream(error),
    }
}

/// A column of the first row of an answer.
fn column<T: FromStr>(rows: &[Vec<Option<Bytes>>], number: usize) -> Option<T> {
    let text = rows.first()?.get(number)?.as_ref()?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn unread(what: &str) -> PostgresError {
    PostgresError::Stream(PgWireError::Protocol(what.into()))
}
