//! A value of the log as GraphQL's JSON: what [`crate::graphql::sql`] has the database write of the same value.

use crate::change::types::{self, TypeInfo, builtin};
use crate::change::value::{Profile, is_nested_array, write_array, write_string, write_value};
use crate::graphql::code;
use crate::graphql::model::{Form, Model, Shape, ValueType};

/// `inet`, whose text by a cast always has its mask.
const INET: u32 = 869;
/// `character(n)`, whose text by a cast has no blanks at its end.
const BPCHAR: u32 = 1042;

/// Why null stands in a value's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A float that is NaN or infinite.
    NotFinite,
    /// An array of more than one dimension.
    Nested,
}

impl Fault {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::NotFinite => code::NOT_FINITE,
            Self::Nested => code::ARRAY_NESTED,
        }
    }

    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::NotFinite => "NaN and infinite numbers cannot be told as Float",
            Self::Nested => "the array has more than one dimension",
        }
    }
}

/// Whether values of this type can be written from their text.
pub(super) fn is_told(value: &ValueType) -> bool {
    match &value.shape {
        Shape::Scalar(_) | Shape::Enum(_) => true,
        Shape::List(item) => !matches!(item.shape, Shape::List(_)) && is_told(item),
        Shape::Composite(_) => false,
    }
}

/// A value that was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) json: Vec<u8>,
    /// What is null for a reason: the value itself, or an element of a list.
    pub(super) faults: Vec<(Option<usize>, Fault)>,
}

impl Written {
    pub(super) fn null() -> Self {
        Self { json: b"null".to_vec(), faults: Vec::new() }
    }
}

/// The text is not what the type prints.
struct Unfit;

/// Writes a value; `None` if the text is not what its type prints, as while the type of a column changes.
pub(super) fn write(model: &Model, value: &ValueType, info: &TypeInfo, text: &[u8]) -> Option<Written> {
    let mut out = Vec::new();
    let mut faults = Vec::new();
    match (&value.shape, &info.shape) {
        (Shape::List(_), _) if is_nested_array(text) => {
            out.extend_from_slice(b"null");
            faults.push((None, Fault::Nested));
        }
        (Shape::List(item), types::Shape::Array { delimiter, .. }) => {
            let mut place = 0;
            write_array(&mut out, *delimiter, text, |out, element| {
                match element {
                    None => out.extend_from_slice(b"null"),
                    Some(text) => {
                        let fault = leaf(out, model, item, text).ok()?;
                        faults.extend(fault.map(|fault| (Some(place), fault)));
                    }
                }
                place += 1;
                Some(())
            })?;
        }
        (Shape::List(_) | Shape::Composite(_), _) => return None,
        (Shape::Scalar(_) | Shape::Enum(_), _) => {
            let fault = leaf(&mut out, model, value, text).ok()?;
            faults.extend(fault.map(|fault| (None, fault)));
        }
    }
    Some(Written { json: out, faults })
}

/// Appends one value that is no list.
fn leaf(out: &mut Vec<u8>, model: &Model, value: &ValueType, text: &[u8]) -> Result<Option<Fault>, Unfit> {
    let form = match &value.shape {
        Shape::Scalar(scalar) => scalar.form(),
        Shape::Enum(id) => {
            let label = std::str::from_utf8(text).map_err(|_| Unfit)?;
            let values = model.enums.get(*id).map(|kind| kind.values.as_slice()).unwrap_or_default();
            let name = values.iter().find(|(_, known)| known == label).map_or(label, |(name, _)| name);
            write_string(out, name.as_bytes());
            return Ok(None);
        }
        Shape::List(_) | Shape::Composite(_) => return Err(Unfit),
    };
    match form {
        Form::Number if is_integer(text) => out.extend_from_slice(text),
        Form::Float if is_finite(text) => out.extend_from_slice(text),
        Form::Float if matches!(text, b"NaN" | b"Infinity" | b"-Infinity") => {
            out.extend_from_slice(b"null");
            return Ok(Some(Fault::NotFinite));
        }
        Form::Boolean if matches!(text, b"t" | b"f") => {
            out.extend_from_slice(if text == b"t" { b"true" } else { b"false" });
        }
        Form::String if value.base == BPCHAR => write_string(out, trimmed(text)),
        Form::String if value.base == INET && !text.contains(&b'/') => {
            let mask: &[u8] = if text.contains(&b':') { b"/128" } else { b"/32" };
            write_string(out, &[text, mask].concat());
        }
        Form::String => write_string(out, text),
        Form::Timestamp { zoned } => moment(out, zoned, text),
        // Where the type was changed a moment ago, it may be any text.
        Form::Json if serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok() => {
            out.extend_from_slice(text);
        }
        Form::Number | Form::Float | Form::Boolean | Form::Json => return Err(Unfit),
    }
    Ok(None)
}

/// As `to_json` writes it, years before Christ too.
fn moment(out: &mut Vec<u8>, zoned: bool, text: &[u8]) {
    // timestamptz and timestamp (pg_type.dat).
    let Some(info) = builtin(if zoned { 1184 } else { 1114 }) else { return };
    let (plain, before_christ) = text.strip_suffix(b" BC").map_or((text, false), |plain| (plain, true));
    write_value(out, &info, plain, Profile::Default);
    if before_christ && out.last() == Some(&b'"') {
        out.pop();
        out.extend_from_slice(b" BC\"");
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    text.get(..end).unwrap_or(text)
}

fn is_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// What float4 and float8 print for a finite number is a number in JSON.
fn is_finite(text: &[u8]) -> bool {
    text.last().is_some_and(u8::is_ascii_digit)
        && text.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e'))
}
