//! The grammar of topics: `realtime:*`, `realtime:SCHEMA`, `realtime:SCHEMA:TABLE` and
//! `realtime:SCHEMA:TABLE:FILTER`, where a filter is `COL=eq.VALUE` or what else [`filter`] reads.
//!
//! In schema, table and column names `%XX` stands for the byte XX, so that a name may hold `:` (`%3A`),
//! `=` (`%3D`), `%` (`%25`) or be a lone `*` (`%2A`). Values have no such escapes.

pub mod condition;
pub mod filter;
pub mod index;
pub mod pattern;

use thiserror::Error;

use filter::{CONDITIONS, DEPTH, Filter, LIST_VALUES};

/// What a topic string asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Every published table.
    All,
    /// Every published table of a schema.
    Schema(String),
    /// One table.
    Table {
        /// Schema name.
        schema: String,
        /// Table name.
        table: String,
    },
    /// The rows of one table that a filter lets through.
    Filtered {
        /// Schema name.
        schema: String,
        /// Table name.
        table: String,
        /// Its values are as the client wrote them; the database makes their canonical form.
        filter: Filter,
    },
}

/// Why a string is not a topic; the text is what a client reads.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TopicError {
    /// Not of the `realtime:` family. The text is Phoenix' own.
    #[error("unmatched topic")]
    Unmatched,
    /// Longer than any name could make it.
    #[error("TopicInvalid: the topic has {have} bytes; at most {TOPIC_BYTES} are allowed")]
    TooLong {
        /// Length in bytes.
        have: usize,
    },
    /// A part with nothing in it.
    #[error(
        "TopicInvalid: the {part} is empty; a topic is realtime:SCHEMA:TABLE:COL=eq.VALUE or a prefix of it"
    )]
    Empty {
        /// `schema`, `table` or `column`.
        part: &'static str,
    },
    /// A `%` that does not begin an escape, or an escape that is not UTF-8.
    #[error("TopicInvalid: the {part} has a bad escape; write % as %25, and : as %3A")]
    BadEscape {
        /// `schema`, `table` or `column`.
        part: &'static str,
    },
    /// A filter that is not `COL=OP.VALUE`.
    #[error(
        "FilterInvalid: a filter is COL=OP.VALUE, several with commas between them, or or=(COL.OP.VALUE,..)"
    )]
    FilterShape,
    /// An operator that nobody knows.
    #[error(
        "FilterInvalid: there is no such operator; there are eq, neq, lt, lte, gt, gte, in, is, isdistinct, like, ilike, \
         match and imatch"
    )]
    OperatorUnknown,
    /// `is` with something else.
    #[error("FilterInvalid: is takes null, true, false or unknown")]
    FilterSingleton,
    /// `in` without its brackets.
    #[error("FilterInvalid: in takes a list in brackets, as in COL=in.(A,B)")]
    FilterList,
    /// `in` with nothing in its brackets.
    #[error("FilterInvalid: in takes at least one value; an empty text is written in.(\"\")")]
    ListEmpty,
    /// A bracket that stays open.
    #[error(
        "FilterInvalid: a bracket is not closed; a value with a comma or a bracket in it stands in double quotes"
    )]
    FilterBracket,
    /// A quotation mark that stays open.
    #[error(
        "FilterInvalid: a double quote is not closed; a quote or backslash that is meant has a backslash before it"
    )]
    FilterQuote,
    /// Something behind a complete filter.
    #[error(
        "FilterInvalid: something follows a list, a tree or a value in quotes; only a comma and a condition may"
    )]
    FilterTrailing,
    /// Too many brackets in brackets.
    #[error("FilterTooLarge: and and or may stand in each other {DEPTH} deep")]
    FilterDeep,
    /// Too many conditions.
    #[error("FilterTooLarge: a filter has at most {CONDITIONS} conditions")]
    FilterLong,
    /// Too many values in a list.
    #[error("FilterTooLarge: a list has at most {LIST_VALUES} values")]
    ListLong,
}

/// The longest topic accepted, in bytes. Three escaped names of 63 bytes need 567; the rest is for the
/// value.
pub const TOPIC_BYTES: usize = 8 * 1024;

impl Topic {
    /// Reads a topic string.
    ///
    /// # Errors
    /// Says which part is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let rest = text.strip_prefix("realtime:").ok_or(TopicError::Unmatched)?;
        if text.len() > TOPIC_BYTES {
            return Err(TopicError::TooLong { have: text.len() });
        }
        if rest == "*" {
            return Ok(Self::All);
        }
        let mut parts = rest.splitn(3, ':');
        let schema = name(parts.next().unwrap_or_default(), "schema")?;
        let Some(table) = parts.next() else { return Ok(Self::Schema(schema)) };
        let table = name(table, "table")?;
        let Some(filter) = parts.next() else { return Ok(Self::Table { schema, table }) };
        let filter = Filter::parse(filter)?;
        Ok(Self::Filtered { schema, table, filter })
    }
}

/// One name with its escapes undone.
fn name(text: &str, part: &'static str) -> Result<String, TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty { part });
    }
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let error = TopicError::BadEscape { part };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else { return Err(error) };
            bytes.push(u8::try_from(high << 4 | low).unwrap_or_default());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::filter::{Comparison, Test};
    use super::*;

    fn parse(text: &str) -> Result<Topic, TopicError> {
        Topic::parse(text)
    }

    #[test]
    fn the_four_forms_are_read() {
        let (schema, table) = ("public".to_owned(), "users".to_owned());
        assert_eq!(parse("realtime:*"), Ok(Topic::All));
        assert_eq!(parse("realtime:public"), Ok(Topic::Schema(schema.clone())));
        assert_eq!(
            parse("realtime:public:users"),
            Ok(Topic::Table { schema: schema.clone(), table: table.clone() })
        );
        let filtered = |column: &str, value: &str| {
            let test = Test::Compare(Comparison::Eq, value.into());
            let filter = Filter::Test { column: column.into(), test };
            Topic::Filtered { schema: schema.clone(), table: table.clone(), filter }
        };
        assert_eq!(parse("realtime:public:users:id=eq.1"), Ok(filtered("id", "1")));
        assert_eq!(parse("realtime:public:users:at=eq.10:00:00=%3A."), Ok(filtered("at", "10:00:00=%3A.")));
        assert_eq!(parse("realtime:public:users:name=eq."), Ok(filtered("name", "")));
    }

    #[test]
    fn names_with_odd_characters_are_escaped() {
        let table =
            |schema: &str, table: &str| Ok(Topic::Table { schema: schema.into(), table: table.into() });
        assert_eq!(parse("realtime:a%3Ab:100%25"), table("a:b", "100%"));
        assert_eq!(parse("realtime:My Schema:Ta\"ble.x"), table("My Schema", "Ta\"ble.x"));
        assert_eq!(parse("realtime:%2A"), Ok(Topic::Schema("*".into())));
        assert_eq!(parse("realtime:gr%C3%BCn:ü"), table("grün", "ü"));
        for bad in ["realtime:a%", "realtime:a%3", "realtime:a%zz", "realtime:%FF", "realtime:%+1"] {
            assert_eq!(parse(bad), Err(TopicError::BadEscape { part: "schema" }), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for other in ["", "room:1", "realtime", "Realtime:*"] {
            assert_eq!(parse(other), Err(TopicError::Unmatched), "{other}");
        }
        assert_eq!(parse("realtime:"), Err(TopicError::Empty { part: "schema" }));
        assert_eq!(parse("realtime:public:"), Err(TopicError::Empty { part: "table" }));
        assert_eq!(parse("realtime:public:users:"), Err(TopicError::FilterShape));
        assert_eq!(parse("realtime:public:users:=eq.1"), Err(TopicError::Empty { part: "column" }));
        assert_eq!(parse("realtime:public:users:id=1"), Err(TopicError::FilterShape));
        assert_eq!(parse("realtime:public:users:id=xx.1"), Err(TopicError::OperatorUnknown));
        let long = format!("realtime:{}", "x".repeat(TOPIC_BYTES));
        assert_eq!(parse(&long), Err(TopicError::TooLong { have: long.len() }));
    }

    proptest! {
        #[test]
        fn any_text_is_a_topic_or_an_error(text in "(realtime:)?.{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_names_survive_their_escape(schema in ".{1,20}", table in ".{1,20}", column in ".{1,20}", value in ".{0,20}") {
            let escape = |name: &str| name.bytes().fold(String::new(), |all, b| all + &format!("%{b:02x}"));
            let topic = format!("realtime:{}:{}:{}=eq.{value}", escape(&schema), escape(&table), escape(&column));
            // A value in which another condition begins is read otherwise.
            prop_assume!(!value.contains(','));
            let filter = Filter::Test { column, test: Test::Compare(Comparison::Eq, value) };
            prop_assert_eq!(parse(&topic), Ok(Topic::Filtered { schema, table, filter }));
        }
    }
}
