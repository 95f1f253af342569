//! The machine under virtual time: every order in which things can happen, on a small database.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;
use crate::change::types::builtin;
use crate::change::{Action, Column, OldRow, Relation, Row};
use crate::graphql::read_set::{Extent, Members, ReadSet, Watch};
use crate::lsn::Lsn;
use crate::pgoutput::ReplicaIdentity;

const TABLE: Oid = 1;
const FIRST: u32 = 100;

fn relation(oid: Oid) -> Arc<Relation> {
    let column = |name: &str, key| Column {
        name: name.into(),
        key,
        type_oid: 20,
        type_modifier: -1,
        info: builtin(20).unwrap(),
    };
    let columns = vec![column("id", true), column("value", false)];
    Arc::new(Relation::new(oid, "public".into(), "t".into(), ReplicaIdentity::Default, columns))
}

fn row(values: &[&str]) -> Row {
    let mut bytes = Vec::new();
    for value in values {
        bytes.push(b't');
        bytes.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend(value.as_bytes());
    }
    Row(Bytes::from(bytes))
}

fn transaction(xid: u32, table: Oid, action: Action) -> Arc<Transaction> {
    let lsn = Lsn(u64::from(xid));
    let cursor = Cursor { commit: lsn, change: lsn, index: 0 };
    let changes = vec![Change { cursor, relation: relation(table), action }];
    Arc::new(Transaction {
        xid,
        commit: lsn,
        commit_timestamp: "".into(),
        changes,
        messages: Vec::new(),
        end: Some(lsn),
        bytes: 100,
    })
}

fn update(xid: u32, id: &str) -> Arc<Transaction> {
    transaction(xid, TABLE, Action::Update { old: None, new: row(&[id, &xid.to_string()]) })
}

/// Depends on the row 1 of the table.
fn read() -> ReadSet {
    let watch = Watch {
        table: TABLE,
        key: vec!["id".to_owned()],
        rows: BTreeSet::from([vec![Some("1".to_owned())]]),
        columns: None,
        members: Members { closed: true, ..Members::default() },
        extent: Extent::Whole,
    };
    ReadSet { watches: vec![watch], opaque: BTreeSet::new() }
}

/// A snapshot in which, of `count` transactions, these are visible.
fn snapshot(visible: &BTreeSet<u32>, count: u32) -> Snapshot {
    let open: Vec<u32> = (FIRST..FIRST + count).filter(|xid| !visible.contains(xid)).collect();
    let xmin = open.first().copied().unwrap_or(FIRST + count);
    let open: Vec<String> = open.iter().map(ToString::to_string).collect();
    format!("{xmin}:{}:{}", FIRST + count, open.join(",")).parse().unwrap()
}

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The next transaction comes through the slot.
    Decoded,
    /// This one becomes visible.
    Visible(u32),
    /// The statement of the run that is under way begins.
    Snapshot,
    /// The run ends.
    Ended,
    /// Time goes by to the next timer.
    Due,
    /// A second subscriber comes, and goes.
    Comes,
    Goes,
}

/// A database with some transactions, of which the even ones touch what the query reads, and one live query.
#[derive(Clone)]
struct World {
    live: Live,
    id: QueryId,
    now: Instant,
    count: u32,
    decoded: u32,
    visible: BTreeSet<u32>,
    running: bool,
    taken: Option<BTreeSet<u32>>,
    /// What the newest result contains.
    result: Option<BTreeSet<u32>>,
    runs: usize,
    subscribers: usize,
}

impl World {
    fn new(count: u32, now: Instant) -> Self {
        let mut live = Live::new(1, false);
        live.schema(Arc::default(), [(TABLE, TABLE)].into_iter());
        let mut run = Vec::new();
        let id = live.add(Vec::new(), now, &mut run);
        live.subscribe(id, Duration::ZERO);
        assert_eq!(run, [id]);
        Self {
            live,
            id,
            now,
            count,
            decoded: 0,
            visible: BTreeSet::new(),
            running: true,
            taken: None,
            result: None,
            runs: 1,
            subscribers: 1,
        }
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.decoded < self.count {
            events.push(Event::Decoded);
        }
        events.extend(
            (FIRST..FIRST + self.count).filter(|xid| !self.visible.contains(xid)).map(Event::Visible),
        );
        match (self.running, &self.taken) {
            (true, None) => events.push(Event::Snapshot),
            (true, Some(_)) => events.push(Event::Ended),
            (false, _) => {}
        }
        events
    }

    fn happen(&mut self, event: Event) {
        let mut run = Vec::new();
        match event {
            Event::Decoded => {
                let xid = FIRST + self.decoded;
                self.decoded += 1;
                let id = if xid.is_multiple_of(2) { "1" } else { "7" };
                self.live.transaction(&update(xid, id), self.now, &mut run);
            }
            Event::Visible(xid) => {
                self.visible.insert(xid);
            }
            Event::Snapshot => self.taken = Some(self.visible.clone()),
            Event::Ended => {
                let taken = self.taken.take().unwrap();
                let outcome = Outcome::of(read(), snapshot(&taken, self.count));
                self.result = Some(taken);
                self.running = false;
                assert!(self.live.ended(self.id, outcome, self.now, &mut run).is_some());
            }
            Event::Due => {
                self.now = self.live.next_due().unwrap();
                self.live.due(self.now, &mut run);
            }
            Event::Comes => {
                self.live.subscribe(self.id, Duration::ZERO);
                self.subscribers += 1;
            }
            Event::Goes => {
                self.subscribers -= 1;
                assert!(!self.live.unsubscribe(self.id, Duration::ZERO, self.now, &mut run));
            }
        }
        for id in run {
            assert_eq!(id, self.id);
            assert!(!self.running, "two runs at a time");
            self.running = true;
            self.runs += 1;
        }
    }

    /// Lets everything that has to happen by itself happen.
    fn rest(&mut self) {
        for _ in 0..100 {
            let next = match (self.running, &self.taken) {
                (true, None) => Event::Snapshot,
                (true, Some(_)) => Event::Ended,
                (false, _) if self.live.next_due().is_some() => Event::Due,
                (false, _) => return,
            };
            self.happen(next);
        }
        panic!("it never rests");
    }

    fn touching(of: &BTreeSet<u32>) -> BTreeSet<u32> {
        of.iter().copied().filter(|xid| xid.is_multiple_of(2)).collect()
    }
}

/// Every order in which the events of so many transactions can happen.
fn explore(count: u32, check: &mut impl FnMut(&[Event], World)) {
    fn go(path: &mut Vec<Event>, world: &World, check: &mut impl FnMut(&[Event], World)) {
        let events = world.events();
        if world.decoded == world.count && world.visible.len() == world.count as usize {
            return check(path, world.clone());
        }
        for event in events {
            let mut next = world.clone();
            next.happen(event);
            path.push(event);
            go(path, &next, check);
            path.pop();
        }
    }
    go(&mut Vec::new(), &World::new(count, Instant::now()), check);
}

#[test]
fn in_every_order_of_events_the_last_result_is_that_of_a_fresh_query() {
    let mut orders = 0;
    explore(3, &mut |path, mut world| {
        world.rest();
        orders += 1;
        let (result, fresh) =
            (World::touching(world.result.as_ref().unwrap()), World::touching(&world.visible));
        assert_eq!(result, fresh, "{path:?}");
        // One to begin with, and for each of the two that touch at most one run and one try too early.
        assert!(
            world.runs <= 1 + 2 * 2 + path.iter().filter(|event| **event == Event::Ended).count(),
            "{path:?}"
        );
    });
    assert!(orders > 1_000, "{orders}");
}

#[test]
fn a_change_that_does_not_touch_costs_no_run() {
    explore(1, &mut |_, mut world| {
        world.rest();
        // 100 is even and touches; one run before it or behind it, and tries while it was hidden.
        assert!(world.runs >= 1);
    });
    let mut world = World::new(0, Instant::now());
    world.rest();
    let mut run = Vec::new();
    for xid in 0..50 {
        world.live.transaction(&update(200 + xid, "7"), world.now, &mut run);
        world.live.transaction(&transaction(300 + xid, 9, Action::Truncate), world.now, &mut run);
    }
    assert_eq!((run.as_slice(), world.live.next_due()), (&[][..], None));
    world.live.transaction(&update(400, "1"), world.now, &mut run);
    assert_eq!(run, [world.id]);
}

#[test]
fn a_burst_costs_the_run_that_is_under_way_and_one_more() {
    let mut world = World::new(100, Instant::now());
    world.rest();
    let runs = world.runs;
    for xid in FIRST..FIRST + 100 {
        world.happen(Event::Visible(xid));
        world.happen(Event::Decoded);
        if xid == FIRST {
            world.happen(Event::Snapshot);
        }
    }
    world.rest();
    assert_eq!(world.runs - runs, 2);
    assert_eq!(world.result.as_ref().map(BTreeSet::len), Some(100));
}

#[test]
fn a_hidden_commit_is_waited_for_with_longer_and_longer_pauses() {
    let mut world = World::new(1, Instant::now());
    world.rest();
    let (runs, began) = (world.runs, world.now);
    world.happen(Event::Decoded);
    // It stays hidden for ten seconds, as a commit does that waits for a standby.
    while world.now - began < Duration::from_secs(10) {
        match (world.running, &world.taken) {
            (true, None) => world.happen(Event::Snapshot),
            (true, Some(_)) => world.happen(Event::Ended),
            (false, _) => world.happen(Event::Due),
        }
    }
    assert!((15..30).contains(&(world.runs - runs)), "{}", world.runs - runs);
    world.happen(Event::Visible(FIRST));
    world.rest();
    assert_eq!(world.result, Some(BTreeSet::from([FIRST])));
}

#[test]
fn subscribers_come_and_go_and_the_last_takes_the_query_with_it() {
    let mut world = World::new(2, Instant::now());
    world.happen(Event::Comes);
    world.happen(Event::Snapshot);
    world.happen(Event::Goes);
    world.rest();
    let mut run = Vec::new();
    assert!(world.live.unsubscribe(world.id, Duration::ZERO, world.now, &mut run));
    world.live.transaction(&update(FIRST, "1"), world.now, &mut run);
    assert!(run.is_empty());
    assert!(!world.live.index.has(TABLE) && world.live.queries.is_empty() && world.live.running.is_empty());
    // A run that ends after its query is gone says nothing.
    assert_eq!(
        world.live.ended(world.id, Outcome::of(read(), snapshot(&BTreeSet::new(), 0)), world.now, &mut run),
        None
    );
}

#[test]
fn what_is_invalidated_during_a_run_runs_again() {
    let mut world = World::new(0, Instant::now());
    world.happen(Event::Snapshot);
    let mut run = Vec::new();
    world.live.interrupt(world.now, &mut run);
    assert!(run.is_empty());
    world.happen(Event::Ended);
    assert!(world.running);
    world.rest();
    assert_eq!(world.runs, 2);
}

#[test]
fn an_interruption_does_not_forget_what_is_hidden() {
    let mut world = World::new(1, Instant::now());
    world.rest();
    world.happen(Event::Decoded);
    world.happen(Event::Snapshot);
    let mut run = Vec::new();
    world.live.interrupt(world.now, &mut run);
    // Runs end, before and after the interruption, that do not see it.
    world.happen(Event::Ended);
    world.happen(Event::Snapshot);
    world.happen(Event::Ended);
    assert!(world.running || world.live.next_due().is_some(), "nobody waits for it");
    world.happen(Event::Visible(FIRST));
    world.rest();
    assert_eq!(world.result, Some(BTreeSet::from([FIRST])));
}

#[test]
fn a_throttle_holds_for_the_runs_of_all_who_want_it() {
    let second = Duration::from_secs(1);
    let mut live = Live::new(1, false);
    live.schema(Arc::default(), [(TABLE, TABLE)].into_iter());
    let (start, mut run) = (Instant::now(), Vec::new());
    let id = live.add(Vec::new(), start, &mut run);
    live.subscribe(id, second);
    let seen = |xid| Outcome::of(read(), snapshot(&(FIRST..xid).collect(), 50));
    live.ended(id, seen(FIRST), start, &mut run);
    run.clear();
    live.transaction(&update(FIRST, "1"), start, &mut run);
    assert!(run.is_empty());
    assert_eq!(live.next_due(), Some(start + second));
    // Somebody who wants it sooner gets it sooner.
    live.subscribe(id, Duration::ZERO);
    live.transaction(&update(FIRST + 2, "1"), start, &mut run);
    assert_eq!(run, [id]);
}

#[test]
fn errors_that_may_pass_are_tried_again_and_others_wait_for_a_change() {
    let (start, mut run) = (Instant::now(), Vec::new());
    let mut live = Live::new(1, false);
    live.schema(Arc::default(), [(TABLE, TABLE)].into_iter());
    let id = live.add(Vec::new(), start, &mut run);
    live.subscribe(id, Duration::ZERO);
    live.ended(id, Outcome::failed(read(), true), start, &mut run);
    let (first, mut now) = (live.next_due().unwrap(), start);
    assert_eq!(first - start, FAILED);
    for _ in 0..20 {
        now = live.next_due().unwrap();
        live.due(now, &mut run);
        live.ended(id, Outcome::failed(read(), true), now, &mut run);
    }
    assert_eq!(live.next_due().unwrap() - now, FAILED_MOST);
    now = live.next_due().unwrap();
    live.due(now, &mut run);
    live.ended(id, Outcome::failed(read(), false), now, &mut run);
    assert_eq!(live.next_due(), None);
    run.clear();
    live.transaction(&update(FIRST, "1"), now, &mut run);
    assert_eq!(run, [id]);
}

#[test]
fn what_the_window_lost_counts_as_touching_until_a_snapshot_is_past_it() {
    let mut world = World::new(0, Instant::now());
    world.rest();
    let (id, now, mut run) = (world.id, world.now, Vec::new());
    // More than the window holds, none of it touching, and none known to be visible.
    for xid in 1_000..30_000 {
        world.live.transaction(&update(xid, "7"), now, &mut run);
    }
    assert!(run.is_empty());
    world.live.transaction(&update(30_000, "1"), now, &mut run);
    assert_eq!(run, [id]);
    let old: Snapshot = "900:40000:900".parse().unwrap();
    world.live.ended(id, Outcome::of(read(), old), now, &mut run);
    assert!(world.live.next_due().is_some(), "something may be hidden");
    let due = world.live.next_due().unwrap();
    world.live.due(due, &mut run);
    world.live.ended(id, Outcome::of(read(), "40000:40000:".parse().unwrap()), due, &mut run);
    assert_eq!(world.live.next_due(), None);
}

#[test]
fn deletes_and_inserts_are_told_by_their_keys() {
    let mut world = World::new(0, Instant::now());
    world.rest();
    let mut run = Vec::new();
    let delete = |xid, id| transaction(xid, TABLE, Action::Delete { old: OldRow::Key(row(&[id, ""])) });
    world.live.transaction(&delete(200, "7"), world.now, &mut run);
    world.live.transaction(
        &transaction(201, TABLE, Action::Insert { new: row(&["8", "1"]) }),
        world.now,
        &mut run,
    );
    assert!(run.is_empty());
    world.live.transaction(&delete(202, "1"), world.now, &mut run);
    assert_eq!(run, [world.id]);
}

#[test]
fn what_a_transaction_invalidates_runs_until_that_transaction_is_seen() {
    let (now, mut run) = (Instant::now(), Vec::new());
    let mut live = Live::new(1, false);
    let key: Identifier = "Query.things".parse().unwrap();
    let id = live.add(vec![key.to_string()], now, &mut run);
    live.subscribe(id, Duration::ZERO);
    let outcome = |visible: &[u32]| Outcome::of(read(), snapshot(&visible.iter().copied().collect(), 3));
    live.ended(id, outcome(&[FIRST]), now, &mut run);
    run.clear();
    // The result has seen this one already.
    assert_eq!(live.invalidate(&key, Some(FIRST), now, &mut run), 1);
    assert!(run.is_empty());
    live.invalidate(&key, Some(FIRST + 1), now, &mut run);
    assert_eq!(run, [id]);
    live.ended(id, outcome(&[FIRST]), now, &mut run);
    let due = live.next_due().expect("another run, since it is hidden still");
    live.due(due, &mut run);
    live.ended(id, outcome(&[FIRST, FIRST + 1]), due, &mut run);
    assert_eq!(live.next_due(), None);
    // What comes from elsewhere is always worth a run.
    run.clear();
    live.invalidate(&key, None, due, &mut run);
    assert_eq!(run, [id]);
}

#[test]
fn an_update_of_what_nobody_asked_for_is_told_from_one_that_matters_once_the_row_is_known() {
    let (now, mut run) = (Instant::now(), Vec::new());
    let mut live = Live::new(1, false);
    live.schema(Arc::default(), [(TABLE, TABLE)].into_iter());
    let id = live.add(Vec::new(), now, &mut run);
    live.subscribe(id, Duration::ZERO);
    // The identifiers of rows are read, their values are not.
    let narrow = || {
        let mut read = read();
        read.watches[0].columns = Some(BTreeSet::from(["id".to_owned()]));
        Outcome::of(read, snapshot(&BTreeSet::new(), 0))
    };
    live.ended(id, narrow(), now, &mut run);
    run.clear();
    let set = |xid, value| transaction(xid, TABLE, Action::Update { old: None, new: row(&["1", value]) });
    // The key is as it was, and no other column was read.
    live.transaction(&set(200, "5"), now, &mut run);
    assert!(run.is_empty());
    // The value is read from now on. What it was is known from the change before.
    let value = |xmin: u32| {
        let mut read = read();
        read.watches[0].columns = Some(BTreeSet::from(["value".to_owned()]));
        Outcome::of(read, format!("{xmin}:{xmin}:").parse().unwrap())
    };
    live.interrupt(now, &mut run);
    live.ended(id, value(201), now, &mut run);
    run.clear();
    live.transaction(&set(201, "6"), now, &mut run);
    assert_eq!(run, [id], "not known after an interruption");
    live.ended(id, value(301), now, &mut run);
    run.clear();
    live.transaction(&set(301, "6"), now, &mut run);
    assert!(run.is_empty(), "it is what it was");
    live.transaction(&set(302, "7"), now, &mut run);
    assert_eq!(run, [id]);
}
