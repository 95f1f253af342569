//! How a subscription lives: what it waits for, what ends it, and on which streams it comes.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cluster;
use crate::graphql::{DEMO, Graph};
use crate::graphql_subscriptions::{changes, data, offered, refused, run, serve, serve_with, subscribe};
use crate::held_commits;
use crate::live::Stream;
use crate::postgres_binaries;
use crate::slot::Slot;
use crate::walcast::{PATIENCE, Walcast, until};

#[tokio::test]
async fn a_client_that_does_not_read_is_told_that_it_missed_something() {
    let graph = serve(15, DEMO, "messages").await;
    let mut slow = subscribe(&graph, "messages { record { body } }").await;
    let mut quick = subscribe(&graph, "messages { cursor record { body } }").await;
    let memory = graph.walcast.memory();
    let mut told = 0;
    for _ in 0..40 {
        run(
            &graph,
            "insert into messages (room_id, \"from\", body) select 1, 'a', repeat('x', 10000) from generate_series(1, 100)",
        )
        .await;
        for _ in 0..100 {
            data(&mut quick).await;
        }
        told += 100;
    }
    let grown = graph.walcast.memory().saturating_sub(memory);
    assert!(grown < 60 * 1024 * 1024, "{grown} bytes more");
    let mut results = 0;
    let last = loop {
        let result = slow.result().await;
        if result.get("errors").is_some() {
            break result;
        }
        results += 1;
    };
    assert_eq!(last["errors"][0]["extensions"]["code"], "SubscriptionOverflow");
    slow.complete().await;
    assert!(results > 300 && results < told, "{results} of {told}");
}

#[tokio::test]
async fn ddl_is_followed_until_the_subscription_has_no_meaning_any_more() {
    const TABLE: &str = "create table lots (id int primary key, title text, weight int)";
    let graph = serve(18, TABLE, "lots").await;
    let mut both = subscribe(&graph, "lots { record { title weight } }").await;
    let mut title = subscribe(&graph, "lots { record { title } }").await;
    let renewed = async |sql: &str, field: &str, kind: &str| {
        run(&graph, sql).await;
        until("the schema was read again", async || {
            let fields = graph.data("{ __type(name: \"Lot\") { fields { name type { name } } } }").await;
            let wanted = json!({ "name": field, "type": { "name": kind } });
            fields["__type"]["fields"].as_array().unwrap().contains(&wanted)
        })
        .await;
    };
    renewed("alter table lots add colour text default 'red'", "colour", "String").await;
    run(&graph, "insert into lots values (1, 'a', 1)").await;
    assert_eq!(data(&mut both).await["lots"]["record"], json!({ "title": "a", "weight": 1 }));
    renewed("alter table lots alter weight type text using weight || ' kg'", "weight", "String").await;
    run(&graph, "insert into lots values (2, 'b', '2 kg')").await;
    assert_eq!(data(&mut both).await["lots"]["record"], json!({ "title": "b", "weight": "2 kg" }));
    renewed("alter table lots rename weight to mass", "mass", "String").await;
    let ended = both.result().await;
    assert!(ended["errors"][0]["message"].as_str().unwrap().contains("weight"), "{ended}");
    both.complete().await;
    run(&graph, "insert into lots values (3, 'c', '3 kg')").await;
    assert_eq!(
        changes(&mut title, "lots", 3).await,
        json!([{ "record": { "title": "a" } }, { "record": { "title": "b" } }, { "record": { "title": "c" } }])
    );
}

#[tokio::test]
async fn a_gap_in_the_log_is_told_and_the_subscription_goes_on() {
    let database = cluster::shared(15).database().await;
    let slot = Slot::new(database.connect().await);
    let client = database.connect().await;
    client.batch_execute(DEMO).await.unwrap();
    let settings = [
        ("WALCAST__REPLICATION__SLOT", slot.name.as_str()),
        ("WALCAST__REPLICATION__ON_SLOT_LOST", "recreate"),
    ];
    let graph = Graph::of(database, client, &settings).await;
    offered(&graph, "newMessage").await;
    let mut stream = subscribe(&graph, "newMessage(roomId: 7) { body }").await;
    slot.drop_under_its_reader().await;
    let missed = stream.result().await;
    assert_eq!(missed["errors"][0]["extensions"]["code"], "ChangesMissed", "{missed}");
    graph.walcast.wait_for_status("live").await;
    run(&graph, "insert into messages (room_id, \"from\", body) values (7, 'a', 'later')").await;
    assert_eq!(data(&mut stream).await, json!({ "newMessage": { "body": "later" } }));
}

#[tokio::test]
async fn only_what_can_be_followed_is_offered_and_one_field_at_a_time() {
    const TABLES: &str = "
        create table seen (id int primary key); create unlogged table unlogged (id int primary key);
        create view views as select * from seen;
        comment on table seen is '@walcast subscription bids on insert
@walcast subscription wrong on delete';";
    let graph = serve_with(15, TABLES, "seens", &[("WALCAST__GRAPHQL__LIVE_STREAMS", "1")]).await;
    let fields = graph.data("{ __type(name: \"Subscription\") { fields { name } } }").await;
    assert_eq!(
        fields["__type"]["fields"],
        json!([{ "name": "listen" }, { "name": "bids" }, { "name": "seens" }])
    );
    graph.walcast.wait_for_log("is ignored: subscription takes").await;
    for several in
        ["a: seens { event } b: seens { event }", "listen(topic: \"a\") { event } bids { id }", "__typename"]
    {
        refused(&graph, several).await;
    }
    let first = subscribe(&graph, "bids { id }").await;
    let many = refused(&graph, "bids { id }").await;
    assert_eq!(many["extensions"]["code"], "TooManySubscriptions");
    drop(first);
    let start = std::time::Instant::now();
    loop {
        let mut next = subscribe(&graph, "bids { id }").await;
        run(&graph, "insert into seen select count(*) from seen").await;
        if next.result().await.get("errors").is_none() {
            break;
        }
        assert!(start.elapsed() < crate::walcast::PATIENCE, "a subscription outlives its client");
    }
}

#[tokio::test]
async fn a_commit_that_others_cannot_see_yet_is_waited_for() {
    let cluster = cluster::own(&postgres_binaries::of_major(15), &[]);
    let client = cluster::connect(&cluster.url("postgres")).await;
    client.batch_execute(DEMO).await.unwrap();
    let walcast = Walcast::spawn(&cluster.url("postgres"), &[]);
    walcast.wait_for_status("live").await;
    let query = "subscription { bids { record { amount auction { bids { amount } } } } }";
    let types = "/graphql?query=%7B__type(name:%22BidChange%22)%7Bname%7D%7D";
    until("bids are offered", async || walcast.get(types).await.1.contains("BidChange")).await;
    let mut stream = Stream::open(&walcast, query, &json!({}), "").await;
    // From now on commits wait for a standby that is not there, after they are in the log.
    held_commits::hold(&client).await;
    let writer = cluster::connect(&cluster.url("postgres")).await;
    let writing = tokio::spawn(async move {
        writer.batch_execute("insert into bids (auction_id, amount) values (1, 99)").await
    });
    held_commits::waiting(&client, 1).await;
    let asked = "select count(*) from pg_stat_activity where application_name = 'walcast-graphql' and query like '%unnest%'";
    until("the row was asked for", async || {
        client.query_one(asked, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    held_commits::release(&client).await;
    let bids = json!([{ "amount": 10 }, { "amount": 15 }, { "amount": 99 }]);
    assert_eq!(
        data(&mut stream).await["bids"]["record"],
        json!({ "amount": 99, "auction": { "bids": bids } })
    );
    writing.await.unwrap().unwrap();
}

#[tokio::test]
async fn subscriptions_go_over_every_stream() {
    let graph = serve(18, DEMO, "newMessage").await;
    let query = "subscription { newMessage(roomId: 5) { body } }";
    let insert = "insert into messages (room_id, \"from\", body) values (5, 'a', 'hello')";
    let result = json!({ "data": { "newMessage": { "body": "hello" } } }).to_string();

    let mut parts =
        Raw::ask(&graph, "POST", "/graphql", "Accept: multipart/mixed\r\n", &json!({ "query": query })).await;
    run(&graph, insert).await;
    let part = format!("Content-Length: {}\r\n\r\n{result}\r\n---", result.len());
    parts.until(&part).await;

    let token = graph
        .walcast
        .request("PUT /graphql/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .1;
    let token = token.lines().find(|line| line.len() == 32).unwrap_or(&token).to_owned();
    let header = format!("X-GraphQL-Event-Stream-Token: {token}\r\n");
    let mut stream = Raw::ask(&graph, "GET", "/graphql/stream", &header, &Value::Null).await;
    for id in ["a", "b"] {
        let body = json!({ "query": query, "extensions": { "operationId": id } });
        Raw::ask(&graph, "POST", "/graphql/stream", &header, &body).await.until("HTTP/1.1 202").await;
    }
    run(&graph, insert).await;
    for id in ["a", "b"] {
        stream.until(&format!("event: next\ndata: {{\"id\":\"{id}\",\"payload\":{result}}}\n\n")).await;
    }
    let (status, _) = graph.post(&json!({ "query": query })).await;
    assert_eq!(status, 406);
}

/// An answer as it comes, chunks and all.
struct Raw {
    stream: tokio::net::TcpStream,
    seen: String,
}

impl Raw {
    async fn ask(graph: &Graph, method: &str, path: &str, headers: &str, body: &Value) -> Self {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(graph.walcast.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Self { stream, seen: String::new() };
        raw.until("HTTP/1.1 20").await;
        raw
    }

    /// Reads until this has come; it may be cut by the sizes of chunks.
    async fn until(&mut self, text: &str) {
        let bare = |text: &str| {
            text.split("\r\n").filter(|line| u32::from_str_radix(line, 16).is_err()).collect::<String>()
        };
        let wanted = bare(text);
        while !bare(&self.seen).contains(&wanted) {
            let mut bytes = [0; 4096];
            let count = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await;
            let count = count.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen)).unwrap();
            assert!(count > 0, "no {text:?} in {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
}
