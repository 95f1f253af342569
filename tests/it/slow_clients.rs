//! Clients that read slowly or not at all cost themselves, and nobody else for longer than a moment.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio_postgres::Client;

use crate::cluster::Database;
use crate::raw::{Raw, TEXT};
use crate::socket::Socket;
use crate::walcast::{PATIENCE, Walcast, until};
use crate::{cluster, postgres_binaries};

const TOPIC: &str = "realtime:public:blobs";
const CLOSED: &str = "closing a socket that reads too slowly";

async fn serve(settings: &[(&str, &str)]) -> (Database, Client, Walcast) {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute("create table blobs (id int8 primary key, blob text)").await.unwrap();
    let walcast = Walcast::serve(&database, settings).await;
    (database, client, walcast)
}

async fn insert(client: &Client, id: i64, kilobytes: i32) {
    let sql = "insert into blobs values ($1, repeat('x', 1000 * $2))";
    client.execute(sql, &[&id, &kilobytes]).await.unwrap();
}

async fn joined(walcast: &Walcast) -> Socket {
    let mut socket = Socket::connect(walcast).await;
    socket.joined(TOPIC, json!({"frames": "type"})).await;
    socket
}

fn closed(walcast: &Walcast) -> usize {
    walcast.log().matches(CLOSED).count()
}

#[tokio::test]
async fn clients_that_never_read_are_closed_while_others_miss_nothing() {
    const SLOW: usize = 8;
    let (_database, client, walcast) = serve(&[("WALCAST__OUTBOX__BYTES", "65536")]).await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut socket = Raw::connect(&walcast).await;
        socket.join(TOPIC).await;
        slow.push(socket);
    }
    // One on each shard, beside those that do not read.
    let mut healthy = [joined(&walcast).await, joined(&walcast).await];
    let mut longest = Duration::ZERO;
    let mut id = 0;
    while closed(&walcast) < SLOW {
        id += 1;
        assert!(id < 500, "those that never read are closed");
        let start = Instant::now();
        insert(&client, id, 200).await;
        for socket in &mut healthy {
            assert_eq!(socket.change().await["record"]["id"], id);
        }
        longest = longest.max(start.elapsed());
    }
    // All that are full together are waited for together: a second, not one for each of them.
    assert!(longest < Duration::from_secs(3), "the others waited {longest:?}");
    let mut told = 0;
    for mut socket in slow {
        // Whole rows in order, then the reason; or it was cut, if it did not read that in time either.
        let mut next = 1;
        while let Some((first, payload)) = socket.frame().await {
            if first != TEXT {
                assert_eq!(payload[..2], 1013_u16.to_be_bytes());
                told += 1;
                break;
            }
            let frame: serde_json::Value = serde_json::from_slice(&payload).expect("whole frames");
            assert_eq!(frame[4]["record"]["id"], next);
            next += 1;
        }
    }
    assert!(told > 0, "at least those who read soon enough learn why");
    // They come back as they please.
    let mut again = joined(&walcast).await;
    insert(&client, id + 1, 200).await;
    assert_eq!(again.change().await["record"]["id"], id + 1);
    for socket in &mut healthy {
        assert_eq!(socket.change().await["record"]["id"], id + 1);
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_but_steadily_is_not_closed() {
    // What waits for it takes far longer than the time in which nothing may move, and than the idle time.
    let (_database, client, walcast) = serve(&[
        ("WALCAST__OUTBOX__STALL_SECONDS", "2"),
        ("WALCAST__LIMITS__IDLE_SECONDS", "2"),
        ("WALCAST__OUTBOX__BYTES", "65536"),
    ])
    .await;
    let mut slow = Raw::small(&walcast).await;
    slow.join(TOPIC).await;
    // One frame far over the bound of the outbox, which is empty: it is let in.
    insert(&client, 1, 12_000).await;
    let head = format!("[null,null,\"{TOPIC}\",\"INSERT\",");
    let mut received = Vec::new();
    while !received.ends_with(head.as_bytes()) {
        received.push(slow.stream.read_u8().await.unwrap());
    }
    let start = Instant::now();
    let mut chunk = vec![0; 256 * 1024];
    while received.len() < 12_000_000 {
        let length = tokio::time::timeout(PATIENCE, slow.stream.read(&mut chunk)).await.unwrap().unwrap();
        assert!(length > 0, "closed after {} bytes and {:?}", received.len(), start.elapsed());
        received.extend_from_slice(&chunk[..length]);
        // It talks all the while, as every Phoenix client does.
        slow.send(TEXT, json!([null, "1", "phoenix", "heartbeat", {}]).to_string().as_bytes()).await;
        let due = Duration::from_millis(5000 * received.len() as u64 / 12_000_000);
        tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
    }
    assert!(start.elapsed() > Duration::from_secs(4), "it was slow: {:?}", start.elapsed());
    assert_eq!(closed(&walcast), 0);
}

#[tokio::test]
async fn a_frame_larger_than_the_outbox_arrives() {
    let (_database, client, walcast) = serve(&[("WALCAST__OUTBOX__BYTES", "1024")]).await;
    let mut both = Socket::connect(&walcast).await;
    both.joined(TOPIC, json!({})).await;
    for id in 1..=5 {
        insert(&client, id, 3000).await;
        let change = both.change().await;
        assert_eq!(change["record"]["id"], id);
        assert_eq!(change["record"]["blob"].as_str().map(str::len), Some(3_000_000));
    }
}

#[tokio::test]
async fn a_hundred_closed_clients_leave_nothing_behind() {
    let (_database, client, walcast) = serve(&[
        ("WALCAST__OUTBOX__BYTES", "16384"),
        ("WALCAST__OUTBOX__PAUSE_MS", "0"),
        ("WALCAST__LIMITS__MEMBERS_PER_TOPIC", "5"),
        // What is kept for those who come back is none of theirs.
        ("WALCAST__WINDOW__BYTES", "0"),
    ])
    .await;
    let mut id = 0;
    let mut early = 0;
    for round in 1..=20 {
        let mut sockets = Vec::new();
        for _ in 0..5 {
            // Only five are allowed in the topic: those of the last round must be gone.
            let mut socket = Raw::small(&walcast).await;
            until("a place in the topic", async || {
                let join = json!(["1", "1", TOPIC, "phx_join", {"frames": "type"}]).to_string();
                socket.send(TEXT, join.as_bytes()).await;
                socket.text().await[4]["status"] == "ok"
            })
            .await;
            sockets.push(socket);
        }
        while closed(&walcast) < 5 * round {
            id += 1;
            assert!(id < 1000, "those that never read are closed");
            insert(&client, id, 1000).await;
        }
        if round == 5 {
            early = walcast.memory();
        }
    }
    let growth = walcast.memory().saturating_sub(early) / 1024;
    // Each left at least a frame of a megabyte and more in its outbox.
    assert!(growth < 24 * 1024, "75 more clients cost {growth} KiB");
}

#[tokio::test]
async fn a_stop_delivers_all_that_was_handed_over_and_then_says_1012() {
    let (_database, client, walcast) = serve(&[]).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut socket = Raw::small(&walcast).await;
        socket.join(TOPIC).await;
        slow.push(socket);
    }
    let mut idle = Socket::connect(&walcast).await;
    idle.joined("realtime:public:blobs:id=eq.-1", json!({})).await;
    let mut witness = joined(&walcast).await;
    // More than the system's own buffers hold, less than the outboxes may.
    for id in 1..=30 {
        insert(&client, id, 200).await;
        assert_eq!(witness.change().await["record"]["id"], id);
    }
    let mut walcast = walcast;
    walcast.signal(Signal::SIGTERM);
    assert_eq!(idle.close_code().await.0, 1012);
    assert_eq!(witness.close_code().await, (1012, "the server restarts".to_owned()));
    for socket in &mut slow {
        for id in 1..=30 {
            assert_eq!(socket.text().await[4]["record"]["id"], id);
        }
        assert_eq!(socket.close_code().await, Some(1012));
    }
    assert!(walcast.wait().success());
}

#[tokio::test]
async fn a_stop_in_the_middle_of_changes_cuts_every_client_at_a_row() {
    let (_database, client, mut walcast) = serve(&[]).await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(joined(&walcast).await);
    }
    let writing = tokio::spawn(async move {
        let mut id = 0;
        loop {
            id += 1;
            insert(&client, id, 1).await;
        }
    });
    for socket in &mut sockets {
        socket.changes(20).await;
    }
    walcast.signal(Signal::SIGTERM);
    for socket in &mut sockets {
        let mut next = 21;
        loop {
            match socket.message().await {
                Some(tokio_tungstenite::tungstenite::Message::Text(text)) => {
                    let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(frame[4]["record"]["id"], next, "no row is left out");
                    next += 1;
                }
                Some(tokio_tungstenite::tungstenite::Message::Close(Some(close))) => {
                    assert_eq!(u16::from(close.code), 1012);
                    break;
                }
                other => panic!("neither a row nor the close frame: {other:?}"),
            }
        }
    }
    assert!(walcast.wait().success());
    writing.abort();
}
