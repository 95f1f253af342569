//! From a change to the topics that match it, by look-ups alone: the cost does not depend on how many
//! topics or subscribers there are.

use std::collections::HashMap;

use super::filter::equality_key;
pub use super::pattern::Pattern;
use super::pattern::{Known, known};
use crate::change::wire::Telling;
use crate::change::{Action, Change};

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
}

#[derive(Debug, Default)]
struct SchemaEntry {
    topics: Vec<TopicId>,
    tables: HashMap<Box<str>, TableEntry>,
}

#[derive(Debug, Default)]
struct TableEntry {
    topics: Vec<TopicId>,
    columns: HashMap<Box<str>, TopicsByKey>,
}

/// The topics of one column's filters, by the wanted value.
type TopicsByKey = HashMap<Box<[u8]>, Vec<TopicId>>;

impl SchemaEntry {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.tables.is_empty()
    }
}

impl TableEntry {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.columns.is_empty()
    }
}

impl Index {
    /// Adds a topic.
    pub fn insert(&mut self, pattern: &Pattern, topic: TopicId) {
        let topics = match pattern {
            Pattern::All => &mut self.all,
            Pattern::Schema(schema) => &mut self.schemas.entry(schema.clone()).or_default().topics,
            Pattern::Table(schema, table) => &mut self.table_mut(schema, table).topics,
            Pattern::Equals { schema, table, column, key } => {
                let keys = self.table_mut(schema, table).columns.entry(column.clone()).or_default();
                keys.entry(key.clone()).or_default()
            }
        };
        topics.push(topic);
    }

    fn table_mut(&mut self, schema: &str, table: &str) -> &mut TableEntry {
        self.schemas.entry(schema.into()).or_default().tables.entry(table.into()).or_default()
    }

    /// Removes a topic, and whatever it alone kept.
    pub fn remove(&mut self, pattern: &Pattern, topic: TopicId) {
        let forget = |topics: &mut Vec<TopicId>| topics.retain(|known| *known != topic);
        let (schema, table) = match pattern {
            Pattern::All => return forget(&mut self.all),
            Pattern::Schema(schema) => (schema, None),
            Pattern::Table(schema, table) | Pattern::Equals { schema, table, .. } => (schema, Some(table)),
        };
        let Some(schema_entry) = self.schemas.get_mut(schema) else { return };
        match table {
            None => forget(&mut schema_entry.topics),
            Some(table) => {
                let Some(entry) = schema_entry.tables.get_mut(table) else { return };
                if let Pattern::Equals { column, key, .. } = pattern {
                    if let Some(keys) = entry.columns.get_mut(column) {
                        if let Some(topics) = keys.get_mut(key) {
                            forget(topics);
                            if topics.is_empty() {
                                keys.remove(key);
                            }
                        }
                        if keys.is_empty() {
                            entry.columns.remove(column);
                        }
                    }
                } else {
                    forget(&mut entry.topics);
                }
                if entry.is_empty() {
                    schema_entry.tables.remove(table);
                }
            }
        }
        if schema_entry.is_empty() {
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
        for (column, keys) in &table.columns {
            match_column(change, column, keys, hits);
        }
    }
}

fn match_column(change: &Change, column: &str, keys: &TopicsByKey, hits: &mut Vec<Hit>) {
    let relation = &*change.relation;
    let Some((index, described)) = relation.columns.iter().enumerate().find(|(_, c)| *c.name == *column)
    else {
        return;
    };
    let wanted_by = |known: &Known<'_>| match known {
        Known::Value(text) => keys.get(&*equality_key(&described.info, text)).map_or(&[][..], Vec::as_slice),
        // `NULL = x` is not true (PostgreSQL manual, 9.2).
        Known::Null | Known::Unknown => &[],
    };
    let mut tell =
        |topics: &[TopicId], telling| hits.extend(topics.iter().map(|topic| Hit { topic: *topic, telling }));
    let everyone = |tell: &mut dyn FnMut(&[TopicId], Telling)| {
        for topics in keys.values() {
            tell(topics, Telling::Plain);
        }
    };
    match &change.action {
        Action::Insert { new } => tell(wanted_by(&known(new, index)), Telling::Plain),
        Action::Delete { old } if old.knows(described) => {
            tell(wanted_by(&known(old.row(), index)), Telling::Plain);
        }
        // Whom it concerns is unknowable; the join reply warned of it.
        Action::Delete { .. } => {}
        Action::Update { old, new } => {
            let before = old.as_ref().filter(|old| old.knows(described)).map(|old| known(old.row(), index));
            let after = match (known(new, index), before) {
                (Known::Unknown, Some(before)) => before,
                (after, _) => after,
            };
            if matches!(after, Known::Unknown) {
                // A large value that the log did not repeat may be any of them: better told than lost.
                return everyone(&mut tell);
            }
            let now = wanted_by(&after);
            tell(now, Telling::Plain);
            if let Some(before) = before {
                let was = wanted_by(&before);
                if !std::ptr::eq(was, now) {
                    tell(was, Telling::LeftFilter);
                }
            }
        }
        Action::Truncate => everyone(&mut tell),
    }
}

#[cfg(test)]
mod tests;
