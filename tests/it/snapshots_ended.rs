//! Snapshots that are refused, or end before they are whole.

use serde_json::json;
use tokio_postgres::Client;

use crate::cluster::{self, Database};
use crate::slot::as_role;
use crate::snapshots::TABLE;
use crate::socket::Socket;
use crate::walcast::{Walcast, until};

#[tokio::test]
async fn what_cannot_be_had_is_refused_by_name() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    for (topic, snapshot, code) in [
        ("realtime:*", json!({}), "OptionInvalid"),
        ("realtime:public", json!(true), "OptionInvalid"),
        ("realtime:public:t", json!({"limit": -1}), "OptionInvalid"),
        ("realtime:public:t", json!({"rows": 1}), "OptionInvalid"),
        ("realtime:public:t", json!("all"), "OptionInvalid"),
    ] {
        let reason = socket.refused(topic, json!({ "snapshot": snapshot })).await;
        assert!(reason.starts_with(code), "{topic} {snapshot}: {reason}");
    }
    // A role that follows the slot, and may read nothing.
    let reader = format!("reader_{}", std::process::id());
    client
        .batch_execute(&format!(
            "create role {reader} login replication password 'p'; create publication readers for table t"
        ))
        .await
        .unwrap();
    let url = as_role(&database.url(), &reader, "p");
    let settings = [
        ("WALCAST__REPLICATION__PUBLICATION", "readers"),
        ("WALCAST__REPLICATION__CREATE_PUBLICATION", "false"),
    ];
    let poor = Walcast::spawn(&url, &settings);
    poor.wait_for_status("live").await;
    let mut socket = Socket::connect(&poor).await;
    socket.joined("realtime:public:t", json!({"snapshot": {}})).await;
    let error = socket.frame().await;
    assert_eq!(error[3], "snapshot_error");
    assert!(error[4]["reason"].as_str().unwrap().starts_with("SnapshotDenied: "), "{error}");
    assert_eq!(socket.frame().await[3], "phx_error");
    drop(poor);
    client.batch_execute(&format!("drop role {reader}")).await.unwrap();
}

/// A server with a setting, and the table t, of more rows than the sockets on the way hold.
async fn of_many_rows(setting: (&str, &str)) -> (Database, Client, Walcast) {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    client
        .batch_execute("insert into t (n, v) select i, repeat('y', 1000) from generate_series(1, 60000) i")
        .await
        .unwrap();
    let walcast = Walcast::serve(&database, &[setting]).await;
    (database, client, walcast)
}

/// How many snapshots of this database are being read.
async fn taking(client: &Client) -> i64 {
    let sql = "select count(*) from pg_stat_activity where application_name = 'walcast-snapshot' \
               and datname = current_database()";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn who_leaves_or_is_cut_leaves_no_snapshot_behind() {
    let (_database, client, walcast) = of_many_rows(("WALCAST__SNAPSHOT__CONNECTIONS", "2")).await;
    let mut leaving = Socket::connect(&walcast).await;
    leaving.joined("realtime:public:t", json!({"snapshot": {}})).await;
    let mut cut = Socket::connect(&walcast).await;
    cut.joined("realtime:public:t", json!({"snapshot": {}})).await;
    until("both are under way", async || taking(&client).await == 2).await;
    // Nobody reads any further, so neither can end by itself.
    leaving.send(json!(["1", "2", "realtime:public:t", "phx_leave", {}]).to_string()).await;
    drop(cut);
    let mut third = Socket::connect(&walcast).await;
    third.joined("realtime:public:t", json!({"snapshot": {"limit": 1}})).await;
    assert_eq!(third.frame().await[3], "snapshot");
    until("none is left", async || taking(&client).await == 0).await;
}

#[tokio::test]
async fn what_is_not_read_in_time_holds_no_snapshot_and_is_told_why() {
    let (database, client, walcast) = of_many_rows(("WALCAST__SNAPSHOT__SECONDS", "4")).await;
    // A client that does not read, then a database that does not answer.
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({"snapshot": {}})).await;
    until("it is under way", async || taking(&client).await == 1).await;
    until("it is given up", async || taking(&client).await == 0).await;
    let told = ends(&mut socket).await;
    assert!(told.starts_with("SnapshotTooSlow: "), "{told}");

    let locking = database.connect().await;
    locking.batch_execute("begin; lock table t").await.unwrap();
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({"snapshot": {}})).await;
    let told = ends(&mut socket).await;
    assert!(told.starts_with("SnapshotTooSlow: "), "{told}");
    until("it is given up", async || taking(&client).await == 0).await;
}

/// The reason why a snapshot ends, behind which the channel is closed.
async fn ends(socket: &mut Socket) -> String {
    loop {
        let frame = socket.frame().await;
        match frame[3].as_str().unwrap() {
            "snapshot" => {}
            "snapshot_error" => {
                assert_eq!(socket.frame().await[3], "phx_error");
                return frame[4]["reason"].as_str().unwrap().to_owned();
            }
            other => panic!("{other}: {frame}"),
        }
    }
}
