//! Many who look at the same: 200 clients with one live query, while one auction is bid on.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::contenders::Contender;
use crate::server::Postgres;
use crate::streams::{Connection, Seen, identical};
use crate::{SELECTION, median, reset, statements};

const CLIENTS: usize = 200;
/// Bids one after the other.
const BIDS: i64 = 200;
/// Bids of the flood, and how many a second are offered.
const FLOOD: i64 = 250;
const RATE: u32 = 50;
/// How long after the flood a client may take to see the end of it.
const PATIENCE: Duration = Duration::from_secs(15);

/// What one contender did in one run.
struct Figures {
    /// SQL statements a bid, beyond those of the bid itself.
    statements: f64,
    /// Microseconds of the server's CPU for each result that reached a client.
    cpu: f64,
    /// Milliseconds from a bid's being sent to its having reached all clients.
    round: f64,
    /// Milliseconds from the last commit of the flood to the slowest 1 % of the clients; how many have it.
    flood: Option<f64>,
    holding: usize,
    /// Results that a client was sent during the flood.
    pushes: f64,
}

pub async fn run(postgres: &Postgres, sql: &Client, peer: bool) {
    println!("\nshared: {CLIENTS} clients, query @live {{ auction(id: \"1\") {{ {SELECTION} }} }}");
    println!(
        "  {:<14}{:>12}{:>12}{:>12}{:>36}{:>10}",
        "", "SQL a bid", "us a push", "ms a bid", "ms until all hold the last (p99)", "pushes"
    );
    let mut cpu = Vec::new();
    let runs = if peer { vec![(true, 1), (false, 3)] } else { vec![(false, 3)] };
    for (yoga, runs) in runs {
        let mut all = Vec::new();
        for _ in 0..runs {
            let contender = if yoga { Contender::yoga(postgres) } else { Contender::walcast(postgres).await };
            all.push(measure(&contender, sql).await);
            if all.len() == runs {
                print(contender.name(), &all);
            }
        }
        cpu.push(median(&all.iter().map(|figures| figures.cpu).collect::<Vec<_>>()));
    }
    if let [yoga, walcast] = cpu.as_slice() {
        println!("  CPU a push, graphql-yoga / walcast {:>8.1}", yoga / walcast);
    }
}

fn print(name: &str, all: &[Figures]) {
    let of = |figure: fn(&Figures) -> f64| median(&all.iter().map(figure).collect::<Vec<_>>());
    let flood = if all.iter().all(|figures| figures.flood.is_some()) {
        format!("{:.1}", of(|figures| figures.flood.unwrap()))
    } else {
        let holding = all.iter().map(|figures| figures.holding).min().unwrap();
        format!("not in {} s ({holding} do)", PATIENCE.as_secs())
    };
    println!(
        "  {name:<14}{:>12.2}{:>12.1}{:>12.1}{flood:>36}{:>10.1}",
        of(|figures| figures.statements),
        of(|figures| figures.cpu),
        of(|figures| figures.round),
        of(|figures| figures.pushes)
    );
}

async fn measure(contender: &Contender, sql: &Client) -> Figures {
    reset(sql).await;
    let mut bidder = Connection::open(contender.address()).await;
    let mut bids = 10;
    // Statements are prepared, code is compiled; and what a bid takes when nobody looks.
    for _ in 0..BIDS / 4 {
        bids += 1;
        bid(&mut bidder, bids).await;
    }
    let before = statements(sql).await;
    for _ in 0..BIDS / 4 {
        bids += 1;
        bid(&mut bidder, bids).await;
    }
    let alone = (statements(sql).await - before) as f64 / (BIDS / 4) as f64;

    let seen = Seen::new(CLIENTS);
    let query = format!("query @live {{ auction(id: \"1\") {{ {SELECTION} }} }}");
    let listening = identical(contender.address(), &query, CLIENTS, &seen).await;
    let (before, cpu, results, start) =
        (statements(sql).await, contender.cpu(), seen.results(), Instant::now());
    for _ in 0..BIDS {
        bids += 1;
        bid(&mut bidder, bids).await;
        assert!(seen.all_hold(bids, PATIENCE).await, "a bid does not reach everyone");
    }
    let round = start.elapsed().as_secs_f64() * 1e3 / BIDS as f64;
    let cpu = (contender.cpu() - cpu) * 1e6 / (seen.results() - results) as f64;
    let statements = (statements(sql).await - before) as f64 / BIDS as f64 - alone;

    let results = seen.results();
    let last = flood(contender, bids).await;
    bids += FLOOD;
    let all = seen.all_hold(bids, PATIENCE).await;
    let committed: f64 = sql
        .query_one("select extract(epoch from timestamp)::float8 * 1e6 from pg_last_committed_xact()", &[])
        .await
        .unwrap()
        .get(0);
    drop(last);
    let pushes = (seen.results() - results) as f64 / CLIENTS as f64;
    let mut times: Vec<u64> = seen.times().iter().map(|time| time.load(Ordering::SeqCst)).collect();
    times.sort_unstable();
    let slowest = times[CLIENTS * 99 / 100 - 1] as f64;
    let holding = seen.holding(bids);
    drop(listening);
    Figures { statements, cpu, round, flood: all.then_some((slowest - committed) / 1e3), holding, pushes }
}

/// Offers the bids of the flood at their rate, whether or not the server keeps up, and returns once all were made.
async fn flood(contender: &Contender, mut amount: i64) -> JoinSet<()> {
    let mut bids = JoinSet::new();
    let mut idle: Vec<Connection> = Vec::new();
    let (back, mut free) = tokio::sync::mpsc::unbounded_channel();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / RATE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    for _ in 0..FLOOD {
        tick.tick().await;
        while let Ok(connection) = free.try_recv() {
            idle.push(connection);
        }
        let mut connection = match idle.pop() {
            Some(connection) => connection,
            None => Connection::open(contender.address()).await,
        };
        amount += 1;
        let back = back.clone();
        bids.spawn(async move {
            bid(&mut connection, amount).await;
            back.send(connection).ok();
        });
    }
    let made = async { while bids.join_next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, made).await.ok();
    bids
}

async fn bid(connection: &mut Connection, amount: i64) {
    let query = "mutation ($input: BidInput!) { bid(input: $input) { id } }";
    let variables = serde_json::json!({ "input": { "auctionId": "1", "amount": amount } });
    let body = serde_json::json!({ "query": query, "variables": variables }).to_string();
    let answer = connection.ask("POST", "/graphql", "Accept: application/json\r\n", &body).await;
    assert!(answer.starts_with("{\"data\":{\"bid\":{"), "{answer}");
}
