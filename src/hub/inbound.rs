//! Bytes from a socket, cut at the ends of frames.
//!
//! tungstenite's state of a socket, with its buffer, is a kilobyte. It is needed only while a message is in pieces:
//! between whole messages one such state serves every socket of the shard. So this file looks for the ends of frames
//! (RFC 6455, section 5.2) and keeps what lies behind the last one; what frames say is tungstenite's to read.

use std::borrow::Cow;

use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use super::Rules;
use super::closing::Closing;
use super::inflate::Inflating;
use crate::channel::deflate::Inflater;

/// The state of a socket that has said nothing.
pub(super) fn context(rules: &Rules) -> WebSocketContext {
    // A small buffer: of what is whole already, no more than a control frame or a join has to be held in it.
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_message_size(Some(rules.frame_bytes))
        .max_frame_size(Some(rules.frame_bytes));
    WebSocketContext::new(Role::Server, Some(config))
}

/// What was read from one socket and not understood yet; nothing, most of the time.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// The beginning of a frame.
    partial: Vec<u8>,
    /// The state of a message of which some frames were read.
    pub(super) fragments: Option<Box<WebSocketContext>>,
    /// Of a socket that may send compressed messages.
    pub(super) inflating: Option<Box<Inflating>>,
}

/// Whole frames.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// Whether they end in the midst of a message.
    pub(super) fragmented: bool,
    /// What comes behind them, and ends the socket.
    pub(super) broken: Option<Closing>,
}

impl Inbound {
    /// Of a socket that may compress its messages if it `deflates`.
    pub(super) fn new(deflates: bool) -> Self {
        Self { inflating: deflates.then(Box::default), ..Self::default() }
    }

    /// Whether frames are whole that were not taken: they became too much for one turn.
    pub(super) fn has_more(&self) -> bool {
        self.inflating.as_ref().is_some_and(|inflating| inflating.more)
    }

    /// Adds `bytes`, and takes the frames that are whole now, none of them compressed any more; not all of them if it
    /// [has more](Self::has_more) then. A frame that cannot be valid, or is longer than `bound`, counts as whole from its
    /// header on, so that it is refused at once.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8], bound: usize, inflater: &mut Inflater) -> Taken<'a> {
        let mut input = Cow::Borrowed(bytes);
        if !self.partial.is_empty() {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(bytes);
            input = Cow::Owned(whole);
        }
        let open = self.fragments.is_some();
        let (end, fragmented) = whole(&input, bound, open, self.inflating.is_some());
        if end == 0 {
            self.partial = input.into_owned();
            return Taken { bytes: Cow::Borrowed(&[]), fragmented: open, broken: None };
        }
        let (frames, beginning) = input.split_at_checked(end).unwrap_or((&input, &[]));
        if let Some(inflating) = &mut self.inflating {
            let (taken, rest) = inflating.plain(frames, open, bound, inflater);
            self.partial = [rest, beginning].concat();
            return taken;
        }
        self.partial = beginning.to_vec();
        match &mut input {
            Cow::Borrowed(bytes) => *bytes = bytes.get(..end).unwrap_or_default(),
            Cow::Owned(bytes) => bytes.truncate(end),
        }
        Taken { bytes: input, fragmented, broken: None }
    }
}

/// The beginning of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Final, reserved bits, opcode.
    pub(super) first: u8,
    masked: bool,
    /// The length as the second byte has it.
    short: u8,
    /// The length of the header itself, mask included.
    pub(super) length: usize,
    /// The length of what follows it.
    pub(super) payload: u64,
}

impl Header {
    /// The header at the start of `input`, if it is whole.
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = input else { return None };
        let short = second & 0x7F;
        let (extended, payload) = match short {
            126 => (2, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => (8, u64::from_be_bytes(*rest.first_chunk()?)),
            length => (0, u64::from(length)),
        };
        Some(Self { first: *first, masked: second & 0x80 != 0, short, length: 2 + extended + 4, payload })
    }

    pub(super) const fn opcode(self) -> u8 {
        self.first & 15
    }

    pub(super) const fn is_control(self) -> bool {
        self.first & 8 != 0
    }

    /// Whether its message ends with it.
    pub(super) const fn is_last(self) -> bool {
        self.first & 0x80 != 0
    }

    /// Whether a message begins with it that is compressed (RFC 7692, section 6).
    pub(super) const fn is_compressed(self) -> bool {
        self.first & 0x40 != 0
    }

    /// Whether a client may send it, one that may compress if it `deflates`.
    pub(super) fn is_valid(self, deflates: bool) -> bool {
        let reserved = if deflates && matches!(self.opcode(), 1 | 2) { 0x30 } else { 0x70 };
        self.masked
            && self.first & reserved == 0
            && matches!(self.opcode(), 0..=2 | 8..=10)
            && !(self.is_control() && (self.short > 125 || !self.is_last()))
    }
}

/// The length in bytes of the whole frames at the start of `input`, and whether they end in the midst of a message; `open`
/// tells whether they begin in one.
fn whole(input: &[u8], bound: usize, mut open: bool, deflates: bool) -> (usize, bool) {
    let mut end = 0;
    while let Some(header) = input.get(end..).and_then(Header::read) {
        let length = usize::try_from(header.payload).ok();
        let Some(length) = length.filter(|length| header.is_valid(deflates) && *length <= bound) else {
            return (input.len(), open);
        };
        let next = end + header.length + length;
        if next > input.len() {
            break;
        }
        end = next;
        if !header.is_control() {
            open = !header.is_last();
        }
    }
    (end, open)
}

/// A frame as a client sends it, masked with zeros.
#[cfg(test)]
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let length = payload.len();
    match length {
        0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        126..65536 => {
            bytes.push(0x80 | 0x7E);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take<'a>(inbound: &mut Inbound, bytes: &'a [u8], bound: usize) -> Taken<'a> {
        inbound.take(bytes, bound, &mut Inflater::default())
    }

    const fn taken(bytes: Cow<'_, [u8]>) -> Taken<'_> {
        Taken { bytes, fragmented: false, broken: None }
    }

    #[test]
    fn frames_of_every_length_are_taken_when_they_are_whole_and_not_before() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let (frame, next) = (frame(0x81, &vec![b'x'; length]), frame(0x81, b"xxx"));
            let mut inbound = Inbound::default();
            for byte in &frame[..frame.len() - 1] {
                assert!(take(&mut inbound, &[*byte], 100_000).bytes.is_empty());
            }
            let rest = [&frame[frame.len() - 1..], &next[..2]].concat();
            assert_eq!(take(&mut inbound, &rest, 100_000), taken(Cow::Owned(frame)));
            assert_eq!(take(&mut inbound, &next[2..], 100_000), taken(Cow::Owned(next.clone())));
            assert!(inbound.partial.is_empty());
        }
    }

    #[test]
    fn what_must_be_refused_is_not_waited_for() {
        let unmasked = [0x81, 5, b'x'];
        let reserved = [0xC1, 0x85, 0];
        let opcode = [0x83, 0x85, 0];
        let long_ping = [0x89, 0x80 | 0x7E, 1, 0];
        let over_the_bound = [0x81, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0];
        for bytes in [&unmasked[..], &reserved, &opcode, &long_ping, &over_the_bound] {
            assert_eq!(take(&mut Inbound::default(), bytes, 1000), taken(Cow::Borrowed(bytes)));
        }
        assert!(take(&mut Inbound::default(), &over_the_bound, 100_000).bytes.is_empty());
    }

    #[test]
    fn a_message_is_open_from_its_first_frame_to_its_last() {
        let (begin, ping, end) = (frame(0x01, b"xx"), frame(0x89, b""), frame(0x80, b"xx"));
        assert_eq!(whole(&[&begin[..], &ping].concat(), 10, false, false), (begin.len() + ping.len(), true));
        assert_eq!(whole(&[&ping[..], &end].concat(), 10, true, false), (ping.len() + end.len(), false));
        let all = [&begin[..], &end, &begin[..3]].concat();
        assert_eq!(whole(&all, 10, false, false), (begin.len() + end.len(), false));
    }
}
