//! Every row to every socket, by walcast and by its peers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_postgres::Client as Sql;

use crate::contenders::{Contender, Kind};
use crate::crowd::{Crowd, Look};
use crate::server::Postgres;

pub const TOPIC: &str = "realtime:public:fanout";

/// How much of everything is measured.
#[derive(Clone, Copy)]
pub struct Size {
    pub runs: usize,
    /// Sockets of which the memory is taken.
    pub idle: usize,
    /// Sockets that get bursts, and how many bursts of [`BURST`] rows.
    pub crowd: usize,
    pub bursts: usize,
    /// Sockets that get one row every five milliseconds, and how many rows.
    pub few: usize,
    pub rows: usize,
}

impl Size {
    pub const FULL: Self = Self { runs: 5, idle: 5000, crowd: 1000, bursts: 10, few: 100, rows: 2000 };
    pub const QUICK: Self = Self { runs: 1, idle: 500, crowd: 200, bursts: 3, few: 100, rows: 200 };
}

/// Rows of one burst, which is one transaction.
const BURST: i64 = 100;

/// What one run of one server came to.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    /// KiB of memory for each socket that is joined and says nothing.
    pub memory: f64,
    /// Microseconds of CPU for each join.
    pub join: f64,
    /// Of one core, while all of them say nothing; in percent.
    pub idle: f64,
    /// Microseconds of CPU for each delivery of a burst.
    pub burst: f64,
    /// Deliveries a second, in bursts.
    pub rate: f64,
    /// Microseconds of CPU for each delivery of a row that comes alone.
    pub paced: f64,
    /// Milliseconds from a row's writing to its reading.
    pub p50: f64,
    pub p99: f64,
    /// Deliveries that were lost, came twice or out of order.
    pub faults: f64,
}

/// A message of a chat, and for the peers the JSON of its change, which is walcast's in all but its cursor.
pub async fn prepare(sql: &Sql, trigger: bool) {
    sql.batch_execute(
        "drop publication if exists load; drop table if exists fanout; \
         create table fanout (id int8 primary key, at int8, room int4, author text, body text); \
         create publication load for table fanout; \
         create or replace function notify_fanout() returns trigger language plpgsql as $$ begin \
           perform pg_notify('fanout', '{\"schema\":\"public\",\"table\":\"fanout\",\"commit_timestamp\":\"' || \
             to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US+00:00') || \
             '\",\"cursor\":\"0000000000000000-0000000000000000-0\",\"errors\":null,\"columns\":[{\"name\":\"id\",\
             \"type\":\"int8\"},{\"name\":\"at\",\"type\":\"int8\"},{\"name\":\"room\",\"type\":\"int4\"},\
             {\"name\":\"author\",\"type\":\"text\"},{\"name\":\"body\",\"type\":\"text\"}],\"type\":\"INSERT\",\
             \"record\":' || row_to_json(new) || '}'); return null; end $$",
    )
    .await
    .unwrap();
    if trigger {
        sql.batch_execute(
            "create trigger told after insert on fanout for each row execute function notify_fanout()",
        )
        .await
        .unwrap();
    }
}

/// Writes rows, numbered from `first`, in one transaction.
pub async fn insert(sql: &Sql, first: i64, rows: i64) {
    let statement = "insert into fanout select i, (extract(epoch from clock_timestamp()) * 1e6)::int8, 7, 'somebody', \
                     'a message of some forty characters, as usual' from generate_series($1::int8, $2) i";
    sql.execute(statement, &[&first, &(first + rows - 1)]).await.unwrap();
}

/// One run of one server.
pub async fn measure(postgres: &Postgres, kind: Kind, size: &Size) -> Figures {
    let sql = postgres.client().await;
    prepare(&sql, kind != Kind::Walcast).await;
    let contender = Contender::start(kind, postgres).await;
    let mut figures = Figures::default();
    // The first connection pays for what is made once.
    drop(open(&contender, 1, Look::Order).await);
    idle(&contender, size, &mut figures).await;
    burst(&sql, &contender, size, &mut figures).await;
    paced(&sql, &contender, size, &mut figures).await;
    figures
}

async fn open(contender: &Contender, sockets: usize, look: Look) -> Crowd {
    let topics = vec![TOPIC.to_owned(); sockets];
    Crowd::open(contender.address(), contender.kind(), topics, look).await.expect("all join")
}

async fn idle(contender: &Contender, size: &Size, figures: &mut Figures) {
    const REST: Duration = Duration::from_secs(2);
    let (memory, cpu) = (contender.memory(), contender.cpu());
    let crowd = open(contender, size.idle, Look::Order).await;
    let sockets = size.idle as f64;
    figures.join = (contender.cpu() - cpu) * 1e6 / sockets;
    figures.memory = (contender.memory() - memory) as f64 / sockets;
    let cpu = contender.cpu();
    tokio::time::sleep(REST).await;
    figures.idle = (contender.cpu() - cpu) * 100.0 / REST.as_secs_f64();
    drop(crowd);
    // What closing costs is not part of what comes next.
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn burst(sql: &Sql, contender: &Contender, size: &Size, figures: &mut Figures) {
    let crowd = open(contender, size.crowd, Look::Order).await;
    let each = size.crowd as u64 * BURST.unsigned_abs();
    let (mut cpu, mut rates) = (0.0, Vec::new());
    // The first one fills buffers that stay.
    for burst in 0..=size.bursts {
        if burst == 1 {
            cpu = contender.cpu();
        }
        insert(sql, i64::try_from(burst).unwrap() * BURST, BURST).await;
        let committed = crate::crowd::now();
        crowd.seen.rows(each * (burst as u64 + 1)).await;
        let seconds = (crowd.seen.last.load(Ordering::Relaxed) - committed) as f64 / 1e6;
        rates.push(each as f64 / seconds.max(1e-6));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    figures.burst = (contender.cpu() - cpu) * 1e6 / (each as f64 * size.bursts as f64);
    figures.rate = crate::bulk::median(rates);
    figures.faults += crowd.seen.faults.load(Ordering::Relaxed) as f64;
}

async fn paced(sql: &Sql, contender: &Contender, size: &Size, figures: &mut Figures) {
    let crowd = open(contender, size.few, Look::Time).await;
    let first = i64::try_from(size.bursts + 1).unwrap() * BURST;
    let statement = sql
        .prepare(
            "insert into fanout values ($1, (extract(epoch from clock_timestamp()) * 1e6)::int8, 7, 'somebody', \
             'a message of some forty characters, as usual')",
        )
        .await
        .unwrap();
    let cpu = contender.cpu();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    for id in first..first + i64::try_from(size.rows).unwrap() {
        tick.tick().await;
        sql.execute(&statement, &[&id]).await.unwrap();
    }
    let deliveries = size.rows * size.few;
    crowd.seen.rows(deliveries as u64).await;
    figures.paced = (contender.cpu() - cpu) * 1e6 / deliveries as f64;
    let mut latencies = std::mem::take(&mut *crowd.seen.latencies.lock().unwrap());
    latencies.sort_by(f64::total_cmp);
    figures.p50 = latencies[latencies.len() / 2];
    figures.p99 = latencies[latencies.len() * 99 / 100];
    figures.faults += crowd.seen.faults.load(Ordering::Relaxed) as f64;
}
