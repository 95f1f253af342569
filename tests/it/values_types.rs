//! Types that come, change and go while the stream runs.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::cluster::{self, Database};
use crate::held_commits;
use crate::postgres_binaries;
use crate::socket::Socket;
use crate::values::{as_json, next_record};
use crate::values_json::{canonical, told};
use crate::walcast::{Walcast, until};

async fn listening(database: &Database) -> (Walcast, Socket) {
    let walcast = Walcast::serve(database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public", json!({"frames": "type"})).await;
    (walcast, socket)
}

#[tokio::test]
async fn types_made_while_the_stream_runs_are_known_at_once() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let (walcast, mut socket) = listening(&database).await;
        let client = database.connect().await;
        client
            .batch_execute(
                "begin; create type mood as enum ('sad', 'ok'); create domain count as int8; \
                 create type pair as (n count, m mood[]); \
                 create table t (id int primary key, m mood, p pair, ps pair[]); \
                 insert into t values (1, 'ok', row(1, '{sad}'), array[row(2, null)::pair]); commit",
            )
            .await
            .unwrap();
        let expected = r#"{"id":1,"m":"ok","p":{"n":1,"m":["sad"]},"ps":[{"n":2,"m":null}]}"#;
        assert_eq!(next_record(&mut socket).await, expected, "on {major}");
        client.batch_execute("alter type mood add value '\"new\"' before 'sad'").await.unwrap();
        client.batch_execute("alter type mood rename value 'ok' to 'fine, thanks'").await.unwrap();
        client
            .batch_execute(
                "insert into t values (2, '\"new\"', row(3, array['fine, thanks', '\"new\"']::mood[]))",
            )
            .await
            .unwrap();
        let expected = r#"{"id":2,"m":"\"new\"","p":{"n":3,"m":["fine, thanks","\"new\""]},"ps":null}"#;
        assert_eq!(next_record(&mut socket).await, expected, "on {major}");
        assert!(walcast.stop().success());
    }
}

/// The log tells of a commit before any snapshot sees it.
#[tokio::test]
async fn types_of_a_commit_that_others_cannot_see_yet_are_waited_for() {
    let cluster = cluster::own(&postgres_binaries::of_major(15), &[]);
    let client = cluster::connect(&cluster.url("postgres")).await;
    let walcast = Walcast::spawn(&cluster.url("postgres"), &[]);
    walcast.wait_for_status("live").await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public", json!({"frames": "type"})).await;
    held_commits::hold(&client).await;
    let writer = cluster::connect(&cluster.url("postgres")).await;
    let writing = tokio::spawn(async move {
        writer
            .batch_execute(
                "begin; create domain amount as text[]; create table t (id int primary key, a amount); \
                 insert into t values (1, array['x', null]); commit",
            )
            .await
    });
    held_commits::waiting(&client, 1).await;
    let asked = "select count(*) from pg_stat_activity \
                 where application_name = 'walcast-sql' and query like 'select pg_current_snapshot%'";
    until("the type was asked for", async || {
        client.query_one(asked, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    held_commits::release(&client).await;
    assert_eq!(next_record(&mut socket).await, r#"{"id":1,"a":["x",null]}"#);
    writing.await.unwrap().unwrap();
}

/// Altering a composite type does not make Postgres describe the tables that use it again.
#[tokio::test]
async fn a_composite_type_altered_in_mid_stream_is_told_as_it_is_now() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create type inner_type as (a int, b text); create type outer_type as (i inner_type, n int); \
                 create domain outer_domain as outer_type; \
                 create table t (id int primary key, o outer_type, os outer_type[], d outer_domain, e int)",
            )
            .await
            .unwrap();
        let (walcast, mut socket) = listening(&database).await;
        let mut id = 0;
        for alter in [
            "",
            "alter type inner_type add attribute c int4[]",
            "alter type outer_type add attribute at timestamptz",
            "alter type inner_type rename attribute a to \"renamed \"\"a\"\"\"",
            "alter type inner_type drop attribute b",
            "alter type outer_type drop attribute n; alter type outer_type add attribute flag bool",
            "alter type outer_type rename to other_name",
        ] {
            // The change itself is in a transaction of its own, so that the rows of the next one are the first
            // that could tell of it.
            client.batch_execute(alter).await.unwrap();
            id += 1;
            let kind = if alter.ends_with("other_name") { "other_name" } else { "outer_type" };
            let populate = format!(
                "insert into t select {id}, o, array[o, null], o, {id} \
                 from jsonb_populate_record(null::{kind}, '{{\"n\": 2, \"flag\": true, \"at\": \"2024-01-02T03:04:05Z\", \
                      \"i\": {{\"a\": 1, \"renamed \\\"a\\\"\": 1, \"b\": \"x\", \"c\": [1, null]}}}}') o"
            );
            client.batch_execute(&populate).await.unwrap();
            client.batch_execute("set timezone = 'UTC'").await.unwrap();
            let expected = as_json(&client, &format!("(select t from t where id = {id})")).await;
            assert_eq!(next_record(&mut socket).await, expected, "after {alter:?} on {major}");
        }
        assert!(walcast.stop().success());
    }
}

#[tokio::test]
async fn a_domain_dropped_and_made_again_is_the_new_one() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create domain amount as int4; create table t (id int primary key, a amount); \
                 alter table t replica identity full",
            )
            .await
            .unwrap();
        let (walcast, mut socket) = listening(&database).await;
        client.batch_execute("insert into t values (1, 10)").await.unwrap();
        assert_eq!(next_record(&mut socket).await, r#"{"id":1,"a":10}"#);
        client
            .batch_execute(
                "alter table t drop column a; drop domain amount; create domain amount as text[]; \
                 alter table t add column a amount; insert into t values (2, array['x', null])",
            )
            .await
            .unwrap();
        assert_eq!(next_record(&mut socket).await, r#"{"id":2,"a":["x",null]}"#, "on {major}");
        // In one transaction, each row is told by the description that was true for it.
        client
            .batch_execute(
                "begin; insert into t values (3, null); alter table t alter a type text using 'was'; \
                 insert into t values (4, '{now}'); alter table t alter id type text; \
                 insert into t values ('5', null); commit",
            )
            .await
            .unwrap();
        for expected in [r#"{"id":3,"a":null}"#, r#"{"id":4,"a":"{now}"}"#, r#"{"id":"5","a":null}"#] {
            assert_eq!(next_record(&mut socket).await, expected, "on {major}");
        }
        assert!(walcast.stop().success());
    }
}

/// Whoever reads late finds the catalog of now, not that of then.
#[tokio::test]
async fn rows_of_a_type_dropped_before_they_were_read_arrive_all_the_same() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create type pair as (a int, b text); create type mood as enum ('ok'); \
                 create table known (id int primary key, p pair, m mood); insert into known values (0, null, null)",
            )
            .await
            .unwrap();
        let (walcast, mut socket) = listening(&database).await;
        client.batch_execute("insert into known values (1, row(1, 'x'), 'ok')").await.unwrap();
        assert_eq!(next_record(&mut socket).await, r#"{"id":1,"p":{"a":1,"b":"x"},"m":"ok"}"#);

        walcast.signal(Signal::SIGSTOP);
        client
            .batch_execute(
                "create type brief as (x int, y text); create domain short as brief; create type rare as enum ('r'); \
                 create table unknown (id int primary key, b brief, bs brief[], s short, r rare, n numeric); \
                 insert into unknown values (2, row(1, 'y'), array[row(2, null)::brief], row(3, 'z'), 'r', 1.10); \
                 drop table unknown; drop domain short; drop type brief; drop type rare; \
                 alter table known add column late int; insert into known values (3, row(2, 'y'), 'ok', 4); \
                 drop table known; drop type pair; drop type mood; \
                 create table rest (id int primary key); insert into rest values (5)",
            )
            .await
            .unwrap();
        walcast.signal(Signal::SIGCONT);
        let unknown = told(&mut socket).await;
        // Nobody can name the attributes any more: the text is what is left.
        let expected = r#"{"id":2,"b":"(1,y)","bs":"{\"(2,)\"}","s":"(3,z)","r":"r","n":1.10}"#;
        assert_eq!(canonical(unknown.json("record")), expected, "on {major}");
        assert_eq!(unknown.value("columns")[1]["type"], "unknown");
        // What was known before is not forgotten because the catalog has forgotten it.
        let known = told(&mut socket).await;
        let expected = r#"{"id":3,"p":{"a":2,"b":"y"},"m":"ok","late":4}"#;
        assert_eq!(canonical(known.json("record")), expected, "on {major}");
        assert_eq!(known.value("columns")[2]["type"], "mood");
        assert_eq!(next_record(&mut socket).await, r#"{"id":5}"#);
        assert!(walcast.stop().success());
    }
}
