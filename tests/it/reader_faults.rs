//! Faults of the session and of the server: nothing is lost, nothing is told twice, and what is lost is told.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use walcast::demo::cluster::Shutdown;

use crate::slot::{Slot, assert_cursors_grow, cursor, id, position};
use crate::socket::Socket;
use crate::walcast::{Walcast, until};
use crate::{cluster, postgres_binaries};

#[tokio::test]
async fn a_walsender_that_is_terminated_at_once_loses_nothing_and_repeats_nothing() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let slot = Slot::new(database.connect().await);
        let walcast = Walcast::serve(&database, &[("WALCAST__REPLICATION__SLOT", &slot.name)]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({})).await;
        let mut told = Vec::new();
        let mut again = 0;
        for round in 0..5 {
            client.execute("insert into t values ($1), ($1 + 1)", &[&(3 * round)]).await.unwrap();
            told.extend(socket.changes(2).await);
            // What was told but not acknowledged comes again from the slot.
            again += u32::from(slot.confirmed().await < cursor(told.last().unwrap()).commit);
            slot.terminate().await;
            // Written while nobody reads.
            client.execute("insert into t values ($1 + 2)", &[&(3 * round)]).await.unwrap();
            told.push(socket.change().await);
            walcast.wait_for_status("live").await;
        }
        assert!(again > 0, "the server had nothing to repeat, so this shows nothing");
        assert_eq!(told.iter().map(id).collect::<Vec<_>>(), (0..15).collect::<Vec<_>>());
        assert_cursors_grow(&told);
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_any_more_is_no_reason_to_end() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let slot = Slot::new(database.connect().await);
    // Whoever reads the log ends once the port is known: every further line fails.
    let mut command = Command::new("bash");
    let unread = r#"exec "$0" "$@" 2> >(sed -u /listening/q >&2)"#;
    command.args(["-c", unread, env!("CARGO_BIN_EXE_walcast")]);
    let walcast = Walcast::spawn_by(command, &database.url(), &[("WALCAST__REPLICATION__SLOT", &slot.name)]);
    walcast.wait_for_status("live").await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({})).await;
    slot.terminate().await;
    client.execute("insert into t values (1)", &[]).await.unwrap();
    assert_eq!(id(&socket.change().await), 1);
    assert!(!walcast.log().contains("the stream is down"), "somebody reads: {}", walcast.log());
    assert!(walcast.stop().success());
}

#[tokio::test]
async fn a_transaction_that_is_cut_in_the_middle_goes_on_where_it_was_cut() {
    const ROWS: i64 = 25_000;
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key, v text)").await.unwrap();
        let slot = Slot::new(database.connect().await);
        // A test's client is slower than the server; that must not cost it its socket.
        let settings =
            [("WALCAST__REPLICATION__SLOT", slot.name.as_str()), ("WALCAST__OUTBOX__BYTES", "1073741824")];
        let walcast = Walcast::serve(&database, &settings).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({"frames": "type"})).await;
        let filler = "x".repeat(900);
        client
            .execute("insert into t select i, $1 from generate_series(1, $2::int8) i", &[&filler, &ROWS])
            .await
            .unwrap();
        let mut told = vec![socket.change().await];
        for _ in 0..3 {
            assert!(slot.confirmed().await < cursor(&told[0]).commit, "the transaction is over already");
            slot.terminate().await;
            told.extend(socket.changes(1_000).await);
        }
        told.extend(socket.changes(usize::try_from(ROWS).unwrap() - told.len()).await);
        client.batch_execute("insert into t values (0, 'the end')").await.unwrap();
        told.push(socket.change().await);
        let ids: Vec<i64> = told.iter().map(id).collect();
        assert!(ids.iter().copied().eq((1..=ROWS).chain([0])), "lost or repeated on {major}");
        assert_cursors_grow(&told);
        assert!(walcast.log().matches("\"streaming\"").count() > 2, "it was never cut: {}", walcast.log());
    }
}

#[tokio::test]
async fn a_server_that_restarts_is_not_kept_waiting_and_nothing_is_lost() {
    for &major in postgres_binaries::majors() {
        let settings = [("max_prepared_transactions", "5")];
        let mut cluster = cluster::own(&postgres_binaries::of_major(major), &settings);
        let url = cluster.url("postgres");
        let setup = cluster::connect(&url).await;
        setup.batch_execute("create table t (id int primary key)").await.unwrap();

        // Down at the start: it waits, and says so.
        cluster.stop_server(Shutdown::Fast).unwrap();
        let walcast = Walcast::spawn(&url, &[]);
        until("it says that there is no database", async || {
            let ready = walcast.ready().await;
            assert_eq!(ready["http"], 503);
            assert_eq!((&ready["status"], &ready["epoch"]), (&json!("starting"), &Value::Null), "{ready}");
            ready["reason"].as_str().unwrap().contains("cannot connect to the database")
        })
        .await;
        assert_eq!(walcast.get("/health").await.0, 200);
        let mut socket = Socket::connect(&walcast).await;
        let begun = Instant::now();
        let reason = socket.refused("realtime:public:t", json!({})).await;
        assert_eq!(
            reason,
            "Unavailable: the stream of changes is not live (connecting to the database); try again later"
        );
        assert!(begun.elapsed() >= Duration::from_secs(7), "it gave the database no time");
        cluster.start_server().unwrap();
        walcast.wait_for_status("live").await;
        assert_eq!(walcast.ready().await["http"], 200);
        socket.joined("realtime:public:t", json!({})).await;

        let mut next = 0;
        for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
            let client = cluster::connect(&url).await;
            // A prepared transaction lives through it, and is told when it is committed.
            let prepare = format!(
                "begin; insert into t values ({}); prepare transaction 'p'; insert into t values ({next})",
                next + 1
            );
            client.batch_execute(&prepare).await.unwrap();
            let begun = Instant::now();
            cluster.stop_server(shutdown).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(4), "{shutdown:?} took {:?}", begun.elapsed());
            // A fast shutdown lets the walsender say everything first; an immediate one may cut it off before.
            let told_before = matches!(shutdown, Shutdown::Fast);
            if told_before {
                assert_eq!(id(&socket.change().await), next);
            }
            walcast.wait_for_status("reconnecting").await;
            assert_eq!(walcast.ready().await["http"], 503);
            cluster.start_server().unwrap();
            if !told_before {
                assert_eq!(id(&socket.change().await), next);
            }
            let client = cluster::connect(&url).await;
            client.batch_execute("commit prepared 'p'").await.unwrap();
            assert_eq!(id(&socket.change().await), next + 1);
            walcast.wait_for_status("live").await;
            next += 2;
        }
        assert!(walcast.stop().success());
    }
}

#[tokio::test]
async fn a_slot_that_was_dropped_under_us_is_made_anew_and_every_client_is_told() {
    for temporary in ["false", "true"] {
        let database = cluster::shared(15).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let slot = Slot::new(database.connect().await);
        let settings = [
            ("WALCAST__REPLICATION__SLOT", slot.name.as_str()),
            ("WALCAST__REPLICATION__TEMPORARY", temporary),
            ("WALCAST__REPLICATION__ON_SLOT_LOST", "recreate"),
        ];
        let walcast = Walcast::serve(&database, &settings).await;
        let mut socket = Socket::connect(&walcast).await;
        let before = position(&socket.joined("realtime:public:t", json!({})).await);
        if temporary == "true" {
            slot.terminate().await;
        } else {
            slot.drop_under_its_reader().await;
        }
        // Whether this is in the new slot depends on who is faster; a client cannot know, so it has to ask anew.
        client.batch_execute("insert into t values (1)").await.unwrap();
        socket.interrupted("realtime:public:t").await;
        let after = position(&socket.joined("realtime:public:t", json!({})).await);
        assert!(after > before, "{before} {after}");
        client.batch_execute("insert into t values (2)").await.unwrap();
        assert_eq!(id(&socket.change().await), 2);
    }
}

#[tokio::test]
async fn a_broken_sql_session_costs_no_event_and_no_join() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    client
        .batch_execute("create table t (id int primary key); create type mood as enum ('sad', 'ok')")
        .await
        .unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:*", json!({})).await;
    let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                 where datname = current_database() and application_name = 'walcast-sql'";
    for round in 0..3 {
        assert_eq!(client.query_one(ended, &[]).await.unwrap().get::<_, i64>(0), 1);
        // The next row needs the catalog, and so does the join.
        client
            .batch_execute(&format!("create table m{round} (id int primary key, m mood); insert into m{round} values ({round}, 'ok')"))
            .await
            .unwrap();
        let change = socket.change().await;
        assert_eq!((id(&change), &change["columns"][1]["type"]), (round, &json!("mood")));
        socket.joined(&format!("realtime:public:m{round}"), json!({})).await;
        until("it has a session again", async || {
            let sql = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'walcast-sql'";
            client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_join_whose_session_ends_while_it_is_asked_is_decided_all_the_same() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    let sessions =
        "from pg_stat_activity where datname = current_database() and application_name = 'walcast-sql'";
    // The question waits for this lock.
    client.batch_execute("begin; lock table pg_publication in access exclusive mode").await.unwrap();
    let ending = async {
        let waits = format!("select count(*) {sessions} and wait_event_type = 'Lock'");
        until("the catalog is asked", async || {
            client.query_one(&waits, &[]).await.unwrap().get::<_, i64>(0) == 1
        })
        .await;
        let end = format!("select count(pg_terminate_backend(pid)) {sessions}; rollback");
        client.batch_execute(&end).await.unwrap();
    };
    tokio::join!(socket.joined("realtime:public:t", json!({})), ending);
    walcast.wait_for_log("the database could not be asked about a join").await;
    client.batch_execute("insert into t values (1)").await.unwrap();
    assert_eq!(id(&socket.change().await), 1);
}

#[tokio::test]
async fn a_row_over_the_limit_is_named_and_stays_in_the_slot() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    let slot = Slot::new(database.connect().await);
    let small =
        [("WALCAST__REPLICATION__SLOT", slot.name.as_str()), ("WALCAST__LIMITS__ROW_BYTES", "100000")];
    let walcast = Walcast::serve(&database, &small).await;
    client.batch_execute("insert into t values (1, repeat('x', 200000))").await.unwrap();
    walcast.wait_for_log("is over limits.row_bytes (100000)").await;
    walcast.wait_for_status("reconnecting").await;
    let ready = walcast.ready().await;
    assert_eq!(ready["http"], 503);
    assert!(ready["reason"].as_str().unwrap().contains("is over limits.row_bytes (100000)"), "{ready}");
    // Nothing of it was acknowledged, so that the slot still holds it.
    assert!(walcast.stop().success());
    let sql = "select count(*) from pg_logical_slot_peek_binary_changes($1, null, null, 'proto_version', '1', \
               'publication_names', 'walcast') where length(data) > 200000";
    assert_eq!(client.query_one(sql, &[&slot.name]).await.unwrap().get::<_, i64>(0), 1);
}
