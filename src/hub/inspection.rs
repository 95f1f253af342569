//! What an operator asks of connections: who is there, who has joined a topic, and that some of them be closed.
//!
//! Sockets are asked on the thread that owns them, a slice at a time, so that deliveries pass between; nothing is kept
//! for the sake of such a question but the moment at which a connection was opened.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::sync::oneshot;

use super::closing::{CLOSE_WITHIN, Closing};
use super::connection::Connection;
use super::readers::Transport;
use super::shard::Shard;
use super::{Hub, Work};
use crate::change::value::Profile;
use crate::channel::serializer::Version;

/// Places that are looked at in one go.
const SLICE: usize = 4096;

/// Connections that are closed in one go.
const CLOSED: usize = 256;

/// Names one connection, and never another one, also of another process: its place, and since when it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId {
    /// Whose place it is: a shard's, or, behind all shards, the readers'.
    pub(super) owner: usize,
    pub(super) place: usize,
    /// In microseconds since 1970.
    pub(super) opened: i64,
}

/// A text that is no name of a connection.
#[derive(Debug, Error)]
#[error("this is no id of a connection")]
pub struct ConnectionIdError;

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:x}", self.owner, self.place, self.opened)
    }
}

impl FromStr for ConnectionId {
    type Err = ConnectionIdError;

    fn from_str(text: &str) -> Result<Self, ConnectionIdError> {
        let mut parts = text.split('-');
        let parsed = (|| {
            let (owner, place) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some(Self { owner, place, opened: i64::from_str_radix(parts.next()?, 16).ok()? })
        })();
        // One connection has one name.
        parsed.filter(|id| id.to_string() == text).ok_or(ConnectionIdError)
    }
}

impl ConnectionId {
    /// When it was opened.
    #[must_use]
    pub fn opened(&self) -> Timestamp {
        Timestamp::from_microsecond(self.opened).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// What there is to see of a connection.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its name.
    pub id: ConnectionId,
    /// The way changes take to it.
    pub transport: Transport,
    /// The other end, which may be a proxy's.
    pub peer: Option<SocketAddr>,
    /// Its serializer, where there is one.
    pub version: Option<Version>,
    /// How many channels are joined.
    pub channels: usize,
    /// Bytes that wait for it; `None` where nothing ever does.
    pub pending: Option<usize>,
    /// When something last came from it.
    pub heard: Option<Timestamp>,
    /// Its channel on the topic that was asked for.
    pub channel: Option<SeenChannel>,
}

/// What there is to see of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenChannel {
    /// How values become JSON.
    pub profile: Profile,
    /// Whether each change is sent as `*` too.
    pub star: bool,
    /// How it is told of changes.
    pub state: ChannelState,
}

/// How a channel is told of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// As they come.
    Live,
    /// It is told first what it missed, or rows.
    CatchingUp,
    /// It reads the replay window at its own pace.
    Reading,
}

/// A look at the connections of one owner.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// The first place.
    pub(super) from: usize,
    /// The most connections that are wanted.
    pub(super) most: usize,
    /// Only those that have joined this topic.
    pub(super) topic: Option<Arc<str>>,
}

/// What a look found, and where the next one begins.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) seen: Vec<Seen>,
    pub(super) next: Option<usize>,
}

impl Look {
    /// Looks at places up to the end of the slice; `at` sees what is at one.
    pub(super) fn through(&self, places: usize, at: impl Fn(usize) -> Option<Seen>) -> Slice {
        let until = places.min(self.from.saturating_add(SLICE));
        let mut seen = Vec::new();
        for place in self.from..until {
            seen.extend(at(place));
            if seen.len() >= self.most {
                return Slice { seen, next: Some(place + 1) };
            }
        }
        Slice { seen, next: (until < places).then_some(until) }
    }
}

impl Shard {
    /// Looks at some of its sockets; those that are being closed are none any more.
    pub(super) fn look(&self, look: &Look) -> Slice {
        let now = (Instant::now(), Timestamp::now());
        let connections = self.connections.borrow();
        look.through(connections.capacity(), |place| {
            let connection = connections.get(place)?;
            let id = ConnectionId { owner: self.id, place, opened: connection.opened };
            connection.seen(id, look.topic.as_deref(), now)
        })
    }

    /// Closes these of its sockets; how many there were.
    pub(super) fn disconnect(&self, ids: &[ConnectionId]) -> usize {
        let found = |id: &ConnectionId| {
            let connection = self.connections.borrow().get(id.place).map(std::rc::Rc::clone)?;
            (connection.opened == id.opened && connection.is_open()).then_some(connection)
        };
        let mut closed = 0;
        for connection in ids.iter().filter_map(found) {
            connection.close(Closing::DISCONNECTED, true, CLOSE_WITHIN);
            closed += 1;
        }
        closed
    }
}

impl Connection {
    fn seen(&self, id: ConnectionId, topic: Option<&str>, now: (Instant, Timestamp)) -> Option<Seen> {
        let state = self.state.borrow();
        if !state.is_open() {
            return None;
        }
        let channel = match topic {
            None => None,
            Some(topic) => {
                let (channel, profile, star) = state.conversation.joined_to(topic)?;
                let live = state.memberships.iter().any(|membership| membership.channel == channel);
                let state = if live { ChannelState::Live } else { ChannelState::CatchingUp };
                Some(SeenChannel { profile, star, state })
            }
        };
        let quiet = SignedDuration::try_from(now.0.saturating_duration_since(state.last_heard)).ok();
        Some(Seen {
            id,
            transport: Transport::WebSocket,
            peer: self.peer(),
            version: Some(state.conversation.version()),
            channels: state.conversation.joined(),
            pending: Some(state.outbox.bytes()),
            heard: quiet.and_then(|quiet| now.1.checked_sub(quiet).ok()),
            channel,
        })
    }
}

impl Hub {
    /// Some connections behind `after`, at most `limit`, and whether there are more. Who is there all the while that
    /// one pages through all is seen once. With a topic, as it was spelled, only those that have joined it.
    pub async fn connections(
        &self,
        after: Option<ConnectionId>,
        limit: usize,
        topic: Option<&Arc<str>>,
    ) -> (Vec<Seen>, bool) {
        let (mut owner, mut from) = after.map_or((0, 0), |id| (id.owner, id.place.saturating_add(1)));
        let mut seen = Vec::new();
        // One more than is wanted tells whether there are more.
        while owner <= self.shards.len() && seen.len() <= limit {
            let look = Look { from, most: limit + 1 - seen.len(), topic: topic.cloned() };
            let slice = match self.shards.get(owner) {
                Some(shard) => {
                    let (answer, wait) = oneshot::channel();
                    let _ = shard.work.send(Work::Look { look, answer });
                    // A shard that ended has no sockets.
                    wait.await.unwrap_or_default()
                }
                None => self.readers.look(owner, &look),
            };
            seen.extend(slice.seen);
            (owner, from) = slice.next.map_or((owner + 1, 0), |next| (owner, next));
        }
        let more = seen.len() > limit;
        seen.truncate(limit);
        (seen, more)
    }

    /// Closes these connections; how many of them there were.
    pub async fn disconnect(&self, ids: &[ConnectionId]) -> usize {
        let mut closed = 0;
        for owner in 0..=self.shards.len() {
            let own: Vec<_> = ids.iter().filter(|id| id.owner == owner).copied().collect();
            for ids in own.chunks(CLOSED) {
                closed += match self.shards.get(owner) {
                    Some(shard) => {
                        let (answer, wait) = oneshot::channel();
                        let _ = shard.work.send(Work::Disconnect { ids: ids.into(), answer });
                        wait.await.unwrap_or_default()
                    }
                    None => self.readers.disconnect(ids),
                };
            }
        }
        closed
    }

    /// Closes whoever has joined a topic, as it was spelled; how many there were. Who comes back meanwhile may stay.
    pub async fn disconnect_members(&self, topic: &Arc<str>) -> usize {
        // All are named before one is closed: who comes back at once must not be met again.
        let mut ids: Vec<ConnectionId> = Vec::new();
        while ids.len() < self.rules.sockets {
            let (seen, more) = self.connections(ids.last().copied(), SLICE, Some(topic)).await;
            ids.extend(seen.iter().map(|seen| seen.id));
            if !more {
                break;
            }
        }
        self.disconnect(&ids).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_in_no_other_way() {
        let id = ConnectionId { owner: 1, place: 4096, opened: 1_790_000_000_123_456 };
        assert_eq!(id.to_string().parse::<ConnectionId>().unwrap(), id);
        for text in ["", "1", "1-2", "1-2-3-4", "01-2-3", "+1-2-3", "1-2-A", "1-2-x", "1--2-3", "-1-2-3"] {
            assert!(text.parse::<ConnectionId>().is_err(), "{text}");
        }
    }

    fn at(place: usize) -> Option<Seen> {
        let id = ConnectionId { owner: 0, place, opened: 0 };
        (place % 2 == 1).then_some(Seen {
            id,
            transport: Transport::WebSocket,
            peer: None,
            version: None,
            channels: 0,
            pending: None,
            heard: None,
            channel: None,
        })
    }

    #[test]
    fn a_look_ends_with_its_slice_or_when_enough_was_seen() {
        let through = |from, most, places| {
            let slice = Look { from, most, topic: None }.through(places, at);
            (slice.seen.iter().map(|seen| seen.id.place).collect::<Vec<_>>(), slice.next)
        };
        assert_eq!(through(0, 2, 10), (vec![1, 3], Some(4)));
        assert_eq!(through(4, 9, 10), (vec![5, 7, 9], None));
        assert_eq!(through(10, 9, 10), (vec![], None));
        assert_eq!(through(usize::MAX, 9, 10), (vec![], None));
        assert_eq!(through(0, usize::MAX, 2 * SLICE).1, Some(SLICE));
    }
}
