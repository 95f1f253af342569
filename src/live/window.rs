//! The transactions that a snapshot may not have seen.
//!
//! A transaction is decoded when its commit is in the log, and visible to others a moment later: usually microseconds, but
//! as long as it takes where the commit waits for a synchronous standby. And a query that runs while transactions are
//! decoded returns a snapshot that may lie before or behind each of them. So what was decoded is kept until every run,
//! also those that are under way, is known to have seen it.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::change::{Change, Row, Transaction};
use crate::graphql::catalog::Oid;
use crate::lsn::Cursor;
use crate::snapshot::Snapshot;

/// Bytes of rows that are kept. Of what goes beyond, only the tables are remembered.
const BYTES: usize = 4 * 1024 * 1024;

/// Transactions that are kept, with rows or without. What goes beyond counts as touching everything.
const TRANSACTIONS: usize = 8_192;

/// A place in the order of events: transactions decoded, runs begun, runs ended.
pub(super) type Tick = u64;

/// Transactions in the order in which they were decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// How many of the pieces, from the oldest on, have lost their rows.
    bare: usize,
    /// The newest of the transactions that were forgotten without being known to be visible.
    forgotten: Option<u32>,
    /// The newest change that some run has seen.
    seen: Cursor,
}

#[derive(Clone, Debug)]
struct Piece {
    decoded: Tick,
    xid: u32,
    last: Cursor,
    rows: Rows,
    /// When a run was known to have seen it. Runs that begin later see it as well.
    visible: Option<Tick>,
}

#[derive(Clone, Debug)]
enum Rows {
    Whole(Arc<Transaction>, Vec<Option<Row>>),
    Tables(SmallVec<[Oid; 2]>),
}

/// What a result misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// Nothing that touches it.
    Nothing,
    /// Something that was decoded before the run began, and that Postgres does not show yet.
    Hidden,
    /// Something newer.
    Newer,
}

/// Something that a snapshot has not seen.
pub(super) enum Unseen<'a> {
    /// A change, and the row before it, if that is known from elsewhere.
    Change(&'a Change, Option<&'a Row>),
    /// Changes of a table.
    Table(Oid),
}

impl Window {
    /// Takes a decoded transaction, or a piece of one; `before` has for each of its changes the row before it, as far as
    /// that is known from elsewhere.
    pub(super) fn push(&mut self, now: Tick, transaction: &Arc<Transaction>, before: Vec<Option<Row>>) {
        let Some(last) = transaction.changes.last() else { return };
        self.bytes += transaction.bytes;
        self.pieces.push_back(Piece {
            decoded: now,
            xid: transaction.xid,
            last: last.cursor,
            rows: Rows::Whole(Arc::clone(transaction), before),
            visible: None,
        });
        while self.bytes > BYTES {
            let Some(piece) = self.pieces.get_mut(self.bare) else { break };
            self.bytes -= piece.strip();
            self.bare += 1;
            self.merge();
        }
        while self.pieces.len() > TRANSACTIONS {
            let Some(oldest) = self.pop() else { break };
            if oldest.visible.is_none() {
                self.forgotten = Some(oldest.xid);
            }
        }
    }

    /// A huge transaction comes in many pieces, and one entry is enough for what is left of them.
    fn merge(&mut self) {
        let Some(after) = self.bare.checked_sub(1).filter(|place| *place > 0) else { return };
        let [Some(one), Some(two)] = [self.pieces.get(after - 1), self.pieces.get(after)] else { return };
        if one.xid != two.xid || one.visible != two.visible {
            return;
        }
        let Some(newer) = self.pieces.remove(after) else { return };
        self.bare -= 1;
        if let (Some(older), Rows::Tables(more)) = (self.pieces.get_mut(after - 1), newer.rows) {
            older.last = newer.last;
            older.decoded = newer.decoded;
            if let Rows::Tables(tables) = &mut older.rows {
                tables.extend(more);
                tables.sort_unstable();
                tables.dedup();
            }
        }
    }

    fn pop(&mut self) -> Option<Piece> {
        let mut oldest = self.pieces.pop_front()?;
        self.bytes -= oldest.strip();
        self.bare = self.bare.saturating_sub(1);
        Some(oldest)
    }

    /// What a run that began at `began` and returned `snapshot`, or failed, misses, where `touches` decides what matters.
    pub(super) fn missed(
        &mut self,
        began: Tick,
        now: Tick,
        snapshot: Option<&Snapshot>,
        mut touches: impl FnMut(Unseen<'_>) -> bool,
    ) -> Missed {
        let mut missed = Missed::Nothing;
        if let (Some(forgotten), Some(snapshot)) = (self.forgotten, snapshot) {
            if snapshot.is_past(forgotten) {
                self.forgotten = None;
            } else {
                missed = Missed::Hidden;
            }
        }
        for piece in &mut self.pieces {
            match snapshot {
                Some(snapshot) if snapshot.sees(piece.xid) => {
                    piece.visible.get_or_insert(now);
                    self.seen = self.seen.max(piece.last);
                    continue;
                }
                // Without one, what came before counts as seen.
                None if piece.decoded <= began => continue,
                _ => {}
            }
            if missed == Missed::Newer || (missed == Missed::Hidden && piece.decoded <= began) {
                continue;
            }
            let touched = match &piece.rows {
                Rows::Whole(transaction, before) => {
                    let before = before.iter().map(Option::as_ref).chain(std::iter::repeat(None));
                    transaction
                        .changes
                        .iter()
                        .zip(before)
                        .any(|(change, row)| touches(Unseen::Change(change, row)))
                }
                Rows::Tables(tables) => tables.iter().any(|table| touches(Unseen::Table(*table))),
            };
            if touched {
                missed = if piece.decoded <= began { Missed::Hidden } else { Missed::Newer };
            }
        }
        missed
    }

    /// The newest change that some run has seen.
    pub(super) const fn seen(&self) -> Cursor {
        self.seen
    }

    /// Forgets what every run has seen; `oldest` is when the oldest run that is under way began.
    pub(super) fn settle(&mut self, oldest: Option<Tick>) {
        let settled =
            |piece: &Piece| piece.visible.is_some_and(|visible| oldest.is_none_or(|oldest| visible < oldest));
        if !self.pieces.iter().any(settled) {
            return;
        }
        let mut place = 0;
        let (mut bytes, mut bare) = (0, 0);
        let had = self.bare;
        self.pieces.retain(|piece| {
            let keep = !settled(piece);
            if keep {
                bytes += piece.bytes();
                bare += usize::from(place < had);
            }
            place += 1;
            keep
        });
        (self.bytes, self.bare) = (bytes, bare);
    }
}

impl Piece {
    fn bytes(&self) -> usize {
        match &self.rows {
            Rows::Whole(transaction, _) => transaction.bytes,
            Rows::Tables(_) => 0,
        }
    }

    /// Gives up its rows; returns the bytes that they held.
    fn strip(&mut self) -> usize {
        let bytes = self.bytes();
        if let Rows::Whole(transaction, _) = &self.rows {
            let mut tables: SmallVec<[Oid; 2]> =
                transaction.changes.iter().map(|change| change.relation.oid).collect();
            tables.sort_unstable();
            tables.dedup();
            self.rows = Rows::Tables(tables);
        }
        bytes
    }
}
