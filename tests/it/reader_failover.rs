//! Faults of the network between us and Postgres, and a Postgres that is suddenly another one.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::Client;

use crate::cluster::{self, Database};
use crate::faults::patiently;
use crate::proxy::Proxy;
use crate::slot::{Slot, as_role, id, written};
use crate::socket::Socket;
use crate::walcast::{Walcast, until};

#[tokio::test]
async fn connections_that_die_without_a_word_are_noticed_and_replaced() {
    let shared = cluster::shared(15);
    let database = shared.database().await;
    let client = database.connect().await;
    // The server gives a silent reader up soon.
    client
        .batch_execute(&format!(
            "alter database {} set wal_sender_timeout = '2s'; create table t (id int primary key); \
             create table u (id int primary key)",
            database.name()
        ))
        .await
        .unwrap();
    let slot = Slot::new(database.connect().await);
    let proxy = Proxy::to(shared.cluster().port());
    let url = proxy.url(&database.url());
    let settings =
        [("WALCAST__REPLICATION__SLOT", slot.name.as_str()), ("WALCAST__LIMITS__IDLE_SECONDS", "600")];
    let walcast = Walcast::spawn(&url, &settings);
    walcast.wait_for_status("live").await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({})).await;
    client.batch_execute("insert into t values (1)").await.unwrap();
    assert_eq!(id(&socket.change().await), 1);

    let dead = slot.walsender().await;
    proxy.freeze();
    client.batch_execute("insert into t values (2)").await.unwrap();
    // Whatever the answer is, a client does not wait for it until it gives up by itself, after 10 s.
    let begun = Instant::now();
    let mut other = Socket::connect(&walcast).await;
    let reason = other.refused("realtime:public:u", json!({})).await;
    assert!(reason.starts_with("Unavailable: "), "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{reason} after {:?}", begun.elapsed());
    while slot.walsender().await.is_none_or(|pid| Some(pid) == dead) {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody reads again:\n{}", walcast.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(id(&socket.change().await), 2);
    walcast.wait_for_status("live").await;
    other.joined("realtime:public:u", json!({})).await;
}

/// A database whose server never gives a silent reader up, with the tables t and large, a slot, and a way to it.
async fn without_timeout() -> (Database, Client, Slot, Proxy) {
    let shared = cluster::shared(15);
    let database = shared.database().await;
    let client = database.connect().await;
    let sql = format!(
        "alter database {} set wal_sender_timeout = 0; create table t (id int primary key); \
         create table large (id int primary key, x text)",
        database.name()
    );
    client.batch_execute(&sql).await.unwrap();
    let slot = Slot::new(database.connect().await);
    let proxy = Proxy::to(shared.cluster().port());
    (database, client, slot, proxy)
}

/// Freezes the connections of the reader, and writes until its walsender waits to send; returns the walsender's process.
async fn stick(slot: &Slot, client: &Client, proxy: &Proxy) -> i32 {
    let walsender = slot.walsender().await.unwrap();
    proxy.freeze();
    // Far more than the sockets on the way hold: most of it stays with the walsender.
    client.batch_execute("insert into large values (1, repeat('x', 32 << 20))").await.unwrap();
    until("it waits to send", async || waits(client, walsender, "WalSenderWriteData").await).await;
    walsender
}

/// Whether a process of Postgres waits for this event.
async fn waits(client: &Client, pid: i32, event: &str) -> bool {
    let sql = "select count(*) from pg_stat_activity where pid = $1 and wait_event = $2";
    client.query_one(sql, &[&pid, &event]).await.unwrap().get::<_, i64>(0) == 1
}

#[tokio::test]
async fn a_walsender_that_cannot_send_is_noticed_and_ended_though_it_has_no_timeout() {
    let (database, client, slot, proxy) = without_timeout().await;
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let walcast = Walcast::spawn(&proxy.url(&database.url()), &settings);
    walcast.wait_for_status("live").await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({})).await;

    let stuck = stick(&slot, &client, &proxy).await;
    client.batch_execute("insert into t values (1)").await.unwrap();
    let begun = Instant::now();
    while slot.walsender().await.is_none_or(|pid| pid == stuck) {
        assert!(begun.elapsed() < Duration::from_secs(120), "nobody reads again:\n{}", walcast.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(id(&socket.change().await), 1);
    assert!(
        walcast.log().contains("the server waits to send on the replication session"),
        "{}",
        walcast.log()
    );
}

#[tokio::test]
async fn a_successor_ends_the_walsender_of_a_killed_process_that_cannot_say_that_it_ends() {
    let (database, client, slot, proxy) = without_timeout().await;
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let killed = Walcast::spawn(&proxy.url(&database.url()), &settings);
    killed.wait_for_status("live").await;
    let joined = Socket::connect(&killed).await.joined("realtime:public:t", json!({})).await;
    let left = stick(&slot, &client, &proxy).await;
    drop(killed);
    client.batch_execute("insert into t values (1)").await.unwrap();
    client.execute("select pg_terminate_backend($1)", &[&left]).await.unwrap();
    until("it waits to say that it ends", async || waits(&client, left, "ClientWrite").await).await;

    let successor = Walcast::spawn(&database.url(), &settings);
    successor.wait_for_status("live").await;
    let log = successor.log();
    assert_eq!(log.matches(&format!("in use by another process (pid {left})")).count(), 1, "{log}");
    assert!(log.contains("was told to end"), "{log}");
    let mut socket = Socket::connect(&successor).await;
    let since = json!({"since": joined["position"], "epoch": joined["epoch"]});
    assert_eq!(socket.joined("realtime:public:t", since).await["resumed"], true);
    assert_eq!(id(&socket.change().await), 1);
}

#[tokio::test]
async fn who_lost_the_slot_behind_a_dead_connection_sees_that_another_reads_it() {
    let shared = cluster::shared(15);
    let database = shared.database().await;
    let client = database.connect().await;
    let sql = format!("alter database {} set wal_sender_timeout = '5s'", database.name());
    client.batch_execute(&sql).await.unwrap();
    let slot = Slot::new(database.connect().await);
    let proxy = Proxy::to(shared.cluster().port());
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let first = Walcast::spawn(&proxy.url(&database.url()), &settings);
    first.wait_for_status("live").await;
    let second = Walcast::spawn(&database.url(), &settings);
    second.wait_for_status("standby").await;
    proxy.freeze();
    second.wait_for_status("live").await;
    patiently("the first one says so", &mut async || first.ready().await["status"] == "standby").await;
    assert!(second.stop().success());
    first.wait_for_status("live").await;
}

#[tokio::test]
async fn another_server_behind_the_same_address_is_another_epoch_and_its_log_is_not_skipped() {
    // What two servers have in common after a failover: database, role, tables.
    let name = format!("failover_{}", std::process::id());
    let (old, new) = (cluster::shared(18).cluster(), cluster::shared(15).cluster());
    let mut clients = Vec::new();
    for server in [old, new] {
        let admin = cluster::connect(&server.url("postgres")).await;
        admin.batch_execute(&format!("create role {name} superuser login password 'p'")).await.unwrap();
        admin.batch_execute(&format!("create database {name}")).await.unwrap();
        let client = cluster::connect(&server.url(&name)).await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        clients.push(client);
    }
    let slot = Slot::new(cluster::connect(&new.url(&name)).await);
    let proxy = Proxy::to(old.port());
    let url = as_role(&proxy.url(&old.url(&name)), &name, "p");
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str()), ("WALCAST__WINDOW__BYTES", "0")];
    let walcast = Walcast::spawn(&url, &settings);
    walcast.wait_for_status("live").await;
    // The old server is far ahead: its positions would acknowledge what the new one has not written yet.
    while written(&clients[0]).await.0 < written(&clients[1]).await.0 + (256 << 20) {
        clients[0]
            .batch_execute("insert into t select coalesce(max(id), 0) + 1 from t; select pg_switch_wal()")
            .await
            .unwrap();
    }
    let epoch = walcast.ready().await["epoch"].clone();
    let mut socket = Socket::connect(&walcast).await;
    assert_eq!(socket.joined("realtime:public:t", json!({})).await["epoch"], epoch);
    clients[0].batch_execute("insert into t values (1000)").await.unwrap();
    while id(&socket.change().await) != 1000 {}

    proxy.lead_to(new.port());
    socket.interrupted("realtime:public:t").await;
    let joined = socket.joined("realtime:public:t", json!({})).await;
    assert_ne!(joined["epoch"], epoch);
    clients[1].batch_execute("insert into t values (1)").await.unwrap();
    assert_eq!(id(&socket.change().await), 1);
    assert!(walcast.stop().success());
    let (confirmed, written) = (slot.confirmed().await, written(&clients[1]).await);
    assert!(confirmed <= written, "{confirmed} is acknowledged where {written} is the end of the log");
    assert_eq!(slot.peek("walcast").await, Vec::<serde_json::Value>::new());

    // Both outlive the test, unlike the databases of others.
    clients[1].execute("select pg_drop_replication_slot($1)", &[&slot.name]).await.unwrap();
    clients[0].execute("select pg_drop_replication_slot($1)", &[&slot.name]).await.unwrap();
}
