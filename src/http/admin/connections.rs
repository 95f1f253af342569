//! Who is connected, which topics are joined and by whom, and the end of some of it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::asked::parameter;
use super::super::refused::Refused;
use super::{App, Refusal, admit, body, shaped, within};
use crate::channel::serializer::Version;
use crate::hub::{ChannelState, ConnectionId, Seen, TopicSeen};

/// How many are told at once, if the request does not say.
const LIMIT: usize = 100;

/// How many at most; also the most connections that one request closes by their ids.
const MOST: usize = 1000;

const DISCONNECT_SHAPE: &str = r#"{"connections": ["ID"]} or {"topic": ".."}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disconnection {
    connections: Option<Vec<String>>,
    topic: Option<String>,
}

/// A page of a list.
struct Page<T> {
    limit: usize,
    after: Option<T>,
}

pub(in super::super) async fn connections(State(app): State<Arc<App>>, request: Request) -> Response {
    told(list(&app, request, connected).await)
}

pub(in super::super) async fn channels(State(app): State<Arc<App>>, request: Request) -> Response {
    told(list(&app, request, joined).await)
}

pub(in super::super) async fn members(State(app): State<Arc<App>>, request: Request) -> Response {
    told(list(&app, request, topic_members).await)
}

/// 202: their closing is begun, and not waited for.
pub(in super::super) async fn disconnect(State(app): State<Arc<App>>, request: Request) -> Response {
    super::answered(close(&app, request).await)
}

fn told(outcome: Result<Value, Refusal>) -> Response {
    match outcome {
        Ok(body) => ([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response(),
        Err(refusal) => refusal.response(),
    }
}

async fn list(
    app: &App,
    request: Request,
    answer: impl AsyncFnOnce(&App, &Uri) -> Result<Value, Refusal>,
) -> Result<Value, Refusal> {
    let (head, _) = request.into_parts();
    admit(app, &head)?;
    answer(app, &head.uri).await
}

async fn connected(app: &App, uri: &Uri) -> Result<Value, Refusal> {
    let Page { limit, after } = page(uri)?;
    let (seen, more) = app.hub.connections(after, limit, None).await;
    let next = seen.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(json!({ "connections": seen.iter().map(connection).collect::<Vec<_>>(), "next": next }))
}

async fn topic_members(app: &App, uri: &Uri) -> Result<Value, Refusal> {
    let Page { limit, after } = page(uri)?;
    let topic = parameter(uri, "topic", "topic is given more than once")?;
    let topic: Arc<str> = topic.ok_or(Refused::Parameter("the parameter topic is missing"))?.into();
    let (seen, more) = app.hub.connections(after, limit, Some(&topic)).await;
    let next = seen.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(json!({ "topic": &*topic, "members": seen.iter().map(member).collect::<Vec<_>>(), "next": next }))
}

#[allow(clippy::unused_async, reason = "one of several answers that `list` takes")]
async fn joined(app: &App, uri: &Uri) -> Result<Value, Refusal> {
    let Page { limit, after } = page(uri)?;
    let (mut topics, mut next) = (Vec::new(), Some(after.unwrap_or_default()));
    while let Some(from) = next.filter(|_| topics.len() < limit) {
        let (more, behind) = app.hub.interest().table().list(from, limit - topics.len());
        topics.extend(more);
        next = behind;
    }
    let next = next.map(|place| place.to_string());
    Ok(json!({ "channels": topics.iter().map(topic).collect::<Vec<_>>(), "next": next }))
}

async fn close(app: &App, request: Request) -> Result<Value, Refusal> {
    let body = body(app, request).await?;
    let closed = match shaped(&body, DISCONNECT_SHAPE)? {
        Disconnection { connections: Some(ids), topic: None } => {
            within("connections", ids.len(), MOST)?;
            let ids = ids.iter().enumerate().map(|(place, id)| {
                id.parse::<ConnectionId>().map_err(|error| Refusal::Connection { place, error })
            });
            app.hub.disconnect(&ids.collect::<Result<Vec<_>, _>>()?).await
        }
        Disconnection { connections: None, topic: Some(topic) } => {
            app.hub.disconnect_members(&topic.into()).await
        }
        _ => return Err(Refusal::Shape { shape: DISCONNECT_SHAPE }),
    };
    tracing::info!(connections = closed, "connections are closed on an operator's behalf");
    Ok(json!({ "connections": closed }))
}

fn page<T: std::str::FromStr>(uri: &Uri) -> Result<Page<T>, Refusal> {
    let limit = match parameter(uri, "limit", "limit is given more than once")? {
        None => LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MOST).contains(limit))
            .ok_or(Refused::Parameter("limit is a whole number, 1 to 1000"))?,
    };
    let after = parameter(uri, "after", "after is given more than once")?;
    let after =
        after.map(|text| text.parse().map_err(|_| Refused::Parameter("after is the next of an answer")));
    Ok(Page { limit, after: after.transpose()? })
}

fn connection(seen: &Seen) -> Value {
    json!({
        "id": seen.id.to_string(),
        "transport": seen.transport.name(),
        "peer": seen.peer,
        "vsn": seen.version.map(Version::name),
        "opened_at": seen.id.opened().to_string(),
        "heard_at": seen.heard.map(|heard| heard.to_string()),
        "channels": seen.channels,
        "pending_bytes": seen.pending,
    })
}

fn member(seen: &Seen) -> Value {
    let channel = seen.channel.as_ref();
    json!({
        "connection": seen.id.to_string(),
        "transport": seen.transport.name(),
        "vsn": seen.version.map(Version::name),
        "profile": channel.map(|channel| channel.profile.name()),
        "frames": channel.map(|channel| if channel.star { "both" } else { "type" }),
        "state": channel.map(|channel| match channel.state {
            ChannelState::Live => "live",
            ChannelState::CatchingUp => "catching_up",
            ChannelState::Reading => "reading",
        }),
    })
}

fn topic(seen: &TopicSeen) -> Value {
    let (schema, table) = seen.pattern.place();
    json!({
        "topic": &*seen.spelled,
        "members": seen.members,
        "schema": schema,
        "table": table,
        "filter": seen.pattern.condition(),
    })
}
