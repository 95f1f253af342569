//! Transactions and rows that are large: delivered whole, in bounded memory.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::cluster::{self, Database};
use crate::faults::{patiently, scale};
use crate::follower::{Follower, Keeping, digest};
use crate::longpoll;
use crate::raw::{Raw, TEXT};
use crate::service::Service;
use crate::slot::Slot;
use crate::socket::Socket;

const MIB: usize = 1 << 20;

/// What walcast may use altogether, with the window chosen for it.
const MEMORY: usize = 256 * MIB;

/// What large texts are made of.
const LINE: &str = "a text.\n";

#[tokio::test]
async fn a_transaction_of_a_million_rows_arrives_whole_in_bounded_memory() {
    let rows: i64 = scale(200_000, 1_000_000);
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    let mut service = Service::start(&database.url(), &[("WALCAST__WINDOW__BYTES", "33554432")]).await;
    let at = service.at();
    let clients: Vec<Follower> =
        (0..2).map(|_| Follower::start(&at, "realtime:public:t", Keeping::Ids)).collect();
    patiently("both have joined", &mut async || clients.iter().all(|client| client.account().joins > 0))
        .await;
    client
        .execute(
            "insert into t select i, 'a text of some length' from generate_series(1, $1::int8) i",
            &[&rows],
        )
        .await
        .unwrap();
    patiently("each has every row", &mut async || {
        clients.iter().all(|client| client.account().ids.last() == Some(&rows))
    })
    .await;
    for client in &clients {
        let account = client.account();
        // Whoever fell out of the window is told so, which in this world means that it reads too slowly.
        assert_eq!((account.losses_told(), account.duplicated, account.disordered), (0, 0, 0));
        assert!(account.ids.iter().copied().eq(1..=rows), "rows are missing");
    }
    let peak = service.peak();
    println!("{rows} rows: at most {} MiB", peak / MIB);
    assert!(peak < MEMORY, "{} MiB", peak / MIB);
}

#[tokio::test]
async fn a_row_with_64_mb_of_text_arrives_whole_in_bounded_memory() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key, n int, body text)").await.unwrap();
    let mut service = Service::start(&database.url(), &[("WALCAST__WINDOW__BYTES", "8388608")]).await;
    let mut socket = Socket::connect(service.walcast()).await;
    socket.joined("realtime:public:t", json!({"frames": "type"})).await;
    let body = "64 MB of text, 16 a line".repeat(64 * 1_000_000 / 24);
    client.execute("insert into t values (1, 1, $1)", &[&body]).await.unwrap();
    client.batch_execute("insert into t values (2, 2, 'the end')").await.unwrap();
    let told = socket.change().await;
    assert_eq!(digest(told["record"]["body"].as_str()), digest(Some(&body)));
    assert_eq!(socket.change().await["record"]["id"], 2);
    let peak = service.peak();
    println!("a row of 64 MB: at most {} MiB", peak / MIB);
    assert!(peak < MEMORY, "{} MiB", peak / MIB);
}

/// A server that has told a row with a text of this length, in lines of 8 bytes, and what was joined before that.
async fn told_before(length: usize) -> (Database, Service, Value) {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    let service = Service::start(&database.url(), &[("WALCAST__WINDOW__BYTES", "33554432")]).await;
    let mut witness = Socket::connect(service.walcast()).await;
    let begun = witness.joined("realtime:public:t", json!({"frames": "type"})).await;
    let body = LINE.repeat(length / LINE.len());
    client.execute("insert into t values (1, $1)", &[&body]).await.unwrap();
    assert_eq!(witness.change().await["record"]["id"], 1);
    (database, service, begun)
}

#[tokio::test]
async fn a_large_row_that_many_come_back_for_is_held_once_for_all() {
    let (waiting, length) = (60, 8 * MIB);
    let (_database, mut service, begun) = told_before(length).await;
    let payload = json!({"frames": "type", "since": begun["position"], "epoch": begun["epoch"]});
    let join = json!(["1", "1", "realtime:public:t", "phx_join", payload]).to_string();
    let mut sockets = Vec::new();
    for _ in 0..waiting {
        let mut socket = Raw::small(service.walcast()).await;
        socket.send(TEXT, join.as_bytes()).await;
        assert_eq!(socket.text().await[4]["response"]["resumed"], true);
        sockets.push(socket);
    }
    patiently("the row waits for each", &mut async || {
        let (_, metrics) = service.walcast().get("/metrics").await;
        let pending = metrics.lines().find_map(|line| line.strip_prefix("walcast_outbox_bytes "));
        // The system holds some of it.
        pending.unwrap().parse::<usize>().unwrap() > waiting * length / 2
    })
    .await;
    let mut reader = Socket::connect(service.walcast()).await;
    assert_eq!(reader.joined("realtime:public:t", payload).await["resumed"], true);
    assert_eq!(
        digest(reader.change().await["record"]["body"].as_str()),
        digest(Some(&LINE.repeat(length / LINE.len())))
    );
    let peak = service.peak();
    println!("{waiting} sockets for which {} MiB wait: at most {} MiB", length / MIB, peak / MIB);
    assert!(peak < MEMORY, "{} MiB", peak / MIB);
}

#[tokio::test]
async fn a_large_row_is_held_once_for_all_who_read_it_over_http() {
    let (each, length) = (25, 8 * MIB);
    let (_database, mut service, begun) = told_before(length).await;
    let since = format!("{}.{}", begun["epoch"].as_str().unwrap(), begun["position"].as_str().unwrap());
    let (mut readers, walcast) = (Vec::new(), service.walcast());
    for _ in 0..each {
        let session = longpoll::Session::open(walcast).await;
        let payload = json!({"frames": "type", "since": since});
        assert_eq!(session.send(&[json!(["1", "1", "realtime:public:t", "phx_join", payload])]).await, 200);
        let ask = format!("?topic=realtime:public:t&since={since}");
        for path in [format!("/events{ask}"), format!("/poll{ask}"), session.path()] {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let mut reader = socket.connect(walcast.address()).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            reader.write_all(request.as_bytes()).await.unwrap();
            readers.push(reader);
        }
    }
    for transport in ["events", "poll", "longpoll"] {
        patiently(&format!("each is told by {transport}"), &mut async || {
            let (_, metrics) = walcast.get("/metrics").await;
            metrics.contains(&format!("walcast_read_total{{transport=\"{transport}\"}} {each}\n"))
        })
        .await;
    }
    // Whoever reads is told all of it.
    for reader in readers.iter_mut().take(3) {
        let (mut told, mut left) = (Vec::new(), length / LINE.len());
        while left > 0 {
            assert!(reader.read_buf(&mut told).await.unwrap() > 0, "{left} more lines");
            let whole = memchr::memmem::rfind(&told, b"a text.").map_or(0, |last| last + 7);
            left -= memchr::memmem::find_iter(&told[..whole], b"a text.").count();
            told.drain(..whole);
        }
    }
    let peak = service.peak();
    println!("3 x {each} readers for whom {} MiB wait: at most {} MiB", length / MIB, peak / MIB);
    assert!(peak < MEMORY, "{} MiB", peak / MIB);
}

#[tokio::test]
async fn a_row_over_the_limit_is_delivered_once_the_limit_is_raised() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    let mut service = Service::start(&database.url(), &[("WALCAST__LIMITS__ROW_BYTES", "100000")]).await;
    let at = service.at();
    let clients: Vec<Follower> =
        (0..10).map(|_| Follower::start(&at, "realtime:public:t", Keeping::Ids)).collect();
    patiently("all have joined", &mut async || clients.iter().all(|client| client.account().joins > 0)).await;
    client.batch_execute("insert into t values (1, 'small')").await.unwrap();
    client.batch_execute("insert into t values (2, repeat('x', 200000))").await.unwrap();
    client.batch_execute("insert into t values (3, 'small')").await.unwrap();
    service.walcast().wait_for_log("is over limits.row_bytes (100000)").await;
    patiently("a stream that cannot go on says so", &mut async || {
        service.walcast().ready().await["http"] == 503
    })
    .await;
    service.kill();
    // It comes again, and is named again, for as long as nobody raises the limit.
    let reads = Slot::named(service.slot(), database.connect().await);
    assert_eq!(reads.peek_inserts("walcast").await, 3, "nothing of it was given up");
    service.set("WALCAST__LIMITS__ROW_BYTES", "1000000");
    service.begin();
    patiently("each has every row", &mut async || {
        clients.iter().all(|client| client.account().ids.len() == 3)
    })
    .await;
    for client in &clients {
        let account = client.account();
        assert_eq!((&account.ids[..], account.losses_told()), (&[1, 2, 3][..], 0));
        assert_eq!(account.ids.iter().collect::<BTreeSet<_>>().len(), 3);
    }
}
