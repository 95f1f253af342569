//! Messages in stream order to transactions: the relation cache, cursors, and bounded pieces.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::message::{self, Content};
use super::types::{TypeInfo, builtin};
use super::wire::commit_timestamp;
use super::{Action, Change, Column, OldRow, Relation, Row, Transaction};
use crate::lsn::{Cursor, Lsn};
use crate::pgoutput::{Message, Oid, OldTuple, RelationMessage, Tuple};

/// A piece is handed on once its rows and messages hold this many bytes, so that a transaction of any size passes
/// through bounded memory.
const PIECE_BYTES: usize = 256 * 1024;

/// What a change or message costs beyond its bytes, so that many tiny ones are bounded as well.
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

/// How far a stream was handed over. Changes and messages are counted apart: each of them come in the order of their
/// cursors, but a message of a subtransaction may come behind a row that lies behind it in the log, if nothing lies
/// between the two (`ReorderBufferIterTXNNext` of Postgres merges subtransactions by LSN, and takes the end of a
/// message for its own).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The last change.
    pub change: Cursor,
    /// The last message.
    pub message: Cursor,
}

impl Passed {
    /// A piece was handed over.
    pub fn pass(&mut self, piece: &Transaction) {
        self.change = piece.changes.last().map_or(self.change, |change| change.cursor);
        self.message = piece.messages.last().map_or(self.message, |message| message.cursor);
    }
}

/// Turns the messages of one replication session into transactions.
///
/// A new session begins with a new assembler that is told what was handed over before ([`Assembler::after`]):
/// everything up to there comes again and is dropped here.
#[derive(Debug)]
pub struct Assembler {
    relations: HashMap<Oid, Arc<Relation>>,
    types: HashMap<Oid, KnownType>,
    open: Option<Open>,
    after: Passed,
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
    /// An assembler that drops everything at or before `after`.
    #[must_use]
    pub fn after(after: Passed) -> Self {
        Self { relations: HashMap::new(), types: HashMap::new(), open: None, after }
    }

    /// Whether a transaction has begun and not yet ended.
    #[must_use]
    pub const fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// The transaction that is open.
    #[must_use]
    pub fn xid(&self) -> Option<u32> {
        self.open.as_ref().map(|open| open.transaction.xid)
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
                self.push(wal_start, relation, Action::Insert { new })?;
                Ok(self.full_piece())
            }
            Message::Update { relation, old, new } => {
                let relation = self.relation(*relation)?;
                let old = old.map(|old| old_row(&relation, data, old)).transpose()?;
                let new = row(&relation, data, *new)?;
                self.push(wal_start, relation, Action::Update { old, new })?;
                Ok(self.full_piece())
            }
            Message::Delete { relation, old } => {
                let relation = self.relation(*relation)?;
                let old = old_row(&relation, data, *old)?;
                self.push(wal_start, relation, Action::Delete { old })?;
                Ok(self.full_piece())
            }
            Message::Truncate { relations, .. } => {
                let relations: Vec<_> =
                    relations.iter().map(|oid| self.relation(*oid)).collect::<Result<_, _>>()?;
                for relation in relations {
                    self.push(wal_start, relation, Action::Truncate)?;
                }
                Ok(self.full_piece())
            }
            Message::Logical { transactional, lsn, prefix, content } => {
                let content = data.slice_ref(content);
                match Content::read(prefix, &content) {
                    Some(Ok(read)) => self.message(*transactional, *lsn, read, content.len()),
                    // What nobody can act upon is left to whoever can tell of it.
                    Some(Err(_)) | None => Ok(None),
                }
            }
            // Types are explained by the catalog; origins change no table.
            Message::Type { .. } | Message::Origin { .. } => Ok(None),
        }
    }

    /// Applies a message of ours that ends at `lsn` and holds `bytes` bytes. Returns a piece when one is complete; what
    /// was written outside of a transaction is a piece of its own.
    ///
    /// # Errors
    /// When it belongs to a transaction and none has begun.
    pub fn message(
        &mut self,
        transactional: bool,
        lsn: Lsn,
        content: Content,
        bytes: usize,
    ) -> Result<Option<Transaction>, AssemblyError> {
        let (own, bytes) = (Lsn(lsn.0.saturating_sub(1)), bytes + CHANGE_BYTES);
        if transactional {
            let what = "a message";
            let open = self.open.as_mut().ok_or(AssemblyError::OutsideTransaction { what })?;
            let cursor = Cursor { commit: open.transaction.commit, change: own, index: 0 };
            if cursor > self.after.message {
                open.transaction.messages.push(message::Message { cursor, content });
                open.transaction.bytes += bytes;
            }
            return Ok(self.full_piece());
        }
        let cursor = Cursor { commit: own, change: own, index: 0 };
        Ok((cursor > self.after.message).then(|| Transaction {
            xid: 0,
            commit: own,
            commit_timestamp: "".into(),
            changes: Vec::new(),
            messages: vec![message::Message { cursor, content }],
            end: Some(lsn),
            bytes,
        }))
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
            messages: Vec::new(),
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

    fn push(&mut self, wal_start: Lsn, relation: Arc<Relation>, action: Action) -> Result<(), AssemblyError> {
        let open = self.open.as_mut().ok_or(AssemblyError::OutsideTransaction { what: "a row" })?;
        // Counted before anything is dropped: the index must come out the same at every decoding.
        let index = if open.last.change == wal_start { open.last.index.saturating_add(1) } else { 0 };
        let cursor = Cursor { commit: open.transaction.commit, change: wal_start, index };
        open.last = cursor;
        if cursor > self.after.change {
            open.transaction.bytes += action.bytes() + CHANGE_BYTES;
            open.transaction.changes.push(Change { cursor, relation, action });
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
            messages: std::mem::take(&mut transaction.messages),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::types::Attribute;
    use crate::pgoutput::{ColumnMessage, ReplicaIdentity, decode};

    const TABLE: Oid = 16_400;
    const PAIR: Oid = 16_401;
    const MOOD: Oid = 16_402;

    fn pair(attribute: &str) -> HashMap<Oid, Arc<TypeInfo>> {
        let attributes = vec![Attribute::new(attribute, TypeInfo::text("text"))];
        HashMap::from([
            (PAIR, TypeInfo::composite("pair", attributes)),
            (MOOD, TypeInfo::enumeration("mood")),
        ])
    }

    fn described() -> Assembler {
        let column = |name, type_oid| ColumnMessage { key: false, name, type_oid, type_modifier: -1 };
        let relation = RelationMessage {
            oid: TABLE,
            schema: b"public",
            table: b"t",
            identity: ReplicaIdentity::Full,
            columns: vec![column(b"p", PAIR), column(b"m", MOOD)],
        };
        let mut assembler = Assembler::after(Passed::default());
        assert_eq!(Assembler::catalog_types(&relation), [PAIR, MOOD]);
        assembler.learn_types(pair("a"), 100);
        assembler.apply(Lsn(1), &Bytes::new(), &Message::Relation(relation)).unwrap();
        assembler
    }

    /// An insert of two NULLs.
    fn insert() -> Bytes {
        let oid = TABLE.to_be_bytes();
        [&b"I"[..], &oid, b"N\0\x02nn"].concat().into()
    }

    #[test]
    fn types_with_rows_in_them_are_asked_again_for_what_committed_since() {
        let bytes = insert();
        let row = decode(&bytes).unwrap();
        for (commit_time, outdated) in [(99, &[][..]), (100, &[PAIR]), (101, &[PAIR])] {
            let mut assembler = described();
            assert!(assembler.outdated_types(&row).is_empty(), "no transaction has begun");
            let begin = Message::Begin { final_lsn: Lsn(9), commit_time, xid: 1 };
            assembler.apply(Lsn(2), &Bytes::new(), &begin).unwrap();
            assert_eq!(assembler.outdated_types(&row), outdated, "committed at {commit_time}");
            assembler.learn_types(pair("a"), 102);
            assert!(assembler.outdated_types(&row).is_empty(), "asked once for a transaction");
        }
    }

    #[test]
    fn rows_are_told_by_the_types_as_they_were_learnt_before_them() {
        let mut assembler = described();
        let begin = Message::Begin { final_lsn: Lsn(9), commit_time: 0, xid: 1 };
        assembler.apply(Lsn(2), &Bytes::new(), &begin).unwrap();
        let bytes = insert();
        for types in [pair("a"), pair("b"), HashMap::new()] {
            assembler.learn_types(types, 101);
            assembler.apply(Lsn(3), &bytes, &decode(&bytes).unwrap()).unwrap();
        }
        let end = Message::Commit { lsn: Lsn(9), end_lsn: Lsn(10), commit_time: 0 };
        let told = assembler.apply(Lsn(9), &Bytes::new(), &end).unwrap().unwrap();
        let types: Vec<_> = told.changes.iter().map(|change| &change.relation.columns[0].info).collect();
        let [a, b] = [pair("a"), pair("b")];
        // What the catalog no longer knows stays as it was known.
        assert_eq!(types, [&a[&PAIR], &b[&PAIR], &b[&PAIR]]);
    }
}
