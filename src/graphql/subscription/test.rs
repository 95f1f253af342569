//! Filters on the log's rows, where that is exact: as Postgres would decide, or not at all.
//!
//! Exact are equality of integers, booleans, texts, UUIDs and enums, the order of integers, and null; texts are compared
//! byte by byte, as every deterministic collation does (PostgreSQL manual, 24.2.2.4).

use std::cmp::Ordering;

use super::row::Known;
use crate::graphql::model::{ColumnId, Entity, Enum, Shape, ValueType};
use crate::graphql::plan::{Comparison, Condition, Operand, PlanError, Take};
use apollo_compiler::response::JsonMap;

/// A condition whose values are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Null(ColumnId, bool),
    Compare(ColumnId, Comparison, Exact),
    /// Compared with NULL.
    Never,
    /// Only the database knows.
    Ask,
}

/// A value that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exact {
    Integer(i64),
    /// As the log writes it.
    Text(Box<str>),
    /// The same without blanks at its end.
    Padded(Box<str>),
}

/// What comes of a test: SQL's three values, and that the log does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    Null,
    Unknown,
}

/// Values for conditions.
pub(super) struct Binding<'a> {
    pub(super) entity: &'a Entity,
    pub(super) enums: &'a [Enum],
    pub(super) variables: &'a JsonMap,
}

impl Binding<'_> {
    /// The test of a condition.
    pub(super) fn test(&self, condition: &Condition) -> Result<Test, PlanError> {
        let all = |conditions: &[Condition]| -> Result<Vec<Test>, PlanError> {
            conditions.iter().map(|one| self.test(one)).collect()
        };
        Ok(match condition {
            Condition::And(conditions) => Test::All(all(conditions)?),
            Condition::Or(conditions) => Test::Any(all(conditions)?),
            Condition::Not(condition) => Test::Not(Box::new(self.test(condition)?)),
            Condition::Null(column, null) => Test::Null(*column, *null),
            Condition::Compare(column, comparison, operand) => self.compare(*column, *comparison, operand)?,
            Condition::Exists { .. } => Test::Ask,
        })
    }

    fn compare(
        &self,
        column: ColumnId,
        comparison: Comparison,
        operand: &Operand,
    ) -> Result<Test, PlanError> {
        let text = operand.bind(self.variables, self.enums)?;
        let Some(value) = self.entity.columns.get(column).map(|column| &column.value) else {
            return Ok(Test::Ask);
        };
        let (Some(kind), Some(text)) = (Kind::of(value), text) else { return Ok(Test::Ask) };
        match (comparison, operand.take()) {
            (Comparison::Eq | Comparison::Neq, Take::Value(_)) => {}
            (Comparison::Gt | Comparison::Gte | Comparison::Lt | Comparison::Lte, Take::Value(_))
                if kind == Kind::Integer => {}
            (Comparison::In, Take::Any(_)) => {
                let mut any = Vec::new();
                for element in elements(&text) {
                    any.push(match element {
                        Some(element) => Test::Compare(column, Comparison::Eq, kind.exact(value, &element)?),
                        None => Test::Never,
                    });
                }
                return Ok(Test::Any(any));
            }
            _ => return Ok(Test::Ask),
        }
        Ok(Test::Compare(column, comparison, kind.exact(value, &text)?))
    }
}

/// What values are to a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Boolean,
    Text,
    Padded,
    Uuid,
}

impl Kind {
    fn of(value: &ValueType) -> Option<Self> {
        match (&value.shape, value.base) {
            (Shape::Enum(_), _) => Some(Self::Text),
            (Shape::List(_) | Shape::Composite(_), _) => None,
            // pg_type.dat
            (_, 20 | 21 | 23) => Some(Self::Integer),
            (_, 16) => Some(Self::Boolean),
            (_, 25 | 1043) => Some(Self::Text),
            (_, 1042) => Some(Self::Padded),
            (_, 2950) => Some(Self::Uuid),
            _ => None,
        }
    }

    fn exact(self, value: &ValueType, text: &str) -> Result<Exact, PlanError> {
        let unfit = |given| PlanError::Value { scalar: name(value), given };
        Ok(match self {
            Self::Integer => {
                Exact::Integer(text.trim().parse().map_err(|_| unfit("a text that is no whole number"))?)
            }
            Self::Boolean => Exact::Text(if text == "true" { "t" } else { "f" }.into()),
            Self::Text => Exact::Text(text.into()),
            Self::Padded => Exact::Padded(text.trim_end_matches(' ').into()),
            Self::Uuid => Exact::Text(uuid(text).ok_or_else(|| unfit("a text that is no UUID"))?.into()),
        })
    }
}

fn name(value: &ValueType) -> String {
    match &value.shape {
        Shape::Scalar(scalar) => scalar.name().to_owned(),
        _ => value.sql.clone(),
    }
}

/// The form in which Postgres writes a UUID; it reads others (manual, 8.12).
fn uuid(text: &str) -> Option<String> {
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let digits: String = bare.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut parts = Vec::new();
    let mut rest = digits.as_str();
    for length in [8, 4, 4, 4] {
        let (part, behind) = rest.split_at_checked(length)?;
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    Some(parts.join("-"))
}

/// The elements of an array as a plan's operands write it: each in quotes, or NULL.
fn elements(array: &str) -> Vec<Option<String>> {
    let mut elements = Vec::new();
    let mut characters = array.chars();
    while let Some(character) = characters.next() {
        match character {
            'N' => elements.push(None),
            '"' => {
                let mut element = String::new();
                while let Some(character) = characters.next().filter(|c| *c != '"') {
                    element.extend(if character == '\\' { characters.next() } else { Some(character) });
                }
                elements.push(Some(element));
            }
            _ => {}
        }
    }
    elements
}

impl Test {
    /// Whether the log can ever leave it open, other than by not repeating a large value.
    pub(super) fn asks(&self) -> bool {
        match self {
            Self::Ask => true,
            Self::All(tests) | Self::Any(tests) => tests.iter().any(Self::asks),
            Self::Not(test) => test.asks(),
            Self::Null(..) | Self::Compare(..) | Self::Never => false,
        }
    }

    /// Decides it for one row.
    pub(super) fn decide<'a>(&self, known: &impl Fn(ColumnId) -> Known<'a>) -> Truth {
        match self {
            Self::All(tests) => all(tests.iter().map(|test| test.decide(known))),
            // De Morgan's law holds for these values, too.
            Self::Any(tests) => all(tests.iter().map(|test| test.decide(known).not())).not(),
            Self::Not(test) => test.decide(known).not(),
            Self::Null(column, null) => match known(*column) {
                Known::Unknown => Truth::Unknown,
                value => Truth::from((value == Known::Null) == *null),
            },
            Self::Compare(column, comparison, exact) => match known(*column) {
                Known::Unknown => Truth::Unknown,
                Known::Null => Truth::Null,
                Known::Value(text) => exact.compare(*comparison, text),
            },
            Self::Never => Truth::Null,
            Self::Ask => Truth::Unknown,
        }
    }

    /// A column that has to have one value, which is given as the log writes it.
    pub(super) fn equality(&self) -> Option<(ColumnId, Box<str>)> {
        match self {
            Self::Compare(column, Comparison::Eq, Exact::Integer(number)) => {
                Some((*column, number.to_string().into()))
            }
            Self::Compare(column, Comparison::Eq, Exact::Text(text)) => Some((*column, text.clone())),
            Self::All(tests) => tests.iter().find_map(Self::equality),
            _ => None,
        }
    }
}

/// SQL's `and`. What is unknown may be false.
fn all(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut all = Truth::True;
    for truth in truths {
        all = match (all, truth) {
            (Truth::False, _) | (_, Truth::False) => return Truth::False,
            (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
            (Truth::Null, _) | (_, Truth::Null) => Truth::Null,
            (Truth::True, Truth::True) => Truth::True,
        };
    }
    all
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

impl Truth {
    const fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            other => other,
        }
    }
}

impl Exact {
    fn compare(&self, comparison: Comparison, text: &[u8]) -> Truth {
        let order = match self {
            Self::Integer(number) => {
                let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
                // Not a number any more: the column's type changes.
                let Some(value) = parsed else { return Truth::Unknown };
                value.cmp(number)
            }
            Self::Text(known) => text.cmp(known.as_bytes()),
            Self::Padded(known) => {
                let end = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
                text.get(..end).unwrap_or(text).cmp(known.as_bytes())
            }
        };
        Truth::from(match comparison {
            Comparison::Eq => order == Ordering::Equal,
            Comparison::Neq => order != Ordering::Equal,
            Comparison::Gt => order == Ordering::Greater,
            Comparison::Gte => order != Ordering::Less,
            Comparison::Lt => order == Ordering::Less,
            Comparison::Lte => order != Ordering::Greater,
            _ => return Truth::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMN: ColumnId = 0;

    fn integer(comparison: Comparison, number: i64) -> Test {
        Test::Compare(COLUMN, comparison, Exact::Integer(number))
    }

    fn decide(test: &Test, known: Known<'static>) -> Truth {
        test.decide(&|_| known)
    }

    #[test]
    fn conditions_are_three_valued_and_may_be_unknown() {
        use Truth::{False, Null, True, Unknown};
        let two = || integer(Comparison::Eq, 2);
        let cases = [
            (two(), [True, False, Null, Unknown]),
            (Test::Not(Box::new(two())), [False, True, Null, Unknown]),
            (Test::All(vec![two(), Test::Ask]), [Unknown, False, Unknown, Unknown]),
            (Test::Any(vec![two(), Test::Ask]), [True, Unknown, Unknown, Unknown]),
            (Test::Any(vec![two(), Test::Never]), [True, Null, Null, Unknown]),
            (Test::All(Vec::new()), [True; 4]),
            (Test::Any(Vec::new()), [False; 4]),
            (Test::Null(COLUMN, true), [False, False, True, Unknown]),
            (Test::Null(COLUMN, false), [True, True, False, Unknown]),
            (integer(Comparison::Neq, 2), [False, True, Null, Unknown]),
            (integer(Comparison::Gt, 2), [False, True, Null, Unknown]),
            (integer(Comparison::Lte, 10), [True, True, Null, Unknown]),
        ];
        for (test, expected) in cases {
            let known = [Known::Value(b"2"), Known::Value(b"10"), Known::Null, Known::Unknown];
            assert_eq!(known.map(|known| decide(&test, known)), expected, "{test:?}");
        }
        // A column that is no number any more.
        assert_eq!(decide(&two(), Known::Value(b"two")), Unknown);
        let padded = Test::Compare(COLUMN, Comparison::Eq, Exact::Padded("ab".into()));
        assert_eq!(decide(&padded, Known::Value(b"ab    ")), True);
    }

    #[test]
    fn equality_that_must_hold_is_found() {
        let two = || integer(Comparison::Eq, 2);
        let found = Some((COLUMN, Box::from("2")));
        assert_eq!(Test::All(vec![Test::Ask, Test::All(vec![two()])]).equality(), found);
        for test in [Test::Any(vec![two()]), Test::Not(Box::new(two())), integer(Comparison::Gte, 2)] {
            assert_eq!(test.equality(), None, "{test:?}");
        }
    }

    #[test]
    fn values_are_read_as_the_log_writes_them() {
        assert_eq!(
            uuid("{A0EEBC99-9c0b4ef8-bb6d6bb9bd380a11}").unwrap(),
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
        );
        assert_eq!((uuid("a0eebc99"), uuid(&"g".repeat(32))), (None, None));
        let array = elements("{\"a\",NULL,\"N \\\"x\\\\,}\"}");
        assert_eq!(array, [Some("a".to_owned()), None, Some("N \"x\\,}".to_owned())]);
        assert_eq!(elements("{}"), []);
    }
}
