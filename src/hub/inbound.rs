//! Bytes from a socket, cut at the ends of frames.
//!
//! tungstenite's state of a socket, with its buffer, is a kilobyte. It is needed only while a message is in pieces:
//! between whole messages one such state serves every socket of the shard. So this file looks for the ends of frames
//! (RFC 6455, section 5.2) and keeps what lies behind the last one; what frames say is tungstenite's to read.

use std::borrow::Cow;

use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use super::Rules;

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
}

impl Inbound {
    /// Adds `bytes`, and takes the frames that are whole now, with whether they end in the midst of a message. A frame that cannot be valid, or is longer than `bound`,
    /// counts as whole from its header on, so that it is refused at once.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8], bound: usize) -> (Cow<'a, [u8]>, bool) {
        let mut input = Cow::Borrowed(bytes);
        if !self.partial.is_empty() {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(bytes);
            input = Cow::Owned(joined);
        }
        let (end, fragmented) = whole(&input, bound, self.fragments.is_some());
        if end == 0 {
            self.partial = input.into_owned();
            return (Cow::Borrowed(&[]), fragmented);
        }
        self.partial = input.get(end..).unwrap_or_default().to_vec();
        match &mut input {
            Cow::Borrowed(bytes) => *bytes = bytes.get(..end).unwrap_or_default(),
            Cow::Owned(bytes) => bytes.truncate(end),
        }
        (input, fragmented)
    }
}

/// The length in bytes of the whole frames at the start of `input`, and whether they end in the midst of a message; `open`
/// tells whether they begin in one.
fn whole(input: &[u8], bound: usize, mut open: bool) -> (usize, bool) {
    let mut end = 0;
    while let Some([first, second, rest @ ..]) = input.get(end..) {
        let (opcode, last, masked, short) =
            (first & 15, first & 0x80 != 0, second & 0x80 != 0, second & 0x7F);
        let (extended, length) = match short {
            126 => match rest.first_chunk() {
                Some(length) => (2, u64::from(u16::from_be_bytes(*length))),
                None => break,
            },
            127 => match rest.first_chunk() {
                Some(length) => (8, u64::from_be_bytes(*length)),
                None => break,
            },
            length => (0, u64::from(length)),
        };
        let control = opcode & 8 != 0;
        let valid = masked
            && first & 0x70 == 0
            && matches!(opcode, 0..=2 | 8..=10)
            && !(control && (short > 125 || !last));
        let Some(length) = usize::try_from(length).ok().filter(|length| valid && *length <= bound) else {
            return (input.len(), open);
        };
        let next = end + 2 + extended + 4 + length;
        if next > input.len() {
            break;
        }
        end = next;
        if !control {
            open = !last;
        }
    }
    (end, open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![first];
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
        bytes.resize(bytes.len() + length, b'x');
        bytes
    }

    #[test]
    fn frames_of_every_length_are_taken_when_they_are_whole_and_not_before() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let (frame, next) = (frame(0x81, length), frame(0x81, 3));
            let mut inbound = Inbound::default();
            for byte in &frame[..frame.len() - 1] {
                assert!(inbound.take(&[*byte], 100_000).0.is_empty());
            }
            let rest = [&frame[frame.len() - 1..], &next[..2]].concat();
            assert_eq!(inbound.take(&rest, 100_000), (Cow::Owned(frame), false));
            assert_eq!(inbound.take(&next[2..], 100_000), (Cow::Owned(next.clone()), false));
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
            assert_eq!(Inbound::default().take(bytes, 1000), (Cow::Borrowed(bytes), false));
        }
        assert!(Inbound::default().take(&over_the_bound, 100_000).0.is_empty());
    }

    #[test]
    fn a_message_is_open_from_its_first_frame_to_its_last() {
        let (begin, ping, end) = (frame(0x01, 2), frame(0x89, 0), frame(0x80, 2));
        assert_eq!(whole(&[&begin[..], &ping].concat(), 10, false), (begin.len() + ping.len(), true));
        assert_eq!(whole(&[&ping[..], &end].concat(), 10, true), (ping.len() + end.len(), false));
        let all = [&begin[..], &end, &begin[..3]].concat();
        assert_eq!(whole(&all, 10, false), (begin.len() + end.len(), false));
    }
}
