//! Changes by table and kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::change::{Action, Change, Relation};

/// Tables that are counted apart; those that come after them are counted together.
pub const TABLES: usize = 200;

/// Schema and table; two empty names stand for all that are not counted apart.
type Table = (Box<str>, Box<str>);

/// Inserts, updates, deletes, truncates.
type Kinds = [u64; 4];

/// The kinds of a change, as labels.
const KINDS: [&str; 4] = ["insert", "update", "delete", "truncate"];

/// Counts by table and kind.
#[derive(Debug)]
pub struct Changes(Mutex<BTreeMap<Table, Kinds>>);

impl Changes {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Table, Kinds>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the changes of a transaction. A table is looked up once for as many as follow each other.
    pub fn count(&self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let mut tables = self.lock();
        for row in changes.chunk_by(|one, next| Arc::ptr_eq(&one.relation, &next.relation)) {
            let Some(first) = row.first() else { continue };
            let name = name(&tables, &first.relation);
            let kinds = tables.entry(name).or_default();
            for change in row {
                let [insert, update, delete, truncate] = kinds;
                *match change.action {
                    Action::Insert { .. } => insert,
                    Action::Update { .. } => update,
                    Action::Delete { .. } => delete,
                    Action::Truncate => truncate,
                } += 1;
            }
        }
    }

    /// Schema, table, kind and count of each kind that was seen, and of whatever is `other` at the end.
    #[must_use]
    pub fn get(&self) -> Vec<(Box<str>, Box<str>, &'static str, u64)> {
        let tables = self.lock();
        let each = tables.iter().flat_map(|((schema, table), kinds)| {
            let table = if schema.is_empty() { "other".into() } else { table.clone() };
            let seen = KINDS.iter().zip(kinds).filter(|(_, count)| **count > 0);
            seen.map(move |(kind, count)| (schema.clone(), table.clone(), *kind, *count))
        });
        each.collect()
    }
}

/// What the table is counted as.
fn name(tables: &BTreeMap<Table, Kinds>, relation: &Relation) -> Table {
    let name = (relation.schema.clone(), relation.table.clone());
    if tables.len() < TABLES || tables.contains_key(&name) { name } else { Table::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsn::Cursor;
    use crate::pgoutput::ReplicaIdentity;

    fn truncate(table: &str) -> Change {
        let relation = Relation::new(1, "public".into(), table.into(), ReplicaIdentity::Default, Vec::new());
        Change { cursor: Cursor::default(), relation: Arc::new(relation), action: Action::Truncate }
    }

    #[test]
    fn tables_beyond_the_bound_are_counted_together() {
        let changes = Changes::new();
        for number in 0..TABLES + 3 {
            changes.count(&[truncate(&number.to_string())]);
        }
        // Those that are known are counted apart still.
        changes.count(&[truncate("0"), truncate("new")]);
        let counts = changes.get();
        assert_eq!(counts.len(), TABLES + 1);
        let of = |name: &str| counts.iter().find(|(_, table, ..)| &**table == name).map(|count| count.3);
        assert_eq!((of("0"), of("1"), of("other"), of("new")), (Some(2), Some(1), Some(4), None));
    }
}
