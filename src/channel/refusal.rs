//! What a client is told when something it asked for is refused: a stable code, then words.

use thiserror::Error;

use super::serializer::FrameError;
use crate::topic::TopicError;

/// A refusal; its text goes to the client as `reason`. Codes are stable and listed in docs/errors.md.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The topic or its filter cannot be read.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The frame cannot be read.
    #[error("{0}")]
    Frame(String),
    /// A binary frame, which carries nothing that is served yet.
    #[error("BinaryUnsupported: binary frames are not supported; send text")]
    Binary,
    /// An event that means nothing here.
    #[error(
        "EventUnsupported: this channel carries changes of the database; it takes phx_join, phx_leave and access_token"
    )]
    Event,
    /// The payload of a join is not an object, or an option has the wrong value.
    #[error("OptionInvalid: {0}")]
    Option(&'static str),
    /// An option whose capability is not there yet.
    #[error("OptionUnsupported: the join option {0} is not supported yet")]
    OptionUnsupported(&'static str),
    /// Too many channels on the socket.
    #[error("TooManyChannels: a socket may join {limit} channels (limits.channels_per_socket)")]
    TooManyChannels {
        /// The limit in force.
        limit: usize,
    },
    /// Joining too fast.
    #[error(
        "TooManyJoins: a socket may join {limit} channels per second (limits.joins_per_second); try again later"
    )]
    TooManyJoins {
        /// The limit in force.
        limit: usize,
    },
    /// Too many members in the topic.
    #[error("TooManyMembers: a topic may have {limit} members (limits.members_per_topic)")]
    TooManyMembers {
        /// The limit in force.
        limit: usize,
    },
    /// No such schema.
    #[error("SchemaNotFound: there is no schema {0:?} in this database")]
    SchemaNotFound(String),
    /// No such table.
    #[error("TableNotFound: there is no table {1:?} in schema {0:?}")]
    TableNotFound(String, String),
    /// A view or the like, which has no changes of its own.
    #[error("TableNotReplicated: {0} is a {1}; the log carries changes of tables only")]
    NotATable(String, &'static str),
    /// The table is there, but its changes do not reach the server.
    #[error("TableNotPublished: {0}")]
    NotPublished(String),
    /// No such column.
    #[error("ColumnNotFound: table {0} has no column {1:?}")]
    ColumnNotFound(String, String),
    /// The column is left out by the publication's column list.
    #[error("ColumnNotPublished: the publication leaves out column {1:?} of table {0}")]
    ColumnNotPublished(String, String),
    /// What an operator asks of this type cannot be decided exactly.
    #[error("FilterUnsupported: {0} of type {2} (column {1:?}) cannot be decided exactly as Postgres would")]
    FilterType(&'static str, String, String),
    /// An operator for other types.
    #[error("FilterUnsupported: {2} is for {3}, and column {0:?} is of type {1}")]
    FilterOperator(String, String, &'static str, &'static str),
    /// A pattern that is no such.
    #[error("FilterValueInvalid: the pattern for column {0:?} is refused: {1}")]
    FilterPattern(String, String),
    /// A pattern with something in it that cannot be decided exactly.
    #[error("FilterUnsupported: the pattern for column {0:?} is refused: {1}")]
    FilterPatternUnsupported(String, String),
    /// The database does not take the value.
    #[error("FilterValueInvalid: the value is not of type {1} (column {0:?})")]
    FilterValue(String, String),
    /// The same of a value that was meant to be none.
    #[error("FilterValueInvalid: null is not of type {1} (column {0:?}), and nothing equals it; use is.null")]
    FilterNull(String, String),
    /// A snapshot of what is not one table.
    #[error(
        "OptionInvalid: a snapshot is of one table; join realtime:SCHEMA:TABLE, with or without a filter"
    )]
    SnapshotTopic,
    /// A table whose rows the server's role may not read.
    #[error(
        "SnapshotDenied: the server may not read all rows of {0}; grant its role SELECT, and BYPASSRLS if it has policies"
    )]
    SnapshotDenied(String),
    /// A snapshot that took too long.
    #[error(
        "SnapshotTooSlow: the snapshot was not read within {seconds} s (snapshot.seconds); ask for fewer rows"
    )]
    SnapshotTooSlow {
        /// The limit in force.
        seconds: u64,
    },
    /// What happened since the snapshot is no longer held.
    #[error(
        "SnapshotWindow: changes since the snapshot are no longer held; a larger window (window.bytes) holds them"
    )]
    SnapshotWindow,
    /// Nothing is held on this server.
    #[error("WindowOff: this server keeps no changes (window.bytes is 0)")]
    WindowOff,
    /// The stream of changes is not live.
    #[error("Unavailable: the stream of changes is not live ({0}); try again later")]
    Unavailable(&'static str),
}

impl From<FrameError> for Refusal {
    fn from(error: FrameError) -> Self {
        Self::Frame(error.to_string())
    }
}
