//! Values of a row of the log, by the names of their columns.

use std::borrow::Cow;

use crate::change::compare::comparable;
use crate::change::{Column, OldRow, Relation, Row};
use crate::graphql::read_set::Values;
use crate::pgoutput::{Column as Raw, ReplicaIdentity};

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// Its text, as the type's output function prints it.
    Text(&'a str),
    /// It is null.
    Null,
    /// The log did not say.
    Unknown,
}

/// A row of the log as far as it is known.
#[derive(Clone)]
pub(super) struct Tuple<'a> {
    relation: &'a Relation,
    values: Vec<Known<'a>>,
}

impl<'a> Tuple<'a> {
    /// A whole row; large values that did not change may be missing.
    pub(super) fn new(relation: &'a Relation, row: &'a Row) -> Self {
        Self { relation, values: row.columns().map(known).collect() }
    }

    /// A row as it was.
    pub(super) fn old(relation: &'a Relation, old: &'a OldRow) -> Self {
        let mut all = Self::new(relation, old.row());
        for (value, column) in all.values.iter_mut().zip(&relation.columns) {
            if !old.knows(column) {
                *value = Known::Unknown;
            }
        }
        all
    }

    /// The value of a column; unknown as well where the publication leaves the column out.
    pub(super) fn get(&self, name: &str) -> Known<'a> {
        self.position(name).and_then(|place| self.values.get(place).copied()).unwrap_or(Known::Unknown)
    }

    /// What of this row is known from the log's telling that its identity did not change.
    pub(super) fn identity(&self) -> Self {
        let mut before = self.clone();
        for (value, column) in before.values.iter_mut().zip(&self.relation.columns) {
            if !column.key {
                *value = Known::Unknown;
            }
        }
        before
    }

    /// This row, its unchanged large values taken from before.
    pub(super) fn completed(mut self, before: &Self) -> Self {
        for (value, old) in self.values.iter_mut().zip(&before.values) {
            if *value == Known::Unknown {
                *value = *old;
            }
        }
        self
    }

    /// Whether any value is, or may be, another one. Only a table of which whole rows are told can have none that is: else
    /// what differs may be a column that the publication leaves out (PostgreSQL manual, 29.5 "Column Lists").
    pub(super) fn differs(&self, other: &Self) -> bool {
        let unknown = |value: &Known<'_>| *value == Known::Unknown;
        self.relation.identity != ReplicaIdentity::Full
            || self
                .values
                .iter()
                .zip(&other.values)
                .any(|(one, two)| unknown(one) || unknown(two) || one != two)
    }

    /// The column of this name.
    fn column(&self, name: &str) -> Option<&'a Column> {
        self.relation.columns.get(self.position(name)?)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.relation.columns.iter().position(|column| &*column.name == name)
    }

    /// The values of these columns in the form of [`place`]. `Ok(None)`: one is null, so that the row is equal to none.
    ///
    /// # Errors
    /// Where one is not known, or equality of its type is more than equality of texts.
    pub(super) fn place(&self, columns: &[String]) -> Result<Option<String>, Unknown> {
        let mut out = String::new();
        for name in columns {
            let column = self.column(name).ok_or(Unknown)?;
            match self.get(name) {
                Known::Null => return Ok(None),
                Known::Unknown => return Err(Unknown),
                Known::Text(_) if !comparable(&column.info.name) => return Err(Unknown),
                Known::Text(text) => push(&mut out, text),
            }
        }
        Ok(Some(out))
    }
}

/// Something that the log does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown;

fn known(value: Raw<'_>) -> Known<'_> {
    match value {
        Raw::Null => Known::Null,
        Raw::Text(text) => std::str::from_utf8(text).map_or(Known::Unknown, Known::Text),
        Raw::Unchanged | Raw::Binary(_) => Known::Unknown,
    }
}

/// Where a row with these values is looked for: texts that may be of equal values are equal here. Some that are not equal are as
/// well, since this is only where to look. `None`: one of them is null, and nothing equals that.
pub(super) fn place(values: &Values) -> Option<String> {
    let mut out = String::new();
    for value in values {
        push(&mut out, value.as_deref()?);
    }
    Some(out)
}

fn push(out: &mut String, text: &str) {
    out.push_str(&loose(text));
    out.push('\u{1f}');
}

/// One form for all texts of a value: `character(n)` is padded in the log and not as text, `boolean` is `t` there and `true`
/// here, `inet` has its mask in one only; numbers may keep a scale; `citext` knows no case; clients write `01` for 1.
pub(super) fn loose(text: &str) -> Cow<'_, str> {
    let text = text.trim_end_matches(' ');
    if let Some(number) = number(text) {
        return number;
    }
    match text {
        "t" => return Cow::Borrowed("true"),
        "f" => return Cow::Borrowed("false"),
        _ => {}
    }
    let text = text.strip_suffix("/32").or_else(|| text.strip_suffix("/128")).unwrap_or(text);
    let hexadecimal =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-{}".contains(&byte));
    if (32..=41).contains(&text.len()) && hexadecimal(text) {
        return Cow::Owned(
            text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_lowercase(),
        );
    }
    if text.chars().any(char::is_uppercase) { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}

/// A plain decimal number without the zeros that do not count.
fn number(text: &str) -> Option<Cow<'_, str>> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !(plain(whole) && plain(fraction)) || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    if fraction.is_empty() {
        if whole == "0" {
            return Some(Cow::Borrowed("0"));
        }
        return Some(if negative { Cow::Owned(format!("-{whole}")) } else { Cow::Borrowed(whole) });
    }
    let sign = if negative { "-" } else { "" };
    Some(Cow::Owned(format!("{sign}{whole}.{fraction}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_one_value_are_looked_for_at_one_place() {
        for (texts, place) in [
            (&["1", "01", "+1", "1.0", "1.00 "][..], "1"),
            (&["0", "-0", "000", "0.0", "-0.00"], "0"),
            (&["-12.50", "-012.5"], "-12.5"),
            (&["t", "true", "TRUE"], "true"),
            (&["10.0.0.1", "10.0.0.1/32"], "10.0.0.1"),
            (&["Ab  ", "ab", "AB"], "ab"),
            (
                &["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"],
                "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            ),
            (&[""], ""),
            (&["-", "- "], "-"),
            (&["."], "."),
        ] {
            for text in texts {
                assert_eq!(loose(text), place, "{text}");
            }
        }
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let of = |values: &[&str]| place(&values.iter().map(|value| Some((*value).to_owned())).collect());
        assert_ne!(of(&["1", "23"]), of(&["12", "3"]));
        assert_eq!(place(&vec![Some("1".to_owned()), None]), None);
    }
}
