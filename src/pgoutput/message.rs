//! The messages, and the way from bytes to them.

use super::error::DecodeError;
use super::reader::Reader;
use super::relation::{Oid, RelationMessage};
use super::tuple::{OldTuple, Tuple};
use crate::lsn::Lsn;

/// One message of the stream: a transaction is [`Begin`](Self::Begin), what belongs to it,
/// [`Commit`](Self::Commit). `Debug` leaves out values of rows and contents of logical messages.
///
/// Times are microseconds since 2000-01-01 00:00 UTC, negative before.
#[derive(Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A committed transaction starts.
    Begin {
        /// Start of the commit record; equals [`Message::Commit`]'s `lsn` and grows strictly.
        final_lsn: Lsn,
        /// When it was committed.
        commit_time: i64,
        /// The top-level transaction's id, its lower 32 bits.
        xid: u32,
    },
    /// The transaction is complete.
    Commit {
        /// Start of the commit record.
        lsn: Lsn,
        /// End of the commit record: the position to acknowledge.
        end_lsn: Lsn,
        /// When it was committed.
        commit_time: i64,
    },
    /// The transaction was replicated into this server from elsewhere.
    Origin {
        /// Its commit there.
        lsn: Lsn,
        /// `pg_replication_origin.roname`.
        name: &'a [u8],
    },
    /// A table's name and columns, valid for the rows behind it.
    Relation(RelationMessage<'a>),
    /// A type that is not built in, before the relation that has a column of it.
    Type {
        /// `pg_type.oid`.
        oid: Oid,
        /// Its schema; empty for `pg_catalog`.
        schema: &'a [u8],
        /// Its name. For a domain, schema and name are those of the base type.
        name: &'a [u8],
    },
    /// A new row.
    Insert {
        /// The table.
        relation: Oid,
        /// The row.
        new: Tuple<'a>,
    },
    /// A changed row.
    Update {
        /// The table.
        relation: Oid,
        /// The row before; absent when the identity is a key that did not change.
        old: Option<OldTuple<'a>>,
        /// The row after, whose untouched TOAST values are missing.
        new: Tuple<'a>,
    },
    /// A row that is gone.
    Delete {
        /// The table.
        relation: Oid,
        /// What it was.
        old: OldTuple<'a>,
    },
    /// Tables emptied by one statement.
    Truncate {
        /// `CASCADE` was given; tables reached by it are listed when they are published.
        cascade: bool,
        /// `RESTART IDENTITY` was given.
        restart_identity: bool,
        /// The tables.
        relations: Vec<Oid>,
    },
    /// What `pg_logical_emit_message` was called with.
    Logical {
        /// Part of the transaction around it; if not, it stands between transactions, sent as soon as
        /// it was written, even when its transaction rolled back.
        transactional: bool,
        /// Where it lies in the log.
        lsn: Lsn,
        /// The name of whoever it is for.
        prefix: &'a [u8],
        /// Any bytes.
        content: &'a [u8],
    },
}

/// Reads one message: the payload of one `XLogData`.
///
/// # Errors
/// When the bytes are anything but exactly one message of `proto_version` 1.
pub fn decode(bytes: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let (message, name) = match reader.u8("message type")? {
        b'I' => (insert(&mut reader)?, "Insert"),
        b'U' => (update(&mut reader)?, "Update"),
        b'D' => (delete(&mut reader)?, "Delete"),
        b'B' => (begin(&mut reader)?, "Begin"),
        b'C' => (commit(&mut reader)?, "Commit"),
        b'R' => (Message::Relation(RelationMessage::read(&mut reader)?), "Relation"),
        b'Y' => (type_(&mut reader)?, "Type"),
        b'T' => (truncate(&mut reader)?, "Truncate"),
        b'M' => (logical(&mut reader)?, "Message"),
        b'O' => (origin(&mut reader)?, "Origin"),
        tag => return Err(DecodeError::UnknownMessage { tag }),
    };
    reader.finish(name)?;
    Ok(message)
}

#[inline]
fn insert<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let relation = reader.u32("relation OID")?;
    match reader.u8("tuple kind")? {
        b'N' => Ok(Message::Insert { relation, new: Tuple::read(reader)? }),
        tag => Err(DecodeError::UnknownTupleKind { message: "Insert", expected: "N", tag }),
    }
}

#[inline]
fn update<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let relation = reader.u32("relation OID")?;
    let (old, kind) = match reader.u8("tuple kind")? {
        b'N' => (None, b'N'),
        b'K' => (Some(OldTuple::Key(Tuple::read(reader)?)), reader.u8("tuple kind")?),
        b'O' => (Some(OldTuple::Full(Tuple::read(reader)?)), reader.u8("tuple kind")?),
        tag => return Err(DecodeError::UnknownTupleKind { message: "Update", expected: "N, K or O", tag }),
    };
    match kind {
        b'N' => Ok(Message::Update { relation, old, new: Tuple::read(reader)? }),
        tag => Err(DecodeError::UnknownTupleKind { message: "Update", expected: "N", tag }),
    }
}

#[inline]
fn delete<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let relation = reader.u32("relation OID")?;
    let old = match reader.u8("tuple kind")? {
        b'K' => OldTuple::Key(Tuple::read(reader)?),
        b'O' => OldTuple::Full(Tuple::read(reader)?),
        tag => return Err(DecodeError::UnknownTupleKind { message: "Delete", expected: "K or O", tag }),
    };
    Ok(Message::Delete { relation, old })
}

fn begin<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    Ok(Message::Begin {
        final_lsn: reader.lsn("final LSN")?,
        commit_time: reader.i64("commit timestamp")?,
        xid: reader.u32("transaction id")?,
    })
}

fn commit<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    match reader.u8("commit flags")? {
        0 => Ok(Message::Commit {
            lsn: reader.lsn("commit LSN")?,
            end_lsn: reader.lsn("end LSN")?,
            commit_time: reader.i64("commit timestamp")?,
        }),
        flags => Err(DecodeError::UnknownCommitFlags { flags }),
    }
}

fn origin<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    Ok(Message::Origin { lsn: reader.lsn("origin LSN")?, name: reader.string("origin name")? })
}

fn type_<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    Ok(Message::Type {
        oid: reader.u32("type OID")?,
        schema: reader.string("type namespace")?,
        name: reader.string("type name")?,
    })
}

fn truncate<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let count = reader.length("number of relations")?;
    let options = reader.u8("truncate options")?;
    // A count that lies must not reserve memory.
    let (need, have) = (count.saturating_mul(size_of::<Oid>()), reader.rest().len());
    if need > have {
        return Err(DecodeError::Truncated { field: "relation OIDs", need, have });
    }
    let relations = (0..count).map(|_| reader.u32("relation OID")).collect::<Result<_, _>>()?;
    Ok(Message::Truncate { cascade: options & 1 != 0, restart_identity: options & 2 != 0, relations })
}

fn logical<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let transactional = reader.u8("message flags")? & 1 != 0;
    let lsn = reader.lsn("message LSN")?;
    let prefix = reader.string("message prefix")?;
    let length = reader.length("content length")?;
    let content = reader.bytes(length, "message content")?;
    Ok(Message::Logical { transactional, lsn, prefix, content })
}
