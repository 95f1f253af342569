//! Tables change while their changes are read: each row is told as its table was at that moment.

use serde_json::{Value, json};

use crate::slot::assert_cursors_grow;
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

/// What matters of a change: event, table, columns with their types, record, old record.
fn told(change: &Value) -> Value {
    let columns: Vec<String> = change["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| format!("{} {}", column["name"].as_str().unwrap(), column["type"].as_str().unwrap()))
        .collect();
    json!([change["type"], change["table"], columns, change["record"], change["old_record"]])
}

#[tokio::test]
async fn columns_come_go_and_change_within_and_between_transactions() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key, n int, gone text)").await.unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({})).await;
        let mut filtered = Socket::connect(&walcast).await;
        filtered.joined("realtime:public:t:n=eq.7", json!({})).await;
        client
            .batch_execute(
                "insert into t values (1, 7, 'x'); \
                 begin; insert into t values (2, 7, 'x'); alter table t add column late jsonb default '[1]'; \
                   insert into t values (3, 7, 'x', '{\"a\": 1}'); alter table t drop column gone; \
                   insert into t values (4, 7, '2'); commit; \
                 alter table t alter column n type text using n::text; insert into t values (5, '7', null); \
                 alter table t rename column n to m; insert into t values (6, '7', null); \
                 alter table t alter column id type bigint; update t set late = '0' where id = 6; \
                 alter table t replica identity full; delete from t where id = 6; \
                 begin; create type mood as enum ('ok'); alter table t add column mood mood; \
                   insert into t values (7, '8', '1', 'ok'); alter type mood rename to feeling; commit; \
                 alter table t rename column m to n; insert into t values (8, '7', '1', 'ok')",
            )
            .await
            .unwrap();
        let changes = socket.changes(10).await;
        assert_cursors_grow(&changes);
        let seen: Vec<Value> = changes.iter().map(told).collect();
        let first = ["id int4", "n int4", "gone text"];
        let text = ["id int4", "n text", "late jsonb"];
        let renamed = ["id int4", "m text", "late jsonb"];
        let big = ["id int8", "m text", "late jsonb"];
        assert_eq!(
            seen[..8],
            [
                json!(["INSERT", "t", first, {"id": 1, "n": 7, "gone": "x"}, null]),
                json!(["INSERT", "t", first, {"id": 2, "n": 7, "gone": "x"}, null]),
                json!(["INSERT", "t", ["id int4", "n int4", "gone text", "late jsonb"],
                       {"id": 3, "n": 7, "gone": "x", "late": {"a": 1}}, null]),
                json!(["INSERT", "t", ["id int4", "n int4", "late jsonb"], {"id": 4, "n": 7, "late": 2}, null]),
                json!(["INSERT", "t", text, {"id": 5, "n": "7", "late": null}, null]),
                json!(["INSERT", "t", renamed, {"id": 6, "m": "7", "late": null}, null]),
                json!(["UPDATE", "t", big, {"id": 6, "m": "7", "late": 0}, null]),
                json!(["DELETE", "t", big, null, {"id": 6, "m": "7", "late": 0}]),
            ],
            "on {major}"
        );
        assert_eq!(seen[8][3], json!({"id": 7, "m": "8", "late": 1, "mood": "ok"}));
        assert_eq!(seen[9][3], json!({"id": 8, "n": "7", "late": 1, "mood": "ok"}));
        // The filter compares what has its name at the moment.
        let mut matched = Vec::new();
        while matched.last() != Some(&8) {
            matched.push(filtered.change().await["record"]["id"].as_i64().unwrap());
        }
        assert_eq!(matched, [1, 2, 3, 4, 5, 8], "on {major}");
    }
}

#[tokio::test]
async fn a_renamed_table_is_told_under_its_new_name_and_a_new_one_under_the_old_name() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key); create schema s").await.unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut all = Socket::connect(&walcast).await;
        all.joined("realtime:*", json!({})).await;
        let mut old = Socket::connect(&walcast).await;
        old.joined("realtime:public:t", json!({})).await;
        client
            .batch_execute(
                "insert into t values (1); \
                 begin; insert into t values (2); alter table t rename to u; insert into u values (3); commit; \
                 alter table u set schema s; insert into s.u values (4); create table t (id int primary key, v text); insert into t values (5, 'new')",
            )
            .await
            .unwrap();
        let seen: Vec<Value> = all
            .changes(5)
            .await
            .iter()
            .map(|change| json!([change["schema"], change["table"], change["record"]["id"]]))
            .collect();
        assert_eq!(
            seen,
            [
                json!(["public", "t", 1]),
                json!(["public", "t", 2]),
                json!(["public", "u", 3]),
                json!(["s", "u", 4]),
                json!(["public", "t", 5]),
            ],
            "on {major}"
        );
        for id in [1, 2, 5] {
            assert_eq!(old.change().await["record"]["id"], id);
        }
        // Until 16 the server itself goes on with the schema's old name.
        if major >= 18 {
            client.batch_execute("alter schema s rename to z; insert into z.u values (6)").await.unwrap();
            assert_eq!(all.change().await["schema"], "z");
            let mut late = Socket::connect(&walcast).await;
            late.joined("realtime:z:u", json!({})).await;
            client.batch_execute("insert into z.u values (7)").await.unwrap();
            assert_eq!(late.change().await["record"]["id"], 7);
        }
    }
}

/// The log is read after the fact: by then the table, or its type, may be gone.
#[tokio::test]
async fn changes_of_what_was_dropped_meanwhile_are_still_told() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute("create type mood as enum ('ok'); create table t (id int primary key, m mood); create table keep (id int primary key)")
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:*", json!({})).await;
        client
            .batch_execute(
                "begin; insert into t values (1, 'ok'); drop table t; drop type mood; commit; \
                 begin; create table brief (id int primary key); insert into brief values (2); drop table brief; commit; \
                 insert into keep values (3)",
            )
            .await
            .unwrap();
        let mut seen = Vec::new();
        while seen.last() != Some(&json!(["keep", {"id": 3}])) {
            let change = socket.change().await;
            seen.push(json!([change["table"], change["record"]]));
        }
        assert_eq!(seen[0], json!(["t", {"id": 1, "m": "ok"}]), "on {major}: {seen:?}");
    }
}
