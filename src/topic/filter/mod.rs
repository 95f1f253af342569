//! A filter as a client writes it. The grammar is that of `PostgREST`'s horizontal filters
//! (docs/protocol.md, "Filters"); names and values are texts until the catalog was asked.

mod parsing;

use super::TopicError;

/// The most values in one list of `in`.
pub const LIST_VALUES: usize = 100;

/// The most conditions in one filter.
pub const CONDITIONS: usize = 50;

/// How deep `and` and `or` may stand in each other.
pub const DEPTH: usize = 8;

/// What rows must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of these: conditions between commas, `and=(..)`.
    All(Vec<Filter>),
    /// At least one of these: `or=(..)`.
    Any(Vec<Filter>),
    /// Not this: `not.`.
    Not(Box<Filter>),
    /// One column's condition.
    Test {
        /// Column name.
        column: String,
        /// What its value is held against.
        test: Test,
    },
}

/// What a value is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// `eq`, `neq`, `lt`, `lte`, `gt`, `gte` and `isdistinct`, with a value of the column's type.
    Compare(Comparison, String),
    /// `in`, with values of the column's type.
    Among(Vec<String>),
    /// `is`.
    Is(Singleton),
    /// `like`, `ilike`, `match` and `imatch`, with a pattern.
    Matches(Matching, String),
}

/// An operator between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Eq,
    /// `<>`
    Neq,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `IS DISTINCT FROM`
    Distinct,
}

/// What `is` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Singleton {
    /// `IS NULL`
    Null,
    /// `IS TRUE`
    True,
    /// `IS FALSE`
    False,
    /// `IS UNKNOWN`: null, of a boolean.
    Unknown,
}

/// An operator between a text and a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matching {
    /// `LIKE`
    Like,
    /// `ILIKE`
    ILike,
    /// `~`
    Match,
    /// `~*`
    IMatch,
}

impl Matching {
    /// The name in a filter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::ILike => "ilike",
            Self::Match => "match",
            Self::IMatch => "imatch",
        }
    }

    /// Whether the case of letters does not count.
    #[must_use]
    pub const fn folds(self) -> bool {
        matches!(self, Self::ILike | Self::IMatch)
    }
}

impl Comparison {
    /// Whether it asks for more than equality.
    #[must_use]
    pub const fn orders(self) -> bool {
        matches!(self, Self::Lt | Self::Lte | Self::Gt | Self::Gte)
    }
}

impl Filter {
    /// Reads what stands behind the table's name in a topic.
    ///
    /// # Errors
    /// Says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        parsing::filter(text)
    }
}

#[cfg(test)]
mod tests;
