//! Positions in the write-ahead log, and the cursors that name one change for ever.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A byte position in the write-ahead log, printed as Postgres does: `16/B374D848`
/// (Postgres manual, 8.20 `pg_lsn` Type).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// A text that is not the token it should be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not a valid {what}")]
pub struct ParseError {
    /// What the text should have been: `LSN`, `cursor` or `epoch`.
    pub what: &'static str,
}

impl FromStr for Lsn {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = ParseError { what: "LSN" };
        let (high, low) = text.split_once('/').ok_or(error.clone())?;
        let high = hex(high, 8).ok_or(error.clone())?;
        let low = hex(low, 8).ok_or(error)?;
        Ok(Self(high << 32 | low))
    }
}

/// Up to `digits` hexadecimal digits; `from_str_radix` alone would accept a sign.
fn hex(text: &str, digits: usize) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// The identity of one change: totally ordered, the same on every node and after every re-decoding.
///
/// Neither LSN alone will do: the rows of one `COPY` share an LSN, and a plain ordinal shifts when a
/// transaction that was open across an `ALTER PUBLICATION` is decoded a second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// Start of the commit record (`Begin.final_lsn`); grows strictly in stream order.
    pub commit: Lsn,
    /// Where the change itself lies in the log (`XLogData.wal_start`).
    pub change: Lsn,
    /// Position among the changes of this transaction that share `change`.
    pub index: u32,
}

impl Cursor {
    /// A cursor before every change that commits at or after `lsn`.
    #[must_use]
    pub const fn before(lsn: Lsn) -> Self {
        Self { commit: lsn, change: Lsn(0), index: 0 }
    }

    /// Appends the token. Every change has one, and formatting is most of what a small payload costs.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_hex(out, self.commit.0);
        out.push(b'-');
        write_hex(out, self.change.0);
        out.push(b'-');
        write_hex(out, u64::from(self.index));
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}-{:X}-{:X}", self.commit.0, self.change.0, self.index)
    }
}

/// Upper-case hexadecimal digits without leading zeros.
fn write_hex(out: &mut Vec<u8>, number: u64) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = u8::try_from(number >> (place * 4) & 0xF).unwrap_or_default();
        out.push(if digit < 10 { b'0' + digit } else { b'A' + digit - 10 });
    }
}

impl FromStr for Cursor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parse = || {
            let mut parts = text.split('-');
            let commit = Lsn(hex(parts.next()?, 16)?);
            let change = Lsn(hex(parts.next()?, 16)?);
            let index = u32::try_from(hex(parts.next()?, 8)?).ok()?;
            parts.next().is_none().then_some(Self { commit, change, index })
        };
        parse().ok_or(ParseError { what: "cursor" })
    }
}

/// The history a cursor belongs to: a promoted standby or a restored backup starts another one, and
/// cursors of another epoch mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// `systemid` of `IDENTIFY_SYSTEM`.
    pub system: u64,
    /// `timeline` of `IDENTIFY_SYSTEM`.
    pub timeline: u32,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.system, self.timeline)
    }
}

impl FromStr for Epoch {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parse = || {
            let (system, timeline) = text.split_once('-')?;
            Some(Self { system: hex(system, 16)?, timeline: u32::try_from(hex(timeline, 8)?).ok()? })
        };
        parse().ok_or(ParseError { what: "epoch" })
    }
}

/// From where a client wants to go on: `CURSOR`, or `EPOCH.CURSOR` where one token must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The last change that it has seen, or a position that it was told.
    pub cursor: Cursor,
    /// The history that the cursor is of; without it the cursor means nothing.
    pub epoch: Option<Epoch>,
}

impl FromStr for Since {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (epoch, cursor) = match text.split_once('.') {
            Some((epoch, cursor)) => (Some(epoch.parse()?), cursor),
            None => (None, text),
        };
        Ok(Self { cursor: cursor.parse()?, epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lsn_reads_back_what_it_prints() {
        for lsn in [Lsn(0), Lsn(0x16_B374_D848), Lsn(u64::MAX)] {
            assert_eq!(lsn.to_string().parse(), Ok(lsn));
        }
        for bad in ["", "/", "1", "1/", "+1/2", "1/123456789", "g/0"] {
            assert_eq!(bad.parse::<Lsn>(), Err(ParseError { what: "LSN" }), "{bad}");
        }
    }

    #[test]
    fn cursor_orders_by_commit_then_change_then_index() {
        let cursor = |commit, change, index| Cursor { commit: Lsn(commit), change: Lsn(change), index };
        let ordered = [cursor(1, 9, 9), cursor(2, 1, 0), cursor(2, 1, 1), cursor(2, 2, 0)];
        assert!(ordered.is_sorted());
        assert!(Cursor::before(Lsn(2)) < cursor(2, 1, 0));
        for cursor in ordered {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for cursor in [cursor(0, 0, 0), cursor(0xF, 0x10, 0xA), cursor(u64::MAX, 0x1234_ABCD, u32::MAX)] {
            let mut written = Vec::new();
            cursor.write(&mut written);
            assert_eq!(String::from_utf8(written), Ok(cursor.to_string()));
        }
        for bad in ["", "1-2", "1-2-3-4", "1-2-x", "1--3", "1-2-123456789"] {
            assert_eq!(bad.parse::<Cursor>(), Err(ParseError { what: "cursor" }), "{bad}");
        }
    }

    #[test]
    fn epoch_reads_back_what_it_prints() {
        let epoch = Epoch { system: 7_312_345_678_901_234_567, timeline: 3 };
        assert_eq!(epoch.to_string().parse(), Ok(epoch));
        assert!("7-".parse::<Epoch>().is_err());
        let cursor = Cursor { commit: Lsn(0x10), change: Lsn(0xF), index: 2 };
        assert_eq!(format!("{epoch}.{cursor}").parse(), Ok(Since { cursor, epoch: Some(epoch) }));
        assert_eq!(cursor.to_string().parse(), Ok(Since { cursor, epoch: None }));
        for bad in ["", ".", "7-1.", ".10-F-2", "7-1.10-F", "10-F-2.7-1"] {
            assert!(bad.parse::<Since>().is_err(), "{bad}");
        }
    }
}
