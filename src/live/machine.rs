//! Which live query runs when.
//!
//! A query is idle, waits for a time or for its turn, or runs. Whatever makes it stale while it is idle makes it run; what
//! happens while it runs is judged by the snapshot and the read-set with which it returns. So nothing is lost, and a
//! burst of changes costs one run behind the one that is under way.

mod outcome;
mod schedule;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::identifier::{self, Identifier};
use super::index::{Index, Place};
use super::rows::Rows;
use super::touch::{Sides, touches};
use super::watching::Watching;
use super::window::{Missed, Tick, Unseen, Window};
use crate::change::{Change, Row, Transaction};
use crate::graphql::catalog::Oid;
use crate::graphql::model::Model;
use crate::lsn::Cursor;
use crate::snapshot::Snapshot;

pub use outcome::{Ended, Outcome, Why};
use schedule::{FAILED, FAILED_MOST, HIDDEN, HIDDEN_MOST, doubled};

/// A live query; never used twice.
pub type QueryId = u64;

/// Causes that are kept of one run, when they are asked for.
const CAUSES: usize = 20;

/// All live queries.
#[derive(Clone, Debug)]
pub struct Live {
    queries: HashMap<QueryId, Query>,
    last: QueryId,
    index: Index,
    window: Window,
    rows: Rows,
    now: Tick,
    /// The tables of which changes of a relation are changes: partitions and inheriting tables lead to theirs.
    tables: HashMap<Oid, SmallVec<[Oid; 1]>>,
    roots: HashMap<String, BTreeSet<QueryId>>,
    ready: VecDeque<QueryId>,
    timed: BTreeSet<(Instant, QueryId)>,
    running: BTreeSet<(Tick, QueryId)>,
    /// How many may run at a time.
    capacity: usize,
    model: Arc<Model>,
    explains: bool,
    found: Vec<Place>,
}

#[derive(Clone, Debug)]
struct Query {
    state: State,
    why: Why,
    watches: Vec<Watching>,
    roots: Vec<String>,
    seen: Option<Snapshot>,
    /// When its last run began.
    began: Option<Instant>,
    /// Runs in a row that missed a hidden commit, or failed.
    attempts: u32,
    /// Transactions that invalidated it by name and that no run has seen.
    awaited: Vec<u32>,
    /// How often subscribers want a result at most.
    throttles: BTreeMap<Duration, usize>,
    causes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// It runs at a time, or before if something new makes it stale, unless it has to wait.
    Timed(Instant, bool),
    Ready,
    Running {
        began: Tick,
        again: Option<Why>,
    },
}

impl Live {
    /// No queries yet; `capacity` may run at a time. With `explains`, each run's end tells what made it run.
    #[must_use]
    pub fn new(capacity: usize, explains: bool) -> Self {
        Self {
            queries: HashMap::new(),
            last: 0,
            index: Index::default(),
            window: Window::default(),
            rows: Rows::default(),
            now: 0,
            tables: HashMap::new(),
            roots: HashMap::new(),
            ready: VecDeque::new(),
            timed: BTreeSet::new(),
            running: BTreeSet::new(),
            capacity: capacity.max(1),
            model: Arc::default(),
            explains,
            found: Vec::new(),
        }
    }

    /// A new schema. `relations` are pairs of a table and a relation in whose name changes of the table come.
    pub fn schema(&mut self, model: Arc<Model>, relations: impl Iterator<Item = (Oid, Oid)>) {
        self.tables.clear();
        for (table, relation) in relations {
            self.tables.entry(relation).or_default().push(table);
        }
        self.model = model;
    }

    /// A new live query, without subscribers; it runs. `roots` are the identifiers of its root fields.
    pub fn add(&mut self, roots: Vec<String>, now: Instant, run: &mut Vec<QueryId>) -> QueryId {
        self.last += 1;
        let id = self.last;
        for root in &roots {
            self.roots.entry(root.clone()).or_default().insert(id);
        }
        let query = Query {
            state: State::Idle,
            why: Why::New,
            watches: Vec::new(),
            roots,
            seen: None,
            began: None,
            attempts: 0,
            awaited: Vec::new(),
            throttles: BTreeMap::new(),
            causes: Vec::new(),
        };
        self.queries.insert(id, query);
        self.want(id, Why::New, now, now);
        self.start(now, run);
        id
    }

    /// The identifiers of a query's root fields are others now.
    pub fn rename(&mut self, id: QueryId, roots: Vec<String>) {
        let Some(query) = self.queries.get_mut(&id) else { return };
        for root in std::mem::take(&mut query.roots) {
            unlist(&mut self.roots, &root, id);
        }
        for root in &roots {
            self.roots.entry(root.clone()).or_default().insert(id);
        }
        query.roots = roots;
    }

    /// A subscriber comes, who wants at most one result in `throttle`.
    pub fn subscribe(&mut self, id: QueryId, throttle: Duration) {
        if let Some(query) = self.queries.get_mut(&id) {
            *query.throttles.entry(throttle).or_default() += 1;
        }
    }

    /// A subscriber goes. With the last one the query is gone, and so is its run.
    pub fn unsubscribe(
        &mut self,
        id: QueryId,
        throttle: Duration,
        now: Instant,
        run: &mut Vec<QueryId>,
    ) -> bool {
        let Some(query) = self.queries.get_mut(&id) else { return false };
        if let Some(count) = query.throttles.get_mut(&throttle) {
            *count -= 1;
            if *count == 0 {
                query.throttles.remove(&throttle);
            }
        }
        if !query.throttles.is_empty() {
            return false;
        }
        self.remove(id);
        self.start(now, run);
        true
    }

    fn remove(&mut self, id: QueryId) {
        let Some(query) = self.queries.remove(&id) else { return };
        for (watch, watching) in (0..).zip(&query.watches) {
            self.index.remove(Place { query: id, watch }, watching);
        }
        for root in &query.roots {
            unlist(&mut self.roots, root, id);
        }
        match query.state {
            State::Idle => {}
            State::Timed(at, _) => {
                self.timed.remove(&(at, id));
            }
            State::Ready => self.ready.retain(|other| *other != id),
            State::Running { began, .. } => {
                self.running.remove(&(began, id));
                self.settle();
            }
        }
    }

    /// A transaction was decoded, or a piece of one.
    pub fn transaction(&mut self, transaction: &Arc<Transaction>, now: Instant, run: &mut Vec<QueryId>) {
        self.now += 1;
        let mut found = std::mem::take(&mut self.found);
        let mut known = Vec::new();
        for (place, change) in transaction.changes.iter().enumerate() {
            let tables = self.tables.get(&change.relation.oid).cloned().unwrap_or_default();
            if !tables.iter().any(|table| self.index.has(*table)) {
                self.rows.forget(change.relation.oid);
                continue;
            }
            known.resize(place, None);
            known.push(self.rows.before(change));
            let sides = Sides::of(change, known.last().and_then(Option::as_ref));
            for table in tables {
                self.index.candidates(table, &sides, &mut found);
                for place in found.drain(..) {
                    self.hold_against(place, transaction.xid, change, &sides, now);
                }
            }
        }
        self.window.push(self.now, transaction, known);
        self.found = found;
        self.start(now, run);
    }

    fn hold_against(&mut self, place: Place, xid: u32, change: &Change, sides: &Sides<'_>, now: Instant) {
        let Some(query) = self.queries.get_mut(&place.query) else { return };
        let waits = match query.state {
            // It will be held against the window when it has run.
            State::Ready | State::Running { .. } => return,
            State::Timed(_, must_wait) => must_wait,
            State::Idle => false,
        };
        if waits || query.seen.as_ref().is_some_and(|seen| seen.sees(xid)) {
            return;
        }
        if query.watches.get(usize::from(place.watch)).is_some_and(|watching| touches(watching, sides)) {
            if self.explains {
                explain(&mut query.causes, &self.model, &self.tables, change);
            }
            self.want(place.query, Why::Change, now, now);
        }
    }

    /// A run has ended. Nothing where the query is gone.
    pub fn ended(
        &mut self,
        id: QueryId,
        outcome: Outcome,
        now: Instant,
        run: &mut Vec<QueryId>,
    ) -> Option<Ended> {
        let query = self.queries.get_mut(&id)?;
        let State::Running { began, again } = query.state else { return None };
        let mut ended =
            Ended { why: query.why, causes: std::mem::take(&mut query.causes), cursor: Cursor::default() };
        query.state = State::Idle;
        replace(&mut self.index, id, &mut query.watches, outcome.watches);
        self.running.remove(&(began, id));
        self.now += 1;
        let (tables, model, explains) = (&self.tables, &self.model, self.explains);
        let (watches, causes) = (&query.watches, &mut query.causes);
        let missed = self.window.missed(began, self.now, outcome.snapshot.as_ref(), |unseen| match unseen {
            Unseen::Table(relation) => {
                let of = tables.get(&relation).into_iter().flatten();
                of.into_iter().any(|table| watches.iter().any(|watching| watching.table == *table))
            }
            Unseen::Change(change, before) => {
                let touched = touched(watches, tables, change, before);
                if touched && explains {
                    explain(causes, model, tables, change);
                }
                touched
            }
        });
        ended.cursor = self.window.seen();
        query.seen = outcome.snapshot;
        query.awaited.retain(|xid| !query.seen.as_ref().is_none_or(|seen| seen.sees(*xid)));
        let missed =
            if missed == Missed::Nothing && !query.awaited.is_empty() { Missed::Hidden } else { missed };
        let failed = query.seen.is_none();
        let attempts = query.attempts;
        query.attempts = if failed || missed == Missed::Hidden { attempts.saturating_add(1) } else { 0 };
        if again.is_some() || missed == Missed::Newer {
            self.want(id, again.unwrap_or(Why::Change), now, now);
        } else if missed == Missed::Hidden {
            self.want(id, Why::Hidden, now, now + doubled(HIDDEN, attempts, HIDDEN_MOST));
        } else if failed && outcome.passing {
            self.want(id, Why::Failed, now, now + doubled(FAILED, attempts, FAILED_MOST));
        } else if failed && attempts == 0 {
            // What it missed is not known without a snapshot, so it runs once more when all has settled.
            self.want(id, Why::Hidden, now, now + HIDDEN_MOST);
        }
        self.settle();
        self.start(now, run);
        Some(ended)
    }

    /// Runs every live query whose result has this identifier; returns how many there are. The transaction that said so,
    /// if one did, has to be seen.
    pub fn invalidate(
        &mut self,
        identifier: &Identifier,
        written: Option<u32>,
        now: Instant,
        run: &mut Vec<QueryId>,
    ) -> usize {
        let mut found: BTreeSet<QueryId> = match identifier {
            Identifier::Root(text) => self.roots.get(text).cloned().unwrap_or_default(),
            Identifier::Row { name, key } => {
                let entity = self.model.types.get(name).and_then(|entity| self.model.entities.get(*entity));
                let columns = entity.map(identifier::key_columns).unwrap_or_default();
                let place = identifier::place(key, columns.len());
                let places = entity.zip(place).into_iter().flat_map(|(entity, place)| {
                    self.index
                        .of_row(entity.oid, &columns, &place)
                        .map(|place| place.query)
                        .collect::<Vec<_>>()
                });
                places.collect()
            }
        };
        found.retain(|id| self.again(*id, written, now, identifier));
        self.start(now, run);
        found.len()
    }

    /// Runs every live query once more: changes may have been missed. Those that were decoded and are hidden still have to
    /// be seen all the same, since they do not come again.
    pub fn interrupt(&mut self, now: Instant, run: &mut Vec<QueryId>) {
        self.rows.clear();
        let all: Vec<QueryId> = self.queries.keys().copied().collect();
        for id in all {
            match self.queries.get_mut(&id).map(|query| &mut query.state) {
                Some(State::Running { again, .. }) => *again = Some(Why::Interrupted),
                _ => self.want(id, Why::Interrupted, now, now),
            }
        }
        self.start(now, run);
    }

    fn again(&mut self, id: QueryId, written: Option<u32>, now: Instant, identifier: &Identifier) -> bool {
        let Some(query) = self.queries.get_mut(&id) else { return false };
        if let (State::Idle, Some(xid), Some(seen)) = (query.state, written, &query.seen)
            && seen.sees(xid)
        {
            return true;
        }
        if self.explains && query.causes.len() < CAUSES {
            query.causes.push(identifier.to_string());
        }
        if let Some(xid) = written
            && !query.awaited.contains(&xid)
        {
            query.awaited.push(xid);
        }
        match &mut query.state {
            // What is awaited is looked at when it has run.
            State::Running { again, .. } if written.is_none() => *again = Some(Why::Named),
            State::Running { .. } => {}
            _ => self.want(id, Why::Named, now, now),
        }
        true
    }

    fn settle(&mut self) {
        self.window.settle(self.running.first().map(|(began, _)| *began));
    }
}

fn unlist(roots: &mut HashMap<String, BTreeSet<QueryId>>, root: &str, id: QueryId) {
    if let Some(queries) = roots.get_mut(root) {
        queries.remove(&id);
        if queries.is_empty() {
            roots.remove(root);
        }
    }
}

fn touched(
    watches: &[Watching],
    tables: &HashMap<Oid, SmallVec<[Oid; 1]>>,
    change: &Change,
    before: Option<&Row>,
) -> bool {
    let Some(tables) = tables.get(&change.relation.oid) else { return false };
    let mut watches = watches.iter().filter(|watching| tables.contains(&watching.table)).peekable();
    if watches.peek().is_none() {
        return false;
    }
    let sides = Sides::of(change, before);
    watches.any(|watching| touches(watching, &sides))
}

fn explain(
    causes: &mut Vec<String>,
    model: &Model,
    tables: &HashMap<Oid, SmallVec<[Oid; 1]>>,
    change: &Change,
) {
    let table = tables.get(&change.relation.oid).and_then(|tables| tables.first());
    for cause in identifier::of_change(model, table.copied().unwrap_or_default(), change) {
        if causes.len() < CAUSES && !causes.contains(&cause) {
            causes.push(cause);
        }
    }
}

/// Puts new places in the index; those that are as before stay.
fn replace(index: &mut Index, query: QueryId, before: &mut Vec<Watching>, after: Vec<Watching>) {
    let longest = before.len().max(after.len());
    for (watch, place) in (0..longest).zip(0..) {
        let (old, new) = (before.get(watch), after.get(watch));
        if old == new {
            continue;
        }
        let place = Place { query, watch: place };
        if let Some(old) = old {
            index.remove(place, old);
        }
        if let Some(new) = new {
            index.add(place, new);
        }
    }
    *before = after;
}

#[cfg(test)]
mod tests;
