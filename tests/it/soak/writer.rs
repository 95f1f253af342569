//! What is written: random rows, in random transactions, some of which are rolled back.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::RwLock;
use tokio_postgres::NoTls;

/// Ids are taken from so many, so that rows come, change, go and come again.
const ROWS: i32 = 800;

/// Writes for ever, but for when everything is at rest; the server may be away.
pub(super) async fn write(url: String, mut random: Rng, rest: Arc<RwLock<()>>, transactions: Arc<AtomicU64>) {
    loop {
        let _ = session(&url, &mut random, &rest, &transactions).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn session(
    url: &str,
    random: &mut Rng,
    rest: &RwLock<()>,
    transactions: &AtomicU64,
) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    loop {
        let writing = rest.read().await;
        match client.batch_execute(&transaction(random)).await {
            Ok(()) => {
                transactions.fetch_add(1, Ordering::Relaxed);
            }
            // Two that meet at a key or at a lock: one gives way.
            Err(error) if error.as_db_error().is_some() && !client.is_closed() => {
                client.batch_execute("rollback").await?;
            }
            Err(error) => return Err(error),
        }
        drop(writing);
        tokio::time::sleep(Duration::from_millis(random.u64(..12))).await;
    }
}

fn transaction(random: &mut Rng) -> String {
    let mut sql = "begin; ".to_owned();
    for _ in 0..random.usize(1..6) {
        statement(random, &mut sql);
    }
    if random.u8(..4) == 0 {
        // A subtransaction that is taken back tells nothing.
        sql.push_str("savepoint s; ");
        statement(random, &mut sql);
        sql.push_str("rollback to s; ");
        statement(random, &mut sql);
    }
    sql.push_str(if random.u8(..10) == 0 { "rollback" } else { "commit" });
    sql
}

fn statement(random: &mut Rng, sql: &mut String) {
    let (id, other, n) = (random.i32(0..ROWS), random.i32(0..ROWS), random.i32(0..1000));
    let length = if random.u8(..50) == 0 { random.i32(2_000..60_000) } else { random.i32(0..200) };
    let body = format!("repeat(chr({}), {length})", random.i32(97..123));
    let upsert = "on conflict (id) do update set n = excluded.n, body = excluded.body; ";
    let _ = match random.u8(..10) {
        0..=2 => write!(sql, "insert into items (id, n, body) values ({id}, {n}, {body}) {upsert}"),
        3 | 4 => write!(sql, "update items set n = {n} where id = {id}; "),
        5 => write!(sql, "update items set body = {body} where id = {id}; "),
        6 => write!(sql, "delete from items where id = {id}; "),
        // The key changes, if the new one is free.
        7 => write!(
            sql,
            "update items set id = {other} where id = {id} and not exists (select from items where id = {other}); "
        ),
        8 => write!(sql, "update items set n = {n} where id between {id} and {}; ", id + random.i32(0..30)),
        _ => write!(sql, "select pg_logical_emit_message({}, 'somebody', {body}); ", random.bool()),
    };
    let _ = write!(sql, "insert into journal (n, body) values ({n}, 'journal'); ");
}
