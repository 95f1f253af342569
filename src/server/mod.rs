//! The wiring of all rooms, and the order in which they stop.
//!
//! On a stop: no new connections, no more changes from the slot; sockets get what waits for them and are
//! closed with 1012; then the last acknowledgement is sent, and the replication session ends.

mod graphql;

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::access::AdminRule;
use crate::channel;
use crate::dispatch::Dispatcher;
use crate::feeds::Feeds;
use crate::graphql::schema::SchemaError;
use crate::http::{self, App, Console, Listed, Listing, Watched, Writer};
use crate::hub::{Door, Hub, Rules};
use crate::metrics::{PoolUse, process};
use crate::postgres::gate::Gate;
use crate::postgres::lag::{self, Thresholds};
use crate::postgres::replication::Reader;
use crate::postgres::session::Session;
use crate::postgres::setup::Source;
use crate::postgres::snapshot::Snapshots;
use crate::postgres::{Login, PostgresError, catalog};
use crate::readiness::Readiness;
use crate::replay::Replay;
use crate::settings::Snapshot;
use crate::settings::{Secret, Settings};

/// Joins that may wait for the gate's attention; those beyond wait in their sockets' tasks.
const QUESTIONS: usize = 1024;

/// What ends a server, other than a stop.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The port cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Threads cannot be had.
    #[error("cannot start the shards and the reader")]
    Threads(#[source] std::io::Error),
    /// The settings `graphql.names`, `graphql.omit` and `graphql.subscriptions` name what nothing can be called.
    #[error("graphql.names, graphql.omit, graphql.subscriptions: {0}")]
    Names(String),
    /// The persisted documents cannot be had.
    #[error(transparent)]
    Documents(#[from] http::DocumentsError),
    /// The catalog cannot be read.
    #[error("the schema cannot be read from the database")]
    Catalog(#[source] PostgresError),
    /// There is nothing in it to be served.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The pool of connections cannot be had.
    #[error("cannot make the pool of connections")]
    Pool(#[source] deadpool::managed::BuildError),
    /// The reader of the slot ended.
    #[error("the reader of the slot ended")]
    Reader(#[source] PostgresError),
    /// A task ended that should not have.
    #[error("a task of the server ended unexpectedly")]
    Task(#[source] tokio::task::JoinError),
}

pub use graphql::schema;

/// A running server.
pub struct Server {
    address: SocketAddr,
    readiness: watch::Receiver<Readiness>,
    stop: watch::Sender<bool>,
    hub: Hub,
    drain: Duration,
    reader: JoinHandle<Result<(), PostgresError>>,
    http: JoinHandle<()>,
}

impl Server {
    /// Starts everything; returns when the port is open. The stream becomes live by itself. With `write`, the
    /// console page has the demo's buttons.
    ///
    /// # Errors
    /// When the port or the threads cannot be had.
    pub async fn start(
        settings: &Settings,
        database: &Login,
        write: Option<Writer>,
    ) -> Result<Self, ServerError> {
        process::started();
        let address = settings.listen;
        let listen = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;

        let session = Session::new(database, "walcast-sql");
        let publication = settings.replication.publication.clone();
        let (announce, readiness) = watch::channel(Readiness::starting());
        let gate = Gate::new(session.clone(), &publication, readiness.clone());
        let Snapshot { within, connections } = settings.snapshot;
        let snapshots = Snapshots::new(database, session.clone(), &publication, within, connections);
        let hub = hub(settings, gate, snapshots).map_err(ServerError::Threads)?;
        let drain = settings.shutdown.drain;
        let (stop, stopped) = watch::channel(false);
        let graphql =
            graphql::start(settings, database, session.clone(), readiness.clone(), stopped.clone())?;
        let (graphql, pool, feeds) = match graphql {
            Some(graphql::Serving { endpoint, pool, feeds }) => (Some(endpoint), Some(pool), feeds),
            None => (None, None, Feeds::default()),
        };
        let (dispatcher, inlet, watches) = Dispatcher::new(hub.clone(), feeds.clone(), announce, drain);

        let thresholds =
            Thresholds { bytes: settings.replication.lag_warn_bytes, age: settings.replication.lag_warn };
        tokio::spawn(lag::watch(session.clone(), watches.progress.clone(), thresholds));

        let watched = Watched {
            progress: watches.progress.clone(),
            pool: pool
                .map(|pool| -> Box<dyn Fn() -> PoolUse + Send + Sync> { Box::new(move || pool.usage()) }),
        };
        let source = source(settings);
        let row_bytes = settings.limits.row_bytes;
        let reader = Reader::new(
            database.clone(),
            session.clone(),
            source,
            row_bytes,
            inlet,
            watches,
            stopped.clone(),
        );
        let app = App {
            hub: hub.clone(),
            readiness: readiness.clone(),
            origins: settings.auth.rule.clone(),
            admin: AdminRule::new(settings.admin.secret.as_ref().map(Secret::expose), address.ip()),
            feeds,
            watched,
            console: console(session, publication, write),
            graphiql: graphql.is_some() && settings.graphql.graphiql,
            graphql,
            sessions: http::Sessions::default(),
            large: http::Large::default(),
            vanished: settings.limits.vanished,
            stop: stopped,
        };
        tracing::info!(%address, "listening");
        let http = tokio::spawn(http::serve(listener, app));
        let reader = streaming(reader, dispatcher).map_err(ServerError::Threads)?;
        Ok(Self { address, readiness, stop, hub, drain, reader, http })
    }

    /// The address that was bound.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether changes flow.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.clone()
    }

    /// Runs until `stop` resolves, then stops in order.
    ///
    /// # Errors
    /// When the reader ended by itself: something has to be mended first.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let ended = tokio::select! {
            () = stop => {
                tracing::info!("stopping");
                None
            }
            ended = &mut self.reader => Some(ended),
        };
        self.stop.send_replace(true);
        let ended = match ended {
            Some(ended) => ended,
            None => self.reader.await,
        };
        // The reader drains on its way out, unless it was not streaming.
        self.hub.drain(self.drain).await;
        let _ = self.http.await;
        tracing::info!("stopped");
        ended.map_err(ServerError::Task)?.map_err(ServerError::Reader)
    }
}

/// Runs the reader, the replication crate's task in front of it and the dispatcher behind it, which hand over row by row: on
/// one thread of their own they take turns, where threads would wake each other for every few rows.
fn streaming(
    reader: Reader,
    dispatcher: Dispatcher,
) -> std::io::Result<JoinHandle<Result<(), PostgresError>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            let dispatching = tokio::spawn(dispatcher.run());
            let ended = reader.run().await;
            // It ends when it has handed over all that the reader left.
            let _ = dispatching.await;
            ended
        })
    }))
}

/// The hub, whose joins the gate answers.
fn hub(settings: &Settings, gate: Gate, snapshots: Snapshots) -> std::io::Result<Hub> {
    let (ask, questions) = mpsc::channel(QUESTIONS);
    let known = gate.clone();
    tokio::spawn(gate.run(questions));
    // One core is for the reader, the dispatcher and HTTP: they must not wait for the shards that they feed.
    let suitable =
        || std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1));
    let shards = settings.channels.shards.map_or_else(suitable, NonZero::get);
    let (wish, wanted) = mpsc::channel(QUESTIONS);
    tokio::spawn(snapshots.run(wanted));
    let door = Door { known: Arc::new(move |topic| known.known(topic)), questions: ask, snapshots: wish };
    let coalescing = &settings.channels.coalescing;
    Hub::start(shards, rules(settings), coalescing, &Replay::new(settings.window), &door)
}

/// What is read, by the settings.
#[must_use]
pub fn source(settings: &Settings) -> Source {
    let replication = &settings.replication;
    Source {
        slot: replication.slot.clone(),
        publication: replication.publication.clone(),
        temporary: replication.temporary,
        create_publication: replication.create_publication,
        on_slot_lost: replication.on_slot_lost,
        window_wal: settings.window.wal_bytes,
    }
}

fn rules(settings: &Settings) -> Rules {
    let limits = &settings.limits;
    Rules {
        limits: channel::Limits {
            channels: limits.channels_per_socket,
            joins_per_second: limits.joins_per_second as usize,
        },
        profile: settings.channels.profile,
        frame_bytes: limits.frame_bytes,
        deflate: settings.channels.compression,
        sockets: limits.sockets,
        members_per_topic: limits.members_per_topic,
        idle: limits.idle,
        outbox_bytes: settings.outbox.bytes,
        pause: settings.outbox.pause,
        stall: settings.outbox.stall,
    }
}

fn console(session: Session, publication: String, write: Option<Writer>) -> Console {
    let tables = move || -> http::Answer<Vec<Listing>> {
        let (session, publication) = (session.clone(), publication.clone());
        Box::pin(async move { tables(&session, &publication).await.map_err(|error| error.to_string()) })
    };
    Console { tables: Box::new(tables), write }
}

async fn tables(session: &Session, publication: &str) -> Result<Vec<Listing>, PostgresError> {
    let client = session.client().await?;
    let published = catalog::published(&client, publication).await?;
    let listing = |table: catalog::Published| Listing {
        schema: table.schema,
        table: table.table,
        columns: table.columns.into_iter().map(|(name, kind, key)| Listed { name, kind, key }).collect(),
    };
    Ok(published.into_iter().map(listing).collect())
}
