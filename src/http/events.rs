//! `GET /events`: the changes of one topic as Server-Sent Events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::asked::Asked;
use super::event_stream;
use super::gathered::{Gathered, Large, Shape};
use super::reading::{Missed, PIECE, Reading, Wanted, ask, stopped};
use super::refused::{RETRY_AFTER, Refused};
use super::{App, Peer};
use crate::change::value::Profile;
use crate::channel::Admission;
use crate::hub::{Reader, Transport};
use crate::metrics::COUNTED;

/// How often something is sent on an idle stream, so that proxies do not take it for dead.
const BEAT: Duration = Duration::from_secs(15);

/// After how many milliseconds clients come back, once a stream has ended: not all at the same moment.
const COME_BACK: std::ops::Range<u32> = 1000..4000;

/// One client's stream.
struct Events {
    reading: Reading,
    profile: Profile,
    large: Large,
    /// What is told next.
    next: VecDeque<Bytes>,
    beat: Interval,
    stop: watch::Receiver<bool>,
    ended: bool,
    reader: Reader,
}

pub(super) async fn events(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let (head, _) = request.into_parts();
    let asked =
        Asked::parse(&head.uri, app.hub.rules().profile).and_then(|asked| asked.resuming(&head.headers));
    let begun = match asked {
        Ok(asked) => Events::begin(&app, asked, peer).await,
        Err(refused) => Err(refused),
    };
    let begun = begun.inspect_err(|refused| COUNTED.refusals.refused(&refused.to_string()));
    match begun {
        Ok(events) => event_stream::response(stream::unfold(events, Events::next)),
        // An EventSource takes every status but 200 for a reason never to come back (HTML standard, section 9.2.2).
        Err(refused) if refused.passes() && is_event_source(&head.headers) => {
            let event = refused.tell(|_, code, message| {
                let data = json!({ "error": { "code": code, "message": message } });
                format!("retry: {}\nevent: refused\ndata: {data}\n\n", RETRY_AFTER * 1000)
            });
            event_stream::response(stream::iter([Ok::<_, Infallible>(event.into())]))
        }
        Err(refused) => refused.response(),
    }
}

fn is_event_source(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accepts.flat_map(|accept| accept.split(',')).any(|range| range.trim().starts_with("text/event-stream"))
}

impl Events {
    async fn begin(app: &App, asked: Asked, peer: SocketAddr) -> Result<Self, Refused> {
        let reader = app.hub.reader(Transport::Events, peer, None).ok_or(Refused::TooManySockets)?;
        let mut stop = app.stop.clone();
        let Asked { spelled, topic, since, profile } = asked;
        let approval = ask(&app.hub, topic, &mut stop).await?;
        let (reading, admission) = Reading::begin(
            &app.hub,
            &reader,
            approval,
            &Wanted { spelled: &spelled, since, profile, star: false },
        )?;
        admission.count();
        let mut beat = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (large, next) = (app.large.clone(), [joined(&reading, &admission)].into());
        Ok(Self { reading, profile, large, next, beat, stop, ended: false, reader })
    }

    /// Some events; the stream ends when there will be none any more.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.next.is_empty() {
            self.next = self.gather().await?.into();
        }
        let events = self.next.pop_front()?;
        Some((Ok(events), self))
    }

    async fn gather(&mut self) -> Option<Vec<Bytes>> {
        let mut beating = false;
        while !self.ended && !self.reader.has_ended() && !*self.stop.borrow() {
            let (mut out, mut count) = (Gathered::default(), 0);
            let (profile, epoch) = (self.profile, self.reading.epoch());
            let complete = self.reading.take(|change, told| {
                out.put(format!("id: {epoch}.{}\ndata: ", change.cursor).as_bytes());
                out.tell(&self.large, told, profile, Shape::Line);
                out.put(b"\n\n");
                count += 1;
                out.len() < PIECE
            });
            COUNTED.read.events.add(count);
            match complete {
                Ok(_) if !out.is_empty() => return Some(out.into_parts()),
                // An id without data is remembered by the client, and else unseen: on a quiet topic, too, it stays in the
                // window.
                Ok(true) if beating => {
                    return Some(vec![format!(":\nid: {}\n\n", self.reading.token()).into()]);
                }
                Ok(true) => beating = self.wait().await,
                Ok(false) => tokio::task::yield_now().await,
                Err(missed) => {
                    self.ended = true;
                    return Some(vec![interrupted(missed)]);
                }
            }
        }
        None
    }

    /// Waits until there may be more, or something has to be sent for the sake of the connection: then it is `true`.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => false,
            () = self.reader.ended() => false,
            _ = self.beat.tick() => true,
            () = self.reading.changed() => false,
        }
    }
}

/// The first event. Its id is where the stream begins, which is not the position where something was missed: a client
/// that is cut before it was told of it has to come back for it.
fn joined(reading: &Reading, admission: &Admission) -> Bytes {
    let retry = fastrand::u32(COME_BACK);
    let mut event = format!("retry: {retry}\nevent: joined\nid: {}\ndata: ", reading.token()).into_bytes();
    event.extend_from_slice(&admission.response());
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// The last event, where changes may have been missed.
fn interrupted(missed: Missed) -> Bytes {
    let Missed { reason, oldest } = missed;
    format!("event: interrupted\ndata: {{\"reason\":\"{reason}\",\"oldest\":\"{oldest}\"}}\n\n").into()
}
