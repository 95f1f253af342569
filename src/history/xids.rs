//! Which of the newest transaction ids are in a set: one bit for each.

use crate::snapshot::Snapshot;

/// Transaction ids that are remembered, counted back from the newest: a mebibyte of them.
const REMEMBERED: u32 = 1 << 23;

/// A set of transaction ids. Those too far behind the newest are not known any more.
#[derive(Debug, Default)]
pub(super) struct Xids {
    /// Empty until there is one.
    bits: Vec<u64>,
    newest: u32,
}

impl Xids {
    pub(super) fn insert(&mut self, xid: u32) {
        if self.bits.is_empty() {
            self.bits = vec![0; (REMEMBERED / u64::BITS) as usize];
            self.newest = xid;
        }
        let ahead = xid.wrapping_sub(self.newest);
        if ahead < 1 << 31 {
            // The places of the ids between are those of ids long gone.
            if ahead >= REMEMBERED {
                self.bits.fill(0);
            } else {
                for passed in 1..=ahead {
                    self.set(self.newest.wrapping_add(passed), false);
                }
            }
            self.newest = xid;
        } else if ahead.wrapping_neg() >= REMEMBERED {
            return;
        }
        self.set(xid, true);
    }

    /// Whether one of them, or one that may have been of them, is not visible in `snapshot`.
    pub(super) fn any_hidden(&self, snapshot: &Snapshot) -> bool {
        if self.bits.is_empty() {
            return false;
        }
        // What began after the snapshot is hidden in it, as the newest then is.
        !snapshot.had_begun(self.newest) || snapshot.open().any(|xid| self.may_have(xid))
    }

    fn may_have(&self, xid: u32) -> bool {
        let behind = self.newest.wrapping_sub(xid);
        if behind >= 1 << 31 {
            return false;
        }
        let (word, bit) = place(xid);
        behind >= REMEMBERED || self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn set(&mut self, xid: u32, present: bool) {
        let (word, bit) = place(xid);
        if let Some(bits) = self.bits.get_mut(word) {
            if present {
                *bits |= bit;
            } else {
                *bits &= !bit;
            }
        }
    }
}

const fn place(xid: u32) -> (usize, u64) {
    let bit = xid % REMEMBERED;
    ((bit / u64::BITS) as usize, 1 << (bit % u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(xids: &[u32], snapshot: &str) -> bool {
        let mut set = Xids::default();
        for xid in xids {
            set.insert(*xid);
        }
        set.any_hidden(&snapshot.parse().unwrap())
    }

    #[test]
    fn what_a_snapshot_does_not_see_is_found() {
        assert!(!hidden(&[], "10:20:10,15"));
        assert!(!hidden(&[5, 9, 11, 19], "10:20:10,15"));
        assert!(hidden(&[15, 19], "10:20:10,15"));
        assert!(hidden(&[10], "10:20:10,15"));
        assert!(hidden(&[20], "10:20:10,15"), "it began later");
        assert!(!hidden(&[12], "10:20:10,15"));
    }

    #[test]
    fn what_is_not_remembered_may_have_been_there() {
        let far = 100 + REMEMBERED;
        assert!(!hidden(&[100, far - 1], "99:90000000:101"), "this one was never there");
        assert!(hidden(&[100, far + 2], "99:90000000:101"));
        assert!(!hidden(&[100, far + 2], "99:90000000:"));
        assert!(!hidden(&[100, far + 2], "99:90000000:2000"));
    }

    #[test]
    fn ids_begin_again() {
        let wrapped = "4294967290:4294967310:4294967294,4294967298";
        assert!(hidden(&[u32::MAX - 1, 5], wrapped));
        assert!(hidden(&[u32::MAX, 2, 5], wrapped));
        assert!(!hidden(&[u32::MAX, 3, 5], wrapped));
    }
}
