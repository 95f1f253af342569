//! Which topics have members, on which shards, and in which form: what the dispatcher asks before it
//! encodes anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;
use tokio::sync::{oneshot, watch};

use crate::channel::coalesce::Coalescing;
use crate::channel::lane::{Lane, LaneSet};
use crate::lsn::{Cursor, Epoch, Lsn};
use crate::topic::index::{Hit, Index, Pattern, TopicId};

use crate::change::Change;

/// Places of topics that are looked at without letting go of the lock.
const SLICE: usize = 4096;

/// The interest of all shards. One lock, held for a look-up or a join, never across an await; the
/// dispatcher takes it once per piece of a transaction.
#[derive(Debug)]
pub struct Interest {
    table: Mutex<Table>,
    shards: usize,
    members_per_topic: usize,
}

/// What the lock guards. The position lies in the same lock as the topics, so that a join learns exactly
/// which changes will reach it.
#[derive(Debug, Default)]
pub struct Table {
    index: Index,
    topics: Slab<Entry>,
    spelled: HashMap<Arc<str>, Vec<TopicId>>,
    extent: Extent,
    coalescing: Coalescing,
    /// Counts the changes routed so far.
    sequence: u64,
    position: Cursor,
    epoch: Option<Epoch>,
    /// Marks that were written to the log, until they come back.
    marks: HashMap<Box<str>, oneshot::Sender<Cursor>>,
}

/// How many there are, for an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Topics with members, each once.
    pub topics: usize,
    /// Distinct filters of these.
    pub filters: usize,
    /// Members and listeners.
    pub members: usize,
}

/// A topic with members, as an operator sees it.
#[derive(Clone, Debug)]
pub struct TopicSeen {
    /// As its members spell it.
    pub spelled: Arc<str>,
    /// What it matches.
    pub pattern: Pattern,
    /// Members and listeners.
    pub members: usize,
}

#[derive(Debug)]
struct Entry {
    spelled: Arc<str>,
    pattern: Pattern,
    /// How long its changes may wait for more.
    wait: Duration,
    /// Members of all shards, and listeners.
    members: usize,
    /// Told the number of each change that matches, once somebody has listened.
    listened: Option<watch::Sender<u64>>,
    /// Members by shard, then by lane.
    counts: Box<[[u32; Lane::COUNT]]>,
    /// The lanes with members, by shard.
    lanes: Box<[LaneSet]>,
}

/// What a new member of a topic is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registration {
    /// The topic, for the shard's table of members.
    pub topic: TopicId,
    /// Changes with a greater number reach the member, others do not.
    pub after: u64,
    /// The cursor of the last change routed before the join.
    pub position: Cursor,
    /// The epoch of `position`; `None` before the stream was ever live.
    pub epoch: Option<Epoch>,
}

/// A topic that has as many members as it may.
#[derive(Debug)]
pub(super) struct TopicFull {
    /// The limit in force.
    pub limit: usize,
}

impl Interest {
    pub(super) fn new(shards: usize, members_per_topic: usize, coalescing: Coalescing) -> Self {
        let table = Mutex::new(Table { coalescing, ..Table::default() });
        Self { table, shards, members_per_topic }
    }

    /// Takes the lock. No holder can leave the table half changed, so that poison is ignored.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a member of a topic on a shard.
    ///
    /// # Errors
    /// When the topic is full.
    pub(super) fn join(
        &self,
        spelled: &Arc<str>,
        pattern: &Pattern,
        shard: usize,
        lane: Lane,
    ) -> Result<Registration, TopicFull> {
        let table = &mut *self.table();
        let topic = table.add(spelled, pattern, self.shards, self.members_per_topic)?;
        Ok(table.register(topic, shard, lane))
    }

    /// Takes a member back.
    pub(super) fn leave(&self, topic: TopicId, shard: usize, lane: Lane) {
        let table = &mut *self.table();
        if let Some(entry) = table.topics.get_mut(topic.0 as usize) {
            entry.count(shard, lane, |count| count.saturating_sub(1));
        }
        table.remove(topic);
    }

    /// Counts as a member of a topic whom nothing is sent: who reads at its own pace, from the replay window.
    ///
    /// # Errors
    /// When the topic is full.
    pub(super) fn listen(
        self: &Arc<Self>,
        spelled: &Arc<str>,
        pattern: &Pattern,
    ) -> Result<Listening, TopicFull> {
        let table = &mut *self.table();
        let topic = table.add(spelled, pattern, self.shards, self.members_per_topic)?;
        let sequence = table.sequence;
        let told = table
            .topics
            .get_mut(topic.0 as usize)
            .map(|entry| entry.listened.get_or_insert_with(|| watch::channel(sequence).0).subscribe());
        let told = told.unwrap_or_else(|| watch::channel(sequence).1);
        Ok(Listening { interest: Arc::clone(self), topic, told })
    }
}

/// A topic that somebody listens to, until this is dropped.
#[derive(Debug)]
pub struct Listening {
    interest: Arc<Interest>,
    topic: TopicId,
    told: watch::Receiver<u64>,
}

impl Listening {
    /// Waits until, since the last call, a change that the topic matches has been routed, or the window began anew.
    pub async fn changed(&mut self) {
        if self.told.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The last change routed, and its epoch.
    #[must_use]
    pub fn position(&self) -> (Cursor, Option<Epoch>) {
        self.interest.table().position()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.interest.table().remove(self.topic);
    }
}

impl Table {
    /// The topic's number. One spelling can stand for two patterns for as long as a column's type changes
    /// under its members.
    fn topic(&mut self, spelled: &Arc<str>, pattern: &Pattern, shards: usize) -> TopicId {
        let known = self.spelled.get(spelled).into_iter().flatten();
        for id in known {
            if self.topics.get(id.0 as usize).is_some_and(|entry| entry.pattern == *pattern) {
                return *id;
            }
        }
        let slot = self.topics.insert(Entry {
            spelled: Arc::clone(spelled),
            pattern: pattern.clone(),
            wait: self.coalescing.wait(spelled),
            members: 0,
            listened: None,
            counts: vec![[0; Lane::COUNT]; shards].into(),
            lanes: vec![LaneSet::default(); shards].into(),
        });
        let id = TopicId(u32::try_from(slot).unwrap_or(u32::MAX));
        self.index.insert(pattern, id);
        self.spelled.entry(Arc::clone(spelled)).or_default().push(id);
        id
    }

    /// One more member of a topic.
    fn add(
        &mut self,
        spelled: &Arc<str>,
        pattern: &Pattern,
        shards: usize,
        limit: usize,
    ) -> Result<TopicId, TopicFull> {
        let topic = self.topic(spelled, pattern, shards);
        match self.topics.get_mut(topic.0 as usize) {
            Some(entry) if entry.members < limit => {
                entry.members += 1;
                self.extent.members += 1;
                Ok(topic)
            }
            _ => Err(TopicFull { limit }),
        }
    }

    /// Counts one member as of this shard and lane: it gets every change from now on.
    fn register(&mut self, topic: TopicId, shard: usize, lane: Lane) -> Registration {
        if let Some(entry) = self.topics.get_mut(topic.0 as usize) {
            entry.count(shard, lane, |count| count.saturating_add(1));
        }
        Registration { topic, after: self.sequence, position: self.position, epoch: self.epoch }
    }

    /// A listener becomes a member: it has been told everything up to the position.
    pub(super) fn promote(&mut self, listening: &Listening, shard: usize, lane: Lane) -> Registration {
        if let Some(entry) = self.topics.get_mut(listening.topic.0 as usize) {
            entry.members += 1;
            self.extent.members += 1;
        }
        self.register(listening.topic, shard, lane)
    }

    /// One member of a topic less.
    fn remove(&mut self, topic: TopicId) {
        let Some(entry) = self.topics.get_mut(topic.0 as usize) else { return };
        entry.members = entry.members.saturating_sub(1);
        self.extent.members = self.extent.members.saturating_sub(1);
        if entry.members > 0 {
            return;
        }
        let entry = self.topics.remove(topic.0 as usize);
        self.index.remove(&entry.pattern, topic);
        if let Some(ids) = self.spelled.get_mut(&entry.spelled) {
            ids.retain(|id| *id != topic);
            if ids.is_empty() {
                self.spelled.remove(&entry.spelled);
            }
        }
    }

    /// Routes one change: appends the topics it matches, and makes its cursor the position of all who
    /// join from now on. Returns the number of the change.
    pub fn route(&mut self, change: &Change, hits: &mut Vec<Hit>) -> u64 {
        self.sequence += 1;
        self.position = change.cursor;
        self.index.matches(change, hits);
        for hit in hits.iter() {
            if let Some(Some(listened)) = self.topics.get(hit.topic.0 as usize).map(|entry| &entry.listened) {
                listened.send_replace(self.sequence);
            }
        }
        self.sequence
    }

    /// Wakes everybody who listens: what they read next is not what they wait for.
    pub(super) fn rouse(&self) {
        for (_, entry) in &self.topics {
            if let Some(listened) = &entry.listened {
                listened.send_replace(self.sequence);
            }
        }
    }

    /// The name of a topic, the lanes with members by shard, and how long its changes may wait.
    #[must_use]
    pub fn members(&self, topic: TopicId) -> Option<(&Arc<str>, &[LaneSet], Duration)> {
        self.topics.get(topic.0 as usize).map(|entry| (&entry.spelled, &*entry.lanes, entry.wait))
    }

    /// Topics from a place on, some of them and at most `most`, and the place to go on from.
    #[must_use]
    pub fn list(&self, from: usize, most: usize) -> (Vec<TopicSeen>, Option<usize>) {
        let places = self.topics.capacity();
        let until = places.min(from.saturating_add(SLICE));
        let mut seen = Vec::new();
        for place in from..until {
            let Some(Entry { spelled, pattern, members, .. }) = self.topics.get(place) else { continue };
            if seen.len() == most {
                return (seen, Some(place));
            }
            seen.push(TopicSeen {
                spelled: Arc::clone(spelled),
                pattern: pattern.clone(),
                members: *members,
            });
        }
        (seen, (until < places).then_some(until))
    }

    /// How many there are.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent { topics: self.topics.len(), filters: self.index.filters(), ..self.extent }
    }

    /// The last change routed, and its epoch.
    #[must_use]
    pub const fn position(&self) -> (Cursor, Option<Epoch>) {
        (self.position, self.epoch)
    }

    /// Resolves when a mark of this name, about to be written to the log, has come back: with its place in the order.
    pub(super) fn expect(&mut self, mark: &str) -> oneshot::Receiver<Cursor> {
        self.marks.retain(|_, waiting| !waiting.is_closed());
        let (came, wait) = oneshot::channel();
        self.marks.insert(mark.into(), came);
        wait
    }

    /// A mark came back.
    pub fn marked(&mut self, mark: &str, cursor: Cursor) {
        if let Some(waiting) = self.marks.remove(mark) {
            let _ = waiting.send(cursor);
        }
    }

    /// Nothing that concerns anybody lies before `lsn`.
    pub fn reach(&mut self, lsn: Lsn) {
        self.position = self.position.max(Cursor::before(lsn));
    }

    /// The stream begins, or goes on, in `epoch` at `position`.
    pub fn begin(&mut self, epoch: Epoch, position: Cursor) {
        if self.epoch != Some(epoch) || position > self.position {
            self.position = position;
        }
        self.epoch = Some(epoch);
    }
}

impl Entry {
    fn count(&mut self, shard: usize, lane: Lane, change: impl Fn(u32) -> u32) {
        let (Some(counts), Some(lanes)) = (self.counts.get_mut(shard), self.lanes.get_mut(shard)) else {
            return;
        };
        if let Some(count) = counts.get_mut(lane.index()) {
            *count = change(*count);
            lanes.set(lane, *count > 0);
        }
    }
}
