//! What can be wrong with a `pgoutput` message.

use thiserror::Error;

/// Why bytes are not a message of `pgoutput`, `proto_version` 1.
///
/// The texts hold field names, counts and type bytes, never names or values out of the database.
/// `field` is worded as in the Postgres manual, Logical Replication Message Formats.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The message ends before the field does.
    #[error("the message ends within {field}: {need} bytes needed, {have} left")]
    Truncated {
        /// The field that is cut.
        field: &'static str,
        /// Bytes that the field takes.
        need: usize,
        /// Bytes that are left for it.
        have: usize,
    },
    /// A string lacks its closing zero byte.
    #[error("the {field} has no closing zero byte within the {have} bytes left")]
    Unterminated {
        /// The string's field.
        field: &'static str,
        /// Bytes that were searched.
        have: usize,
    },
    /// A length or count below zero; all of them are signed on the wire.
    #[error("the {field} is negative: {value}")]
    Negative {
        /// The length or count.
        field: &'static str,
        /// What it says.
        value: i32,
    },
    /// The first byte names no message of `proto_version` 1.
    #[error("unknown message type {tag:#04x}")]
    UnknownMessage {
        /// The message's first byte.
        tag: u8,
    },
    /// A tuple that is neither new (`N`), key (`K`) nor old (`O`), or not one allowed at its place.
    #[error("the {message} message has a tuple of kind {tag:#04x} where {expected} belongs")]
    UnknownTupleKind {
        /// `Insert`, `Update` or `Delete`.
        message: &'static str,
        /// The kinds that may stand there.
        expected: &'static str,
        /// The kind found.
        tag: u8,
    },
    /// A column that is neither null (`n`), unchanged (`u`), text (`t`) nor binary (`b`).
    #[error("column {column} is of unknown kind {tag:#04x}")]
    UnknownColumnKind {
        /// Position in the tuple, from 0.
        column: u16,
        /// The kind found.
        tag: u8,
    },
    /// A replica identity that is none of `d`, `n`, `f`, `i` (`pg_class.relreplident`).
    #[error("unknown replica identity {tag:#04x}")]
    UnknownReplicaIdentity {
        /// The setting found.
        tag: u8,
    },
    /// Flags of a commit, which `proto_version` 1 leaves unused; Postgres' own subscriber refuses them too.
    #[error("unknown commit flags {flags:#04x}")]
    UnknownCommitFlags {
        /// The flags found.
        flags: u8,
    },
    /// Bytes behind the message's end: it is longer than we understand.
    #[error("{count} bytes follow the end of the {message} message")]
    TrailingBytes {
        /// The message, by its name in the manual.
        message: &'static str,
        /// How many bytes follow.
        count: usize,
    },
}
