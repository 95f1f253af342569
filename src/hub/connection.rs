//! One socket: its conversation, its outbox, and how it ends.

mod hearing;
mod sweep;

use std::cell::{Cell, RefCell};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use socket2::SockRef;
use tokio::io::Interest as Readiness;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::closing::{Closing, LEFT, LOST};
use super::inbound::Inbound;
use super::outbox::{Flushed, Outbox, Pauses};
use super::rounds::{Key, Round};
use super::shard::Shard;
use super::{Agreed, Place, Rules, Seat};
use crate::channel::frame::{self, Frame};
use crate::channel::lane::Lane;
use crate::channel::{ChannelId, Conversation, Effect};
use crate::metrics::COUNTED;
use crate::topic::index::TopicId;

/// How long a closed socket may take to acknowledge, while its input is swallowed. Closing with unread
/// input would reset the connection and destroy the close frame on its way (RFC 6455, section 7.1.1).
const SWALLOW: Duration = Duration::from_secs(1);

/// A channel of this socket that gets deliveries.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) channel: ChannelId,
    pub(super) topic: TopicId,
    /// The place in the shard's members of the topic.
    pub(super) place: usize,
    pub(super) lane: Lane,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The close frame waits in the outbox.
    Draining {
        until: Instant,
    },
    /// All is written; input is swallowed until the peer closes.
    Swallowing {
        until: Instant,
    },
    Gone,
}

pub(super) struct State {
    pub(super) conversation: Conversation,
    pub(super) memberships: Vec<Membership>,
    pub(super) outbox: Outbox,
    pub(super) pauses: Pauses,
    inbound: Inbound,
    phase: Phase,
    pub(super) last_heard: Instant,
    pinged: bool,
    /// While something waits for the socket: when it last took some, or since when it waits.
    waits_since: Option<Instant>,
}

impl State {
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The client closed.
    fn left(&mut self, now: Instant) {
        // Once: more may come behind a goodbye.
        if self.phase == Phase::Open {
            COUNTED.closes.count(LEFT);
        }
        self.phase = Phase::Draining { until: now + SWALLOW };
    }

    /// Ends the socket for what it sent.
    fn refuse(&mut self, closing: Closing, now: Instant) {
        self.outbox.push(&frame::close(closing.code, closing.reason));
        // What comes behind a goodbye has been counted.
        if self.phase == Phase::Open {
            closing.count();
        }
        self.phase = Phase::Draining { until: now + SWALLOW };
    }
}

pub(super) struct Connection {
    key: Key,
    stream: TcpStream,
    pub(super) state: RefCell<State>,
    /// Wakes the socket's task: something waits for the socket, or it ends.
    wake: Notify,
    /// Wakes the shard's delivery: there is room again, or the socket ends.
    pub(super) room: Notify,
    /// Listed for a flush at the end of the delivery.
    pub(super) listed: Cell<bool>,
    /// Listed for a look once a second.
    pub(super) watched: Cell<bool>,
    /// When it is looked at anyway.
    pub(super) round: Cell<Round>,
    /// In microseconds since 1970; with its place, its name.
    pub(super) opened: i64,
    _seat: Seat,
    _place: Place,
}

impl Connection {
    pub(super) fn new(
        key: Key,
        stream: TcpStream,
        agreed: Agreed,
        rules: &Rules,
        seat: Seat,
        place: Place,
    ) -> Self {
        let now = Instant::now();
        let state = State {
            conversation: Conversation::new(agreed.version, rules.profile, rules.limits, now),
            memberships: Vec::new(),
            outbox: Outbox::default(),
            pauses: Pauses::default(),
            inbound: Inbound::new(agreed.deflate),
            phase: Phase::Open,
            last_heard: now,
            pinged: false,
            waits_since: None,
        };
        Self {
            key,
            stream,
            state: RefCell::new(state),
            wake: Notify::new(),
            room: Notify::new(),
            listed: Cell::new(false),
            watched: Cell::new(false),
            round: Cell::new(0),
            opened: Timestamp::now().as_microsecond(),
            _seat: seat,
            _place: place,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.borrow().is_open()
    }

    /// Says what is left of the handshake, and hears what came behind it.
    pub(super) fn begin(self: &Rc<Self>, shard: &Rc<Shard>, answer: Bytes, early: &[u8]) {
        if !answer.is_empty() {
            self.state.borrow_mut().outbox.push(&Frame::Whole(answer));
        }
        if !early.is_empty() {
            self.feed(shard, early);
        }
        self.flush();
    }

    /// The other end, unless it is gone.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }

    /// Whether the channel is still joined, on an open socket.
    pub(super) fn serves(&self, channel: ChannelId) -> bool {
        let state = self.state.borrow();
        state.is_open() && state.conversation.has_joined(channel)
    }

    /// Reads and writes until the socket has ended.
    pub(super) async fn run(self: &Rc<Self>, shard: &Rc<Shard>) {
        loop {
            let Some(readiness) = self.wanted(shard) else { return };
            if self.is_watched() && !self.watched.replace(true) {
                shard.watch(self.key);
            }
            if readiness.is_readable() && self.has_more() {
                self.feed(shard, &[]);
                self.flush();
                tokio::task::yield_now().await;
                continue;
            }
            let more = tokio::select! {
                () = self.wake.notified() => false,
                ready = self.stream.ready(readiness) => match ready {
                    Err(_) => {
                        self.gone();
                        false
                    }
                    Ok(ready) => {
                        let more = ready.is_readable() && self.read(shard);
                        self.flush();
                        more
                    }
                },
            };
            if more {
                // A socket that always has something to read must not keep the shard for itself.
                tokio::task::yield_now().await;
            }
        }
    }

    /// What the task waits for; `None` when the socket has ended.
    fn wanted(&self, shard: &Shard) -> Option<Readiness> {
        let state = self.state.borrow();
        let backlog = !state.outbox.is_empty();
        match state.phase {
            Phase::Gone => None,
            Phase::Swallowing { .. } => Some(Readiness::READABLE),
            // Whoever does not read our answers is not listened to: this bounds what replies can pile up.
            Phase::Open if state.outbox.bytes() > shard.rules.outbox_bytes => Some(Readiness::WRITABLE),
            _ if backlog => Some(Readiness::READABLE | Readiness::WRITABLE),
            _ => Some(Readiness::READABLE),
        }
    }

    /// Tells the joined channels that changes may have been missed.
    pub(super) fn interrupt(self: &Rc<Self>, shard: &Rc<Shard>) {
        if self.is_open() {
            let state = &mut *self.state.borrow_mut();
            let effects = state.conversation.interrupt();
            self.apply(shard, state, effects);
        }
        self.flush();
    }

    /// Says one effect of the conversation, outside of its reading.
    pub(super) fn say(state: &mut State, effect: Option<Effect>) {
        if let Some(Effect::Send(text)) = effect {
            state.outbox.push(&frame::text(&text));
        }
    }

    /// Writes a frame now, or lets it wait behind what waits already; there is room for it.
    pub(super) fn send(&self, state: &mut State, frame: &Frame, now: Instant) {
        if !state.outbox.is_empty() {
            // The task has been waiting for the socket since it would block.
            return state.outbox.push(frame);
        }
        let sent = state.outbox.send(frame, &self.stream);
        if sent.broken {
            self.end(state);
        } else if !state.outbox.is_empty() {
            state.waits_since = Some(now);
            self.wake.notify_one();
        }
    }

    /// Writes what the socket takes now, and lets the task wait for the rest.
    pub(super) fn flush(&self) {
        self.write(|outbox| outbox.flush(&self.stream));
    }

    /// Writes what the socket takes, before it is judged by what it took.
    pub(super) fn insist(&self) {
        self.write(|outbox| outbox.insist(&self.stream));
    }

    fn write(&self, write: impl FnOnce(&mut Outbox) -> Flushed) {
        let state = &mut *self.state.borrow_mut();
        if state.phase == Phase::Gone {
            return;
        }
        let flushed = write(&mut state.outbox);
        if flushed.broken {
            self.end(state);
        } else if state.outbox.is_empty() {
            state.waits_since = None;
            if let Phase::Draining { .. } = state.phase {
                let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
                state.phase = Phase::Swallowing { until: Instant::now() + SWALLOW };
                self.wake.notify_one();
            }
        } else {
            if flushed.written > 0 || state.waits_since.is_none() {
                state.waits_since = Some(Instant::now());
            }
            self.wake.notify_one();
        }
        if flushed.written > 0 {
            self.room.notify_one();
        }
    }

    /// Waits until no more than `low` bytes wait for the socket; `false` when it is closed.
    pub(super) async fn drained(&self, low: usize) -> bool {
        loop {
            self.flush();
            if !self.is_open() {
                return false;
            }
            if self.state.borrow().outbox.bytes() <= low {
                return true;
            }
            // A socket that is closed meanwhile may never become writable.
            let _ = tokio::time::timeout(SWALLOW, self.stream.writable()).await;
        }
    }

    /// Closes with a code, behind what waits; a `cut` drops that first. The client reconnects and can
    /// resume.
    pub(super) fn close(&self, closing: Closing, cut: bool, within: Duration) {
        {
            let state = &mut *self.state.borrow_mut();
            if state.phase != Phase::Open {
                return;
            }
            closing.count();
            if cut {
                state.outbox.cut();
            }
            state.outbox.push(&frame::close(closing.code, closing.reason));
            state.phase = Phase::Draining { until: Instant::now() + within };
        }
        self.room.notify_one();
        self.flush();
    }

    fn gone(&self) {
        self.end(&mut self.state.borrow_mut());
    }

    fn end(&self, state: &mut State) {
        if state.phase == Phase::Open {
            COUNTED.closes.count(LOST);
        }
        state.phase = Phase::Gone;
        self.wake.notify_one();
        self.room.notify_one();
    }
}
