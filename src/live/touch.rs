//! Whether a change touches what a result depends on. What cannot be told counts as touching.

use super::predicate;
use super::row::{Known, Tuple, Unknown};
use super::watching::Watching;
use crate::change::{Action, Change, Row};
use crate::graphql::read_set::Extent;

/// A change as live queries look at it: the row before, as far as it is known, and after.
pub(super) struct Sides<'a> {
    /// Of an update or delete.
    pub(super) before: Option<Tuple<'a>>,
    /// Of an insert or update.
    pub(super) after: Option<Tuple<'a>>,
    /// The whole table was emptied.
    pub(super) truncate: bool,
}

impl<'a> Sides<'a> {
    /// `known` is the row before, if it is known from elsewhere.
    pub(super) fn of(change: &'a Change, known: Option<&'a Row>) -> Self {
        let relation = &*change.relation;
        let known = known.map(|row| Tuple::new(relation, row));
        let (before, after) = match &change.action {
            Action::Insert { new } => (None, Some(Tuple::new(relation, new))),
            Action::Delete { old } => (Some(known.unwrap_or_else(|| Tuple::old(relation, old))), None),
            Action::Update { old, new } => {
                let after = Tuple::new(relation, new);
                let before = match (known, old) {
                    (Some(known), _) => known,
                    (None, Some(old)) => Tuple::old(relation, old),
                    // The key is as it was.
                    (None, None) => after.identity(),
                };
                let after = after.completed(&before);
                (Some(before), Some(after))
            }
            Action::Truncate => (None, None),
        };
        Self { before, after, truncate: matches!(change.action, Action::Truncate) }
    }
}

/// Whether a change of one of the watched table's rows may have changed what was read there.
pub(super) fn touches(watching: &Watching, sides: &Sides<'_>) -> bool {
    if sides.truncate {
        return true;
    }
    match (&sides.before, &sides.after) {
        (None, None) => false,
        (None, Some(after)) => may_belong(watching, after),
        (Some(before), None) => match read(watching, before) {
            Read::Yes => true,
            // Of a set that is listed whole, a row that was not read was no part.
            Read::No => watching.extent != Extent::Whole && may_belong(watching, before),
            Read::Unknown => watching.closed || may_belong(watching, before),
        },
        (Some(before), Some(after)) => updated(watching, before, after),
    }
}

fn updated(watching: &Watching, before: &Tuple<'_>, after: &Tuple<'_>) -> bool {
    let deciding = || watching.deciding.iter().chain(&watching.key);
    let listed = read(watching, before);
    if listed != Read::No {
        let Some(columns) = &watching.columns else { return before.differs(after) };
        if listed == Read::Yes || watching.closed {
            return differ(before, after, columns.iter().chain(deciding()));
        }
        if differ(before, after, columns.iter()) && may_belong(watching, before) {
            return true;
        }
    }
    let (was, is) = (may_belong(watching, before), may_belong(watching, after));
    match &watching.extent {
        // A row that was not read did not belong, so it matters if it does now, which some column that was asked for says.
        Extent::Whole if listed == Read::No => {
            let asked = watching.columns.as_ref();
            is && asked.is_none_or(|asked| differ(before, after, asked.iter().chain(deciding())))
        }
        Extent::Whole => (was || is) && differ(before, after, deciding()),
        Extent::Any | Extent::Existence => (was || is) && before.differs(after),
        // Nor does one matter that stays where it is outside of the window.
        Extent::Window(order) => (was || is) && differ(before, after, order.iter().chain(deciding())),
        Extent::Aggregate(columns) => (was || is) && differ(before, after, columns.iter().chain(deciding())),
    }
}

/// Whether one of these columns has, or may have, another value.
fn differ<'a>(before: &Tuple<'_>, after: &Tuple<'_>, mut columns: impl Iterator<Item = &'a String>) -> bool {
    columns.any(|column| match (before.get(column), after.get(column)) {
        (Known::Unknown, _) | (_, Known::Unknown) => true,
        (one, two) => one != two,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Yes,
    No,
    Unknown,
}

/// Whether a row is one of those that were read and listed.
fn read(watching: &Watching, row: &Tuple<'_>) -> Read {
    if watching.key.is_empty() {
        return Read::Unknown;
    }
    match row.place(&watching.key) {
        Err(Unknown) => Read::Unknown,
        Ok(Some(place)) if watching.rows.contains(place.as_str()) => Read::Yes,
        Ok(_) => Read::No,
    }
}

fn may_belong(watching: &Watching, row: &Tuple<'_>) -> bool {
    if watching.closed {
        return false;
    }
    if let Some((columns, places)) = &watching.bound {
        match row.place(columns) {
            Ok(Some(place)) if places.contains(place.as_str()) => {}
            Err(Unknown) => {}
            Ok(_) => return false,
        }
    }
    predicate::all(&watching.conditions, row).may_hold()
}
