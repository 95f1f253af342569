//! Live queries end to end: results follow the database, whoever writes to it.

use serde_json::json;

use crate::cluster;
use crate::graphql::{DEMO, Graph};
use crate::held_commits;
use crate::live::{Stream, Wire};
use crate::postgres_binaries;
use crate::walcast::{Walcast, until};

const CURRENT: &str = "query GetCurrentAuctionBids @live { auction(id: \"1\") { bids { amount } highestBid { amount } id title } }";

#[tokio::test]
async fn a_write_from_anywhere_brings_a_new_result() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let mut stream = Stream::live(&graph, CURRENT).await;
    let auction = |bids: &[i32], highest: i32| {
        let bids: Vec<_> = bids.iter().map(|amount| json!({ "amount": amount })).collect();
        json!({ "auction": { "bids": bids, "highestBid": { "amount": highest }, "id": "1", "title": "A wooden chair" } })
    };
    assert_eq!(stream.data().await, auction(&[10, 15], 15));
    graph.client.batch_execute("insert into bids (auction_id, amount) values (1, 20)").await.unwrap();
    assert_eq!(stream.data().await, auction(&[10, 15, 20], 20));
    // Of another auction: the next result is that of the change behind it.
    graph.client.batch_execute("insert into bids (auction_id, amount) values (2, 90)").await.unwrap();
    graph.data("mutation { bid(input: {auctionId: \"1\", amount: 30}) { id } }").await;
    assert_eq!(stream.data().await, auction(&[10, 15, 20, 30], 30));
    graph.client.batch_execute("delete from bids where auction_id = 1 and amount > 12").await.unwrap();
    assert_eq!(stream.data().await, auction(&[10], 10));
    graph.client.batch_execute("update auctions set title = 'A chair' where id = 1").await.unwrap();
    assert_eq!(stream.data().await["auction"]["title"], "A chair");
    graph.client.batch_execute("truncate bids").await.unwrap();
    assert_eq!(stream.data().await["auction"]["bids"], json!([]));
}

/// Things that live results say of themselves.
const EXPLAINED: [(&str, &str); 1] = [("WALCAST__GRAPHQL__LIVE_EXTENSIONS", "true")];

#[tokio::test]
async fn identical_live_queries_share_one_run_however_they_are_written() {
    let graph = Graph::serve(18, DEMO, &EXPLAINED).await;
    drop(Stream::live(&graph, CURRENT).await);
    let mut streams = Vec::new();
    for number in 0..20 {
        let query = if number % 2 == 0 {
            "query @live { auction(id: \"1\") { bids { amount } } }"
        } else {
            "query Other($id: ID!) @live(throttle: 0) { auction(id: $id) { ...Bids } } fragment Bids on Auction { bids { amount } }"
        };
        streams.push(Stream::open(&graph.walcast, query, &json!({ "id": "1" }), "").await);
    }
    for stream in &mut streams {
        assert_eq!(stream.result().await["extensions"]["live"]["runs"], 1);
    }
    graph.client.batch_execute("insert into bids (auction_id, amount) values (1, 20)").await.unwrap();
    let mut ids = std::collections::HashSet::new();
    for stream in &mut streams {
        let event = stream.next().await.unwrap();
        assert_eq!(event.data["data"]["auction"]["bids"][2]["amount"], 20);
        // A second one where the commit was decoded before it was visible.
        assert!(event.data["extensions"]["live"]["runs"].as_u64().unwrap() <= 4, "{event:?}");
        ids.insert(event.id.unwrap());
    }
    assert_eq!(ids.len(), 1, "one frame for all: {ids:?}");
}

#[tokio::test]
async fn results_tell_their_resource_identifiers_and_what_made_them() {
    let graph = Graph::serve(15, DEMO, &EXPLAINED).await;
    let mut stream = Stream::live(&graph, CURRENT).await;
    let first = stream.result().await;
    let keys = json!(["Query.auction", "Query.auction(id:\"1\")", "Auction:1", "Bid:1", "Bid:2"]);
    assert_eq!(first["extensions"]["liveResourceIdentifier"], keys, "{first}");
    assert_eq!(first["extensions"]["live"]["causes"], json!([]));
    graph.client.batch_execute("insert into bids (auction_id, amount) values (1, 20)").await.unwrap();
    let second = stream.result().await;
    let causes = json!(["Bid:4", "Query.bid", "Query.bid(id:\"4\")", "Query.bids", "Auction:1"]);
    assert_eq!(second["extensions"]["live"]["causes"], causes, "{second}");
    // The old parent is known once the old row is in the log.
    graph.client.batch_execute("alter table bids replica identity full").await.unwrap();
    graph.client.batch_execute("update bids set auction_id = 2 where id = 4").await.unwrap();
    let third = stream.result().await;
    let causes = third["extensions"]["live"]["causes"].as_array().unwrap();
    assert!(causes.contains(&json!("Auction:1")) && causes.contains(&json!("Auction:2")), "{third}");
    // In production nobody asked.
    let plain = Graph::serve(15, DEMO, &[]).await;
    assert!(Stream::live(&plain, CURRENT).await.result().await.get("extensions").is_none());
}

#[tokio::test]
async fn a_client_that_comes_back_is_not_told_what_it_has() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let id = Stream::live(&graph, CURRENT).await.next().await.unwrap().id.unwrap();
    let header = format!("Last-Event-ID: {id}\r\n");
    let mut stream = Stream::open(&graph.walcast, CURRENT, &json!({}), &header).await;
    graph.client.batch_execute("insert into bids (auction_id, amount) values (1, 20)").await.unwrap();
    let event = stream.next().await.unwrap();
    assert_eq!(event.data["data"]["auction"]["highestBid"]["amount"], 20, "the first one was told again");
    assert_ne!(event.id, Some(id.clone()));
    // What it has is old by now, so it is told the new one at once.
    let mut stream = Stream::open(&graph.walcast, CURRENT, &json!({}), &header).await;
    assert_eq!(stream.data().await["auction"]["highestBid"]["amount"], 20);
}

#[tokio::test]
async fn the_conditions_of_live_are_those_of_the_directive() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    // The default of a variable counts, where the peer takes it for false.
    let by_default = "query ($live: Boolean = true) @live(if: $live) { auctions { id } }";
    assert_eq!(Stream::live(&graph, by_default).await.result().await["isLive"], true);
    let mut off = Stream::open(&graph.walcast, by_default, &json!({ "live": false }), "").await;
    assert!(off.result().await.get("isLive").is_none());
    off.complete().await;
    for (query, words) in [
        (
            "query @live(throttle: -1) { auctions { id } }",
            "`throttle` of `@live` is a number of milliseconds",
        ),
        ("query @live { auctions { id ... @defer { title } } }", "Cannot mix \"@defer\" with \"@live\"."),
        (
            "query @live { auctions { ...A } } fragment A on Auction { bids @stream { id } }",
            "Cannot mix \"@stream\"",
        ),
        ("query @live { nothing }", "nothing"),
    ] {
        let mut stream = Stream::live(&graph, query).await;
        let result = stream.result().await;
        assert!(result["errors"][0]["message"].as_str().unwrap().contains(words), "{query}: {result}");
        assert!(result.get("data").is_none(), "{result}");
        stream.complete().await;
    }
    // Plain JSON has no second result.
    let (status, _) = graph.post(&json!({ "query": CURRENT })).await;
    assert_eq!(status, 406);
}

#[tokio::test]
async fn throttled_results_come_late_and_whole() {
    let graph = Graph::serve(15, DEMO, &EXPLAINED).await;
    let query = "query @live(throttle: 300) { auction(id: \"1\") { bids { amount } } }";
    let mut stream = Stream::live(&graph, query).await;
    stream.result().await;
    for amount in 20..60 {
        let bid = format!("insert into bids (auction_id, amount) values (1, {amount})");
        graph.client.batch_execute(&bid).await.unwrap();
    }
    let mut results = 0;
    loop {
        results += 1;
        let result = stream.result().await;
        if result["data"]["auction"]["bids"].as_array().unwrap().len() == 42 {
            assert!(result["extensions"]["live"]["runs"].as_u64().unwrap() <= 1 + results + 1, "{result}");
            break;
        }
    }
    assert!(results < 20, "{results} results of 40 bids");
}

const RATIO: &str = "
create table things (id int primary key, number int not null);
insert into things values (1, 2);
create function ratio() returns int language sql stable as 'select 10 / number from things where id = 1';
comment on function ratio() is '@walcast depends_on things';";

#[tokio::test]
async fn an_error_of_a_run_is_a_live_result_and_the_stream_goes_on() {
    let graph = Graph::serve(15, RATIO, &[]).await;
    let mut stream = Stream::live(&graph, "query @live { ratio }").await;
    assert_eq!(stream.data().await, json!({ "ratio": 5 }));
    graph.client.batch_execute("update things set number = 0").await.unwrap();
    let result = stream.result().await;
    assert_eq!((&result["data"], &result["isLive"]), (&json!(null), &json!(true)), "{result}");
    assert_eq!(result["errors"][0]["extensions"]["code"], "22012", "{result}");
    graph.client.batch_execute("update things set number = 5").await.unwrap();
    assert_eq!(stream.data().await, json!({ "ratio": 2 }));
    // One that begins with an error heals as well.
    graph.client.batch_execute("update things set number = 0").await.unwrap();
    let mut other = Stream::live(&graph, "query @live { again: ratio }").await;
    assert!(other.result().await["errors"].is_array());
    graph.client.batch_execute("update things set number = 10").await.unwrap();
    assert_eq!(other.data().await, json!({ "again": 1 }));
}

#[tokio::test]
async fn what_changes_do_not_tell_is_refused_by_name() {
    let schema = "
        create table seen (id int primary key);
        create unlogged table fleeting (id int primary key);
        create table apart (id int primary key);
        create materialized view frozen as select * from seen;
        create function riddle() returns int language plpgsql stable as 'begin return (select count(*) from seen); end';
        create publication walcast for table seen;";
    let graph = Graph::serve(15, schema, &[]).await;
    for (query, name) in [
        ("fleetings { id }", "public.fleeting"),
        ("aparts { id }", "public.apart"),
        ("frozens { id }", "public.frozen"),
        ("riddle", "public.riddle"),
    ] {
        let mut stream = Stream::live(&graph, &format!("query @live {{ {query} }}")).await;
        let result = stream.result().await;
        assert_eq!(result["errors"][0]["extensions"]["code"], "LiveUnseen", "{result}");
        assert!(result["errors"][0]["message"].as_str().unwrap().contains(name), "{result}");
        stream.complete().await;
    }
    Stream::live(&graph, "query @live { seens { id } }").await.data().await;
}

#[tokio::test]
async fn rows_that_enter_or_leave_a_filter_a_window_or_a_parent_are_told() {
    for identity in ["default", "full"] {
        let graph = Graph::serve(18, DEMO, &[]).await;
        graph.client.batch_execute(&format!("alter table bids replica identity {identity}")).await.unwrap();
        let mut filtered =
            Stream::live(&graph, "query @live { bids(filter: {amount: {gt: 50}}) { id } }").await;
        let mut window =
            Stream::live(&graph, "query @live { bids(orderBy: [{amount: DESC}], limit: 2) { id } }").await;
        let mut parent =
            Stream::live(&graph, "query @live { auction(id: 2) { bidsAggregate { count } } }").await;
        assert_eq!(filtered.data().await, json!({ "bids": [{ "id": "3" }] }));
        assert_eq!(window.data().await, json!({ "bids": [{ "id": "3" }, { "id": "2" }] }));
        assert_eq!(parent.data().await, json!({ "auction": { "bidsAggregate": { "count": 1 } } }));
        graph.client.batch_execute("update bids set amount = 60 where id = 1").await.unwrap();
        filtered.until(&json!({ "bids": [{ "id": "1" }, { "id": "3" }] })).await;
        window.until(&json!({ "bids": [{ "id": "3" }, { "id": "1" }] })).await;
        graph.client.batch_execute("update bids set amount = 5 where id = 3").await.unwrap();
        filtered.until(&json!({ "bids": [{ "id": "1" }] })).await;
        window.until(&json!({ "bids": [{ "id": "1" }, { "id": "2" }] })).await;
        graph.client.batch_execute("update bids set auction_id = 1 where id = 3").await.unwrap();
        parent.until(&json!({ "auction": { "bidsAggregate": { "count": 0 } } })).await;
        graph.client.batch_execute("update bids set auction_id = 2 where auction_id = 1").await.unwrap();
        parent.until(&json!({ "auction": { "bidsAggregate": { "count": 3 } } })).await;
    }
}

#[tokio::test]
async fn after_a_lost_connection_to_the_slot_everything_is_as_the_database_says() {
    let graph = Graph::serve(15, DEMO, &EXPLAINED).await;
    let mut stream = Stream::live(&graph, CURRENT).await;
    stream.result().await;
    let kill = "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()";
    graph.client.batch_execute(kill).await.unwrap();
    graph.client.batch_execute("insert into bids (auction_id, amount) values (1, 77)").await.unwrap();
    loop {
        if stream.data().await["auction"]["highestBid"]["amount"] == 77 {
            break;
        }
    }
    // A result that stays the same is not told again, though the query ran.
    graph.client.batch_execute(kill).await.unwrap();
    graph.walcast.wait_for_status("live").await;
    graph.client.batch_execute("insert into bids (auction_id, amount) values (1, 78)").await.unwrap();
    assert_eq!(stream.data().await["auction"]["highestBid"]["amount"], 78);
}

#[tokio::test]
async fn ddl_is_followed_and_ends_what_it_leaves_without_meaning() {
    let graph = Graph::serve(15, RATIO, &[]).await;
    let mut ratio = Stream::live(&graph, "query @live { ratio }").await;
    let mut things = Stream::live(&graph, "query @live { things { number } }").await;
    assert_eq!(ratio.data().await, json!({ "ratio": 5 }));
    assert_eq!(things.data().await, json!({ "things": [{ "number": 2 }] }));
    // No row changes, and the result does.
    let other = "create or replace function ratio() returns int language sql stable as 'select 100 / number from things where id = 1'";
    graph.client.batch_execute(other).await.unwrap();
    assert_eq!(ratio.data().await, json!({ "ratio": 50 }));
    graph.client.batch_execute("alter table things rename number to amount").await.unwrap();
    let result = loop {
        let result = things.result().await;
        if result.get("isLive").is_none() {
            break result;
        }
    };
    assert!(result["errors"].to_string().contains("`number`"), "{result}");
    things.complete().await;
}

#[tokio::test]
async fn a_live_query_of_two_operations_follows_the_one_that_runs() {
    let graph = Graph::serve(15, DEMO, &EXPLAINED).await;
    let body = json!({
        "query": "query A @live { auction(id: 1) { title } } query B @live { auction(id: 2) { title bids { id } } }",
        "operationName": "A"
    });
    drop(Stream::live(&graph, CURRENT).await);
    let mut stream = Stream::send(&graph.walcast, &body, "").await;
    let first = stream.result().await;
    let keys = json!(["Query.auction", "Query.auction(id:\"1\")", "Auction:1"]);
    assert_eq!(first["extensions"]["liveResourceIdentifier"], keys);
    graph.client.batch_execute("update auctions set title = 'Two' where id = 2").await.unwrap();
    graph.client.batch_execute("update auctions set title = 'One' where id = 1").await.unwrap();
    let second = stream.result().await;
    assert_eq!(second["data"]["auction"]["title"], "One");
    assert_eq!(second["extensions"]["live"]["causes"][0], "Auction:1", "B's auction made A run");
}

const SLOW: &str = "
create table things (id int primary key, number int not null);
insert into things values (1, 0);
create function slow() returns int language plpgsql stable as $$
    declare seen int;
    begin
        select number into seen from things where id = 1;
        perform pg_sleep(0.3);
        return seen;
    end $$;
comment on function slow() is '@walcast depends_on things';";

#[tokio::test]
async fn a_change_during_a_run_is_not_lost() {
    let graph = Graph::serve(15, SLOW, &[]).await;
    let mut stream = Stream::live(&graph, "query @live { slow }").await;
    assert_eq!(stream.data().await, json!({ "slow": 0 }));
    for round in 1..4 {
        graph.client.batch_execute(&format!("update things set number = {round}0")).await.unwrap();
        // The run has its snapshot and sleeps.
        graph.running("slow").await;
        graph.client.batch_execute(&format!("update things set number = {round}1")).await.unwrap();
        stream.until(&json!({ "slow": round * 10 + 1 })).await;
    }
}

#[tokio::test]
async fn results_keep_coming_while_changes_come_faster_than_the_query_runs() {
    let graph = Graph::serve(15, SLOW, &[]).await;
    let mut stream = Stream::live(&graph, "query @live { slow }").await;
    assert_eq!(stream.data().await, json!({ "slow": 0 }));
    let writer = graph.database.connect().await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        let mut number = 0;
        while stopped.try_recv().is_err() {
            number += 1;
            writer.batch_execute(&format!("update things set number = {number}")).await.unwrap();
        }
        number
    });
    for _ in 0..5 {
        stream.data().await;
    }
    stop.send(()).unwrap();
    let last = writing.await.unwrap();
    stream.until(&json!({ "slow": last })).await;
}

#[tokio::test]
async fn a_stream_that_is_closed_frees_all_that_it_held() {
    let graph = Graph::serve(15, SLOW, &EXPLAINED).await;
    let mut stream = Stream::live(&graph, "query @live { slow }").await;
    stream.data().await;
    graph.client.batch_execute("update things set number = 1").await.unwrap();
    graph.running("slow").await;
    drop(stream);
    // Its statement is cancelled, long before it would have ended by itself in a server that sleeps for 0.3 s at a time;
    // and what comes then is a new query, with a first run.
    until("the statement is cancelled", async || !graph.is_running("slow").await).await;
    let again = Stream::live(&graph, "query @live { slow }").await.result().await;
    assert_eq!(again["extensions"]["live"]["runs"], 1);
}

#[tokio::test]
async fn the_limit_of_streams_is_told_and_given_back() {
    let graph = Graph::serve(15, DEMO, &[("WALCAST__GRAPHQL__LIVE_STREAMS", "2")]).await;
    let mut one = Stream::live(&graph, CURRENT).await;
    let mut two = Stream::live(&graph, CURRENT).await;
    one.data().await;
    two.data().await;
    let mut three = Stream::live(&graph, CURRENT).await;
    assert_eq!(three.result().await["errors"][0]["extensions"]["code"], "TooManyLive");
    three.complete().await;
    drop(one);
    until("a stream is free again", async || {
        Stream::live(&graph, CURRENT).await.result().await.get("data").is_some()
    })
    .await;
}

#[tokio::test]
async fn a_commit_that_is_decoded_before_it_is_visible_is_waited_for() {
    let cluster = cluster::own(&postgres_binaries::of_major(15), &[]);
    let walcast = Walcast::spawn(&cluster.url("postgres"), &EXPLAINED);
    let client = cluster::connect(&cluster.url("postgres")).await;
    client.batch_execute(DEMO).await.unwrap();
    until("a schema is served", async || walcast.get("/graphql?query=%7Bauctions%7Bid%7D%7D").await.0 == 200)
        .await;
    let mut stream = Stream::followed(&walcast, CURRENT).await;
    stream.data().await;
    // From now on commits wait for a standby that is not there, after they are in the log.
    held_commits::hold(&client).await;
    let writer = cluster::connect(&cluster.url("postgres")).await;
    let writing = tokio::spawn(async move {
        writer.batch_execute("insert into bids (auction_id, amount) values (1, 99)").await
    });
    held_commits::waiting(&client, 1).await;
    // Whoever comes now cannot see it either, and is told as well when it can be seen.
    let mut other =
        Stream::open(&walcast, "query @live { bids(filter: {amount: {gt: 90}}) { amount } }", &json!({}), "")
            .await;
    assert_eq!(other.data().await, json!({ "bids": [] }));
    held_commits::release(&client).await;
    assert_eq!(stream.data().await["auction"]["highestBid"]["amount"], 99);
    assert_eq!(other.data().await, json!({ "bids": [{ "amount": 99 }] }));
    writing.await.unwrap().unwrap();
}

#[tokio::test]
async fn rows_that_policies_show_or_hide_are_told() {
    let schema = "
        create role reader_of_live nologin;
        create table papers (id int primary key, title text, public boolean not null default false, kind int);
        create table readers (paper_id int primary key);
        insert into papers values (1, 'one', true), (2, 'two', false), (3, 'three', false);
        alter table papers enable row level security;
        create policy shown on papers using (public or exists (select from readers r where r.paper_id = id));
        grant select on papers, readers to reader_of_live;";
    let graph = Graph::serve(15, schema, &[("WALCAST__GRAPHQL__ROLE", "reader_of_live")]).await;
    let mut list = Stream::live(&graph, "query @live { papers { id } }").await;
    let mut count = Stream::live(&graph, "query @live { papersAggregate { count } }").await;
    let mut first =
        Stream::live(&graph, "query @live { papers(orderBy: [{id: DESC}], limit: 1) { id } }").await;
    let mut last = None;
    for (sql, ids) in [
        ("select", &[1][..]),
        ("update papers set public = true where id = 2", &[1, 2]),
        ("insert into readers values (3)", &[1, 2, 3]),
        ("update papers set public = false where id = 1", &[2, 3]),
        ("alter table papers replica identity full; update papers set public = false where id = 2", &[3]),
        ("update papers set public = true where id = 2", &[2, 3]),
        ("delete from readers", &[2]),
        ("create policy all_of_them on papers using (true)", &[1, 2, 3]),
        ("drop policy all_of_them on papers", &[2]),
    ] {
        graph.client.batch_execute(sql).await.unwrap();
        let rows: Vec<_> = ids.iter().map(|id| json!({ "id": id.to_string() })).collect();
        list.until(&json!({ "papers": rows })).await;
        count.until(&json!({ "papersAggregate": { "count": ids.len() } })).await;
        if last != ids.last() {
            first.until(&json!({ "papers": rows.last().map(|last| vec![last]) })).await;
            last = ids.last();
        }
    }
}

#[tokio::test]
async fn keys_of_every_type_are_followed() {
    let schema = "
        create type mood as enum ('calm', 'loud');
        create table days (day date primary key, note text);
        create table moods (mood mood primary key, note text);
        create table padded (code char(5) primary key, note text);
        create table sums (amount numeric primary key, note text);
        create table hosts (host inet primary key, note text);
        create table flags (flag boolean primary key, note text);
        create table flag_notes (id int primary key, flag boolean references flags, note text);
        create table padded_notes (id int primary key, padded_code char(5) references padded, note text);";
    let graph = Graph::serve(15, schema, &[]).await;
    for (query, insert, table) in [
        ("day(day: \"2026-1-05\") { note }", "insert into days values ('2026-01-05', 'a')", "days"),
        ("mood(mood: \"loud\") { note }", "insert into moods values ('loud', 'a')", "moods"),
        ("padded(code: \"ab\") { note }", "insert into padded values ('ab', 'a')", "padded"),
        ("sum(amount: \"1e2\") { note }", "insert into sums values (100.00, 'a')", "sums"),
        ("host(host: \"10.0.0.1/32\") { note }", "insert into hosts values ('10.0.0.1', 'a')", "hosts"),
        ("flag(flag: \"yes\") { note }", "insert into flags values (true, 'a')", "flags"),
    ] {
        let types = graph
            .data(
                "{ __schema { queryType { fields { name args { name type { kind ofType { name } } } } } } }",
            )
            .await;
        let mut stream = Stream::live(&graph, &format!("query @live {{ row: {query} }}")).await;
        let first = stream.result().await;
        assert_eq!(first["data"], json!({ "row": null }), "{query}: {first} {types}");
        graph.client.batch_execute(insert).await.unwrap();
        stream.until(&json!({ "row": { "note": "a" } })).await;
        graph.client.batch_execute(&format!("update {table} set note = 'b'")).await.unwrap();
        stream.until(&json!({ "row": { "note": "b" } })).await;
    }
    let mut flags = Stream::live(&graph, "query @live { flags { flagNotes { note } } }").await;
    let mut padded = Stream::live(&graph, "query @live { paddeds { paddedNotes { note } } }").await;
    flags.until(&json!({ "flags": [{ "flagNotes": [] }] })).await;
    padded.until(&json!({ "paddeds": [{ "paddedNotes": [] }] })).await;
    let notes =
        "insert into flag_notes values (1, true, 'n'); insert into padded_notes values (1, 'ab', 'n')";
    graph.client.batch_execute(notes).await.unwrap();
    flags.until(&json!({ "flags": [{ "flagNotes": [{ "note": "n" }] }] })).await;
    padded.until(&json!({ "paddeds": [{ "paddedNotes": [{ "note": "n" }] }] })).await;
}

#[tokio::test]
async fn live_results_come_in_parts_and_on_a_shared_stream_as_well() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    drop(Stream::live(&graph, CURRENT).await);
    // multipart/mixed: what GraphiQL asks for.
    let body = json!({ "query": CURRENT }).to_string();
    let mut parts = Wire::send(&graph, "POST", "/graphql", "Accept: multipart/mixed\r\n", &body).await;
    parts.until("\"highestBid\":{\"amount\":15}").await;
    // Single-connection mode: two live queries on one stream.
    let mut put = Wire::send(&graph, "PUT", "/graphql/stream", "Connection: close\r\n", "").await;
    let answer = put.until("").await;
    let token = answer.rsplit("\r\n\r\n").next().unwrap();
    let token = token.split("\r\n").find(|line| line.len() == 32).unwrap().to_owned();
    let header = format!("X-GraphQL-Event-Stream-Token: {token}\r\n");
    let mut stream = Wire::send(&graph, "GET", "/graphql/stream", &header, "").await;
    for (id, auction) in [("a", 1), ("b", 2)] {
        let query = format!("query @live {{ auction(id: {auction}) {{ bids {{ amount }} }} }}");
        let body = json!({ "query": query, "extensions": { "operationId": id } }).to_string();
        let mut posted = Wire::send(&graph, "POST", "/graphql/stream", &header, &body).await;
        posted.until("202 Accepted").await;
        stream.until(&format!("{{\"id\":\"{id}\",\"payload\":{{\"data\":")).await;
    }
    for (id, auction, amount) in [("a", 1, 20), ("b", 2, 90)] {
        let bid = format!("insert into bids (auction_id, amount) values ({auction}, {amount})");
        graph.client.batch_execute(&bid).await.unwrap();
        let told = stream.until(&format!("{{\"amount\":{amount}}}")).await;
        assert!(told.contains(&format!("{{\"id\":\"{id}\",\"payload\":")), "{told}");
    }
    parts.until("\"highestBid\":{\"amount\":20}").await;
    // One ends, the other goes on.
    let path = "/graphql/stream?operationId=a";
    Wire::send(&graph, "DELETE", path, &header, "").await.until("200 OK").await;
    graph
        .client
        .batch_execute("insert into bids (auction_id, amount) values (1, 21), (2, 91)")
        .await
        .unwrap();
    let told = stream.until("{\"amount\":91}").await;
    assert!(!told.contains("{\"amount\":21}"), "{told}");
}

#[tokio::test]
async fn a_slow_subscriber_misses_results_in_between_and_never_the_newest() {
    const LARGE: &str = "
        create table things (id int primary key, body text not null);
        alter table things replica identity full;
        insert into things values (1, '0');";
    let graph = Graph::serve(15, LARGE, &[]).await;
    let query = "query @live { things { body } }";
    let mut brisk = Stream::live(&graph, query).await;
    let mut slow = Stream::live(&graph, query).await;
    // A megabyte each: more than sockets hold of sixty.
    for number in 1..=60 {
        let update = format!("update things set body = repeat('{}', 1000000) || ' {number}'", number % 10);
        graph.client.batch_execute(&update).await.unwrap();
    }
    let is_last = |data: &serde_json::Value| data["things"][0]["body"].as_str().unwrap().ends_with(" 60");
    while !is_last(&brisk.data().await) {}
    let mut results = 0;
    loop {
        results += 1;
        if is_last(&slow.data().await) {
            break;
        }
    }
    assert!(results < 40, "{results} results waited for one who did not read");
}

#[tokio::test]
async fn a_table_in_which_different_texts_are_equal_is_refused() {
    let schema = "
        create collation caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        create table cafes (id int primary key, name text collate caseless);
        create table bars (id int primary key, name text);";
    let database = cluster::system().database().await;
    let client = database.connect().await;
    client.batch_execute(schema).await.unwrap();
    let graph = Graph::of(database, client, &[]).await;
    let mut cafes = Stream::live(&graph, "query @live { cafes { id } }").await;
    let result = cafes.result().await;
    let words = result["errors"][0]["message"].as_str().unwrap();
    assert!(words.contains("public.cafes") && words.contains("name"), "{result}");
    Stream::live(&graph, "query @live { bars { id } }").await.data().await;
}
