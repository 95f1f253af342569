//! Many who look at different things: 10,000 live queries, of which a change makes one stale, or none.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::contenders::Contender;
use crate::server::Postgres;
use crate::streams::{Seen, distinct};
use crate::{SELECTION, median, reset, statements};

pub const AUCTIONS: usize = 10_000;
const FEW: usize = 100;
/// Bids one after the other, in each of the runs.
const BIDS: usize = 300;
const RUNS: usize = 3;
/// Rows of which none is looked at, in transactions of 1,000.
const UNSEEN: i32 = 20;

pub async fn run(postgres: &Postgres, sql: &Client) {
    println!("\ndistinct: query ($id: ID!) @live {{ auction(id: $id) {{ {SELECTION} }} }}");
    reset(sql).await;
    let walcast = Contender::walcast(postgres).await;
    // Caches are filled by the first of them.
    let _ = unseen(&walcast, sql).await;
    let (table_none, rows_none) = unseen(&walcast, sql).await;

    let seen = Seen::new(AUCTIONS + 1);
    let mut listening = vec![distinct(walcast.address(), SELECTION, 1..FEW + 1, &seen).await];
    let mut bids = 10;
    let few = seen_bids(&walcast, sql, &seen, &mut bids).await;
    let start = Instant::now();
    listening.push(distinct(walcast.address(), SELECTION, FEW + 1..AUCTIONS + 1, &seen).await);
    let started = start.elapsed().as_secs_f64();
    let many = seen_bids(&walcast, sql, &seen, &mut bids).await;
    let results = seen.results();
    let _ = unseen(&walcast, sql).await;
    let (table_many, rows_many) = unseen(&walcast, sql).await;
    assert_eq!(seen.results(), results, "what nobody looks at was told");

    println!("  {:<44}{:>10}{:>10}{:>10}", "live queries", "none", FEW, AUCTIONS);
    println!("  {:<44}{:>10}{:>10.2}{:>10.2}", "re-runs a bid on one that is looked at", "", few.0, many.0);
    println!("  {:<44}{:>10}{:>10.1}{:>10.1}", "us of CPU a bid on one that is looked at", "", few.1, many.1);
    println!("  {:<44}{rows_none:>10.2}{:>10}{rows_many:>10.2}", "us of CPU a bid on one that is not", "");
    println!("  {:<44}{table_none:>10.2}{:>10}{table_many:>10.2}", "us of CPU a row of another table", "");
    println!("  CPU a bid, {AUCTIONS} / {FEW} {:>14.2}", many.1 / few.1);
    println!(
        "  us more for what is not looked at {:>8.2}, {:.2}",
        rows_many - rows_none,
        table_many - table_none
    );
    println!("  ms to start one live query {:>15.2}", started * 1e3 / (AUCTIONS - FEW) as f64);
}

/// Bids on the first auctions in turn, each waited for: re-runs and microseconds of CPU a bid.
async fn seen_bids(walcast: &Contender, sql: &Client, seen: &Seen, bids: &mut i64) -> (f64, f64) {
    let insert = sql.prepare("insert into bids (auction_id, amount) values ($1, $2)").await.unwrap();
    let (mut runs, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (before, cpu) = (statements(sql).await, walcast.cpu());
        for number in 0..BIDS {
            let auction = 1 + number % FEW;
            if auction == 1 {
                *bids += 1;
            }
            let value = i32::try_from(*bids).unwrap();
            sql.execute(&insert, &[&i64::try_from(auction).unwrap(), &value]).await.unwrap();
            seen.one_holds(auction, *bids).await;
        }
        cpus.push((walcast.cpu() - cpu) * 1e6 / BIDS as f64);
        // Each bid is one statement, too.
        runs.push((statements(sql).await - before) as f64 / BIDS as f64 - 1.0);
    }
    (median(&runs), median(&cpus))
}

/// Microseconds of CPU for a row of a table that nobody looks at, and for a bid on an auction that nobody looks at.
async fn unseen(walcast: &Contender, sql: &Client) -> (f64, f64) {
    let other = "insert into messages (room_id, \"from\", body) select 1, 'them', 'text ' || i from generate_series(1, 1000) i";
    let same = format!(
        "insert into bids (auction_id, amount) select {}, i from generate_series(1, 1000) i",
        AUCTIONS + 1
    );
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (costs, insert) in costs.iter_mut().zip([other, &same]) {
            let cpu = walcast.cpu();
            for _ in 0..UNSEEN {
                sql.batch_execute(insert).await.unwrap();
            }
            caught_up(sql).await;
            costs.push((walcast.cpu() - cpu) * 1e6 / f64::from(UNSEEN * 1000));
        }
    }
    (median(&costs[0]), median(&costs[1]))
}

/// Waits until walcast has acknowledged all that was committed.
async fn caught_up(sql: &Client) {
    let end: String = sql.query_one("select pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    let reached = "select bool_and(flush_lsn >= $1::text::pg_lsn) from pg_stat_replication";
    while sql.query_one(reached, &[&end]).await.unwrap().get::<_, Option<bool>>(0) != Some(true) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
