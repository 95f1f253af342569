//! From a change to the places of read-sets that it may touch, by look-ups.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::machine::QueryId;
use super::row::{Tuple, Unknown};
use super::touch::Sides;
use super::watching::Watching;
use crate::graphql::catalog::Oid;
use crate::graphql::read_set::Extent;

/// A place of a live query's read-set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) query: QueryId,
    /// Which of its watches.
    pub(super) watch: u16,
}

type Places = SmallVec<[Place; 1]>;

/// Places by values of the same columns.
type ByColumns = HashMap<Vec<String>, HashMap<Arc<str>, Places>>;

/// All places, by table.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    tables: HashMap<Oid, Table>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    /// Rows that were read, by their primary key.
    rows: ByColumns,
    /// Sets whose rows have certain values.
    bound: ByColumns,
    /// Sets of any rows.
    broad: Vec<Place>,
    /// Bound sets in which rows that are not listed have a say.
    unlisted: Vec<Place>,
    /// Every place, for a truncate.
    count: usize,
}

impl Index {
    /// Places at a table: nothing needs to be asked where there are none.
    pub(super) fn has(&self, table: Oid) -> bool {
        self.tables.contains_key(&table)
    }

    pub(super) fn add(&mut self, place: Place, watching: &Watching) {
        let table = self.tables.entry(watching.table).or_default();
        table.count += 1;
        if !watching.rows.is_empty() {
            let by = table.rows.entry(watching.key.clone()).or_default();
            for row in &watching.rows {
                by.entry(Arc::clone(row)).or_default().push(place);
            }
        }
        if watching.closed && !watching.key.is_empty() {
            return;
        }
        match &watching.bound {
            Some((columns, values)) if !watching.closed => {
                let by = table.bound.entry(columns.clone()).or_default();
                for value in values {
                    by.entry(Arc::clone(value)).or_default().push(place);
                }
                if watching.extent != Extent::Whole || watching.key.is_empty() {
                    table.unlisted.push(place);
                }
            }
            _ => table.broad.push(place),
        }
    }

    pub(super) fn remove(&mut self, place: Place, watching: &Watching) {
        let Some(table) = self.tables.get_mut(&watching.table) else { return };
        take(&mut table.rows, &watching.key, watching.rows.iter(), place);
        if let Some((columns, values)) = &watching.bound {
            take(&mut table.bound, columns, values.iter(), place);
        }
        table.broad.retain(|other| *other != place);
        table.unlisted.retain(|other| *other != place);
        table.count -= 1;
        if table.count == 0 {
            self.tables.remove(&watching.table);
        }
    }

    /// Appends the places that a change of this table may touch, each once.
    pub(super) fn candidates(&self, table: Oid, sides: &Sides<'_>, out: &mut Vec<Place>) {
        let Some(table) = self.tables.get(&table) else { return };
        let start = out.len();
        if sides.truncate {
            for by in table.rows.values().chain(table.bound.values()) {
                out.extend(by.values().flatten());
            }
            out.extend(&table.broad);
        } else {
            out.extend(&table.broad);
            if let Some(before) = &sides.before {
                look_up(&table.rows, before, out);
                // Where it belonged is told by the values of before, if the log has them.
                if table.bound.keys().all(|columns| before.place(columns).is_ok()) {
                    look_up(&table.bound, before, out);
                } else {
                    out.extend(&table.unlisted);
                }
            }
            if let Some(after) = &sides.after {
                look_up(&table.bound, after, out);
            }
        }
        if let Some(found) = out.get_mut(start..) {
            found.sort_unstable();
        }
        out.dedup();
    }

    /// Places of rows with this primary key.
    pub(super) fn of_row(&self, table: Oid, key: &[String], place: &str) -> impl Iterator<Item = Place> {
        let by = self.tables.get(&table).and_then(|table| table.rows.get(key));
        by.and_then(|by| by.get(place)).into_iter().flatten().copied()
    }
}

fn look_up(by_columns: &ByColumns, row: &Tuple<'_>, out: &mut Vec<Place>) {
    for (columns, by) in by_columns {
        match row.place(columns) {
            Ok(Some(place)) => out.extend(by.get(place.as_str()).into_iter().flatten()),
            Ok(None) => {}
            // It may be any of them.
            Err(Unknown) => out.extend(by.values().flatten()),
        }
    }
}

fn take<'a>(
    by_columns: &mut ByColumns,
    columns: &[String],
    values: impl Iterator<Item = &'a Arc<str>>,
    place: Place,
) {
    let Some(by) = by_columns.get_mut(columns) else { return };
    for value in values {
        if let Some(places) = by.get_mut(value) {
            places.retain(|other| *other != place);
            if places.is_empty() {
                by.remove(value);
            }
        }
    }
    if by.is_empty() {
        by_columns.remove(columns);
    }
}
