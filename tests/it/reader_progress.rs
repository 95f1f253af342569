//! Acknowledgements: never more than was told, and in the end all of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::slot::{Slot, cursor, id, position, written};
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

#[tokio::test]
async fn a_stop_under_load_tells_acknowledges_and_ends_in_order() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        let create = "create table t (id bigint generated always as identity primary key, v text)";
        client.batch_execute(create).await.unwrap();
        let slot = Slot::new(database.connect().await);
        let walcast = Walcast::serve(
            &database,
            &[("WALCAST__REPLICATION__SLOT", &slot.name), ("WALCAST__WINDOW__BYTES", "0")],
        )
        .await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({"frames": "type"})).await;
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let writer = tokio::spawn(async move {
            while stopped.try_recv().is_err() {
                client
                    .batch_execute("insert into t (v) select repeat('x', 500) from generate_series(1, 100)")
                    .await
                    .unwrap();
            }
            client
        });
        let mut told: BTreeSet<i64> = socket.changes(200).await.iter().map(id).collect();
        walcast.signal(nix::sys::signal::Signal::SIGTERM);
        let (mut after, mut closed) = (Vec::new(), false);
        loop {
            match socket.message().await {
                Some(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame[3] == "INSERT" {
                        after.push(id(&frame[4]));
                    }
                }
                Some(Message::Close(Some(close))) => {
                    assert_eq!(u16::from(close.code), 1012);
                    closed = true;
                }
                Some(_) => {}
                None => break,
            }
        }
        assert!(closed, "the socket ended without a close frame");
        // Elsewhere, so that the writer goes on.
        let mut walcast = walcast;
        let status = tokio::task::spawn_blocking(move || walcast.wait()).await.unwrap();
        assert!(status.success());
        stop.send(()).unwrap();
        let client = writer.await.unwrap();
        told.extend(&after);
        // What was told and what the slot still has are all there is, and they do not overlap.
        let left = slot.peek_inserts("walcast").await;
        let all: i64 = client.query_one("select max(id) from t", &[]).await.unwrap().get(0);
        let last = *told.last().unwrap();
        assert!(told.into_iter().eq(1..=last), "a hole in what was told on {major}");
        assert!(left >= all - last, "acknowledged, but not told on {major}: {left} {all} {last}");
        assert!(left <= all - last, "told, but not acknowledged on {major}: {left} {all} {last}");
        assert!(left > 0, "it was not stopped under load");
    }
}

#[tokio::test]
async fn the_last_acknowledgement_is_sent_before_the_end() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let slot = Slot::new(database.connect().await);
        for round in 0..3 {
            let walcast = Walcast::serve(
                &database,
                &[("WALCAST__REPLICATION__SLOT", &slot.name), ("WALCAST__WINDOW__BYTES", "0")],
            )
            .await;
            let mut socket = Socket::connect(&walcast).await;
            socket.joined("realtime:public:t", json!({})).await;
            client.execute("insert into t values ($1)", &[&round]).await.unwrap();
            let change = socket.change().await;
            assert!(walcast.stop().success());
            assert_eq!(socket.close_code().await.0, 1012);
            assert!(slot.confirmed().await > cursor(&change).commit, "round {round} on {major}");
            assert_eq!(slot.peek("walcast").await, Vec::<Value>::new());
        }
    }
}

#[tokio::test]
async fn an_idle_slot_moves_on_while_others_write() {
    for &major in postgres_binaries::majors() {
        let shared = cluster::shared(major);
        let (database, other) = (shared.database().await, shared.database().await);
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let slot = Slot::new(database.connect().await);
        let walcast = Walcast::serve(
            &database,
            &[("WALCAST__REPLICATION__SLOT", &slot.name), ("WALCAST__WINDOW__BYTES", "0")],
        )
        .await;
        // Another database, and in ours what is not published: none of it is a change for anybody.
        let elsewhere = other.connect().await;
        elsewhere.batch_execute("create table w (x text); insert into w select repeat('x', 500) from generate_series(1, 5000)").await.unwrap();
        slot.wait_for_confirmed(written(&elsewhere).await).await;
        client
            .batch_execute("create unlogged table u (x int); insert into u select generate_series(1, 1000)")
            .await
            .unwrap();
        client
            .batch_execute(
                "begin; create table gone (x int primary key); insert into gone values (1); rollback",
            )
            .await
            .unwrap();
        elsewhere.batch_execute("select txid_current()").await.unwrap();
        slot.wait_for_confirmed(written(&elsewhere).await).await;
        assert_eq!(walcast.ready().await["status"], "live");
    }
}

#[tokio::test]
async fn positions_in_ready_never_go_back() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let slot = Slot::new(database.connect().await);
    let walcast = Walcast::serve(
        &database,
        &[("WALCAST__REPLICATION__SLOT", &slot.name), ("WALCAST__WINDOW__BYTES", "0")],
    )
    .await;
    let mut socket = Socket::connect(&walcast).await;
    let mut last = position(&socket.joined("realtime:public:t", json!({})).await);
    for round in 0..4 {
        client.execute("insert into t values ($1)", &[&round]).await.unwrap();
        let told = cursor(&socket.change().await);
        let reached = position(&walcast.ready().await);
        assert!(reached >= told, "everything up to here was told");
        assert!(reached > last, "{reached} after {last}");
        slot.terminate().await;
        walcast.wait_for_log("the stream is down").await;
        walcast.wait_for_status("live").await;
        last = position(&walcast.ready().await);
        assert!(last >= reached, "{last} after {reached}");
    }
}
