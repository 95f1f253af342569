//! The benchmark of live queries: what a change costs, by how many look and how many different things they look at;
//! beside a hand-written server on graphql-yoga with `@envelop/live-query`, in the same run.
//!
//! ```text
//! cargo bench --bench live                 every scenario, under 4 minutes
//! cargo bench --bench live -- shared       one of: shared, distinct, memory
//! cargo bench --bench live -- walcast      without the peer, for a profiler
//! ```
//!
//! docs/benchmarks.md says what each figure means.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]
#![allow(unreachable_pub, reason = "nothing outside of this program sees its items")]

mod contenders;
mod distinct;
mod memory;
#[path = "../load/server.rs"]
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod server;
mod shared;
mod streams;

use server::Postgres;
use tokio::runtime::Runtime;
use tokio_postgres::Client;

/// What everyone looks at; `$id` stands in the document's text or in its variables.
const SELECTION: &str = "bids { amount } highestBid { amount } id title";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let peer = !words.iter().any(|word| word == "walcast");
    let scenarios: Vec<&String> = words.iter().filter(|word| *word != "walcast").collect();
    let wanted = |name: &str| scenarios.is_empty() || scenarios.iter().any(|scenario| *scenario == name);
    let runtime = Runtime::new().expect("a runtime");
    let postgres = Postgres::start_with(&[
        // Counts the statements that reach Postgres, whoever sends them.
        ("shared_preload_libraries", "pg_stat_statements"),
        ("pg_stat_statements.track_utility", "off"),
        // Says when a transaction was committed.
        ("track_commit_timestamp", "on"),
        // How far walcast is, is told every quarter of this.
        ("wal_sender_timeout", "1s"),
    ]);
    runtime.block_on(async {
        let sql = prepare(&postgres).await;
        println!("{}", postgres.heading());
        if wanted("shared") {
            shared::run(&postgres, &sql, peer).await;
        }
        if wanted("distinct") {
            distinct::run(&postgres, &sql).await;
        }
        if wanted("memory") {
            memory::run(&postgres, &sql).await;
        }
    });
}

/// The demo's schema with 10,001 auctions, of which the last one is never looked at. As in the peer, whoever bids need not
/// bid more than the others: in a flood bids overtake each other.
async fn prepare(postgres: &Postgres) -> Client {
    let sql = postgres.client().await;
    sql.batch_execute(include_str!("../../sql/demo.sql")).await.unwrap();
    sql.batch_execute(&format!(
        "truncate auctions, bids, messages restart identity; \
         insert into auctions (title) select 'Auction number ' || i from generate_series(1, {}) i; \
         create or replace function bid(auction_id bigint, amount int) returns bids language sql volatile as \
         'insert into bids (auction_id, amount) values (bid.auction_id, bid.amount) returning *'; \
         create extension pg_stat_statements; \
         create publication load for all tables",
        distinct::AUCTIONS + 1
    ))
    .await
    .unwrap();
    reset(&sql).await;
    sql
}

/// Ten bids on every auction, 1 to 10.
async fn reset(sql: &Client) {
    sql.batch_execute(&format!(
        "truncate bids restart identity; \
         insert into bids (auction_id, amount) \
         select a, b from generate_series(1, 10) b, generate_series(1, {}) a",
        distinct::AUCTIONS + 1
    ))
    .await
    .unwrap();
    sql.batch_execute("vacuum analyze").await.unwrap();
}

/// Statements on auctions and bids that Postgres has carried out so far, but for those within functions and triggers. What
/// walcast asks of the catalog from time to time is not among them, nor is the question itself, whose constant is cut out.
async fn statements(sql: &Client) -> i64 {
    let count = "select sum(calls)::bigint from pg_stat_statements where query ~ 'auctions|bids'";
    sql.query_one(count, &[]).await.unwrap().get(0)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
