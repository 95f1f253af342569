//! Nobody pays for what is not their fault: not for one socket that never reads, and not for a server that gets no time.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::cluster::Database;
use crate::raw::{CLOSE, Raw};
use crate::socket::Socket;
use crate::walcast::{Walcast, until};
use crate::{cluster, postgres_binaries};

const TOPIC: &str = "realtime:public:blobs";

async fn serve(settings: &[(&str, &str)]) -> (Database, Client, Walcast) {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute("create table blobs (id int8 primary key, blob text)").await.unwrap();
    let walcast = Walcast::serve(&database, settings).await;
    (database, client, walcast)
}

async fn insert(client: &Client, id: i64, bytes: i32) {
    client.execute("insert into blobs values ($1, repeat('x', $2))", &[&id, &bytes]).await.unwrap();
}

async fn joined(walcast: &Walcast) -> Socket {
    let mut socket = Socket::connect(walcast).await;
    socket.joined(TOPIC, json!({"frames": "type"})).await;
    socket
}

/// Reads rows in order, from the first to `last`.
fn reading(mut socket: Socket, last: i64) -> JoinHandle<Socket> {
    tokio::spawn(async move {
        for id in 1..=last {
            assert_eq!(socket.change().await["record"]["id"], id);
        }
        socket
    })
}

/// Bytes in outboxes.
async fn waits(walcast: &Walcast) -> usize {
    let page = walcast.get("/metrics").await.1;
    let line = page.lines().find_map(|line| line.strip_prefix("walcast_outbox_bytes ")).unwrap();
    line.parse().unwrap()
}

fn closed(walcast: &Walcast) -> usize {
    walcast.log().matches("closing a socket that").count()
}

// It must not wait for the others when it begins to read.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_reads_among_hundreds_is_told_why_it_is_closed_and_no_other_is() {
    const OTHERS: usize = 300;
    const OUTBOX: usize = 256 * 1024;
    let (_database, client, walcast) =
        serve(&[("WALCAST__OUTBOX__BYTES", &OUTBOX.to_string()), ("WALCAST__WINDOW__BYTES", "0")]).await;
    let mut others = Vec::new();
    for _ in 0..OTHERS {
        others.push(joined(&walcast).await);
    }
    let mut dead = Raw::small(&walcast).await;
    dead.join(TOPIC).await;
    let before = walcast.memory();
    let mut last = 0;
    let (tell, told) = oneshot::channel();
    let outcome = tokio::spawn(async move {
        told.await.unwrap();
        // Now it does: whole rows, then the reason, for which it has two seconds.
        loop {
            let (first, payload) = dead.frame().await.expect("its close frame");
            if first == CLOSE {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    });
    let closing = async {
        until("the one that never reads is closed", async || closed(&walcast) > 0).await;
        tell.send(()).unwrap();
    };
    let writing = async {
        while closed(&walcast) == 0 {
            last += 1;
            insert(&client, last, 20_000).await;
            // All others are there at every row.
            for socket in &mut others {
                assert_eq!(socket.change().await["record"]["id"], last);
            }
        }
    };
    tokio::join!(closing, writing);
    assert_eq!(outcome.await.unwrap(), 1013);
    let growth = walcast.memory().saturating_sub(before);
    assert!(growth < OUTBOX + 24 * 1024 * 1024, "one socket that never reads costs {growth} bytes");
    insert(&client, last + 1, 10).await;
    for socket in &mut others {
        assert_eq!(socket.change().await["record"]["id"], last + 1);
    }
    assert_eq!(closed(&walcast), 1);
}

#[tokio::test]
async fn a_server_that_stands_still_closes_nobody_who_was_waiting_for_it() {
    // More than the system's own buffers hold for those that do not read yet, and less than their outboxes.
    const ROWS: i64 = 60;
    const BYTES: i32 = 80_000;
    // Shorter than it stands still: only what is heard and taken afterwards tells who is healthy.
    let (_database, client, walcast) =
        serve(&[("WALCAST__OUTBOX__STALL_SECONDS", "15"), ("WALCAST__LIMITS__IDLE_SECONDS", "16")]).await;
    let mut witness = joined(&walcast).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut socket = Raw::small(&walcast).await;
        socket.join(TOPIC).await;
        waiting.push(socket);
    }
    let quiet: Vec<_> = [joined(&walcast).await, joined(&walcast).await]
        .into_iter()
        .map(|socket| reading(socket, ROWS))
        .collect();
    for id in 1..=ROWS {
        insert(&client, id, BYTES).await;
        assert_eq!(witness.change().await["record"]["id"], id);
    }
    until("something waits for each of them", async || waits(&walcast).await > 4 * BYTES as usize).await;
    walcast.signal(Signal::SIGSTOP);
    let readers: Vec<_> = waiting
        .into_iter()
        .map(|mut socket| {
            tokio::spawn(async move {
                for id in 1..=ROWS {
                    assert_eq!(socket.text().await[4]["record"]["id"], id);
                }
            })
        })
        .collect();
    // The time that passes is what is tested.
    tokio::time::sleep(Duration::from_secs(17)).await;
    walcast.signal(Signal::SIGCONT);
    for reader in readers {
        reader.await.unwrap();
    }
    for reader in quiet {
        reader.await.unwrap();
    }
    assert_eq!(closed(&walcast), 0);
}

#[tokio::test]
async fn a_server_that_gets_little_time_closes_the_one_that_never_reads_and_loses_no_other() {
    const ROWS: i64 = 200;
    let (_database, client, walcast) = serve(&[
        ("WALCAST__OUTBOX__BYTES", "1048576"),
        ("WALCAST__OUTBOX__STALL_SECONDS", "5"),
        ("WALCAST__LIMITS__IDLE_SECONDS", "10"),
    ])
    .await;
    let mut readers = Vec::new();
    for _ in 0..10 {
        readers.push(reading(joined(&walcast).await, ROWS));
    }
    let mut dead = Raw::small(&walcast).await;
    dead.join(TOPIC).await;
    let writing = tokio::spawn(async move {
        for id in 1..=ROWS {
            insert(&client, id, 30_000).await;
        }
    });
    // It runs for a fiftieth of the time, then as it likes.
    for _ in 0..30 {
        walcast.signal(Signal::SIGSTOP);
        tokio::time::sleep(Duration::from_millis(250)).await;
        walcast.signal(Signal::SIGCONT);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    writing.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
    until("the one that never reads is closed", async || closed(&walcast) > 0).await;
    assert_eq!(closed(&walcast), 1);
}
