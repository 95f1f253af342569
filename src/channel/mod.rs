//! One socket's Phoenix conversation, without IO: frames and answers in, effects out.
//!
//! The caller owns the socket, asks the gate whether a topic may be joined, and registers members; this
//! room decides what is said, in which order.

pub mod coalesce;
pub mod deflate;
pub mod encoding;
pub mod frame;
pub mod lane;
pub mod refusal;
pub mod serializer;

pub mod options;
mod rate;

use std::sync::Arc;
use std::time::Instant;

use crate::change::value::{Profile, write_string};
use crate::history::Resumption;
use crate::lsn::{Cursor, Epoch};
use crate::metrics::COUNTED;
use crate::topic::Topic;
pub use options::JoinOptions;
use rate::Rate;
pub use refusal::Refusal;
use serializer::{Incoming, Reference, Version};

/// Limits of one socket.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Channels that may be joined, or be joining, at a time.
    pub channels: usize,
    /// Joins per second, and at once after a pause.
    pub joins_per_second: usize,
}

/// One join on one socket; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelId(pub u32);

/// What the owner of the socket is to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Send this text message.
    Send(Vec<u8>),
    /// Ask whether the topic may be joined, then call [`Conversation::admitted`] or
    /// [`Conversation::refused`].
    Join {
        /// The join, for the answer.
        channel: ChannelId,
        /// The topic as the client spells it, which is how frames name it.
        spelled: Arc<str>,
        /// What it means.
        topic: Topic,
        /// What the join asked for.
        options: JoinOptions,
    },
    /// Stop delivering to this channel.
    Leave {
        /// The join.
        channel: ChannelId,
    },
}

/// What a successful join is told.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Every matching change after this one is delivered.
    pub position: Cursor,
    /// The history that the position belongs to.
    pub epoch: Epoch,
    /// Whether the client can go on from where it was, if it asked.
    pub resumption: Option<Resumption>,
    /// Whether the table's rows come first.
    pub snapshot: bool,
    /// What cannot be told on this topic, and the statement that would mend it.
    pub warnings: Arc<[String]>,
}

impl Admission {
    /// Counts the join, whichever way it came.
    pub fn count(&self) {
        COUNTED.joins.add(1);
        if let Some(resumption) = self.resumption {
            COUNTED.resumptions.count(match resumption {
                Resumption::Held(_) => "outcome=\"held\"",
                Resumption::Window { .. } => "outcome=\"window\"",
                Resumption::Epoch { .. } => "outcome=\"epoch\"",
            });
        }
    }

    /// The response of the join's reply: one JSON object.
    #[must_use]
    pub fn response(&self) -> Vec<u8> {
        let mut response =
            format!("{{\"position\":\"{}\",\"epoch\":\"{}\"", self.position, self.epoch).into_bytes();
        let resumed = match self.resumption {
            None => String::new(),
            Some(Resumption::Held(_)) => ",\"resumed\":true".into(),
            Some(Resumption::Epoch { oldest }) => {
                format!(",\"resumed\":false,\"reason\":\"epoch\",\"oldest\":\"{oldest}\"")
            }
            Some(Resumption::Window { oldest }) => {
                format!(",\"resumed\":false,\"reason\":\"window\",\"oldest\":\"{oldest}\"")
            }
        };
        response.extend_from_slice(resumed.as_bytes());
        if self.snapshot {
            response.extend_from_slice(b",\"snapshot\":true");
        }
        if !self.warnings.is_empty() {
            response.extend_from_slice(b",\"warnings\":[");
            for (index, warning) in self.warnings.iter().enumerate() {
                if index > 0 {
                    response.push(b',');
                }
                write_string(&mut response, warning.as_bytes());
            }
            response.push(b']');
        }
        response.push(b'}');
        response
    }
}

/// The end of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// From here on one can resume.
    pub position: Cursor,
    /// The history that the position belongs to.
    pub epoch: Epoch,
    /// Rows told.
    pub rows: u64,
    /// Whether these are all.
    pub complete: bool,
}

impl Ending {
    /// The payload of `snapshot_end`.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let Self { position, epoch, rows, complete } = self;
        format!(
            "{{\"position\":\"{position}\",\"epoch\":\"{epoch}\",\"rows\":{rows},\"complete\":{complete}}}"
        )
        .into_bytes()
    }
}

#[derive(Debug)]
struct Channel {
    id: ChannelId,
    profile: Profile,
    star: bool,
    topic: Arc<str>,
    join_ref: Reference,
    /// The reference of the join while its answer is outstanding.
    joining: Option<Reference>,
}

/// The state of one socket's conversation.
#[derive(Debug)]
pub struct Conversation {
    version: Version,
    /// The profile of joins that name none.
    profile: Profile,
    limits: Limits,
    // A handful per socket: a scan is smaller and no slower than a map.
    channels: Vec<Channel>,
    next_channel: u32,
    joins: Rate,
    position: Option<(Cursor, Epoch)>,
}

impl Conversation {
    /// A conversation that nobody has said anything in.
    #[must_use]
    pub fn new(version: Version, profile: Profile, limits: Limits, now: Instant) -> Self {
        let joins = Rate::new(limits.joins_per_second, now);
        Self { version, profile, limits, channels: Vec::new(), next_channel: 0, joins, position: None }
    }

    /// The socket's serializer.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// A text frame came.
    pub fn text(&mut self, text: &str, now: Instant) -> Vec<Effect> {
        match serializer::decode(self.version, text) {
            Ok(frame) => self.frame(frame, now),
            Err(error) => vec![self.unreadable(&error.into())],
        }
    }

    /// A binary frame came.
    pub fn binary(&mut self) -> Vec<Effect> {
        vec![self.unreadable(&Refusal::Binary)]
    }

    /// The answer to a frame that could not be read, and so names no reference.
    fn unreadable(&self, refusal: &Refusal) -> Effect {
        self.reply_error(&Reference::null(), &Reference::null(), "phoenix", refusal)
    }

    fn frame(&mut self, frame: Incoming<'_>, now: Instant) -> Vec<Effect> {
        if frame.topic == "phoenix" {
            return match &*frame.event {
                "heartbeat" => vec![self.heartbeat(&frame)],
                _ => vec![self.unmatched(&frame)],
            };
        }
        match &*frame.event {
            "phx_join" => self.join(frame, now),
            "phx_leave" => self.leave(&frame),
            // Tokens mean nothing while every channel is open to all; the protocol has no reply to this.
            "access_token" => Vec::new(),
            _ => {
                let joined = self.channels.iter().any(|channel| *channel.topic == *frame.topic);
                let answer = if joined {
                    self.reply_error(&frame.join_ref, &frame.reference, &frame.topic, &Refusal::Event)
                } else {
                    self.unmatched(&frame)
                };
                vec![answer]
            }
        }
    }

    /// Everything up to this position was sent on all channels that are joined; none where that cannot be said.
    pub const fn reached(&mut self, position: Option<(Cursor, Epoch)>) {
        self.position = position;
    }

    /// The reply tells how far the socket has come, so that whoever sees no change for long can still resume.
    fn heartbeat(&self, frame: &Incoming<'_>) -> Effect {
        let response = self.position.map_or("{}".into(), |(position, epoch)| {
            format!("{{\"position\":\"{position}\",\"epoch\":\"{epoch}\"}}")
        });
        self.reply_ok(&frame.join_ref, &frame.reference, "phoenix", response.as_bytes())
    }

    fn join(&mut self, frame: Incoming<'_>, now: Instant) -> Vec<Effect> {
        // A client of vsn 1.0.0 names the join only by its reference.
        let join_ref =
            if frame.join_ref.is_null() { frame.reference.clone() } else { frame.join_ref.clone() };
        let mut effects = Vec::new();
        if let Some(at) = self.channels.iter().position(|channel| *channel.topic == *frame.topic) {
            let old = self.channels.swap_remove(at);
            effects.push(Effect::Leave { channel: old.id });
            effects.push(self.push(&old.join_ref, &old.join_ref, &old.topic, "phx_close", b"{}"));
        }
        let accepted = Topic::parse(&frame.topic)
            .map_err(Refusal::from)
            .and_then(|topic| {
                JoinOptions::parse(frame.payload.get(), self.profile).map(|options| (topic, options))
            })
            .and_then(|accepted| self.within_limits(now).map(|()| accepted));
        match accepted {
            Err(refusal) => {
                COUNTED.refusals.refused(&refusal.to_string());
                effects.push(self.reply_error(&join_ref, &frame.reference, &frame.topic, &refusal));
            }
            Ok((topic, options)) => {
                let channel = ChannelId(self.next_channel);
                self.next_channel = self.next_channel.wrapping_add(1);
                let spelled: Arc<str> = frame.topic.into();
                self.channels.push(Channel {
                    id: channel,
                    profile: options.profile,
                    star: options.star,
                    topic: Arc::clone(&spelled),
                    join_ref,
                    joining: Some(frame.reference),
                });
                effects.push(Effect::Join { channel, spelled, topic, options });
            }
        }
        effects
    }

    fn within_limits(&mut self, now: Instant) -> Result<(), Refusal> {
        if self.channels.len() >= self.limits.channels {
            return Err(Refusal::TooManyChannels { limit: self.limits.channels });
        }
        if !self.joins.allow(now) {
            return Err(Refusal::TooManyJoins { limit: self.limits.joins_per_second });
        }
        Ok(())
    }

    fn leave(&mut self, frame: &Incoming<'_>) -> Vec<Effect> {
        let reply = self.reply_ok(&frame.join_ref, &frame.reference, &frame.topic, b"{}");
        // A leave that names another join is late: that join was closed already.
        let at = self.channels.iter().position(|channel| {
            *channel.topic == *frame.topic && (frame.join_ref.is_null() || frame.join_ref == channel.join_ref)
        });
        let Some(at) = at else { return vec![reply] };
        let channel = self.channels.swap_remove(at);
        let close = self.push(&channel.join_ref, &channel.join_ref, &channel.topic, "phx_close", b"{}");
        vec![Effect::Leave { channel: channel.id }, reply, close]
    }

    /// Whether the join still waits for its answer: the client may have left meanwhile.
    #[must_use]
    pub fn awaits(&self, channel: ChannelId) -> bool {
        self.channels.iter().any(|known| known.id == channel && known.joining.is_some())
    }

    /// How many channels are joined.
    #[must_use]
    pub fn joined(&self) -> usize {
        self.channels.iter().filter(|known| known.joining.is_none()).count()
    }

    /// Whether the channel is joined.
    #[must_use]
    pub fn has_joined(&self, channel: ChannelId) -> bool {
        self.channels.iter().any(|known| known.id == channel && known.joining.is_none())
    }

    /// The channel that is joined to a topic of this spelling, with its profile and whether it is sent `*` twins.
    #[must_use]
    pub fn joined_to(&self, topic: &str) -> Option<(ChannelId, Profile, bool)> {
        let mut joined = self.channels.iter().filter(|known| known.joining.is_none());
        let channel = joined.find(|known| *known.topic == *topic)?;
        Some((channel.id, channel.profile, channel.star))
    }

    /// The topic may be joined, and the member is registered.
    pub fn admitted(&mut self, channel: ChannelId, admission: &Admission) -> Option<Effect> {
        let known = self.channels.iter_mut().find(|known| known.id == channel)?;
        let reference = known.joining.take()?;
        let (join_ref, topic) = (known.join_ref.clone(), Arc::clone(&known.topic));
        admission.count();
        Some(self.reply_ok(&join_ref, &reference, &topic, &admission.response()))
    }

    /// The topic may not be joined.
    pub fn refused(&mut self, channel: ChannelId, refusal: &Refusal) -> Option<Effect> {
        let at = self.channels.iter().position(|known| known.id == channel && known.joining.is_some())?;
        let channel = self.channels.swap_remove(at);
        let reference = channel.joining?;
        COUNTED.refusals.refused(&refusal.to_string());
        Some(self.reply_error(&channel.join_ref, &reference, &channel.topic, refusal))
    }

    /// Changes may have been missed: every joined channel is told that it crashed, which makes its client
    /// join again and learn the new position. Joins that still wait learn it anyway.
    pub fn interrupt(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        let (joined, waiting) =
            std::mem::take(&mut self.channels).into_iter().partition(|known| known.joining.is_none());
        self.channels = waiting;
        for channel in Vec::<Channel>::from_iter(joined) {
            effects.push(Effect::Leave { channel: channel.id });
            effects.push(self.push(&channel.join_ref, &channel.join_ref, &channel.topic, "phx_error", b"{}"));
        }
        effects
    }

    /// One channel cannot be told everything: its client is told that it crashed, and joins again.
    pub fn crash(&mut self, channel: ChannelId) -> Option<Effect> {
        let at = self.channels.iter().position(|known| known.id == channel)?;
        let channel = self.channels.swap_remove(at);
        Some(self.push(&channel.join_ref, &channel.join_ref, &channel.topic, "phx_error", b"{}"))
    }

    /// The snapshot of a channel cannot be told: its client is told why, and that the channel crashed.
    pub fn snapshot_failed(&mut self, channel: ChannelId, refusal: &Refusal) -> Vec<Effect> {
        let Some(known) = self.channels.iter().find(|known| known.id == channel) else { return Vec::new() };
        let mut payload = b"{\"reason\":".to_vec();
        write_string(&mut payload, refusal.to_string().as_bytes());
        payload.push(b'}');
        let null = Reference::null();
        let told = self.push(&null, &null, &known.topic, "snapshot_error", &payload);
        std::iter::once(told).chain(self.crash(channel)).collect()
    }

    fn unmatched(&self, frame: &Incoming<'_>) -> Effect {
        let refusal = Refusal::Topic(crate::topic::TopicError::Unmatched);
        self.reply_error(&frame.join_ref, &frame.reference, &frame.topic, &refusal)
    }

    fn reply_ok(&self, join_ref: &Reference, reference: &Reference, topic: &str, response: &[u8]) -> Effect {
        let payload = [b"{\"status\":\"ok\",\"response\":", response, b"}"].concat();
        self.push(join_ref, reference, topic, "phx_reply", &payload)
    }

    fn reply_error(
        &self,
        join_ref: &Reference,
        reference: &Reference,
        topic: &str,
        refusal: &Refusal,
    ) -> Effect {
        let mut payload = b"{\"status\":\"error\",\"response\":{\"reason\":".to_vec();
        write_string(&mut payload, refusal.to_string().as_bytes());
        payload.extend_from_slice(b"}}");
        self.push(join_ref, reference, topic, "phx_reply", &payload)
    }

    fn push(
        &self,
        join_ref: &Reference,
        reference: &Reference,
        topic: &str,
        event: &str,
        payload: &[u8],
    ) -> Effect {
        let envelope = serializer::envelope(self.version, join_ref, reference, topic, event);
        Effect::Send([&envelope.prefix, payload, &envelope.suffix].concat())
    }
}

#[cfg(test)]
mod conversations;
#[cfg(test)]
mod interleavings;
