//! The benchmark of coming back: what clients and the server need after they were away, and what a snapshot costs.
//!
//! ```text
//! cargo bench --bench recovery             every scenario, under 3 minutes
//! cargo bench --bench recovery -- resume   one of: resume, restart, snapshot
//! ```
//!
//! docs/benchmarks.md says what each figure means.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]
#![allow(unreachable_pub, reason = "nothing outside of this program sees its items")]

#[path = "../load/client.rs"]
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod client;
#[path = "../load/server.rs"]
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod server;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client::Client;
use server::{Postgres, Walcast};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

const TOPIC: &str = "realtime:public:missed";

/// How many come back, and how many changes each of them missed.
const CLIENTS: usize = 1000;
const MISSED: usize = 1000;

/// How often they do.
const RUNS: usize = 5;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    let runtime = Runtime::new().expect("a runtime");
    if let [word, address, since] = &words[..]
        && word == "clients"
    {
        println!("{}", runtime.block_on(clients(address.parse().unwrap(), since.clone())));
        return;
    }
    let postgres = Postgres::start();
    println!("{}", postgres.heading());
    runtime.block_on(async {
        let sql = postgres.client().await;
        sql.batch_execute(
            "create table missed (id int8 primary key, at int8, name text, body text); \
             create table others (id int8 primary key, at int8); create publication load for all tables",
        )
        .await
        .unwrap();
        if wanted("resume") {
            resume(&postgres).await;
        }
        if wanted("restart") {
            restart(&postgres).await;
        }
        if wanted("snapshot") {
            snapshot(&postgres).await;
        }
    });
}

/// The value of a text field in a JSON text, at its first place.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let begin = text.find(&format!("\"{name}\":\"")).expect(name) + name.len() + 4;
    text[begin..].split('"').next().unwrap()
}

fn micros() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

/// 1,000 clients that each missed 1,000 changes, while others are told 100 rows a second live.
async fn resume(postgres: &Postgres) {
    let (mut took, mut cpu, mut before, mut meanwhile) = (vec![], vec![], Live::default(), Live::default());
    for _ in 0..RUNS {
        let run = resumed(postgres).await;
        took.push(run.took);
        cpu.push(run.cpu);
        before.add(run.before);
        meanwhile.add(run.meanwhile);
    }
    let (before, meanwhile) = (before.p99(), meanwhile.p99());
    println!(
        "resume: {CLIENTS} clients that each missed {MISSED} changes: {:.2} s, {:.2} us of CPU a change; \
         others' live p99 {:.1} ms before, {:.1} ms meanwhile; of that from the commit to the socket at most {} and {} ms",
        median(took),
        median(cpu) * 1e6 / (CLIENTS * MISSED) as f64,
        before.seen,
        meanwhile.seen,
        before.told,
        meanwhile.told
    );
}

struct Resumed {
    /// Until all had everything, in seconds.
    took: f64,
    /// Of the server, in seconds.
    cpu: f64,
    before: Live,
    meanwhile: Live,
}

async fn resumed(postgres: &Postgres) -> Resumed {
    let sql = postgres.client().await;
    sql.batch_execute("truncate missed, others").await.unwrap();
    let walcast = Walcast::serve(postgres).await;
    let (_, reply) = Client::join_with(walcast.address, TOPIC, "").await;
    let since =
        format!(",\"since\":\"{}\",\"epoch\":\"{}\"", field(&reply, "position"), field(&reply, "epoch"));
    let (mut witness, _) = Client::join_with(walcast.address, TOPIC, "").await;
    sql.batch_execute(&format!(
        "do $$ begin for i in 1..{MISSED} loop insert into missed values (i, 0, 'somebody', repeat('x', 100)); commit; end loop; end $$"
    ))
    .await
    .unwrap();
    for _ in 0..MISSED {
        witness.frame().await.expect("all rows");
    }
    let ((), before) = live(postgres, walcast.address, tokio::time::sleep(Duration::from_secs(3))).await;
    let cpu = walcast.cpu();
    let address = walcast.address.to_string();
    let (took, meanwhile) = live(postgres, walcast.address, async {
        // In a process of their own, behind all others: elsewhere they would not have the server's processors.
        let clients = tokio::process::Command::new("nice")
            .args(["-n", "10"])
            .arg(std::env::current_exe().unwrap())
            .args(["clients", &address, &since])
            .stderr(Stdio::inherit())
            .output();
        let output = clients.await.unwrap();
        assert!(output.status.success(), "the clients failed");
        String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap()
    })
    .await;
    Resumed { took, cpu: walcast.cpu() - cpu, before, meanwhile }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The clients that come back, and how long it takes until all have everything, in seconds.
async fn clients(address: SocketAddr, since: String) -> f64 {
    let start = Instant::now();
    let clients = (0..CLIENTS).map(|_| {
        let since = since.clone();
        tokio::spawn(async move {
            let (mut client, reply) = Client::join_with(address, TOPIC, &since).await;
            assert!(reply.contains("\"resumed\":true"), "{reply}");
            for _ in 0..MISSED {
                client.frame().await.expect("what was missed");
            }
            client
        })
    });
    let mut done = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        done.push(client.await.unwrap());
    }
    start.elapsed().as_secs_f64()
}

/// How long changes took to arrive.
#[derive(Default)]
struct Live {
    /// Each, from the writer's clock before it inserts to the reader's, in milliseconds.
    seen: Vec<f64>,
    /// From the commit to the socket, by the server's own histogram: bounds in seconds, and how many took no longer.
    told: Vec<(f64, f64)>,
}

/// In milliseconds.
struct P99 {
    seen: f64,
    /// The bound of the bucket.
    told: f64,
}

impl Live {
    fn add(&mut self, other: Self) {
        self.seen.extend(other.seen);
        if self.told.is_empty() {
            self.told = other.told;
            return;
        }
        for (bucket, (_, count)) in self.told.iter_mut().zip(other.told) {
            bucket.1 += count;
        }
    }

    fn p99(mut self) -> P99 {
        self.seen.sort_by(f64::total_cmp);
        let most = self.told.last().expect("buckets").1 * 0.99;
        let (bound, _) = self.told.iter().find(|(_, count)| *count >= most).unwrap();
        P99 { seen: self.seen[self.seen.len() * 99 / 100], told: bound * 1e3 }
    }
}

/// The buckets of the server's histogram: bounds in seconds, and how many changes took no longer.
async fn histogram(address: SocketAddr) -> Vec<(f64, f64)> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let lines = text.lines().filter_map(|line| {
        let (bound, count) =
            line.strip_prefix("walcast_commit_to_socket_seconds_bucket{le=\"")?.split_once("\"} ")?;
        Some((bound.parse().unwrap_or(f64::INFINITY), count.parse().ok()?))
    });
    lines.collect()
}

/// What a client sees that is told 100 rows a second until something has come to its end.
async fn live<T>(postgres: &Postgres, address: SocketAddr, until: impl Future<Output = T>) -> (T, Live) {
    let before = histogram(address).await;
    let (url, ended) = (postgres.url(), Arc::new(AtomicBool::new(false)));
    let (ready, joined) = tokio::sync::oneshot::channel();
    // The writer and the reader have a thread of their own: what the other clients cost is not the server's.
    let stop = Arc::clone(&ended);
    let watching = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(latencies(url, address, ready, stop))
    });
    joined.await.unwrap();
    let ended_with = until.await;
    ended.store(true, Ordering::Relaxed);
    let seen = watching.join().unwrap();
    let after = histogram(address).await;
    let told = before.iter().zip(&after).map(|(before, after)| (after.0, after.1 - before.1)).collect();
    (ended_with, Live { seen, told })
}

/// Writes 100 rows a second until `ended`, and returns how long each took to arrive, in milliseconds.
async fn latencies(
    url: String,
    address: SocketAddr,
    ready: tokio::sync::oneshot::Sender<()>,
    ended: Arc<AtomicBool>,
) -> Vec<f64> {
    let sql = server::connected(&url).await;
    let insert = sql
        .prepare("insert into others values ((select coalesce(max(id), 0) + 1 from others), $1)")
        .await
        .unwrap();
    let mut live = Client::join(address, "realtime:public:others").await;
    let reading = tokio::spawn(async move {
        let mut latencies = Vec::new();
        while let Some(frame) = live.frame().await {
            let frame = String::from_utf8_lossy(frame);
            let at = frame.split("\"at\":").nth(1).unwrap();
            let at: i64 = at.split('}').next().unwrap().parse().unwrap();
            if at == 0 {
                break;
            }
            latencies.push((micros() - at) as f64 / 1e3);
        }
        latencies
    });
    ready.send(()).unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while !ended.load(Ordering::Relaxed) {
        tick.tick().await;
        sql.execute(&insert, &[&micros()]).await.unwrap();
    }
    sql.execute(&insert, &[&0_i64]).await.unwrap();
    reading.await.unwrap()
}

/// A kill under 1,000 changes a second, and how long it takes until a new process is live.
async fn restart(postgres: &Postgres) {
    let sql = postgres.client().await;
    sql.batch_execute("truncate missed").await.unwrap();
    let permanent = [("WALCAST__REPLICATION__TEMPORARY", "false"), ("WALCAST__REPLICATION__SLOT", "restart")];
    let walcast = Walcast::serve_with(postgres, &permanent).await;
    let writer = postgres.client().await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        let mut id = 0_i64;
        while stopped.try_recv().is_err() {
            tick.tick().await;
            let sql = "insert into missed select i, 0, 'somebody', repeat('x', 100) from generate_series($1::int8, $1 + 9) i";
            writer.execute(sql, &[&id]).await.unwrap();
            id += 10;
        }
    });
    tokio::time::sleep(Duration::from_secs(20)).await;
    let held = "select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::float8 / 1048576 \
                from pg_replication_slots where slot_name = 'restart'";
    let held: f64 = sql.query_one(held, &[]).await.unwrap().get(0);
    drop(walcast);
    let start = Instant::now();
    let walcast = Walcast::serve_with(postgres, &permanent).await;
    let took = start.elapsed().as_secs_f64();
    stop.send(()).unwrap();
    writing.await.unwrap();
    println!(
        "restart: live {took:.2} s after a kill under 1,000 changes/s, with {held:.0} MiB of log to read again"
    );
    drop(walcast);
    let gone = "select count(*) from pg_replication_slots where slot_name = 'restart' and active";
    while sql.query_one(gone, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sql.batch_execute("select pg_drop_replication_slot('restart')").await.unwrap();
}

/// 1,000,000 rows to one client, beside what `psql` copies in the same run.
async fn snapshot(postgres: &Postgres) {
    const ROWS: usize = 1_000_000;
    let sql = postgres.client().await;
    sql.batch_execute(&format!(
        "truncate missed; insert into missed select i, i, 'somebody', repeat('x', 100) from generate_series(1, {ROWS}) i"
    ))
    .await
    .unwrap();
    let walcast = Walcast::serve_with(postgres, &[("WALCAST__WINDOW__BYTES", "67108864")]).await;
    let mut copies = Vec::new();
    let mut snapshots = Vec::new();
    let memory = walcast.memory("VmRSS");
    for _ in 0..3 {
        let start = Instant::now();
        let status = Command::new(postgres.program("psql"))
            .args([&postgres.url(), "-qc", "\\copy missed to /dev/null"])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        copies.push(ROWS as f64 / start.elapsed().as_secs_f64());
        let start = Instant::now();
        let (mut client, _) = Client::join_with(walcast.address, TOPIC, ",\"snapshot\":{}").await;
        loop {
            let frame = client.frame().await.expect("the whole snapshot");
            if frame.windows(14).take(200).any(|part| part == b"\"snapshot_end\"") {
                let end = String::from_utf8_lossy(frame);
                assert!(end.contains(&format!("\"rows\":{ROWS},\"complete\":true")), "{end}");
                break;
            }
        }
        snapshots.push(ROWS as f64 / start.elapsed().as_secs_f64());
    }
    let median = |figures: &mut Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let (copy, told) = (median(&mut copies), median(&mut snapshots));
    println!(
        "snapshot: {told:.0} rows/s of {ROWS}, psql's \\copy {copy:.0}: {:.2} of that; memory {:.0} MiB before, {:.0} at its highest",
        told / copy,
        memory as f64 / 1024.0,
        walcast.memory("VmHWM") as f64 / 1024.0
    );
}
