//! Shards, connections and outboxes: frames in, bytes on sockets out.
//!
//! Each shard is one thread with a single-threaded runtime; it owns its sockets and its table of members,
//! so that nothing on the way of a frame takes a lock. The [`Hub`] is a cheap handle: the HTTP edge
//! attaches sockets to it, the dispatcher asks [`Interest`] and hands over [`Delivery`]s, and the server
//! drains it.

mod accepting;
mod arrival;
mod batch;
mod catch_up;
mod closing;
mod coalesce;
mod connection;
mod delivering;
mod inbound;
mod inflate;
mod inspection;
mod interest;
mod joining;
mod outbox;
mod placing;
mod port;
mod readers;
mod retold;
mod rounds;
mod shard;
pub mod snapshot;

use std::fmt;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use smallvec::SmallVec;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::change::value::Profile;
use crate::channel::coalesce::Coalescing;
use crate::channel::frame::Frame;
use crate::channel::lane::LaneSet;
use crate::channel::serializer::Version;
use crate::channel::{Limits, Refusal};
use crate::lsn::{Cursor, Epoch};
use crate::replay::Replay;
use crate::topic::Topic;
use crate::topic::index::{Pattern, TopicId};
use accepting::Accepting;
pub use arrival::{Greeting, Receiver, Reception};
pub use inspection::{ChannelState, ConnectionId, ConnectionIdError, Seen, SeenChannel};
use inspection::{Look, Slice};
pub use interest::{Interest, Listening, Table, TopicSeen};
use placing::{Coming, Place, place};
use readers::Readers;
pub use readers::{Joined, Reader, Transport};

/// Bytes of frames on their way to one shard; when they are used up, the dispatcher waits.
const SHARD_BYTES: usize = 4 * 1024 * 1024;

/// Rules for sockets. Sizes are in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Limits of one conversation.
    pub limits: Limits,
    /// The value profile of joins that name none.
    pub profile: Profile,
    /// The largest message a client may send.
    pub frame_bytes: usize,
    /// Whether messages are compressed for who offers it.
    pub deflate: bool,
    /// Sockets at a time.
    pub sockets: usize,
    /// Members of one topic.
    pub members_per_topic: usize,
    /// A socket that says nothing for so long is closed; at half of it, it is pinged.
    pub idle: Duration,
    /// Bound of one outbox.
    pub outbox_bytes: usize,
    /// How long dispatch may pause for one full outbox in any ten seconds.
    pub pause: Duration,
    /// A socket that takes nothing for so long while something waits for it is closed.
    pub stall: Duration,
}

/// A question to the gate: may this topic be joined?
#[derive(Debug)]
pub struct Question {
    /// The topic.
    pub topic: Topic,
    /// Where the answer goes; nobody waits any more when it is closed.
    pub answer: oneshot::Sender<Result<Approval, Refusal>>,
}

/// Who knows which topics may be joined.
#[derive(Clone)]
pub struct Door {
    /// The approval, where it is known without waiting: most joins of a crowd are like one another.
    pub known: Known,
    /// Where everything else is asked.
    pub questions: mpsc::Sender<Question>,
    /// Where snapshots are asked for.
    pub snapshots: mpsc::Sender<snapshot::Wanted>,
}

/// What knows some approvals without waiting.
pub type Known = Arc<dyn Fn(&Topic) -> Option<Approval> + Send + Sync>;

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

/// A topic that may be joined.
#[derive(Clone, Debug)]
pub struct Approval {
    /// What it matches.
    pub pattern: Pattern,
    /// What cannot be told on it.
    pub warnings: Arc<[String]>,
}

/// The frames of one change for one topic.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The topic.
    pub topic: TopicId,
    /// The number of the change, see [`Table::route`].
    pub sequence: u64,
    /// How many changes its frames tell.
    pub changes: u32,
    /// How long it may wait for more.
    pub wait: Duration,
    /// Each frame with the lanes that get it.
    pub frames: SmallVec<[(LaneSet, Frame); 2]>,
}

/// A place for one socket, counted against the limit until it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The handle to all shards.
#[derive(Clone, Debug)]
pub struct Hub {
    shards: Arc<[ShardHandle]>,
    surroundings: Surroundings,
    readers: Arc<Readers>,
    seated: Arc<AtomicUsize>,
    rules: Rules,
}

/// What every shard asks.
#[derive(Clone, Debug)]
struct Surroundings {
    interest: Arc<Interest>,
    replay: Replay,
    door: Door,
}

impl Surroundings {
    async fn ask(&self, topic: Topic) -> Result<Approval, Refusal> {
        let (answer, wait) = oneshot::channel();
        let stopping = Refusal::Unavailable("the server is stopping");
        match self.door.questions.send(Question { topic, answer }).await {
            Ok(()) => wait.await.unwrap_or(Err(stopping)),
            Err(_) => Err(stopping),
        }
    }
}

#[derive(Debug)]
struct ShardHandle {
    arrivals: mpsc::UnboundedSender<Coming>,
    /// Places that are taken.
    places: Arc<AtomicUsize>,
    work: mpsc::UnboundedSender<Work>,
    budget: Arc<Semaphore>,
}

/// What a handshake agreed upon.
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    /// The serializer.
    pub version: Version,
    /// Whether messages may be compressed, both ways, none depending on another (RFC 7692).
    pub deflate: bool,
}

/// A socket whose handshake is accepted.
#[derive(Debug)]
struct Newcomer<Stream> {
    stream: Stream,
    /// What is left to say of the handshake.
    answer: Bytes,
    /// What the client sent behind its handshake.
    early: Bytes,
    agreed: Agreed,
    seat: Seat,
    place: Place,
}

/// What a shard does in order.
#[derive(Debug)]
enum Work {
    /// Accept connections from now on.
    Accept(Accepting),
    Deliver {
        deliveries: Vec<Delivery>,
        /// When their transaction was committed, by the database's clock.
        committed: Option<Timestamp>,
        /// Given back when all is in outboxes.
        budget: OwnedSemaphorePermit,
    },
    /// The dispatcher waits for room: nothing may wait for more any longer.
    Hurry,
    /// Everything up to this position has been handed over.
    Reached(Cursor, Epoch),
    /// Tell every joined channel that changes may have been missed.
    Interrupt,
    /// See who is there.
    Look { look: Look, answer: oneshot::Sender<Slice> },
    /// Close these sockets, and tell how many there were.
    Disconnect { ids: Box<[ConnectionId]>, answer: oneshot::Sender<usize> },
    /// Close every socket behind what waits for it, and answer when all are gone.
    Drain { within: Duration, done: oneshot::Sender<()> },
}

impl Hub {
    /// Starts `shards` threads. Changes wait as `coalescing` says.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be started.
    pub fn start(
        shards: usize,
        rules: Rules,
        coalescing: &Coalescing,
        replay: &Replay,
        door: &Door,
    ) -> std::io::Result<Self> {
        let interest = Arc::new(Interest::new(shards, rules.members_per_topic, coalescing.clone()));
        let handles = (0..shards).map(|id| {
            let (arrivals, coming) = mpsc::unbounded_channel();
            let (work, orders) = mpsc::unbounded_channel();
            let surroundings =
                Surroundings { interest: Arc::clone(&interest), replay: replay.clone(), door: door.clone() };
            shard::start(id, rules, surroundings, coming, orders)?;
            let budget = Arc::new(Semaphore::new(SHARD_BYTES));
            Ok(ShardHandle { arrivals, places: Arc::default(), work, budget })
        });
        Ok(Self {
            shards: handles.collect::<std::io::Result<_>>()?,
            surroundings: Surroundings { interest, replay: replay.clone(), door: door.clone() },
            readers: Arc::default(),
            seated: Arc::default(),
            rules,
        })
    }

    /// The interest of all members.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.surroundings.interest
    }

    /// The rules for sockets.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The replay window.
    #[must_use]
    pub const fn replay(&self) -> &Replay {
        &self.surroundings.replay
    }

    /// Whether a topic may be joined.
    ///
    /// # Errors
    /// When it may not, or the server stops.
    pub async fn ask(&self, topic: Topic) -> Result<Approval, Refusal> {
        match (self.surroundings.door.known)(&topic) {
            Some(approval) => Ok(approval),
            None => self.surroundings.ask(topic).await,
        }
    }

    /// Listens to a topic that may be joined, which is called `spelled`: whoever does reads the replay window at its own
    /// pace.
    ///
    /// # Errors
    /// When the topic is full.
    pub fn listen(&self, spelled: &Arc<str>, pattern: &Pattern) -> Result<Listening, Refusal> {
        let listening = self.surroundings.interest.listen(spelled, pattern);
        listening.map_err(|full| Refusal::TooManyMembers { limit: full.limit })
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// How many sockets there are.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.seated.load(Ordering::Relaxed)
    }

    /// A place for one more socket, or `None` when the limit is reached.
    #[must_use]
    pub fn seat(&self) -> Option<Seat> {
        let taken = self.seated.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seated| {
            (seated < self.rules.sockets).then_some(seated + 1)
        });
        taken.ok().map(|_| Seat(Arc::clone(&self.seated)))
    }

    /// Accepts connections, on the thread of a shard, until `receiver` is told to stop. The listener is in non-blocking mode.
    ///
    /// # Errors
    /// When file descriptors have run out.
    pub async fn accept(&self, listener: TcpListener, receiver: Receiver) -> std::io::Result<()> {
        accepting::accept(&self.shards, listener, receiver).await
    }

    /// Hands over a socket whose handshake is done. `early` is what came behind the handshake.
    pub fn attach(&self, stream: TcpStream, early: Bytes, agreed: Agreed, seat: Seat) {
        let answer = Bytes::new();
        place(&self.shards, |place| {
            Coming::Newcomer(Newcomer { stream, answer, early, agreed, seat, place })
        });
    }

    /// Hands each shard its deliveries, in the order of the shards; waits while a shard is behind. All are of one
    /// transaction.
    pub async fn deliver(&self, by_shard: Vec<Vec<Delivery>>, commit_timestamp: &str) {
        if by_shard.iter().all(Vec::is_empty) {
            return;
        }
        let committed = commit_timestamp.parse().ok();
        for (shard, deliveries) in self.shards.iter().zip(by_shard) {
            if deliveries.is_empty() {
                continue;
            }
            let bytes: usize =
                deliveries.iter().flat_map(|delivery| &delivery.frames).map(|(_, frame)| frame.len()).sum();
            let permits = u32::try_from(bytes.clamp(1, SHARD_BYTES)).unwrap_or(1);
            if shard.budget.available_permits() < permits as usize {
                let _ = shard.work.send(Work::Hurry);
            }
            let Ok(budget) = Arc::clone(&shard.budget).acquire_many_owned(permits).await else { continue };
            let _ = shard.work.send(Work::Deliver { deliveries, committed, budget });
        }
    }

    /// Everything up to this position was handed over before.
    pub fn reached(&self, position: Cursor, epoch: Epoch) {
        for shard in self.shards.iter() {
            let _ = shard.work.send(Work::Reached(position, epoch));
        }
    }

    /// Tells every joined channel, behind what was handed over before, that changes may have been missed; who reads the
    /// replay window finds it there.
    pub fn interrupt(&self) {
        self.interest().table().rouse();
        for shard in self.shards.iter() {
            let _ = shard.work.send(Work::Interrupt);
        }
    }

    /// Closes all sockets with 1012 behind what waits for them; those that do not take it within the time
    /// are cut.
    pub async fn drain(&self, within: Duration) {
        let waits: Vec<_> = self
            .shards
            .iter()
            .map(|shard| {
                let (done, wait) = oneshot::channel();
                let _ = shard.work.send(Work::Drain { within, done });
                wait
            })
            .collect();
        for wait in waits {
            let _ = wait.await;
        }
    }
}
