//! What comes from the socket.

use std::rc::Rc;
use std::time::Instant;

use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Connection, Phase, State};
use crate::channel::Effect;
use crate::channel::frame::{self, Frame};
use crate::channel::lane::Lane;
use crate::hub::closing::Closing;
use crate::hub::inbound::{self, Taken, context};
use crate::hub::inflate::PLAIN_BYTES;
use crate::hub::joining::Join;
use crate::hub::port::Port;
use crate::hub::shard::Shard;
use crate::traces;

/// Reads from one socket before others get their turn.
const READS: usize = 4;

impl Connection {
    /// Whether there is more to hear of what was read.
    pub(super) fn has_more(&self) -> bool {
        let state = self.state.borrow();
        state.phase == Phase::Open && state.inbound.has_more()
    }

    /// Whether there may be more to read, though others have their turn first.
    pub(super) fn read(self: &Rc<Self>, shard: &Rc<Shard>) -> bool {
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
    pub(super) fn feed(self: &Rc<Self>, shard: &Rc<Shard>, bytes: &[u8]) -> usize {
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
            *shared = inbound::context(&shard.rules);
        }
        state.inbound.fragments = own.filter(|_| fragmented);
        bytes.len()
    }

    pub(super) fn apply(self: &Rc<Self>, shard: &Rc<Shard>, state: &mut State, effects: Vec<Effect>) {
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
}
