//! Messages to transactions, and transactions to the JSON a client sees.
//!
//! - [`assembler`] keeps the relation cache and turns messages into pieces of transactions
//! - [`copy`] reads rows that did not come from the log
//! - [`message`] is what is in the log beside rows
//! - [`compare`] decides what two values are to each other
//! - [`types`] and [`value`] know how Postgres text becomes JSON
//! - [`wire`] is the only place that knows the JSON of a change

pub mod assembler;
pub mod compare;
pub mod copy;
pub mod message;
pub mod types;
pub mod value;
pub mod wire;

use std::sync::Arc;

use bytes::Bytes;

use crate::lsn::{Cursor, Lsn};
use crate::pgoutput::{Columns, Oid, ReplicaIdentity};
use message::Message;
use types::TypeInfo;
use wire::Layout;

/// A table as the log describes it at the moment of a change.
#[derive(Debug)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: Oid,
    /// Schema name; `pg_catalog` where the log leaves it empty.
    pub schema: Box<str>,
    /// Table name.
    pub table: Box<str>,
    /// What the old row of an update or delete carries.
    pub identity: ReplicaIdentity,
    /// The published columns, in table order.
    pub columns: Vec<Column>,
    /// Types of columns with composites in them. Postgres does not describe the relation again when one of
    /// these is altered.
    pub row_types: Box<[Oid]>,
    /// The parts of the JSON that all changes of this relation share.
    pub layout: Layout,
}

impl Relation {
    /// A relation with these columns.
    #[must_use]
    pub fn new(
        oid: Oid,
        schema: Box<str>,
        table: Box<str>,
        identity: ReplicaIdentity,
        columns: Vec<Column>,
    ) -> Self {
        let row_types = columns.iter().filter(|column| column.info.holds_rows());
        let row_types = row_types.map(|column| column.type_oid).collect();
        let layout = Layout::of(&schema, &table, &columns);
        Self { oid, schema, table, identity, columns, row_types, layout }
    }
}

/// One published column of a [`Relation`].
#[derive(Debug)]
pub struct Column {
    /// Column name.
    pub name: Box<str>,
    /// Part of the replica identity.
    pub key: bool,
    /// `pg_attribute.atttypid`.
    pub type_oid: Oid,
    /// `pg_attribute.atttypmod`, -1 for none.
    pub type_modifier: i32,
    /// How its text becomes JSON.
    pub info: Arc<TypeInfo>,
}

/// The raw columns of one row, as the log carried them; read again each time they are needed.
#[derive(Clone, Debug)]
pub struct Row(pub Bytes);

impl Row {
    /// The columns in table order.
    #[must_use]
    pub fn columns(&self) -> Columns<'_> {
        Columns::over(&self.0)
    }
}

/// What the log tells of a row before its update or delete (PostgreSQL manual, `ALTER TABLE .. REPLICA
/// IDENTITY`).
#[derive(Clone, Debug)]
pub enum OldRow {
    /// The whole row: `REPLICA IDENTITY FULL`.
    Full(Row),
    /// Only the identity's columns mean anything; the others read as NULL without being so.
    Key(Row),
}

impl OldRow {
    /// The raw row behind either form.
    #[must_use]
    pub const fn row(&self) -> &Row {
        match self {
            Self::Full(row) | Self::Key(row) => row,
        }
    }

    /// Whether the value of `column` is really known from this old row.
    #[must_use]
    pub const fn knows(&self, column: &Column) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Key(_) => column.key,
        }
    }
}

/// What happened to a row, or to the whole table.
#[derive(Clone, Debug)]
pub enum Action {
    /// A new row.
    Insert {
        /// The row.
        new: Row,
    },
    /// A changed row.
    Update {
        /// Present under identity FULL, or when a key column changed.
        old: Option<OldRow>,
        /// The row as it is now; large unchanged values may be missing.
        new: Row,
    },
    /// A row that is gone.
    Delete {
        /// Its identity, or all of it.
        old: OldRow,
    },
    /// All rows are gone.
    Truncate,
}

impl Action {
    /// What its rows take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Insert { new } | Self::Update { old: None, new } => new.0.len(),
            Self::Update { old: Some(old), new } => old.row().0.len() + new.0.len(),
            Self::Delete { old } => old.row().0.len(),
            Self::Truncate => 0,
        }
    }
}

/// One row's insert, update or delete, or a truncate.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its identity and place in the total order.
    pub cursor: Cursor,
    /// The table, as it was then.
    pub relation: Arc<Relation>,
    /// What happened.
    pub action: Action,
}

/// A committed transaction, or a bounded piece of a huge one: pieces arrive in order and only the last
/// has an `end`. A message that was written outside of any transaction comes as one of its own.
#[derive(Debug)]
pub struct Transaction {
    /// The transaction id, 32 bits without its epoch; 0, which Postgres gives to none, for a message outside of any.
    pub xid: u32,
    /// Start of the commit record; for a message outside of any transaction, the LSN of its cursor.
    pub commit: Lsn,
    /// `commit_timestamp` as clients see it: ISO 8601 in UTC with microseconds. Empty where nothing was committed.
    pub commit_timestamp: Arc<str>,
    /// The changes of this piece.
    pub changes: Vec<Change>,
    /// The messages of this piece. How they lie among the changes is told by their cursors.
    pub messages: Vec<Message>,
    /// End of the commit record, or of the message, which is what gets acknowledged; `None` while more pieces follow.
    pub end: Option<Lsn>,
    /// Memory that the rows and messages of this piece hold, in bytes.
    pub bytes: usize,
}
