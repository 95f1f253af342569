//! Why a statement has no answer, and what the client is told of it.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::operations::DatabaseError;
use crate::postgres::PostgresError;

/// What the client is told of a database that is not there.
pub(super) const UNREACHABLE: &str = "the database cannot be reached";

/// Why a statement has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was refused, or the connection broke.
    Postgres(Error),
    /// The connection broke while a transaction was being committed.
    InDoubt,
    /// No answer came, not even that it takes too long.
    Silent,
    /// Another number of rows than one.
    Rows(usize),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Postgres(error)
    }
}

impl Failure {
    /// A statement that was prepared before is not known any more, or would have other columns now.
    pub(super) fn is_stale(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        let Some(db) = error.as_db_error() else { return false };
        *db.code() == SqlState::INVALID_SQL_STATEMENT_NAME
            // Of all that is not supported, the place in the server tells this one; words are translated.
            || *db.code() == SqlState::FEATURE_NOT_SUPPORTED && db.routine() == Some("RevalidateCachedQuery")
    }

    /// The session goes on, outside of a transaction or in one that has failed.
    pub(super) fn leaves_session(&self) -> bool {
        match self {
            Self::Postgres(error) => !is_lost(error),
            Self::Rows(_) => true,
            Self::InDoubt | Self::Silent => false,
        }
    }

    /// As the client is told, of the step at `step`.
    pub(super) fn told(&self, step: usize) -> DatabaseError {
        let refused = |code: &str, message: String, hint| DatabaseError::Refused {
            step,
            code: code.to_owned(),
            message,
            hint,
        };
        match self {
            Self::Postgres(error) if is_lost(error) => unavailable(error),
            Self::Postgres(error) => match error.as_db_error() {
                Some(db) if *db.code() == SqlState::QUERY_CANCELED => DatabaseError::Timeout,
                Some(db) => refused(db.code().code(), db.message().to_owned(), db.hint().map(str::to_owned)),
                None => refused("XX000", error.to_string(), None),
            },
            Self::InDoubt => DatabaseError::Unavailable(
                "the connection to the database was lost at the end: whether this was done is not known"
                    .to_owned(),
            ),
            Self::Silent => DatabaseError::Unavailable("the database does not answer".to_owned()),
            Self::Rows(count) => {
                refused("XX000", format!("the statement returned {count} rows instead of one"), None)
            }
        }
    }
}

/// What the client is told of a connection that cannot be made. The server's words are for the log: they name
/// logins and hosts.
pub(super) fn told_of_connecting(error: &PostgresError) -> DatabaseError {
    let PostgresError::Connect(error) = error else {
        return DatabaseError::Unavailable(UNREACHABLE.to_owned());
    };
    if error.as_db_error().is_none() || is_lost(error) {
        return unavailable(error);
    }
    DatabaseError::Unavailable("the database does not admit the server, or not in its role".to_owned())
}

fn unavailable(error: &Error) -> DatabaseError {
    let words = match error.code().map(SqlState::code) {
        Some("53300") => "the database has no connection to spare",
        Some("57P01" | "57P02" | "57P03") => "the database is starting or stopping",
        Some(_) => "the connection to the database was ended",
        None if error.is_closed() => "the connection to the database was lost",
        None => UNREACHABLE,
    };
    DatabaseError::Unavailable(words.to_owned())
}

/// Whether the connection is no more (PostgreSQL manual, appendix A: classes 08, 53300, 57P0x; 25P03 and 57P05
/// end sessions that idle).
fn is_lost(error: &Error) -> bool {
    match error.code().map(SqlState::code) {
        Some(code) => {
            code.starts_with("08") || code.starts_with("57P") || matches!(code, "53300" | "25P03" | "25P04")
        }
        None => {
            error.is_closed()
                || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
        }
    }
}
