//! When a query runs: at once, in its turn, later.

use std::time::{Duration, Instant};

use super::{Live, QueryId, State, Why};

/// How long a query first waits for a commit that Postgres does not show yet; then twice as long, up to [`HIDDEN_MOST`].
pub(super) const HIDDEN: Duration = Duration::from_millis(1);
pub(super) const HIDDEN_MOST: Duration = Duration::from_secs(1);

/// How long a query first waits after an error that may pass; then twice as long, up to [`FAILED_MOST`].
pub(super) const FAILED: Duration = Duration::from_millis(250);
pub(super) const FAILED_MOST: Duration = Duration::from_secs(30);

impl Live {
    /// Starts what is due.
    pub fn due(&mut self, now: Instant, run: &mut Vec<QueryId>) {
        while let Some((at, id)) = self.timed.first().copied() {
            if at > now {
                break;
            }
            self.timed.pop_first();
            if let Some(query) = self.queries.get_mut(&id) {
                query.state = State::Ready;
                self.ready.push_back(id);
            }
        }
        self.start(now, run);
    }

    /// When [`Live::due`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.timed.first().map(|(at, _)| *at)
    }

    /// Makes a query run at `at`, or later if its subscribers want that.
    pub(super) fn want(&mut self, id: QueryId, why: Why, now: Instant, at: Instant) {
        let Some(query) = self.queries.get_mut(&id) else { return };
        let least = query.throttles.keys().next().copied().unwrap_or_default();
        let throttled = query.began.map_or(at, |began| began + least);
        let at = at.max(throttled);
        match query.state {
            State::Ready | State::Running { .. } => return,
            State::Timed(before, _) if before <= at => return,
            State::Timed(before, _) => {
                self.timed.remove(&(before, id));
            }
            State::Idle => query.why = why,
        }
        if at <= now {
            query.state = State::Ready;
            self.ready.push_back(id);
        } else {
            query.state = State::Timed(at, why == Why::Failed);
            self.timed.insert((at, id));
        }
    }

    pub(super) fn start(&mut self, now: Instant, run: &mut Vec<QueryId>) {
        while self.running.len() < self.capacity
            && let Some(id) = self.ready.pop_front()
        {
            let Some(query) = self.queries.get_mut(&id) else { continue };
            self.now += 1;
            query.state = State::Running { began: self.now, again: None };
            query.began = Some(now);
            self.running.insert((self.now, id));
            run.push(id);
        }
    }
}

pub(super) fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(most)
}
