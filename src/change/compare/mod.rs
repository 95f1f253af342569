//! Comparing values by their texts, exactly as Postgres does, or not at all.
//!
//! A [`Kind`] turns the text that a type's output function prints (in a session of pinned output:
//! `postgres::session`) into a [`Key`]: keys of equal values are equal bytes, and where the order of the
//! type can be had, the order of the keys is that of the values. So equality is a look-up by hash and a
//! range one in a tree, whatever the type.

mod number;
mod time;
mod truth;

use std::sync::Arc;

use smallvec::SmallVec;

pub use truth::Truth;

/// What a value becomes to be compared: most fit without an allocation.
pub type Key = SmallVec<[u8; 24]>;

/// How the values of a type compare.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Equal values print alike; their order is not known here.
    Opaque,
    /// The order of the printed bytes is that of the values: texts (as under COLLATE "C"), and types that
    /// print in a fixed width.
    Bytes,
    /// `character(n)`: as [`Kind::Bytes`], blanks at the end do not count (PostgreSQL manual, 8.3).
    Padded,
    /// Whole numbers of at most 64 bits, with a sign or without.
    Integer,
    /// Digits without end, NaN and infinities (manual, 8.1.2).
    Numeric,
    /// `float4` and `float8`: NaN equals itself and is above all others, -0 equals 0 (manual, 8.1.3).
    Float,
    /// `date`.
    Date,
    /// `time`.
    Time,
    /// `timetz`: by the moment, then by the zone.
    TimeTz,
    /// `timestamp`, and `timestamptz` in UTC.
    Timestamp,
    /// `interval`: a month counts as 30 days, a day as 24 hours, as Postgres compares them.
    Interval,
    /// `pg_lsn`: two halves of 64 bits in hexadecimal.
    Lsn,
    /// An enum in the order of its labels, as `pg_enum` had them.
    Labels(Arc<[Box<str>]>),
}

impl Kind {
    /// The kind of a type of Postgres' own, by `pg_type.typname`; of a domain, by its base type's. `None`
    /// for a type of which equal values may print differently.
    #[must_use]
    pub fn of(base_type: &str) -> Option<Self> {
        Some(match base_type {
            "bool" | "text" | "varchar" | "name" | "uuid" | "bytea" | "macaddr" | "macaddr8" | "bit"
            | "varbit" => Self::Bytes,
            "bpchar" => Self::Padded,
            "int2" | "int4" | "int8" | "oid" | "xid8" => Self::Integer,
            "numeric" => Self::Numeric,
            "float4" | "float8" => Self::Float,
            "date" => Self::Date,
            "time" => Self::Time,
            "timetz" => Self::TimeTz,
            "timestamp" | "timestamptz" => Self::Timestamp,
            "interval" => Self::Interval,
            "pg_lsn" => Self::Lsn,
            // xid has no order; a money's depends on lc_monetary to be read, and that of addresses and of "char" is not
            // that of their texts.
            "char" | "inet" | "cidr" | "money" | "xid" => Self::Opaque,
            _ => return None,
        })
    }

    /// Whether the order of keys is the order of values.
    #[must_use]
    pub const fn ordered(&self) -> bool {
        !matches!(self, Self::Opaque)
    }

    /// The key of a value. `None` for a text that no value of the type prints, as after the column's type
    /// was changed: nothing is known of it then.
    #[must_use]
    pub fn key(&self, text: &[u8]) -> Option<Key> {
        match self {
            Self::Opaque | Self::Bytes => Some(Key::from_slice(text)),
            Self::Padded => {
                let end = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
                text.get(..end).map(Key::from_slice)
            }
            Self::Labels(labels) => {
                let rank = labels.iter().position(|label| label.as_bytes() == text)?;
                Some(Key::from_slice(&u32::try_from(rank).ok()?.to_be_bytes()))
            }
            _ => {
                let text = std::str::from_utf8(text).ok()?;
                match self {
                    Self::Integer => text.parse().ok().map(signed),
                    Self::Numeric => number::numeric(text),
                    Self::Float => number::float(text),
                    Self::Date => time::date(text),
                    Self::Time => time::time(text).map(|micros| signed(micros.into())),
                    Self::TimeTz => time::time_with_zone(text),
                    Self::Timestamp => time::timestamp(text),
                    Self::Interval => time::interval(text),
                    _ => number::lsn(text),
                }
            }
        }
    }
}

/// Whether two values of a type of Postgres' own are equal exactly if their texts are, but for what
/// [`Kind::key`] takes away.
#[must_use]
pub fn comparable(base_type: &str) -> bool {
    // The texts of these are equal for some equal values and not for others.
    !matches!(base_type, "interval") && Kind::of(base_type).is_some()
}

/// A number as bytes in its order.
fn signed(number: i128) -> Key {
    let shifted = number.cast_unsigned() ^ (1 << 127);
    // Whole numbers of 64 bits, and most others, differ in the lower half alone; both halves are kept.
    Key::from_slice(&shifted.to_be_bytes())
}

#[cfg(test)]
mod tests;
