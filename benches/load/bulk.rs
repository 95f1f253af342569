//! One subscriber and much to tell it.

use std::time::{Duration, Instant};

use tokio_postgres::Client as Sql;

use crate::client::Client;
use crate::server::{Postgres, Walcast};

const ROWS: i64 = 1_000_000;
const TOPIC: &str = "realtime:public:load";

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// An empty table of eight columns, published; its rows are about 155 bytes of pgoutput.
async fn prepare(sql: &Sql) {
    sql.batch_execute(
        "drop publication if exists load; drop table if exists load; \
         create table load (id int8 primary key, account int4, name text, amount numeric, rate float8, active bool, \
                            at timestamptz, note text); \
         create publication load for table load",
    )
    .await
    .unwrap();
}

async fn insert(sql: &Sql, rows: i64) {
    let statement = "insert into load select i, i % 5000, 'customer name', 12345.67, 0.125, true, \
                     '2026-01-02 03:04:05.678901+00', 'a note of some forty characters, as usual' \
                     from generate_series(1::int8, $1) i";
    sql.execute(statement, &[&rows]).await.unwrap();
}

/// Seconds from the commit of a million rows until `pg_recvlogical` has them all.
async fn baseline(postgres: &Postgres, sql: &Sql) -> f64 {
    prepare(sql).await;
    sql.execute("select pg_create_logical_replication_slot('baseline', 'pgoutput')", &[]).await.unwrap();
    // It ends by itself at a position, and that is known only after the commit: hence a second process that
    // waits for nothing but the end of the first one's slot.
    let mut receiver = postgres.receiver("baseline").arg("-s1").spawn().expect("pg_recvlogical");
    insert(sql, ROWS).await;
    let start = Instant::now();
    let end =
        sql.query_one("select pg_current_wal_flush_lsn()::text", &[]).await.unwrap().get::<_, String>(0);
    let reached = format!(
        "select confirmed_flush_lsn >= '{end}' or (select sent_lsn from pg_stat_replication \
                           where application_name = 'pg_recvlogical') >= '{end}' \
                           from pg_replication_slots where slot_name = 'baseline'"
    );
    while !sql.query_one(&reached, &[]).await.unwrap().get::<_, Option<bool>>(0).unwrap_or(false) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    receiver.kill().unwrap();
    receiver.wait().unwrap();
    while sql.execute("select pg_drop_replication_slot('baseline')", &[]).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    seconds
}

/// One transaction of a million rows to one subscriber, beside `pg_recvlogical` to /dev/null.
pub async fn bulk(postgres: &Postgres, runs: usize) {
    let sql = postgres.client().await;
    let (mut theirs, mut ours, mut cpu, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        theirs.push(ROWS as f64 / baseline(postgres, &sql).await);
        prepare(&sql).await;
        let walcast = Walcast::serve(postgres).await;
        let mut client = Client::join(walcast.address, TOPIC).await;
        let reader = tokio::spawn(async move {
            for row in 0..ROWS {
                assert!(client.frame().await.is_some(), "closed after {row} rows");
            }
        });
        let before = walcast.cpu();
        insert(&sql, ROWS).await;
        let start = Instant::now();
        reader.await.unwrap();
        ours.push(ROWS as f64 / start.elapsed().as_secs_f64());
        cpu.push((walcast.cpu() - before) * 1e6 / ROWS as f64);
        memory.push(walcast.memory("VmHWM") as f64 / 1024.0);
    }
    let (theirs, ours) = (median(theirs), median(ours));
    println!("\nbulk: one transaction of {ROWS} rows, from its commit to the last row");
    println!("  pg_recvlogical to /dev/null    {theirs:>9.0} rows/s");
    println!("  walcast to one subscriber      {ours:>9.0} rows/s   ratio {:.2}", ours / theirs);
    println!("  walcast's CPU                  {:>9.2} us/row", median(cpu));
    println!("  walcast's highest memory       {:>9.1} MiB", median(memory));
}

/// The same transaction to a subscriber that reads 2 MB/s, until it is closed or has all.
pub async fn slow(postgres: &Postgres, runs: usize) {
    let sql = postgres.client().await;
    let (mut memory, mut rate, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        prepare(&sql).await;
        let walcast = Walcast::serve(postgres).await;
        let mut sluggish = Client::join(walcast.address, TOPIC).await;
        let mut brisk = Client::join(walcast.address, TOPIC).await;
        let slow = tokio::spawn(async move {
            let mut bytes = 0;
            let start = Instant::now();
            while let Some(frame) = sluggish.frame().await {
                bytes += frame.len();
                let due = Duration::from_secs_f64(bytes as f64 / 2e6);
                if let Some(early) = due.checked_sub(start.elapsed()) {
                    tokio::time::sleep(early).await;
                }
            }
            bytes as f64 / 1e6
        });
        let fast = tokio::spawn(async move {
            for row in 0..ROWS {
                assert!(brisk.frame().await.is_some(), "closed after {row} rows");
            }
        });
        insert(&sql, ROWS).await;
        let start = Instant::now();
        fast.await.unwrap();
        rate.push(ROWS as f64 / start.elapsed().as_secs_f64());
        read.push(slow.await.unwrap());
        memory.push(walcast.memory("VmHWM") as f64 / 1024.0);
    }
    println!("\nslow: the same beside a subscriber that reads 2 MB/s");
    println!("  walcast to the brisk one       {:>9.0} rows/s", median(rate));
    println!("  the slow one was closed after  {:>9.1} MB", median(read));
    println!("  walcast's highest memory       {:>9.1} MiB", median(memory));
}
