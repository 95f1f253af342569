//! What a socket sends that may compress its messages (RFC 7692), as it would send it without: tungstenite, which does the
//! rest, knows no compression.

use super::closing::Closing;
use super::inbound::{Header, Taken};
use crate::channel::deflate::{InflateError, Inflater};

/// Bytes that are made of what came before others have their turn: as many as are read of a socket that compresses nothing.
/// What a read holds may become a thousand times as long.
pub(super) const PLAIN_BYTES: usize = 256 * 1024;

/// Between compressed messages, nothing.
#[derive(Debug, Default)]
pub(super) struct Inflating {
    /// Whether there are frames behind those that were taken last, which need not wait for more to come.
    pub(super) more: bool,
    /// Of a compressed message whose end has not come: its opcode, and what has come.
    message: Option<(u8, Vec<u8>)>,
}

impl Inflating {
    /// Whole frames, each compressed message among them as one frame, and what is left of them for later: once there are
    /// [`PLAIN_BYTES`], no further one is taken. `open` tells whether they begin in the midst of a message that is not
    /// compressed; none may become longer than `bound`.
    pub(super) fn plain<'a>(
        &mut self,
        frames: &'a [u8],
        mut open: bool,
        bound: usize,
        inflater: &mut Inflater,
    ) -> (Taken<'static>, &'a [u8]) {
        let mut plain = Vec::with_capacity(frames.len());
        let mut rest = frames;
        let mut broken = None;
        while plain.len() < PLAIN_BYTES {
            let Some((header, frame, behind)) = first(rest) else {
                // What is no frame is refused by who reads this.
                plain.extend_from_slice(std::mem::take(&mut rest));
                break;
            };
            if header.is_control() {
                plain.extend_from_slice(frame);
            } else if self.message.is_none() && !header.is_compressed() {
                plain.extend_from_slice(frame);
                open = !header.is_last();
            } else if let Err(closing) = self.compressed(header, frame, open, bound, inflater, &mut plain) {
                broken = Some(closing);
                rest = &[];
                break;
            }
            rest = behind;
        }
        self.more = !rest.is_empty();
        (Taken { bytes: plain.into(), fragmented: open, broken }, rest)
    }

    /// A frame of a compressed message. At the last one, the message is added to `plain`.
    fn compressed(
        &mut self,
        header: Header,
        frame: &[u8],
        open: bool,
        bound: usize,
        inflater: &mut Inflater,
        plain: &mut Vec<u8>,
    ) -> Result<(), Closing> {
        let begins = header.opcode() != 0;
        if begins == self.message.is_some() || open {
            return Err(Closing::PROTOCOL);
        }
        let (opcode, message) = self.message.get_or_insert_with(|| (header.opcode(), Vec::new()));
        let (opening, payload) = frame.split_at_checked(header.length).unwrap_or_default();
        let mask = opening.last_chunk::<4>().copied().unwrap_or_default();
        if message.len() + payload.len() > bound {
            return Err(Closing::TOO_BIG);
        }
        message.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        if !header.is_last() {
            return Ok(());
        }
        let text = inflater.inflate(message, bound).map_err(|error| match error {
            InflateError::TooLong => Closing::TOO_BIG,
            InflateError::Corrupt => Closing::NOT_DEFLATE,
        })?;
        // Masked with zeros, as clients have to (RFC 6455, section 5.3).
        plain.extend_from_slice(&[0x80 | *opcode, 0xFF]);
        plain.extend_from_slice(&(text.len() as u64).to_be_bytes());
        plain.extend_from_slice(&[0; 4]);
        plain.extend_from_slice(&text);
        self.message = None;
        Ok(())
    }
}

/// The first frame of `input`, and what is behind it; `None` where there is no valid one.
fn first(input: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let header = Header::read(input).filter(|header| header.is_valid(true))?;
    let length = header.length.checked_add(usize::try_from(header.payload).ok()?)?;
    let (frame, behind) = input.split_at_checked(length)?;
    Some((header, frame, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::deflate::deflated;
    use crate::hub::inbound::{Inbound, frame};

    const BOUND: usize = 2000;

    fn inbound() -> Inbound {
        Inbound::new(true)
    }

    /// What an inbound that may get compressed messages makes of `bytes`, read at once.
    fn taken(inbound: &mut Inbound, bytes: &[u8]) -> (Vec<u8>, bool, Option<Closing>) {
        let Taken { bytes, fragmented, broken } = inbound.take(bytes, BOUND, &mut Inflater::default());
        (bytes.into_owned(), fragmented, broken)
    }

    fn compressed(text: &[u8]) -> Vec<u8> {
        deflated([text, b"", b""], <[u8]>::to_vec).unwrap()
    }

    /// The frame that a compressed text becomes.
    fn inflated(text: &[u8]) -> Vec<u8> {
        [&[0x81, 0xFF][..], &(text.len() as u64).to_be_bytes(), &[0; 4], text].concat()
    }

    #[test]
    fn compressed_and_other_messages_may_follow_each_other() {
        let text = [b'a'; 1000];
        let (plain, ping) = (frame(0x81, b"hello"), frame(0x89, b""));
        let bytes = [&plain[..], &frame(0xC1, &compressed(&text)), &ping, &plain].concat();
        let expected = [&plain[..], &inflated(&text), &ping, &plain].concat();
        assert_eq!(taken(&mut inbound(), &bytes), (expected, false, None));
    }

    #[test]
    fn a_compressed_message_may_come_in_fragments_with_pings_between_them_and_in_any_pieces() {
        let text = [b'a'; 1000];
        let whole = compressed(&text);
        let (one, two) = whole.split_at(3);
        let ping = frame(0x89, b"");
        let bytes =
            [&frame(0x41, one)[..], &ping, &frame(0x00, two), &frame(0x80, b""), &frame(0x81, b"x")].concat();
        let expected = [&ping[..], &inflated(&text), &frame(0x81, b"x")].concat();
        assert_eq!(taken(&mut inbound(), &bytes), (expected.clone(), false, None));
        let mut bytewise = inbound();
        let came: Vec<u8> = bytes.iter().flat_map(|byte| taken(&mut bytewise, &[*byte]).0).collect();
        assert_eq!(came, expected);
    }

    #[test]
    fn a_message_that_would_be_longer_than_the_bound_ends_the_socket_and_what_came_before_is_heard() {
        let before = frame(0x81, b"before");
        let bomb = compressed(&[0; BOUND + 1]);
        assert!(bomb.len() < 100);
        let bytes = [&before[..], &frame(0xC1, &bomb), &before].concat();
        assert_eq!(taken(&mut inbound(), &bytes), (before.clone(), false, Some(Closing::TOO_BIG)));
        // Fragments that are too long together, though each is not.
        let mut bytes = frame(0x41, &[0; BOUND - 1]);
        bytes.extend(frame(0x00, &[0; 2]));
        assert_eq!(taken(&mut inbound(), &bytes), (Vec::new(), false, Some(Closing::TOO_BIG)));
    }

    #[test]
    fn what_becomes_much_longer_is_taken_bit_by_bit() {
        let bound = PLAIN_BYTES / 2;
        let texts: Vec<_> = (b'a'..b'f').map(|letter| vec![letter; bound]).collect();
        let bytes = texts.iter().flat_map(|text| frame(0xC1, &compressed(text))).collect::<Vec<_>>();
        let last = frame(0x81, b"x");
        let (beginning, end) = last.split_at(3);
        let mut inbound = inbound();
        let mut input = [&bytes[..], beginning].concat();
        let mut came = Vec::new();
        for texts in texts.chunks(2) {
            let read = std::mem::take(&mut input);
            let taken = inbound.take(&read, bound, &mut Inflater::default());
            assert!(taken.bytes.len() < PLAIN_BYTES + bound);
            assert_eq!(taken.bytes.len(), texts.iter().map(|text| inflated(text).len()).sum::<usize>());
            came.extend_from_slice(&taken.bytes);
            assert_eq!(inbound.has_more(), texts.len() == 2);
        }
        assert_eq!(came, texts.iter().flat_map(|text| inflated(text)).collect::<Vec<_>>());
        // A frame that has only begun waits for its end.
        assert_eq!(taken(&mut inbound, end), (last.clone(), false, None));
    }

    #[test]
    fn what_is_no_deflate_or_out_of_place_ends_the_socket() {
        let (whole, plain) = (compressed(&[b'a'; 1000]), frame(0x81, b"x"));
        assert_eq!(taken(&mut inbound(), &frame(0xC1, &[0xFF; 9])).2, Some(Closing::NOT_DEFLATE));
        // A message begins before the one that is compressed has ended, or the other way round.
        let nested = [frame(0x41, &whole), plain].concat();
        assert_eq!(taken(&mut inbound(), &nested).2, Some(Closing::PROTOCOL));
        let nested = [frame(0x01, b"x"), frame(0xC1, &whole)].concat();
        assert_eq!(taken(&mut inbound(), &nested), (frame(0x01, b"x"), true, Some(Closing::PROTOCOL)));
        // tungstenite refuses these: a compressed continuation and ping, another reserved bit, a frame without mask.
        for bytes in [frame(0xC0, b"x"), frame(0xC9, b"x"), frame(0xE1, b"x"), vec![0xC1, 1, b'x']] {
            assert_eq!(taken(&mut inbound(), &bytes), (bytes, false, None));
        }
    }
}
