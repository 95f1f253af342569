//! Every limit refuses by name, gives back what is no longer used, and bounds what a client can cost.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use crate::cluster::Database;
use crate::raw::{PING, Raw, TEXT, masked};
use crate::socket::Socket;
use crate::walcast::{PATIENCE, Walcast, until};
use crate::{cluster, postgres_binaries};

async fn serve(settings: &[(&str, &str)]) -> (Database, tokio_postgres::Client, Walcast) {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute("create table users (id int8 primary key)").await.unwrap();
    let walcast = Walcast::serve(&database, settings).await;
    (database, client, walcast)
}

#[tokio::test]
async fn channels_joins_and_members_are_counted_and_given_back() {
    let (_database, client, walcast) = serve(&[
        ("WALCAST__LIMITS__CHANNELS_PER_SOCKET", "2"),
        ("WALCAST__LIMITS__MEMBERS_PER_TOPIC", "3"),
        ("WALCAST__LIMITS__JOINS_PER_SECOND", "6"),
    ])
    .await;
    let users = "realtime:public:users";
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = Socket::connect(&walcast).await;
        socket.joined(users, json!({})).await;
        sockets.push(socket);
    }
    let mut fourth = Socket::connect(&walcast).await;
    let full = "TooManyMembers: a topic may have 3 members (limits.members_per_topic)";
    assert_eq!(fourth.refused(users, json!({})).await, full);
    // Another topic of the same table is another topic; a rejoin does not count twice.
    fourth.joined("realtime:public", json!({})).await;
    sockets[0].send(json!(["x", "x", users, "phx_join", {}]).to_string()).await;
    assert_eq!(sockets[0].frame().await[3], "phx_close");
    assert_eq!(sockets[0].frame().await[4]["status"], "ok");

    // A leave, a close and a vanished client make room.
    sockets[0].send(json!(["x", "y", users, "phx_leave", {}]).to_string()).await;
    assert_eq!(sockets[0].frame().await[4]["status"], "ok");
    fourth.joined(users, json!({})).await;
    let many = "TooManyChannels: a socket may join 2 channels (limits.channels_per_socket)";
    assert_eq!(fourth.refused("realtime:*", json!({})).await, many);
    sockets[1].send_message(Message::Close(None)).await;
    drop(sockets.remove(2));
    for _ in 0..2 {
        let mut newcomer = Socket::connect(&walcast).await;
        until("a member is given back", async || newcomer.join(users, json!({})).await["status"] == "ok")
            .await;
        sockets.push(newcomer);
    }
    client.batch_execute("insert into users values (1)").await.unwrap();
    assert_eq!(fourth.changes(2).await.len(), 2);

    // Joins are limited by the second; a refused join is no channel.
    let mut hasty = Socket::connect(&walcast).await;
    let mut refused = 0;
    for n in 0..20 {
        let topic = format!("realtime:public:users:id=eq.{n}");
        hasty.send(json!(["1", n.to_string(), topic, "phx_join", {}]).to_string()).await;
        hasty.send(json!(["1", "leave", topic, "phx_leave", {}]).to_string()).await;
    }
    let mut answered = 0;
    while answered < 20 {
        let frame = hasty.frame().await;
        if frame[1] == "leave" {
            answered += 1;
        } else if frame[4]["status"] == "error" {
            let words = "TooManyJoins: a socket may join 6 channels per second (limits.joins_per_second); try again later";
            assert_eq!(frame[4]["response"]["reason"], words);
            refused += 1;
        }
    }
    assert!((10..=14).contains(&refused), "6 at once, and a few with the time: {refused} refused");
    until("time makes room", async || hasty.join("realtime:*", json!({})).await["status"] == "ok").await;
}

#[tokio::test]
async fn sockets_are_counted_and_given_back() {
    let (_database, _client, walcast) = serve(&[("WALCAST__LIMITS__SOCKETS", "2")]).await;
    let handshake = crate::raw::handshake("localhost", "").replace("keep-alive, ", "");
    let refused = async || {
        let mut stream = tokio::net::TcpStream::connect(walcast.address()).await.unwrap();
        stream.write_all(handshake.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = tokio::io::AsyncReadExt::read(&mut stream, &mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        answer.starts_with("HTTP/1.1 503 ").then_some(answer)
    };
    let first = Raw::connect(&walcast).await;
    let second = Raw::connect(&walcast).await;
    let answer = refused().await.expect("a third socket is refused");
    assert!(answer.contains(r#"{"error":{"code":"TooManySockets","message":"the server has as many sockets as it may (limits.sockets)"}}"#), "{answer}");
    // A handshake that fails takes no seat, and pages are still served.
    assert_eq!(walcast.get("/socket/websocket").await.0, 426);
    assert_eq!(walcast.get("/health").await.0, 200);
    drop(first);
    until("the seat is given back", async || refused().await.is_none()).await;
    drop(second);
}

#[tokio::test]
async fn a_silent_socket_is_pinged_then_closed_and_one_that_answers_stays() {
    let (_database, client, walcast) = serve(&[("WALCAST__LIMITS__IDLE_SECONDS", "4")]).await;
    let mut silent = Raw::connect(&walcast).await;
    // The server begins to count when it hears the join, which is later than this.
    let begun = Instant::now();
    silent.join("realtime:public:users").await;
    // As a browser: it says nothing of its own, and its pongs are sent as it reads.
    let mut answering = Socket::connect(&walcast).await;
    answering.joined("realtime:public:users", json!({})).await;
    let start = Instant::now();
    let staying = tokio::spawn(async move { (answering.change().await, answering) });

    assert_eq!(silent.frame().await, Some((PING, Vec::new())));
    assert!(start.elapsed() < Duration::from_millis(3900), "the ping comes at half of the time");
    assert_eq!(silent.close_code().await, Some(1001), "one ping, then the end");
    assert!(begun.elapsed() > Duration::from_secs(4));
    // Long after the other would have been closed:
    tokio::time::sleep_until((start + Duration::from_secs(10)).into()).await;
    client.batch_execute("insert into users values (1)").await.unwrap();
    let (change, mut answering) = staying.await.unwrap();
    assert_eq!(change["record"]["id"], 1);
    answering.send(json!([null, "1", "phoenix", "heartbeat", {}]).to_string()).await;
    assert_eq!(answering.frame().await[1], "1");
}

#[tokio::test]
async fn the_shortest_idle_time_still_asks_before_it_closes() {
    let (_database, _client, walcast) = serve(&[("WALCAST__LIMITS__IDLE_SECONDS", "1")]).await;
    // Connected at different moments between two sweeps.
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(Raw::connect(&walcast).await);
        tokio::time::sleep(Duration::from_millis(101)).await;
    }
    for socket in &mut sockets {
        assert_eq!(socket.frame().await, Some((PING, Vec::new())), "asked first");
        assert_eq!(socket.close_code().await, Some(1001));
    }
}

#[tokio::test]
async fn a_flood_by_clients_that_never_read_is_bounded_in_memory() {
    let (_database, _client, walcast) =
        serve(&[("WALCAST__OUTBOX__BYTES", "65536"), ("WALCAST__OUTBOX__STALL_SECONDS", "2")]).await;
    let heartbeat = masked(TEXT, json!([null, "1", "phoenix", "heartbeat", {}]).to_string().as_bytes());
    // Small frames with larger answers; answers to pings; refusals of what is no frame.
    let floods =
        [heartbeat.repeat(2000), masked(PING, &[b'x'; 125]).repeat(500), masked(TEXT, b"1").repeat(5000)];
    let before = walcast.memory();
    let mut tasks = Vec::new();
    for flood in floods.iter().cycle().take(9) {
        let mut socket = Raw::small(&walcast).await;
        let flood = flood.clone();
        tasks.push(tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            loop {
                let start = Instant::now();
                let taken = socket.stream.write_all(&flood).await;
                longest = longest.max(start.elapsed());
                // Until the server has enough of it.
                if taken.is_err() {
                    return longest;
                }
            }
        }));
    }
    let mut most = 0;
    let start = Instant::now();
    while tasks.iter().any(|task| !task.is_finished()) {
        assert!(start.elapsed() < PATIENCE, "the sockets that read nothing are closed");
        most = most.max(walcast.memory());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for task in tasks {
        let longest = task.await.unwrap();
        assert!(longest > Duration::from_secs(1), "who does not read is not listened to: {longest:?}");
    }
    let growth = most.saturating_sub(before) / 1024;
    assert!(growth < 32 * 1024, "the server grew by {growth} KiB");
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:users", json!({})).await;
}
