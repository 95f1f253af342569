//! `Debug` that may be logged: names are readable, values of rows and contents of messages are left out.

use std::fmt;

use super::message::Message;
use super::relation::{ColumnMessage, RelationMessage};

/// A name in quotes, other than UTF-8 replaced.
struct Name<'a>(&'a [u8]);

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.0), f)
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { final_lsn, commit_time, xid } => f
                .debug_struct("Begin")
                .field("final_lsn", &format_args!("{final_lsn}"))
                .field("commit_time", commit_time)
                .field("xid", xid)
                .finish(),
            Self::Commit { lsn, end_lsn, commit_time } => f
                .debug_struct("Commit")
                .field("lsn", &format_args!("{lsn}"))
                .field("end_lsn", &format_args!("{end_lsn}"))
                .field("commit_time", commit_time)
                .finish(),
            Self::Origin { lsn, name } => f
                .debug_struct("Origin")
                .field("lsn", &format_args!("{lsn}"))
                .field("name", &Name(name))
                .finish(),
            Self::Relation(relation) => relation.fmt(f),
            Self::Type { oid, schema, name } => f
                .debug_struct("Type")
                .field("oid", oid)
                .field("schema", &Name(schema))
                .field("name", &Name(name))
                .finish(),
            Self::Insert { relation, new } => {
                f.debug_struct("Insert").field("relation", relation).field("new", new).finish()
            }
            Self::Update { relation, old, new } => f
                .debug_struct("Update")
                .field("relation", relation)
                .field("old", old)
                .field("new", new)
                .finish(),
            Self::Delete { relation, old } => {
                f.debug_struct("Delete").field("relation", relation).field("old", old).finish()
            }
            Self::Truncate { cascade, restart_identity, relations } => f
                .debug_struct("Truncate")
                .field("cascade", cascade)
                .field("restart_identity", restart_identity)
                .field("relations", relations)
                .finish(),
            Self::Logical { transactional, lsn, prefix, content } => f
                .debug_struct("Logical")
                .field("transactional", transactional)
                .field("lsn", &format_args!("{lsn}"))
                .field("prefix", &Name(prefix))
                .field("content", &format_args!("{} bytes", content.len()))
                .finish(),
        }
    }
}

impl fmt::Debug for RelationMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelationMessage")
            .field("oid", &self.oid)
            .field("schema", &Name(self.schema))
            .field("table", &Name(self.table))
            .field("identity", &self.identity)
            .field("columns", &self.columns)
            .finish()
    }
}

impl fmt::Debug for ColumnMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnMessage")
            .field("key", &self.key)
            .field("name", &Name(self.name))
            .field("type_oid", &self.type_oid)
            .field("type_modifier", &self.type_modifier)
            .finish()
    }
}
