//! One socket: its conversation, its outbox, and how it ends.

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
use tokio_tungstenite::tungstenite::{Error, Message};

use super::closing::{Closing, LEFT, LOST};
use super::inbound::{Inbound, Taken, context};
use super::inflate::PLAIN_BYTES;
use super::joining::Join;
use super::outbox::{Flushed, Outbox, Pauses};
use super::port::Port;
use super::shard::Shard;
use super::{Agreed, Place, Rules, Seat};
use crate::channel::frame::{self, Frame};
use crate::channel::lane::Lane;
use crate::channel::{ChannelId, Conversation, Effect};
use crate::metrics::COUNTED;
use crate::topic::index::TopicId;
use crate::traces;

/// How long a closed socket may take to acknowledge, while its input is swallowed. Closing with unread
/// input would reset the connection and destroy the close frame on its way (RFC 6455, section 7.1.1).
const SWALLOW: Duration = Duration::from_secs(1);

/// Reads from one socket before others get their turn.
const READS: usize = 4;

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
    /// When the socket last took something, or had nothing to take.
    last_progress: Instant,
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
    stream: TcpStream,
    pub(super) state: RefCell<State>,
    /// Wakes the socket's task: something waits for the socket, or it ends.
    wake: Notify,
    /// Wakes the shard's delivery: there is room again, or the socket ends.
    pub(super) room: Notify,
    /// Listed for a flush at the end of the delivery.
    pub(super) listed: Cell<bool>,
    /// In microseconds since 1970; with its place, its name.
    pub(super) opened: i64,
    _seat: Seat,
    _place: Place,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, agreed: Agreed, rules: &Rules, seat: Seat, place: Place) -> Self {
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
            last_progress: now,
        };
        Self {
            stream,
            state: RefCell::new(state),
            wake: Notify::new(),
            room: Notify::new(),
            listed: Cell::new(false),
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

    /// Whether there is more to hear of what was read.
    fn has_more(&self) -> bool {
        let state = self.state.borrow();
        state.phase == Phase::Open && state.inbound.has_more()
    }

    /// Whether there may be more to read, though others have their turn first.
    fn read(self: &Rc<Self>, shard: &Rc<Shard>) -> bool {
        let mut scratch = shard.scratch.borrow_mut();
        for _ in 0..READS {
            match self.stream.try_read(&mut scratch) {
                Ok(count @ 1..) => {
                    if self.feed(shard, scratch.get(..count).unwrap_or_default()) >= PLAIN_BYTES {
                        return true;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Ok(0) | Err(_) => {
                    self.gone();
                    return false;
                }
            }
        }
        true
    }

    /// Bytes came from the socket, or there is more of those that did. How many were heard, when nothing is compressed.
    fn feed(self: &Rc<Self>, shard: &Rc<Shard>, bytes: &[u8]) -> usize {
        let now = Instant::now();
        let state = &mut *self.state.borrow_mut();
        state.last_heard = now;
        state.pinged = false;
        if state.phase != Phase::Open {
            return 0;
        }
        let taken = state.inbound.take(bytes, shard.rules.frame_bytes, &mut shard.inflater.borrow_mut());
        let Taken { bytes, fragmented, broken } = taken;
        if bytes.is_empty() && broken.is_none() {
            return 0;
        }
        let mut own = state.inbound.fragments.take();
        if fragmented && own.is_none() {
            own = Some(Box::new(context(&shard.rules)));
        }
        let shared = &mut *shard.context.borrow_mut();
        let shares = own.is_none();
        let context = own.as_deref_mut().unwrap_or(shared);
        let mut control = Vec::new();
        let mut port = Port { input: &bytes, output: &mut control };
        loop {
            match context.read(&mut port) {
                Ok(Message::Text(text)) => {
                    // What a channel missed, and is being told, is behind that.
                    let all = state.conversation.joined() == state.memberships.len();
                    state.conversation.reached(shard.reached.get().filter(|_| all));
                    let effects = state.conversation.text(&text, now);
                    self.apply(shard, state, effects);
                }
                Ok(Message::Binary(_)) => {
                    let effects = state.conversation.binary();
                    self.apply(shard, state, effects);
                }
                // Pongs are queued by the context and go out with the flush below.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                // The client says goodbye; the context answers with the same code.
                Ok(Message::Close(_)) => {
                    state.left(now);
                }
                Err(Error::Io(_)) => break,
                Err(error) => {
                    let closing = match error {
                        Error::Capacity(_) => Some(Closing::TOO_BIG),
                        Error::Utf8(_) => Some(Closing::NOT_UTF8),
                        Error::ConnectionClosed | Error::AlreadyClosed => None,
                        _ => Some(Closing::PROTOCOL),
                    };
                    match closing {
                        Some(closing) => state.refuse(closing, now),
                        None => state.left(now),
                    }
                    break;
                }
            }
        }
        if let Some(closing) = broken.filter(|_| state.phase == Phase::Open) {
            state.refuse(closing, now);
        }
        let _ = context.flush(&mut port);
        if !control.is_empty() {
            state.outbox.push(&Frame::Whole(control.into()));
        }
        if state.phase != Phase::Open && shares {
            // It remembers that it was closed.
            *shared = self::context(&shard.rules);
        }
        state.inbound.fragments = own.filter(|_| fragmented);
        bytes.len()
    }

    fn apply(self: &Rc<Self>, shard: &Rc<Shard>, state: &mut State, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(text) => state.outbox.push(&frame::text(&text)),
                Effect::Leave { channel } => shard.leave(state, channel),
                Effect::Join { channel, spelled, topic, options } => {
                    let lane = Lane {
                        version: state.conversation.version(),
                        profile: options.profile,
                        star: options.star,
                        deflate: state.inbound.inflating.is_some(),
                    };
                    let (since, snapshot) = (options.since, options.snapshot);
                    let join = Join { channel, spelled, lane, since, snapshot, begun: traces::begin() };
                    match shard.known(&topic) {
                        Some(approval) => shard.admit(self, state, join, approval),
                        None => shard.ask(self, join, topic),
                    }
                }
            }
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
        } else {
            state.last_progress = now;
            if !state.outbox.is_empty() {
                self.wake.notify_one();
            }
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
            state.last_progress = Instant::now();
            if let Phase::Draining { .. } = state.phase {
                let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
                state.phase = Phase::Swallowing { until: state.last_progress + SWALLOW };
                self.wake.notify_one();
            }
        } else {
            if flushed.written > 0 {
                state.last_progress = Instant::now();
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
