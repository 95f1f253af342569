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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::change::types::builtin;
    use crate::change::{Action, Column, OldRow, Relation, Row};
    use crate::lsn::Cursor;
    use crate::pgoutput::ReplicaIdentity;

    fn row(columns: &[&str]) -> Row {
        let mut bytes = Vec::new();
        for column in columns {
            match *column {
                "NULL" => bytes.push(b'n'),
                "UNCHANGED" => bytes.push(b'u'),
                text => {
                    bytes.push(b't');
                    bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        Row(Bytes::from(bytes))
    }

    fn change(action: Action) -> Change {
        let column = |name: &str, key| Column {
            name: name.into(),
            key,
            type_oid: 25,
            type_modifier: -1,
            info: builtin(25).unwrap(),
        };
        let columns = vec![column("id", true), column("room", false)];
        let relation = Relation::new(7, "public".into(), "t".into(), ReplicaIdentity::Default, columns);
        Change { cursor: Cursor::default(), relation: Arc::new(relation), action }
    }

    fn interest(events: Events, equal: Option<&str>) -> Interest {
        let equal = equal.map(|value| ("room".into(), value.into()));
        Interest { tables: vec![7, 8], events, equal }
    }

    #[test]
    fn a_change_meets_those_who_ask_for_its_table_event_and_value() {
        let insert = Events::default().with(ChangeEvent::Insert);
        let interests = [
            interest(Events::ALL, None),
            interest(insert, Some("1")),
            interest(Events::ALL, Some("1")),
            interest(Events::ALL, Some("2")),
        ];
        let mut index = Index::default();
        for (group, interest) in interests.iter().enumerate() {
            index.insert(group, interest);
        }
        let hits = |index: &Index, action: Action| {
            let mut hits = Vec::new();
            index.matches(&change(action), &mut hits);
            hits.sort_unstable();
            hits
        };
        assert_eq!(hits(&index, Action::Insert { new: row(&["9", "1"]) }), [0, 1, 2]);
        assert_eq!(hits(&index, Action::Insert { new: row(&["9", "NULL"]) }), [0]);
        assert_eq!(hits(&index, Action::Update { old: None, new: row(&["9", "2"]) }), [0, 3]);
        assert_eq!(hits(&index, Action::Update { old: None, new: row(&["9", "UNCHANGED"]) }), [0, 2, 3]);
        assert_eq!(hits(&index, Action::Delete { old: OldRow::Key(row(&["9", "NULL"])) }), [0, 2, 3]);
        assert_eq!(hits(&index, Action::Delete { old: OldRow::Full(row(&["9", "2"])) }), [0, 3]);
        assert_eq!(hits(&index, Action::Truncate), [0, 2, 3]);
        for (group, interest) in interests.iter().enumerate() {
            index.remove(group, interest);
        }
        assert!(index.tables.is_empty());
    }
}
