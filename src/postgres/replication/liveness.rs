//! Signs that a session is dead, or about to be.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::postgres::PostgresError;
use crate::postgres::session::Session;

/// How often the server is asked whether our walsender reads the slot.
const ASK: Duration = Duration::from_secs(5);

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a silent stream is borne while questions are not answered, or are answered that the server waits to send, until
/// it is taken for dead.
///
/// A server that a bulk load saturates answers none either while it decodes a huge transaction, and begins again with that
/// on the next session, and so does a huge row on a slow way: unless that one is given more time, it gets no further.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(Self::LEAST)
    }
}

impl Patience {
    const LEAST: Duration = Duration::from_secs(30);
    const MOST: Duration = Duration::from_secs(600);

    pub(super) const fn time(&self) -> Duration {
        self.0
    }

    /// A session was taken for dead, maybe wrongly.
    pub(super) fn double(&mut self) {
        self.0 = self.0.saturating_mul(2).min(Self::MOST);
    }

    /// A transaction came whole: the server gets further.
    pub(super) fn advanced(&mut self) {
        *self = Self::default();
    }
}

/// Recognises a server that shuts down: it waits for us with keepalives that each ask for a reply, many
/// in a row, and would wait as long as we hold acknowledgements back.
#[derive(Debug, Default)]
pub(super) struct ShutdownSigns {
    asked: VecDeque<Instant>,
}

impl ShutdownSigns {
    const COUNT: usize = 3;
    const WITHIN: Duration = Duration::from_millis(100);

    /// A keepalive came outside of a transaction; `true` when the server is shutting down.
    pub(super) fn keepalive(&mut self, reply_requested: bool, now: Instant) -> bool {
        if !reply_requested {
            return false;
        }
        self.asked.push_back(now);
        while self.asked.front().is_some_and(|first| now.saturating_duration_since(*first) > Self::WITHIN) {
            self.asked.pop_front();
        }
        self.asked.len() >= Self::COUNT
    }
}

/// Recognises a walsender of whomever that holds the slot and will never be done with it: it was told to end, and its
/// connection is dead, so that it waits for ever in saying why.
///
/// What a walcast leaves that was killed is ended by its successor.
#[derive(Debug)]
pub(super) struct LastWords {
    pid: i32,
    since: Instant,
    borne: Duration,
}

impl LastWords {
    /// How long a client that lives may take to read them.
    const BORNE: Duration = Duration::from_secs(5);

    /// The process `pid` was seen to wait so, as it may have been before without a pause; whether it has for long enough. If
    /// that does not end it, nothing will soon: it is given ever more time.
    pub(super) fn seen(before: Option<Self>, pid: i32, now: Instant) -> (Self, bool) {
        let before = before.filter(|before| before.pid == pid);
        let mut words = before.unwrap_or(Self { pid, since: now, borne: Self::BORNE });
        let enough = now.saturating_duration_since(words.since) >= words.borne;
        if enough {
            words = Self { pid, since: now, borne: words.borne.saturating_mul(2) };
        }
        (words, enough)
    }
}

/// What the server says of the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Our walsender does not hold it.
    NotOurs,
    /// Our walsender waits until it can send.
    Stuck,
    /// Our walsender does something else.
    Ours,
}

/// Resolves when the server says, twice in a row, that the process `walsender` does not read the slot: it has given us
/// up, behind a connection that looks alive from here. Or when packets vanish: for as long as `patience` has it, questions
/// stay without an answer, or are answered that the walsender waits until it can send, and the stream, which sets `heard`
/// whenever something comes, is silent as well.
///
/// Silence alone means nothing. We report our position more often than the server asks for it, so that it
/// sends nothing by itself while idle; and a huge transaction is read for minutes before its first row.
///
/// That it waits to send is asked since `wal_sender_timeout` may be off, and does not bound how long a walsender that was
/// told to end tries to say so.
pub(super) async fn lost(
    session: Session,
    slot: String,
    walsender: i32,
    heard: &AtomicBool,
    patience: Duration,
) -> PostgresError {
    let (mut suspected, mut silent) = (false, Duration::ZERO);
    loop {
        heard.store(false, Ordering::Relaxed);
        tokio::time::sleep(ASK).await;
        let reading = reading(&session, &slot, walsender).await;
        let heard = heard.load(Ordering::Relaxed);
        match reading {
            Ok(Reading::NotOurs) => {
                if std::mem::replace(&mut suspected, true) {
                    return PostgresError::Abandoned;
                }
                silent = Duration::ZERO;
            }
            Ok(Reading::Stuck) if !heard => {
                (suspected, silent) = (false, silent + ASK);
                if silent >= patience {
                    return PostgresError::Stuck;
                }
            }
            Ok(Reading::Stuck | Reading::Ours) => (suspected, silent) = (false, Duration::ZERO),
            Err(error) => {
                // The SQL session may have died as silently as the stream: the next question takes another one.
                session.discard().await;
                // A refusal is an answer.
                if error.sqlstate().is_some() || heard {
                    silent = Duration::ZERO;
                } else if is_silence(&error) {
                    silent += ASK + ANSWER;
                }
                if silent >= patience {
                    return PostgresError::Silent;
                }
            }
        }
    }
}

/// Whether an error can come of packets that vanish. A name that is not resolved or a want of file descriptors tells of
/// this machine; a connection that is refused or reset, that the server lives.
fn is_silence(error: &PostgresError) -> bool {
    let error = match error {
        PostgresError::Timeout { .. } => return true,
        PostgresError::Sql(error) | PostgresError::Connect(error) => error,
        _ => return false,
    };
    let io = error.source().and_then(<dyn Error>::downcast_ref::<io::Error>);
    io.is_some_and(|io| {
        matches!(
            io.kind(),
            ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
        )
    })
}

// The waits of a walsender that sends, or that says why it ends (PostgreSQL manual, 28.2.3 pg_stat_activity).
const READING: &str = "select coalesce(sender.wait_event in ('WalSenderWriteData', 'ClientWrite'), false) \
    from pg_replication_slots s, pg_stat_get_activity(s.active_pid) sender \
    where s.slot_name = $1 and s.active_pid = $2";

async fn reading(session: &Session, slot: &str, walsender: i32) -> Result<Reading, PostgresError> {
    let ask = async {
        let client = session.client().await?;
        let sender = client.query_opt(READING, &[&slot, &walsender]).await.map_err(PostgresError::Sql)?;
        Ok(match sender.map(|row| row.get(0)) {
            None => Reading::NotOurs,
            Some(true) => Reading::Stuck,
            Some(false) => Reading::Ours,
        })
    };
    tokio::time::timeout(ANSWER, ask)
        .await
        .unwrap_or(Err(PostgresError::Timeout { what: "asking for the slot", seconds: ANSWER.as_secs() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_asking_keepalives_in_a_row_mean_a_shutdown() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut signs = ShutdownSigns::default();
        assert!(!signs.keepalive(true, at(0)));
        assert!(!signs.keepalive(false, at(1)));
        assert!(!signs.keepalive(true, at(50)));
        assert!(!signs.keepalive(true, at(120)));
        assert!(signs.keepalive(true, at(130)));
    }

    #[test]
    fn last_words_are_borne_for_five_seconds_of_one_process_then_longer() {
        let start = Instant::now();
        let mut words = None;
        let mut seen = |pid, seconds| {
            let (next, enough) = LastWords::seen(words.take(), pid, start + Duration::from_secs(seconds));
            words = Some(next);
            enough
        };
        let times = [(1, 0), (1, 4), (2, 6), (2, 10), (2, 11), (2, 12), (2, 20), (2, 21), (2, 40), (2, 41)];
        let enough = times.map(|(pid, seconds)| seen(pid, seconds));
        assert_eq!(enough, [false, false, false, false, true, false, false, true, false, true]);
    }

    #[test]
    fn each_session_that_was_silent_gives_the_next_twice_the_time_until_a_transaction_came() {
        let mut patience = Patience::default();
        let mut after = || {
            patience.double();
            patience.time().as_secs()
        };
        assert_eq!([after(), after(), after(), after(), after(), after()], [60, 120, 240, 480, 600, 600]);
        patience.advanced();
        assert_eq!(patience, Patience::default());
    }

    #[tokio::test]
    async fn what_this_machine_lacks_is_no_silence_of_the_server() {
        assert!(is_silence(&PostgresError::Timeout { what: "asking", seconds: 5 }));
        // Refused: nobody listens on port 1.
        for url in ["host=127.0.0.1 port=1 user=u", "host=no-such-name.invalid user=u"] {
            let Err(error) = tokio_postgres::connect(url, tokio_postgres::NoTls).await else {
                panic!("{url}")
            };
            assert!(!is_silence(&PostgresError::Connect(error)), "{url}");
        }
    }
}
