//! What publications leave out, and names that need care.

use serde_json::{Value, json};

use crate::cluster;
use crate::postgres_binaries::majors;
use crate::slot::assert_cursors_grow;
use crate::socket::Socket;
use crate::walcast::Walcast;

/// Row filters, column lists and schemas came with Postgres 15.
fn majors_with_filters() -> impl Iterator<Item = u16> {
    majors().iter().copied().filter(|major| *major >= 15)
}

#[tokio::test]
async fn rows_and_columns_that_are_not_published_are_not_told() {
    for major in majors_with_filters() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table rows (id int primary key, n int); alter table rows replica identity full; \
                 create table cols (id int primary key, secret text, open text); \
                 create table not_there (id int primary key); \
                 create publication walcast for table rows where (n > 10), cols (id, open)",
            )
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        for topic in ["realtime:public:rows", "realtime:public:cols", "realtime:public:cols:open=eq.x"] {
            socket.joined(topic, json!({})).await;
        }
        let reason = socket.refused("realtime:public:cols:secret=eq.x", json!({})).await;
        assert_eq!(
            reason,
            "ColumnNotPublished: the publication leaves out column \"secret\" of table public.cols"
        );
        let reason = socket.refused("realtime:public:not_there", json!({})).await;
        assert_eq!(
            reason,
            "TableNotPublished: public.not_there is not published; run ALTER PUBLICATION \"walcast\" ADD TABLE \"public\".\"not_there\""
        );
        client
            .batch_execute(
                "insert into rows values (1, 5), (2, 20); update rows set n = 30 where id = 2; \
                 update rows set n = 1 where id = 2; update rows set n = 40 where id = 1; delete from rows; \
                 insert into not_there values (1); \
                 insert into cols values (1, 'hidden', 'x'); update cols set secret = 'h2'; delete from cols",
            )
            .await
            .unwrap();
        let mut told: Vec<Value> = Vec::new();
        let mut changes = Vec::new();
        let mut filtered = 0;
        while told.len() < 8 {
            let (topic, change) = socket.change_on().await;
            if topic.ends_with("eq.x") {
                assert_eq!(change["record"], json!({"id": 1, "open": "x"}));
                filtered += 1;
                continue;
            }
            told.push(json!([change["type"], change["record"], change["old_record"]]));
            changes.push(change);
        }
        assert_eq!(filtered, 2, "its INSERT and its UPDATE");
        assert_cursors_grow(&changes);
        assert_eq!(
            told,
            [
                json!(["INSERT", {"id": 2, "n": 20}, null]),
                json!(["UPDATE", {"id": 2, "n": 30}, {"id": 2, "n": 20}]),
                // Rows that leave and enter what is published go and come.
                json!(["DELETE", null, {"id": 2, "n": 30}]),
                json!(["INSERT", {"id": 1, "n": 40}, null]),
                json!(["DELETE", null, {"id": 1, "n": 40}]),
                json!(["INSERT", {"id": 1, "open": "x"}, null]),
                json!(["UPDATE", {"id": 1, "open": "x"}, null]),
                json!(["DELETE", null, {"id": 1}]),
            ],
            "on {major}"
        );
    }
}

#[tokio::test]
async fn a_publication_may_name_schemas_and_events_and_change_while_it_is_read() {
    for major in majors_with_filters() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create schema s; create table s.a (id int primary key); create table b (id int primary key); \
                 create publication walcast for tables in schema s with (publish = 'insert')",
            )
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:s:a", json!({})).await;
        socket.refused("realtime:public:b", json!({})).await;
        client
            .batch_execute(
                "insert into s.a values (1); update s.a set id = 2; delete from s.a; truncate s.a; \
                 create table s.late (id int primary key); insert into s.a values (3); \
                 alter publication walcast add table b; insert into b values (4); \
                 alter publication walcast set (publish = 'insert, delete'); delete from s.a; insert into s.late values (5)",
            )
            .await
            .unwrap();
        let mut late = Socket::connect(&walcast).await;
        // Rows of the first may come before the second is answered.
        late.joined("realtime:public:b", json!({"frames": "type"})).await;
        late.joined("realtime:s:late", json!({"frames": "type"})).await;
        client.batch_execute("insert into b values (6); insert into s.late values (7)").await.unwrap();
        // The catalog may know of a table before the stream has come to its first rows.
        let mut ids = Vec::new();
        while ids.last() != Some(&7) {
            ids.push(late.change().await["record"]["id"].as_i64().unwrap());
        }
        assert!([4, 5, 6, 7].ends_with(&ids) && ids.len() >= 2, "{ids:?} on {major}");
        let told = socket.changes(3).await;
        let events: Vec<&str> = told.iter().map(|change| change["type"].as_str().unwrap()).collect();
        assert_eq!(events, ["INSERT", "INSERT", "DELETE"], "on {major}");
    }
}

#[tokio::test]
async fn odd_names_are_told_as_they_are() {
    for &major in majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        let names = [
            "MixedCase",
            "with space",
            "quo\"te",
            "do.t",
            "co:lon",
            "per%cent",
            "eq=ual",
            "select",
            "*",
            "größe 🦀",
            "apo'strophe",
            "back\\slash",
            "com,ma",
        ];
        let quote = postgres_protocol::escape::escape_identifier;
        for name in names {
            let (quoted, kind) = (quote(name), quote(&format!("{name} kind")));
            client
                .batch_execute(&format!(
                    "create schema {quoted}; create type {quoted}.{kind} as enum ('it''s', 'ok'); \
                     create table {quoted}.{quoted} (id int primary key, {quoted} {quoted}.{kind})"
                ))
                .await
                .unwrap();
        }
        let publication = "My \"Pub\", it's.ünï";
        let walcast = Walcast::serve(&database, &[("WALCAST__REPLICATION__PUBLICATION", publication)]).await;
        for name in names {
            let escaped: String = name
                .bytes()
                .map(|byte| {
                    if byte.is_ascii_alphanumeric() {
                        char::from(byte).to_string()
                    } else {
                        format!("%{byte:02X}")
                    }
                })
                .collect();
            let mut socket = Socket::connect(&walcast).await;
            for topic in [
                format!("realtime:{escaped}"),
                format!("realtime:{escaped}:{escaped}"),
                format!("realtime:{escaped}:{escaped}:{escaped}=eq.it's"),
            ] {
                socket.joined(&topic, json!({})).await;
            }
            let quoted = quote(name);
            client
                .batch_execute(&format!("insert into {quoted}.{quoted} values (1, 'it''s')"))
                .await
                .unwrap();
            for _ in 0..3 {
                let change = socket.change().await;
                assert_eq!((&change["schema"], &change["table"]), (&json!(name), &json!(name)), "on {major}");
                assert_eq!(change["record"], json!({"id": 1, name: "it's"}));
                assert_eq!(change["columns"][1]["type"], format!("{name} kind"));
            }
        }
    }
}

#[tokio::test]
async fn a_table_without_a_key_is_told_with_what_is_known() {
    for &major in majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table log (n int, v text); create table whole (n int, v text); \
                 alter table whole replica identity full; \
                 create publication walcast for table log, whole with (publish = 'insert, truncate, update, delete')",
            )
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:*", json!({})).await;
        client.batch_execute("insert into log values (1, 'a'), (1, 'a')").await.unwrap();
        let error = client.batch_execute("update log set n = 2").await.unwrap_err();
        assert_eq!(
            error.code().unwrap().code(),
            "55000",
            "the publisher's own UPDATE fails, by Postgres' own rule"
        );
        client
            .batch_execute("truncate log; insert into whole values (1, null); update whole set v = 'b'; delete from whole")
            .await
            .unwrap();
        let told: Vec<Value> = socket
            .changes(6)
            .await
            .iter()
            .map(|change| json!([change["type"], change["record"], change["old_record"]]))
            .collect();
        assert_eq!(
            told,
            [
                json!(["INSERT", {"n": 1, "v": "a"}, null]),
                json!(["INSERT", {"n": 1, "v": "a"}, null]),
                json!(["TRUNCATE", null, null]),
                json!(["INSERT", {"n": 1, "v": null}, null]),
                json!(["UPDATE", {"n": 1, "v": "b"}, {"n": 1, "v": null}]),
                json!(["DELETE", null, {"n": 1, "v": "b"}]),
            ],
            "on {major}"
        );
    }
}
