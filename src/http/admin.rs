//! What the application's own server asks for: `POST /invalidate`, `POST /publish`, and who is connected. docs/server-api.md
//! shows all of it.
//!
//! Texts of refusals name places in the body and never repeat what stands there.

mod connections;

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use thiserror::Error;

use super::body::{self, BodyError};
use super::guard::{Addressed, addressed};
use super::refused::Refused;
use super::{App, Peer, error};
use crate::access::admin::{self, Caller, names_proxy};
use crate::change::message::{KEYS, NameError, Sent, check_name};
use crate::graphql::negotiation::is_json_request;
use crate::hub::ConnectionIdError;
use crate::live::identifier::{Identifier, IdentifierError};
pub(super) use connections::{channels, connections, disconnect, members};

/// The most messages that one request publishes.
const MESSAGES: usize = 1000;

const INVALIDATE_SHAPE: &str = r#"{"keys": ["Type:id", "Query.field"]}"#;

const PUBLISH_SHAPE: &str =
    r#"{"topic": "..", "event": "..", "payload": .., "private": false}, or {"messages": [..]} of such"#;

/// Why a request has no effect.
#[derive(Debug, Error)]
enum Refusal {
    #[error(transparent)]
    Caller(#[from] admin::Refusal),
    #[error("the Content-Type must be application/json, in UTF-8")]
    ContentType,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the body is not JSON, from line {line}, column {column} on")]
    Json { line: usize, column: usize },
    #[error("the body must be {shape}; it is not, from line {line}, column {column} on")]
    Departure { shape: &'static str, line: usize, column: usize },
    #[error("the body must be {shape}")]
    Shape { shape: &'static str },
    #[error("there are {have} {what}, and at most {limit} may come at once")]
    TooMany { what: &'static str, have: usize, limit: usize },
    #[error(transparent)]
    Parameter(#[from] Refused),
    #[error("{place} {error}")]
    Name { place: String, error: NameError },
    #[error("keys[{place}] is none: {error}")]
    Key { place: usize, error: IdentifierError },
    #[error("connections[{place}] is none: {error}")]
    Connection { place: usize, error: ConnectionIdError },
}

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

fn answered(outcome: Result<Value, Refusal>) -> Response {
    match outcome {
        Ok(body) => (StatusCode::ACCEPTED, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response(),
        Err(refusal) => refusal.response(),
    }
}

async fn keys(app: &App, request: Request) -> Result<Vec<String>, Refusal> {
    let body = body(app, request).await?;
    let Invalidation { keys } = shaped(&body, INVALIDATE_SHAPE)?;
    within("keys", keys.len(), KEYS)?;
    for (place, key) in keys.iter().enumerate() {
        key.parse::<Identifier>().map_err(|error| Refusal::Key { place, error })?;
    }
    Ok(keys)
}

async fn messages(app: &App, request: Request) -> Result<Vec<Arc<Sent>>, Refusal> {
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
        _ => return Err(Refusal::Shape { shape: PUBLISH_SHAPE }),
    };
    within("messages", posted.len(), MESSAGES)?;
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
async fn body(app: &App, request: Request) -> Result<Bytes, Refusal> {
    let (head, body) = request.into_parts();
    admit(app, &head)?;
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // A page can send other types without being asked for leave first (Fetch standard, "CORS-safelisted request-header").
    if !is_json_request(content_type) {
        return Err(Refusal::ContentType);
    }
    Ok(body::read(body, body::BYTES).await?)
}

fn admit(app: &App, head: &Parts) -> Result<(), admin::Refusal> {
    let Addressed { host, origin } = addressed(head);
    let mut authorizations = head.headers.get_all(header::AUTHORIZATION).iter();
    let authorization = match (authorizations.next(), authorizations.next()) {
        (Some(only), None) => Some(only.as_bytes()),
        _ => None,
    };
    let unknown = Ipv4Addr::UNSPECIFIED.into();
    app.admin.decide(&Caller {
        authorization,
        peer: head.extensions.get().map_or(unknown, |Peer(address)| address.ip()),
        proxy: head.headers.keys().map(HeaderName::as_str).find(|name| names_proxy(name)),
        host,
        origin,
    })
}

fn shaped<'a, T: Deserialize<'a>>(body: &'a [u8], shape: &'static str) -> Result<T, Refusal> {
    let shaped = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        if error.is_data() {
            Refusal::Departure { shape, line, column }
        } else {
            Refusal::Json { line, column }
        }
    })?;
    // Derived code would take an array, too.
    body.trim_ascii_start().starts_with(b"{").then_some(shaped).ok_or(Refusal::Shape { shape })
}

fn within(what: &'static str, have: usize, limit: usize) -> Result<(), Refusal> {
    if have > limit { Err(Refusal::TooMany { what, have, limit }) } else { Ok(()) }
}

fn named(name: &str, place: impl FnOnce() -> String) -> Result<(), Refusal> {
    check_name(name).map_err(|error| Refusal::Name { place: place(), error })
}

impl Refusal {
    fn response(&self) -> Response {
        let text = self.to_string();
        let with = |mut response: Response, name, value| {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
            response
        };
        match self {
            Self::Caller(admin::Refusal::NotLocal(_)) => error(StatusCode::FORBIDDEN, "AdminRefused", &text),
            Self::Caller(refusal) => {
                // RFC 6750, section 3.
                let challenge = match refusal {
                    admin::Refusal::SecretWrong => "Bearer realm=\"walcast\", error=\"invalid_token\"",
                    _ => "Bearer realm=\"walcast\"",
                };
                let response = error(StatusCode::UNAUTHORIZED, "Unauthorized", &text);
                with(response, header::WWW_AUTHENTICATE, challenge)
            }
            Self::ContentType => {
                let response = error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "ContentTypeUnsupported", &text);
                with(response, header::ACCEPT, "application/json")
            }
            Self::Body(cut) => error(cut.status(), cut.code(), &text),
            Self::Json { .. } | Self::Departure { .. } | Self::Shape { .. } => {
                error(StatusCode::BAD_REQUEST, "RequestInvalid", &text)
            }
            Self::TooMany { .. } => error(StatusCode::BAD_REQUEST, "TooManyAtOnce", &text),
            Self::Name { .. } => error(StatusCode::BAD_REQUEST, "NameInvalid", &text),
            Self::Parameter(refused) => refused.response(),
            Self::Key { .. } => error(StatusCode::BAD_REQUEST, "KeyInvalid", &text),
            Self::Connection { .. } => error(StatusCode::BAD_REQUEST, "ConnectionInvalid", &text),
        }
    }
}
