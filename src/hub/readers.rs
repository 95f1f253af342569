//! Who reads the replay window over plain HTTP. They have no place on a shard, since nothing is sent to them.
//!
//! The lock is taken when one of them comes, joins, leaves, goes or is asked for, and on no change's way.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use slab::Slab;
use tokio::sync::watch;

use super::inspection::{ChannelState, ConnectionId, Look, Seen, SeenChannel, Slice};
use super::{Hub, Seat};
use crate::change::value::Profile;
use crate::channel::serializer::Version;

/// The way changes take to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket.
    WebSocket,
    /// Server-Sent Events.
    Events,
    /// A poll that is held.
    Poll,
    /// A session of Phoenix' long polling.
    LongPoll,
}

impl Transport {
    /// Those of readers.
    pub const READERS: [Self; 3] = [Self::Events, Self::Poll, Self::LongPoll];

    /// As it is called in answers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Events => "events",
            Self::Poll => "poll",
            Self::LongPoll => "longpoll",
        }
    }
}

/// All readers.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<Slab<Entry>>);

#[derive(Debug)]
struct Entry {
    transport: Transport,
    peer: SocketAddr,
    version: Option<Version>,
    opened: i64,
    channels: Slab<(Arc<str>, Profile, bool)>,
    end: watch::Sender<bool>,
}

/// One reader's entry and its seat, until this is dropped.
#[derive(Debug)]
pub struct Reader {
    place: Arc<Registered>,
    end: watch::Receiver<bool>,
    _seat: Seat,
}

/// A topic that a reader reads, until this is dropped.
#[derive(Debug)]
pub struct Joined {
    place: Arc<Registered>,
    channel: usize,
}

/// An entry, for as long as anything of it is held: its place is not another's before.
#[derive(Debug)]
struct Registered {
    readers: Arc<Readers>,
    reader: usize,
}

impl Readers {
    fn lock(&self) -> MutexGuard<'_, Slab<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn look(&self, owner: usize, look: &Look) -> Slice {
        let entries = self.lock();
        look.through(entries.capacity(), |place| {
            entries.get(place)?.seen(owner, place, look.topic.as_deref())
        })
    }

    /// Ends these; how many there were.
    pub(super) fn disconnect(&self, ids: &[ConnectionId]) -> usize {
        let entries = self.lock();
        let found =
            ids.iter().filter_map(|id| entries.get(id.place).filter(|entry| entry.opened == id.opened));
        found.filter(|entry| !entry.end.send_replace(true)).count()
    }
}

impl Entry {
    fn seen(&self, owner: usize, place: usize, topic: Option<&str>) -> Option<Seen> {
        let channel = match topic {
            None => None,
            Some(topic) => {
                let (_, channel) = self.channels.iter().find(|(_, (spelled, ..))| **spelled == *topic)?;
                Some(SeenChannel { profile: channel.1, star: channel.2, state: ChannelState::Reading })
            }
        };
        (!*self.end.borrow()).then(|| Seen {
            id: ConnectionId { owner, place, opened: self.opened },
            transport: self.transport,
            peer: Some(self.peer),
            version: self.version,
            channels: self.channels.len(),
            pending: None,
            heard: None,
            channel,
        })
    }
}

impl Hub {
    /// A place for a reader, or `None` when there are as many sockets as may be.
    #[must_use]
    pub fn reader(&self, transport: Transport, peer: SocketAddr, version: Option<Version>) -> Option<Reader> {
        let seat = self.seat()?;
        let (sender, end) = watch::channel(false);
        let reader = self.readers.lock().insert(Entry {
            transport,
            peer,
            version,
            opened: Timestamp::now().as_microsecond(),
            channels: Slab::new(),
            end: sender,
        });
        let place = Arc::new(Registered { readers: Arc::clone(&self.readers), reader });
        Some(Reader { place, end, _seat: seat })
    }

    /// How many readers there are, by their transports.
    #[must_use]
    pub fn readers(&self) -> [(Transport, usize); 3] {
        let entries = self.readers.lock();
        Transport::READERS.map(|transport| {
            (transport, entries.iter().filter(|(_, entry)| entry.transport == transport).count())
        })
    }
}

impl Reader {
    /// The reader has joined a topic that is called `spelled`.
    #[must_use]
    pub fn join(&self, spelled: &Arc<str>, profile: Profile, star: bool) -> Joined {
        let mut entries = self.place.readers.lock();
        let entry = entries.get_mut(self.place.reader);
        let channel = entry.map(|entry| entry.channels.insert((Arc::clone(spelled), profile, star)));
        Joined { place: Arc::clone(&self.place), channel: channel.unwrap_or_default() }
    }

    /// Resolves when an operator has ended it.
    pub async fn ended(&mut self) {
        // Its own entry has the sender.
        let _ = self.end.wait_for(|end| *end).await;
    }

    /// Whether an operator has ended it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        *self.end.borrow()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.readers.lock().try_remove(self.reader);
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(entry) = self.place.readers.lock().get_mut(self.place.reader) {
            entry.channels.try_remove(self.channel);
        }
    }
}
