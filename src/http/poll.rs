//! `GET /poll`: the changes of one topic behind a cursor, at once or when there are some.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use tokio::time::Instant;

use super::asked::{Asked, parameter};
use super::gathered::{Gathered, Shape};
use super::reading::{Missed, PIECE, Reading, Wanted, ask, stopped};
use super::refused::Refused;
use super::{App, Peer};
use crate::hub::Transport;
use crate::metrics::COUNTED;

/// For how long an answer is held, in seconds, if the request does not say.
const WAIT: u64 = 25;

/// For how long at most.
const LONGEST_WAIT: u64 = 60;

/// Answers `{"events": [..], "position": "EPOCH.CURSOR", "resumed": ..}`.
pub(super) async fn poll(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    uri: Uri,
) -> Response {
    match answer(&app, peer, &uri).await {
        Ok(body) => body.into_json(),
        Err(refused) => refused.response(),
    }
}

async fn answer(app: &App, peer: SocketAddr, uri: &Uri) -> Result<Gathered, Refused> {
    let until = Instant::now() + wait(uri)?;
    let Asked { spelled, topic, since, profile } = Asked::parse(uri, app.hub.rules().profile)?;
    let mut reader = app.hub.reader(Transport::Poll, peer, None).ok_or(Refused::TooManySockets)?;
    let mut stop = app.stop.clone();
    let approval = ask(&app.hub, topic, &mut stop).await?;
    let wanted = Wanted { spelled: &spelled, since, profile, star: false };
    let (mut reading, admission) = Reading::begin(&app.hub, &reader, approval, &wanted)?;
    let Some(resumption) = admission.resumption else {
        return Ok(ended(begun(), &reading.token(), "\"resumed\":false,\"reason\":\"since\""));
    };
    if let Some(missed) = Missed::of(resumption) {
        return Ok(gone(missed, &reading));
    }
    let (mut body, mut count) = (begun(), 0);
    let mut over = false;
    loop {
        let complete = reading.take(|_, told| {
            if count > 0 {
                body.put(b",");
            }
            body.tell(&app.large, told, profile, Shape::Value);
            count += 1;
            body.len() < PIECE
        });
        match complete {
            Ok(_) if count > 0 => break,
            Ok(false) => tokio::task::yield_now().await,
            Ok(true) if over => break,
            Ok(true) => tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                () = reader.ended() => break,
                // Read once more: what concerned nobody here moves the position on all the same.
                () = tokio::time::sleep_until(until) => over = true,
                () = reading.changed() => {}
            },
            Err(missed) => return Ok(gone(missed, &reading)),
        }
    }
    COUNTED.read.poll.add(count);
    Ok(ended(body, &reading.token(), "\"resumed\":true"))
}

/// Something may have been missed: the client goes on from where the server is.
fn gone(missed: Missed, reading: &Reading) -> Gathered {
    let Missed { reason, oldest } = missed;
    let resumed = format!("\"resumed\":false,\"reason\":\"{reason}\",\"oldest\":\"{oldest}\"");
    ended(begun(), &reading.here(), &resumed)
}

/// An answer up to its events.
fn begun() -> Gathered {
    let mut body = Gathered::default();
    body.put(b"{\"events\":[");
    body
}

fn ended(mut body: Gathered, position: &str, resumed: &str) -> Gathered {
    body.put(format!("],\"position\":\"{position}\",{resumed}}}").as_bytes());
    body
}

/// The parameter `wait`, in whole seconds.
fn wait(uri: &Uri) -> Result<Duration, Refused> {
    let seconds = match parameter(uri, "wait", "wait is given more than once")? {
        None => WAIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| *seconds <= LONGEST_WAIT)
            .ok_or(Refused::Parameter("wait is a whole number of seconds, 0 to 60"))?,
    };
    Ok(Duration::from_secs(seconds))
}
