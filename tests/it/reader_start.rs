//! What a start makes: the publication, then the slot; and what it leaves alone.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::slot::{Slot, as_role, id};
use crate::socket::Socket;
use crate::walcast::{Walcast, until};
use crate::{cluster, postgres_binaries};

#[tokio::test]
async fn the_publication_is_older_than_the_slot_and_covers_all_tables_when_each_has_a_key() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table a (id int primary key); create table b (x int); alter table b replica identity full").await.unwrap();
        let slot = Slot::new(database.connect().await);
        let walcast = Walcast::serve(&database, &[("WALCAST__REPLICATION__SLOT", &slot.name)]).await;
        let sql = "select puballtables, pubviaroot from pg_publication where pubname = 'walcast'";
        let made = client.query_one(sql, &[]).await.unwrap();
        assert_eq!((made.get(0), made.get(1)), (true, true), "all tables, by their roots");
        let log = walcast.log();
        let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text:?} in {log}"));
        assert!(at("created the publication") < at("created the replication slot"));

        // A second start finds both, and makes neither again.
        assert!(walcast.stop().success());
        let walcast = Walcast::serve(&database, &[("WALCAST__REPLICATION__SLOT", &slot.name)]).await;
        assert!(!walcast.log().contains("created the"), "{}", walcast.log());
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:*", json!({})).await;
        client.batch_execute("insert into a values (7)").await.unwrap();
        assert_eq!(id(&socket.change().await), 7);
    }
}

/// Each of these, published, would make the application's own UPDATEs and DELETEs fail.
const BARE: [(&str, &str); 6] = [
    ("no key", "create table t (id int, n int)"),
    ("a deferrable key", "create table t (id int primary key deferrable, n int)"),
    (
        "identity nothing",
        "create table t (id int primary key, n int); alter table t replica identity nothing",
    ),
    (
        "partitions without a key below a FULL root",
        "create table t (id int, n int) partition by range (id); \
         create table t1 partition of t for values from (0) to (10); alter table t replica identity full",
    ),
    (
        "one partition of identity nothing",
        "create table t (id int primary key, n int) partition by range (id); \
         create table t0 partition of t for values from (10) to (20); \
         create table t1 partition of t for values from (0) to (10); alter table t1 replica identity nothing",
    ),
    (
        "a dropped identity index",
        "create table t (id int not null, n int); create unique index k on t (id); \
         alter table t replica identity using index k; drop index k",
    ),
];

#[tokio::test]
async fn a_table_whose_updates_would_fail_is_left_out_of_a_created_publication() {
    for &major in postgres_binaries::majors() {
        for (what, create) in BARE {
            let database = cluster::shared(major).database().await;
            let client = database.connect().await;
            client.batch_execute(create).await.unwrap();
            client.batch_execute("create table \"Keyed\" (id int primary key, n int)").await.unwrap();
            let walcast = Walcast::serve(&database, &[]).await;
            client
                .batch_execute("insert into t values (1, 1); update t set n = 2; delete from t")
                .await
                .unwrap_or_else(|error| panic!("{what} on {major}: {error:?}"));
            assert!(walcast.log().contains("left out of the publication"), "{what} on {major}");
            let mut socket = Socket::connect(&walcast).await;
            let reason = socket.refused("realtime:public:t", json!({})).await;
            assert!(reason.starts_with("TableNotPublished: "), "{what} on {major}: {reason}");
            socket.joined("realtime:public:Keyed", json!({})).await;
            client.batch_execute("insert into \"Keyed\" values (3, 3)").await.unwrap();
            assert_eq!(id(&socket.change().await), 3);
        }
    }
}

#[tokio::test]
async fn tables_that_can_be_published_are_whatever_their_identity_is() {
    let creates = [
        "create table t (id int, n int); alter table t replica identity full",
        "create table t (id int not null, n int); create unique index k on t (id); \
         alter table t replica identity using index k",
        "create table t (id int primary key, n int) partition by range (id); \
         create table t1 partition of t for values from (0) to (10)",
        // Only the partitions' identities count; the root has no rows.
        "create table t (id int, n int) partition by range (id); \
         create table t1 partition of t for values from (0) to (10); alter table t1 replica identity full",
    ];
    for create in creates {
        let database = cluster::shared(15).database().await;
        let client = database.connect().await;
        client.batch_execute(create).await.unwrap();
        // Something that is left out, so that the others are listed by name.
        client.batch_execute("create table bare (x int); create unlogged table u (x int)").await.unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({})).await;
        client.batch_execute("insert into t values (1, 1); update t set n = 2; delete from t").await.unwrap();
        let told: Vec<_> = socket.changes(3).await.iter().map(|change| change["type"].clone()).collect();
        assert_eq!(told, ["INSERT", "UPDATE", "DELETE"], "{create}");
    }
}

#[tokio::test]
async fn the_sql_that_is_printed_instead_of_run_is_what_the_next_start_needs() {
    for publication in ["walcast", "My \"Pub\"", "it's, ünï.code %I"] {
        let database = cluster::shared(15).database().await;
        let client = database.connect().await;
        client
            .batch_execute("create table \"A b\" (id int primary key); create table bare (x int)")
            .await
            .unwrap();
        let settings = [
            ("WALCAST__REPLICATION__CREATE_PUBLICATION", "false"),
            ("WALCAST__REPLICATION__PUBLICATION", publication),
        ];
        let printed = Walcast::spawn(&database.url(), &settings).gives_up();
        let sql = printed.lines().find(|line| line.trim_start().starts_with("CREATE PUBLICATION"));
        let sql = sql.unwrap_or_else(|| panic!("a line of SQL in {printed}"));
        assert!(printed.contains("replication.create_publication"), "{printed}");
        let slots = "select count(*) from pg_replication_slots where database = current_database()";
        assert_eq!(client.query_one(slots, &[]).await.unwrap().get::<_, i64>(0), 0, "no slot before it");
        client.batch_execute(sql).await.unwrap();

        let walcast = Walcast::serve(&database, &settings).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:A b", json!({})).await;
        client.batch_execute("insert into \"A b\" values (1)").await.unwrap();
        assert_eq!(id(&socket.change().await), 1);
    }
}

#[tokio::test]
async fn a_role_with_replication_alone_gets_by_with_a_ready_publication() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        let role = format!("only_{}", database.name());
        client
            .batch_execute(&format!(
                "create role {role} login replication password 'p'; create table t (id int primary key, n text); \
                 create schema closed; create table closed.c (id int primary key); \
                 create table closed.parts (id int primary key) partition by range (id); \
                 create table closed.part partition of closed.parts for values from (0) to (10)"
            ))
            .await
            .unwrap();
        let url = as_role(&database.url(), &role, "p");

        // It may not create one, and says what somebody else has to run.
        let printed = Walcast::spawn(&url, &[]).gives_up();
        assert!(printed.contains("CREATE PUBLICATION \"walcast\" FOR ALL TABLES"), "{printed}");

        client.batch_execute("create publication walcast for all tables").await.unwrap();
        let walcast = Walcast::spawn(&url, &[]);
        walcast.wait_for_status("live").await;
        let mut socket = Socket::connect(&walcast).await;
        for topic in
            ["realtime:public:t:id=eq.1", "realtime:closed", "realtime:closed:c", "realtime:closed:part"]
        {
            socket.joined(topic, json!({})).await;
        }
        let reason = socket.refused("realtime:closed:parts", json!({})).await;
        assert!(reason.contains("told as its partitions"), "{reason}");
        client.batch_execute("insert into t values (1, 'x')").await.unwrap();
        assert_eq!(id(&socket.change().await), 1);
        let (status, tables) = walcast.get("/console.json").await;
        assert!(status == 200 && tables.contains("\"closed\""), "{status} {tables}");
    }
}

#[tokio::test]
async fn a_slot_that_is_older_than_its_new_publication_is_refused_with_the_way_out() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let slot = Slot::created(database.connect().await).await;
        let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
        let printed = Walcast::spawn(&database.url(), &settings).gives_up();
        let way_out = format!("pg_drop_replication_slot('{}')", slot.name);
        assert!(printed.to_lowercase().contains(&way_out), "{printed}");

        // The way out works.
        client.batch_execute(&format!("select {way_out}")).await.unwrap();
        let walcast = Walcast::serve(&database, &settings).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({})).await;
        client.batch_execute("insert into t values (5)").await.unwrap();
        assert_eq!(id(&socket.change().await), 5);
    }
}

/// Postgres 15 fails at the first change between slot and publication, for ever; 18 skips it with a warning in
/// its own log.
#[tokio::test]
async fn changes_between_a_slot_and_a_publication_made_by_hand_end_in_words_or_in_a_live_stream() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let slot = Slot::created(database.connect().await).await;
        client
            .batch_execute("insert into t values (1); create publication walcast for all tables")
            .await
            .unwrap();
        let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
        let walcast = Walcast::spawn(&database.url(), &settings);
        if major >= 18 {
            walcast.wait_for_status("live").await;
        } else {
            let printed = walcast.gives_up();
            for word in ["publication \"walcast\"", "42704", "pg_drop_replication_slot", &slot.name] {
                assert!(printed.contains(word), "{word:?} in {printed}");
            }
        }
    }
}

#[tokio::test]
async fn a_temporary_slot_leaves_nothing_behind() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let slot = Slot::new(database.connect().await);
        let settings =
            [("WALCAST__REPLICATION__SLOT", slot.name.as_str()), ("WALCAST__REPLICATION__TEMPORARY", "true")];
        let walcast = Walcast::serve(&database, &settings).await;
        let sql = "select temporary from pg_replication_slots where slot_name = $1";
        assert!(client.query_one(sql, &[&slot.name]).await.unwrap().get::<_, bool>(0));
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({})).await;
        client.batch_execute("insert into t values (1)").await.unwrap();
        assert_eq!(id(&socket.change().await), 1);
        walcast.signal(Signal::SIGKILL);
        until("the slot is gone", async || client.query_opt(sql, &[&slot.name]).await.unwrap().is_none())
            .await;
    }
}

#[tokio::test]
async fn a_window_that_may_cost_the_slot_is_warned_of() {
    let cluster = cluster::own(&postgres_binaries::of_major(15), &[("max_slot_wal_keep_size", "64MB")]);
    for (bytes, warned) in [("67108864", true), ("67108863", false)] {
        let walcast = Walcast::spawn(&cluster.url("postgres"), &[("WALCAST__WINDOW__WAL_BYTES", bytes)]);
        walcast.wait_for_status("live").await;
        assert_eq!(walcast.log().contains("set window.wal_bytes below max_slot_wal_keep_size"), warned);
        assert!(walcast.stop().success());
    }
}
