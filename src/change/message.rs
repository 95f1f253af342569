//! Logical messages: what somebody wrote into the log beside rows (PostgreSQL manual, `pg_logical_emit_message`).

use bytes::Bytes;

/// What was sent to a topic, by SQL or over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// To whom.
    pub topic: Box<str>,
    /// What happened, in the sender's words.
    pub event: Box<str>,
    /// A JSON text.
    pub payload: Bytes,
    /// Not for everybody.
    pub private: bool,
}
