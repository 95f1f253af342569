//! What cannot be served is refused at the start, with the reason and what to do, and no secret is told.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::slot::{Slot, as_role};
use crate::socket::Socket;
use crate::walcast::{Walcast, until};
use crate::{cluster, postgres_binaries};
use walcast::demo::cluster::Shutdown;

#[tokio::test]
async fn a_slot_of_another_use_is_left_alone() {
    let shared = cluster::shared(15);
    let (database, other) = (shared.database().await, shared.database().await);
    let client = database.connect().await;
    client.batch_execute("create publication walcast for all tables").await.unwrap();
    let elsewhere = Slot::created(other.connect().await).await;
    let physical = Slot::new(database.connect().await);
    client.execute("select pg_create_physical_replication_slot($1)", &[&physical.name]).await.unwrap();
    for (slot, word) in [(&elsewhere, other.name()), (&physical, "plugin none")] {
        let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
        let printed = Walcast::spawn(&database.url(), &settings).gives_up();
        for word in [&slot.name, word, "replication.slot"] {
            assert!(printed.contains(word), "{word:?} in {printed}");
        }
    }
    let kept = "select count(*) from pg_replication_slots where slot_name in ($1, $2)";
    let kept = client.query_one(kept, &[&elsewhere.name, &physical.name]).await.unwrap();
    assert_eq!(kept.get::<_, i64>(0), 2);
    client.execute("select pg_drop_replication_slot($1)", &[&physical.name]).await.unwrap();
}

#[tokio::test]
async fn a_role_without_replication_is_told_what_it_lacks() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    let role = format!("No \"Repl\" {}", database.name());
    let quoted = postgres_protocol::escape::escape_identifier(&role);
    client.batch_execute(&format!("create role {quoted} login password 'p'")).await.unwrap();
    client.batch_execute("create publication walcast for all tables").await.unwrap();
    let url = as_role(&database.url(), &role, "p");
    let printed = Walcast::spawn(&url, &[]).gives_up();
    // What it prints is what a superuser has to run.
    let grant = format!("ALTER ROLE {quoted} REPLICATION");
    assert!(printed.contains(&grant), "{printed}");
    client.batch_execute(&grant).await.unwrap();
    Walcast::spawn(&url, &[]).wait_for_status("live").await;
}

#[tokio::test]
async fn a_wrong_login_ends_the_start_and_names_the_role_and_the_database() {
    let database = cluster::shared(18).database().await;
    let wrong = as_role(&database.url(), "postgres", "hunter2-wrong");
    let printed = Walcast::spawn(&wrong, &[("WALCAST__LOG__FILTER", "trace")]).gives_up();
    assert!(printed.contains("password authentication failed for user \"postgres\""), "{printed}");
    assert!(!printed.contains("hunter2"), "the password is told:\n{printed}");

    let missing = database.url().replace(database.name(), "no_such_database");
    let printed = Walcast::spawn(&missing, &[]).gives_up();
    assert!(printed.contains("database \"no_such_database\" does not exist"), "{printed}");
}

#[tokio::test]
async fn the_password_is_never_logged_even_by_the_most_talkative_log() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    let role = format!("secretive_{}", database.name());
    let create = format!(
        "create role {role} superuser login password 'correct-horse'; create table t (id int primary key, v text)"
    );
    client.batch_execute(&create).await.unwrap();
    let slot = Slot::new(database.connect().await);
    let url = as_role(&database.url(), &role, "correct-horse");
    let settings = [("WALCAST__LOG__FILTER", "trace"), ("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let walcast = Walcast::spawn(&url, &settings);
    walcast.wait_for_status("live").await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({})).await;
    client.batch_execute("insert into t values (1, 'battery-staple')").await.unwrap();
    socket.change().await;
    slot.terminate().await;
    walcast.wait_for_log("the stream is down").await;
    walcast.wait_for_status("live").await;
    client.batch_execute("insert into t values (2, 'battery-staple')").await.unwrap();
    socket.change().await;
    let log = walcast.log();
    assert!(
        log.contains("\"level\":\"DEBUG\"") || log.contains("\"level\":\"TRACE\""),
        "it is talkative: {log}"
    );
    for secret in ["correct-horse", "battery-staple"] {
        assert!(!log.contains(secret), "{secret} is logged:\n{log}");
    }
}

#[tokio::test]
async fn a_server_whose_log_is_not_logical_is_refused_with_the_command() {
    let cluster = cluster::own(&postgres_binaries::of_major(18), &[("wal_level", "replica")]);
    let printed = Walcast::spawn(&cluster.url("postgres"), &[]).gives_up();
    for word in ["wal_level is replica", "ALTER SYSTEM SET wal_level = logical"] {
        assert!(printed.contains(word), "{word:?} in {printed}");
    }
}

/// One cluster sees it all: names of synchronous standbys, a slot that Postgres gave up, a standby, its promotion.
#[tokio::test]
async fn commits_that_would_wait_for_us_a_lost_slot_and_a_standby_are_refused() {
    for &major in postgres_binaries::majors() {
        let mut cluster = cluster::own(&postgres_binaries::of_major(major), &[]);
        let url = cluster.url("postgres");
        let client = cluster::connect(&url).await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let slot = Slot::new(cluster::connect(&url).await);
        let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
        let walcast = Walcast::spawn(&url, &settings);
        walcast.wait_for_status("live").await;
        assert!(walcast.stop().success());

        let reload = async |name: &str, value: &str| {
            client.batch_execute(&format!("alter system set {name} = '{value}'")).await.unwrap();
            client.batch_execute("select pg_reload_conf()").await.unwrap();
            let sql = "select setting from pg_settings where name = $1";
            until(&format!("{name} is {value}"), async || {
                client.query_one(sql, &[&name]).await.unwrap().get::<_, String>(0) == value
            })
            .await;
        };
        reload("synchronous_standby_names", "ANY 1 (other, walcast)").await;
        let printed = Walcast::spawn(&url, &settings).gives_up();
        assert!(printed.contains("synchronous_standby_names (ANY 1 (other, walcast))"), "{printed}");
        reload("synchronous_standby_names", "").await;

        // Log of more than the slot may keep.
        reload("max_slot_wal_keep_size", "16").await;
        for _ in 0..6 {
            client
                .batch_execute("insert into t select coalesce(max(id), 0) + 1 from t; select pg_switch_wal()")
                .await
                .unwrap();
        }
        client.batch_execute("checkpoint").await.unwrap();
        let printed = Walcast::spawn(&url, &settings).gives_up();
        for word in ["is lost", "max_slot_wal_keep_size", "pg_drop_replication_slot"] {
            assert!(printed.contains(word), "{word:?} in {printed}");
        }
        client.execute("select pg_drop_replication_slot($1)", &[&slot.name]).await.unwrap();

        let walcast = Walcast::spawn(&url, &settings);
        walcast.wait_for_status("live").await;
        let epoch = walcast.ready().await["epoch"].clone();
        let mut socket = Socket::connect(&walcast).await;
        assert_eq!(socket.joined("realtime:public:t", json!({})).await["epoch"], epoch);
        let begun = Instant::now();
        cluster.stop_server(Shutdown::Fast).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "we kept the server for {:?}", begun.elapsed());
        std::fs::write(cluster.directory().join("data/standby.signal"), "").unwrap();
        cluster.start_server().unwrap();
        let printed = Walcast::spawn(&url, &settings).gives_up();
        assert!(printed.contains("this server is a standby; connect to the primary"), "{printed}");

        // The one that was live waits for better times, and begins another epoch when they come.
        let ready = walcast.ready().await;
        assert_eq!((&ready["http"], &ready["status"]), (&json!(503), &json!("reconnecting")), "{ready}");
        let client = cluster::connect(&url).await;
        client.batch_execute("select pg_promote()").await.unwrap();
        walcast.wait_for_status("live").await;
        let ready = walcast.ready().await;
        assert_ne!(ready["epoch"], epoch, "a promotion begins a new epoch");
        // Cursors of the old epoch mean nothing any more, and whoever holds them is told.
        socket.interrupted("realtime:public:t").await;
        assert_eq!(socket.joined("realtime:public:t", json!({})).await["epoch"], ready["epoch"]);
        client.batch_execute("insert into t values (1000)").await.unwrap();
        assert_eq!(socket.change().await["record"]["id"], 1000);
        assert!(walcast.stop().success());
    }
}
