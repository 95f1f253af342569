//! The console page: its files, the tables it offers, and in the demo its write buttons.

use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, error};

/// One file of the page, part of the binary.
pub(super) struct File {
    pub(super) path: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

macro_rules! file {
    ($path:literal, $name:literal, $kind:expr) => {
        File { path: $path, kind: $kind, content: include_bytes!(concat!("console/", $name)) }
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

pub(super) static FILES: [File; 12] = [
    file!("/", "index.html", "text/html; charset=utf-8"),
    file!("/console.css", "console.css", "text/css; charset=utf-8"),
    file!("/console.svg", "console.svg", "image/svg+xml"),
    file!("/console.js", "console.js", SCRIPT),
    file!("/feed.js", "feed.js", SCRIPT),
    file!("/live.js", "live.js", SCRIPT),
    file!("/result.js", "result.js", SCRIPT),
    file!("/sidebar.js", "sidebar.js", SCRIPT),
    file!("/socket.js", "socket.js", SCRIPT),
    file!("/topics.js", "topics.js", SCRIPT),
    file!("/view.js", "view.js", SCRIPT),
    file!("/walcast.js", "walcast.js", SCRIPT),
];

/// Nothing but the page's own files and its own socket.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl File {
    pub(super) fn response(&'static self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, self.kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "no-cache"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        (headers, self.content).into_response()
    }
}

/// An answer of the database, or the reason why there is none.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send>>;

/// What the page asks of the database, wired by the server so that this edge knows no other.
pub struct Console {
    /// The published tables.
    pub tables: Box<dyn Fn() -> Answer<Vec<Listing>> + Send + Sync>,
    /// The demo's writes; `None` elsewhere.
    pub write: Option<Writer>,
}

/// Does what a button of the demo asks for.
pub type Writer = Box<dyn Fn(DemoWrite) -> Answer<()> + Send + Sync>;

impl Console {
    pub(super) fn is_demo(&self) -> bool {
        self.write.is_some()
    }
}

/// A published table, as the topic picker shows it.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// Schema name.
    pub schema: String,
    /// Table name.
    pub table: String,
    /// Columns in order.
    pub columns: Vec<Listed>,
}

/// A column of a [`Listing`].
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Column name.
    pub name: String,
    /// Its type, as SQL writes it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Part of the primary key.
    pub key: bool,
}

/// A button of the demo.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
pub enum DemoWrite {
    /// A new user.
    Insert,
    /// The newest user changes.
    Update,
    /// The newest user goes.
    Delete,
    /// A higher bid on the first auction.
    Bid,
    /// A message to the first room.
    Message,
}

pub(super) async fn listing(State(app): State<Arc<App>>) -> Response {
    match (app.console.tables)().await {
        Ok(tables) => {
            let version = env!("CARGO_PKG_VERSION");
            let (demo, graphiql) = (app.console.is_demo(), app.graphiql);
            Json(json!({ "demo": demo, "graphiql": graphiql, "version": version, "tables": tables }))
                .into_response()
        }
        Err(reason) => error(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", &reason),
    }
}

pub(super) async fn demo_write(
    State(app): State<Arc<App>>,
    action: Result<Json<DemoWrite>, JsonRejection>,
) -> Response {
    let Some(write) = &app.console.write else {
        return error(StatusCode::NOT_FOUND, "NotFound", "only the demo has write buttons");
    };
    let action = match action {
        Ok(Json(action)) => action,
        Err(rejection) => return error(rejection.status(), "RequestInvalid", &rejection.body_text()),
    };
    match write(action).await {
        Ok(()) => Json(json!({ "ok": true })).into_response(),
        Err(reason) => error(StatusCode::CONFLICT, "WriteFailed", &reason),
    }
}
