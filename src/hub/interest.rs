//! Which topics have members, on which shards, and in which form: what the dispatcher asks before it
//! encodes anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;

use crate::channel::lane::{Lane, LaneSet};
use crate::lsn::{Cursor, Epoch};
use crate::topic::index::{Hit, Index, Pattern, TopicId};

use crate::change::Change;

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
    /// Counts the changes routed so far.
    sequence: u64,
    position: Cursor,
    epoch: Option<Epoch>,
}

#[derive(Debug)]
struct Entry {
    spelled: Arc<str>,
    pattern: Pattern,
    members: usize,
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
    pub(super) fn new(shards: usize, members_per_topic: usize) -> Self {
        Self { table: Mutex::default(), shards, members_per_topic }
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
        let topic = table.topic(spelled, pattern, self.shards);
        let Some(entry) = table.topics.get_mut(topic.0 as usize) else {
            return Err(TopicFull { limit: self.members_per_topic });
        };
        if entry.members >= self.members_per_topic {
            return Err(TopicFull { limit: self.members_per_topic });
        }
        entry.members += 1;
        entry.count(shard, lane, |count| count.saturating_add(1));
        Ok(Registration { topic, after: table.sequence, position: table.position, epoch: table.epoch })
    }

    /// Takes a member back.
    pub(super) fn leave(&self, topic: TopicId, shard: usize, lane: Lane) {
        let table = &mut *self.table();
        let Some(entry) = table.topics.get_mut(topic.0 as usize) else { return };
        entry.members = entry.members.saturating_sub(1);
        entry.count(shard, lane, |count| count.saturating_sub(1));
        if entry.members == 0 {
            let entry = table.topics.remove(topic.0 as usize);
            table.index.remove(&entry.pattern, topic);
            if let Some(ids) = table.spelled.get_mut(&entry.spelled) {
                ids.retain(|id| *id != topic);
                if ids.is_empty() {
                    table.spelled.remove(&entry.spelled);
                }
            }
        }
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
            members: 0,
            counts: vec![[0; Lane::COUNT]; shards].into(),
            lanes: vec![LaneSet::default(); shards].into(),
        });
        let id = TopicId(u32::try_from(slot).unwrap_or(u32::MAX));
        self.index.insert(pattern, id);
        self.spelled.entry(Arc::clone(spelled)).or_default().push(id);
        id
    }

    /// Routes one change: appends the topics it matches, and makes its cursor the position of all who
    /// join from now on. Returns the number of the change.
    pub fn route(&mut self, change: &Change, hits: &mut Vec<Hit>) -> u64 {
        self.sequence += 1;
        self.position = change.cursor;
        self.index.matches(change, hits);
        self.sequence
    }

    /// The name of a topic, and the lanes with members by shard.
    #[must_use]
    pub fn members(&self, topic: TopicId) -> Option<(&str, &[LaneSet])> {
        self.topics.get(topic.0 as usize).map(|entry| (&*entry.spelled, &*entry.lanes))
    }

    /// The last change routed, and its epoch.
    #[must_use]
    pub const fn position(&self) -> (Cursor, Option<Epoch>) {
        (self.position, self.epoch)
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
