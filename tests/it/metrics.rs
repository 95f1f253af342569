//! What operators are told: counters that move as told, a page that lists all of them, and a dashboard that asks for no
//! other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::cluster::{self, Database};
use crate::graphql::Graph;
use crate::live::Stream;
use crate::raw::{CLOSE, Raw};
use crate::socket::Socket;
use crate::walcast::{Walcast, until};

const TABLE: &str = "create table t (id int8 generated always as identity primary key, n int, v text); \
                     alter table t replica identity full; create table \"odd\"\"name\" (id int primary key)";

/// The samples of one answer, by name with labels.
struct Samples(BTreeMap<String, f64>);

impl Samples {
    async fn of(walcast: &Walcast) -> Self {
        let (status, text) = walcast.get("/metrics").await;
        assert_eq!(status, 200, "{text}");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self(samples.collect())
    }

    /// A sample that is there, or 0.
    fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    #[track_caller]
    fn are(&self, expected: &[(&str, f64)]) {
        for (name, value) in expected {
            assert!((self.get(name) - value).abs() < 1e-9, "{name} is {} and not {value}", self.get(name));
        }
    }

    /// Waits until samples are these.
    async fn settled(walcast: &Walcast, expected: &[(&str, f64)]) -> Self {
        until(&format!("{expected:?}"), async || {
            let now = Self::of(walcast).await;
            expected.iter().all(|(name, value)| (now.get(name) - value).abs() < 1e-9)
        })
        .await;
        Self::of(walcast).await
    }
}

async fn serve(settings: &[(&str, &str)]) -> (Database, Walcast) {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute(TABLE).await.unwrap();
    let walcast = Walcast::serve(&database, settings).await;
    (database, walcast)
}

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The rows of the page: name and type.
fn documented() -> BTreeSet<(String, String)> {
    let page = file("docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert!(cells.len() == 6 && !cells[4].is_empty(), "{row}");
        (cells[1].trim_matches('`').to_owned(), cells[2].split(',').next().unwrap().to_owned())
    });
    cells.collect()
}

#[tokio::test]
async fn the_page_lists_every_metric_with_its_type_and_no_other() {
    let (_database, walcast) = serve(&[]).await;
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (head, text) = walcast.exchange(request).await;
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let told: Vec<_> = types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    let unique: BTreeSet<_> = told.iter().cloned().collect();
    assert_eq!(unique.len(), told.len(), "a metric is told twice");
    assert_eq!(unique, documented());
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let dashboard: Value = serde_json::from_str(&file("examples/grafana/walcast.json")).unwrap();
    let known: BTreeSet<String> = documented().into_iter().map(|(name, _)| name).collect();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let mut asked = BTreeSet::new();
    for target in targets {
        let query = target["expr"].as_str().unwrap();
        let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let names = words.filter(|word| word.starts_with("walcast_") || word.starts_with("process_"));
        let names: Vec<_> = names.map(|name| name.trim_end_matches("_bucket").to_owned()).collect();
        assert!(!names.is_empty(), "{query}");
        asked.extend(names);
    }
    assert!(asked.len() > 30, "{asked:?}");
    assert_eq!(asked.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn metrics_are_told_to_whom_ready_is() {
    let (_database, walcast) = serve(&[]).await;
    for path in ["/metrics", "/ready"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        assert_eq!(walcast.request(&request).await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn rows_are_counted_by_table_and_kind_and_deliveries_by_channel() {
    let (database, walcast) = serve(&[]).await;
    Samples::of(&walcast).await.are(&[
        ("walcast_live", 1.0),
        ("walcast_sockets", 0.0),
        ("walcast_channels", 0.0),
    ]);
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({"frames": "type"})).await;
    socket.joined("realtime:public:t:n=eq.1", json!({})).await;
    let mut other = Socket::connect(&walcast).await;
    other.joined("realtime:public:t", json!({"frames": "type"})).await;
    Samples::of(&walcast).await.are(&[
        ("walcast_sockets", 2.0),
        ("walcast_channels", 3.0),
        ("walcast_topics", 2.0),
        ("walcast_filters", 1.0),
        ("walcast_joins_total", 3.0),
        ("walcast_deliveries_total", 0.0),
        ("walcast_commit_to_socket_seconds_count", 0.0),
    ]);
    let client = database.connect().await;
    // In one transaction, so that frames of many changes become one; and a table that nobody joined.
    let sql = "insert into t (n) select 2 from generate_series(1, 40); insert into t (n) values (1); \
               update t set n = 3 where id <= 5; delete from t where id = 6; insert into \"odd\"\"name\" values (1)";
    client.batch_execute(sql).await.unwrap();
    other.changes(47).await;
    let samples = Samples::settled(&walcast, &[("walcast_deliveries_total", 95.0)]).await;
    samples.are(&[
        ("walcast_changes_total{schema=\"public\",table=\"t\",kind=\"insert\"}", 41.0),
        ("walcast_changes_total{schema=\"public\",table=\"t\",kind=\"update\"}", 5.0),
        ("walcast_changes_total{schema=\"public\",table=\"t\",kind=\"delete\"}", 1.0),
        ("walcast_changes_total{schema=\"public\",table=\"odd\\\"name\",kind=\"insert\"}", 1.0),
        ("walcast_window_pieces", 1.0),
    ]);
    assert!(samples.get("walcast_window_bytes") > 0.0 && samples.get("walcast_window_age_seconds") >= 0.0);
    // One observation for each shard with a socket, and there is at least one.
    let observed = samples.get("walcast_commit_to_socket_seconds_count");
    assert!((1.0..=2.0).contains(&observed), "{observed}");
    let sum = samples.get("walcast_commit_to_socket_seconds_sum");
    assert!(sum > 0.0 && sum < 30.0 * observed, "{sum}");
    let (received, dispatched) = (samples.get("walcast_received_lsn"), samples.get("walcast_dispatched_lsn"));
    assert!(received >= dispatched && dispatched >= samples.get("walcast_confirmed_lsn"));
    assert!(samples.get("walcast_confirmed_lsn") > 0.0);
    drop((socket, other));
    let lost = "walcast_closes_total{code=\"\",reason=\"the connection was lost\"}";
    let gone = [("walcast_sockets", 0.0), ("walcast_channels", 0.0), ("walcast_filters", 0.0), (lost, 2.0)];
    Samples::settled(&walcast, &gone).await;
}

#[tokio::test]
async fn the_lag_is_the_last_answer_of_the_database() {
    let (_database, walcast) = serve(&[]).await;
    until("the database was asked", async || Samples::of(&walcast).await.get("walcast_written_lsn") > 0.0)
        .await;
    let samples = Samples::of(&walcast).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let asked = samples.get("walcast_lag_asked_timestamp_seconds");
    assert!((now - 60.0..=now).contains(&asked), "{asked} and now {now}");
    let started = samples.get("process_start_time_seconds");
    assert!(started < asked && started > now - 120.0, "{started}");
    assert!(samples.get("process_cpu_seconds_total") > 0.0);
    let memory = samples.get("process_resident_memory_bytes");
    assert!((1e6..1e10).contains(&memory), "{memory}");
    for name in ["walcast_lag_bytes", "walcast_lag_seconds"] {
        assert!(samples.0.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn refusals_resumptions_and_snapshots_are_counted_by_what_came_of_them() {
    let (database, walcast) = serve(&[]).await;
    let mut socket = Socket::connect(&walcast).await;
    let response = socket.joined("realtime:public:t", json!({"frames": "type"})).await;
    let client = database.connect().await;
    client.batch_execute("insert into t (n) values (1)").await.unwrap();
    let seen = socket.change().await;
    client.batch_execute("insert into t (n) select 2 from generate_series(1, 10)").await.unwrap();
    socket.changes(10).await;
    let mut back = Socket::connect(&walcast).await;
    let epoch = response["epoch"].clone();
    let since = json!({"frames": "type", "since": seen["cursor"], "epoch": epoch});
    back.joined("realtime:public:t", since).await;
    back.changes(10).await;
    let early = json!({"since": "0-0-0", "epoch": epoch});
    assert_eq!(back.joined("realtime:public", early).await["reason"], "window");
    let foreign = json!({"since": seen["cursor"], "epoch": "1-1"});
    assert_eq!(back.joined("realtime:*", foreign).await["reason"], "epoch");
    back.refused("realtime:public:nowhere", json!({})).await;
    back.refused("realtime:public:t:n=eq.x", json!({})).await;
    back.refused("room:1", json!({})).await;
    let mut copy = Socket::connect(&walcast).await;
    copy.joined("realtime:public:t", json!({"snapshot": {"limit": 4}})).await;
    while copy.frame().await[3] != "snapshot_end" {}
    let expected = [
        ("walcast_resumptions_total{outcome=\"held\"}", 1.0),
        ("walcast_resumptions_total{outcome=\"window\"}", 1.0),
        ("walcast_resumptions_total{outcome=\"epoch\"}", 1.0),
        ("walcast_replayed_total", 10.0),
        ("walcast_joins_total", 5.0),
        ("walcast_joins_refused_total{code=\"TableNotFound\"}", 1.0),
        ("walcast_joins_refused_total{code=\"FilterValueInvalid\"}", 1.0),
        ("walcast_joins_refused_total{code=\"other\"}", 1.0),
        ("walcast_snapshots_total{outcome=\"told\"}", 1.0),
        ("walcast_snapshot_rows_total", 4.0),
    ];
    Samples::settled(&walcast, &expected).await;
}

#[tokio::test]
async fn sockets_that_end_are_counted_once_by_who_ended_them() {
    let settings = [("WALCAST__OUTBOX__BYTES", "65536"), ("WALCAST__OUTBOX__PAUSE_MS", "0")];
    let (database, walcast) = serve(&settings).await;
    let mut goodbye = Raw::connect(&walcast).await;
    goodbye.send(CLOSE, &1000_u16.to_be_bytes()).await;
    let mut garbage = Raw::connect(&walcast).await;
    garbage.send_bytes(&[0xFF; 16]).await;
    let mut slow = Raw::small(&walcast).await;
    slow.join("realtime:public:t").await;
    let client = database.connect().await;
    let write = "insert into t (v) select repeat('x', 60000) from generate_series(1, 20)";
    let reason =
        |code: u16, reason: &str| format!("walcast_closes_total{{code=\"{code}\",reason=\"{reason}\"}}");
    let slowly = reason(1013, "the socket reads too slowly");
    until("the socket that does not read is closed", async || {
        client.batch_execute(write).await.unwrap();
        Samples::of(&walcast).await.get(&slowly) > 0.0
    })
    .await;
    drop((goodbye, garbage, slow));
    let samples =
        Samples::settled(&walcast, &[("walcast_sockets", 0.0), ("walcast_outbox_bytes", 0.0)]).await;
    samples.are(&[
        ("walcast_closes_total{code=\"\",reason=\"the client closed\"}", 1.0),
        (&reason(1002, "not a valid WebSocket frame"), 1.0),
        (&slowly, 1.0),
        ("walcast_closes_total{code=\"\",reason=\"the connection was lost\"}", 0.0),
    ]);
}

#[tokio::test]
async fn what_waits_for_a_socket_is_told_and_lost_sessions_are_counted() {
    let (database, walcast) = serve(&[("WALCAST__OUTBOX__BYTES", "1073741824")]).await;
    let mut slow = Raw::small(&walcast).await;
    slow.join("realtime:public:t").await;
    let client = database.connect().await;
    let write = "insert into t (v) select repeat('x', 100000) from generate_series(1, 200)";
    client.batch_execute(write).await.unwrap();
    until("something waits", async || Samples::of(&walcast).await.get("walcast_outbox_bytes") > 1e6).await;
    drop(slow);
    Samples::settled(&walcast, &[("walcast_outbox_bytes", 0.0)]).await;
    let kill = "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()";
    client.batch_execute(kill).await.unwrap();
    until("a session has failed", async || {
        let samples = Samples::of(&walcast).await;
        samples.get("walcast_stream_failures_total{class=\"retry\"}") >= 1.0
    })
    .await;
    Samples::settled(&walcast, &[("walcast_live", 1.0)]).await;
}

#[tokio::test]
async fn live_queries_and_the_pool_are_counted() {
    let schema =
        "create table seen (id int primary key, n int); create unlogged table fleeting (id int primary key)";
    let graph = Graph::serve(15, schema, &[("WALCAST__GRAPHQL__CONNECTIONS", "3")]).await;
    let mut first = Stream::live(&graph, "query @live { seens { id } }").await;
    first.data().await;
    let mut second = Stream::live(&graph, "query @live { seens { id } }").await;
    second.data().await;
    let mut refused = Stream::live(&graph, "query @live { fleetings { id } }").await;
    refused.result().await;
    let samples = Samples::of(&graph.walcast).await;
    samples.are(&[
        ("walcast_live_queries", 1.0),
        ("walcast_live_subscribers", 2.0),
        ("walcast_pool_limit", 3.0),
        ("walcast_pool_waiting", 0.0),
    ]);
    assert!(samples.get("walcast_live_refused_total{code=\"LiveUnseen\"}") >= 1.0);
    assert!(samples.get("walcast_pool_connections{state=\"idle\"}") >= 1.0);
    let (runs, needless) =
        (samples.get("walcast_live_runs_total"), samples.get("walcast_live_needless_total"));
    graph.client.batch_execute("insert into seen values (1, 1)").await.unwrap();
    first.data().await;
    second.data().await;
    let after = Samples::of(&graph.walcast).await;
    assert!(after.get("walcast_live_runs_total") > runs);
    // What the insert tells a new subscriber is no other result.
    let invalidate = "POST /invalidate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                      Content-Type: application/json\r\nContent-Length: 24\r\n\r\n{\"keys\":[\"Query.seens\"]}";
    assert_eq!(graph.walcast.request(invalidate).await.0, 202);
    until("the query ran and had the same result", async || {
        Samples::of(&graph.walcast).await.get("walcast_live_needless_total") > needless
    })
    .await;
    drop((first, second));
    Samples::settled(&graph.walcast, &[("walcast_live_queries", 0.0), ("walcast_live_subscribers", 0.0)])
        .await;
}
