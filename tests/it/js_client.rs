//! The client of `clients/js` against the real server, in Node.js and in Chromium.

use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::{self, Database};
use crate::graphql::{DEMO, Graph};
use crate::live::Stream;
use crate::program::{Program, file};
use crate::walcast::{Walcast, slot_name};

const TOPIC: &str = "realtime:public:guests";
const TABLE: &str = "create table guests (id int8 primary key, name text)";

/// `tests/clients/walcast-js.mjs`, which tells the commands and the lines.
struct Client(Program);

impl Client {
    fn start(walcast: &Walcast, environment: &[(&str, &str)]) -> Self {
        let url = format!("http://{}", walcast.address());
        let script = file("tests/clients/walcast-js.mjs");
        let environment = [&[("WALCAST_URL", url.as_str())], environment].concat();
        Self(Program::start("node".as_ref(), &[&script], &environment))
    }

    async fn say(&mut self, command: &str) {
        self.0.say(command).await;
    }

    /// The next line with this key; others are passed over.
    async fn next(&mut self, key: &str) -> Value {
        loop {
            let mut line: Value = serde_json::from_str(&self.0.expect_line().await).unwrap();
            if !line[key].is_null() {
                return line[key].take();
            }
        }
    }

    /// Passes over what comes until a status of the subscription (`status`), the client or the live query has this state.
    async fn until(&mut self, key: &str, state: &str) -> Value {
        loop {
            let status = self.next(key).await;
            if status["state"] == state {
                return status;
            }
        }
    }

    /// The next events must be changes of these rows and nothing else.
    async fn hears(&mut self, ids: std::ops::Range<i64>) {
        for id in ids {
            let event = self.next("event").await;
            assert_eq!(event["record"]["id"], id, "{event}");
        }
    }

    async fn cursor(&mut self) -> String {
        self.say("cursor").await;
        self.next("said").await.as_str().unwrap().to_owned()
    }

    async fn finish(self) {
        self.0.finish().await;
    }
}

async fn guests() -> (Database, tokio_postgres::Client) {
    let database = cluster::shared(15).database().await;
    let sql = database.connect().await;
    sql.batch_execute(TABLE).await.unwrap();
    (database, sql)
}

async fn insert(sql: &tokio_postgres::Client, from: i64, to: i64) {
    let insert = "insert into guests select n, 'guest ' || n from generate_series($1::bigint, $2) n";
    sql.execute(insert, &[&from, &to]).await.unwrap();
}

#[test]
fn the_client_keeps_its_types_its_size_and_its_rules() {
    let folder = file("clients/js");
    let run = Command::new("npm").args(["test", "--silent"]).current_dir(folder).output().unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{told}\n{}", String::from_utf8_lossy(&run.stderr));
}

#[tokio::test]
async fn every_change_comes_with_its_type() {
    let (database, sql) = guests().await;
    let walcast = Walcast::serve(&database, &[]).await;
    for (options, take) in [("{}", false), (r#"{"iterate":true}"#, true)] {
        let mut client = Client::start(&walcast, &[("TOPIC", TOPIC), ("OPTIONS", options)]);
        let live = client.until("status", "live").await;
        assert_eq!(live["epoch"], walcast.ready().await["epoch"], "{live}");
        assert_eq!((&live["transport"], &live["resumed"]), (&json!("websocket"), &json!(false)));
        sql.batch_execute(
            "insert into guests values (1, 'one'); update guests set name = 'uno'; delete from guests; truncate guests",
        )
        .await
        .unwrap();
        if take {
            client.say("take 4").await;
        }
        let mut cursor = Value::Null;
        for (kind, record, old) in [
            ("INSERT", json!({"id": 1, "name": "one"}), Value::Null),
            ("UPDATE", json!({"id": 1, "name": "uno"}), Value::Null),
            ("DELETE", Value::Null, json!({"id": 1})),
            ("TRUNCATE", Value::Null, Value::Null),
        ] {
            let mut event = client.next("event").await;
            assert_eq!(
                (&event["type"], &event["record"], &event["old_record"]),
                (&json!(kind), &record, &old),
                "{event}"
            );
            cursor = event["cursor"].take();
        }
        let token = format!("{}.{}", live["epoch"].as_str().unwrap(), cursor.as_str().unwrap());
        assert_eq!(client.cursor().await, token);
        client.finish().await;
    }
}

#[tokio::test]
async fn what_was_missed_while_the_connection_was_cut_comes_once_and_in_order() {
    let (database, sql) = guests().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let mut client = Client::start(&walcast, &[("TOPIC", TOPIC)]);
    client.until("status", "live").await;
    for round in 0..3 {
        let first = round * 100 + 1;
        insert(&sql, first, first + 9).await;
        client.hears(first..first + 10).await;
        client.say("cut").await;
        client.until("status", "waiting").await;
        insert(&sql, first + 10, first + 59).await;
        client.say("mend").await;
        assert_eq!(client.until("status", "live").await["resumed"], true);
        insert(&sql, first + 60, first + 69).await;
        client.hears(first + 10..first + 70).await;
    }
    client.finish().await;
}

#[tokio::test]
async fn a_stored_cursor_goes_on_where_it_was() {
    let (database, sql) = guests().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let mut client = Client::start(&walcast, &[("TOPIC", TOPIC)]);
    client.until("status", "live").await;
    insert(&sql, 1, 3).await;
    client.hears(1..4).await;
    let cursor = client.cursor().await;
    client.finish().await;
    insert(&sql, 4, 6).await;
    let options = json!({ "since": cursor }).to_string();
    let mut client = Client::start(&walcast, &[("TOPIC", TOPIC), ("OPTIONS", &options)]);
    assert_eq!(client.until("status", "live").await["resumed"], true);
    client.hears(4..7).await;
    client.finish().await;
}

#[tokio::test]
async fn what_was_missed_while_walcast_was_killed_comes_once_and_in_order() {
    let (database, sql) = guests().await;
    let slot = slot_name();
    let settings = [("WALCAST__REPLICATION__SLOT", slot.as_str())];
    let walcast = Walcast::serve(&database, &settings).await;
    let mut client = Client::start(&walcast, &[("TOPIC", TOPIC)]);
    client.until("status", "live").await;
    insert(&sql, 1, 10).await;
    client.hears(1..11).await;
    // Dropping it sends SIGKILL.
    drop(walcast);
    client.until("status", "waiting").await;
    insert(&sql, 11, 30).await;
    let again = Walcast::serve(&database, &settings).await;
    client.say(&format!("mend {}", again.address().port())).await;
    assert_eq!(client.until("status", "live").await["resumed"], true);
    insert(&sql, 31, 40).await;
    client.hears(11..41).await;
    client.finish().await;
}

#[tokio::test]
async fn a_gap_is_told_where_the_window_does_not_reach_back_and_for_another_history() {
    let (database, sql) = guests().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let epoch = walcast.ready().await["epoch"].as_str().unwrap().to_owned();
    for (cursor, reason) in [(format!("{epoch}.1-1-0"), "window"), ("77-1.1-1-0".to_owned(), "epoch")] {
        let options = json!({ "since": cursor }).to_string();
        let mut client = Client::start(&walcast, &[("TOPIC", TOPIC), ("OPTIONS", &options)]);
        assert_eq!(client.until("status", "live").await["resumed"], false);
        let gap = client.next("event").await;
        assert_eq!((&gap["type"], &gap["reason"]), (&json!("gap"), &json!(reason)), "{gap}");
        sql.batch_execute("truncate guests").await.unwrap();
        assert_eq!(client.next("event").await["type"], "TRUNCATE");
        client.finish().await;
    }
}

/// Takes the pages of a snapshot up to its end, which it returns: the ids in them, in the order of the table.
async fn snapshot(client: &mut Client) -> (Vec<i64>, Value) {
    let mut ids = Vec::new();
    loop {
        let event = client.next("event").await;
        match event["type"].as_str().unwrap() {
            "snapshot" => {
                let page = event["records"].as_array().unwrap();
                ids.extend(page.iter().map(|row| row["id"].as_i64().unwrap()));
            }
            "snapshot_end" => return (ids, event),
            _ => panic!("{event}"),
        }
    }
}

#[tokio::test]
async fn rows_come_first_then_changes_and_a_cut_after_that_needs_no_rows() {
    let (database, sql) = guests().await;
    insert(&sql, 1, 3000).await;
    let walcast = Walcast::serve(&database, &[]).await;
    let mut client = Client::start(&walcast, &[("TOPIC", TOPIC), ("OPTIONS", r#"{"snapshot":true}"#)]);
    let (ids, end) = snapshot(&mut client).await;
    assert_eq!(ids, (1..=3000).collect::<Vec<_>>());
    assert_eq!((&end["rows"], &end["complete"]), (&json!(3000), &json!(true)), "{end}");
    insert(&sql, 3001, 3010).await;
    client.hears(3001..3011).await;
    client.say("cut").await;
    client.until("status", "waiting").await;
    insert(&sql, 3011, 3020).await;
    client.say("mend").await;
    assert_eq!(client.until("status", "live").await["resumed"], true);
    client.hears(3011..3021).await;
    client.finish().await;
}

#[tokio::test]
async fn a_snapshot_that_was_cut_begins_again() {
    let (database, sql) = guests().await;
    sql.batch_execute("insert into guests select n, repeat('x', 100) from generate_series(1, 100000) n")
        .await
        .unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut client = Client::start(&walcast, &[("TOPIC", TOPIC), ("OPTIONS", r#"{"snapshot":true}"#)]);
    assert_eq!(client.next("event").await["type"], "snapshot");
    client.say("cut").await;
    client.until("status", "waiting").await;
    client.say("mend").await;
    let gap = loop {
        let event = client.next("event").await;
        assert_ne!(event["type"], "snapshot_end", "it was cut too late");
        if event["type"] == "gap" {
            break event;
        }
    };
    assert_eq!(gap["reason"], "snapshot");
    let (ids, end) = snapshot(&mut client).await;
    assert!(ids.into_iter().eq(1..=100_000));
    assert_eq!(end["complete"], true, "{end}");
    client.finish().await;
}

#[tokio::test]
async fn what_can_not_be_resumed_brings_the_rows_anew() {
    let (database, sql) = guests().await;
    insert(&sql, 1, 10).await;
    let walcast = Walcast::serve(&database, &[]).await;
    let epoch = walcast.ready().await["epoch"].as_str().unwrap().to_owned();
    let options = json!({ "since": format!("{epoch}.1-1-0"), "snapshot": { "limit": 5 } }).to_string();
    let mut client = Client::start(&walcast, &[("TOPIC", TOPIC), ("OPTIONS", &options)]);
    assert_eq!(client.next("event").await["reason"], "window");
    let (ids, end) = snapshot(&mut client).await;
    assert_eq!((ids.len(), &end["complete"]), (5, &json!(false)), "{end}");
    insert(&sql, 11, 11).await;
    client.hears(11..12).await;
    client.finish().await;
}

#[tokio::test]
async fn without_a_websocket_nothing_is_missed_either_and_it_is_taken_again_once_it_can_be() {
    let (database, sql) = guests().await;
    for (refuse, transport) in [("upgrade", "sse"), ("upgrade,/events", "poll")] {
        let slot = slot_name();
        let settings = [("WALCAST__REPLICATION__SLOT", slot.as_str())];
        let walcast = Walcast::serve(&database, &settings).await;
        let mut client = Client::start(&walcast, &[("TOPIC", TOPIC), ("REFUSE", refuse)]);
        assert_eq!(client.until("status", "live").await["transport"], transport);
        insert(&sql, 1, 10).await;
        client.hears(1..11).await;
        client.say("cut").await;
        client.until("client", "waiting").await;
        insert(&sql, 11, 20).await;
        client.say("mend").await;
        client.hears(11..21).await;
        drop(walcast);
        client.until("client", "waiting").await;
        insert(&sql, 21, 30).await;
        let again = Walcast::serve(&database, &settings).await;
        client.say(&format!("mend {}", again.address().port())).await;
        client.hears(21..31).await;
        client.say("refuse").await;
        while client.until("status", "live").await["transport"] != "websocket" {}
        insert(&sql, 31, 40).await;
        client.hears(31..41).await;
        client.finish().await;
        sql.batch_execute("delete from guests").await.unwrap();
    }
}

#[tokio::test]
async fn without_a_websocket_refusals_and_gaps_are_told_too() {
    let (database, _sql) = guests().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let epoch = walcast.ready().await["epoch"].as_str().unwrap().to_owned();
    for refuse in ["upgrade", "upgrade,/events"] {
        let environment = [("TOPIC", "realtime:public:nobody"), ("REFUSE", refuse)];
        let mut client = Client::start(&walcast, &environment);
        assert_eq!(client.until("status", "ended").await["code"], "TableNotFound");
        client.finish().await;
        let options = json!({ "since": format!("{epoch}.1-1-0") }).to_string();
        let environment = [("TOPIC", TOPIC), ("REFUSE", refuse), ("OPTIONS", &options)];
        let mut client = Client::start(&walcast, &environment);
        let gap = client.next("event").await;
        assert_eq!((&gap["type"], &gap["reason"]), (&json!("gap"), &json!("window")), "{gap}");
        client.finish().await;
    }
}

#[tokio::test]
async fn a_slow_iteration_leaves_the_channel_and_loses_nothing() {
    let (database, sql) = guests().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let options = r#"{"iterate":true,"buffer":10}"#;
    let mut client = Client::start(&walcast, &[("TOPIC", TOPIC), ("OPTIONS", options)]);
    client.until("status", "live").await;
    insert(&sql, 1, 500).await;
    client.say("take 250").await;
    client.hears(1..251).await;
    insert(&sql, 501, 600).await;
    client.say("take 350").await;
    client.hears(251..601).await;
    client.finish().await;
}

#[tokio::test]
async fn a_refusal_ends_the_subscription_with_its_code() {
    let (database, _sql) = guests().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let mut client = Client::start(&walcast, &[("TOPIC", "realtime:public:nobody")]);
    let ended = client.until("status", "ended").await;
    assert_eq!(ended["code"], "TableNotFound", "{ended}");
    assert_eq!(ended["message"], "there is no table \"nobody\" in schema \"public\"", "{ended}");
    client.finish().await;
}

#[tokio::test]
async fn a_live_query_goes_on_after_its_connection_was_cut_and_after_a_kill() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    drop(Stream::live(&graph, "query @live { auctions { id } }").await);
    let query = "query ($id: ID!) @live { auction(id: $id) { highestBid { amount } } }";
    let environment = [("QUERY", query), ("VARIABLES", r#"{"id":"1"}"#)];
    let mut client = Client::start(&graph.walcast, &environment);
    let highest = |result: Value| result["data"]["auction"]["highestBid"]["amount"].as_i64();
    let bid = async |amount: i32| {
        graph
            .client
            .execute("insert into bids (auction_id, amount) values (1, $1)", &[&amount])
            .await
            .unwrap()
    };
    assert_eq!(highest(client.next("result").await), Some(15));
    bid(16).await;
    assert_eq!(highest(client.next("result").await), Some(16));
    client.say("cut").await;
    client.until("live", "waiting").await;
    bid(17).await;
    client.say("mend").await;
    assert_eq!(highest(client.next("result").await), Some(17));

    let Graph { walcast, client: sql, database } = graph;
    drop(walcast);
    client.until("live", "waiting").await;
    sql.execute("insert into bids (auction_id, amount) values (1, 18)", &[]).await.unwrap();
    let again = Walcast::serve(&database, &[]).await;
    client.say(&format!("mend {}", again.address().port())).await;
    loop {
        // Until everything is ready, it may be refused for the moment.
        let result = client.next("result").await;
        if highest(result) == Some(18) {
            break;
        }
    }
    client.finish().await;
}

#[tokio::test]
async fn a_refused_live_query_ends_with_its_result() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let mut client = Client::start(&graph.walcast, &[("QUERY", "query @live { nothing }")]);
    let result = client.next("result").await;
    assert!(result["errors"][0]["message"].as_str().unwrap().contains("nothing"), "{result}");
    client.until("live", "ended").await;
    client.finish().await;
}

/// Writes what a script in a browser asks for, a statement for each line, until it is done.
async fn serve_browser(
    mut script: Program,
    sql: &tokio_postgres::Client,
    statement: impl Fn(&str) -> String,
) {
    loop {
        let line = script.expect_line().await;
        if line == "done" {
            break;
        }
        sql.batch_execute(&statement(&line)).await.unwrap();
        script.say("wrote").await;
    }
    script.finish().await;
}

#[tokio::test]
async fn in_a_browser_it_wakes_with_its_page_and_misses_nothing() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    drop(Stream::live(&graph, "query @live { auctions { id } }").await);
    let url = format!("http://{}", graph.walcast.address());
    let script = file("tests/browser/client.test.mjs");
    let script = Program::start("node".as_ref(), &[&script], &[("WALCAST_URL", &url)]);
    serve_browser(script, &graph.client, |line| {
        let number = line.strip_prefix("insert ").unwrap();
        format!("insert into messages (room_id, \"from\", body) values (1, 'test', '{number}')")
    })
    .await;
}

#[tokio::test]
async fn the_hooks_of_react_show_what_changes() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    drop(Stream::live(&graph, "query @live { auctions { id } }").await);
    let url = format!("http://{}", graph.walcast.address());
    let runner = file("tests/clients/run-example.sh");
    let script = Program::start(&runner, &["react".as_ref()], &[("WALCAST_URL", &url)]);
    serve_browser(script, &graph.client, |line| {
        assert_eq!(line, "bid");
        "insert into bids (auction_id, amount) values (1, 20)".to_owned()
    })
    .await;
}
