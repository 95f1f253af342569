//! What was handed over, and where the next session begins.

use crate::change::Transaction;
use crate::change::assembler::Passed;
use crate::lsn::Lsn;

/// How far the stream of one epoch has come, over all sessions.
#[derive(Debug, Default)]
pub(super) struct Handed {
    /// Everything up to there comes again after a reconnect and is dropped.
    pub(super) passed: Passed,
    /// The end of the last transaction that was handed over whole.
    whole: Lsn,
    /// How far it had come when a row came of a relation that was never described.
    undescribed: Option<Passed>,
}

impl Handed {
    /// A piece was handed over.
    pub(super) fn pass(&mut self, piece: &Transaction) {
        self.passed.pass(piece);
        self.whole = piece.end.unwrap_or(self.whole);
    }

    /// A row came of a relation that was never described; whether another session may do better.
    ///
    /// PostgreSQL 14 forgets to describe a partitioned table when a publication begins to tell its partitions' changes under
    /// its name, but not to a session that has told no such change before.
    pub(super) fn undescribed(&mut self) -> bool {
        self.undescribed.replace(self.passed) != Some(self.passed)
    }

    /// Where the next session is to begin instead of at the slot's position: behind what was handed over, if it ended at such
    /// a row.
    pub(super) fn start(&self) -> Option<Lsn> {
        (self.undescribed == Some(self.passed)).then_some(self.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Action, Change, Relation};
    use crate::lsn::Cursor;
    use crate::pgoutput::ReplicaIdentity;

    fn transaction(at: u64, end: Option<u64>) -> Transaction {
        let relation = Relation::new(1, "s".into(), "t".into(), ReplicaIdentity::Default, Vec::new());
        let cursor = Cursor { commit: Lsn(at), change: Lsn(at), index: 0 };
        Transaction {
            xid: 1,
            commit: Lsn(at),
            commit_timestamp: "".into(),
            changes: vec![Change { cursor, relation: relation.into(), action: Action::Truncate }],
            messages: Vec::new(),
            end: end.map(Lsn),
            bytes: 0,
        }
    }

    #[test]
    fn a_session_that_met_an_undescribed_row_is_followed_by_one_behind_what_was_whole() {
        let mut handed = Handed::default();
        handed.pass(&transaction(10, Some(11)));
        handed.pass(&transaction(20, None));
        assert_eq!(handed.start(), None);
        assert!(handed.undescribed());
        assert_eq!(handed.start(), Some(Lsn(11)));
        // That one met it as well.
        assert!(!handed.undescribed());
        // Once it comes further, all is as ever.
        handed.pass(&transaction(30, Some(31)));
        assert_eq!(handed.start(), None);
        assert!(handed.undescribed());
    }
}
