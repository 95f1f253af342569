//! From a change to the groups of subscribers that it may concern, by look-ups alone.

use std::collections::HashMap;

use crate::change::Change;
use crate::graphql::model::{ChangeEvent, Events};
use crate::graphql::subscription::{Known, Side, event, named};
use crate::pgoutput::Oid;

/// A group, as a small number.
pub(super) type GroupId = usize;

/// To what a group listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interest {
    /// The relations under which its changes come (`pg_class.oid`).
    pub(super) tables: Vec<Oid>,
    pub(super) events: Events,
    /// Only rows whose column has this value, as the log writes it.
    pub(super) equal: Option<(Box<str>, Box<str>)>,
}

/// All interests.
#[derive(Debug, Default)]
pub(super) struct Index {
    tables: HashMap<Oid, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    groups: Vec<(GroupId, Events)>,
    columns: HashMap<Box<str>, ByValue>,
}

type ByValue = HashMap<Box<[u8]>, Vec<(GroupId, Events)>>;

impl Index {
    pub(super) fn insert(&mut self, group: GroupId, interest: &Interest) {
        for table in &interest.tables {
            let entry = self.tables.entry(*table).or_default();
            let groups = match &interest.equal {
                None => &mut entry.groups,
                Some((column, value)) => {
                    let values = entry.columns.entry(column.clone()).or_default();
                    values.entry(value.as_bytes().into()).or_default()
                }
            };
            groups.push((group, interest.events));
        }
    }

    /// Removes a group, and whatever it alone kept.
    pub(super) fn remove(&mut self, group: GroupId, interest: &Interest) {
        for table in &interest.tables {
            self.remove_from(*table, group, interest);
        }
    }

    fn remove_from(&mut self, table: Oid, group: GroupId, interest: &Interest) {
        let Some(entry) = self.tables.get_mut(&table) else { return };
        let forget = |groups: &mut Vec<(GroupId, Events)>| groups.retain(|(known, _)| *known != group);
        match &interest.equal {
            None => forget(&mut entry.groups),
            Some((column, value)) => {
                if let Some(values) = entry.columns.get_mut(column) {
                    if let Some(groups) = values.get_mut(value.as_bytes()) {
                        forget(groups);
                        if groups.is_empty() {
                            values.remove(value.as_bytes());
                        }
                    }
                    if values.is_empty() {
                        entry.columns.remove(column);
                    }
                }
            }
        }
        if entry.groups.is_empty() && entry.columns.is_empty() {
            self.tables.remove(&table);
        }
    }

    /// Appends the groups that a change may concern, each once.
    pub(super) fn matches(&self, change: &Change, hits: &mut Vec<GroupId>) {
        let Some(entry) = self.tables.get(&change.relation.oid) else { return };
        let event = event(change);
        let mut add = |groups: &[(GroupId, Events)]| {
            hits.extend(groups.iter().filter(|(_, events)| events.contains(event)).map(|(group, _)| *group));
        };
        add(&entry.groups);
        for (column, values) in &entry.columns {
            let side = if event == ChangeEvent::Delete { Side::Old } else { Side::New };
            match named(change, column, side).0 {
                Known::Value(text) => values.get(text).into_iter().for_each(|groups| add(groups)),
                Known::Null => {}
                // It may be any of them.
                Known::Unknown => values.values().for_each(|groups| add(groups)),
            }
        }
    }
}
