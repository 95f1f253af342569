//! Says in the log when walcast falls behind the database, once, and once when it has caught up.
//!
//! What counts is log that was written and not dispatched. Log that Postgres keeps for the replay window was: it is
//! acknowledged later on purpose, and is no lag.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::PostgresError;
use super::check::size;
use super::session::Session;
use crate::dispatch::Progress;
use crate::lsn::Lsn;
use crate::metrics::{Behind, COUNTED, process};

/// How often the server is asked where it writes.
const ASK: Duration = Duration::from_secs(5);

/// Places in the log whose time is remembered; with more of them, every other one is forgotten.
const REMEMBERED: usize = 1024;

/// When it is a warning.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// So many bytes are not dispatched.
    pub bytes: u64,
    /// The oldest of them is so old.
    pub age: Duration,
}

/// What there is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saying {
    Behind { bytes: u64, age: Duration },
    CaughtUp,
}

/// Where the server wrote, and when.
struct Lag {
    thresholds: Thresholds,
    /// Not dispatched when they were last looked at, the oldest first.
    written: VecDeque<(Lsn, Instant)>,
    warned: bool,
}

impl Lag {
    const fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, written: VecDeque::new(), warned: false }
    }

    /// The server writes at `written` now, and everything before `dispatched` is dispatched. It counts as caught up at
    /// half of both thresholds, so that what hovers about them is not told all the time.
    fn look(&mut self, written: Lsn, dispatched: Lsn, now: Instant) -> Option<Saying> {
        while self.written.front().is_some_and(|(lsn, _)| *lsn <= dispatched) {
            self.written.pop_front();
        }
        // Behind what a server wrote that is no more, nothing is to be dispatched.
        self.written.retain(|(lsn, _)| *lsn <= written);
        if written > dispatched && self.written.back().is_none_or(|(lsn, _)| *lsn < written) {
            self.written.push_back((written, now));
        }
        if self.written.len() > REMEMBERED {
            let mut keep = false;
            self.written.retain(|_| {
                keep = !keep;
                keep
            });
        }
        let bytes = written.0.saturating_sub(dispatched.0);
        let age = self.written.front().map(|(_, at)| now.saturating_duration_since(*at)).unwrap_or_default();
        let (seconds, asked) = (age.as_secs_f64(), process::now());
        COUNTED.lag.set(Behind { written: written.0, bytes, seconds, asked });
        let over = bytes > self.thresholds.bytes || age > self.thresholds.age;
        let under = bytes <= self.thresholds.bytes / 2 && age <= self.thresholds.age / 2;
        if over && !self.warned {
            self.warned = true;
            return Some(Saying::Behind { bytes, age });
        }
        if under && self.warned {
            self.warned = false;
            return Some(Saying::CaughtUp);
        }
        None
    }
}

/// Watches until the dispatcher is gone. A server that cannot be asked is somebody else's to report.
pub async fn watch(session: Session, progress: watch::Receiver<Progress>, thresholds: Thresholds) {
    let mut lag = Lag::new(thresholds);
    while progress.has_changed().is_ok() {
        tokio::time::sleep(ASK).await;
        let asked = tokio::time::timeout(ASK, position(&session)).await;
        // What is dispatched is read after the answer: the other way round a busy server would always be ahead.
        let Some(dispatched) = progress.borrow().latest() else { continue };
        let Ok(Ok(written)) = asked else { continue };
        match lag.look(written, dispatched, Instant::now()) {
            Some(Saying::Behind { bytes, age }) => tracing::warn!(
                behind = size(bytes),
                seconds = age.as_secs(),
                %written,
                %dispatched,
                "walcast is behind the database: Postgres keeps what was not dispatched"
            ),
            Some(Saying::CaughtUp) => tracing::info!("walcast has caught up with the database"),
            None => {}
        }
    }
}

async fn position(session: &Session) -> Result<Lsn, PostgresError> {
    let client = session.client().await?;
    let sql = "select pg_current_wal_lsn()::text";
    let text: String = client.query_one(sql, &[]).await.map_err(PostgresError::Sql)?.get(0);
    text.parse()
        .map_err(|error| PostgresError::Operator(format!("the log's position cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { bytes: 100, age: Duration::from_secs(10) };

    #[test]
    fn falling_behind_in_bytes_is_said_once_and_catching_up_once() {
        let (mut lag, now) = (Lag::new(THRESHOLDS), Instant::now());
        assert_eq!(lag.look(Lsn(100), Lsn(0), now), None);
        assert_eq!(
            lag.look(Lsn(301), Lsn(200), now),
            Some(Saying::Behind { bytes: 101, age: Duration::ZERO })
        );
        assert_eq!(lag.look(Lsn(900), Lsn(200), now), None);
        assert_eq!(lag.look(Lsn(900), Lsn(849), now), None, "at less than half it has caught up");
        assert_eq!(lag.look(Lsn(900), Lsn(850), now), Some(Saying::CaughtUp));
        assert_eq!(lag.look(Lsn(900), Lsn(900), now), None);
    }

    #[test]
    fn the_age_is_that_of_the_oldest_that_was_not_dispatched() {
        let (mut lag, start) = (Lag::new(THRESHOLDS), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(lag.look(Lsn(10), Lsn(0), at(0)), None);
        assert_eq!(lag.look(Lsn(20), Lsn(10), at(9)), None);
        assert_eq!(lag.look(Lsn(20), Lsn(10), at(19)), None);
        let behind = Saying::Behind { bytes: 10, age: Duration::from_secs(11) };
        assert_eq!(lag.look(Lsn(20), Lsn(10), at(20)), Some(behind));
        assert_eq!(lag.look(Lsn(20), Lsn(20), at(21)), Some(Saying::CaughtUp));
    }

    #[test]
    fn an_idle_server_and_one_that_began_anew_are_not_behind() {
        let (mut lag, start) = (Lag::new(THRESHOLDS), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(lag.look(Lsn(50), Lsn(50), at(0)), None);
        assert_eq!(lag.look(Lsn(50), Lsn(50), at(100)), None);
        assert_eq!(lag.look(Lsn(90), Lsn(50), at(101)), None);
        // Another server, whose log is shorter.
        assert_eq!(lag.look(Lsn(20), Lsn(50), at(200)), None);
        assert!(lag.written.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut lag, start) = (Lag::new(Thresholds { bytes: u64::MAX, age: Duration::MAX }), Instant::now());
        for second in 0..10_000 {
            lag.look(Lsn(second + 1), Lsn(0), start + Duration::from_secs(second));
            assert!(lag.written.len() <= REMEMBERED);
        }
        assert_eq!(lag.written.front(), Some(&(Lsn(1), start)), "the oldest is kept");
    }
}
