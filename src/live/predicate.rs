//! Conditions on a row of the log, as far as they can be decided.

use std::cmp::Ordering;
use std::ops::BitOr;

use super::row::{Known, Tuple, loose};
use crate::graphql::plan::Comparison;
use crate::graphql::read_set::Predicate;

/// What a condition may be: true, false or null, or more than one of them where that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truth(u8);

impl Truth {
    const TRUE: Self = Self(1);
    const FALSE: Self = Self(2);
    const NULL: Self = Self(4);
    const ANY: Self = Self(7);
    const EACH: [Self; 3] = [Self::TRUE, Self::FALSE, Self::NULL];

    /// Whether it may be true.
    pub(super) const fn may_hold(self) -> bool {
        self.0 & Self::TRUE.0 != 0
    }

    const fn of(known: bool) -> Self {
        if known { Self::TRUE } else { Self::FALSE }
    }

    const fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    fn not(self) -> Self {
        self.map(|one| match one {
            Self::TRUE => Self::FALSE,
            Self::FALSE => Self::TRUE,
            _ => Self::NULL,
        })
    }

    fn and(self, other: Self) -> Self {
        self.map(|one| {
            other.map(|two| match (one, two) {
                (Self::FALSE, _) | (_, Self::FALSE) => Self::FALSE,
                (Self::NULL, _) | (_, Self::NULL) => Self::NULL,
                _ => Self::TRUE,
            })
        })
    }

    fn map(self, each: impl Fn(Self) -> Self) -> Self {
        Self::EACH.into_iter().filter(|one| self.has(*one)).fold(Self(0), |all, one| all | each(one))
    }
}

impl BitOr for Truth {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whether all of these hold for a row.
pub(super) fn all(predicates: &[Predicate], row: &Tuple<'_>) -> Truth {
    predicates.iter().fold(Truth::TRUE, |truth, predicate| truth.and(holds(predicate, row)))
}

fn holds(predicate: &Predicate, row: &Tuple<'_>) -> Truth {
    match predicate {
        Predicate::And(predicates) => all(predicates, row),
        Predicate::Or(predicates) => {
            predicates.iter().fold(Truth::FALSE, |truth, one| truth.not().and(holds(one, row).not()).not())
        }
        Predicate::Not(one) => holds(one, row).not(),
        Predicate::Null(column, null) => match row.get(column) {
            Known::Null => Truth::of(*null),
            Known::Text(_) => Truth::of(!*null),
            Known::Unknown => Truth::TRUE | Truth::FALSE,
        },
        Predicate::Compare(_, _, _, None) => Truth::NULL,
        Predicate::Compare(column, base, comparison, Some(operand)) => match row.get(column) {
            Known::Null => Truth::NULL,
            Known::Unknown => Truth::ANY,
            Known::Text(text) => compare(*base, text, *comparison, operand),
        },
        Predicate::Elsewhere => Truth::ANY,
    }
}

/// A type whose comparisons are decided here; every other's may come out either way. Object identifiers: `pg_type.dat`.
#[derive(Clone, Copy)]
enum Kind {
    Boolean,
    Number,
    /// Text, whose order depends on a collation.
    Text,
    Uuid,
    /// A time with its zone.
    Moment,
}

impl Kind {
    const fn of(base: u32) -> Option<Self> {
        match base {
            16 => Some(Self::Boolean),
            20 | 21 | 23 | 26 | 1700 => Some(Self::Number),
            25 | 1043 => Some(Self::Text),
            2950 => Some(Self::Uuid),
            1184 => Some(Self::Moment),
            _ => None,
        }
    }
}

const EITHER: Truth = Truth(Truth::TRUE.0 | Truth::FALSE.0);

fn compare(base: u32, text: &str, comparison: Comparison, operand: &str) -> Truth {
    let Some(kind) = Kind::of(base) else { return EITHER };
    match comparison {
        Comparison::In => elements(operand).map_or(EITHER, |elements| {
            elements
                .iter()
                .map(|element| equal(kind, text, element))
                .fold(Truth::FALSE, |any, one| any.not().and(one.not()).not())
        }),
        Comparison::StartsWith if matches!(kind, Kind::Text) => Truth::of(text.starts_with(operand)),
        Comparison::Eq => equal(kind, text, operand),
        Comparison::Neq => equal(kind, text, operand).not(),
        Comparison::Gt | Comparison::Gte | Comparison::Lt | Comparison::Lte => {
            let order = match kind {
                Kind::Number => numbers(text, operand),
                Kind::Moment => moments(text, operand),
                Kind::Boolean | Kind::Text | Kind::Uuid => None,
            };
            let Some(order) = order else { return EITHER };
            Truth::of(match comparison {
                Comparison::Gt => order == Ordering::Greater,
                Comparison::Gte => order != Ordering::Less,
                Comparison::Lt => order == Ordering::Less,
                _ => order != Ordering::Greater,
            })
        }
        _ => EITHER,
    }
}

/// Whether two texts are of equal values.
fn equal(kind: Kind, one: &str, two: &str) -> Truth {
    let order = match kind {
        // Clients may also write `yes` or `on`.
        Kind::Boolean if ![one, two].iter().all(|text| ["t", "f", "true", "false"].contains(text)) => None,
        Kind::Boolean | Kind::Uuid => return Truth::of(loose(one) == loose(two)),
        Kind::Text => return Truth::of(one == two),
        Kind::Number => numbers(one, two),
        Kind::Moment => moments(one, two),
    };
    order.map_or(EITHER, |order| Truth::of(order == Ordering::Equal))
}

/// The elements of an array's text, if it is as plain as lists of clients are; nulls, escapes and nesting are left to
/// Postgres.
fn elements(array: &str) -> Option<Vec<&str>> {
    let list = array.strip_prefix('{')?.strip_suffix('}')?;
    if list.is_empty() {
        return Some(Vec::new());
    }
    if list.contains(['\\', '{']) {
        return None;
    }
    list.split(',')
        .map(|element| match element.strip_prefix('"').map(|rest| rest.strip_suffix('"')) {
            Some(quoted) => quoted.filter(|text| !text.contains('"')),
            None => Some(element).filter(|text| !text.eq_ignore_ascii_case("null") && !text.contains('"')),
        })
        .collect()
}

/// Two times with their zones.
fn moments(one: &str, two: &str) -> Option<Ordering> {
    let moment = |text: &str| text.parse::<jiff::Timestamp>().ok();
    Some(moment(one)?.cmp(&moment(two)?))
}

/// Plain decimal numbers of any length; NaN, infinities and exponents are not decided here.
fn numbers(one: &str, two: &str) -> Option<Ordering> {
    fn parts(text: &str) -> Option<(bool, &str, &str)> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let some = !whole.is_empty() && plain(whole) && plain(fraction);
        some.then(|| (negative, whole.trim_start_matches('0'), fraction.trim_end_matches('0')))
    }
    let (one, two) = (parts(one)?, parts(two)?);
    let zero = |(_, whole, fraction): (bool, &str, &str)| whole.is_empty() && fraction.is_empty();
    let (minus, other_minus) = (one.0 && !zero(one), two.0 && !zero(two));
    let size = one.1.len().cmp(&two.1.len()).then_with(|| one.1.cmp(two.1)).then_with(|| one.2.cmp(two.2));
    Some(match (minus, other_minus) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => size,
        (true, true) => size.reverse(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_has_three_values_and_sets_of_them() {
        assert_eq!(Truth::NULL.not(), Truth::NULL);
        assert_eq!(Truth::NULL.and(Truth::FALSE), Truth::FALSE);
        assert_eq!(Truth::NULL.and(Truth::TRUE), Truth::NULL);
        assert_eq!(Truth::ANY.and(Truth::FALSE), Truth::FALSE);
        assert_eq!(EITHER.and(Truth::NULL), Truth::NULL | Truth::FALSE);
        assert_eq!(EITHER.not(), EITHER);
        assert!(!Truth::NULL.may_hold() && Truth::ANY.may_hold());
    }

    #[test]
    fn numbers_compare_by_value() {
        let ascending =
            ["-10", "-9.5", "-0.001", "0", "0.09", "0.1", "1", "1.05", "9", "10", "123456789012345678901"];
        for (place, one) in ascending.iter().enumerate() {
            for (other, two) in ascending.iter().enumerate() {
                assert_eq!(numbers(one, two), Some(place.cmp(&other)), "{one} {two}");
            }
        }
        assert_eq!(numbers("-0.00", "0"), Some(Ordering::Equal));
        assert_eq!(numbers("1.50", "1.5"), Some(Ordering::Equal));
        assert_eq!(numbers("NaN", "1"), None);
        assert_eq!(numbers("1e3", "1"), None);
    }

    #[test]
    fn what_is_not_decided_here_may_be_either() {
        let text = |comparison, operand| compare(25, "b", comparison, operand);
        assert_eq!(text(Comparison::Eq, "b"), Truth::TRUE);
        assert_eq!(text(Comparison::Neq, "b"), Truth::FALSE);
        assert_eq!(text(Comparison::Lt, "c"), EITHER);
        assert_eq!(text(Comparison::Like, "%"), EITHER);
        assert_eq!(text(Comparison::StartsWith, "a"), Truth::FALSE);
        assert_eq!(compare(20, "3", Comparison::In, "{1,2}"), Truth::FALSE);
        assert_eq!(compare(20, "2", Comparison::In, "{1,2}"), Truth::TRUE);
        assert_eq!(compare(25, "2", Comparison::In, "{1,NULL}"), EITHER);
        assert_eq!(compare(25, "2", Comparison::In, "{\"1\",\"2\"}"), Truth::TRUE);
        assert_eq!(compare(25, "3", Comparison::In, "{\"1\",\"2\"}"), Truth::FALSE);
        assert_eq!(compare(25, "3", Comparison::In, "{\"a,b\"}"), EITHER);
        let moment = |comparison, operand| compare(1184, "2026-01-15 10:00:00.5+00", comparison, operand);
        assert_eq!(moment(Comparison::Gt, "2026-01-15T10:00:00Z"), Truth::TRUE);
        assert_eq!(moment(Comparison::Eq, "2026-01-15T12:00:00.500+02:00"), Truth::TRUE);
        assert_eq!(moment(Comparison::Lt, "2026-01-15"), EITHER);
        assert_eq!(compare(16, "t", Comparison::Eq, "true"), Truth::TRUE);
        assert_eq!(compare(16, "t", Comparison::Eq, "yes"), EITHER);
        assert_eq!(compare(1186, "1 day", Comparison::Eq, "24:00:00"), EITHER);
    }
}
