//! Two processes on one slot: one reads, the other one waits and takes over, and no client loses anything.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio_postgres::Client;

use crate::slot::{Slot, assert_cursors_grow, cursor, id, position};
use crate::socket::Socket;
use crate::walcast::{Walcast, until};
use crate::{cluster, postgres_binaries};

async fn ids(client: &Client) -> BTreeSet<i64> {
    let rows = client.query("select id from t", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Waits until whatever ends now has ended: a commit is in the log, and can be told, shortly before any snapshot
/// sees it.
async fn committed_is_visible(client: &Client) {
    let next = "select pg_snapshot_xmax(pg_current_snapshot())::text::int8";
    let next: i64 = client.query_one(next, &[]).await.unwrap().get(0);
    let oldest = "select pg_snapshot_xmin(pg_current_snapshot())::text::int8";
    until("older transactions have ended", async || {
        client.query_one(oldest, &[]).await.unwrap().get::<_, i64>(0) >= next
    })
    .await;
}

/// Inserts rows, one for each transaction, until it is told to stop.
async fn write(client: Client, mut stop: tokio::sync::oneshot::Receiver<()>) {
    while stop.try_recv().is_err() {
        client.batch_execute("insert into t default values").await.unwrap();
    }
}

#[tokio::test]
async fn the_second_process_takes_over_and_its_clients_miss_nothing() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute("create table t (id bigint generated always as identity primary key)")
            .await
            .unwrap();
        let slot = Slot::new(database.connect().await);
        // A socket that nobody reads does not hold the takeover up for long.
        let settings =
            [("WALCAST__REPLICATION__SLOT", slot.name.as_str()), ("WALCAST__SHUTDOWN__DRAIN_SECONDS", "2")];
        let mut reading = Walcast::serve(&database, &settings).await;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let writer = tokio::spawn(write(database.connect().await, stopped));
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let waiting = Walcast::spawn(&database.url(), &settings);
            waiting.wait_for_status("standby").await;
            let ready = waiting.ready().await;
            assert_eq!(ready["http"], 503);
            assert!(ready["reason"].as_str().unwrap().contains("in use by another process"), "{ready}");
            assert_eq!(waiting.get("/health").await.0, 200);

            let mut first = Socket::connect(&reading).await;
            first.joined("realtime:public:t", json!({})).await;
            let mut told_by_first = first.changes(20).await;
            // A join before the takeover, and the takeover while it waits for its answer.
            let mut second = Socket::connect(&waiting).await;
            let (response, ()) = tokio::join!(second.joined("realtime:public:t", json!({})), async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                reading.signal(signal);
            });
            // What lies before its position it can ask for, what lies behind it is told.
            committed_is_visible(&client).await;
            let seen = ids(&client).await;
            waiting.wait_for_status("live").await;
            let mut told = second.changes(20).await;
            let last = database.connect().await;
            let end: i64 =
                last.query_one("insert into t default values returning id", &[]).await.unwrap().get(0);
            while told.last().map(id) < Some(end) {
                told.push(second.change().await);
            }
            // The writer's row with the number before it may be committed, and told, a little later.
            told.extend(second.changes(20).await);
            assert_cursors_grow(&told);
            assert!(cursor(&told[0]) > position(&response));
            let known: BTreeSet<i64> = seen.into_iter().chain(told.iter().map(id)).collect();
            let missing: Vec<i64> =
                ids(&client).await.into_iter().filter(|id| *id <= end && !known.contains(id)).collect();
            assert!(missing.is_empty(), "lost after {signal}: {missing:?}");

            // And the first one's clients had everything up to its end, in order.
            if signal == Signal::SIGTERM {
                loop {
                    match first.message().await {
                        Some(tokio_tungstenite::tungstenite::Message::Text(text)) => {
                            let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
                            if frame[3] == "INSERT" {
                                told_by_first.push(frame[4].clone());
                            }
                        }
                        Some(tokio_tungstenite::tungstenite::Message::Close(Some(close))) => {
                            assert_eq!(u16::from(close.code), 1012);
                            break;
                        }
                        Some(_) => {}
                        None => panic!("the socket ended without a word"),
                    }
                }
                let first_ids: Vec<i64> = told_by_first.iter().map(id).collect();
                let (from, to) = (first_ids[0], *first_ids.last().unwrap());
                assert!(first_ids.into_iter().eq(from..=to), "a hole in what the first one told");
                assert!(reading.wait().success());
            }
            reading = waiting;
        }
        stop.send(()).unwrap();
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_join_at_a_process_that_waits_is_answered_in_time() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let slot = Slot::new(database.connect().await);
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let _reading = Walcast::serve(&database, &settings).await;
    let waiting = Walcast::spawn(&database.url(), &settings);
    waiting.wait_for_status("standby").await;
    let begun = Instant::now();
    let mut socket = Socket::connect(&waiting).await;
    let reason = socket.refused("realtime:public:t", json!({})).await;
    assert_eq!(
        reason,
        "Unavailable: the stream of changes is not live (another process reads the slot); try again later"
    );
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(7) && waited < Duration::from_secs(10), "{waited:?}");
    assert!(waiting.stop().success(), "a stop does not wait for the slot");
}

/// While another process had the slot, what it acknowledged never came to our clients.
#[tokio::test]
async fn clients_of_a_process_that_lost_the_slot_for_a_while_are_told() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let slot = Slot::new(database.connect().await);
    // With a window, the other process would not have acknowledged what this one missed.
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str()), ("WALCAST__WINDOW__BYTES", "0")];
    let first = Walcast::serve(&database, &settings).await;
    let mut socket = Socket::connect(&first).await;
    socket.joined("realtime:public:t", json!({})).await;
    // Stopped as a debugger or a suspended machine stops it; the server ends its session.
    first.signal(Signal::SIGSTOP);
    slot.terminate().await;
    let second = Walcast::serve(&database, &settings).await;
    client.batch_execute("insert into t values (1)").await.unwrap();
    let row = client.query_one("select pg_current_wal_insert_lsn()::text", &[]).await.unwrap();
    slot.wait_for_confirmed(row.get::<_, String>(0).parse().unwrap()).await;
    first.signal(Signal::SIGCONT);
    first.wait_for_status("standby").await;
    assert!(second.stop().success());
    socket.interrupted("realtime:public:t").await;
    socket.joined("realtime:public:t", json!({})).await;
    client.batch_execute("insert into t values (2)").await.unwrap();
    assert_eq!(id(&socket.change().await), 2);
    until("it reads the slot", async || slot.walsender().await.is_some()).await;
}
