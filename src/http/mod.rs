//! One port for everything: WebSockets and what stands in for them, GraphQL, what the application's server asks for, health,
//! and the console page.

mod admin;
mod asked;
mod body;
mod console;
mod event_stream;
mod events;
mod extension;
mod gathered;
mod graphiql;
mod graphql;
mod guard;
mod health;
mod longpoll;
mod metrics;
mod peer;
mod poll;
mod reading;
mod refused;
mod websocket;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::access::AdminRule;
use crate::access::origin::OriginRule;
use crate::feeds::Feeds;
use crate::hub::{Greeting, Hub, Receiver, Reception};
use crate::readiness::Readiness;
pub use console::{Answer, Console, DemoWrite, Listed, Listing, Writer};
pub use gathered::Large;
pub use graphql::{Documents, DocumentsError, GraphQl};
pub use longpoll::Sessions;
pub use metrics::Watched;

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// The largest head of a request, in bytes.
const HEAD_BYTES: usize = 32 * 1024;

/// The other end of a request's connection.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

/// What the handlers share.
pub struct App {
    /// Where sockets go.
    pub hub: Hub,
    /// Whether changes flow.
    pub readiness: watch::Receiver<Readiness>,
    /// Who may talk to us.
    pub origins: OriginRule,
    /// Who may act as the application's own server.
    pub admin: AdminRule,
    /// Where that goes.
    pub feeds: Feeds,
    /// What metrics tell of others.
    pub watched: Watched,
    /// What the console page asks for.
    pub console: Console,
    /// The GraphQL endpoint; `None` where it is turned off.
    pub graphql: Option<Arc<GraphQl>>,
    /// Whether GraphiQL is served.
    pub graphiql: bool,
    /// Who polls as Phoenix clients do.
    pub sessions: Sessions,
    /// Large changes that readers wait with.
    pub large: Large,
    /// A client whose system acknowledges nothing for so long, or has no room for what waits, is let go.
    pub vanished: Duration,
    /// True once the server stops.
    pub stop: watch::Receiver<bool>,
}

/// An answer that is an error: `{"error": {"code": .., "message": ..}}`. Codes are listed in
/// docs/errors.md.
fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "error": { "code": code, "message": message } });
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

fn router(app: &Arc<App>) -> Router {
    let demo = app.console.is_demo();
    let mut router = Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/console.json", get(console::listing))
        .route("/invalidate", post(admin::invalidate))
        .route("/publish", post(admin::publish))
        .route("/connections", get(admin::connections))
        .route("/channels", get(admin::channels))
        .route("/members", get(admin::members))
        .route("/disconnect", post(admin::disconnect))
        .route("/events", get(events::events).head(async || no_head("GET")))
        .route("/poll", get(poll::poll).head(async || no_head("GET")));
    for path in websocket::PATHS {
        router = router.route(path, any(websocket::upgrade));
    }
    for path in longpoll::PATHS {
        router = router
            .route(path, get(longpoll::poll).head(async || no_head("GET, POST")).post(longpoll::publish));
    }
    if demo {
        router = router.route("/demo/write", post(console::demo_write));
    }
    if let Some(graphql) = &app.graphql {
        router = router.merge(graphql::routes(Arc::clone(graphql)));
    }
    if app.graphiql {
        router = graphiql::routes(router);
    }
    for file in &console::FILES {
        router = router.route(file.path, get(move || async move { file.response() }));
    }
    router
        .method_not_allowed_fallback(|| async {
            error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "this path is there for other methods")
        })
        .fallback(|| async { error(StatusCode::NOT_FOUND, "NotFound", "there is nothing at this path") })
        .with_state(Arc::clone(app))
}

/// Operations sent by POST are answered past the router: it is made of services in boxes, through which every request
/// would have to be passed, and every poll until its answer has come.
async fn answer(app: &App, router: &TowerToHyperService<Router>, peer: Peer, request: Request) -> Response {
    let answer = |mut request: Request| async move {
        match &app.graphql {
            Some(graphql) if request.method() == Method::POST && request.uri().path() == graphql::PATH => {
                graphql::post(graphql, request).await
            }
            _ => {
                request.extensions_mut().insert(peer);
                match Box::pin(router.call(request)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        }
    };
    guard::guard(&app.origins, request, answer).await
}

/// Refuses a HEAD: what a GET would answer is made only for who reads it.
fn no_head(allow: &'static str) -> Response {
    let refused =
        error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "this path is there for other methods");
    ([(header::ALLOW, allow)], refused).into_response()
}

/// Accepts connections until told to stop; then answers what was asked and ends.
pub async fn serve(listener: TcpListener, app: App) {
    let app = Arc::new(app);
    let mut stop = app.stop.clone();
    // Nothing is sent on it: it closes when the last connection has dropped its end.
    let (serving, mut served) = mpsc::channel::<Infallible>(1);
    let front = Front {
        app: Arc::clone(&app),
        router: TowerToHyperService::new(router(&app)),
        runtime: Handle::current(),
        serving,
    };
    let receiver = Receiver { reception: Arc::new(front), patience: HEAD, stop: stop.clone() };
    if let Err(error) = accept(&app.hub, listener, receiver).await {
        tracing::error!(%error, "no connections can be accepted");
    }
    let _ = stop.wait_for(|stop| *stop).await;
    served.recv().await;
}

async fn accept(hub: &Hub, listener: TcpListener, receiver: Receiver) -> std::io::Result<()> {
    hub.accept(listener.into_std()?, receiver).await
}

/// Who receives connections on the shards' threads.
struct Front {
    app: Arc<App>,
    router: TowerToHyperService<Router>,
    /// Where requests are answered.
    runtime: Handle,
    serving: mpsc::Sender<Infallible>,
}

impl Reception for Front {
    fn greet(&self, head: &[u8]) -> Option<Greeting> {
        websocket::at_once(&self.app, head)
    }

    fn refer(&self, stream: std::net::TcpStream) {
        let (app, router, serving) = (Arc::clone(&self.app), self.router.clone(), self.serving.clone());
        self.runtime.spawn(async move {
            if let Err(error) = connection(stream, app, router).await {
                tracing::debug!(%error, "a connection ended before its first request");
            }
            drop(serving);
        });
    }
}

/// Answers the requests of one connection until it ends or is to stop.
async fn connection(
    stream: std::net::TcpStream,
    app: Arc<App>,
    router: TowerToHyperService<Router>,
) -> std::io::Result<()> {
    let stream = TcpStream::from_std(stream)?;
    peer::bound(&stream, app.vanished);
    let peer = Peer(stream.peer_addr()?);
    let mut stop = app.stop.clone();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, router) = (Arc::clone(&app), router.clone());
        async move { Ok::<_, Infallible>(answer(&app, &router, peer, request.map(Body::new)).await) }
    });
    let stopped = async move { stop.wait_for(|stop| *stop).await.is_ok() };
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stopped => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(HEAD, connection).await;
        }
    }
    Ok(())
}
