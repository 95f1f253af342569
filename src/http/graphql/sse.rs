//! `text/event-stream`: one operation on one response ("distinct connections mode" of the GraphQL-over-SSE protocol),
//! and the events themselves, which single-connection mode shares.

use std::time::Duration;

use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior};

use super::super::event_stream::{self, COMMENT, put_line};
use super::{Answers, Stopped};
use crate::operations::Answer;

/// How often something is sent on an idle stream, so that proxies do not take it for dead.
const BEAT: Duration = Duration::from_secs(12);

const COMPLETE: Bytes = Bytes::from_static(b"event: complete\ndata:\n\n");

/// A stream of one operation's results.
pub(super) fn response(answers: Answers) -> Response {
    let results = answers.map(|answer| {
        let Answer { body, shared, .. } = answer?;
        // All subscribers of a live query get the same bytes.
        Ok(match shared {
            Some(shared) => shared.event.get_or_init(|| next(Some(&shared.id), &[&body])).clone(),
            None => next(None, &[&body]),
        })
    });
    body(results.chain(stream::iter([Ok(COMPLETE)])))
}

/// A stream of events, with comments at once and between them.
pub(super) fn body(events: impl Stream<Item = Result<Bytes, Stopped>> + Send + 'static) -> Response {
    let mut ticks = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let beating = stream::unfold((Box::pin(events), ticks), |(mut events, mut ticks)| async move {
        let item = tokio::select! {
            biased;
            _ = ticks.tick() => Some(Ok(COMMENT)),
            event = events.next() => event,
        };
        Some((item?, (events, ticks)))
    });
    event_stream::response(beating)
}

/// A result, of one operation among others where `id` is its identifier as JSON.
pub(super) fn next_of(id: &str, result: &[u8]) -> Bytes {
    next(None, &[b"{\"id\":", id.as_bytes(), b",\"payload\":", result, b"}"])
}

/// The end of one operation among others.
pub(super) fn complete_of(id: &str) -> Bytes {
    format!("event: complete\ndata: {{\"id\":{id}}}\n\n").into()
}

/// An event; with an id, a client that connects again sends it as `Last-Event-ID` (HTML standard, "Server-sent events").
fn next(id: Option<&str>, pieces: &[&[u8]]) -> Bytes {
    const BEFORE: &[u8] = b"event: next\ndata: ";
    const AFTER: &[u8] = b"\n\n";
    let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    let mut event = BytesMut::with_capacity(id.len() + BEFORE.len() + length + AFTER.len());
    event.put_slice(id.as_bytes());
    event.put_slice(BEFORE);
    for piece in pieces {
        put_line(&mut event, piece);
    }
    event.put_slice(AFTER);
    event.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_result_in_one_line() {
        for (result, event) in [
            ("{\"data\":1}", "event: next\ndata: {\"data\":1}\n\n"),
            ("{\n\"a\":\r\n\"\\n\"\r}", "event: next\ndata: { \"a\":  \"\\n\" }\n\n"),
            ("", "event: next\ndata: \n\n"),
        ] {
            assert_eq!(next(None, &[result.as_bytes()]), event);
            assert_eq!(next(Some("1-2-3.f"), &[result.as_bytes()]), format!("id: 1-2-3.f\n{event}"));
        }
        assert_eq!(
            next_of("\"a\"", b"{\"data\":\n1}"),
            "event: next\ndata: {\"id\":\"a\",\"payload\":{\"data\": 1}}\n\n"
        );
        assert_eq!(complete_of("\"a\""), "event: complete\ndata: {\"id\":\"a\"}\n\n");
    }
}
