//! Changes that wait for more of them, so that a socket is written to once for many: on topics that
//! [`Coalescing`](crate::channel::coalesce::Coalescing) names.
//!
//! One queue for the whole shard, in commit order, that goes as a whole: at the first moment at which one of its changes
//! has waited long enough, when it is large, and when a change that does not wait is for a socket for which something
//! waits. So every socket is told everything in the order of commits, over all its topics, and nobody else is told later.
//!
//! A join does not make it go. Who has joined since is passed over by number ([`Member::after`]), and a reply has never
//! waited for what is under way to other channels of its socket. But a position that speaks for all channels
//! ([`Work::Reached`](super::Work::Reached)) waits with it; and before an interruption and at the end, it goes.
//!
//! To Postgres all this counts as dispatched, like what waits in outboxes: who comes back is told it from the replay window,
//! which the slot holds.

use std::collections::HashSet;
use std::future::Future;
use std::time::Instant;

use jiff::Timestamp;
use smallvec::SmallVec;
use tokio::sync::OwnedSemaphorePermit;

use super::Delivery;
use super::shard::{Shard, count_latency};
use crate::lsn::{Cursor, Epoch};
use crate::topic::index::TopicId;

/// How much may wait, in bytes: well below what may be under way to a shard, so that the dispatcher goes on.
const WAITING_BYTES: usize = 256 * 1024;

/// Deliveries in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) deliveries: Vec<Delivery>,
    /// When their transactions were committed.
    pub(super) commits: SmallVec<[Option<Timestamp>; 1]>,
    /// Given back when all is in outboxes.
    pub(super) budget: Option<OwnedSemaphorePermit>,
}

impl Batch {
    fn push(&mut self, other: Self) {
        self.deliveries.extend(other.deliveries);
        self.commits.extend(other.commits);
        match (&mut self.budget, other.budget) {
            (Some(budget), Some(further)) => budget.merge(further),
            (budget, further) => *budget = budget.take().or(further),
        }
    }

    fn bytes(&self) -> usize {
        self.budget.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Takes out what need not go at once, with its share of the budget.
    fn hold_back(&mut self) -> Self {
        let (later, now): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.deliveries).into_iter().partition(|delivery| !delivery.wait.is_zero());
        self.deliveries = now;
        if later.is_empty() {
            return Self::default();
        }
        let bytes = later.iter().flat_map(|delivery| &delivery.frames).map(|(_, frame)| frame.len()).sum();
        let budget =
            self.budget.as_mut().and_then(|budget| budget.split(bytes)).or_else(|| self.budget.take());
        // A transaction is told when all of it is.
        Self { deliveries: later, commits: std::mem::take(&mut self.commits), budget }
    }
}

/// What waits on one shard.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    batch: Batch,
    topics: HashSet<TopicId>,
    /// When it has waited long enough; `None` while nothing waits.
    due: Option<Instant>,
    /// Up to where everything will have been told when this has.
    reached: Option<(Cursor, Epoch)>,
}

impl Waiting {
    /// Waits for `next`, but not beyond the moment at which something is due; `None` then.
    pub(super) async fn before_due<T>(&self, next: impl Future<Output = T>) -> Option<T> {
        match self.due {
            None => Some(next.await),
            Some(due) => tokio::time::timeout_at(due.into(), next).await.ok(),
        }
    }

    fn add(&mut self, batch: Batch, now: Instant) {
        for delivery in batch.deliveries.iter().filter(|delivery| !delivery.wait.is_zero()) {
            self.topics.insert(delivery.topic);
            let due = now + delivery.wait;
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
        self.batch.push(batch);
    }

    fn must_go(&self, now: Instant) -> bool {
        self.batch.bytes() >= WAITING_BYTES || self.due.is_some_and(|due| due <= now)
    }
}

impl Shard {
    /// Delivers what must not wait, and lets the rest wait for more.
    pub(super) async fn tell_or_hold(&self, waiting: &mut Waiting, mut batch: Batch) {
        if waiting.due.is_none() && batch.deliveries.iter().all(|delivery| delivery.wait.is_zero()) {
            return self.tell_now(batch).await;
        }
        if self.comes_between(&waiting.topics, &batch.deliveries) {
            waiting.add(batch, Instant::now());
            return self.release(waiting).await;
        }
        let later = batch.hold_back();
        if !batch.deliveries.is_empty() {
            self.tell_now(batch).await;
        }
        waiting.add(later, Instant::now());
        if waiting.must_go(Instant::now()) {
            self.release(waiting).await;
        }
    }

    /// Delivers what waits.
    pub(super) async fn release(&self, waiting: &mut Waiting) {
        let Waiting { batch, reached, .. } = std::mem::take(waiting);
        if !batch.deliveries.is_empty() {
            self.tell_now(batch).await;
        }
        if reached.is_some() {
            self.reached.set(reached);
        }
    }

    /// Everything up to this position has been told, or waits.
    pub(super) fn reach(&self, waiting: &mut Waiting, position: Cursor, epoch: Epoch) {
        match waiting.due {
            None => self.reached.set(Some((position, epoch))),
            Some(_) => waiting.reached = Some((position, epoch)),
        }
    }

    async fn tell_now(&self, batch: Batch) {
        let Batch { deliveries, commits, budget } = batch;
        self.deliver(deliveries).await;
        count_latency(commits);
        drop(budget);
    }

    /// Whether a delivery that does not wait is for a socket that is a member of one of the `waiting` topics, or of one
    /// that would wait before it.
    fn comes_between(&self, waiting: &HashSet<TopicId>, deliveries: &[Delivery]) -> bool {
        let members = self.members.borrow();
        let mut before = HashSet::new();
        let mut passed = HashSet::new();
        for delivery in deliveries {
            if !delivery.wait.is_zero() {
                if before.insert(delivery.topic) {
                    passed.clear();
                }
            } else if !(waiting.is_empty() && before.is_empty()) && passed.insert(delivery.topic) {
                let shared = members.get(&delivery.topic).into_iter().flatten().any(|(_, member)| {
                    let state = member.connection.state.borrow();
                    let mut topics = state.memberships.iter().map(|membership| &membership.topic);
                    topics.any(|topic| waiting.contains(topic) || before.contains(topic))
                });
                if shared {
                    return true;
                }
            }
        }
        false
    }
}
