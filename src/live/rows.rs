//! Rows as the log last told them.
//!
//! Without `REPLICA IDENTITY FULL` an update does not say what the row was. But where the row was written before, it was
//! what was written then; with it, an update of a column that nobody asked for is told from one that matters.

use std::collections::HashMap;

use crate::change::{Action, Change, OldRow, Relation, Row};
use crate::graphql::catalog::Oid;

/// Bytes of rows that are remembered; beyond it all are forgotten, which costs some needless runs.
const BYTES: usize = 4 * 1024 * 1024;

/// What one row costs beside its bytes.
const ROW_BYTES: usize = 160;

/// The last known rows of tables whose every change is told here.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    tables: HashMap<Oid, Table>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Table {
    /// How the relation was described when the rows were told; another description tells of DDL.
    columns: Vec<(Box<str>, Oid)>,
    rows: HashMap<Vec<u8>, Row>,
}

impl Rows {
    /// What the row of an update or delete was, where the change itself does not say. The change is remembered.
    pub(super) fn before(&mut self, change: &Change) -> Option<Row> {
        let relation = &change.relation;
        match &change.action {
            Action::Update { old: Some(OldRow::Full(_)), .. } | Action::Delete { old: OldRow::Full(_) } => {
                None
            }
            Action::Insert { new } => self.remember(change, None, new),
            Action::Update { old, new } => {
                let old = old.as_ref().map(OldRow::row);
                self.remember(change, Some(old.unwrap_or(new)), new)
            }
            Action::Delete { old } => {
                let key = identity(change, old.row())?;
                let known = self.tables.get_mut(&relation.oid)?.rows.remove(&key)?;
                self.bytes -= known.0.len() + ROW_BYTES;
                Some(known)
            }
            Action::Truncate => {
                self.forget(relation.oid);
                None
            }
        }
    }

    /// Forgets a table, of which changes will come that are not told here.
    pub(super) fn forget(&mut self, table: Oid) {
        if let Some(table) = self.tables.remove(&table) {
            self.bytes -= table.rows.values().map(|row| row.0.len() + ROW_BYTES).sum::<usize>();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn remember(&mut self, change: &Change, old: Option<&Row>, new: &Row) -> Option<Row> {
        let relation = &change.relation;
        if self.tables.get(&relation.oid).is_some_and(|table| !table.is_of(relation)) {
            self.forget(relation.oid);
        }
        if self.bytes > BYTES {
            self.clear();
        }
        let table = self.tables.entry(relation.oid).or_insert_with(|| Table {
            columns: relation.columns.iter().map(|column| (column.name.clone(), column.type_oid)).collect(),
            rows: HashMap::new(),
        });
        let before = old.and_then(|old| table.rows.remove(&identity(change, old)?));
        self.bytes -= before.as_ref().map_or(0, |row| row.0.len() + ROW_BYTES);
        if let Some(key) = identity(change, new) {
            // A slice would keep the message that it is of.
            let row = Row(bytes::Bytes::copy_from_slice(&new.0));
            self.bytes += row.0.len() + ROW_BYTES;
            if let Some(replaced) = table.rows.insert(key, row) {
                self.bytes -= replaced.0.len() + ROW_BYTES;
            }
        }
        before
    }
}

impl Table {
    fn is_of(&self, relation: &Relation) -> bool {
        let columns = relation.columns.iter().map(|column| (&*column.name, column.type_oid));
        columns.eq(self.columns.iter().map(|(name, kind)| (&**name, *kind)))
    }
}

/// The bytes of the identity's columns; `None` where there are none, or one is not there.
fn identity(change: &Change, row: &Row) -> Option<Vec<u8>> {
    use crate::pgoutput::Column;
    let mut key = Vec::new();
    let columns = &change.relation.columns;
    if columns.iter().all(|column| !column.key) {
        return None;
    }
    for (column, value) in columns.iter().zip(row.columns()) {
        match value {
            _ if !column.key => {}
            Column::Text(text) => {
                key.extend(text.len().to_be_bytes());
                key.extend(text);
            }
            _ => return None,
        }
    }
    Some(key)
}
