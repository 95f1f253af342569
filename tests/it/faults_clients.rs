//! Clients that do not read, read slowly, or all come at once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::cluster::{self, Database};
use crate::faults::{patiently, scale};
use crate::follower::{Follower, Keeping};
use crate::raw::{Raw, TEXT};
use crate::service::Service;
use crate::socket::Socket;

const TOPIC: &str = "realtime:public:t";

async fn served(settings: &[(&str, &str)]) -> (Database, tokio_postgres::Client, Service) {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    let service = Service::start(&database.url(), settings).await;
    (database, client, service)
}

async fn insert(client: &tokio_postgres::Client, ids: std::ops::RangeInclusive<i32>, length: i32) {
    let sql = "insert into t select i, repeat('x', $3::int4) from generate_series($1::int4, $2::int4) i";
    client.execute(sql, &[ids.start(), ids.end(), &length]).await.unwrap();
}

#[tokio::test]
async fn who_catches_up_at_a_kilobyte_a_second_is_told_that_it_fell_out_of_the_window() {
    // However long the others take meanwhile, it is not closed for taking nothing.
    let settings = [("WALCAST__WINDOW__BYTES", "8000000"), ("WALCAST__OUTBOX__STALL_SECONDS", "60")];
    let (_database, client, service) = served(&settings).await;
    let mut witness = Socket::connect(service.walcast()).await;
    let begun = witness.joined(TOPIC, json!({"frames": "type"})).await;
    // More than the system's own buffers hold, less than the window.
    insert(&client, 1..=700, 10_000).await;
    witness.changes(700).await;
    let join = |reference: &str, since: &Value| {
        let payload = json!({"frames": "type", "since": since, "epoch": begun["epoch"]});
        json!([reference, reference, TOPIC, "phx_join", payload]).to_string()
    };
    let mut slow = Raw::small(service.walcast()).await;
    slow.send(TEXT, join("1", &begun["position"]).as_bytes()).await;
    let reply = slow.text().await;
    assert_eq!(reply[4]["response"]["resumed"], true, "{reply}");
    let mut byte = [0; 100];
    let mut head = Vec::new();
    for _ in 0..10 {
        let read = slow.stream.read(&mut byte).await.unwrap();
        head.extend_from_slice(&byte[..read]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Meanwhile the others get theirs, and the window moves on.
    insert(&client, 701..=1500, 10_000).await;
    witness.changes(800).await;
    // A frame of more than 64 KiB would have another head.
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let mut rest = vec![0; 4 + length - head.len()];
    slow.stream.read_exact(&mut rest).await.unwrap();
    head.extend_from_slice(&rest);
    let first: Value = serde_json::from_slice(&head[4..]).unwrap();
    let (mut seen, mut last) = (1, first[4]["cursor"].clone());
    assert_eq!(first[4]["record"]["id"], seen);
    loop {
        let frame = slow.text().await;
        if frame[3] == "phx_error" {
            break;
        }
        seen += 1;
        assert_eq!(frame[4]["record"]["id"], seen, "a hole before it was told");
        last = frame[4]["cursor"].clone();
    }
    assert!(seen < 700, "it had caught up before");
    slow.send(TEXT, join("2", &last).as_bytes()).await;
    let reply = slow.text().await;
    let response = &reply[4]["response"];
    assert_eq!((&response["resumed"], &response["reason"]), (&json!(false), &json!("window")), "{reply}");
    insert(&client, 0..=0, 10).await;
    assert_eq!(slow.text().await[4]["record"]["id"], 0);
}

#[tokio::test]
async fn who_never_reads_is_closed_and_comes_back_with_its_cursor() {
    let (_database, client, service) =
        served(&[("WALCAST__OUTBOX__BYTES", "65536"), ("WALCAST__OUTBOX__PAUSE_MS", "100")]).await;
    let mut witness = Socket::connect(service.walcast()).await;
    let begun = witness.joined(TOPIC, json!({"frames": "type"})).await;
    let mut dead = Raw::small(service.walcast()).await;
    dead.join(TOPIC).await;
    let mut next = 1;
    while !service.walcast().log().contains("slow") && next < 40_000 {
        insert(&client, next..=next + 199, 1000).await;
        next += 200;
        witness.changes(200).await;
    }
    // It reads at last: rows from the first on without a hole, then the end.
    let mut seen = 0;
    let mut cursor = begun["position"].clone();
    while let Some((first, payload)) = dead.frame().await {
        if first != TEXT {
            break;
        }
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        seen += 1;
        assert_eq!(frame[4]["record"]["id"], seen, "a hole before the end");
        cursor = frame[4]["cursor"].clone();
    }
    assert!(seen < i64::from(next) - 1, "it was never closed");
    let mut back = Socket::connect(service.walcast()).await;
    let payload = json!({"frames": "type", "since": cursor, "epoch": begun["epoch"]});
    assert_eq!(back.joined(TOPIC, payload).await["resumed"], true);
    for id in seen + 1..i64::from(next) {
        assert_eq!(back.change().await["record"]["id"], id);
    }
}

#[tokio::test]
async fn a_thousand_clients_that_resume_at_once_all_have_every_row() {
    let (database, client, mut service) = served(&[("WALCAST__LIMITS__SOCKETS", "20000")]).await;
    let (count, missed) = (scale(1_000, 10_000), 20_usize);
    let at = service.at();
    let clients: Vec<Follower> = (0..count).map(|_| Follower::start(&at, TOPIC, Keeping::Ids)).collect();
    patiently("all have joined", &mut async || clients.iter().all(|client| client.account().joins > 0)).await;
    insert(&client, 1..=5, 10).await;
    let have = async |rows: usize| {
        patiently(&format!("each has {rows} rows"), &mut async || {
            clients.iter().all(|client| client.account().ids.len() == rows)
        })
        .await;
    };
    have(5).await;
    service.kill();
    for id in 6..6 + i32::try_from(missed).unwrap() {
        insert(&client, id..=id, 10).await;
    }
    let begun = Instant::now();
    service.begin();
    have(5 + missed).await;
    println!("{count} clients had what they missed {:?} after the start", begun.elapsed());
    for client in &clients {
        let account = client.account();
        assert!(account.ids.iter().copied().eq(1..6 + i64::try_from(missed).unwrap()));
        assert_eq!((account.losses_told(), account.duplicated, account.disordered), (0, 0, 0));
    }
    drop(database);
}

#[tokio::test]
async fn an_event_stream_that_is_never_read_ends_and_one_that_is_read_slowly_does_not() {
    let (_database, client, service) = served(&[("WALCAST__LIMITS__VANISHED_SECONDS", "6")]).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().unwrap();
        let mut stream = socket.connect(service.walcast().address()).await.unwrap();
        let request = format!("GET /events?topic={TOPIC} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_u8().await.unwrap();
        streams.push(stream);
    }
    // The system reckons in pieces of up to 64 KiB: fewer than one in this time count as none.
    let (mut slow, deaf) = (streams.remove(0), streams.remove(0));
    // More than the system's own buffers hold.
    insert(&client, 1..=3000, 10_000).await;
    let begun = Instant::now();
    let (mut some, mut let_go) = (vec![0; 32 * 1024], None);
    while begun.elapsed() < Duration::from_secs(20) {
        slow.read_exact(&mut some).await.expect("a client that reads is not let go");
        let (_, text) = service.walcast().get("/metrics").await;
        if text.contains("\nwalcast_sockets 1\n") {
            let_go.get_or_insert(begun.elapsed());
        }
        assert!(!text.contains("\nwalcast_sockets 0\n"), "the slow one was let go");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let let_go = let_go.expect("the one that never reads is let go");
    println!("it was let go after {let_go:?}");
    drop(deaf);
}
