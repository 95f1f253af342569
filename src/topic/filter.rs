//! Filters on a topic: the operators' names, and equality as Postgres means it.

use std::borrow::Cow;

use super::TopicError;
use crate::change::types::{Shape, TypeInfo};

/// The names of all operators that the field knows (`PostgREST`'s). Only `eq` is served now; the others
/// are refused by name, so that nobody takes silence for an empty result.
pub struct Operator;

impl Operator {
    const LATER: [&'static str; 13] = [
        "neq",
        "lt",
        "lte",
        "gt",
        "gte",
        "in",
        "like",
        "ilike",
        "is",
        "match",
        "imatch",
        "isdistinct",
        "not",
    ];

    /// The operand of `eq.OPERAND`.
    ///
    /// # Errors
    /// Names the operator that is not served.
    pub fn equality_operand(condition: &str) -> Result<&str, TopicError> {
        let (operator, operand) = condition.split_once('.').ok_or(TopicError::FilterShape)?;
        if operator == "eq" {
            return Ok(operand);
        }
        let later = Self::LATER.into_iter().find(|name| *name == operator);
        Err(later.map_or(TopicError::OperatorUnknown, |name| TopicError::OperatorUnsupported { name }))
    }
}

/// The key under which equal values of a type are equal bytes, made from the value's canonical text (what
/// the type's output function prints).
///
/// Most types print equal values alike. The exceptions handled here: numeric keeps its scale (`1.50`
/// equals `1.5`), floats know `-0`, and `character(n)` is padded (PostgreSQL manual, 8.1 and 8.3).
/// Types with other exceptions are refused at the join, see [`comparable`].
#[must_use]
pub fn equality_key<'a>(info: &TypeInfo, text: &'a [u8]) -> Cow<'a, [u8]> {
    match info.shape {
        Shape::Numeric => Cow::Borrowed(trim_scale(text)),
        Shape::Float if text == b"-0" => Cow::Borrowed(b"0"),
        _ if &*info.name == "bpchar" => Cow::Borrowed(trim_end(text, b' ')),
        _ => Cow::Borrowed(text),
    }
}

/// Whether `eq` on a type, by the name of its base type, is exactly equality of [`equality_key`]s. Enums
/// are too; the caller knows them from the catalog. Text compares byte by byte, as under COLLATE "C".
#[must_use]
pub fn comparable(base_type: &str) -> bool {
    matches!(
        base_type,
        "bool"
            | "int2"
            | "int4"
            | "int8"
            | "float4"
            | "float8"
            | "numeric"
            | "oid"
            | "text"
            | "varchar"
            | "bpchar"
            | "name"
            | "char"
            | "uuid"
            | "date"
            | "time"
            | "timestamp"
            | "timestamptz"
            | "bytea"
            | "inet"
            | "cidr"
            | "macaddr"
            | "macaddr8"
            | "bit"
            | "varbit"
            | "money"
            | "pg_lsn"
            | "xid"
            | "xid8"
    )
}

/// `1.500` to `1.5`, `2.0` to `2`; `100` stays.
fn trim_scale(text: &[u8]) -> &[u8] {
    if !text.contains(&b'.') {
        return text;
    }
    let text = trim_end(text, b'0');
    text.strip_suffix(b".").unwrap_or(text)
}

fn trim_end(text: &[u8], byte: u8) -> &[u8] {
    let end = text.iter().rposition(|b| *b != byte).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::types::builtin;

    #[test]
    fn equal_values_have_equal_keys() {
        // OIDs of numeric, float8, bpchar, text and int8 (pg_type.dat).
        let cases: [(u32, &str, &str); 9] = [
            (1700, "1.500", "1.5"),
            (1700, "2.00", "2"),
            (1700, "0.00", "0"),
            (1700, "100", "100"),
            (1700, "NaN", "NaN"),
            (701, "-0", "0"),
            (1042, "ab   ", "ab"),
            (25, "ab   ", "ab   "),
            (20, "100", "100"),
        ];
        for (oid, text, key) in cases {
            let info = builtin(oid).expect("a built-in type");
            assert_eq!(equality_key(&info, text.as_bytes()), key.as_bytes(), "{text} as {}", info.name);
        }
    }

    #[test]
    fn types_with_loose_equality_are_refused() {
        for name in ["interval", "citext", "json", "jsonb", "_int4", "point", "timetz", "hstore", "tsvector"]
        {
            assert!(!comparable(name), "{name}");
        }
    }
}
