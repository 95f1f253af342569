//! One value: its Postgres text and its type, to the bytes of one JSON value.
//!
//! The text is what the type's output function prints under the session settings that walcast pins.
//! It is written straight into the frame's buffer. Text that does not look as that function would
//! print it becomes a JSON string of itself, so that nothing is lost and the frame stays JSON.

mod array;
mod composite;
mod embedded;
mod hstore;
mod number;
mod quoted;
mod string;
mod timestamp;

#[cfg(test)]
mod properties;

pub use string::write_string;

use super::types::{Shape, TypeInfo};

/// How a client wants its values written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Native JSON wherever JSON has a notion for the type.
    #[default]
    Default,
    /// As the default, but `int8` and `numeric` are strings: a JavaScript number cannot hold them.
    Exact,
    /// Every value as a string of its Postgres text, as Supabase Realtime 0.x sent them.
    Text,
}

impl Profile {
    /// How many profiles there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every profile, in the order of [`Profile::index`].
    pub const ALL: [Self; 3] = [Self::Default, Self::Exact, Self::Text];

    /// What they are called in joins, parameters and settings.
    pub const NAMES: [&'static str; 3] = [Self::Default.name(), Self::Exact.name(), Self::Text.name()];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Exact => "exact",
            Self::Text => "text",
        }
    }

    /// The profile of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// The place of this profile among all.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Composites and arrays nest by type, and each level of the text quotes the one inside, which at
/// least doubles the quotes. A field ends at 1 GB, so real values stop before this depth.
const MAX_NESTING: u8 = 32;

/// Appends exactly one JSON value, in valid UTF-8 whatever `text` holds.
///
/// SQL NULL has no text: the caller writes `null` for it.
pub fn write_value(out: &mut Vec<u8>, info: &TypeInfo, text: &[u8], profile: Profile) {
    if profile == Profile::Text {
        write_string(out, text);
    } else {
        write_nested(out, info, text, Context { exact: profile == Profile::Exact, depth: 0 });
    }
}

/// Appends an array whose elements are written by `element`, which gets `None` for NULL and gives nothing where it cannot
/// write one; nothing then comes out of it all.
pub fn write_array(
    out: &mut Vec<u8>,
    delimiter: u8,
    text: &[u8],
    element: impl FnMut(&mut Vec<u8>, Option<&[u8]>) -> Option<()>,
) -> Option<()> {
    array::elements(out, delimiter, text, element)
}

/// Whether an array's text has more than one dimension.
#[must_use]
pub fn is_nested_array(text: &[u8]) -> bool {
    array::is_nested(text)
}

/// What a value inherits from the values around it.
#[derive(Clone, Copy)]
struct Context {
    exact: bool,
    depth: u8,
}

impl Context {
    fn inner(self) -> Self {
        Self { depth: self.depth.saturating_add(1), ..self }
    }
}

fn write_nested(out: &mut Vec<u8>, info: &TypeInfo, text: &[u8], context: Context) {
    match &info.shape {
        Shape::Bool => match text {
            b"t" => out.extend_from_slice(b"true"),
            b"f" => out.extend_from_slice(b"false"),
            _ => write_string(out, text),
        },
        Shape::BigInteger | Shape::Numeric if context.exact => write_string(out, text),
        Shape::SmallInteger | Shape::BigInteger | Shape::Float | Shape::Numeric => number::write(out, text),
        Shape::Json => embedded::write(out, text),
        Shape::Timestamp => timestamp::write(out, text),
        Shape::TimestampTz => timestamp::write_zoned(out, text),
        Shape::Hstore => or_string(out, text, |out| hstore::write(out, text)),
        Shape::Array { element, delimiter } if context.depth < MAX_NESTING => {
            or_string(out, text, |out| array::write(out, element, *delimiter, text, context.inner()));
        }
        Shape::Composite { attributes } if context.depth < MAX_NESTING => {
            or_string(out, text, |out| composite::write(out, attributes, text, context.inner()));
        }
        Shape::Text | Shape::Array { .. } | Shape::Composite { .. } => write_string(out, text),
    }
}

/// Takes back what a parser wrote before it met something it could not understand.
fn or_string(out: &mut Vec<u8>, text: &[u8], write: impl FnOnce(&mut Vec<u8>) -> Option<()>) {
    let start = out.len();
    if write(out).is_none() {
        out.truncate(start);
        write_string(out, text);
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::types::Type;

    use super::*;
    use crate::change::types::{Attribute, builtin};

    fn json(ty: &Type, text: &str, profile: Profile) -> String {
        let mut out = Vec::new();
        write_value(&mut out, &builtin(ty.oid()).unwrap(), text.as_bytes(), profile);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bool_is_native() {
        for (text, expected) in [("t", "true"), ("f", "false"), ("true", r#""true""#)] {
            assert_eq!(json(&Type::BOOL, text, Profile::Default), expected);
        }
    }

    #[test]
    fn numbers_keep_every_digit() {
        for (ty, text) in [
            (Type::INT2, "-32768"),
            (Type::INT8, "9223372036854775807"),
            (Type::FLOAT8, "1e+308"),
            (Type::FLOAT8, "-0"),
            (Type::FLOAT4, "0.1"),
            (Type::NUMERIC, "123456789012345678901234567890.12345678901234567890"),
            (Type::NUMERIC, "1.10"),
        ] {
            assert_eq!(json(&ty, text, Profile::Default), text);
        }
    }

    #[test]
    fn what_is_no_json_number_is_a_string() {
        for ty in [Type::FLOAT4, Type::FLOAT8, Type::NUMERIC] {
            for text in ["NaN", "Infinity", "-Infinity"] {
                assert_eq!(json(&ty, text, Profile::Default), format!("\"{text}\""));
                assert_eq!(json(&ty, text, Profile::Exact), format!("\"{text}\""));
            }
        }
    }

    #[test]
    fn exact_quotes_int8_and_numeric_and_nothing_else() {
        for (ty, text, expected) in [
            (Type::INT8, "1", r#""1""#),
            (Type::NUMERIC, "1.0", r#""1.0""#),
            (Type::INT8_ARRAY, "{1,NULL}", r#"["1",null]"#),
            (Type::NUMERIC_ARRAY, "{{1.0},{NaN}}", r#"[["1.0"],["NaN"]]"#),
            (Type::INT4, "1", "1"),
            (Type::FLOAT8, "1", "1"),
            (Type::INT4_ARRAY, "{1}", "[1]"),
            (Type::BOOL, "t", "true"),
            (Type::JSONB, r#"{"n": 1}"#, r#"{"n": 1}"#),
            (Type::INT8_RANGE, "[1,3)", r#""[1,3)""#),
        ] {
            assert_eq!(json(&ty, text, Profile::Exact), expected);
        }
        let pair = TypeInfo::composite("pair", vec![Attribute::new("n", builtin(Type::INT8.oid()).unwrap())]);
        let mut out = Vec::new();
        write_value(&mut out, &pair, b"(1)", Profile::Exact);
        assert_eq!(out, br#"{"n":"1"}"#);
    }

    #[test]
    fn the_text_profile_quotes_everything_as_it_is() {
        for (ty, text, expected) in [
            (Type::INT4, "1", r#""1""#),
            (Type::BOOL, "t", r#""t""#),
            (Type::JSON, r#"{"a":1}"#, r#""{\"a\":1}""#),
            (Type::INT4_ARRAY, "{1,NULL}", r#""{1,NULL}""#),
            (Type::TIMESTAMP, "2024-01-02 03:04:05", r#""2024-01-02 03:04:05""#),
        ] {
            assert_eq!(json(&ty, text, Profile::Text), expected);
        }
    }

    #[test]
    fn types_without_a_rule_are_their_text() {
        for (ty, text) in [
            (Type::BPCHAR, "bp   "),
            (Type::BIT, "101"),
            (Type::BYTEA, r"\xdeadbeef"),
            (Type::MONEY, "$1,234.50"),
            (Type::UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            (Type::DATE, "infinity"),
            (Type::INTERVAL, "1 year 2 mons 3 days 04:05:06"),
            (Type::INT2_VECTOR, "1 2"),
            (Type::OID, "4294967295"),
        ] {
            let value: String = serde_json::from_str(&json(&ty, text, Profile::Default)).unwrap();
            assert_eq!(value, text);
        }
    }

    #[test]
    fn types_nested_past_the_bound_end_as_text() {
        let mut info = builtin(Type::INT4.oid()).unwrap();
        let mut text = String::from("1");
        for _ in 0..3 {
            info = TypeInfo::array("_x", info, b',');
            text = format!("{{\"{}\"}}", text.replace('\\', "\\\\").replace('"', "\\\""));
        }
        let mut out = Vec::new();
        write_value(&mut out, &info, text.as_bytes(), Profile::Default);
        assert_eq!(out, b"[[[1]]]");

        let within = |depth| {
            let mut out = Vec::new();
            write_nested(&mut out, &info, text.as_bytes(), Context { exact: false, depth });
            out
        };
        assert_eq!(within(MAX_NESTING - 3), b"[[[1]]]");
        assert_eq!(within(MAX_NESTING - 2), br#"[["{\"1\"}"]]"#);
    }
}
