//! `GET /metrics`, in the text that Prometheus reads. docs/metrics.md lists what is told.
//!
//! Counters are read as they are, the rest is asked at this moment, each under its own lock: two numbers of one answer
//! may be of moments that lie apart.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tokio::sync::watch;

use super::App;
use crate::dispatch::Progress;
use crate::hub::Transport;
use crate::metrics::exposition::{CONTENT_TYPE, Exposition, escaped};
use crate::metrics::{COUNTED, PoolUse, Read, process};

/// What metrics tell of others.
pub struct Watched {
    /// How far dispatch has come.
    pub progress: watch::Receiver<Progress>,
    /// The connections of GraphQL; `None` where it is turned off.
    pub pool: Option<Box<dyn Fn() -> PoolUse + Send + Sync>>,
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut text = Exposition::default();
    stream(&mut text, &app);
    window(&mut text, &app);
    sockets(&mut text, &app);
    channels(&mut text, &app);
    graphql(&mut text, &app);
    own(&mut text);
    let headers = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    (headers, text.into_text()).into_response()
}

/// From the slot to the dispatcher.
fn stream(text: &mut Exposition, app: &App) {
    let (progress, lag) = (*app.watched.progress.borrow(), COUNTED.lag.get());
    #[allow(
        clippy::cast_precision_loss,
        reason = "samples are 64-bit floats, which hold positions up to 2^53 exactly"
    )]
    let float = |value: u64| value as f64;
    let live = u64::from(app.readiness.borrow().is_live());
    text.gauge("walcast_live", "1 while changes flow, else 0.").whole(live);
    let failures =
        text.counter("walcast_stream_failures_total", "Sessions of the slot that failed, by class.");
    failures.samples(COUNTED.failures.get());
    let written = lag.map(|lag| float(lag.written));
    text.gauge("walcast_written_lsn", "Where the database wrote its log, when it was asked last.")
        .value(written);
    let received = Some(COUNTED.received.get()).filter(|received| *received > 0).map(float);
    text.gauge("walcast_received_lsn", "End of the last transaction or keepalive read from the slot.")
        .value(received);
    let dispatched = progress.latest().map(|lsn| float(lsn.0));
    text.gauge("walcast_dispatched_lsn", "End of the last transaction handed to the sockets.")
        .value(dispatched);
    let confirmed = progress.confirmed().map(|lsn| float(lsn.0));
    text.gauge("walcast_confirmed_lsn", "Up to where Postgres may forget its log.").value(confirmed);
    let help = "Log that was written and not dispatched, when the database was asked last.";
    text.gauge("walcast_lag_bytes", help).value(lag.map(|lag| float(lag.bytes)));
    let help = "For how long the oldest of it had been known, when the database was asked last.";
    text.gauge("walcast_lag_seconds", help).value(lag.map(|lag| lag.seconds));
    let help = "When the database last answered where it writes.";
    text.gauge("walcast_lag_asked_timestamp_seconds", help).value(lag.map(|lag| lag.asked));
    let changes = COUNTED.changes.get().into_iter().map(|(schema, table, kind, count)| {
        let (schema, table) = (escaped(&schema), escaped(&table));
        (format!("schema=\"{schema}\",table=\"{table}\",kind=\"{kind}\""), count)
    });
    text.counter("walcast_changes_total", "Changes read from the slot, by table and kind.").samples(changes);
    let help = "From the commit of a transaction until a shard had handed it to its sockets.";
    text.histogram("walcast_commit_to_socket_seconds", help, &COUNTED.latency);
}

/// What is held for those who come back.
fn window(text: &mut Exposition, app: &App) {
    let (extent, oldest) = {
        let history = app.hub.replay().history();
        (history.extent(), history.oldest_commit())
    };
    text.gauge("walcast_window_bytes", "Memory of the changes in the replay window.")
        .whole(extent.bytes as u64);
    let help = "Transactions, or pieces of huge ones, in the replay window.";
    text.gauge("walcast_window_pieces", help).whole(extent.pieces as u64);
    let oldest = oldest.and_then(|committed| committed.parse::<Timestamp>().ok());
    let age = oldest.map_or(0.0, |oldest| Timestamp::now().duration_since(oldest).as_secs_f64().max(0.0));
    text.gauge("walcast_window_age_seconds", "For how long the oldest change held has been committed.")
        .value(age);
    let oldest = Some(extent.oldest.commit.0).filter(|lsn| *lsn > 0);
    let family =
        text.gauge("walcast_window_oldest_lsn", "The commit behind which the replay window is whole.");
    #[allow(clippy::cast_precision_loss, reason = "as above")]
    family.value(oldest.map(|lsn| lsn as f64));
}

fn sockets(text: &mut Exposition, app: &App) {
    let help = "Sockets, event streams, held polls and long-polling sessions.";
    text.gauge("walcast_sockets", help).whole(app.hub.sockets() as u64);
    let help = "Sockets that ended, by the code and reason they were closed with.";
    text.counter("walcast_closes_total", help).samples(COUNTED.closes.get());
    let help = "Bytes that wait in outboxes, as of the last second.";
    text.gauge("walcast_outbox_bytes", help).whole(COUNTED.pending.get());
    let help = "Changes handed to a socket as they came; one for each channel that is told.";
    text.counter("walcast_deliveries_total", help).whole(COUNTED.deliveries.get());
    let help = "Changes told to a channel of a socket from the replay window.";
    text.counter("walcast_replayed_total", help).whole(COUNTED.replayed.get());
    let readers = app.hub.readers().map(|(transport, count)| (label(transport), count as u64));
    let help = "Of walcast_sockets, those that read the replay window over plain HTTP, by transport.";
    text.gauge("walcast_readers", help).samples(readers);
    let Read { events, poll, longpoll } = &COUNTED.read;
    let read = [(Transport::Events, events), (Transport::Poll, poll), (Transport::LongPoll, longpoll)];
    let read = read.map(|(transport, count)| (label(transport), count.get()));
    let help = "Changes told over plain HTTP from the replay window, by transport; one for each channel.";
    text.counter("walcast_read_total", help).samples(read);
}

fn label(transport: Transport) -> String {
    format!("transport=\"{}\"", transport.name())
}

fn channels(text: &mut Exposition, app: &App) {
    let extent = app.hub.interest().table().extent();
    let help = "Joined channels, and event streams and polls that read a topic.";
    text.gauge("walcast_channels", help).whole(extent.members as u64);
    text.gauge("walcast_topics", "Topics that are joined, each once.").whole(extent.topics as u64);
    text.gauge("walcast_filters", "Distinct filters of joined topics.").whole(extent.filters as u64);
    text.counter("walcast_joins_total", "Joins that were let in.").whole(COUNTED.joins.get());
    let refusals = text.counter("walcast_joins_refused_total", "Joins that were refused, by code.");
    refusals.samples(COUNTED.refusals.get());
    let resumptions = text.counter("walcast_resumptions_total", "Joins with a cursor, by outcome.");
    resumptions.samples(COUNTED.resumptions.get());
    text.counter("walcast_snapshots_total", "Snapshots, by outcome.").samples(COUNTED.snapshots.get());
    let help = "Rows told in snapshots that came to their end.";
    text.counter("walcast_snapshot_rows_total", help).whole(COUNTED.snapshot_rows.get());
}

fn graphql(text: &mut Exposition, app: &App) {
    let (queries, subscribers, subscriptions) = app.feeds.count();
    let help = "Live queries, those that are shared counted once.";
    text.gauge("walcast_live_queries", help).whole(queries as u64);
    text.gauge("walcast_live_subscribers", "Streams on live queries.").whole(subscribers as u64);
    text.counter("walcast_live_runs_total", "Runs of live queries.").whole(COUNTED.runs.get());
    let help = "Runs of live queries whose result was the one that there was.";
    text.counter("walcast_live_needless_total", help).whole(COUNTED.needless.get());
    let refusals = text.counter("walcast_live_refused_total", "Live queries that were refused, by code.");
    refusals.samples(COUNTED.live_refusals.get());
    text.gauge("walcast_subscriptions", "Streams of GraphQL subscriptions.").whole(subscriptions as u64);
    let pool = app.watched.pool.as_ref().map(|usage| usage()).unwrap_or_default();
    let PoolUse { in_use, idle, waiting, most } = pool;
    let states = [("state=\"in_use\"", in_use as u64), ("state=\"idle\"", idle as u64)];
    text.gauge("walcast_pool_connections", "Connections for GraphQL, by state.").samples(states);
    let help = "The most connections for GraphQL; 0 where it is off.";
    text.gauge("walcast_pool_limit", help).whole(most as u64);
    let help = "Operations that wait for a connection.";
    text.gauge("walcast_pool_waiting", help).whole(waiting as u64);
}

/// As client libraries of Prometheus name it.
fn own(text: &mut Exposition) {
    let family = text.gauge("walcast_build_info", "1, with the version as label.");
    family.samples([(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1)]);
    text.counter("process_cpu_seconds_total", "CPU time of all threads, user and system.")
        .value(process::cpu());
    let memory = text.gauge("process_resident_memory_bytes", "Resident memory.");
    if let Some(bytes) = process::memory() {
        memory.whole(bytes);
    }
    let help = "When the server was started.";
    text.gauge("process_start_time_seconds", help).value(process::started());
}
