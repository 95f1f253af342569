//! Subscriptions as they run: who listens to what, and what waits to be told.
//!
//! Subscribers whose results are the same form a group: one queue of what has happened, one task that reads what it
//! needs and writes each result once. A change that concerns nobody costs one look-up.

mod group;
mod index;
mod outlet;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use slab::Slab;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::change::message::Sent;
use crate::change::{Action, Change, Transaction};
use crate::graphql::code;
use crate::graphql::subscription::{Listens, error, failed};
use crate::operations::{Answer, Fault, Operations, Refused, Subscribed};
use group::Task;
use index::{GroupId, Index, Interest};
use outlet::{Outlet, Results, outlet};

/// Bytes of rows and messages that may wait for a group's task.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// What anything that waits takes beside its row.
const ITEM_BYTES: usize = 256;

/// What a subscriber is told last that reads too slowly, or for which the database answers too slowly.
const OVERFLOW: &str =
    "more waits for this subscription than the server keeps; subscribe again, and read what was missed";

/// A handle; clones share it.
#[derive(Clone)]
pub(super) struct Subscriptions {
    inner: Arc<Inner>,
}

struct Inner {
    operations: Operations,
    /// Streams at a time.
    most: usize,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    groups: Slab<Group>,
    by_key: HashMap<Arc<str>, GroupId>,
    index: Index,
    topics: HashMap<Box<str>, Vec<GroupId>>,
    /// Of all that ever happened, the number of the last.
    last: u64,
    subscribers: u64,
    streams: usize,
    hits: Vec<GroupId>,
}

/// Subscribers whose results are the same.
struct Group {
    subscribed: Subscribed,
    /// In order, numbered.
    queue: VecDeque<(u64, Happened)>,
    bytes: usize,
    subscribers: Vec<Subscriber>,
    wake: Arc<Notify>,
    task: Option<AbortHandle>,
}

/// One stream.
struct Subscriber {
    number: u64,
    /// What happened later concerns it.
    after: u64,
    outlet: Outlet,
}

/// What a group's task is to tell.
enum Happened {
    /// A change, of the transaction of this id.
    Change(Change, u32),
    Sent(Arc<Sent>),
    /// Changes have been missed.
    Missed,
}

impl Happened {
    fn bytes(&self) -> usize {
        ITEM_BYTES
            + match self {
                Self::Change(change, _) => match &change.action {
                    Action::Insert { new } => new.0.len(),
                    Action::Update { old, new } => {
                        new.0.len() + old.as_ref().map_or(0, |old| old.row().0.len())
                    }
                    Action::Delete { old } => old.row().0.len(),
                    Action::Truncate => 0,
                },
                Self::Sent(sent) => sent.topic.len() + sent.event.len() + sent.payload.len(),
                Self::Missed => 0,
            }
    }
}

impl Subscriptions {
    /// Must be called in a runtime, which then runs the groups' tasks.
    pub(super) fn new(operations: Operations, most: usize) -> Self {
        let state = Mutex::default();
        Self { inner: Arc::new(Inner { operations, most, runtime: Handle::current(), state }) }
    }

    /// How many streams there are.
    pub(super) fn count(&self) -> usize {
        self.inner.lock().streams
    }

    /// The results of a subscription, from now on.
    pub(super) fn subscribe(&self, subscribed: Subscribed) -> Result<BoxStream<'static, Answer>, Refused> {
        let (outlet, results) = outlet();
        let mut state = self.inner.lock();
        if state.streams >= self.inner.most {
            let words = "the server has as many subscriptions as it may";
            return Err(Refused::new(Fault::Validation, code::TOO_MANY_SUBSCRIPTIONS, words));
        }
        state.streams += 1;
        state.subscribers += 1;
        let (number, after) = (state.subscribers, state.last);
        let known = state.by_key.get(&subscribed.key).copied();
        let group = known.unwrap_or_else(|| {
            let group = state.add(subscribed);
            let wake = state.groups.get(group).map(|group| Arc::clone(&group.wake)).unwrap_or_default();
            let task = Task::new(&self.inner, group, wake);
            let task = self.inner.runtime.spawn(task.run()).abort_handle();
            if let Some(group) = state.groups.get_mut(group) {
                group.task = Some(task);
            }
            group
        });
        if let Some(group) = state.groups.get_mut(group) {
            group.subscribers.push(Subscriber { number, after, outlet });
        }
        drop(state);
        let reading = Told { results, inner: Arc::clone(&self.inner), group, number };
        let next = |mut told: Told| async move { Some((Answer::of(told.results.next().await?), told)) };
        Ok(stream::unfold(reading, next).boxed())
    }

    pub(super) fn transaction(&self, transaction: &Transaction) {
        let state = &mut *self.inner.lock();
        if state.groups.is_empty() {
            return;
        }
        let mut hits = std::mem::take(&mut state.hits);
        for change in &transaction.changes {
            hits.clear();
            state.index.matches(change, &mut hits);
            if !hits.is_empty() {
                state.last += 1;
            }
            for group in &hits {
                state.happened(*group, Happened::Change(change.clone(), transaction.xid));
            }
        }
        state.hits = hits;
    }

    pub(super) fn send(&self, sent: &Arc<Sent>) {
        // Who may have it cannot be told from anybody yet.
        if sent.private {
            return;
        }
        let state = &mut *self.inner.lock();
        let groups = state.topics.get(&sent.topic).cloned().unwrap_or_default();
        state.last += 1;
        for group in groups {
            state.happened(group, Happened::Sent(Arc::clone(sent)));
        }
    }

    /// Tells everybody that changes have been missed.
    pub(super) fn interrupt(&self) {
        let state = &mut *self.inner.lock();
        state.last += 1;
        let groups: Vec<_> = state.groups.iter().map(|(id, _)| id).collect();
        for group in groups {
            state.happened(group, Happened::Missed);
        }
    }

    /// Another schema is served.
    pub(super) fn schema(&self) {
        for (_, group) in &self.inner.lock().groups {
            group.wake.notify_one();
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, subscribed: Subscribed) -> GroupId {
        let key = Arc::clone(&subscribed.key);
        let group = Group {
            subscribed,
            queue: VecDeque::new(),
            bytes: 0,
            subscribers: Vec::new(),
            wake: Arc::default(),
            task: None,
        };
        let id = self.groups.insert(group);
        self.by_key.insert(key, id);
        self.listen(id);
        id
    }

    /// Has a group told of what it listens to.
    fn listen(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(id) else { return };
        match listens(&group.subscribed) {
            Ok(topic) => self.topics.entry(topic).or_default().push(id),
            Err(interest) => self.index.insert(id, &interest),
        }
    }

    fn ignore(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(id) else { return };
        match listens(&group.subscribed) {
            Ok(topic) => {
                if let Some(groups) = self.topics.get_mut(&topic) {
                    groups.retain(|group| *group != id);
                    if groups.is_empty() {
                        self.topics.remove(&topic);
                    }
                }
            }
            Err(interest) => self.index.remove(id, &interest),
        }
        if self.by_key.get(&group.subscribed.key) == Some(&id) {
            self.by_key.remove(&group.subscribed.key);
        }
    }

    /// The group's subscription, made anew for another schema.
    fn replace(&mut self, id: GroupId, subscribed: Subscribed) {
        self.ignore(id);
        self.by_key.entry(Arc::clone(&subscribed.key)).or_insert(id);
        if let Some(group) = self.groups.get_mut(id) {
            group.subscribed = subscribed;
        }
        self.listen(id);
    }

    /// Removes a group; `last` is what its subscribers are told before their end.
    fn remove(&mut self, id: GroupId, last: Option<&Bytes>) {
        self.ignore(id);
        let Some(group) = self.groups.try_remove(id) else { return };
        for subscriber in group.subscribers {
            if let Some(last) = last {
                subscriber.outlet.end(last);
            }
        }
        if let Some(task) = group.task {
            task.abort();
        }
    }

    fn happened(&mut self, id: GroupId, happened: Happened) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let bytes = happened.bytes();
        if group.bytes > 0 && group.bytes + bytes > QUEUE_BYTES {
            return self.remove(id, Some(&overflow()));
        }
        group.bytes += bytes;
        group.queue.push_back((self.last, happened));
        group.wake.notify_one();
    }
}

/// A topic, or a table.
fn listens(subscribed: &Subscribed) -> Result<Box<str>, Interest> {
    match subscribed.stream.listens() {
        Listens::Topic(topic) => Ok(topic.into()),
        Listens::Table { tables, events, equal } => {
            let equal = equal.map(|(column, value)| (column.into(), value.into()));
            Err(Interest { tables: tables.to_vec(), events, equal })
        }
    }
}

fn overflow() -> Bytes {
    failed(&[error(code::SUBSCRIPTION_OVERFLOW, OVERFLOW)])
}

/// A stream that is read; dropping it ends the subscription.
struct Told {
    results: Results,
    inner: Arc<Inner>,
    group: GroupId,
    number: u64,
}

impl Drop for Told {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        state.streams -= 1;
        // Another group may have its number by now, but no other subscriber.
        let Some(group) = state.groups.get_mut(self.group) else { return };
        let before = group.subscribers.len();
        group.subscribers.retain(|subscriber| subscriber.number != self.number);
        if group.subscribers.is_empty() && before > 0 {
            state.remove(self.group, None);
        }
    }
}
