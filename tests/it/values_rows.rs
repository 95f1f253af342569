//! What is told around a row: the columns, the old row under every replica identity, the commit's time.

use serde_json::{Value, json};

use crate::socket::Socket;
use crate::values_json::{Members, told};
use crate::walcast::{Walcast, slot_name};
use crate::{cluster, postgres_binaries};

/// The type, the record and the old record of the next change; null for what is absent.
async fn next(socket: &mut Socket) -> Value {
    let payload = told(socket).await;
    json!([payload.value("type"), payload.value("record"), payload.value("old_record")])
}

#[tokio::test]
async fn the_old_record_is_what_the_replica_identity_logs() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table by_key (a int, id int, name text, b text, primary key (id, b)); \
                 create table by_index (id int primary key, code text not null unique, n int); \
                 alter table by_index replica identity using index by_index_code_key; \
                 create table by_all (a int, b text); alter table by_all replica identity full; \
                 create table by_nothing (id int primary key, n int); \
                 alter table by_nothing replica identity nothing; \
                 create publication everything for all tables",
            )
            .await
            .unwrap();
        let settings = [("WALCAST__REPLICATION__PUBLICATION", "everything")];
        let walcast = Walcast::serve(&database, &settings).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public", json!({"frames": "type"})).await;

        client
            .batch_execute(
                "insert into by_key values (1, 2, 'x', 'k'); update by_key set name = null; \
                 update by_key set id = 3; delete from by_key",
            )
            .await
            .unwrap();
        let row = |id: i32, name: Value| json!({"a": 1, "id": id, "name": name, "b": "k"});
        assert_eq!(next(&mut socket).await, json!(["INSERT", row(2, json!("x")), null]));
        assert_eq!(next(&mut socket).await, json!(["UPDATE", row(2, json!(null)), null]));
        assert_eq!(next(&mut socket).await, json!(["UPDATE", row(3, json!(null)), {"id": 2, "b": "k"}]));
        assert_eq!(next(&mut socket).await, json!(["DELETE", null, {"id": 3, "b": "k"}]));

        client
            .batch_execute(
                "insert into by_index values (1, 'c', null); update by_index set id = 2, n = 5; \
                 update by_index set code = 'd'; delete from by_index",
            )
            .await
            .unwrap();
        assert_eq!(next(&mut socket).await, json!(["INSERT", {"id": 1, "code": "c", "n": null}, null]));
        assert_eq!(next(&mut socket).await, json!(["UPDATE", {"id": 2, "code": "c", "n": 5}, null]));
        assert_eq!(next(&mut socket).await, json!(["UPDATE", {"id": 2, "code": "d", "n": 5}, {"code": "c"}]));
        assert_eq!(next(&mut socket).await, json!(["DELETE", null, {"code": "d"}]));

        client
            .batch_execute(
                "insert into by_all values (1, null); update by_all set b = 'x'; update by_all set b = 'x'; \
                 delete from by_all",
            )
            .await
            .unwrap();
        let (before, after) = (json!({"a": 1, "b": null}), json!({"a": 1, "b": "x"}));
        assert_eq!(next(&mut socket).await, json!(["INSERT", before, null]));
        assert_eq!(next(&mut socket).await, json!(["UPDATE", after, before]));
        assert_eq!(next(&mut socket).await, json!(["UPDATE", after, after]));
        assert_eq!(next(&mut socket).await, json!(["DELETE", null, after]));

        client.batch_execute("insert into by_nothing values (1, 1)").await.unwrap();
        let refused = client.batch_execute("update by_nothing set n = 2").await.unwrap_err();
        assert!(refused.as_db_error().unwrap().message().contains("replica identity"), "{refused:?}");
        client.batch_execute("insert into by_nothing values (2, 2); truncate by_nothing").await.unwrap();
        assert_eq!(next(&mut socket).await, json!(["INSERT", {"id": 1, "n": 1}, null]));
        assert_eq!(next(&mut socket).await, json!(["INSERT", {"id": 2, "n": 2}, null]));
        assert_eq!(next(&mut socket).await, json!(["TRUNCATE", null, null]));

        // The identity changes in mid-stream, and with it what is known of old rows.
        client
            .batch_execute(
                "insert into by_index values (7, 'e', 8); alter table by_index replica identity default; \
                 update by_index set id = 9; alter table by_index replica identity full; delete from by_index",
            )
            .await
            .unwrap();
        assert_eq!(next(&mut socket).await[0], "INSERT");
        assert_eq!(next(&mut socket).await, json!(["UPDATE", {"id": 9, "code": "e", "n": 8}, {"id": 7}]));
        assert_eq!(next(&mut socket).await, json!(["DELETE", null, {"id": 9, "code": "e", "n": 8}]));
        assert!(walcast.stop().success());
    }
}

#[tokio::test]
async fn columns_are_described_as_the_early_server_did() {
    let database = cluster::shared(postgres_binaries::majors()[1]).database().await;
    let client = database.connect().await;
    client
        .batch_execute(
            "create domain label as varchar(9); create domain labels as label[]; create type mood as enum ('ok'); \
             create table described (name varchar(20), id int8, gone int, price numeric(10,2), at timestamptz(3), \
               tags text[], l label, ls labels, m mood, ms mood[], \"odd \"\"ü\"\" name\" int, b bit(4), \
               prices numeric(6,1)[], primary key (id)); \
             alter table described drop column gone",
        )
        .await
        .unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let column = |key: bool, name: &str, kind: &str, modifier: u32| {
        let flags = if key { json!(["key"]) } else { json!([]) };
        json!({"flags": flags, "name": name, "type": kind, "type_modifier": modifier})
    };
    let none = u32::MAX;
    let columns = |int8, numeric, numerics| {
        json!([
            column(false, "name", "varchar", 24),
            column(true, "id", int8, none),
            column(false, "price", numeric, ((10 << 16) | 2) + 4),
            column(false, "at", "timestamptz", 3),
            column(false, "tags", "_text", none),
            column(false, "l", "varchar", none),
            column(false, "ls", "_label", none),
            column(false, "m", "mood", none),
            column(false, "ms", "_mood", none),
            column(false, "odd \"ü\" name", "int4", none),
            column(false, "b", "bit", 4),
            column(false, "prices", numerics, ((6 << 16) | 1) + 4),
        ])
    };
    let default = columns("int8", "numeric", "_numeric");
    let exact = columns("bigint", "decimal", "_decimal");
    let expected = [("default", default.clone()), ("exact", exact), ("text", default)];
    let mut sockets = Vec::new();
    for (profile, expected) in expected {
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public", json!({"profile": profile})).await;
        sockets.push((socket, profile, expected));
    }
    client.batch_execute("insert into described (id) values (1); truncate described").await.unwrap();
    for (socket, profile, expected) in &mut sockets {
        let inserted = socket.change().await;
        assert_eq!(inserted["columns"], *expected, "profile {profile}");
        assert_eq!(inserted["schema"], "public");
        assert_eq!(inserted["table"], "described");
        assert_eq!(inserted["errors"], Value::Null);
        assert_eq!(socket.change().await["columns"], *expected, "of a TRUNCATE, profile {profile}");
    }
    assert!(walcast.stop().success());
}

#[tokio::test]
async fn a_truncate_is_told_once_for_each_of_its_tables_without_rows() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table parent (id serial primary key); \
                 create table child (id int primary key, parent int references parent); \
                 create table other (id int primary key); insert into other values (1)",
            )
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public", json!({"frames": "type"})).await;
        let mut child = Socket::connect(&walcast).await;
        child.joined("realtime:public:child:id=eq.5", json!({"frames": "type"})).await;
        client
            .batch_execute(
                "begin; insert into parent default values; truncate parent, other restart identity cascade; \
                 insert into other values (2); commit; truncate child",
            )
            .await
            .unwrap();
        let mut cursors = Vec::new();
        let mut told_of = Vec::new();
        for _ in 0..6 {
            let payload = told(&mut socket).await;
            assert_eq!(payload.get("record").is_some(), payload.value("type") == "INSERT");
            assert_eq!(payload.get("old_record"), None);
            cursors.push(payload.value("cursor").as_str().unwrap().to_owned());
            told_of.push(format!(
                "{} {}",
                payload.value("type").as_str().unwrap(),
                payload.value("table").as_str().unwrap()
            ));
        }
        told_of[1..4].sort();
        assert_eq!(
            told_of,
            [
                "INSERT parent",
                "TRUNCATE child",
                "TRUNCATE other",
                "TRUNCATE parent",
                "INSERT other",
                "TRUNCATE child"
            ]
        );
        cursors.dedup();
        assert_eq!(cursors.len(), 6, "each change has a cursor of its own");
        // A filter on a row's value cannot know which rows are gone.
        for _ in 0..2 {
            assert_eq!(told(&mut child).await.value("type"), "TRUNCATE");
        }
        assert!(walcast.stop().success());
    }
}

#[tokio::test]
async fn the_commit_timestamp_is_the_servers_to_the_microsecond() {
    let binaries = postgres_binaries::of_major(postgres_binaries::majors()[1]);
    let own = cluster::own(&binaries, &[("track_commit_timestamp", "on"), ("timezone", "Asia/Kolkata")]);
    let client = cluster::connect(&own.url("postgres")).await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let slot = slot_name();
    let walcast = Walcast::spawn(&own.url("postgres"), &[("WALCAST__REPLICATION__SLOT", &slot)]);
    walcast.wait_for_status("live").await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({"frames": "type"})).await;
    let clock = "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    for id in 0..20 {
        let before: String = client.query_one(clock, &[]).await.unwrap().get(0);
        client.batch_execute(&format!("insert into t values ({id}), ({})", -id - 1)).await.unwrap();
        let after: String = client.query_one(clock, &[]).await.unwrap().get(0);
        let committed = "select to_char(pg_xact_commit_timestamp(xmin) at time zone 'UTC', \
                                        'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from t where id = $1";
        let committed: String = client.query_one(committed, &[&id]).await.unwrap().get(0);
        let first = timestamp(&told(&mut socket).await);
        assert_eq!(first, committed);
        assert_eq!(first, timestamp(&told(&mut socket).await), "one commit has one time");
        assert!(before <= first && first <= after, "{before} {first} {after}");
        assert_eq!(first.len(), "2026-01-02T03:04:05.678901Z".len());
    }
    assert!(walcast.stop().success());
    drop(own);
}

fn timestamp(payload: &Members) -> String {
    payload.value("commit_timestamp").as_str().unwrap().to_owned()
}
