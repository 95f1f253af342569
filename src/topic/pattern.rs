//! What a topic matches once the catalog was asked, and the decision of one pattern on one change.

use std::sync::Arc;

use smallvec::SmallVec;

use super::condition::{Column, Condition, Known};
use crate::change::wire::Telling;
use crate::change::{Action, Change, OldRow, Relation, Row};
use crate::pgoutput::Column as Value;

/// What a topic matches, after the catalog has been asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Every table.
    All,
    /// Every table of a schema.
    Schema(Box<str>),
    /// One table.
    Table(Box<str>, Box<str>),
    /// The rows of one table that a filter lets through.
    Filtered(Arc<Filtered>),
}

/// One table's rows that a condition holds for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filtered {
    /// Schema name.
    pub schema: Box<str>,
    /// Table name.
    pub table: Box<str>,
    /// The columns that the condition speaks of, each once.
    pub columns: Box<[Column]>,
    /// What rows must be.
    pub condition: Condition,
}

impl Pattern {
    /// Schema and name of the one table that it concerns, if it is one.
    #[must_use]
    pub fn table(&self) -> Option<(&str, &str)> {
        match self {
            Self::All | Self::Schema(_) => None,
            Self::Table(schema, table) => Some((schema, table)),
            Self::Filtered(filtered) => Some((&filtered.schema, &filtered.table)),
        }
    }

    /// The schema that it is bound to, and the table.
    #[must_use]
    pub fn place(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::All => (None, None),
            Self::Schema(schema) => (Some(schema), None),
            Self::Table(schema, table) => (Some(schema), Some(table)),
            Self::Filtered(filtered) => (Some(&filtered.schema), Some(&filtered.table)),
        }
    }

    /// Its filter as a condition of SQL, if it has one: on the bare names of the table's columns, with
    /// texts under COLLATE "C". Names and values are escaped.
    #[must_use]
    pub fn condition(&self) -> Option<String> {
        match self {
            Self::Filtered(filtered) => Some(filtered.condition.sql(&filtered.columns)),
            _ => None,
        }
    }

    /// How the change is told to the pattern's topics; `None` when it is no concern of theirs. The same as
    /// [`Index::matches`](super::index::Index::matches) says of all patterns at once.
    #[must_use]
    pub fn tells(&self, change: &Change) -> Option<Telling> {
        let relation = &*change.relation;
        let concerned = match self {
            Self::All => true,
            Self::Schema(schema) => *schema == relation.schema,
            Self::Table(..) | Self::Filtered(_) => self.table() == Some((&relation.schema, &relation.table)),
        };
        match self {
            _ if !concerned => None,
            Self::Filtered(filtered) => filtered.tells(&Rows::of(change)),
            _ => Some(Telling::Plain),
        }
    }
}

impl Filtered {
    /// How a change of its table is told.
    pub(super) fn tells(&self, rows: &Rows<'_>) -> Option<Telling> {
        // A table that has lost one of the columns has no rows that the filter is about.
        let places: SmallVec<[usize; 4]> =
            self.columns.iter().map(|column| rows.place(&column.name)).collect::<Option<_>>()?;
        let truth = |row: &[Known<'_>]| {
            let known = |column: usize| {
                places.get(column).and_then(|place| row.get(*place)).copied().unwrap_or(Known::Unknown)
            };
            self.condition.truth(&known)
        };
        // What may hold of the row as it is now is better told than lost. What is gone is told only if it
        // was there for sure: the join reply warned where the log will not say.
        match (&rows.before, &rows.after) {
            (None, None) => Some(Telling::Plain),
            (_, Some(after)) if truth(after).may_hold() => Some(Telling::Plain),
            (Some(before), Some(_)) => truth(before).holds().then_some(Telling::LeftFilter),
            (Some(before), None) => truth(before).holds().then_some(Telling::Plain),
            (None, Some(_)) => None,
        }
    }
}

/// The values of a row, in the relation's order.
pub(super) type Values<'a> = SmallVec<[Known<'a>; 16]>;

/// A change as filters look at it. Neither row: a truncate, which concerns every filter.
pub(super) struct Rows<'a> {
    relation: &'a Relation,
    /// Of an update or delete, as far as the log tells.
    pub(super) before: Option<Values<'a>>,
    /// Of an insert or update.
    pub(super) after: Option<Values<'a>>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(change: &'a Change) -> Self {
        let relation = &*change.relation;
        let (old, new) = match &change.action {
            Action::Insert { new } => (None, Some(new)),
            Action::Update { old, new } => (old.as_ref(), Some(new)),
            Action::Delete { old } => (Some(old), None),
            Action::Truncate => (None, None),
        };
        let before = old.map(|old| values_before(relation, old));
        let mut after = new.map(values);
        if let (Some(before), Some(after)) = (&before, &mut after) {
            for (value, old) in after.iter_mut().zip(before) {
                if *value == Known::Unknown {
                    // A large value that the change did not touch.
                    *value = *old;
                }
            }
        }
        Self { relation, before, after }
    }

    /// The place of a column in the rows.
    pub(super) fn place(&self, column: &str) -> Option<usize> {
        self.relation.columns.iter().position(|described| &*described.name == column)
    }
}

fn values_before<'a>(relation: &Relation, old: &'a OldRow) -> Values<'a> {
    let mut values = values(old.row());
    for (value, described) in values.iter_mut().zip(&relation.columns) {
        if !old.knows(described) {
            *value = Known::Unknown;
        }
    }
    values
}

fn values(row: &Row) -> Values<'_> {
    row.columns()
        .map(|column| match column {
            Value::Text(text) => Known::Value(text),
            Value::Null => Known::Null,
            Value::Unchanged | Value::Binary(_) => Known::Unknown,
        })
        .collect()
}
