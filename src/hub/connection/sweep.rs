//! What is looked at now and then: who says nothing, who takes nothing, who does not go.

use std::io::Read;
use std::rc::Rc;
use std::time::Instant;

use socket2::SockRef;

use super::{Connection, Phase, SWALLOW};
use crate::channel::frame;
use crate::hub::Rules;
use crate::hub::closing::Closing;
use crate::hub::shard::Shard;

impl Connection {
    /// Whether it took nothing for too long.
    fn stalled(&self, rules: &Rules, now: Instant) -> bool {
        let state = self.state.borrow();
        let waits = state.waits_since.map(|since| now.saturating_duration_since(since));
        state.is_open() && waits.is_some_and(|waits| waits > rules.stall)
    }

    /// Whether nothing came from it for too long, though it was asked.
    fn idles(&self, rules: &Rules, now: Instant) -> bool {
        let state = self.state.borrow();
        state.is_open() && state.pinged && now.saturating_duration_since(state.last_heard) > rules.idle
    }

    /// Hears what has come, though the runtime may not have said so yet.
    fn listen(self: &Rc<Self>, shard: &Rc<Shard>) {
        let mut scratch = shard.scratch.borrow_mut();
        if let Ok(count) = (&*SockRef::from(&self.stream)).read(&mut scratch) {
            match scratch.get(..count) {
                Some(bytes @ [_, ..]) => {
                    self.feed(shard, bytes);
                    // There may be more of it.
                    self.wake.notify_one();
                }
                _ => self.gone(),
            }
        }
    }

    /// Whether it has to be looked at once a second: something waits for it, or it is on its way out.
    pub(in crate::hub) fn is_watched(&self) -> bool {
        let state = self.state.borrow();
        !(state.outbox.is_empty() && state.is_open())
    }

    /// When it has to be looked at if nothing waits for it and it goes on saying nothing.
    pub(in crate::hub) fn due(&self, rules: &Rules) -> Instant {
        let state = self.state.borrow();
        state.last_heard + if state.pinged { rules.idle } else { rules.idle / 2 }
    }

    /// Pings, and ends what idles, stalls or does not close. Nobody is judged by what this thread was too busy to hear or
    /// to write.
    pub(in crate::hub) fn sweep(self: &Rc<Self>, shard: &Rc<Shard>, now: Instant) {
        let rules = &shard.rules;
        if self.idles(rules, now) {
            self.listen(shard);
        }
        if self.stalled(rules, now) {
            self.insist();
        }
        let idles = self.idles(rules, now);
        let stalled = self.stalled(rules, now);
        let closing = {
            let state = &mut *self.state.borrow_mut();
            if state.outbox.bytes() > rules.outbox_bytes {
                // We do not listen to it (see `wanted`), so its silence is ours.
                state.last_heard = now;
                state.pinged = false;
            }
            let quiet = now.saturating_duration_since(state.last_heard);
            match state.phase {
                Phase::Draining { until } | Phase::Swallowing { until } if now > until => {
                    self.end(state);
                    None
                }
                Phase::Open if stalled => Some((Closing::SLOW, true)),
                Phase::Open if idles => Some((Closing::IDLE, false)),
                Phase::Open if quiet > rules.idle / 2 && !state.pinged => {
                    state.pinged = true;
                    state.outbox.push(&frame::ping());
                    None
                }
                _ => None,
            }
        };
        match closing {
            Some((closing, cut)) => {
                if stalled {
                    tracing::info!(
                        pending = self.state.borrow().outbox.bytes(),
                        "closing a socket that takes nothing"
                    );
                }
                self.close(closing, cut, SWALLOW);
            }
            None if !self.state.borrow().outbox.is_empty() => self.flush(),
            None => {}
        }
    }
}
