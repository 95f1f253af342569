//! What is counted for an operator. One process serves one database, so that there is one of each counter.
//!
//! Counting costs a relaxed addition; where something happens for every socket, it is added up first. Nothing here knows
//! who asks, and [`exposition`] is the only place that knows in which text it is told. Values of rows are never counted
//! by; names of tables are.

mod changes;
pub mod exposition;
mod histogram;
pub mod process;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use changes::{Changes, TABLES};
pub use histogram::Histogram;

/// The counters of this process.
pub static COUNTED: Counted = Counted::new();

/// All counters.
#[derive(Debug)]
pub struct Counted {
    /// Changes read from the slot.
    pub changes: Changes,
    /// Changes handed to a socket as they came.
    pub deliveries: Counter,
    /// Changes told to a channel from the replay window.
    pub replayed: Counter,
    /// Changes read from the replay window over plain HTTP, at the pace of their client.
    pub read: Read,
    /// From the commit of a transaction until a shard had handed it to all its sockets.
    pub latency: Histogram,
    /// Bytes that wait in outboxes, as of each shard's last look.
    pub pending: Gauge,
    /// Sockets that ended, by who ended them.
    pub closes: Labelled,
    /// Sessions of the slot that failed, by class.
    pub failures: Labelled,
    /// Joins that were let in.
    pub joins: Counter,
    /// Joins that were not, by code.
    pub refusals: Labelled,
    /// Joins with a cursor, by outcome.
    pub resumptions: Labelled,
    /// Snapshots, by outcome.
    pub snapshots: Labelled,
    /// Rows told in snapshots that were told to their end.
    pub snapshot_rows: Counter,
    /// Runs of live queries.
    pub runs: Counter,
    /// Runs whose result was the one that there was.
    pub needless: Counter,
    /// Live queries that were refused, by code.
    pub live_refusals: Labelled,
    /// Where the last message read from the slot lies in the log.
    pub received: Gauge,
    /// The last answer to how far behind the database we are.
    pub lag: Lag,
}

impl Counted {
    const fn new() -> Self {
        Self {
            changes: Changes::new(),
            deliveries: Counter::new(),
            replayed: Counter::new(),
            read: Read::new(),
            latency: Histogram::new(),
            pending: Gauge::new(),
            closes: Labelled::new(),
            failures: Labelled::new(),
            joins: Counter::new(),
            refusals: Labelled::new(),
            resumptions: Labelled::new(),
            snapshots: Labelled::new(),
            snapshot_rows: Counter::new(),
            runs: Counter::new(),
            needless: Counter::new(),
            live_refusals: Labelled::new(),
            received: Gauge::new(),
            lag: Lag(Mutex::new(None)),
        }
    }
}

/// Changes told over plain HTTP, by the way they took.
#[derive(Debug)]
pub struct Read {
    /// As Server-Sent Events.
    pub events: Counter,
    /// In answers to polls.
    pub poll: Counter,
    /// In answers to Phoenix' long polling.
    pub longpoll: Counter,
}

impl Read {
    const fn new() -> Self {
        Self { events: Counter::new(), poll: Counter::new(), longpoll: Counter::new() }
    }
}

/// A number that only grows.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there are.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that comes and goes.
#[derive(Debug)]
pub struct Gauge(AtomicU64);

impl Gauge {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// It is this one now.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The share of one of several who have a part in it was `before`, and is `now`.
    pub fn replace(&self, before: usize, now: usize) {
        // Additions wrap, so that adding a difference takes away as well.
        self.0.fetch_add((now as u64).wrapping_sub(before as u64), Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts by labels, of which there are few; for what is rare.
#[derive(Debug)]
pub struct Labelled(Mutex<BTreeMap<Box<str>, u64>>);

impl Labelled {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more with these labels, which are written as [`exposition`] tells them: `name="value"`, with commas between.
    pub fn count(&self, labels: &str) {
        let mut counts = self.lock();
        match counts.get_mut(labels) {
            Some(count) => *count += 1,
            None => {
                counts.insert(labels.into(), 1);
            }
        }
    }

    /// One more refusal, by the code that its text begins with. A text without one counts as `other`, so that nothing a
    /// client sends becomes a label.
    pub fn refused(&self, text: &str) {
        let code = text.split_once(": ").map(|(code, _)| code);
        let code = code.filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        self.count(&format!("code=\"{}\"", code.unwrap_or("other")));
    }

    /// All labels with their counts.
    #[must_use]
    pub fn get(&self) -> BTreeMap<Box<str>, u64> {
        self.lock().clone()
    }
}

/// How far behind the database we were, when it was asked last.
#[derive(Debug)]
pub struct Lag(Mutex<Option<Behind>>);

/// An answer of the database.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behind {
    /// Where it wrote its log.
    pub written: u64,
    /// Bytes of it that were not dispatched.
    pub bytes: u64,
    /// For how many seconds the oldest of them had been known.
    pub seconds: f64,
    /// When that was, in seconds since 1970.
    pub asked: f64,
}

impl Lag {
    /// The database has answered.
    pub fn set(&self, behind: Behind) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(behind);
    }

    /// The last answer; `None` before the first.
    #[must_use]
    pub fn get(&self) -> Option<Behind> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections on which GraphQL's statements run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUse {
    /// Connections that carry out a statement.
    pub in_use: usize,
    /// Connections that wait for one.
    pub idle: usize,
    /// Statements that wait for a connection.
    pub waiting: usize,
    /// The most connections there may be.
    pub most: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_gauge_add_up() {
        let gauge = Gauge::new();
        gauge.replace(0, 10);
        gauge.replace(0, 5);
        gauge.replace(10, 3);
        assert_eq!(gauge.get(), 8);
        gauge.replace(3, 0);
        gauge.replace(5, 0);
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn what_a_client_wrote_never_becomes_a_label() {
        let refused = Labelled::new();
        refused.refused("TableNotFound: there is no table \"x\"");
        refused.refused("TableNotFound: there is no table \"y: z\"");
        refused.refused("unmatched topic");
        refused.refused("a\"b: c");
        let counts: Vec<_> = refused.get().into_iter().collect();
        assert_eq!(counts, [("code=\"TableNotFound\"".into(), 2), ("code=\"other\"".into(), 2)]);
    }
}
