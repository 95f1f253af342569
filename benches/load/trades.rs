//! What a setting costs and what it brings: compression, changes that wait for more, and the replay window.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::bulk::median;
use crate::contenders::Kind;
use crate::crowd::{Crowd, Look};
use crate::fanout;
use crate::server::{Postgres, Walcast};

/// What one setting comes to.
pub struct Figures {
    /// Microseconds of CPU for each delivery.
    pub cpu: f64,
    /// Bytes on the wire for each delivery.
    pub bytes: f64,
    /// Milliseconds from a row's writing to its reading, where that is looked at: the median, and the 99th percentile.
    pub latency: (f64, f64),
}

/// How rows are written.
#[derive(Clone, Copy)]
enum Pace {
    /// So many transactions of a hundred rows, each when the one before has come.
    Bursts(i64),
    /// So many rows, one every five milliseconds.
    Single(i64),
}

/// Bursts of 100 rows to sockets: as they are, and compressed.
pub async fn compress(postgres: &Postgres, runs: usize, sockets: usize, bursts: i64) -> [Figures; 2] {
    let (off, on) = (("WALCAST__CHANNELS__COMPRESSION", "false"), ("WALCAST__CHANNELS__COMPRESSION", "true"));
    let pace = Pace::Bursts(bursts);
    [
        measure(postgres, runs, off, Look::Count, sockets, pace).await,
        measure(postgres, runs, on, Look::Deflated, sockets, pace).await,
    ]
}

/// A row every five milliseconds to sockets: at once, and waiting for 50 ms.
pub async fn coalesce(postgres: &Postgres, runs: usize, sockets: usize, rows: i64) -> [Figures; 2] {
    let (off, on) =
        (("WALCAST__CHANNELS__COALESCE", ""), ("WALCAST__CHANNELS__COALESCE", "realtime:public:fanout=50"));
    let pace = Pace::Single(rows);
    [
        measure(postgres, runs, off, Look::Count, sockets, pace).await,
        measure(postgres, runs, on, Look::Count, sockets, pace).await,
    ]
}

/// The same rows with and without a window to come back to.
pub async fn window(postgres: &Postgres, runs: usize, sockets: usize, rows: i64) -> [Figures; 2] {
    let (off, on) = (("WALCAST__WINDOW__BYTES", "0"), ("WALCAST__WINDOW__BYTES", "67108864"));
    let pace = Pace::Single(rows);
    [
        measure(postgres, runs, off, Look::Time, sockets, pace).await,
        measure(postgres, runs, on, Look::Time, sockets, pace).await,
    ]
}

async fn measure(
    postgres: &Postgres,
    runs: usize,
    setting: (&str, &str),
    look: Look,
    sockets: usize,
    pace: Pace,
) -> Figures {
    let sql = postgres.client().await;
    let (mut cpu, mut bytes, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        fanout::prepare(&sql, false).await;
        let walcast = Walcast::serve_with(postgres, &[setting]).await;
        let topics = vec![fanout::TOPIC.to_owned(); sockets];
        let crowd = Crowd::open(walcast.address, Kind::Walcast, topics, look).await.expect("all join");
        let seen = async |rows: i64| crowd.seen.rows(u64::try_from(rows).unwrap() * sockets as u64).await;
        // What is made once is made with the first.
        fanout::insert(&sql, 0, 1).await;
        seen(1).await;
        let before = (walcast.cpu(), crowd.seen.bytes.load(Ordering::Relaxed));
        let rows = match pace {
            Pace::Bursts(bursts) => {
                for burst in 0..bursts {
                    fanout::insert(&sql, 1 + burst * 100, 100).await;
                    seen(1 + (burst + 1) * 100).await;
                }
                bursts * 100
            }
            Pace::Single(rows) => {
                let mut tick = tokio::time::interval(Duration::from_millis(5));
                for row in 0..rows {
                    tick.tick().await;
                    fanout::insert(&sql, 1 + row, 1).await;
                }
                seen(1 + rows).await;
                rows
            }
        };
        let deliveries = rows as f64 * sockets as f64;
        cpu.push((walcast.cpu() - before.0) * 1e6 / deliveries);
        bytes.push((crowd.seen.bytes.load(Ordering::Relaxed) - before.1) as f64 / deliveries);
        let mut latencies = std::mem::take(&mut *crowd.seen.latencies.lock().unwrap());
        if !latencies.is_empty() {
            latencies.sort_by(f64::total_cmp);
            p50.push(latencies[latencies.len() / 2]);
            p99.push(latencies[latencies.len() * 99 / 100]);
        }
        assert_eq!(crowd.seen.closed.load(Ordering::Relaxed), 0);
    }
    let latency = if p50.is_empty() { (0.0, 0.0) } else { (median(p50), median(p99)) };
    Figures { cpu: median(cpu), bytes: median(bytes), latency }
}
