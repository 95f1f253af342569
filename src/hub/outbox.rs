//! A connection's bounded queue of frames, and its only way to the socket.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::time::{Duration, Instant};

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::channel::frame::Frame;

/// Slices handed to one `writev`.
const SLICES: usize = 64;

/// Bytes on their way to one socket, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Piece>,
    /// Of the first piece, bytes already written.
    written: usize,
    /// Not yet written, in bytes.
    bytes: usize,
    /// Whether the piece before the first one belongs to the same message.
    mid_message: bool,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Whether a message ends here, so that the queue may be cut behind it.
    ends: bool,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flushed {
    /// Bytes that the socket took.
    pub(super) written: usize,
    /// Whether the socket is gone.
    pub(super) broken: bool,
}

impl Outbox {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a frame fits under `bound`. One that is larger than the bound itself is let in when
    /// nothing else waits.
    pub(super) const fn has_room(&self, length: usize, bound: usize) -> bool {
        self.bytes == 0 || self.bytes + length <= bound
    }

    pub(super) fn push(&mut self, frame: &Frame) {
        if self.queue.capacity() == 0 {
            self.queue.reserve_exact(1);
        }
        match frame {
            Frame::Whole(bytes) => self.push_piece(bytes.clone(), true),
            Frame::Parts(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    self.push_piece(part.clone(), index + 1 == parts.len());
                }
            }
        }
    }

    /// Writes a frame at once if nothing waits before it; what the socket does not take waits.
    pub(super) fn send(&mut self, frame: &Frame, stream: &TcpStream) -> Flushed {
        let Frame::Whole(bytes) = frame else {
            self.push(frame);
            return self.flush(stream);
        };
        if !self.is_empty() {
            self.push(frame);
            return Flushed { written: 0, broken: false };
        }
        match stream.try_write(bytes) {
            Ok(written) if written == bytes.len() => Flushed { written, broken: false },
            Ok(written) => {
                self.mid_message = true;
                self.push_piece(bytes.slice(written..), true);
                // Once more: the socket must say that it would block, or nobody learns when it no longer does.
                let further = self.flush(stream);
                Flushed { written: written + further.written, broken: further.broken }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                self.push(frame);
                self.flush(stream)
            }
            Err(_) => Flushed { written: 0, broken: true },
        }
    }

    fn push_piece(&mut self, bytes: Bytes, ends: bool) {
        self.bytes += bytes.len();
        self.queue.push_back(Piece { bytes, ends });
    }

    /// Drops every message that has not begun to go out, and returns how many bytes that were.
    pub(super) fn cut(&mut self) -> usize {
        let begun = self.written > 0 || self.mid_message;
        let keep =
            if begun { self.queue.iter().position(|piece| piece.ends).map_or(0, |last| last + 1) } else { 0 };
        let dropped: usize = self.queue.drain(keep..).map(|piece| piece.bytes.len()).sum();
        self.bytes -= dropped;
        dropped
    }

    /// Writes what the socket takes without waiting.
    pub(super) fn flush(&mut self, stream: &TcpStream) -> Flushed {
        self.write(|slices| match slices {
            [one] => stream.try_write(one),
            several => stream.try_write_vectored(several),
        })
    }

    /// The same, though the runtime may not have heard yet that the socket takes something again: nobody is judged by
    /// what we were too busy to hear.
    pub(super) fn insist(&mut self, stream: &TcpStream) -> Flushed {
        self.write(|slices| SockRef::from(stream).send_vectored(slices))
    }

    fn write(&mut self, write: impl Fn(&[IoSlice<'_>]) -> std::io::Result<usize>) -> Flushed {
        let mut total = 0;
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            let mut skip = self.written;
            for (slice, piece) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(piece.bytes.get(std::mem::take(&mut skip)..).unwrap_or_default());
                count += 1;
            }
            match write(slices.get(..count).unwrap_or_default()) {
                Ok(written) => {
                    total += written;
                    self.advance(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Flushed { written: total, broken: true },
            }
        }
        Flushed { written: total, broken: false }
    }

    /// Forgets what the socket took.
    fn advance(&mut self, mut taken: usize) {
        self.bytes = self.bytes.saturating_sub(taken);
        while let Some(first) = self.queue.front() {
            let left = first.bytes.len() - self.written;
            if taken < left {
                self.written += taken;
                return;
            }
            taken -= left;
            self.written = 0;
            self.mid_message = !first.ends;
            self.queue.pop_front();
        }
        // An idle connection keeps no queue.
        self.queue = VecDeque::new();
    }
}

/// How long dispatch has paused for one connection of late: at most `bound` in any ten seconds.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    recent: VecDeque<(Instant, Duration)>,
}

impl Pauses {
    const WINDOW: Duration = Duration::from_secs(10);

    /// How much longer dispatch may pause for it now.
    pub(super) fn allowance(&mut self, bound: Duration, now: Instant) -> Duration {
        while self.recent.front().is_some_and(|(end, _)| now.saturating_duration_since(*end) > Self::WINDOW) {
            self.recent.pop_front();
        }
        let used: Duration = self.recent.iter().map(|(_, length)| *length).sum();
        bound.saturating_sub(used)
    }

    /// A pause of `length` ended at `end`.
    pub(super) fn record(&mut self, end: Instant, length: Duration) {
        // Many tiny pauses are kept as one: it ages with its last part, which errs against pausing longer.
        match self.recent.back_mut() {
            Some((last, total)) if end.saturating_duration_since(*last) < Duration::from_millis(100) => {
                *last = end;
                *total += length;
            }
            _ => self.recent.push_back((end, length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Frame {
        Frame::Whole(Bytes::from(vec![0; length]))
    }

    #[test]
    fn a_frame_over_the_bound_is_admitted_only_when_nothing_waits() {
        let mut outbox = Outbox::default();
        assert!(outbox.has_room(1000, 100));
        outbox.push(&frame(40));
        assert!(outbox.has_room(60, 100));
        assert!(!outbox.has_room(61, 100));
        assert!(!outbox.has_room(1000, 100));
        outbox.advance(40);
        assert!(outbox.is_empty() && outbox.has_room(1000, 100));
    }

    #[test]
    fn a_cut_keeps_the_message_that_is_on_the_wire() {
        let mut outbox = Outbox::default();
        outbox.push(&frame(10));
        outbox.push(&Frame::Parts(
            [Bytes::from_static(b"12"), Bytes::from_static(b"345"), Bytes::from_static(b"6")].into(),
        ));
        outbox.push(&frame(20));
        // The first is written, and the header of the second.
        outbox.advance(12);
        assert_eq!(outbox.cut(), 20);
        assert_eq!(outbox.bytes(), 4);
        outbox.advance(4);
        assert!(outbox.is_empty());
        outbox.push(&frame(5));
        assert_eq!((outbox.cut(), outbox.bytes()), (5, 0));
    }

    #[test]
    fn pauses_are_bounded_in_any_ten_seconds() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pauses = Pauses::default();
        for tenth in 0..8 {
            pauses.record(start + second * tenth / 10, Duration::from_millis(100));
        }
        assert_eq!(pauses.allowance(second, start + second), Duration::from_millis(200));
        pauses.record(start + second * 5, Duration::from_millis(200));
        assert_eq!(pauses.allowance(second, start + second * 6), Duration::ZERO);
        assert_eq!(pauses.allowance(second, start + second * 12), Duration::from_millis(800));
        assert_eq!(pauses.allowance(second, start + second * 16), second);
    }
}
