//! What a statement could see (PostgreSQL manual, 9.27.9 "Transaction ID and Snapshot Information Functions").

use std::str::FromStr;

use thiserror::Error;

/// `pg_current_snapshot()`: which transactions had ended when a statement began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Everything before it had ended.
    xmin: u64,
    /// Nothing from it on had ended.
    xmax: u64,
    /// Between the two, those that had not; ascending.
    open: Box<[u64]>,
}

/// A text that is no snapshot.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a snapshot: xmin:xmax:xip,.. was expected")]
pub struct SnapshotError;

impl FromStr for Snapshot {
    type Err = SnapshotError;

    fn from_str(text: &str) -> Result<Self, SnapshotError> {
        let parse = || {
            let mut parts = text.split(':');
            let xmin = parts.next()?.parse().ok()?;
            let xmax = parts.next()?.parse().ok()?;
            let open = parts.next()?.split(',').filter(|xid| !xid.is_empty());
            let mut open: Vec<u64> = open.map(str::parse).collect::<Result<_, _>>().ok()?;
            open.sort_unstable();
            parts.next().is_none().then_some(Self { xmin, xmax, open: open.into() })
        };
        parse().ok_or(SnapshotError)
    }
}

impl Snapshot {
    /// Whether a transaction that has committed is visible in it. The log has the lower half of transaction ids; two that
    /// are alive at the same time are never 2^31 apart (PostgreSQL manual, 25.1.5 "Preventing Transaction ID
    /// Wraparound Failures").
    #[must_use]
    pub fn sees(&self, xid: u32) -> bool {
        let xid = self.whole(xid);
        xid < self.xmin || xid < self.xmax && self.open.binary_search(&xid).is_err()
    }

    /// Whether every transaction up to this one had ended.
    #[must_use]
    pub fn is_past(&self, xid: u32) -> bool {
        self.whole(xid) < self.xmin
    }

    /// Whether a transaction had got its id when this was taken.
    #[must_use]
    pub fn had_begun(&self, xid: u32) -> bool {
        self.whole(xid) < self.xmax
    }

    /// Those that had begun and not ended: the lower halves of their ids.
    pub fn open(&self) -> impl Iterator<Item = u32> {
        self.open.iter().map(|xid| u32::try_from(xid & u64::from(u32::MAX)).unwrap_or_default())
    }

    /// The transaction id with its epoch: the one that is nearest.
    fn whole(&self, xid: u32) -> u64 {
        let low = u32::try_from(self.xmax & u64::from(u32::MAX)).unwrap_or_default();
        let ahead = xid.wrapping_sub(low);
        if ahead < 1 << 31 {
            self.xmax.saturating_add(u64::from(ahead))
        } else {
            self.xmax.saturating_sub(u64::from(ahead.wrapping_neg()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        text.parse().unwrap()
    }

    #[test]
    fn what_had_ended_is_visible() {
        let some = snapshot("10:15:10,13");
        let seen: Vec<u32> = (8..17).filter(|xid| some.sees(*xid)).collect();
        assert_eq!(seen, [8, 9, 11, 12, 14]);
        assert!(some.is_past(9) && !some.is_past(10) && !some.is_past(11));
        assert!(snapshot("10:10:").sees(9) && !snapshot("10:10:").sees(10));
    }

    #[test]
    fn halves_of_transaction_ids_are_made_whole() {
        // 2^32 + 5: the epoch has just changed.
        let wrapped = snapshot("4294967290:4294967301:4294967298");
        assert!(wrapped.sees(u32::MAX) && wrapped.sees(1) && wrapped.sees(4));
        assert!(!wrapped.sees(2) && !wrapped.sees(5) && !wrapped.sees(1000));
        assert!(wrapped.sees(u32::MAX - 1000));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1", "1:2", "1:2:x", "1:2:3:4", "a:2:"] {
            assert_eq!(text.parse::<Snapshot>(), Err(SnapshotError), "{text}");
        }
    }
}
