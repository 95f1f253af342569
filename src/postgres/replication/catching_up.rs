//! How far the stream is from being live: a message that we wrote ourselves marks the end of what was written before.

use std::time::{Duration, Instant};

use crate::lsn::Lsn;
use crate::readiness::{Phase, Readiness};

/// The prefix of the message that marks where the stream became live.
pub(super) const PREFIX: &str = "walcast.marker";

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);

/// The way from where reading began to the mark.
#[derive(Debug)]
pub(super) struct CatchingUp {
    mark: String,
    from: Lsn,
    to: Lsn,
    told: Instant,
    marked: bool,
}

impl CatchingUp {
    /// `mark` was written at `to`.
    pub(super) const fn new(mark: String, from: Lsn, to: Lsn, now: Instant) -> Self {
        Self { mark, from, to, told: now, marked: false }
    }

    /// A transactional message came.
    pub(super) fn message(&mut self, prefix: &str, content: &[u8]) {
        self.marked |= prefix == PREFIX && content == self.mark.as_bytes();
    }

    /// A transaction that ends at `end` came; returns what has become of the stream, if that is news.
    pub(super) fn commit(&mut self, end: Lsn, now: Instant) -> Option<Readiness> {
        if std::mem::take(&mut self.marked) {
            self.to = Lsn(0);
            return Some(Readiness::live());
        }
        if end > self.to || now.saturating_duration_since(self.told) < TELL {
            return None;
        }
        self.told = now;
        let mebibytes = |to: Lsn| to.0.saturating_sub(self.from.0) >> 20;
        let reason = format!(
            "reading what was written meanwhile: {} of {} MiB of log",
            mebibytes(end),
            mebibytes(self.to)
        );
        Some(Readiness { phase: Phase::CatchingUp, reason: reason.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_once_in_a_while_until_the_mark_comes_back() {
        let start = Instant::now();
        let mut way = CatchingUp::new("m".into(), Lsn(10 << 20), Lsn(50 << 20), start);
        assert_eq!(way.commit(Lsn(20 << 20), start), None);
        let told = way.commit(Lsn(30 << 20), start + TELL).unwrap();
        assert_eq!(told.reason, "reading what was written meanwhile: 20 of 40 MiB of log");
        assert_eq!(way.commit(Lsn(30 << 20), start + TELL), None);
        way.message("other", b"m");
        way.message(PREFIX, b"another");
        assert_eq!(way.commit(Lsn(51 << 20), start + TELL * 2), None);
        way.message(PREFIX, b"m");
        assert_eq!(way.commit(Lsn(52 << 20), start + TELL * 2), Some(Readiness::live()));
        assert_eq!(way.commit(Lsn(53 << 20), start + TELL * 9), None, "it is live, and that was told");
    }
}
