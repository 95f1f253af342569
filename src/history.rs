//! The replay window: the changes of the last minutes, by cursor, for whoever comes back and for whoever reads at its
//! own pace.
//!
//! What is held here, the slot holds too: [`History::floor`] is how far Postgres may forget its log, so that after a
//! crash the window is read from the slot again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::change::{Change, Relation, Transaction};
use crate::lsn::{Cursor, Epoch, Lsn, Since};
use crate::snapshot::Snapshot;

#[cfg(test)]
mod tests;
mod xids;

use xids::Xids;

/// How often the position is noted, by which age is told: a note is kept for each.
const NOTED: Duration = Duration::from_secs(1);

/// How much the window holds. Whichever bound is met first ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Memory of the changes held, in bytes; 0 holds nothing.
    pub bytes: usize,
    /// How old a change may be, by the time at which it was read from the log.
    pub age: Duration,
    /// Bytes of log, of the whole database cluster, between the slot's position and what was dispatched.
    pub wal_bytes: u64,
}

/// What somebody asks for lies before the window.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the window begins at {oldest}")]
pub struct Fallen {
    /// The oldest cursor from which the window is whole.
    pub oldest: Cursor,
}

/// A transaction that a snapshot may not contain is no longer held: another snapshot has to be taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a transaction that the snapshot does not contain is no longer in the window")]
pub struct Hidden;

/// One held change: the piece of a transaction that it is in, and its place there.
#[derive(Clone, Debug)]
pub struct Held {
    transaction: Arc<Transaction>,
    place: usize,
}

impl Held {
    /// The change.
    #[must_use]
    pub fn change(&self) -> Option<&Change> {
        self.transaction.changes.get(self.place)
    }

    /// The transaction of the change, or the piece that it is in.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }
}

/// Some of the changes asked for.
#[derive(Clone, Debug)]
pub struct Batch {
    /// In the order of their cursors.
    pub changes: Vec<Held>,
    /// Everything asked for up to here is in `changes`.
    pub reached: Cursor,
    /// Nothing more is held behind it.
    pub complete: bool,
}

/// What is held, for an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Memory of the changes, in bytes.
    pub bytes: usize,
    /// Pieces of transactions.
    pub pieces: usize,
    /// The oldest cursor from which the window is whole.
    pub oldest: Cursor,
    /// The last change.
    pub newest: Cursor,
}

/// Whether a client can go on from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// Every change behind this cursor is held.
    Held(Cursor),
    /// The cursor is of another history, or nobody said of which.
    Epoch {
        /// The oldest cursor from which one can go on.
        oldest: Cursor,
    },
    /// The cursor lies before what is held.
    Window {
        /// The oldest cursor from which one can go on.
        oldest: Cursor,
    },
}

/// The window.
#[derive(Debug)]
pub struct History {
    bounds: Bounds,
    epoch: Option<Epoch>,
    pieces: VecDeque<Arc<Transaction>>,
    /// The number of the first of `pieces`.
    first: u64,
    /// By schema and table.
    tables: HashMap<Box<str>, HashMap<Box<str>, Places>>,
    bytes: usize,
    /// Every change after it is held.
    oldest: Cursor,
    newest: Cursor,
    reached: Lsn,
    floor: Lsn,
    /// When which position was reached, at most one in a second.
    notes: VecDeque<(Instant, Lsn)>,
    /// The transactions of which something was forgotten.
    forgotten: Xids,
}

/// Where a table's changes lie: the number of the piece, and the place in it.
type Places = VecDeque<(u64, u32)>;

impl History {
    /// A window that holds nothing yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            epoch: None,
            pieces: VecDeque::new(),
            first: 0,
            tables: HashMap::new(),
            bytes: 0,
            oldest: Cursor::default(),
            newest: Cursor::default(),
            reached: Lsn(0),
            floor: Lsn(0),
            notes: VecDeque::new(),
            forgotten: Xids::default(),
        }
    }

    /// The history that the cursors belong to.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// Whether anything is ever held.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.bounds.bytes > 0
    }

    /// The stream begins behind `position`, and nothing that was held before has to do with it.
    pub fn begin(&mut self, epoch: Epoch, position: Cursor) {
        *self = Self {
            epoch: Some(epoch),
            oldest: position,
            newest: position,
            reached: position.commit,
            floor: position.commit,
            ..Self::new(self.bounds)
        };
    }

    /// Takes a transaction, or a piece of one.
    pub fn push(&mut self, now: Instant, transaction: &Arc<Transaction>) {
        let Some(last) = transaction.changes.last() else { return };
        self.newest = last.cursor;
        if !self.is_on() {
            self.oldest = last.cursor;
            self.forgotten.insert(transaction.xid);
            return;
        }
        let number = self.first + self.pieces.len() as u64;
        for (place, change) in transaction.changes.iter().enumerate() {
            let place = (number, u32::try_from(place).unwrap_or(u32::MAX));
            let Relation { schema, table, .. } = &*change.relation;
            // Names are copied only when they are new here.
            if let Some(places) = self.tables.get_mut(schema).and_then(|tables| tables.get_mut(table)) {
                places.push_back(place);
            } else {
                let tables = self.tables.entry(schema.clone()).or_default();
                tables.insert(table.clone(), VecDeque::from([place]));
            }
        }
        self.bytes += transaction.bytes;
        self.pieces.push_back(Arc::clone(transaction));
        while self.bytes > self.bounds.bytes {
            if !self.forget() {
                break;
            }
        }
        self.age(now);
    }

    /// Everything that committed before `lsn` has been dispatched.
    pub fn reach(&mut self, now: Instant, lsn: Lsn) {
        self.reached = self.reached.max(lsn);
        if self.notes.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= NOTED) {
            self.notes.push_back((now, self.reached));
        }
        self.age(now);
    }

    /// Forgets what is too old, or lies too far back in the log.
    pub fn age(&mut self, now: Instant) {
        let mut floor = Lsn(self.reached.0.saturating_sub(self.bounds.wal_bytes));
        // The first note stays while the one behind it is younger than the bound: what lies between is of an age between.
        while let Some((at, lsn)) = self.notes.get(1)
            && now.saturating_duration_since(*at) > self.bounds.age
        {
            floor = floor.max(*lsn);
            self.notes.pop_front();
        }
        if self.notes.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > self.bounds.age) {
            floor = floor.max(self.notes.front().map_or(floor, |(_, lsn)| *lsn));
        }
        self.floor = self.floor.max(floor);
        while self.pieces.front().is_some_and(|oldest| oldest.commit < self.floor) {
            self.forget();
        }
        if !self.is_on() {
            self.floor = self.reached;
        }
    }

    /// Forgets the oldest piece.
    fn forget(&mut self) -> bool {
        let Some(oldest) = self.pieces.pop_front() else { return false };
        let number = self.first;
        self.first += 1;
        self.bytes -= oldest.bytes;
        // A piece without changes is never taken.
        self.oldest = oldest.changes.last().map_or(self.oldest, |last| last.cursor);
        // Whoever has seen just what is forgotten can go on, also after the window was read from the slot again, which
        // therefore begins at this transaction.
        self.floor = self.floor.max(oldest.commit);
        self.forgotten.insert(oldest.xid);
        for change in &oldest.changes {
            let Relation { schema, table, .. } = &*change.relation;
            let Some(tables) = self.tables.get_mut(schema) else { continue };
            let Some(places) = tables.get_mut(table) else { continue };
            while places.front().is_some_and(|(piece, _)| *piece <= number) {
                places.pop_front();
            }
            if places.is_empty() {
                tables.remove(table);
                if tables.is_empty() {
                    self.tables.remove(schema);
                }
            }
        }
        true
    }

    /// Up to where Postgres may forget its log.
    #[must_use]
    pub const fn floor(&self) -> Lsn {
        self.floor
    }

    /// What is held.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent { bytes: self.bytes, pieces: self.pieces.len(), oldest: self.oldest, newest: self.newest }
    }

    /// The `commit_timestamp` of the oldest change held; `None` when nothing is.
    #[must_use]
    pub fn oldest_commit(&self) -> Option<Arc<str>> {
        self.pieces.front().map(|piece| Arc::clone(&piece.commit_timestamp))
    }

    /// Whether every change after `cursor` is held.
    ///
    /// # Errors
    /// When it is not.
    pub fn covers(&self, cursor: Cursor) -> Result<(), Fallen> {
        if cursor >= self.oldest { Ok(()) } else { Err(Fallen { oldest: self.oldest }) }
    }

    /// Whether a client can go on from `since`.
    #[must_use]
    pub fn resume(&self, since: &Since) -> Resumption {
        let oldest = self.oldest;
        if since.epoch.is_none() || since.epoch != self.epoch {
            return Resumption::Epoch { oldest };
        }
        match self.covers(since.cursor) {
            Ok(()) => Resumption::Held(since.cursor),
            Err(Fallen { oldest }) => Resumption::Window { oldest },
        }
    }

    /// The first changes behind `after`, of one table or of all, at most `most` of them. The cost is that of what is
    /// returned, and two searches.
    ///
    /// # Errors
    /// When changes behind it are no longer held.
    pub fn behind(&self, after: Cursor, table: Option<(&str, &str)>, most: usize) -> Result<Batch, Fallen> {
        self.covers(after)?;
        let mut changes = Vec::new();
        let mut complete = true;
        let mut reached = after;
        let mut take = |held: Held| {
            if changes.len() >= most {
                complete = false;
                return false;
            }
            if let Some(change) = held.change() {
                reached = change.cursor;
            }
            changes.push(held);
            true
        };
        if let Some((schema, table)) = table {
            if let Some(places) = self.tables.get(schema).and_then(|tables| tables.get(table)) {
                let begin = places.partition_point(|place| self.cursor(*place) <= Some(after));
                for place in places.range(begin..) {
                    let Some(held) = self.held(*place) else { break };
                    if !take(held) {
                        break;
                    }
                }
            }
        } else {
            let piece = self
                .pieces
                .partition_point(|piece| piece.changes.last().is_none_or(|last| last.cursor <= after));
            'pieces: for transaction in self.pieces.range(piece..) {
                let begin = transaction.changes.partition_point(|change| change.cursor <= after);
                for place in begin..transaction.changes.len() {
                    if !take(Held { transaction: Arc::clone(transaction), place }) {
                        break 'pieces;
                    }
                }
            }
        }
        // Where nothing is left, whatever was passed over is none of what was asked for.
        let reached = if complete { self.newest.max(after) } else { reached };
        Ok(Batch { changes, reached, complete })
    }

    /// The cursor behind which all lies that `snapshot` may not contain: everything at or before it is visible there.
    ///
    /// # Errors
    /// When something that it may not contain is no longer held.
    pub fn before(&self, snapshot: &Snapshot) -> Result<Cursor, Hidden> {
        if self.forgotten.any_hidden(snapshot) {
            return Err(Hidden);
        }
        let mut previous = self.oldest;
        for piece in &self.pieces {
            if !snapshot.sees(piece.xid) {
                return Ok(previous);
            }
            previous = piece.changes.last().map_or(previous, |last| last.cursor);
        }
        Ok(self.newest)
    }

    fn held(&self, (number, place): (u64, u32)) -> Option<Held> {
        let transaction = self.pieces.get(usize::try_from(number.checked_sub(self.first)?).ok()?)?;
        Some(Held { transaction: Arc::clone(transaction), place: place as usize })
    }

    fn cursor(&self, (number, place): (u64, u32)) -> Option<Cursor> {
        let transaction = self.pieces.get(usize::try_from(number.checked_sub(self.first)?).ok()?)?;
        Some(transaction.changes.get(place as usize)?.cursor)
    }
}
