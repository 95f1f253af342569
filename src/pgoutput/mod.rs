//! Bytes of the `pgoutput` plugin to messages.
//!
//! `proto_version` 1, logical messages on, text or binary columns (Postgres manual, Logical
//! Replication Message Formats). A message borrows from the bytes it came in; rows are decoded without
//! allocating. Everything is checked once, in [`decode`]: lengths, counts, and that nothing follows.
//!
//! What a subscriber must remember between messages (relations, the open transaction) is not here.

mod debug;
mod error;
mod message;
mod reader;
mod relation;
mod tuple;

#[cfg(test)]
mod tests;

pub use error::DecodeError;
pub use message::{Message, decode};
pub use relation::{ColumnMessage, Oid, RelationMessage, ReplicaIdentity};
pub use tuple::{Column, Columns, OldTuple, Tuple};
