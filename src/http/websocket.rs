//! The WebSocket handshake (RFC 6455, section 4.2), after which the socket belongs to the hub.
//!
//! Nearly every client sends the head of its request in one piece. Such a head is answered at once
//! ([`at_once`]); the same handshake through hyper and the router costs several times as much, and leaves its
//! buffers scattered among what lives as long as the socket. All else, refusals among it, takes that way.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::refused::Refused;
use super::{App, error, extension, guard, peer};
use crate::channel::serializer::Version;
use crate::hub::{Agreed, Greeting, Hub, Seat};

/// Where sockets are opened.
pub(super) const PATHS: [&str; 3] = ["/socket/websocket", "/realtime/v1/websocket", "/websocket"];

/// The longest head that is answered at once, in bytes.
const HEAD_BYTES: usize = 2048;

/// The parameters that mean something; clients send others, such as `apikey` and `token`.
#[derive(Deserialize)]
struct Parameters {
    vsn: Option<String>,
}

/// A handshake that is accepted.
struct Accepted {
    version: Version,
    /// The value of `Sec-WebSocket-Extensions`, if messages may be compressed.
    extension: Option<&'static str>,
    seat: Seat,
    /// The value of `Sec-WebSocket-Accept`.
    key: String,
}

impl Accepted {
    const fn agreed(&self) -> Agreed {
        Agreed { version: self.version, deflate: self.extension.is_some() }
    }
}

/// The answer to a whole, acceptable handshake. All else is for the router to answer.
pub(super) fn at_once(app: &App, bytes: &[u8]) -> Option<Greeting> {
    let (head, length) = head_of(bytes.get(..HEAD_BYTES).unwrap_or(bytes))?;
    let origin = guard::decide(&app.origins, &head).ok()?;
    let accepted = accept(&app.hub, &head).ok()?;
    let answer = switching(&accepted, origin.as_ref()).into();
    Some(Greeting { length, answer, agreed: accepted.agreed(), seat: accepted.seat })
}

/// The head of a request that may be a handshake, with its length; `None` when it is incomplete or asks for something
/// else.
fn head_of(bytes: &[u8]) -> Option<(Parts, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 48];
    let mut parsed = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = parsed.parse(bytes) else { return None };
    let target = parsed.path?;
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    if parsed.method != Some("GET") || parsed.version != Some(1) || !PATHS.contains(&path) {
        return None;
    }
    let mut request = Request::new(());
    *request.uri_mut() = target.parse().ok()?;
    let headers = request.headers_mut();
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    // Whoever sends a body has something else in mind.
    if headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    Some((request.into_parts().0, length))
}

/// What hyper would write for the response of [`upgrade`].
fn switching(accepted: &Accepted, origin: Option<&HeaderValue>) -> Vec<u8> {
    let key = &accepted.key;
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {key}\r\nx-content-type-options: nosniff\r\n"
    )
    .into_bytes();
    if let Some(extension) = accepted.extension {
        answer.extend_from_slice(format!("sec-websocket-extensions: {extension}\r\n").as_bytes());
    }
    if let Some(origin) = origin {
        answer.extend_from_slice(b"access-control-allow-origin: ");
        answer.extend_from_slice(origin.as_bytes());
        answer.extend_from_slice(b"\r\nvary: Origin\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer
}

/// Whether a request is a handshake that can be accepted, or the answer to it.
#[allow(clippy::result_large_err, reason = "a response is large, and refused handshakes are rare")]
fn accept(hub: &Hub, head: &Parts) -> Result<Accepted, Response> {
    let parameters = Query::<Parameters>::try_from_uri(&head.uri).map_err(|rejection: QueryRejection| {
        error(rejection.status(), "RequestInvalid", &rejection.body_text())
    })?;
    let version = Version::parse(parameters.vsn.as_deref())
        .map_err(|unknown| error(StatusCode::BAD_REQUEST, "VersionUnsupported", &unknown.to_string()))?;
    let key = handshake(head)?;
    let seat = hub.seat().ok_or_else(|| Refused::TooManySockets.response())?;
    let extension = if hub.rules().deflate { extension::deflate(&head.headers) } else { None };
    Ok(Accepted { version, extension, seat, key: derive_accept_key(key.as_bytes()) })
}

pub(super) async fn upgrade(State(app): State<Arc<App>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let accepted = match accept(&app.hub, &head) {
        Ok(accepted) => accepted,
        Err(refused) => return refused,
    };
    let headers = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accepted.key.clone()),
    ];
    let extension = accepted.extension.map(HeaderValue::from_static);
    let hub = app.hub.clone();
    let upgrading = hyper::upgrade::on(Request::from_parts(head, body));
    tokio::spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        // The server only ever serves this kind of stream.
        let Ok(parts) = Upgraded::downcast::<TokioIo<TcpStream>>(upgraded) else { return };
        let stream = parts.io.into_inner();
        peer::unbound(&stream);
        attach(&hub, stream, parts.read_buf, accepted);
    });
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
    response.headers_mut().extend(extension.map(|value| (header::SEC_WEBSOCKET_EXTENSIONS, value)));
    response
}

/// Gives the bare socket to the hub, with what the client sent behind its handshake.
fn attach(hub: &Hub, stream: TcpStream, early: Bytes, accepted: Accepted) {
    match stream.into_std() {
        Ok(stream) => hub.attach(stream, early, accepted.agreed(), accepted.seat),
        Err(error) => tracing::warn!(%error, "a socket could not be handed over"),
    }
}

/// The key of a valid handshake, or the answer to an invalid one.
#[allow(clippy::result_large_err, reason = "a response is large, and refused handshakes are rare")]
fn handshake(request: &Parts) -> Result<String, Response> {
    let headers = &request.headers;
    // HTTP/1.0 knows no upgrades (RFC 6455, section 4.2.1).
    if request.method != Method::GET
        || request.version < axum::http::Version::HTTP_11
        || !lists(headers, header::CONNECTION, "upgrade")
        || !lists(headers, header::UPGRADE, "websocket")
    {
        let mut refused = error(
            StatusCode::UPGRADE_REQUIRED,
            "UpgradeRequired",
            "this is a WebSocket endpoint; connect with a Phoenix or Supabase Realtime client",
        );
        refused.headers_mut().insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
        refused.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
        return Err(refused);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut refused =
            error(StatusCode::BAD_REQUEST, "HandshakeInvalid", "Sec-WebSocket-Version must be 13");
        refused.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, header::HeaderValue::from_static("13"));
        return Err(refused);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    // 16 random bytes in base64.
    key.filter(|key| key.len() == 24).map(str::to_owned).ok_or_else(|| {
        error(StatusCode::BAD_REQUEST, "HandshakeInvalid", "Sec-WebSocket-Key must be 16 bytes in base64")
    })
}

/// Whether a header that is a list has this token.
fn lists(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|entry| entry.trim().eq_ignore_ascii_case(token))
}
