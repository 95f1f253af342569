//! What a channel missed, from the replay window, until it is a member like the others.
//!
//! Such a channel reads at its own pace: while something waits for its socket, nothing is taken from the window. When
//! nothing is left there, it becomes a member under the lock under which changes are routed, so that none is told twice
//! and none is passed over.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Approval;
use super::connection::Connection;
use super::interest::Listening;
use super::joining::Join;
use super::retold::Form;
use super::shard::Shard;
use crate::channel::encoding::{Payloads, frames};
use crate::channel::frame::Frame;
use crate::channel::lane::LaneSet;
use crate::channel::{Admission, Refusal};
use crate::history::{Fallen, Resumption};
use crate::lsn::Cursor;
use crate::metrics::COUNTED;
use crate::replay::Told;
use crate::topic::pattern::Pattern;

/// Bytes that may wait for a socket before more is taken from the window.
pub(super) const LOW: usize = 64 * 1024;

/// How often a channel that waits for others is looked at: whether it is still there.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// What is held is routed the moment after.
const SOON: Duration = Duration::from_millis(1);

/// A channel that was told nothing yet of what lies behind its cursor.
pub(super) struct Behind {
    pub(super) cursor: Cursor,
    pub(super) pattern: Pattern,
    pub(super) listening: Listening,
}

/// How a step of catching up ended.
enum Step {
    /// There is more to tell.
    On,
    /// What was told is about to be routed.
    Soon,
    /// The cursor is ahead of all that was read here: another server, which reads the same log, told of it.
    Ahead,
    /// The channel is a member now, or is none any more.
    Done,
}

impl Shard {
    /// Admits a channel that resumes behind `cursor`, or, without one, is told a snapshot first.
    pub(super) fn begin(
        &self,
        join: &Join,
        approval: Approval,
        cursor: Option<Cursor>,
    ) -> Result<(Behind, Admission), Refusal> {
        let Approval { pattern, warnings } = approval;
        let listening = self.surroundings.interest.listen(&join.spelled, &pattern);
        let listening = listening.map_err(|full| Refusal::TooManyMembers { limit: full.limit })?;
        let (position, epoch) = listening.position();
        let epoch = epoch.ok_or(Refusal::Unavailable("it never was"))?;
        // The cursor was held a moment ago, and belongs to the history of then.
        if cursor.is_some() && join.since.and_then(|since| since.epoch) != Some(epoch) {
            return Err(Refusal::Unavailable("it begins anew"));
        }
        let (resumption, cursor) = (cursor.map(Resumption::Held), cursor.unwrap_or(position));
        let admission = Admission { position, epoch, resumption, snapshot: false, warnings };
        Ok((Behind { cursor, pattern, listening }, admission))
    }

    /// Tells the channel what it missed, until it is a member.
    pub(super) async fn catch_up(&self, connection: &Rc<Connection>, join: &Join, mut behind: Behind) {
        loop {
            if !connection.serves(join.channel) || !connection.drained(LOW).await {
                return;
            }
            let step = {
                // One channel at a time, and everybody else between two steps: what happens now must not wait for a
                // thousand who come back.
                let _turn = self.turn.acquire().await;
                // Meanwhile it may have left, or another channel of its socket had its turn.
                if !connection.serves(join.channel) {
                    return;
                }
                if connection.state.borrow().outbox.bytes() > LOW {
                    continue;
                }
                let step = match self.replay(connection, join, &mut behind) {
                    Ok(true) => self.go_live(connection, join, &mut behind),
                    Ok(false) => Ok(Step::On),
                    Err(fallen) => Err(fallen),
                };
                // What was told must not wait for what comes next.
                connection.flush();
                tokio::task::yield_now().await;
                step
            };
            match step {
                Ok(Step::On) => {}
                Ok(Step::Soon) => tokio::time::sleep(SOON).await,
                // Nobody says that the socket is gone meanwhile.
                Ok(Step::Ahead) => drop(tokio::time::timeout(LOOK, behind.listening.changed()).await),
                Ok(Step::Done) => return,
                Err(Fallen { oldest }) => {
                    tracing::debug!(cursor = %behind.cursor, %oldest, "a channel fell out of the window while it caught up");
                    let state = &mut *connection.state.borrow_mut();
                    let effect = state.conversation.crash(join.channel);
                    Connection::say(state, effect);
                    break;
                }
            }
        }
        connection.flush();
    }

    /// Tells some of what is behind; `true` when nothing more is held.
    fn replay(&self, connection: &Rc<Connection>, join: &Join, behind: &mut Behind) -> Result<bool, Fallen> {
        let part = self.surroundings.replay.part(behind.cursor, &behind.pattern)?;
        for told in &part.told {
            let (Some((change, ..)), Some(frame)) = (told.change(), self.frame(join, told)) else { continue };
            COUNTED.replayed.add(1);
            let full = {
                let outbox = &mut connection.state.borrow_mut().outbox;
                outbox.push(&frame);
                outbox.bytes() > LOW
            };
            // Rows may be large.
            if full {
                behind.cursor = change.cursor;
                return Ok(false);
            }
        }
        behind.cursor = part.reached;
        Ok(part.complete)
    }

    /// Makes the channel a member, if what is left is little.
    fn go_live(&self, connection: &Rc<Connection>, join: &Join, behind: &mut Behind) -> Result<Step, Fallen> {
        let mut table = self.surroundings.interest.table();
        let (position, _) = table.position();
        if behind.cursor > position {
            let newest = self.surroundings.replay.history().extent().newest;
            return Ok(if behind.cursor > newest { Step::Ahead } else { Step::Soon });
        }
        let part = self.surroundings.replay.part(behind.cursor, &behind.pattern)?;
        if !part.complete {
            return Ok(Step::On);
        }
        let state = &mut *connection.state.borrow_mut();
        if !state.conversation.has_joined(join.channel) {
            return Ok(Step::Done);
        }
        let registration = table.promote(&behind.listening, self.id, join.lane);
        drop(table);
        for told in &part.told {
            let routed = told.change().is_some_and(|(change, ..)| change.cursor <= position);
            if let Some(frame) = routed.then(|| self.frame(join, told)).flatten() {
                COUNTED.replayed.add(1);
                state.outbox.push(&frame);
            }
        }
        self.insert(connection, state, join, &registration);
        Ok(Step::Done)
    }

    /// The change in the form in which the channel is told.
    pub(super) fn frame(&self, join: &Join, told: &Told) -> Option<Frame> {
        let (change, commit_timestamp, _) = told.change()?;
        let Join { ref spelled, lane, .. } = *join;
        let form = Form {
            cursor: change.cursor,
            epoch: told.epoch,
            telling: told.telling,
            lane,
            spelled: Arc::clone(spelled),
        };
        self.retold.borrow_mut().frame(form, || {
            let mut payloads = Payloads::new(change, commit_timestamp);
            let frames = frames(&mut payloads, spelled, told.telling, LaneSet::of(lane));
            frames.into_iter().next().map(|(_, frame)| frame)
        })
    }
}
