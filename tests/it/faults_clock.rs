//! Wall clocks that jump, that of walcast and that of Postgres, under load. Monotonic clocks go on as they were, as they do on a
//! real machine when its administrator or NTP sets the time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio_postgres::Client;
use walcast::demo::cluster::{Binaries, Cluster};

use crate::cluster;
use crate::faults::Load;
use crate::postgres_binaries;
use crate::service::Service;
use crate::slot::{Slot, id};
use crate::socket::Socket;
use crate::walcast::{Walcast, until};

const HOUR: i64 = 3600;

/// A wall clock that can be set, for programs that are begun with it.
struct Clock {
    directory: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// One that goes right.
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("walcast-clock-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        // Programs of other users look at it, too.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let clock = Self { directory, library: library() };
        clock.set(0);
        clock
    }

    /// So many seconds ahead of the right time from now on, or behind.
    fn set(&self, seconds: i64) {
        // A reader finds the one or the other, and never half of it.
        let written = self.directory.join("next");
        fs::write(&written, format!("{seconds:+}\n")).unwrap();
        fs::rename(written, self.offset()).unwrap();
    }

    fn offset(&self) -> PathBuf {
        self.directory.join("offset")
    }

    /// The environment in which a program has this clock (faketime(1), README of libfaketime).
    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.offset().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// A server with this clock.
    fn wound_up(&self, binaries: &Binaries) -> Binaries {
        let environment: Vec<String> =
            self.environment().into_iter().map(|(name, value)| format!("{name}='{value}'")).collect();
        for program in ["initdb", "postgres"] {
            let (from, to) = (binaries.directory().join(program), self.directory.join(program));
            let text = format!("#!/bin/sh\nexec env {} '{}' \"$@\"\n", environment.join(" "), from.display());
            fs::write(&to, text).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Binaries::find(Some(&self.directory)).unwrap()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// libfaketime, for programs with threads.
fn library() -> PathBuf {
    let name = "faketime/libfaketimeMT.so.1";
    let below = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let places = [Path::new("/usr/lib").to_owned(), Path::new("/usr/lib64").to_owned()];
    let found = below.chain(places).map(|place| place.join(name)).find(|library| library.exists());
    found.expect("libfaketime is missing: `make setup` installs it")
}

/// How far a time is ahead of the right one, in hours.
fn hours_ahead(seconds: f64) -> i64 {
    let right = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    #[allow(clippy::cast_possible_truncation, reason = "a few hours")]
    let hours = ((seconds - right) / 3600.0).round() as i64;
    hours
}

/// Waits until walcast itself tells a time that is so far ahead.
async fn seen_by(walcast: &Walcast, hours: i64) {
    until(&format!("walcast's clock is {hours} h ahead"), async || {
        let (_, text) = walcast.get("/metrics").await;
        let asked = text.lines().find_map(|line| line.strip_prefix("walcast_lag_asked_timestamp_seconds "));
        asked.is_some_and(|asked| hours_ahead(asked.parse().unwrap()) == hours)
    })
    .await;
}

/// A client of a topic on which nothing happens, and what its join told.
async fn quiet(service: &Service) -> (Socket, Value) {
    let mut socket = Socket::connect(service.walcast()).await;
    let begun = socket.joined("realtime:public:t:id=eq.0", json!({"frames": "type"})).await;
    (socket, begun)
}

async fn heartbeat(socket: &mut Socket) {
    socket.send(json!([null, "h", "phoenix", "heartbeat", {}]).to_string()).await;
    let reply = socket.frame().await;
    assert_eq!((&reply[1], &reply[4]["status"]), (&json!("h"), &json!("ok")), "{reply}");
}

/// Ends the load: nobody lacked anything or was disturbed, and who saw nothing but its first position comes back
/// and is told all there ever was.
async fn nobody_noticed(load: Load, service: &Service, begun: &Value) {
    let clients = load.all_is_told().await;
    for client in &clients {
        let account = client.account();
        assert_eq!((account.joins, account.interrupted), (1, 0), "a client was disturbed");
    }
    let rows = clients[0].account().ids.len();
    let mut back = Socket::connect(service.walcast()).await;
    let payload = json!({"frames": "type", "since": begun["position"], "epoch": begun["epoch"]});
    let reply = back.joined("realtime:public:t", payload).await;
    assert_eq!(reply["resumed"], true, "the window lost what is minutes old: {reply}");
    let told: Vec<i64> = back.changes(rows).await.iter().map(id).collect();
    assert_eq!(told, (1..=i64::try_from(rows).unwrap()).collect::<Vec<_>>());
}

async fn table(cluster: &Cluster) -> Client {
    let client = cluster::connect(&cluster.url("postgres")).await;
    client.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    client
}

#[tokio::test]
async fn walcast_whose_clock_jumps_under_load_loses_nothing_and_closes_nobody() {
    let clock = Clock::new("walcast");
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    let environment = clock.environment();
    let mut settings: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("WALCAST__LIMITS__IDLE_SECONDS", "20"));
    let service = Service::start(&database.url(), &settings).await;
    let mut load = Load::begin(&service, &database.url(), 50, Duration::from_millis(5)).await;
    let (mut socket, begun) = quiet(&service).await;
    for hours in [1, 0, -1, 0] {
        load.rows(50).await;
        clock.set(hours * HOUR);
        heartbeat(&mut socket).await;
        load.rows(50).await;
        seen_by(service.walcast(), hours).await;
        heartbeat(&mut socket).await;
    }
    let slot = Slot::named(service.slot(), database.connect().await);
    // A session that ends is begun again in its time, whatever the clock says meanwhile.
    clock.set(HOUR);
    slot.terminate().await;
    clock.set(-HOUR);
    load.rows(50).await;
    heartbeat(&mut socket).await;
    nobody_noticed(load, &service, &begun).await;
}

#[tokio::test]
async fn a_database_whose_clock_jumps_under_load_costs_nothing() {
    let clock = Clock::new("postgres");
    let binaries = clock.wound_up(&postgres_binaries::of_major(15));
    // Senders count the silence of their readers by this clock.
    let cluster = cluster::own(&binaries, &[("wal_sender_timeout", "5s")]);
    let client = table(&cluster).await;
    let url = cluster.url("postgres");
    let service = Service::start(&url, &[]).await;
    let mut load = Load::begin(&service, &url, 50, Duration::from_millis(5)).await;
    let (mut socket, begun) = quiet(&service).await;
    for hours in [1, 0, -1, 0] {
        load.rows(50).await;
        clock.set(hours * HOUR);
        let told = "select extract(epoch from clock_timestamp())::float8";
        let told: f64 = client.query_one(told, &[]).await.unwrap().get(0);
        assert_eq!(hours_ahead(told), hours, "the clock did not jump");
        load.rows(100).await;
        heartbeat(&mut socket).await;
    }
    nobody_noticed(load, &service, &begun).await;
}
