//! What the application's own server asks for: `POST /invalidate`, `POST /publish`. docs/server-api.md shows both.
//!
//! Texts of refusals name places in the body and never repeat what stands there.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;

use super::{App, Peer, error};
use crate::access::admin::{Caller, Refusal, names_proxy};
use crate::change::message::{KEYS, Sent, check_name};
use crate::graphql::negotiation::is_json_request;

/// The largest body of a request, in bytes.
const BODY_BYTES: usize = 1024 * 1024;

/// How long a client may take to send it.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The most messages that one request publishes.
const MESSAGES: usize = 1000;

const INVALIDATE_SHAPE: &str = r#"{"keys": ["Type:id", "Query.field"]}"#;

const PUBLISH_SHAPE: &str =
    r#"{"topic": "..", "event": "..", "payload": .., "private": false}, or {"messages": [..]} of such"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalidation {
    keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publication {
    messages: Option<Vec<Posted>>,
    topic: Option<String>,
    event: Option<String>,
    #[serde(default, deserialize_with = "present")]
    payload: Option<Box<RawValue>>,
    private: Option<bool>,
}

/// One message of several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    topic: String,
    event: String,
    payload: Box<RawValue>,
    #[serde(default)]
    private: bool,
}

/// The null that is a payload is told from a payload that is missing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// Results with these keys are made again. 202: they will be, nothing is waited for.
pub(super) async fn invalidate(State(app): State<Arc<App>>, request: Request) -> Response {
    answered(keys(&app, request).await.map(|keys| {
        tracing::debug!(keys = keys.len(), "keys are invalidated over HTTP");
        app.feeds.invalidate(&keys, None);
        json!({ "keys": keys.len() })
    }))
}

/// These messages go to whoever listens to their topics now. All of them, or none if one cannot be sent.
pub(super) async fn publish(State(app): State<Arc<App>>, request: Request) -> Response {
    answered(messages(&app, request).await.map(|messages| {
        tracing::debug!(messages = messages.len(), "messages are published over HTTP");
        for sent in &messages {
            app.feeds.send(sent);
        }
        json!({ "messages": messages.len() })
    }))
}

fn answered(outcome: Result<serde_json::Value, Response>) -> Response {
    match outcome {
        Ok(body) => (StatusCode::ACCEPTED, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response(),
        Err(refused) => refused,
    }
}

async fn keys(app: &App, request: Request) -> Result<Vec<String>, Response> {
    let body = body(app, request).await?;
    let Invalidation { keys } = shaped(&body, INVALIDATE_SHAPE)?;
    if keys.len() > KEYS {
        return Err(too_many("keys", keys.len(), KEYS));
    }
    for (place, key) in keys.iter().enumerate() {
        named(key, || format!("keys[{place}]"))?;
    }
    Ok(keys)
}

async fn messages(app: &App, request: Request) -> Result<Vec<Arc<Sent>>, Response> {
    let body = body(app, request).await?;
    let (posted, alone) = match shaped(&body, PUBLISH_SHAPE)? {
        Publication { messages: Some(posted), topic: None, event: None, payload: None, private: None } => {
            (posted, false)
        }
        Publication {
            messages: None,
            topic: Some(topic),
            event: Some(event),
            payload: Some(payload),
            private,
        } => (vec![Posted { topic, event, payload, private: private.unwrap_or_default() }], true),
        _ => return Err(invalid(&format!("the body must be {PUBLISH_SHAPE}"))),
    };
    if posted.len() > MESSAGES {
        return Err(too_many("messages", posted.len(), MESSAGES));
    }
    let sent = posted.into_iter().enumerate().map(|(place, posted)| {
        let path = |field: &str| if alone { field.to_owned() } else { format!("messages[{place}].{field}") };
        named(&posted.topic, || path("topic"))?;
        named(&posted.event, || path("event"))?;
        let payload = Bytes::from(Box::<str>::from(posted.payload).into_boxed_bytes());
        Ok(Arc::new(Sent::new(posted.topic, posted.event, payload, posted.private)))
    });
    sent.collect()
}

/// The body of a request that is let in.
async fn body(app: &App, request: Request) -> Result<Bytes, Response> {
    let (head, body) = request.into_parts();
    admit(app, &head)?;
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // A page can send other types without being asked for leave first (Fetch standard, "CORS-safelisted request-header").
    if !is_json_request(content_type) {
        let message = "the Content-Type must be application/json, in UTF-8";
        let mut refused = error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "ContentTypeUnsupported", message);
        refused.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        return Err(refused);
    }
    read(body).await
}

fn admit(app: &App, head: &Parts) -> Result<(), Response> {
    // What is not text is no name that anybody listed.
    let text = |name: HeaderName| head.headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    let mut authorizations = head.headers.get_all(header::AUTHORIZATION).iter();
    let authorization = match (authorizations.next(), authorizations.next()) {
        (Some(only), None) => only.to_str().ok(),
        _ => None,
    };
    let unknown = std::net::Ipv4Addr::UNSPECIFIED.into();
    let caller = Caller {
        authorization,
        peer: head.extensions.get().map_or(unknown, |Peer(address)| *address),
        proxy: head.headers.keys().map(HeaderName::as_str).find(|name| names_proxy(name)),
        host: head.uri.authority().map(axum::http::uri::Authority::as_str).or_else(|| text(header::HOST)),
        origin: text(header::ORIGIN),
    };
    app.admin.decide(&caller).map_err(|refusal| {
        let challenge = match refusal {
            Refusal::NotLocal(_) => {
                return error(StatusCode::FORBIDDEN, "AdminRefused", &refusal.to_string());
            }
            // RFC 6750, section 3.
            Refusal::SecretMissing => "Bearer realm=\"walcast\"",
            Refusal::SecretWrong => "Bearer realm=\"walcast\", error=\"invalid_token\"",
        };
        let mut refused = error(StatusCode::UNAUTHORIZED, "Unauthorized", &refusal.to_string());
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        refused
    })
}

async fn read(body: Body) -> Result<Bytes, Response> {
    match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Of the reasons why a body ends early, this is the only one whose sender still hears us.
        Ok(Err(_)) => {
            let message = format!("the body is larger than {BODY_BYTES} bytes");
            Err(error(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", &message))
        }
        Err(_) => {
            let message = format!("the body took longer than {} s", BODY_TIME.as_secs());
            Err(error(StatusCode::REQUEST_TIMEOUT, "BodyTooSlow", &message))
        }
    }
}

fn shaped<'a, T: Deserialize<'a>>(body: &'a [u8], shape: &str) -> Result<T, Response> {
    let shaped = serde_json::from_slice(body).map_err(|problem| {
        let (line, column) = (problem.line(), problem.column());
        if problem.is_data() {
            invalid(&format!("the body must be {shape}; it is not, from line {line}, column {column} on"))
        } else {
            invalid(&format!("the body is not JSON, from line {line}, column {column} on"))
        }
    })?;
    // Derived code would take an array, too.
    let object = body.trim_ascii_start().starts_with(b"{");
    object.then_some(shaped).ok_or_else(|| invalid(&format!("the body must be {shape}")))
}

fn named(name: &str, place: impl FnOnce() -> String) -> Result<(), Response> {
    check_name(name)
        .map_err(|problem| error(StatusCode::BAD_REQUEST, "NameInvalid", &format!("{} {problem}", place())))
}

fn too_many(what: &str, have: usize, limit: usize) -> Response {
    let message = format!("there are {have} {what}, and at most {limit} may come at once");
    error(StatusCode::BAD_REQUEST, "TooManyAtOnce", &message)
}

fn invalid(message: &str) -> Response {
    error(StatusCode::BAD_REQUEST, "RequestInvalid", message)
}
