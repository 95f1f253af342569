//! The WebSocket handshake (RFC 6455, section 4.2), after which the socket belongs to the hub.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{App, error};
use crate::channel::serializer::Version;
use crate::hub::{Hub, Seat};

/// The parameters that mean something; clients send others, such as `apikey` and `token`.
#[derive(Deserialize)]
pub(super) struct Parameters {
    vsn: Option<String>,
}

pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Response {
    let parameters = match parameters {
        Ok(Query(parameters)) => parameters,
        Err(rejection) => return error(rejection.status(), "RequestInvalid", &rejection.body_text()),
    };
    let version = match Version::parse(parameters.vsn.as_deref()) {
        Ok(version) => version,
        Err(unknown) => return error(StatusCode::BAD_REQUEST, "VersionUnsupported", &unknown.to_string()),
    };
    let key = match handshake(&request) {
        Ok(key) => key,
        Err(refused) => return refused,
    };
    let Some(seat) = app.hub.seat() else {
        let message = "the server has as many sockets as it may (limits.sockets)";
        return error(StatusCode::SERVICE_UNAVAILABLE, "TooManySockets", message);
    };
    let hub = app.hub.clone();
    let upgrading = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrading.await {
            attach(&hub, upgraded, version, seat);
        }
    });
    let headers = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes())),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// Gives the bare socket to the hub, with what the client sent behind its handshake.
fn attach(hub: &Hub, upgraded: Upgraded, version: Version, seat: Seat) {
    // The server only ever serves this kind of stream.
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    match parts.io.into_inner().into_std() {
        Ok(stream) => hub.attach(stream, parts.read_buf, version, seat),
        Err(error) => tracing::warn!(%error, "a socket could not be handed over"),
    }
}

/// The key of a valid handshake, or the answer to an invalid one.
#[allow(clippy::result_large_err, reason = "a response is large, and refused handshakes are rare")]
fn handshake(request: &Request) -> Result<String, Response> {
    let headers = request.headers();
    // HTTP/1.0 knows no upgrades (RFC 6455, section 4.2.1).
    if request.method() != Method::GET
        || request.version() < axum::http::Version::HTTP_11
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
