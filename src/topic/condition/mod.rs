//! A filter after the catalog was asked: what it says of a row's values, and the same as SQL.

mod sql;
pub mod text;

use std::cmp::Ordering;

use super::filter::{Comparison, Matching, Singleton};
use crate::change::compare::{Key, Kind, Truth};
use text::TextPattern;

/// A value of a row, as far as the log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// This, as its type prints it.
    Value(&'a [u8]),
    /// NULL.
    Null,
    /// Not repeated by the log, or not part of the identity.
    Unknown,
}

/// A column that conditions speak of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its name.
    pub name: Box<str>,
    /// Its type, or the one that its domain is over, as SQL may name it: quoted where it must be.
    pub sql_type: Box<str>,
    /// Whether values are texts, which compare under COLLATE "C".
    pub text: bool,
}

/// What a row must be. Columns are meant by their place in a list that lies beside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// All of these.
    All(Box<[Condition]>),
    /// At least one of these.
    Any(Box<[Condition]>),
    /// Not this.
    Not(Box<Condition>),
    /// One column's condition.
    Test {
        /// The column's place.
        column: usize,
        /// What its value is held against.
        test: Test,
    },
}

/// What a value is held against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// Another value.
    Compare(Kind, Comparison, Operand),
    /// Several, one of which it must equal.
    Among(Kind, Box<[Operand]>),
    /// Null or a boolean.
    Is(Singleton),
    /// A pattern.
    Matches(Matching, TextPattern),
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// What is compared.
    pub key: Key,
    /// The value as its type prints it.
    pub text: Box<str>,
}

impl Operand {
    /// A value by its canonical text; `None` if it is none of the kind.
    #[must_use]
    pub fn new(kind: &Kind, text: String) -> Option<Self> {
        Some(Self { key: kind.key(text.as_bytes())?, text: text.into() })
    }
}

impl Condition {
    /// What it is for a row, of which `known` tells the value of a column by its place.
    pub fn truth<'a>(&self, known: &impl Fn(usize) -> Known<'a>) -> Truth {
        match self {
            Self::All(conditions) => {
                conditions.iter().fold(Truth::TRUE, |all, one| all.and(one.truth(known)))
            }
            Self::Any(conditions) => {
                conditions.iter().fold(Truth::FALSE, |any, one| any.or(one.truth(known)))
            }
            Self::Not(condition) => condition.truth(known).not(),
            Self::Test { column, test } => test.truth(known(*column)),
        }
    }

    /// The SQL that decides the same.
    #[must_use]
    pub fn sql(&self, columns: &[Column]) -> String {
        let mut out = String::new();
        sql::write(&mut out, self, columns);
        out
    }
}

impl Test {
    fn truth(&self, known: Known<'_>) -> Truth {
        match (self, known) {
            (Self::Is(_) | Self::Compare(_, Comparison::Distinct, _), Known::Unknown) => Truth::EITHER,
            (Self::Is(singleton), known) => Truth::of(match singleton {
                Singleton::Null | Singleton::Unknown => known == Known::Null,
                Singleton::True => known == Known::Value(b"t"),
                Singleton::False => known == Known::Value(b"f"),
            }),
            (Self::Compare(_, Comparison::Distinct, _), Known::Null) => Truth::TRUE,
            // Whatever is compared with null is null (PostgreSQL manual, 9.2).
            (_, Known::Null) => Truth::NULL,
            (_, Known::Unknown) => Truth::ANY,
            // A text without a key is a value still, which the type that the column had does not know.
            (Self::Compare(kind, comparison, operand), Known::Value(text)) => {
                kind.key(text).map_or(Truth::EITHER, |key| Truth::of(comparison.holds(key.cmp(&operand.key))))
            }
            (Self::Among(kind, operands), Known::Value(text)) => kind
                .key(text)
                .map_or(Truth::EITHER, |key| Truth::of(operands.iter().any(|operand| operand.key == key))),
            (Self::Matches(_, pattern), Known::Value(text)) => {
                std::str::from_utf8(text).map_or(Truth::EITHER, |text| Truth::of(pattern.matches(text)))
            }
        }
    }
}

impl Comparison {
    /// Whether it holds of a value that stands so to its operand.
    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Neq | Self::Distinct => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Lte => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Gte => order.is_ge(),
        }
    }
}

#[cfg(test)]
mod tests;
