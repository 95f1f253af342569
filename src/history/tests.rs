//! The window under virtual time, against a model that keeps everything: whatever is written, however it ages, and
//! wherever the process is killed.

use std::fmt::Write as _;

use bytes::Bytes;
use fastrand::Rng;

use super::*;
use crate::change::{Action, Row};
use crate::dispatch::Progress;
use crate::pgoutput::ReplicaIdentity;

/// Worlds, each with its own bounds.
const SEEDS: u64 = 2000;
/// What happens in each.
const STEPS: usize = 30;
const EPOCH: Epoch = Epoch { system: 7, timeline: 1 };
const TABLES: [&str; 3] = ["a", "b", "c"];

/// All that was ever written, and the window on it.
struct World {
    random: Rng,
    now: Instant,
    bounds: Bounds,
    history: History,
    relations: Vec<Arc<Relation>>,
    /// Every piece, also what the window forgot.
    log: Vec<Arc<Transaction>>,
    /// The end of the log.
    written: Lsn,
    next_xid: u32,
    /// Transactions that have begun and not ended.
    open: Vec<u32>,
    /// What was acknowledged: at most the floor and what was dispatched, and sometimes less.
    confirmed: Lsn,
    dispatched: Lsn,
    /// Where the process began to read.
    begun: Lsn,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let bounds = Bounds {
            bytes: if random.u8(..10) == 0 { 0 } else { random.usize(1..20_000) },
            age: Duration::from_secs(random.u64(0..60)),
            wal_bytes: if random.bool() { random.u64(0..30_000) } else { u64::MAX },
        };
        let now = Instant::now();
        let mut history = History::new(bounds);
        let start = Lsn(1000);
        history.begin(EPOCH, Cursor::before(start));
        let relations = TABLES.iter().map(|table| {
            let (schema, table) = ("public".into(), (*table).into());
            Arc::new(Relation::new(0, schema, table, ReplicaIdentity::Default, Vec::new()))
        });
        Self {
            relations: relations.collect(),
            random,
            now,
            bounds,
            history,
            log: Vec::new(),
            written: start,
            next_xid: 10,
            open: Vec::new(),
            confirmed: start,
            dispatched: start,
            begun: start,
        }
    }

    fn step(&mut self) {
        let floor = self.history.floor();
        self.now += Duration::from_millis(self.random.u64(0..4000));
        match self.random.u8(..12) {
            0..=5 => self.transaction(),
            6 => {
                // Log of others.
                self.written.0 += self.random.u64(1..3000);
                self.reach(self.written);
            }
            7 => self.history.age(self.now),
            8 => self.acknowledge(),
            9 if self.random.bool() => self.kill(),
            _ => {
                self.open.push(self.next_xid);
                self.next_xid += self.random.u32(1..4);
            }
        }
        assert!(
            self.history.floor() >= floor.min(self.confirmed),
            "Postgres was told that it may forget more"
        );
    }

    fn xid(&mut self) -> u32 {
        if self.open.is_empty() || self.random.bool() {
            self.next_xid += 1;
            return self.next_xid - 1;
        }
        self.open.swap_remove(self.random.usize(..self.open.len()))
    }

    fn transaction(&mut self) {
        let (xid, begin) = (self.xid(), self.written);
        self.written.0 += self.random.u64(1..500);
        let commit = self.written;
        self.written.0 += self.random.u64(1..50);
        let pieces = self.random.usize(1..4);
        // Wherever the process is killed, the log goes on.
        let killed = (self.random.u8(..20) == 0).then(|| self.random.usize(..pieces));
        let mut cursor = Cursor { commit, change: begin, index: 0 };
        for pushed in 0..pieces {
            let changes: Vec<Change> = (0..self.random.usize(0..5))
                .map(|_| {
                    // Rows of one COPY share a position.
                    if self.random.bool() {
                        cursor = Cursor { change: Lsn(cursor.change.0 + 1), index: 0, ..cursor };
                    } else {
                        cursor.index += 1;
                    }
                    let relation = Arc::clone(&self.relations[self.random.usize(..self.relations.len())]);
                    let action = Action::Insert { new: Row(Bytes::new()) };
                    Change { cursor, relation, action }
                })
                .collect();
            let bytes = if changes.is_empty() { 0 } else { self.random.usize(1..3000) };
            let last = pushed + 1 == pieces;
            let piece = Arc::new(Transaction {
                xid,
                commit,
                commit_timestamp: "".into(),
                changes,
                messages: Vec::new(),
                end: last.then_some(self.written),
                bytes,
            });
            if killed.is_none_or(|killed| pushed < killed) {
                self.history.push(self.now, &piece);
            }
            self.log.push(piece);
        }
        if killed.is_some() {
            self.restart();
        } else {
            self.reach(self.written);
        }
    }

    fn reach(&mut self, lsn: Lsn) {
        self.dispatched = lsn;
        self.history.reach(self.now, lsn);
    }

    /// Postgres hears of the floor, now or never.
    fn acknowledge(&mut self) {
        let progress = Progress::new(EPOCH, self.dispatched, self.history.floor());
        self.confirmed = self.confirmed.max(progress.acknowledged(EPOCH));
    }

    /// Killed after it has read everything, it holds no less than before.
    fn kill(&mut self) {
        let before = self.history.extent().oldest;
        let held = self.history.behind(before, None, usize::MAX).unwrap();
        self.restart();
        let after = self.history.extent().oldest;
        // Where nothing was left but what is too old, the slot moves on, and cursors from before that are too old too.
        let promised = before.max(Cursor::before(self.confirmed));
        assert!(after <= promised, "held from {before} before it was killed, and only from {after} after it");
        let again = self.history.behind(after, None, usize::MAX).unwrap();
        assert!(told(&again).ends_with(&told(&held)), "something was held and is no longer");
    }

    /// Another process reads from the slot what was not acknowledged.
    fn restart(&mut self) {
        if self.random.bool() {
            self.acknowledge();
        }
        self.dispatched = self.confirmed;
        self.history = History::new(self.bounds);
        self.history.begin(EPOCH, Cursor::before(self.confirmed));
        self.begun = self.confirmed;
        for piece in self.log.clone() {
            if piece.commit >= self.confirmed {
                self.history.push(self.now, &piece);
                if let Some(end) = piece.end {
                    self.reach(end);
                }
            }
        }
    }

    /// All that must hold at any time.
    fn check(&mut self) {
        let extent = self.history.extent();
        let log = self.log.clone();
        let all: Vec<&Change> = log.iter().flat_map(|piece| &piece.changes).collect();
        let held: Vec<&Change> = all.iter().copied().filter(|change| change.cursor > extent.oldest).collect();
        assert!(extent.bytes <= self.bounds.bytes, "{} bytes", extent.bytes);
        assert_eq!(told(&self.history.behind(extent.oldest, None, usize::MAX).unwrap()), cursors(&held));
        let pieces = self
            .log
            .iter()
            .filter(|piece| piece.changes.last().is_some_and(|last| last.cursor > extent.oldest));
        let bytes: usize = pieces.clone().map(|piece| piece.bytes).sum();
        assert_eq!((extent.bytes, extent.pieces), (bytes, pieces.count()));
        if self.history.is_on() {
            // Whoever is at the oldest cursor goes on after a kill too: all behind it is asked for again.
            if let Some(first) = held.first() {
                assert!(
                    self.history.floor() <= first.cursor.commit,
                    "what is held may be forgotten by Postgres"
                );
            }
            assert!(self.history.floor() <= extent.oldest.commit.max(self.dispatched));
        }
        self.check_resumption(&all, extent);
        self.check_reading(&all, extent);
        self.check_snapshot(extent);
    }

    fn check_resumption(&mut self, all: &[&Change], extent: Extent) {
        let (oldest, epoch) = (extent.oldest, Some(EPOCH));
        let Some(change) = self.random.choice(all) else { return };
        let cursor = change.cursor;
        let expected =
            if cursor >= oldest { Resumption::Held(cursor) } else { Resumption::Window { oldest } };
        assert_eq!(self.history.resume(&Since { cursor, epoch }), expected);
        let other = Epoch { timeline: 2, ..EPOCH };
        for epoch in [None, Some(other)] {
            assert_eq!(self.history.resume(&Since { cursor, epoch }), Resumption::Epoch { oldest });
        }
    }

    /// Read in parts of any size, of one table or of all, the window tells exactly what is behind a cursor.
    fn check_reading(&mut self, all: &[&Change], extent: Extent) {
        let table = self.random.choice([None, Some("a"), Some("b"), Some("none")]).flatten();
        let from = self.random.choice(all).map_or(extent.oldest, |change| change.cursor);
        // A cursor may also lie between two changes.
        let from = if self.random.bool() { Cursor { index: from.index + 1, ..from } } else { from };
        if from < extent.oldest {
            let fallen = self.history.behind(from, None, 10).unwrap_err();
            assert_eq!(fallen, Fallen { oldest: extent.oldest });
            return;
        }
        let wanted = all.iter().copied().filter(|change| {
            change.cursor > from && table.is_none_or(|table| *change.relation.table == *table)
        });
        let wanted: Vec<&Change> = wanted.collect();
        let mut read = Vec::new();
        let mut at = from;
        loop {
            let most = self.random.usize(1..8);
            let batch = self.history.behind(at, table.map(|table| ("public", table)), most).unwrap();
            assert!(batch.changes.len() <= most && batch.reached >= at);
            read.extend(told(&batch));
            at = batch.reached;
            if batch.complete {
                break;
            }
            assert_eq!(Some(at), read.last().copied(), "a part that is not the last one ends with a change");
        }
        assert_eq!(read, cursors(&wanted), "behind {from} of {table:?}");
        assert_eq!(at, from.max(extent.newest));
    }

    /// Behind what is found for a snapshot lies all that it does not show.
    fn check_snapshot(&mut self, extent: Extent) {
        let xmax = self.next_xid.saturating_sub(self.random.u32(0..6));
        let mut open: Vec<u32> = self.open.iter().copied().filter(|xid| *xid < xmax).collect();
        // Committed in the log, and not yet for others.
        let ended = self.log.iter().rev().take(4).map(|piece| piece.xid).filter(|xid| *xid < xmax);
        open.extend(ended.filter(|_| self.random.u8(..4) == 0));
        open.sort_unstable();
        open.dedup();
        let mut text = format!("{}:{xmax}:", open.first().unwrap_or(&xmax));
        for xid in &open {
            let _ = write!(text, "{xid},");
        }
        let snapshot: Snapshot = text.parse().unwrap();
        let read = self.log.iter().filter(|piece| piece.commit >= self.begun && !piece.changes.is_empty());
        let hidden = read.filter(|piece| !snapshot.sees(piece.xid));
        let hidden: Vec<Cursor> =
            hidden.flat_map(|piece| &piece.changes).map(|change| change.cursor).collect();
        match self.history.before(&snapshot) {
            Ok(before) => {
                assert!(before >= extent.oldest);
                assert!(
                    hidden.iter().all(|cursor| *cursor > before),
                    "{text}: not all that it hides is behind {before}"
                );
            }
            Err(Hidden) => {
                assert!(
                    hidden.iter().any(|cursor| *cursor <= extent.oldest),
                    "{text}: all that it hides is held"
                );
            }
        }
    }
}

fn cursors(changes: &[&Change]) -> Vec<Cursor> {
    changes.iter().map(|change| change.cursor).collect()
}

fn told(batch: &Batch) -> Vec<Cursor> {
    batch.changes.iter().map(|held| held.change().unwrap().cursor).collect()
}

#[test]
fn whatever_happens_the_window_tells_exactly_what_is_behind_a_cursor() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..STEPS {
                world.step();
                world.check();
            }
        }));
        if let Err(panic) = outcome {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
