//! Cursors name one change for ever: across kills, sessions, slots, and publications that change meanwhile.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::slot::{Slot, assert_cursors_grow, cursor, id, position};
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

#[tokio::test]
async fn a_killed_reader_and_its_successor_name_each_change_alike() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table t (id int primary key, v text); create publication walcast for all tables",
            )
            .await
            .unwrap();
        // One slot is read and killed, the other one keeps everything for a second look.
        let (slot, kept) =
            (Slot::new(database.connect().await), Slot::created(database.connect().await).await);
        let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
        let mut told: Vec<Value> = Vec::new();
        for round in 0..3 {
            let walcast = Walcast::serve(&database, &settings).await;
            let mut socket = Socket::connect(&walcast).await;
            let joined = position(&socket.joined("realtime:public:t", json!({})).await);
            if let Some(last) = told.last() {
                assert!(joined >= cursor(last), "the successor goes on behind it");
            }
            let base = round * 10;
            client
                .batch_execute(&format!(
                    "begin; insert into t values ({base}, 'a'); savepoint s; insert into t values ({base} + 1, 'b'); \
                       rollback to s; insert into t select {base} + i, 'c' from generate_series(2, 5) i; \
                       update t set v = 'd' where id = {base} + 2; commit; \
                     insert into t values ({base} + 6, null)"
                ))
                .await
                .unwrap();
            told.extend(socket.changes(7).await);
            walcast.signal(Signal::SIGKILL);
            // While nobody listens; the next one reads it, and tells it to nobody.
            client.batch_execute(&format!("insert into t values ({base} + 7, 'missed')")).await.unwrap();
        }
        assert_cursors_grow(&told);
        let again: BTreeMap<_, _> =
            kept.peek("walcast").await.into_iter().map(|change| (cursor(&change), change)).collect();
        for change in &told {
            assert_eq!(again.get(&cursor(change)), Some(change), "decoded again on {major}");
        }
        let missed = again.values().filter(|change| change["record"]["v"] == "missed").count();
        assert_eq!(again.len(), told.len() + missed);
        assert_eq!(missed, 3);
    }
}

#[tokio::test]
async fn two_readers_of_two_slots_agree_though_one_of_them_is_cut_again_and_again() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    client
        .batch_execute(
            "create table t (id int primary key, v text); create publication walcast for all tables",
        )
        .await
        .unwrap();
    let (calm, cut) = (Slot::new(database.connect().await), Slot::new(database.connect().await));
    let calm_one = Walcast::serve(&database, &[("WALCAST__REPLICATION__SLOT", calm.name.as_str())]).await;
    let cut_one = Walcast::serve(&database, &[("WALCAST__REPLICATION__SLOT", cut.name.as_str())]).await;
    let (mut one, mut two) = (Socket::connect(&calm_one).await, Socket::connect(&cut_one).await);
    for socket in [&mut one, &mut two] {
        socket.joined("realtime:public:t", json!({"frames": "type"})).await;
    }
    for round in 0..4 {
        client
            .batch_execute(&format!(
                "begin; insert into t select {round} * 1000 + i, repeat('y', 300) from generate_series(1, 400) i; \
                 insert into t values (-{round} - 1, 'single'); commit"
            ))
            .await
            .unwrap();
        cut.terminate().await;
        let (first, second) = (one.changes(401).await, two.changes(401).await);
        assert!(first == second, "they disagree in round {round}");
        assert_cursors_grow(&first);
    }
}

/// A transaction that was open while the publication changed decodes to other changes than those before; those
/// that are in both keep their cursors, and none comes twice.
#[tokio::test]
async fn a_publication_that_grows_under_an_open_transaction_shifts_no_cursor() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table a (id int primary key); create table b (id int primary key); \
                 create publication walcast for table a",
            )
            .await
            .unwrap();
        let slot = Slot::new(database.connect().await);
        let kept = Slot::created(database.connect().await).await;
        let walcast = Walcast::serve(&database, &[("WALCAST__REPLICATION__SLOT", slot.name.as_str())]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:*", json!({})).await;
        let open = database.connect().await;
        open.batch_execute(
            "begin; insert into a values (1); insert into b values (1); insert into a values (2)",
        )
        .await
        .unwrap();
        client.batch_execute("alter publication walcast add table b").await.unwrap();
        open.batch_execute("insert into b values (2); insert into a values (3); commit").await.unwrap();
        client.batch_execute("insert into a values (4); insert into b values (4)").await.unwrap();
        let mut told = Vec::new();
        loop {
            let change = socket.change().await;
            let last = change["table"] == "b" && id(&change) == 4;
            told.push(change);
            if last {
                break;
            }
        }
        assert_cursors_grow(&told);
        let of_a: Vec<i64> = told.iter().filter(|change| change["table"] == "a").map(id).collect();
        assert_eq!(of_a, [1, 2, 3, 4]);
        slot.terminate().await;
        walcast.wait_for_status("live").await;
        client.batch_execute("insert into a values (5)").await.unwrap();
        assert_eq!(id(&socket.change().await), 5, "nothing came twice");
        let again: BTreeMap<_, _> =
            kept.peek("walcast").await.into_iter().map(|change| (cursor(&change), change)).collect();
        for change in told.iter().filter(|change| change["table"] == "a") {
            assert_eq!(again.get(&cursor(change)), Some(change), "on {major}");
        }
    }
}
