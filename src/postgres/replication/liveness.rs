//! Signs that a session is dead, or about to be.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::postgres::PostgresError;
use crate::postgres::session::Session;

/// How often the server is asked whether somebody reads the slot.
const ASK: Duration = Duration::from_secs(5);

/// So many questions in a row without an answer, which takes half a minute, are no busy server any more.
const UNANSWERED: u32 = 3;

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

/// Resolves when the server says, twice in a row, that nobody reads the slot: the walsender has given us
/// up, behind a connection that looks alive from here. Or when packets vanish: question after question stays without an
/// answer, and the stream, which sets `heard` whenever something comes, is silent as well.
///
/// Silence alone means nothing. We report our position more often than the server asks for it, so that it
/// sends nothing by itself while idle; and a huge transaction is read for minutes before its first row.
pub(super) async fn lost(session: Session, slot: String, heard: &AtomicBool) -> PostgresError {
    let (mut suspected, mut unanswered) = (false, 0);
    loop {
        heard.store(false, Ordering::Relaxed);
        tokio::time::sleep(ASK).await;
        match slot_is_active(&session, &slot).await {
            Ok(active) => {
                if !active && std::mem::replace(&mut suspected, true) {
                    return PostgresError::Abandoned;
                }
                suspected &= !active;
                unanswered = 0;
            }
            Err(error) => {
                // The SQL session may have died as silently as the stream: the next question takes another one.
                session.discard().await;
                // A refusal is an answer.
                let silent = error.sqlstate().is_none() && !heard.load(Ordering::Relaxed);
                unanswered = if silent { unanswered + 1 } else { 0 };
                if unanswered == UNANSWERED {
                    return PostgresError::Silent;
                }
            }
        }
    }
}

async fn slot_is_active(session: &Session, slot: &str) -> Result<bool, PostgresError> {
    let ask = async {
        let client = session.client().await?;
        let sql = "select exists(select from pg_replication_slots where slot_name = $1 and active)";
        Ok(client.query_one(sql, &[&slot]).await.map_err(PostgresError::Sql)?.get(0))
    };
    tokio::time::timeout(ASK, ask)
        .await
        .unwrap_or(Err(PostgresError::Timeout { what: "asking for the slot", seconds: ASK.as_secs() }))
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
}
