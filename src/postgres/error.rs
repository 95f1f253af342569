//! What can go wrong with the database, and who can mend it.

use pgwire_replication::PgWireError;
use thiserror::Error;

use super::tls::TlsError;
use crate::change::assembler::AssemblyError;
use crate::pgoutput::DecodeError;

/// Who can mend an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Time: connect again.
    Retry,
    /// The operator: a right, a setting or an object is missing. Tried again rarely.
    Operator,
    /// Us: the stream cannot be read. Trying again would loop.
    Bug,
}

/// An error of the database's edge. Texts never hold row values or secrets. They tell all that the clients'
/// errors say, which are therefore not their sources: a printed chain would say it twice.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// An ordinary SQL session failed.
    #[error("the database refused: {}", sql_text(.0))]
    Sql(tokio_postgres::Error),
    /// No SQL session could be had.
    #[error("cannot connect to the database: {}", sql_text(.0))]
    Connect(tokio_postgres::Error),
    /// TLS cannot be had as it is demanded.
    #[error("cannot connect to the database: {0}")]
    Tls(#[from] TlsError),
    /// The replication session failed.
    #[error("the replication session failed: {0}")]
    Stream(PgWireError),
    /// The replication session ended without an error.
    #[error("the replication session ended")]
    StreamEnded,
    /// The connection looks alive, but the server has given it up.
    #[error("the server says that our session does not read the slot any more: it is dead")]
    Abandoned,
    /// The connection looks alive, but nothing comes from the server any more.
    #[error(
        "the database is silent: nothing comes on the replication session, and questions are not answered"
    )]
    Silent,
    /// The connection looks alive, but what the server sends does not arrive.
    #[error("the server waits to send on the replication session, and nothing arrives: it is dead")]
    Stuck,
    /// A step took too long.
    #[error("{what} took longer than {seconds} s")]
    Timeout {
        /// The step.
        what: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The server is shutting down; its slot keeps our place.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// Another process reads the slot.
    #[error("the slot {slot:?} is in use by another process (pid {pid})")]
    SlotInUse {
        /// Slot name.
        slot: String,
        /// Process id of its walsender.
        pid: i32,
        /// Whether that streams no more, and waits until it can say why it ends.
        last_words: bool,
    },
    /// It was there a moment ago.
    #[error("the slot {slot:?} was dropped while the session began")]
    SlotGone {
        /// Slot name.
        slot: String,
    },
    /// Something that the operator has to mend, in whole sentences.
    #[error("{0}")]
    Operator(String),
    /// A row is larger than what we accept.
    #[error(
        "a change of {bytes} bytes is over limits.row_bytes ({limit}); raise it and restart, nothing was skipped"
    )]
    RowTooLarge {
        /// Announced size.
        bytes: usize,
        /// The limit in force.
        limit: usize,
    },
    /// A message of the stream cannot be read.
    #[error("cannot read the stream of changes: {0}")]
    Decode(#[from] DecodeError),
    /// The catalog's text is not what was asked for.
    #[error("cannot read the catalog: {0}")]
    Catalog(serde_json::Error),
    /// The stream contradicts itself.
    #[error("the stream of changes contradicts itself: {0}")]
    Assembly(#[from] AssemblyError),
}

/// The server's own words where there are any; `tokio-postgres` prints only `db error`.
fn sql_text(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let hint = db.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{} (SQLSTATE {}){hint}", db.message(), db.code().code())
        }
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

impl PostgresError {
    /// Who can mend it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Sql(error) | Self::Connect(error) => {
                error.code().map_or(Class::Retry, |code| class_of(code.code()))
            }
            Self::Stream(PgWireError::Server(text)) => sqlstate(text).map_or(Class::Retry, class_of),
            // An SQL session came before, by the same rules: what breaks now is the connection, not its terms.
            Self::Stream(PgWireError::Tls(text)) if is_broken_handshake(text) => Class::Retry,
            Self::Stream(PgWireError::Auth(_) | PgWireError::Tls(_))
            | Self::Tls(_)
            | Self::Operator(_)
            | Self::RowTooLarge { .. } => Class::Operator,
            Self::Stream(_)
            | Self::StreamEnded
            | Self::Abandoned
            | Self::Stuck
            | Self::Silent
            | Self::Timeout { .. }
            | Self::ShuttingDown
            | Self::SlotInUse { .. }
            // Whether it may be made anew is decided before the next session.
            | Self::SlotGone { .. } => Class::Retry,
            Self::Decode(_) | Self::Assembly(_) | Self::Catalog(_) => Class::Bug,
        }
    }

    /// The SQLSTATE, where the server sent one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Sql(error) | Self::Connect(error) => {
                error.code().map(tokio_postgres::error::SqlState::code)
            }
            Self::Stream(PgWireError::Server(text)) => sqlstate(text),
            _ => None,
        }
    }
}

/// Whether a TLS handshake ended by itself, and not over a certificate.
fn is_broken_handshake(text: &str) -> bool {
    text.starts_with("TLS handshake failed") && !text.contains("certificate")
}

/// The SQLSTATE that `pgwire-replication` puts at the end of a server's message.
fn sqlstate(text: &str) -> Option<&str> {
    let (_, code) = text.rsplit_once("(SQLSTATE ")?;
    code.strip_suffix(')').filter(|code| code.len() == 5)
}

/// The class of a SQLSTATE (PostgreSQL manual, appendix A).
fn class_of(code: &str) -> Class {
    match code {
        // Shut down, crashed, starting up; a connection's trouble; deadlock with VACUUM FULL on a
        // catalog; too many connections or walsenders; slot still held by a ghost; cancelled.
        "57P01" | "57P02" | "57P03" | "40P01" | "40001" | "53300" | "53400" | "55006" | "57014" => {
            Class::Retry
        }
        _ if code.starts_with("08") || code.starts_with("53") || code.starts_with("58") => Class::Retry,
        _ => Class::Operator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_of_the_stream_are_classed() {
        let class = |text: &str| PostgresError::Stream(PgWireError::Server(text.into())).class();
        assert_eq!(class("terminating connection (SQLSTATE 57P01)"), Class::Retry);
        assert_eq!(class("replication slot \"x\" is active for PID 1 (SQLSTATE 55006)"), Class::Retry);
        assert_eq!(class("all senders are busy (SQLSTATE 53300)"), Class::Retry);
        assert_eq!(class("publication \"x\" does not exist (SQLSTATE 42704)"), Class::Operator);
        assert_eq!(
            class("cannot read from logical replication slot \"x\" (SQLSTATE 55000)"),
            Class::Operator
        );
        assert_eq!(class("no code at all"), Class::Retry);
        assert_eq!(PostgresError::Stream(PgWireError::Auth("no".into())).class(), Class::Operator);
        let tls = |text: &str| PostgresError::Stream(PgWireError::Tls(text.into())).class();
        assert_eq!(tls("TLS handshake failed: tls handshake eof"), Class::Retry);
        assert_eq!(tls("TLS handshake failed: invalid peer certificate: UnknownIssuer"), Class::Operator);
        assert_eq!(PostgresError::Decode(DecodeError::UnknownMessage { tag: 0 }).class(), Class::Bug);
    }
}
