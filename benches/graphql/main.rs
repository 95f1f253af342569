//! The GraphQL benchmark: one query, asked of Postgres by pgbench as the SQL that walcast makes of it, of walcast, and
//! of a hand-written server on graphql-yoga; one after the other in each run.
//!
//! ```text
//! cargo bench --bench graphql                  medians of 5 runs
//! cargo bench --bench graphql -- quick         of 3 short ones
//! ```
//!
//! docs/benchmarks.md says what each figure means.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]
#![allow(unreachable_pub, reason = "nothing outside of this program sees its items")]

mod contenders;
mod load;
#[path = "../load/server.rs"]
#[allow(dead_code, reason = "the other benchmark uses the rest")]
mod server;

use std::net::SocketAddr;
use std::time::Duration;

use contenders::{Pgbench, Yoga, cpu_of_postgres};
use load::Connection;
use server::{Postgres, Walcast};
use tokio::runtime::Runtime;

const QUERY: &str = "query ($id: ID!) { auction(id: $id) { title bids { amount } } }";
const AUCTIONS: u32 = 100;

/// Connections of clients, and of each server to Postgres: what walcast's pool has by default.
const CONNECTIONS: usize = 8;
/// Threads of the clients.
const THREADS: usize = 2;

fn main() {
    let quick = std::env::args().any(|argument| argument == "quick");
    let (runs, time) = if quick { (3, Duration::from_secs(3)) } else { (5, Duration::from_secs(8)) };
    let runtime = Runtime::new().expect("a runtime");
    let postgres = Postgres::start();
    println!(
        "walcast {} on Postgres {}, {runs} runs of {} s each, medians; {CONNECTIONS} connections",
        env!("CARGO_PKG_VERSION"),
        postgres.version(),
        time.as_secs()
    );
    let postmaster = runtime.block_on(prepare(&postgres));
    let statement = runtime.block_on(contenders::statement(&postgres, QUERY));
    let pgbench = Pgbench::new(&postgres, &statement, AUCTIONS);
    let walcast = runtime.block_on(Walcast::serve(&postgres));
    let yoga = Yoga::serve(&postgres, CONNECTIONS);
    runtime.block_on(agree(walcast.address, yoga.address));

    let requests: Vec<Vec<u8>> = (1..=AUCTIONS).map(request).collect();
    let load = |address, time| load::run(address, &requests, CONNECTIONS, THREADS, time);
    load(walcast.address, Duration::from_secs(2));
    load(yoga.address, Duration::from_secs(5));

    let (mut sql, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let before = cpu_of_postgres(postmaster);
        let load_of_sql = pgbench.run(CONNECTIONS, THREADS, time);
        sql.push(Figures::new(&load_of_sql, 0.0, cpu_of_postgres(postmaster) - before));

        for (address, cpu, figures) in [
            (walcast.address, &(|| walcast.cpu()) as &dyn Fn() -> f64, &mut ours),
            (yoga.address, &|| yoga.cpu(), &mut theirs),
        ] {
            let before = (cpu(), cpu_of_postgres(postmaster));
            let load = load(address, time);
            figures.push(Figures::new(&load, cpu() - before.0, cpu_of_postgres(postmaster) - before.1));
        }
    }
    report(&sql, &ours, &theirs);
}

/// What one contender did in one run.
struct Figures {
    /// Requests a second.
    rate: f64,
    /// Microseconds of the server's CPU a request.
    own: f64,
    /// Microseconds of Postgres' CPU a request.
    postgres: f64,
}

impl Figures {
    fn new(load: &load::Load, own: f64, postgres: f64) -> Self {
        let requests = load.requests as f64;
        Self { rate: requests / load.seconds, own: own * 1e6 / requests, postgres: postgres * 1e6 / requests }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(sql: &[Figures], ours: &[Figures], theirs: &[Figures]) {
    println!("\ngraphql: {QUERY}");
    println!("{:<26}{:>12}{:>22}{:>22}", "", "requests/s", "own CPU, us/request", "Postgres, us/request");
    for (name, figures) in [("pgbench, the same SQL", sql), ("walcast", ours), ("graphql-yoga", theirs)] {
        let of = |figure: fn(&Figures) -> f64| median(figures.iter().map(figure));
        println!("  {name:<24}{:>12.0}{:>22.1}{:>22.1}", of(|f| f.rate), of(|f| f.own), of(|f| f.postgres));
    }
    // Of a run's own figures: what slows a machine down for a while, slows all three.
    let ratio = |to: &[Figures]| median(ours.iter().zip(to).map(|(ours, to)| ours.rate / to.rate));
    println!("  walcast / pgbench       {:>12.2}   (median of the runs' ratios)", ratio(sql));
    println!("  walcast / graphql-yoga  {:>12.2}", ratio(theirs));
}

/// The demo's schema with 100 auctions of 100 bids; returns the process identifier of Postgres.
async fn prepare(postgres: &Postgres) -> u32 {
    let sql = postgres.client().await;
    sql.batch_execute(include_str!("../../sql/demo.sql")).await.unwrap();
    sql.batch_execute(&format!(
        "truncate auctions, bids restart identity; \
         insert into auctions (title) select 'Auction number ' || i from generate_series(1, {AUCTIONS}) i; \
         insert into bids (auction_id, amount) \
         select a, 10 * b from generate_series(1, 100) b, generate_series(1, {AUCTIONS}) a; \
         create publication load"
    ))
    .await
    .unwrap();
    sql.batch_execute("vacuum analyze").await.unwrap();
    let backend: i32 = sql.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    contenders::parent(backend.cast_unsigned())
}

fn request(id: u32) -> Vec<u8> {
    let body = serde_json::json!({ "query": QUERY, "variables": { "id": id.to_string() } }).to_string();
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Accept: application/json\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Both servers must give the same answer, and the right one.
async fn agree(walcast: SocketAddr, yoga: SocketAddr) {
    let bids: Vec<_> = (1..=100).map(|bid| serde_json::json!({ "amount": 10 * bid })).collect();
    for id in [1, 42, AUCTIONS] {
        let title = format!("Auction number {id}");
        let wanted = serde_json::json!({ "data": { "auction": { "title": title, "bids": bids } } });
        for address in [walcast, yoga] {
            let mut connection = Connection::open(address).await;
            let answer: serde_json::Value =
                serde_json::from_slice(connection.ask(&request(id)).await).unwrap();
            assert_eq!(answer, wanted);
        }
    }
}
