//! A transaction in: frames to the hub, progress to the slot.
//!
//! One task does it, in stream order. It waits while a shard is behind, and then the queue in front of it
//! fills, and then the reader waits: Postgres keeps the log meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::change::Transaction;
use crate::change::message::Content;
use crate::channel::encoding::{Payloads, frames};
use crate::channel::lane::LaneSet;
use crate::feeds::Feeds;
use crate::hub::{Delivery, Hub};
use crate::lsn::{Cursor, Epoch, Lsn};
use crate::metrics::COUNTED;
use crate::readiness::Readiness;
use crate::topic::index::Hit;
use crate::traces::{self, KeyValue};

/// Bytes of rows and messages that may wait between the reader and the dispatcher.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// How often the replay window ages while nothing comes.
const AGING: Duration = Duration::from_secs(1);

/// What the reader hands over, in stream order.
#[derive(Debug)]
enum Item {
    /// The stream's state changed.
    Readiness(Readiness),
    /// A session began.
    Begin(Epoch, Cursor),
    /// A transaction, or a piece of one.
    Transaction(Transaction, OwnedSemaphorePermit),
    /// Nothing but log of no interest lies before this position.
    Idle(Lsn),
    /// Let every socket have what waits for it, and close it.
    Finish(oneshot::Sender<()>),
}

/// The reader's end of the queue, bounded in bytes.
#[derive(Clone, Debug)]
pub struct Inlet {
    items: mpsc::UnboundedSender<Item>,
    budget: Arc<Semaphore>,
}

impl Inlet {
    /// Waits until there is room for the rows and messages of `transaction`, and hands it over.
    pub async fn transaction(&self, transaction: Transaction) {
        let permits = u32::try_from(transaction.bytes.clamp(1, QUEUE_BYTES)).unwrap_or(1);
        // The semaphore is never closed.
        if let Ok(permit) = Arc::clone(&self.budget).acquire_many_owned(permits).await {
            let _ = self.items.send(Item::Transaction(transaction, permit));
        }
    }

    /// A session begins in `epoch`; the first change comes after `position`. Where changes between the last
    /// session and this one may have been missed, every joined channel is told.
    pub fn begin(&self, epoch: Epoch, position: Cursor) {
        let _ = self.items.send(Item::Begin(epoch, position));
    }

    /// The stream's state, as of everything handed over before.
    pub fn readiness(&self, readiness: Readiness) {
        let _ = self.items.send(Item::Readiness(readiness));
    }

    /// Between transactions, the server has nothing for us before `wal_end`.
    pub fn idle(&self, wal_end: Lsn) {
        let _ = self.items.send(Item::Idle(wal_end));
    }

    /// Waits until all that was handed over is on its sockets and these are closed.
    pub async fn finish(&self) {
        let (done, wait) = oneshot::channel();
        if self.items.send(Item::Finish(done)).is_ok() {
            let _ = wait.await;
        }
    }
}

/// How far dispatch has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    epoch: Option<Epoch>,
    dispatched: Lsn,
    /// Everything from here on may be asked for again.
    floor: Lsn,
}

impl Progress {
    /// `dispatched` of `epoch`, and `floor`, from where on the replay window may ask again.
    #[must_use]
    pub const fn new(epoch: Epoch, dispatched: Lsn, floor: Lsn) -> Self {
        Self { epoch: Some(epoch), dispatched, floor }
    }

    /// End of the last transaction of `epoch` that was wholly dispatched; 0/0 when there was none. A position of
    /// another epoch must never be acknowledged: it could lie ahead of what this one has written.
    #[must_use]
    pub fn dispatched(&self, epoch: Epoch) -> Lsn {
        if self.epoch == Some(epoch) { self.dispatched } else { Lsn(0) }
    }

    /// What may be acknowledged to Postgres of `epoch`: all that was dispatched, but for what the replay window holds, so
    /// that it can be read again after a crash.
    #[must_use]
    pub fn acknowledged(&self, epoch: Epoch) -> Lsn {
        self.floor.min(self.dispatched(epoch))
    }

    /// The same of whichever epoch it is; `None` before the first session.
    #[must_use]
    pub fn confirmed(&self) -> Option<Lsn> {
        self.epoch.map(|epoch| self.acknowledged(epoch))
    }

    /// What was dispatched of whichever epoch it is; `None` before the first session.
    #[must_use]
    pub fn latest(&self) -> Option<Lsn> {
        self.epoch.map(|_| self.dispatched)
    }
}

/// The dispatcher's end of the queue.
pub struct Dispatcher {
    items: mpsc::UnboundedReceiver<Item>,
    hub: Hub,
    feeds: Feeds,
    progress: watch::Sender<Progress>,
    readiness: watch::Sender<Readiness>,
    drain: Duration,
    /// Whether the stream has been live in this process.
    was_live: bool,
    /// When the shards were told last how far they have come.
    announced: Instant,
    hits: Vec<Hit>,
    wanted: Vec<Wanted>,
    /// Of each of what is wanted, the lanes by shard.
    lanes: Vec<LaneSet>,
}

/// A change that a topic's members want, as of the moment at which it was routed.
#[derive(Debug)]
struct Wanted {
    /// The place of the change in its transaction.
    change: usize,
    sequence: u64,
    hit: Hit,
    spelled: Arc<str>,
    wait: Duration,
}

/// What others watch of the dispatcher.
#[derive(Clone, Debug)]
pub struct Watches {
    /// How far dispatch has come.
    pub progress: watch::Receiver<Progress>,
    /// Whether changes are flowing.
    pub readiness: watch::Receiver<Readiness>,
}

impl Dispatcher {
    /// A dispatcher to `hub`, which at the end gives its sockets `drain` to take what waits for them, and which
    /// announces the `readiness` of what the reader has handed over.
    #[must_use]
    pub fn new(
        hub: Hub,
        feeds: Feeds,
        readiness: watch::Sender<Readiness>,
        drain: Duration,
    ) -> (Self, Inlet, Watches) {
        let (items, queue) = mpsc::unbounded_channel();
        let (progress, progress_watch) = watch::channel(Progress::default());
        let readiness_watch = readiness.subscribe();
        let inlet = Inlet { items, budget: Arc::new(Semaphore::new(QUEUE_BYTES)) };
        let dispatcher = Self {
            items: queue,
            hub,
            feeds,
            progress,
            readiness,
            drain,
            was_live: false,
            announced: Instant::now(),
            hits: Vec::new(),
            wanted: Vec::new(),
            lanes: Vec::new(),
        };
        (dispatcher, inlet, Watches { progress: progress_watch, readiness: readiness_watch })
    }

    /// Runs until every inlet is gone.
    pub async fn run(mut self) {
        let mut aging = tokio::time::interval(AGING);
        aging.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                item = self.items.recv() => match item {
                    Some(item) => self.item(item).await,
                    None => return,
                },
                _ = aging.tick() => self.reach(Lsn(0)),
            }
        }
    }

    async fn item(&mut self, item: Item) {
        match item {
            Item::Readiness(readiness) => {
                self.was_live |= readiness.is_live();
                self.readiness.send_replace(readiness);
            }
            Item::Begin(epoch, position) => self.begin(epoch, position),
            Item::Transaction(transaction, permit) => {
                let begun = traces::begin();
                let transaction = Arc::new(transaction);
                COUNTED.changes.count(&transaction.changes);
                self.hub.replay().history().push(Instant::now(), &transaction);
                self.feed(&transaction);
                let by_shard = self.route(&transaction);
                let deliveries: usize = by_shard.iter().map(Vec::len).sum();
                let frames = by_shard.iter().flatten().map(|delivery| delivery.frames.len());
                let frames = if begun.is_traced() { frames.sum() } else { 0 };
                self.hub.deliver(by_shard, &transaction.commit_timestamp).await;
                if deliveries > 0 {
                    begun.end("dispatch", || attributes(&transaction, deliveries, frames));
                }
                drop(permit);
                if let Some(end) = transaction.end {
                    self.reach(end);
                }
            }
            Item::Idle(wal_end) => {
                self.hub.interest().table().reach(wal_end);
                self.reach(wal_end);
            }
            Item::Finish(done) => {
                self.hub.drain(self.drain).await;
                let _ = done.send(());
            }
        }
    }

    /// Tells of the rows first: whatever a message is about was written in its transaction or before it.
    fn feed(&self, transaction: &Arc<Transaction>) {
        // A message outside of any transaction is no reason to look for rows.
        if transaction.xid != 0 {
            self.feeds.transaction(transaction, self.was_live);
        }
        // Whose work has to be seen before what it invalidates is fresh.
        let written = (transaction.xid != 0).then_some(transaction.xid);
        for message in &transaction.messages {
            let cursor = message.cursor;
            match &message.content {
                Content::Invalidate(keys) => {
                    tracing::debug!(%cursor, keys = keys.len(), "keys are invalidated");
                    self.feeds.invalidate(keys, written);
                }
                Content::Mark(name) => self.hub.interest().table().marked(name, cursor),
                // What the window is made of when a process starts was told by the one before.
                Content::Send(_) if !self.was_live => {}
                Content::Send(sent) => {
                    tracing::debug!(%cursor, bytes = sent.payload.len(), "something is sent");
                    self.feeds.send(sent);
                }
            }
        }
    }

    /// A session begins. Nobody moves the slot but its reader: if it begins behind what we dispatched last, it
    /// was made anew or another process had it meanwhile; and in another epoch the log is another one. Channels
    /// that are still joined then have a gap.
    fn begin(&self, epoch: Epoch, position: Cursor) {
        let known = *self.progress.borrow();
        self.feeds.begin();
        let gap = known.epoch != Some(epoch) || position.commit > known.dispatched;
        if gap {
            // Before the position: who found the new one with the old window would pass the gap unaware.
            self.hub.replay().history().begin(epoch, position);
        }
        self.hub.interest().table().begin(epoch, position);
        if known.epoch.is_some() && gap {
            let (from, to) = (known.dispatched, position.commit);
            tracing::warn!(%epoch, %from, %to, "changes may have been missed; every joined channel and subscription is told");
            self.hub.interrupt();
            self.feeds.interrupt();
        }
        let dispatched = known.dispatched(epoch).max(position.commit);
        let floor = self.hub.replay().history().floor();
        self.progress.send_replace(Progress::new(epoch, dispatched, floor));
    }

    /// Everything before `lsn` is dispatched.
    fn reach(&mut self, lsn: Lsn) {
        let now = Instant::now();
        let floor = {
            let mut history = self.hub.replay().history();
            history.reach(now, lsn);
            history.floor()
        };
        self.progress.send_if_modified(|progress| {
            let further = lsn > progress.dispatched || floor > progress.floor;
            progress.dispatched = lsn.max(progress.dispatched);
            progress.floor = floor.max(progress.floor);
            further
        });
        if now.saturating_duration_since(self.announced) >= AGING {
            self.announced = now;
            let (position, epoch) = self.hub.interest().table().position();
            if let Some(epoch) = epoch {
                self.hub.reached(position, epoch);
            }
        }
    }

    /// Encodes what anybody wants of a transaction, once for each form in which it is wanted.
    pub fn route(&mut self, transaction: &Transaction) -> Vec<Vec<Delivery>> {
        self.look_up(transaction);
        let mut by_shard: Vec<Vec<Delivery>> = vec![Vec::new(); self.hub.shards()];
        let mut lanes = self.lanes.chunks_exact(self.hub.shards());
        for wanted in self.wanted.chunk_by(|one, next| one.change == next.change) {
            let place = wanted.first().map(|wanted| wanted.change);
            let Some(change) = place.and_then(|place| transaction.changes.get(place)) else { break };
            let mut payloads = Payloads::new(change, &transaction.commit_timestamp);
            for (wanted, lanes) in wanted.iter().zip(&mut lanes) {
                let Wanted { sequence, hit, ref spelled, wait, .. } = *wanted;
                let all = lanes.iter().fold(LaneSet::default(), |all, lanes| all.or(*lanes));
                let frames = frames(&mut payloads, spelled, hit.telling, all);
                for (deliveries, lanes) in by_shard.iter_mut().zip(lanes) {
                    if !lanes.is_empty() {
                        let frames = frames.clone();
                        deliveries.push(Delivery { topic: hit.topic, sequence, changes: 1, wait, frames });
                    }
                }
            }
        }
        self.wanted.clear();
        by_shard
    }

    /// Routes a transaction. Who joins now waits for this, but not for what is encoded then: who gets which change is
    /// settled by its number (see [`Table::route`](crate::hub::Table::route)).
    fn look_up(&mut self, transaction: &Transaction) {
        self.lanes.clear();
        let table = &mut *self.hub.interest().table();
        for (change, routed) in transaction.changes.iter().enumerate() {
            self.hits.clear();
            let sequence = table.route(routed, &mut self.hits);
            for hit in &self.hits {
                let Some((spelled, lanes, wait)) = table.members(hit.topic) else { continue };
                // Somebody may only listen.
                if lanes.iter().any(|lanes| !lanes.is_empty()) {
                    self.lanes.extend_from_slice(lanes);
                    let (hit, spelled) = (*hit, Arc::clone(spelled));
                    self.wanted.push(Wanted { change, sequence, hit, spelled, wait });
                }
            }
        }
    }
}

fn attributes(transaction: &Transaction, deliveries: usize, frames: usize) -> [KeyValue; 5] {
    [
        KeyValue::new("walcast.commit_lsn", transaction.commit.to_string()),
        KeyValue::new("walcast.xid", i64::from(transaction.xid)),
        KeyValue::new("walcast.changes", traces::count(transaction.changes.len())),
        KeyValue::new("walcast.deliveries", traces::count(deliveries)),
        KeyValue::new("walcast.frames", traces::count(frames)),
    ]
}
