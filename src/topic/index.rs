//! From a change to the topics that match it, by look-ups: the cost depends neither on how many subscribers
//! there are, nor on filters that the change is far from.
//!
//! Equal filters are kept once. Each stands where the values of its rows lead to it ([`access`]): under the
//! key that a column must have, in the tree of the ranges that a column may be in, or, when nothing of it
//! can be looked up, among the rest. What a change leads to is then decided by [`Filtered::tells`].

mod access;
mod intervals;

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;
use smallvec::SmallVec;

use super::condition::Known;
pub use super::pattern::Pattern;
use super::pattern::{Filtered, Rows, Values};
use crate::change::Change;
use crate::change::compare::{Key, Kind};
use crate::change::wire::Telling;
use access::{Access, Wanted};
use intervals::Intervals;

/// A topic that somebody joined, as a small number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u32);

/// A topic that a change matches, and how the change is told to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The topic.
    pub topic: TopicId,
    /// As itself, or as having left the topic's filter.
    pub telling: Telling,
}

/// All topics that have members. Several topics may share one pattern, since a name can be spelled with
/// and without escapes.
#[derive(Debug, Default)]
pub struct Index {
    all: Vec<TopicId>,
    schemas: HashMap<Box<str>, SchemaEntry>,
    /// How many distinct filters there are.
    filters: usize,
}

#[derive(Debug, Default)]
struct SchemaEntry {
    topics: Vec<TopicId>,
    tables: HashMap<Box<str>, TableEntry>,
}

#[derive(Debug, Default)]
struct TableEntry {
    /// Those without a filter.
    topics: Vec<TopicId>,
    filters: Slab<FilterEntry>,
    places: HashMap<Arc<Filtered>, FilterId>,
    columns: Vec<ColumnEntry>,
    /// Filters that no look-up leads to.
    rest: Vec<FilterId>,
}

/// One filter with all topics that ask for it.
#[derive(Debug)]
struct FilterEntry {
    filtered: Arc<Filtered>,
    topics: Vec<TopicId>,
}

/// A filter's place in its table.
type FilterId = usize;

/// What a change may concern; one filter may come several times.
type Candidates = SmallVec<[FilterId; 32]>;

/// The filters that the value of one column leads to. A column whose type was changed while filters lived
/// is there once for each kind of value.
#[derive(Debug)]
struct ColumnEntry {
    name: Box<str>,
    kind: Kind,
    equal: HashMap<Key, Vec<FilterId>>,
    ranges: Intervals<FilterId>,
}

impl Index {
    /// Adds a topic.
    pub fn insert(&mut self, pattern: &Pattern, topic: TopicId) {
        match pattern {
            Pattern::All => self.all.push(topic),
            Pattern::Schema(schema) => {
                self.schemas.entry(schema.clone()).or_default().topics.push(topic);
            }
            Pattern::Table(schema, table) => self.table_mut(schema, table).topics.push(topic),
            Pattern::Filtered(filtered) => {
                let entry = self.table_mut(&filtered.schema, &filtered.table);
                let before = entry.filters.len();
                entry.insert(filtered, topic);
                self.filters += entry.filters.len() - before;
            }
        }
    }

    /// How many distinct filters topics have: those that mean the same are one, however they are spelled.
    #[must_use]
    pub const fn filters(&self) -> usize {
        self.filters
    }

    fn table_mut(&mut self, schema: &str, table: &str) -> &mut TableEntry {
        self.schemas.entry(schema.into()).or_default().tables.entry(table.into()).or_default()
    }

    /// Removes a topic, and whatever it alone kept.
    pub fn remove(&mut self, pattern: &Pattern, topic: TopicId) {
        let (schema, table) = match pattern {
            Pattern::All => return forget(&mut self.all, &topic),
            Pattern::Schema(schema) => (schema, None),
            Pattern::Table(schema, table) => (schema, Some(table)),
            Pattern::Filtered(filtered) => (&filtered.schema, Some(&filtered.table)),
        };
        let Some(schema_entry) = self.schemas.get_mut(schema) else { return };
        match table {
            None => forget(&mut schema_entry.topics, &topic),
            Some(table) => {
                let Some(entry) = schema_entry.tables.get_mut(table) else { return };
                let before = entry.filters.len();
                match pattern {
                    Pattern::Filtered(filtered) => entry.remove(filtered, topic),
                    _ => forget(&mut entry.topics, &topic),
                }
                self.filters -= before - entry.filters.len();
                if entry.topics.is_empty() && entry.filters.is_empty() {
                    schema_entry.tables.remove(table);
                }
            }
        }
        if schema_entry.topics.is_empty() && schema_entry.tables.is_empty() {
            self.schemas.remove(schema);
        }
    }

    /// Appends the topics that `change` matches, each once.
    pub fn matches(&self, change: &Change, hits: &mut Vec<Hit>) {
        let plain = |topic: &TopicId| Hit { topic: *topic, telling: Telling::Plain };
        hits.extend(self.all.iter().map(plain));
        let Some(schema) = self.schemas.get(&change.relation.schema) else { return };
        hits.extend(schema.topics.iter().map(plain));
        let Some(table) = schema.tables.get(&change.relation.table) else { return };
        hits.extend(table.topics.iter().map(plain));
        if !table.filters.is_empty() {
            table.matches(change, hits);
        }
    }
}

fn forget<T: PartialEq>(all: &mut Vec<T>, one: &T) {
    all.retain(|known| known != one);
}

impl TableEntry {
    fn insert(&mut self, filtered: &Arc<Filtered>, topic: TopicId) {
        if let Some(entry) = self.places.get(filtered).and_then(|place| self.filters.get_mut(*place)) {
            entry.topics.push(topic);
            return;
        }
        let filter = self.filters.insert(FilterEntry { filtered: Arc::clone(filtered), topics: vec![topic] });
        self.places.insert(Arc::clone(filtered), filter);
        let Some(accesses) = access::of(&filtered.condition) else {
            self.rest.push(filter);
            return;
        };
        for access in accesses {
            let Some(entry) = self.column_mut(filtered, &access) else { continue };
            match access.wanted {
                Wanted::Key(key) => entry.equal.entry(key.clone()).or_default().push(filter),
                Wanted::Range(range) => entry.ranges.insert(range, filter),
            }
        }
    }

    fn column_mut(&mut self, filtered: &Filtered, access: &Access<'_>) -> Option<&mut ColumnEntry> {
        let name = &filtered.columns.get(access.column)?.name;
        let known = |entry: &ColumnEntry| entry.name == *name && entry.kind == *access.kind;
        let place = self.columns.iter().position(known).unwrap_or_else(|| {
            let (name, kind) = (name.clone(), access.kind.clone());
            self.columns.push(ColumnEntry {
                name,
                kind,
                equal: HashMap::new(),
                ranges: Intervals::default(),
            });
            self.columns.len() - 1
        });
        self.columns.get_mut(place)
    }

    fn remove(&mut self, filtered: &Arc<Filtered>, topic: TopicId) {
        let Some(filter) = self.places.get(filtered).copied() else { return };
        let Some(entry) = self.filters.get_mut(filter) else { return };
        forget(&mut entry.topics, &topic);
        if !entry.topics.is_empty() {
            return;
        }
        self.filters.remove(filter);
        self.places.remove(filtered);
        let Some(accesses) = access::of(&filtered.condition) else {
            forget(&mut self.rest, &filter);
            return;
        };
        for access in accesses {
            let Some(entry) = self.column_mut(filtered, &access) else { continue };
            match access.wanted {
                Wanted::Key(key) => {
                    if let Some(filters) = entry.equal.get_mut(key) {
                        forget(filters, &filter);
                        if filters.is_empty() {
                            entry.equal.remove(key);
                        }
                    }
                }
                Wanted::Range(range) => entry.ranges.remove(&range, &filter),
            }
        }
        self.columns.retain(|entry| !entry.equal.is_empty() || !entry.ranges.is_empty());
    }

    fn matches(&self, change: &Change, hits: &mut Vec<Hit>) {
        let rows = Rows::of(change);
        let mut candidates = Candidates::new();
        if rows.before.is_none() && rows.after.is_none() {
            candidates.extend(self.filters.iter().map(|(filter, _)| filter));
        } else {
            for column in &self.columns {
                if let Some(place) = rows.place(&column.name) {
                    column.concerned(&rows, place, &mut candidates);
                }
            }
            candidates.extend_from_slice(&self.rest);
            candidates.sort_unstable();
            candidates.dedup();
        }
        for entry in candidates.iter().filter_map(|filter| self.filters.get(*filter)) {
            if let Some(telling) = entry.filtered.tells(&rows) {
                hits.extend(entry.topics.iter().map(|topic| Hit { topic: *topic, telling }));
            }
        }
    }
}

impl ColumnEntry {
    /// Appends what may be told a change of a row, by its value of this column.
    fn concerned(&self, rows: &Rows<'_>, place: usize, candidates: &mut Candidates) {
        let after = value(rows.after.as_ref(), place);
        match after {
            Some(Known::Value(text)) => match self.kind.key(text) {
                Some(key) => self.at(&key, candidates),
                None => self.everyone(candidates),
            },
            // May be any of them.
            Some(Known::Unknown) => self.everyone(candidates),
            Some(Known::Null) | None => {}
        }
        // Of the row before only what is sure counts.
        if let Some(Known::Value(text)) =
            value(rows.before.as_ref(), place).filter(|before| Some(*before) != after)
            && let Some(key) = self.kind.key(text)
        {
            self.at(&key, candidates);
        }
    }

    fn at(&self, key: &Key, candidates: &mut Candidates) {
        candidates.extend(self.equal.get(key).into_iter().flatten().copied());
        self.ranges.containing(key, &mut |filter| candidates.push(*filter));
    }

    fn everyone(&self, candidates: &mut Candidates) {
        candidates.extend(self.equal.values().flatten().copied());
        self.ranges.all(&mut |filter| candidates.push(*filter));
    }
}

fn value<'a>(row: Option<&Values<'a>>, place: usize) -> Option<Known<'a>> {
    row?.get(place).copied()
}

#[cfg(test)]
mod tests;
