//! A table's rows, and then exactly what they do not contain.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cluster::{self, Database};
use crate::slot::cursor;
use crate::socket::Socket;
use crate::walcast::{Walcast, until};
use crate::{held_commits, postgres_binaries};

pub const TABLE: &str =
    "create table t (id int8 generated always as identity primary key, n int not null, v text)";

/// What a client makes of what it is told.
#[derive(Default)]
struct Copy {
    rows: BTreeMap<i64, Value>,
    told: Vec<i64>,
    pages: usize,
    end: Option<Value>,
}

impl Copy {
    /// Reads until the snapshot has ended.
    async fn snapshot(&mut self, socket: &mut Socket) {
        while self.end.is_none() {
            let frame = socket.frame().await;
            self.frame(&frame);
        }
    }

    fn frame(&mut self, frame: &Value) {
        let (event, payload) = (frame[3].as_str().unwrap(), &frame[4]);
        match event {
            "snapshot" => {
                assert_eq!(payload["columns"][0]["name"], "id", "{payload}");
                self.pages += 1;
                for record in payload["records"].as_array().unwrap() {
                    let id = record["id"].as_i64().unwrap();
                    assert!(self.rows.insert(id, record.clone()).is_none(), "{id} came twice");
                }
            }
            "snapshot_end" => self.end = Some(payload.clone()),
            "INSERT" => {
                let id = payload["record"]["id"].as_i64().unwrap();
                self.told.push(id);
                let before = self.rows.insert(id, payload["record"].clone());
                assert!(before.is_none(), "{id} was in the snapshot already, or came twice");
            }
            "UPDATE" => {
                let id = payload["record"]["id"].as_i64().unwrap();
                assert!(self.rows.insert(id, payload["record"].clone()).is_some(), "{id} was never told");
            }
            "DELETE" => {
                let id = payload["old_record"]["id"].as_i64().unwrap();
                assert!(self.rows.remove(&id).is_some(), "{id} was never told");
            }
            other => panic!("{other}: {frame}"),
        }
    }
}

async fn rows(client: &Client) -> BTreeMap<i64, Value> {
    let rows = client.query("select id, row_to_json(t)::text from t", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), serde_json::from_str(row.get(1)).unwrap())).collect()
}

/// Random changes until told to stop; the last one is a row with n = -1.
async fn churn(database: &Database, stop: tokio::sync::oneshot::Receiver<()>) {
    let client = database.connect().await;
    let sql = "do $$ begin for i in 1..20 loop \
               insert into t (n, v) select i, repeat('x', i) from generate_series(1, i % 4 + 1); \
               update t set n = n + 1 where id % 7 = i % 7 and id > (select max(id) - 50 from t); \
               delete from t where id % 11 = i % 11 and id > (select max(id) - 50 from t); \
               if i % 3 = 0 then commit; end if; end loop; end $$";
    let mut stop = stop;
    while stop.try_recv().is_err() {
        client.batch_execute(sql).await.unwrap();
    }
    client.batch_execute("insert into t (n) values (-1)").await.unwrap();
}

#[tokio::test]
async fn under_load_the_rows_and_what_follows_are_the_table() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(TABLE).await.unwrap();
        client
            .batch_execute("insert into t (n, v) select i, repeat('y', 20) from generate_series(1, 5000) i")
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let writing = tokio::spawn(async move {
            churn(&database, stopped).await;
            database
        });
        let mut clients = Vec::new();
        for _ in 0..6 {
            let mut socket = Socket::connect(&walcast).await;
            let response =
                socket.joined("realtime:public:t", json!({"frames": "type", "snapshot": {}})).await;
            assert_eq!(response["snapshot"], true);
            let (mut copy, (begun, wait)) = (Copy::default(), tokio::sync::oneshot::channel());
            clients.push(tokio::spawn(async move {
                copy.snapshot(&mut socket).await;
                begun.send(()).unwrap();
                while !copy.rows.values().any(|row| row["n"] == -1) {
                    let frame = socket.frame().await;
                    copy.frame(&frame);
                }
                copy
            }));
            wait.await.unwrap();
        }
        stop.send(()).unwrap();
        let database = writing.await.unwrap();
        let expected = rows(&client).await;
        for copy in clients {
            let copy = copy.await.unwrap();
            assert_eq!(copy.rows, expected, "on {major}");
            assert!(copy.pages > 3, "one page of all rows shows little");
        }
        drop(database);
    }
}

/// Decoded, and dispatched, before the snapshot is taken that cannot see it.
#[tokio::test]
async fn a_commit_that_the_snapshot_cannot_see_yet_is_told_behind_it() {
    let cluster = cluster::own(&postgres_binaries::of_major(15), &[]);
    let client = cluster::connect(&cluster.url("postgres")).await;
    client.batch_execute(TABLE).await.unwrap();
    client.batch_execute("insert into t (n) values (1)").await.unwrap();
    let walcast = Walcast::spawn(&cluster.url("postgres"), &[]);
    walcast.wait_for_status("live").await;
    let mut witness = Socket::connect(&walcast).await;
    witness.joined("realtime:public:t", json!({"frames": "type"})).await;
    held_commits::hold(&client).await;
    let writer = cluster::connect(&cluster.url("postgres")).await;
    let writing = tokio::spawn(async move { writer.batch_execute("insert into t (n) values (2)").await });
    held_commits::waiting(&client, 1).await;
    let told = witness.change().await;
    assert_eq!(told["record"]["n"], 2);
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({"frames": "type", "snapshot": {}})).await;
    let mut copy = Copy::default();
    copy.snapshot(&mut socket).await;
    assert_eq!(copy.told, [2], "the commit that was hidden");
    let end = copy.end.take().unwrap();
    assert_eq!(end["rows"], 1);
    assert!(cursor(&json!({"cursor": end["position"]})) > cursor(&told), "all before the end is told");
    held_commits::release(&client).await;
    writing.await.unwrap().unwrap();
    client.batch_execute("insert into t (n) values (3)").await.unwrap();
    let next = socket.change().await;
    assert_eq!(next["record"]["n"], 3, "the hidden one came once");
}

#[tokio::test]
async fn a_table_that_is_written_anew_meanwhile_is_told_whole() {
    // A newer one answers nothing about the table, not even the join, until that commits.
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    client.batch_execute("insert into t (n) select 1 from generate_series(1, 10)").await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    // To a snapshot from before its commit, the table is empty from then on.
    client.batch_execute("begin; alter table t alter column n type int8").await.unwrap();
    let mut socket = Socket::connect(&walcast).await;
    let joining = async {
        socket.joined("realtime:public:t", json!({"frames": "type", "snapshot": {}})).await;
        let mut copy = Copy::default();
        copy.snapshot(&mut socket).await;
        copy
    };
    let writing = async {
        let waits = "select exists(select from pg_stat_activity where datname = current_database() \
                     and application_name = 'walcast-snapshot' and wait_event_type = 'Lock')";
        // Within a transaction, this view stays what it was first.
        let watcher = database.connect().await;
        until("the snapshot waits for the table", async || {
            watcher.query_one(waits, &[]).await.unwrap().get(0)
        })
        .await;
        client.batch_execute("commit").await.unwrap();
    };
    let (copy, ()) = tokio::join!(joining, writing);
    assert_eq!((copy.rows.len(), &copy.end.unwrap()["rows"]), (10, &json!(10)));
}

#[tokio::test]
async fn filters_limits_profiles_and_types_are_those_of_the_changes() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create type mood as enum ('a b', 'ok'); create type pair as (x int8, y text); \
                 create domain amount as numeric(20,3); \
                 create table \"odd name\" (id int8 primary key, \"a \"\"col\" text, m mood, p pair, ps pair[], \
                   a amount, at timestamptz, j json, b bytea, f float8, twice int8 generated always as (id * 2) stored)",
            )
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut live = Socket::connect(&walcast).await;
        live.joined("realtime:public:odd name", json!({"frames": "type", "profile": "exact"})).await;
        client
            .batch_execute(
                "insert into \"odd name\" (id, \"a \"\"col\", m, p, ps, a, at, j, b, f) values \
                 (9007199254740993, E'tab\\there \\\\N and\\nline', 'a b', row(1, E'x\\t\"y\\\\'), array[row(2, null)::pair, null], \
                  12.5, '2020-02-03 04:05:06.789+02', E'{\"k\":\\n 1, \"k\": 2}', '\\xDEADBEEF', 'NaN'), \
                 (2, '', null, null, '{}', null, 'infinity', 'null', '', '-0')",
            )
            .await
            .unwrap();
        let mut expected = live.changes(2).await;
        let mut socket = Socket::connect(&walcast).await;
        let join = json!({"frames": "type", "profile": "exact", "snapshot": {"limit": 10}});
        socket.joined("realtime:public:odd name", join.clone()).await;
        let page = socket.frame().await;
        assert_eq!(page[3], "snapshot");
        let records = page[4]["records"].as_array().unwrap();
        expected.sort_by_key(|change| change["record"]["id"].as_str().unwrap().len());
        let mut records = records.clone();
        records.sort_by_key(|record| record["id"].as_str().unwrap().len());
        for (record, change) in records.iter().zip(&expected) {
            assert_eq!(record.to_string(), change["record"].to_string(), "on {major}");
            assert_eq!(page[4]["columns"], change["columns"]);
        }
        assert_eq!(socket.frame().await[4]["rows"], 2);
        // One row of a filter, and one of a limit.
        let mut filtered = Socket::connect(&walcast).await;
        filtered.joined("realtime:public:odd name:id=gt.5", join).await;
        assert_eq!(filtered.frame().await[4]["records"].as_array().unwrap().len(), 1);
        assert_eq!(filtered.frame().await[4]["complete"], true);
        let mut limited = Socket::connect(&walcast).await;
        limited.joined("realtime:public:odd name", json!({"snapshot": {"limit": 1}})).await;
        assert_eq!(limited.frame().await[4]["records"].as_array().unwrap().len(), 1);
        let end = limited.frame().await;
        assert_eq!((&end[4]["rows"], &end[4]["complete"]), (&json!(1), &json!(false)));
    }
}

#[tokio::test]
async fn partitions_row_filters_and_column_lists_are_as_the_publication_has_them() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    client
        .batch_execute(
            "create table p (id int8, n int, secret text, primary key (id)) partition by range (id); \
             create table p1 partition of p for values from (0) to (10); \
             create table p2 partition of p for values from (10) to (20); \
             insert into p select i, i, 'hidden' from generate_series(0, 19) i; \
             create publication walcast for table p (id, n) where (id < 15) with (publish_via_partition_root)",
        )
        .await
        .unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:p", json!({"snapshot": true})).await;
    let page = socket.frame().await;
    assert_eq!(page[4]["records"].as_array().unwrap().len(), 15);
    assert!(!page.to_string().contains("hidden"), "{page}");
}

#[tokio::test]
async fn who_cannot_resume_gets_the_rows_instead() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    client.batch_execute("insert into t (n) values (1), (2)").await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    let join = json!({"frames": "type", "since": "7-1.1-1-1", "snapshot": {}});
    let response = socket.joined("realtime:public:t", join).await;
    assert_eq!((&response["resumed"], &response["snapshot"]), (&json!(false), &json!(true)));
    let mut copy = Copy::default();
    copy.snapshot(&mut socket).await;
    assert_eq!(copy.rows.len(), 2);
    // From its end on one can resume, and then nothing is read again.
    let end = copy.end.unwrap();
    client.batch_execute("insert into t (n) values (3)").await.unwrap();
    let mut other = Socket::connect(&walcast).await;
    let join = json!({"frames": "type", "since": end["position"], "epoch": end["epoch"], "snapshot": {}});
    let response = other.joined("realtime:public:t", join).await;
    assert_eq!((&response["resumed"], &response["snapshot"]), (&json!(true), &Value::Null));
    assert_eq!(other.change().await["record"]["n"], 3);
}
