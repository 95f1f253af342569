//! What a change costs when there are many filters.

use std::sync::atomic::Ordering;
use std::time::Duration;

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
        let fill = "insert into fanout select i, 0, 7, 'somebody', 'a message' from generate_series(1, $1) i";
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
        let alone = unmatched(&sql, &walcast, 0, ROWS).await;
        let topics =
            (0..sockets).map(|place| format!("{}:room=gt.{}", fanout::TOPIC, 1_000_000 + place)).collect();
        let crowd = Crowd::open(walcast.address, Kind::Walcast, topics, Look::Count).await?;
        let crowded = unmatched(&sql, &walcast, ROWS, ROWS).await;
        assert_eq!(crowd.seen.rows.load(Ordering::Relaxed), 0, "no row falls into a range");
        figures.push((crowded - alone) * 1e6 / ROWS as f64);
    }
    Ok(median(figures))
}

/// CPU seconds for rows in transactions of a hundred.
async fn unmatched(sql: &tokio_postgres::Client, walcast: &Walcast, first: i64, rows: i64) -> f64 {
    let cpu = walcast.cpu();
    for start in (first..first + rows).step_by(100) {
        let insert =
            "insert into fanout select i, 0, 7, 'somebody', 'a message' from generate_series($1::int8, $2) i";
        sql.execute(insert, &[&start, &(start + 99)]).await.unwrap();
    }
    let dispatched = "select coalesce(bool_and(confirmed_flush_lsn >= $1::text::pg_lsn), false) \
                      from pg_replication_slots where active";
    let end: String = sql.query_one("select pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    while !sql.query_one(dispatched, &[&end]).await.unwrap().get::<_, bool>(0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    walcast.cpu() - cpu
}
