//! One socket that never reads, among many that do.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::contenders::Kind;
use crate::crowd::{Crowd, Look};
use crate::fanout;
use crate::server::{Postgres, Walcast};

/// What it came to.
pub struct Outcome {
    /// The others' p99 in milliseconds, without the dead one and beside it.
    pub before: f64,
    pub beside: f64,
    /// MiB by which the highest memory grew.
    pub memory: f64,
    /// Seconds until the dead one was closed.
    pub closed_after: f64,
}

/// Rows of some kilobytes to everybody; `seconds` without the dead socket, then until it is closed.
pub async fn stuck(postgres: &Postgres, sockets: usize, seconds: usize) -> Outcome {
    let sql = postgres.client().await;
    fanout::prepare(&sql, false).await;
    let walcast = Walcast::serve(postgres).await;
    let topics = vec![fanout::TOPIC.to_owned(); sockets];
    let crowd = Crowd::open(walcast.address, Kind::Walcast, topics, Look::Time).await.expect("all join");
    let statement = sql
        .prepare(
            "insert into fanout values ($1, (extract(epoch from clock_timestamp()) * 1e6)::int8, 7, 'somebody', \
             repeat('x', 8000))",
        )
        .await
        .unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut id = 0;
    for _ in 0..seconds * 20 {
        tick.tick().await;
        id += 1;
        sql.execute(&statement, &[&id]).await.unwrap();
    }
    let rows = |id: i64| id.unsigned_abs() * sockets as u64;
    crowd.seen.rows(rows(id)).await;
    let p99 = || {
        let mut latencies = std::mem::take(&mut *crowd.seen.latencies.lock().unwrap());
        latencies.sort_by(f64::total_cmp);
        latencies[latencies.len() * 99 / 100]
    };
    let before = p99();
    let memory = walcast.memory("VmHWM");
    // Nothing of it is ever read, and the system holds little for it.
    let dead = Client::dead(walcast.address, fanout::TOPIC).await;
    let start = Instant::now();
    while walcast.closed_slow() == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "the dead socket is closed");
        tick.tick().await;
        id += 1;
        sql.execute(&statement, &[&id]).await.unwrap();
    }
    let closed_after = start.elapsed().as_secs_f64();
    crowd.seen.rows(rows(id)).await;
    drop(dead);
    assert_eq!(crowd.seen.closed.load(Ordering::Relaxed), 0, "no other is closed");
    assert_eq!(crowd.seen.faults.load(Ordering::Relaxed), 0, "the others get all");
    let memory = (walcast.memory("VmHWM") - memory) as f64 / 1024.0;
    Outcome { before, beside: p99(), memory, closed_after }
}
