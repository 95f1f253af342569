//! What a replication session is asked for, and what its commands answer.

use std::time::Duration;

use bytes::Bytes;
use pgwire_replication::{PgWireError, ReplicationConfig};

use crate::lsn::Lsn;
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
        .with_options(format!("{own} {PINNED_OUTPUT}"))
        .with_application_name(APPLICATION_NAME)
}

/// Where a slot that was just created begins: the second column of `CREATE_REPLICATION_SLOT` (PostgreSQL manual,
/// 55.4 Streaming Replication Protocol).
///
/// # Errors
/// When the answer has no such position.
pub(super) fn consistent_point(created: &[Vec<Option<Bytes>>]) -> Result<Lsn, PostgresError> {
    let text = created.first().and_then(|row| row.get(1)).and_then(Option::as_ref);
    let lsn = text.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok());
    let unread = "CREATE_REPLICATION_SLOT did not say where the slot begins";
    lsn.ok_or_else(|| PostgresError::Stream(PgWireError::Protocol(unread.into())))
}
