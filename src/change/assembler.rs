//! Messages in stream order to transactions: the relation cache, cursors, and bounded pieces.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::types::{TypeInfo, builtin};
use super::wire::commit_timestamp;
use super::{Action, Change, Column, OldRow, Relation, Row, Transaction};
use crate::lsn::{Cursor, Lsn};
use crate::pgoutput::{Message, Oid, OldTuple, RelationMessage, Tuple};

/// A piece is handed on once its rows hold this many bytes, so that a transaction of any size passes
/// through bounded memory.
const PIECE_BYTES: usize = 256 * 1024;

/// What a change costs beyond its tuples, so that many tiny rows are bounded as well.
const CHANGE_BYTES: usize = 128;

/// A stream that contradicts itself; nothing of the message was applied.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AssemblyError {
    /// Row data for a relation that was never described.
    #[error("a row of relation {oid} came before the relation was described")]
    UnknownRelation {
        /// `pg_class.oid`.
        oid: Oid,
    },
    /// A row whose number of columns is not its relation's.
    #[error("a row of {table} has {have} columns where the relation has {need}")]
    ColumnCount {
        /// Qualified table name.
        table: String,
        /// Columns of the relation.
        need: usize,
        /// Columns of the row.
        have: usize,
    },
    /// Row data or a commit outside of a transaction.
    #[error("{what} outside of a transaction")]
    OutsideTransaction {
        /// The kind of message.
        what: &'static str,
    },
    /// A begin before the commit of the one before.
    #[error("a transaction began inside of another")]
    NestedBegin,
}

/// Turns the messages of one replication session into transactions.
///
/// A new session begins with a new assembler that is told the last cursor handed over before
/// ([`Assembler::after`]): everything up to it comes again and is dropped here.
#[derive(Debug)]
pub struct Assembler {
    relations: HashMap<Oid, Arc<Relation>>,
    types: HashMap<Oid, KnownType>,
    open: Option<Open>,
    after: Cursor,
}

#[derive(Debug)]
struct KnownType {
    info: Arc<TypeInfo>,
    /// When the catalog said so: microseconds since 2000-01-01 UTC, by the server's clock.
    at: i64,
}

#[derive(Debug)]
struct Open {
    transaction: Transaction,
    /// Microseconds since 2000-01-01 UTC.
    commit_time: i64,
    last: Cursor,
}

impl Assembler {
    /// An assembler that drops every change at or before `after`.
    #[must_use]
    pub fn after(after: Cursor) -> Self {
        Self { relations: HashMap::new(), types: HashMap::new(), open: None, after }
    }

    /// Whether a transaction has begun and not yet ended.
    #[must_use]
    pub const fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// The types of `relation` that only the catalog can explain.
    #[must_use]
    pub fn catalog_types(relation: &RelationMessage<'_>) -> Vec<Oid> {
        let mut oids: Vec<Oid> = relation
            .columns
            .iter()
            .map(|column| column.type_oid)
            .filter(|oid| builtin(*oid).is_none())
            .collect();
        oids.sort_unstable();
        oids.dedup();
        oids
    }

    /// Whether `oid` has been taught before.
    #[must_use]
    pub fn knows_type(&self, oid: Oid) -> bool {
        self.types.contains_key(&oid)
    }

    /// The types that a row needs and that may have been altered since they were learnt: those with composites
    /// in them, if the row's transaction committed later than that.
    #[must_use]
    pub fn outdated_types(&self, message: &Message<'_>) -> Vec<Oid> {
        let (Message::Insert { relation, .. }
        | Message::Update { relation, .. }
        | Message::Delete { relation, .. }) = message
        else {
            return Vec::new();
        };
        let (Some(relation), Some(open)) = (self.relations.get(relation), &self.open) else {
            return Vec::new();
        };
        let current = |oid| self.types.get(oid).is_some_and(|known| known.at > open.commit_time);
        if relation.row_types.iter().all(current) { Vec::new() } else { relation.row_types.to_vec() }
    }

    /// Teaches types of the catalog as they were at `at` (microseconds since 2000-01-01 UTC, by the server's
    /// clock). Relations that use them are told by them from now on.
    pub fn learn_types(&mut self, types: HashMap<Oid, Arc<TypeInfo>>, at: i64) {
        let mut altered = false;
        for (oid, info) in types {
            let before = self.types.insert(oid, KnownType { info: Arc::clone(&info), at });
            altered |= before.is_some_and(|before| before.info != info);
        }
        if !altered {
            return;
        }
        for relation in self.relations.values_mut() {
            let now = |column: &Column| self.types.get(&column.type_oid).map(|known| &known.info);
            if relation.columns.iter().any(|column| now(column).is_some_and(|info| *info != column.info)) {
                let columns = relation.columns.iter().map(|column| Column {
                    info: Arc::clone(now(column).unwrap_or(&column.info)),
                    name: column.name.clone(),
                    ..*column
                });
                let (schema, table) = (relation.schema.clone(), relation.table.clone());
                let identity = relation.identity;
                *relation = Arc::new(Relation::new(relation.oid, schema, table, identity, columns.collect()));
            }
        }
    }

    /// Applies one message. `data` is the buffer that `message` was decoded from, and `wal_start` the
    /// position of its `XLogData`. Returns a piece of the transaction when one is complete.
    ///
    /// # Errors
    /// When the stream contradicts itself; that is a bug here or in the server.
    pub fn apply(
        &mut self,
        wal_start: Lsn,
        data: &Bytes,
        message: &Message<'_>,
    ) -> Result<Option<Transaction>, AssemblyError> {
        match message {
            Message::Begin { final_lsn, commit_time, xid } => {
                self.begin(*final_lsn, *commit_time, *xid).map(|()| None)
            }
            Message::Commit { end_lsn, .. } => self.commit(*end_lsn).map(Some),
            Message::Relation(relation) => {
                let relation = Arc::new(self.describe(relation));
                self.relations.insert(relation.oid, relation);
                Ok(None)
            }
            Message::Insert { relation, new } => {
                let relation = self.relation(*relation)?;
                let new = row(&relation, data, *new)?;
                self.push(wal_start, relation, new.0.len(), Action::Insert { new })?;
                Ok(self.full_piece())
            }
            Message::Update { relation, old, new } => {
                let relation = self.relation(*relation)?;
                let old = old.map(|old| old_row(&relation, data, old)).transpose()?;
                let new = row(&relation, data, *new)?;
                let bytes = new.0.len() + old.as_ref().map_or(0, |old| old.row().0.len());
                self.push(wal_start, relation, bytes, Action::Update { old, new })?;
                Ok(self.full_piece())
            }
            Message::Delete { relation, old } => {
                let relation = self.relation(*relation)?;
                let old = old_row(&relation, data, *old)?;
                self.push(wal_start, relation, old.row().0.len(), Action::Delete { old })?;
                Ok(self.full_piece())
            }
            Message::Truncate { relations, .. } => {
                let relations: Vec<_> =
                    relations.iter().map(|oid| self.relation(*oid)).collect::<Result<_, _>>()?;
                for relation in relations {
                    self.push(wal_start, relation, 0, Action::Truncate)?;
                }
                Ok(self.full_piece())
            }
            // Types are explained by the catalog; origins and logical messages change no table.
            Message::Type { .. } | Message::Origin { .. } | Message::Logical { .. } => Ok(None),
        }
    }

    fn begin(&mut self, commit: Lsn, commit_time: i64, xid: u32) -> Result<(), AssemblyError> {
        if self.open.is_some() {
            return Err(AssemblyError::NestedBegin);
        }
        let transaction = Transaction {
            xid,
            commit,
            commit_timestamp: commit_timestamp(commit_time),
            changes: Vec::new(),
            end: None,
            bytes: 0,
        };
        self.open = Some(Open { transaction, commit_time, last: Cursor::before(commit) });
        Ok(())
    }

    fn commit(&mut self, end: Lsn) -> Result<Transaction, AssemblyError> {
        let open = self.open.take().ok_or(AssemblyError::OutsideTransaction { what: "a commit" })?;
        Ok(Transaction { end: Some(end), ..open.transaction })
    }

    fn relation(&self, oid: Oid) -> Result<Arc<Relation>, AssemblyError> {
        self.relations.get(&oid).cloned().ok_or(AssemblyError::UnknownRelation { oid })
    }

    fn describe(&self, message: &RelationMessage<'_>) -> Relation {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned().into_boxed_str();
        let columns: Vec<Column> = message
            .columns
            .iter()
            .map(|column| Column {
                name: text(column.name),
                key: column.key,
                type_oid: column.type_oid,
                type_modifier: column.type_modifier,
                info: builtin(column.type_oid)
                    .or_else(|| self.types.get(&column.type_oid).map(|known| Arc::clone(&known.info)))
                    .unwrap_or_else(|| TypeInfo::text("unknown")),
            })
            .collect();
        // pg_catalog is written as an empty name (PostgreSQL manual, 55.9 Logical Replication Message Formats).
        let schema = if message.schema.is_empty() { "pg_catalog".into() } else { text(message.schema) };
        Relation::new(message.oid, schema, text(message.table), message.identity, columns)
    }

    fn push(
        &mut self,
        wal_start: Lsn,
        relation: Arc<Relation>,
        bytes: usize,
        action: Action,
    ) -> Result<(), AssemblyError> {
        let open = self.open.as_mut().ok_or(AssemblyError::OutsideTransaction { what: "a row" })?;
        // Counted before anything is dropped: the index must come out the same at every decoding.
        let index = if open.last.change == wal_start { open.last.index.saturating_add(1) } else { 0 };
        let cursor = Cursor { commit: open.transaction.commit, change: wal_start, index };
        open.last = cursor;
        if cursor > self.after {
            open.transaction.changes.push(Change { cursor, relation, action });
            open.transaction.bytes += bytes + CHANGE_BYTES;
        }
        Ok(())
    }

    /// What has been gathered of the open transaction, once it is worth handing on.
    fn full_piece(&mut self) -> Option<Transaction> {
        let transaction = &mut self.open.as_mut()?.transaction;
        (transaction.bytes >= PIECE_BYTES).then(|| Transaction {
            xid: transaction.xid,
            commit: transaction.commit,
            commit_timestamp: Arc::clone(&transaction.commit_timestamp),
            changes: std::mem::take(&mut transaction.changes),
            end: None,
            bytes: std::mem::take(&mut transaction.bytes),
        })
    }
}

fn row(relation: &Relation, data: &Bytes, tuple: Tuple<'_>) -> Result<Row, AssemblyError> {
    let have = usize::from(tuple.columns());
    let need = relation.columns.len();
    if have == need {
        return Ok(Row(data.slice_ref(tuple.bytes())));
    }
    Err(AssemblyError::ColumnCount { table: format!("{}.{}", relation.schema, relation.table), need, have })
}

fn old_row(relation: &Relation, data: &Bytes, old: OldTuple<'_>) -> Result<OldRow, AssemblyError> {
    Ok(match old {
        OldTuple::Full(tuple) => OldRow::Full(row(relation, data, tuple)?),
        OldTuple::Key(tuple) => OldRow::Key(row(relation, data, tuple)?),
    })
}
