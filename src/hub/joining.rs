//! How channels become members of their topics, and stop being members.

use std::rc::Rc;
use std::sync::Arc;

use super::Approval;
use super::catch_up::Behind;
use super::connection::{Connection, Membership, State};
use super::interest::Registration;
use super::shard::{Member, Shard};
use crate::channel::lane::Lane;
use crate::channel::options::SnapshotOptions;
use crate::channel::{Admission, ChannelId, Refusal};
use crate::history::Resumption;
use crate::lsn::Since;
use crate::topic::Topic;
use crate::traces::{Begun, KeyValue};

/// What a channel asked for.
pub(super) struct Join {
    pub(super) channel: ChannelId,
    /// The topic, as the client spells it.
    pub(super) spelled: Arc<str>,
    pub(super) lane: Lane,
    pub(super) since: Option<Since>,
    pub(super) snapshot: Option<SnapshotOptions>,
    pub(super) begun: Begun,
}

/// What a channel that is no member yet has to be told first.
type Later = (Behind, Option<SnapshotOptions>);

impl Shard {
    /// The approval of a topic, where it is known without waiting.
    pub(super) fn known(&self, topic: &Topic) -> Option<Approval> {
        (self.surroundings.door.known)(topic)
    }

    /// Asks the gate whether a topic may be joined, and answers the conversation when it knows.
    pub(super) fn ask(self: &Rc<Self>, connection: &Rc<Connection>, join: Join, topic: Topic) {
        let (shard, connection) = (Rc::clone(self), Rc::clone(connection));
        tokio::task::spawn_local(async move {
            let verdict = shard.surroundings.ask(topic).await;
            if !connection.is_open() {
                return;
            }
            let behind = shard.answer(&connection, &mut connection.state.borrow_mut(), &join, verdict);
            connection.flush();
            if let Some(behind) = behind {
                shard.later(&connection, &join, behind).await;
            }
        });
    }

    /// Admits a channel whose approval is known.
    pub(super) fn admit(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        join: Join,
        approval: Approval,
    ) {
        let Some(behind) = self.answer(connection, state, &join, Ok(approval)) else { return };
        let (shard, connection) = (Rc::clone(self), Rc::clone(connection));
        tokio::task::spawn_local(async move { shard.later(&connection, &join, behind).await });
    }

    async fn later(&self, connection: &Rc<Connection>, join: &Join, (behind, snapshot): Later) {
        match snapshot {
            Some(options) => self.snapshot(connection, join, behind, options).await,
            None => self.catch_up(connection, join, behind).await,
        }
    }

    /// Answers a join. The reply is in the outbox before any change can be, since both are done by this thread. Whoever
    /// resumes is no member yet: it has to be told first what it missed.
    fn answer(
        &self,
        connection: &Rc<Connection>,
        state: &mut State,
        join: &Join,
        verdict: Result<Approval, Refusal>,
    ) -> Option<Later> {
        if !state.conversation.awaits(join.channel) {
            return None;
        }
        let mut behind = None;
        let admission = verdict.and_then(|approval| {
            let replay = &self.surroundings.replay;
            let resumption = join.since.map(|since| replay.history().resume(&since));
            let held = match resumption {
                Some(Resumption::Held(cursor)) => Some(cursor),
                _ => None,
            };
            let snapshot = join.snapshot.filter(|_| held.is_none());
            if snapshot.is_some() && !replay.history().is_on() {
                return Err(Refusal::WindowOff);
            }
            if snapshot.is_some() && approval.pattern.table().is_none() {
                return Err(Refusal::SnapshotTopic);
            }
            if held.is_none() && snapshot.is_none() {
                let admission = self.enrol(connection, state, join, &approval)?;
                return Ok(Admission { resumption, ..admission });
            }
            let (begun, admission) = self.begin(join, approval, held)?;
            behind = Some((begun, snapshot));
            Ok(Admission { resumption, snapshot: snapshot.is_some(), ..admission })
        });
        join.begun.end("join", || attributes(&admission));
        let effect = match admission {
            Ok(admission) => state.conversation.admitted(join.channel, &admission),
            Err(refusal) => state.conversation.refused(join.channel, &refusal),
        };
        Connection::say(state, effect);
        behind
    }

    /// Makes the channel a member: changes after the position it is told will reach it.
    fn enrol(
        &self,
        connection: &Rc<Connection>,
        state: &mut State,
        join: &Join,
        approval: &Approval,
    ) -> Result<Admission, Refusal> {
        let interest = &self.surroundings.interest;
        let registration = interest
            .join(&join.spelled, &approval.pattern, self.id, join.lane)
            .map_err(|full| Refusal::TooManyMembers { limit: full.limit })?;
        let Some(epoch) = registration.epoch else {
            interest.leave(registration.topic, self.id, join.lane);
            return Err(Refusal::Unavailable("it never was"));
        };
        self.insert(connection, state, join, &registration);
        let warnings = Arc::clone(&approval.warnings);
        Ok(Admission { position: registration.position, epoch, resumption: None, snapshot: false, warnings })
    }

    /// Enters a registered member into the shard's table.
    pub(super) fn insert(
        &self,
        connection: &Rc<Connection>,
        state: &mut State,
        join: &Join,
        registration: &Registration,
    ) {
        let Registration { topic, after, .. } = *registration;
        self.last_join.set(self.last_join.get().max(after));
        let (channel, lane) = (join.channel, join.lane);
        let member = Member { connection: Rc::clone(connection), lane, after };
        let place = self.members.borrow_mut().entry(topic).or_default().insert(member);
        state.memberships.push(Membership { channel, topic, place, lane });
    }

    /// Ends deliveries to a channel.
    pub(super) fn leave(&self, state: &mut State, channel: ChannelId) {
        let place = state.memberships.iter().position(|membership| membership.channel == channel);
        if let Some(place) = place {
            self.resign(&state.memberships.swap_remove(place));
        }
    }

    pub(super) fn resign(&self, membership: &Membership) {
        let mut members = self.members.borrow_mut();
        if let Some(topic) = members.get_mut(&membership.topic) {
            topic.try_remove(membership.place);
            if topic.is_empty() {
                members.remove(&membership.topic);
            }
        }
        self.surroundings.interest.leave(membership.topic, self.id, membership.lane);
    }
}

/// What became of a join; a refusal's words name what the client sent, its code does not.
fn attributes(admission: &Result<Admission, Refusal>) -> [KeyValue; 3] {
    let resumed =
        admission.as_ref().is_ok_and(|admission| matches!(admission.resumption, Some(Resumption::Held(_))));
    let outcome = match admission {
        Ok(_) => "joined".to_owned(),
        Err(refusal) => refusal.to_string().split(':').next().unwrap_or_default().to_owned(),
    };
    [
        KeyValue::new("walcast.outcome", outcome),
        KeyValue::new("walcast.resumed", resumed),
        KeyValue::new("walcast.snapshot", admission.as_ref().is_ok_and(|admission| admission.snapshot)),
    ]
}
