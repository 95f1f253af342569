//! Phoenix' own long polling, on which its clients fall back where WebSockets do not pass.
//!
//! `GET` without a token opens a session and is answered 410 with one; `GET` with it waits for messages (200) or for
//! nothing (204); `POST` brings the client's frames. All of this is told in the body, `{"status", "token", "messages"}`, as
//! the client npm `phoenix` reads it.

mod session;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::asked::parameter;
use super::body::{self, BodyError};
use super::gathered::Gathered;
use super::refused::Refused;
use super::{App, Peer};
use crate::channel::serializer::Version;
use crate::hub::Transport;
use session::{Messages, Post, Session};

/// Where sessions are polled: beside each path of the WebSocket, since clients replace its last word.
pub(super) const PATHS: [&str; 3] = ["/socket/longpoll", "/realtime/v1/longpoll", "/longpoll"];

/// A client reads this status as a fault that time mends, and connects again later.
const LATER: u16 = 500;

/// A client reads this status as a refusal for good.
const NEVER: u16 = 403;

/// All sessions, by their tokens.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<Box<str>, Handle>>);

/// How a session is reached.
#[derive(Clone)]
struct Handle {
    polls: mpsc::Sender<oneshot::Sender<Messages>>,
    posts: mpsc::Sender<Post>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, uri: &Uri) -> Result<Option<(Box<str>, Handle)>, Refused> {
        let token = parameter(uri, "token", "token is given more than once")?;
        Ok(token.and_then(|token| self.lock().get(&*token).cloned().map(|handle| (token.into(), handle))))
    }
}

/// Answers a poll, or opens a session.
pub(super) async fn poll(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    uri: Uri,
) -> Response {
    let polled = match app.sessions.get(&uri) {
        Ok(Some((token, handle))) => {
            let (answer, messages) = oneshot::channel();
            // A session that ended meanwhile is as good as none.
            let sent = handle.polls.send(answer).await.is_ok();
            if sent && let Ok(messages) = messages.await {
                return told(if messages.is_empty() { 204 } else { 200 }, &token, messages);
            }
            open(&app, peer, &uri)
        }
        // Older clients poll on with the token that they are given here, newer ones begin anew.
        Ok(None) => open(&app, peer, &uri),
        Err(refused) => Err(refuse(&refused, NEVER)),
    };
    polled.map_or_else(|refused| refused, |token| said(410, &token))
}

/// Begins a session; its token.
#[allow(clippy::result_large_err, reason = "a response is large, and refused sessions are rare")]
fn open(app: &Arc<App>, peer: SocketAddr, uri: &Uri) -> Result<Box<str>, Response> {
    let vsn =
        parameter(uri, "vsn", "vsn is given more than once").map_err(|refused| refuse(&refused, NEVER))?;
    let version = Version::parse(vsn.as_deref()).map_err(|unknown| {
        let text = unknown.to_string();
        let words = text.split_once(": ").map_or(&*text, |(_, words)| words);
        error(StatusCode::BAD_REQUEST, "VersionUnsupported", words, NEVER)
    })?;
    if !app.hub.replay().history().is_on() {
        return Err(refuse(&Refused::WindowOff, NEVER));
    }
    let mut random = [0; 16];
    let reader = app.hub.reader(Transport::LongPoll, peer, Some(version));
    let reader = reader.filter(|_| getrandom::fill(&mut random).is_ok());
    let reader = reader.ok_or_else(|| refuse(&Refused::TooManySockets, LATER))?;
    let token: Box<str> = format!("{:032x}", u128::from_ne_bytes(random)).into();
    let (polls, polled) = mpsc::channel(1);
    let (posts, posted) = mpsc::channel(1);
    app.sessions.lock().insert(token.clone(), Handle { polls, posts });
    let session =
        Session::new(app.hub.clone(), app.large.clone(), version, reader, polled, posted, app.stop.clone());
    let (app, ended) = (Arc::clone(app), token.clone());
    tokio::spawn(async move {
        session.run().await;
        app.sessions.lock().remove(&ended);
    });
    Ok(token)
}

/// Takes frames: one, or one in each line of `application/x-ndjson`.
pub(super) async fn publish(State(app): State<Arc<App>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (token, handle) = match app.sessions.get(&head.uri) {
        Ok(Some(session)) => session,
        Ok(None) => return said(410, ""),
        Err(refused) => return refuse(&refused, NEVER),
    };
    let frames = match read(body, app.hub.rules().frame_bytes).await {
        Ok(frames) => frames,
        Err(refused) => return refused,
    };
    let (done, taken) = oneshot::channel();
    let sent = handle.posts.send(Post::new(frames, is_lines(&head.headers), done)).await.is_ok();
    if sent && taken.await.is_ok() { said(200, &token) } else { said(410, "") }
}

async fn read(body: Body, most: usize) -> Result<String, Response> {
    match body::read(body, most).await {
        Ok(bytes) => String::from_utf8(bytes.into())
            .map_err(|_| error(StatusCode::BAD_REQUEST, "RequestInvalid", "the body is not UTF-8", LATER)),
        Err(cut) => {
            let setting =
                if matches!(cut, BodyError::TooLarge { .. }) { " (limits.frame_bytes)" } else { "" };
            Err(error(cut.status(), cut.code(), &format!("{cut}{setting}"), LATER))
        }
    }
}

fn is_lines(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/x-ndjson")
}

/// An answer that is none to HTTP.
fn told(status: u16, token: &str, messages: Messages) -> Response {
    // A token has no characters that JSON escapes.
    let mut body = Gathered::default();
    body.put(format!("{{\"status\":{status},\"token\":\"{token}\",\"messages\":[").as_bytes());
    body.append(messages);
    body.put(b"]}");
    body.into_json()
}

/// The same without messages.
fn said(status: u16, token: &str) -> Response {
    told(status, token, Messages::default())
}

fn refuse(refused: &Refused, phoenix: u16) -> Response {
    refused.tell(|status, code, words| error(status, code, words, phoenix))
}

/// An error as everywhere, in an answer that says to a Phoenix client what to make of it.
fn error(status: StatusCode, code: &str, message: &str, phoenix: u16) -> Response {
    let error = json!({ "code": code, "message": message });
    let body = json!({ "status": phoenix, "token": null, "messages": [], "error": error });
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}
