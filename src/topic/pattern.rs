//! What a topic matches once the catalog was asked, and the decision of one pattern on one change.

use super::filter::equality_key;
use crate::change::wire::Telling;
use crate::change::{Action, Change, Row};
use crate::pgoutput::Column as Value;

/// What a topic matches, after the catalog has been asked: the filter's value is an
/// [`equality_key`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Every table.
    All,
    /// Every table of a schema.
    Schema(Box<str>),
    /// One table.
    Table(Box<str>, Box<str>),
    /// The rows of one table whose column has this key.
    Equals {
        /// Schema name.
        schema: Box<str>,
        /// Table name.
        table: Box<str>,
        /// Column name.
        column: Box<str>,
        /// The wanted value.
        key: Box<[u8]>,
    },
}

impl Pattern {
    /// Schema and name of the one table that it concerns, if it is one.
    #[must_use]
    pub fn table(&self) -> Option<(&str, &str)> {
        match self {
            Self::All | Self::Schema(_) => None,
            Self::Table(schema, table) | Self::Equals { schema, table, .. } => Some((schema, table)),
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
            Self::Table(schema, table) | Self::Equals { schema, table, .. } => {
                *schema == relation.schema && *table == relation.table
            }
        };
        if !concerned {
            return None;
        }
        let Self::Equals { column, key, .. } = self else { return Some(Telling::Plain) };
        let (index, described) =
            relation.columns.iter().enumerate().find(|(_, described)| described.name == *column)?;
        let equals = |known: Known<'_>| match known {
            Known::Value(text) => Some(*equality_key(&described.info, text) == **key),
            // `NULL = x` is not true (PostgreSQL manual, 9.2).
            Known::Null => Some(false),
            Known::Unknown => None,
        };
        let plain = Some(Telling::Plain);
        match &change.action {
            Action::Insert { new } => plain.filter(|_| equals(known(new, index)) == Some(true)),
            // Whom it concerns is unknowable where the old row lacks the column; the join reply warned of it.
            Action::Delete { old } if old.knows(described) => {
                plain.filter(|_| equals(known(old.row(), index)) == Some(true))
            }
            Action::Delete { .. } => None,
            Action::Update { old, new } => {
                let before = old.as_ref().filter(|old| old.knows(described));
                let was = before.and_then(|old| equals(known(old.row(), index)));
                match (was, equals(known(new, index)).or(was)) {
                    // A large value that the log did not repeat may be any: better told than lost.
                    (_, Some(true) | None) => plain,
                    (Some(true), Some(false)) => Some(Telling::LeftFilter),
                    (_, Some(false)) => None,
                }
            }
            Action::Truncate => plain,
        }
    }
}

/// The value of a column in one row, as far as the log tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// This, as its type prints it.
    Value(&'a [u8]),
    /// NULL.
    Null,
    /// Not repeated by the log, or not part of the identity.
    Unknown,
}

pub(super) fn known(row: &Row, index: usize) -> Known<'_> {
    match row.columns().nth(index) {
        Some(Value::Text(text) | Value::Binary(text)) => Known::Value(text),
        Some(Value::Null) => Known::Null,
        Some(Value::Unchanged) | None => Known::Unknown,
    }
}
