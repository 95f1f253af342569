//! The GraphQL benchmark: one query, asked of Postgres by pgbench as the SQL that walcast makes of it, of walcast, and
//! of a hand-written server on graphql-yoga; one after the other in each run.
//!
//! ```text
//! cargo bench --bench graphql                  medians of 5 runs
//! cargo bench --bench graphql -- quick         of 3 short ones
//! cargo bench --bench graphql -- walcast       without the others (pgbench, graphql-yoga), for a profiler
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

use contenders::{Pgbench, Yoga, cpu_of_client, cpu_of_family};
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
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wanted = |word: &str| words.iter().any(|given| given == word);
    let quick = wanted("quick");
    let alone = words.iter().any(|word| word != "quick");
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

    let load = |address, time| {
        let requests: Vec<Vec<u8>> = (1..=AUCTIONS).map(|id| request(address, id)).collect();
        load::run(address, &requests, CONNECTIONS, THREADS, time)
    };
    // Connections are made and what is compiled at run time is compiled.
    load(walcast.address, Duration::from_secs(2));
    load(yoga.address, Duration::from_secs(5));

    let contenders = [
        Contender {
            name: "pgbench",
            run: Box::new(|| pgbench.run(CONNECTIONS, THREADS, time)),
            cpu: Box::new(|| 0.0),
        },
        Contender {
            name: "walcast",
            run: Box::new(|| load(walcast.address, time)),
            cpu: Box::new(|| walcast.cpu()),
        },
        Contender {
            name: "graphql-yoga",
            run: Box::new(|| load(yoga.address, time)),
            cpu: Box::new(|| yoga.cpu()),
        },
    ];
    let contenders: Vec<_> =
        contenders.into_iter().filter(|contender| !alone || wanted(contender.name)).collect();
    let mut measured: Vec<Vec<Figures>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (contender, figures) in contenders.iter().zip(&mut measured) {
            figures.push(contender.measure(postmaster));
        }
    }
    println!("\ngraphql: {QUERY}");
    println!(
        "  {:<14}{:>12}  us of CPU a request:{:>8}{:>10}{:>8}",
        "", "requests/s", "server", "Postgres", "client"
    );
    for (contender, figures) in contenders.iter().zip(&measured) {
        let of = |figure: fn(&Figures) -> f64| median(figures.iter().map(figure));
        println!(
            "  {:<14}{:>12.0}{:>30.1}{:>10.1}{:>8.1}",
            contender.name,
            of(|f| f.rate),
            of(|f| f.server),
            of(|f| f.postgres),
            of(|f| f.client)
        );
    }
    if let [pgbench, walcast, yoga] = measured.as_slice() {
        println!("  walcast / pgbench       {:>8.2}", ratio(walcast, pgbench));
        println!("  walcast / graphql-yoga  {:>8.2}", ratio(walcast, yoga));
    }
}

/// Who answers the query, and how it is asked.
struct Contender<'a> {
    name: &'static str,
    run: Box<dyn Fn() -> load::Load + 'a>,
    /// CPU seconds of the server between client and Postgres.
    cpu: Box<dyn Fn() -> f64 + 'a>,
}

/// What one contender did in one run.
struct Figures {
    /// Requests a second.
    rate: f64,
    /// Microseconds of CPU a request: of the server, of all processes of Postgres, and of the client.
    server: f64,
    postgres: f64,
    client: f64,
}

impl Contender<'_> {
    fn measure(&self, postmaster: u32) -> Figures {
        let cpu = || [(self.cpu)(), cpu_of_family(postmaster), cpu_of_client()];
        let before = cpu();
        let load = (self.run)();
        let after = cpu();
        let requests = load.requests as f64;
        let [server, postgres, client] =
            std::array::from_fn(|index| (after[index] - before[index]) * 1e6 / requests);
        Figures { rate: requests / load.seconds, server, postgres, client }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median of the runs' own ratios: what slows the machine down for a while, slows a whole run down.
fn ratio(ours: &[Figures], theirs: &[Figures]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.rate / theirs.rate))
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

fn request(address: SocketAddr, id: u32) -> Vec<u8> {
    let body = serde_json::json!({ "query": QUERY, "variables": { "id": id.to_string() } }).to_string();
    let head = "POST /graphql HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n";
    format!("{head}Host: {address}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
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
                serde_json::from_slice(connection.ask(&request(address, id)).await).unwrap();
            assert_eq!(answer, wanted);
        }
    }
}
