//! A change's rows by the entity's columns.

use std::borrow::Cow;

use crate::change::{Action, Change, Column as Described, Row};
use crate::graphql::model::{ColumnId, Entity};
use crate::pgoutput::Column as Raw;

/// A value as far as the log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// This, as its type prints it.
    Value(&'a [u8]),
    /// NULL.
    Null,
    /// Not repeated by the log, not part of the identity, or not published.
    Unknown,
}

/// A row of a change; which one decides what can be known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The row that an insert or update left.
    New,
    /// The row before an update or delete.
    Old,
}

/// A value of one side of a change, and how the log describes its column.
pub(super) fn known<'a>(
    change: &'a Change,
    entity: &Entity,
    column: ColumnId,
    side: Side,
) -> (Known<'a>, Option<&'a Described>) {
    match entity.columns.get(column) {
        Some(column) => named(change, &column.name, side),
        None => (Known::Unknown, None),
    }
}

/// The same of a column by its name.
#[must_use]
pub fn named<'a>(change: &'a Change, name: &str, side: Side) -> (Known<'a>, Option<&'a Described>) {
    let columns = change.relation.columns.iter().enumerate();
    let described = columns.into_iter().find(|(_, described)| *described.name == *name);
    let Some((place, described)) = described else { return (Known::Unknown, None) };
    let old = || match &change.action {
        Action::Update { old: Some(old), .. } | Action::Delete { old } if old.knows(described) => {
            at(old.row(), place)
        }
        _ => Known::Unknown,
    };
    let known = match (side, &change.action) {
        (Side::Old, _) => old(),
        (Side::New, Action::Insert { new } | Action::Update { new, .. }) => match at(new, place) {
            // A large value that the change did not touch.
            Known::Unknown => old(),
            known => known,
        },
        (Side::New, Action::Delete { .. } | Action::Truncate) => Known::Unknown,
    };
    (known, Some(described))
}

fn at(row: &Row, place: usize) -> Known<'_> {
    match row.columns().nth(place) {
        Some(Raw::Text(text)) => Known::Value(text),
        Some(Raw::Null) => Known::Null,
        Some(Raw::Unchanged | Raw::Binary(_)) | None => Known::Unknown,
    }
}

/// An array of texts as Postgres reads it (manual, 8.15.6).
pub(super) fn array<'a>(elements: impl Iterator<Item = Option<Cow<'a, str>>>) -> String {
    let mut out = String::from("{");
    for element in elements {
        if out.len() > 1 {
            out.push(',');
        }
        let Some(element) = element else {
            out.push_str("NULL");
            continue;
        };
        out.push('"');
        for character in element.chars() {
            if matches!(character, '"' | '\\') {
                out.push('\\');
            }
            out.push(character);
        }
        out.push('"');
    }
    out.push('}');
    out
}
