//! What a change costs when there are many filters.

use std::sync::atomic::Ordering;

use crate::bulk::median;
use crate::contenders::Kind;
use crate::crowd::{Crowd, Look};
use crate::fanout;
use crate::server::{Postgres, Walcast};

/// Each socket with an `id` of its own: microseconds of CPU for each change, with ten sockets and with many.
pub async fn own(postgres: &Postgres, runs: usize, many: usize, rounds: usize) -> (f64, f64) {
    let sql = postgres.client().await;
    let (mut few, mut crowded) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        fanout::prepare(&sql, false).await;
        let rows = i64::try_from(many).unwrap();
        let fill =
            "insert into fanout select i, 0, 7, 'somebody', 'a message' from generate_series(1::int8, $1) i";
        sql.execute(fill, &[&rows]).await.unwrap();
        let walcast = Walcast::serve(postgres).await;
        for (sockets, figures) in [(10, &mut few), (many, &mut crowded)] {
            let topics = (1..=sockets).map(|id| format!("{}:id=eq.{id}", fanout::TOPIC)).collect();
            let crowd =
                Crowd::open(walcast.address, Kind::Walcast, topics, Look::Count).await.expect("all join");
            let mut cpu = 0.0;
            // One change for each of ten sockets, spread over all of them: each has its own round trip.
            for round in 0..=rounds {
                if round == 1 {
                    cpu = walcast.cpu();
                }
                for place in 0..10 {
                    let id = i64::try_from(place * sockets / 10 + round % (sockets / 10).max(1) + 1).unwrap();
                    sql.execute("update fanout set room = room + 1 where id = $1", &[&id]).await.unwrap();
                    crowd.seen.rows((round * 10 + place + 1) as u64).await;
                }
            }
            figures.push((walcast.cpu() - cpu) * 1e6 / (rounds * 10) as f64);
            assert_eq!(crowd.seen.closed.load(Ordering::Relaxed), 0);
        }
    }
    (median(few), median(crowded))
}

/// Sockets with a range of their own, into which no row falls: microseconds of CPU for each change, beyond what it costs
/// when nobody is there. Where ranges are refused, their refusal.
pub async fn ranges(postgres: &Postgres, runs: usize, sockets: usize) -> Result<f64, String> {
    const ROWS: i64 = 20_000;
    let sql = postgres.client().await;
    let mut figures = Vec::new();
    for _ in 0..runs {
        fanout::prepare(&sql, false).await;
        let walcast = Walcast::serve(postgres).await;
        let witness = vec![format!("{}:author=eq.witness", fanout::TOPIC)];
        let witness = Crowd::open(walcast.address, Kind::Walcast, witness, Look::Count).await?;
        let alone = unmatched(&sql, &walcast, &witness, 0, ROWS).await;
        let topics =
            (0..sockets).map(|place| format!("{}:room=gt.{}", fanout::TOPIC, 1_000_000 + place)).collect();
        let crowd = Crowd::open(walcast.address, Kind::Walcast, topics, Look::Count).await?;
        let crowded = unmatched(&sql, &walcast, &witness, ROWS, ROWS).await;
        assert_eq!(crowd.seen.rows.load(Ordering::Relaxed), 0, "no row falls into a range");
        figures.push((crowded - alone) * 1e6 / ROWS as f64);
    }
    Ok(median(figures))
}

/// CPU seconds for rows in transactions of a hundred, until the witness has seen what came behind them.
async fn unmatched(
    sql: &tokio_postgres::Client,
    walcast: &Walcast,
    witness: &Crowd,
    first: i64,
    rows: i64,
) -> f64 {
    let (cpu, seen) = (walcast.cpu(), witness.seen.rows.load(Ordering::Relaxed));
    for start in (first..first + rows).step_by(100) {
        let insert =
            "insert into fanout select i, 0, 7, 'somebody', 'a message' from generate_series($1::int8, $2) i";
        sql.execute(insert, &[&start, &(start + 99)]).await.unwrap();
    }
    sql.execute("insert into fanout values ($1, 0, 7, 'witness', '')", &[&(-1 - first)]).await.unwrap();
    witness.seen.rows(seen + 1).await;
    walcast.cpu() - cpu
}
