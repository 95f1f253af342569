//! Clients that others wrote, unmodified, and our examples.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cluster;
use crate::program::{Program, file};
use crate::walcast::Walcast;

const TOPIC: &str = "realtime:public:guests";

fn client(name: &str) -> (PathBuf, PathBuf) {
    let script = file(&format!("tests/clients/{name}"));
    let runner = if name.ends_with("py") { file("tests/clients/.venv/bin/python") } else { "node".into() };
    (runner, script)
}

#[tokio::test]
async fn every_foreign_client_joins_hears_and_leaves() {
    let database = cluster::shared(15).database().await;
    let sql = database.connect().await;
    sql.batch_execute(
        "create table guests (id int8 primary key, name text); alter table guests replica identity full",
    )
    .await
    .unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let url = format!("ws://{}/socket", walcast.address());
    for (name, stars) in [
        ("phoenix.cjs", true),
        ("realtime-js-0.9.cjs", true),
        ("realtime-js-1.0.cjs", true),
        // It expands `*` itself, and hands over each change once under either name.
        ("realtime-js-1.7.cjs", false),
        ("vsn1.py", true),
    ] {
        let (runner, script) = client(name);
        let mut program = Program::start(&runner, &[&script], &[("WALCAST_URL", &url), ("TOPIC", TOPIC)]);
        let joined: Value = serde_json::from_str(&program.expect_line().await).unwrap();
        assert_eq!(joined["joined"]["epoch"], walcast.ready().await["epoch"], "{name}: {joined}");
        sql.batch_execute(
            "begin; insert into guests values (1, 'one'); update guests set name = 'uno'; commit; \
             delete from guests; truncate guests",
        )
        .await
        .unwrap();
        let mut heard = Vec::new();
        while heard.iter().filter(|(event, _)| event == "TRUNCATE").count() == 0 {
            let line: Value = serde_json::from_str(&program.expect_line().await).unwrap();
            heard.push((line["event"].as_str().unwrap().to_owned(), line["payload"].clone()));
        }
        let typed: Vec<Value> = heard
            .iter()
            .filter(|(event, _)| event != "*")
            .map(|(_, payload)| json!([payload["type"], payload["record"], payload["old_record"]]))
            .collect();
        let expected = [
            json!(["INSERT", {"id": 1, "name": "one"}, null]),
            json!(["UPDATE", {"id": 1, "name": "uno"}, {"id": 1, "name": "one"}]),
            json!(["DELETE", null, {"id": 1, "name": "uno"}]),
            json!(["TRUNCATE", null, null]),
        ];
        assert_eq!(typed, expected, "{name}");
        let twins = heard.iter().filter(|(event, _)| event == "*").count();
        assert!(!stars || twins == expected.len(), "{name} heard {twins} `*` frames");
        program.finish().await;
    }
}

#[tokio::test]
async fn a_foreign_client_is_told_why_its_join_is_refused() {
    let database = cluster::shared(15).database().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let url = format!("ws://{}/socket", walcast.address());
    let (runner, script) = client("realtime-js-1.7.cjs");
    let environment = [("WALCAST_URL", url.as_str()), ("TOPIC", "realtime:public:nobody")];
    let mut program = Program::start(&runner, &[&script], &environment);
    let refused: Value = serde_json::from_str(&program.expect_line().await).unwrap();
    assert_eq!(
        refused["refused"]["reason"],
        "TableNotFound: there is no table \"nobody\" in schema \"public\""
    );
}

#[tokio::test]
async fn every_example_prints_the_change_it_subscribed_to() {
    let database = cluster::shared(15).database().await;
    let sql = database.connect().await;
    sql.batch_execute("create table users (id int8 primary key, name text)").await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let url = format!("ws://{}", walcast.address());
    for (id, name) in ["phoenix", "realtime-js", "python", "browser"].iter().enumerate() {
        let runner = file("tests/clients/run-example.sh");
        let environment = [("WALCAST_URL", url.as_str()), ("TOPIC", "realtime:public:users")];
        let mut example = Program::start(&runner, &[name.as_ref()], &environment);
        while !example.expect_line().await.starts_with("joined realtime:public:users") {}
        sql.execute("insert into users values ($1, $2)", &[&i64::try_from(id).unwrap(), name]).await.unwrap();
        let line = example.expect_line().await;
        let (words, row) = line.split_at(line.find('{').unwrap_or_else(|| panic!("{name}: {line}")));
        let row: Value = serde_json::from_str(row).unwrap();
        assert_eq!((words, row), ("INSERT public.users ", json!({ "id": id, "name": name })), "{name}");
    }
}
