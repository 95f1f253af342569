//! Live queries and topics as those see them who use walcast: the examples, each with its client, and the scripts that
//! write to the demo.

use std::process::{Command, Output};

use serde_json::Value;

use crate::graphql::{DEMO, Graph};
use crate::live::Stream;
use crate::program::{Program, file};

/// Starts an example against this server, once its live queries can be followed.
async fn example(graph: &Graph, name: &str) -> Program {
    drop(Stream::live(graph, "query @live { auctions { id } }").await);
    let url = format!("http://{}", graph.walcast.address());
    Program::start(&file("tests/clients/run-example.sh"), &[name.as_ref()], &[("WALCAST_URL", &url)])
}

async fn bid(graph: &Graph, amount: i32) {
    graph.client.execute("insert into bids (auction_id, amount) values (1, $1)", &[&amount]).await.unwrap();
}

#[tokio::test]
async fn every_live_example_prints_the_highest_bid_as_it_changes() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let mut amount = 15;
    for name in ["graphql-sse.mjs", "urql.mjs", "apollo.mjs", "event-source.mjs"] {
        let mut example = example(&graph, &format!("live/{name}")).await;
        assert_eq!(example.expect_line().await, format!("A wooden chair {amount}"), "{name}");
        for _ in 0..2 {
            amount += 1;
            bid(&graph, amount).await;
            assert_eq!(example.expect_line().await, format!("A wooden chair {amount}"), "{name}");
        }
        graph.client.execute("update auctions set title = 'A table' where id = 1", &[]).await.unwrap();
        assert_eq!(example.expect_line().await, format!("A table {amount}"), "{name}");
        graph.client.execute("update auctions set title = 'A wooden chair' where id = 1", &[]).await.unwrap();
        assert_eq!(example.expect_line().await, format!("A wooden chair {amount}"), "{name}");
    }
}

#[tokio::test]
async fn curl_prints_each_result_as_it_comes() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let mut curl = example(&graph, "live/curl.sh").await;
    for (amount, bids) in [(15, 2), (16, 3), (17, 4)] {
        if amount > 15 {
            bid(&graph, amount).await;
        }
        let data = loop {
            if let Some(data) = curl.expect_line().await.strip_prefix("data: ") {
                break serde_json::from_str::<Value>(data).unwrap();
            }
        };
        assert_eq!(data["data"]["auction"]["highestBid"]["amount"], amount, "{data}");
        assert_eq!(data["data"]["auction"]["bids"].as_array().unwrap().len(), bids, "{data}");
        assert_eq!(data["isLive"], true, "{data}");
    }
}

#[tokio::test]
async fn the_auction_page_shows_bids_from_elsewhere_and_places_its_own() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let mut page = example(&graph, "auction").await;
    assert_eq!(page.expect_line().await, "A wooden chair 15");
    bid(&graph, 30).await;
    assert_eq!(page.expect_line().await, "A wooden chair 30");
    page.say("bid").await;
    assert_eq!(page.expect_line().await, "A wooden chair 35");
    page.finish().await;
}

#[tokio::test]
async fn a_countdown_reaches_its_subscriber_step_by_step() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let functions = std::fs::read_to_string(file("sql/walcast.sql")).unwrap();
    graph.client.batch_execute(&functions).await.unwrap();
    let mut subscriber = example(&graph, "countdown/subscribe.mjs").await;
    assert_eq!(subscriber.expect_line().await, "listening");
    let job = Command::new("sh")
        .arg(file("examples/countdown/job.sh"))
        .arg(graph.database.url())
        .env("PAUSE", "0")
        .output()
        .unwrap();
    assert!(job.status.success(), "{}", String::from_utf8_lossy(&job.stderr));
    for left in (1..=10).rev() {
        assert_eq!(subscriber.expect_line().await, left.to_string());
    }
    assert_eq!(subscriber.expect_line().await, "over");
    subscriber.finish().await;
}

fn script(name: &str, arguments: &[&str]) -> Output {
    Command::new(file(&format!("scripts/{name}")))
        .args(arguments)
        .env_remove("DATABASE_URL")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_scripts_bid_and_chat_and_show_how_far_they_are() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let url = graph.database.url();
    let bids = script("simulate_bids.sh", &["-a", "2", "-n", "3", "-d", "0", "-u", &url]);
    assert!(bids.status.success(), "{}", text(&bids.stderr));
    let data = graph.data("{ auction(id: 2) { bids(orderBy: [{id: ASC}]) { amount } } }").await;
    let amounts: Vec<&Value> =
        data["auction"]["bids"].as_array().unwrap().iter().map(|bid| &bid["amount"]).collect();
    assert_eq!(amounts.len(), 4);
    assert!(amounts.is_sorted_by_key(|amount| amount.as_i64()), "each is higher than the last: {amounts:?}");
    let shown: Vec<_> = (1..4).map(|n| format!("bid {n} of 3: {} on auction 2\n", amounts[n])).collect();
    assert_eq!(text(&bids.stdout), shown.concat());

    let chat = script("simulate_chat.sh", &["-r", "7", "-n", "2", "-d", "0", "-u", &url]);
    assert!(chat.status.success(), "{}", text(&chat.stderr));
    assert!(
        text(&chat.stdout).lines().all(|line| line.contains(" of 2 in room 7, ")),
        "{}",
        text(&chat.stdout)
    );
    let data = graph.data("{ messages(filter: {roomId: {eq: 7}}) { id } }").await;
    assert_eq!(data["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_scripts_refuse_what_they_cannot_do_and_write_nothing() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let url = graph.database.url();
    for name in ["simulate_bids.sh", "simulate_chat.sh"] {
        let which = if name.contains("bids") { "-a" } else { "-r" };
        let help = script(name, &["-h"]);
        assert!(help.status.success());
        assert!(text(&help.stdout).contains("-u DATABASE_URL"), "{}", text(&help.stdout));
        for wrong in [
            &[which, "1; drop table bids"][..],
            &[which, "-1"],
            &[which, "99999999999999999999"],
            &["-n", "0"],
            &["-n", "many"],
            &["-d", "soon"],
            &["-u"],
            &["-x"],
            &["7"],
        ] {
            let refused = script(name, &[&["-u", &url][..], wrong].concat());
            assert_eq!(refused.status.code(), Some(2), "{name} {wrong:?}");
            assert!(text(&refused.stderr).contains("-h tells how to use it"), "{name} {wrong:?}");
            assert_eq!(text(&refused.stdout), "", "{name} {wrong:?}");
        }
    }
    let nobody = script("simulate_bids.sh", &["-a", "77", "-n", "5", "-d", "0", "-u", &url]);
    assert!(!nobody.status.success());
    assert!(text(&nobody.stderr).contains("there is no auction 77"), "{}", text(&nobody.stderr));
    let data = graph.data("{ bidsAggregate { count } messagesAggregate { count } }").await;
    assert_eq!(data.to_string(), r#"{"bidsAggregate":{"count":3},"messagesAggregate":{"count":2}}"#);
}
