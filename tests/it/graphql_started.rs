//! Live queries and subscriptions that are asked for before changes are read.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{self, Database};
use crate::live::Stream;
use crate::walcast::{Walcast, slot_name, until};

const LIVE: &str = "query @live { items { id } }";

const SUBSCRIPTION: &str = "subscription { items(events: [INSERT]) { record { id } } }";

async fn database() -> Database {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute("create table items (id int primary key)").await.unwrap();
    database
}

/// A POST of this operation to be answered as a stream: the status and, if there is none, the body.
async fn asked(walcast: &Walcast, query: &str) -> (u16, Value) {
    let body = json!({ "query": query }).to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, body) = walcast.request(&request).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

async fn schema_is_read(walcast: &Walcast) {
    until("a schema is served", async || asked(walcast, "{ __typename }").await.0 == 200).await;
}

#[tokio::test]
async fn who_asks_before_the_publication_is_made_is_not_told_that_there_is_none() {
    let database = database().await;
    let client = database.connect().await;
    // The publication cannot be made while somebody makes another one.
    client.batch_execute("begin; lock table pg_publication in share row exclusive mode").await.unwrap();
    let walcast = Walcast::spawn(&database.url(), &[]);
    schema_is_read(&walcast).await;
    let (status, body) = asked(&walcast, LIVE).await;
    assert_eq!((status, &body["errors"][0]["extensions"]["code"]), (503, &json!("Unavailable")), "{body}");
    let opening = Stream::open(&walcast, LIVE, &Value::Null, "");
    let (mut stream, ()) = tokio::join!(opening, async {
        client.batch_execute("commit").await.unwrap();
    });
    let first = stream.next().await.expect("a result").data;
    assert_eq!(first["data"], json!({ "items": [] }), "{first}");
    client.batch_execute("insert into items values (1)").await.unwrap();
    let second = stream.next().await.expect("a result").data;
    assert_eq!(second["data"], json!({ "items": [{ "id": "1" }] }), "{second}");
}

#[tokio::test]
async fn a_subscription_is_confirmed_once_changes_are_read_and_misses_none_from_then_on() {
    let database = database().await;
    let client = database.connect().await;
    let slot = slot_name();
    let settings = [("WALCAST__REPLICATION__SLOT", slot.as_str())];
    let first = Walcast::serve(&database, &settings).await;
    // It waits for its predecessor, and reads nothing.
    let second = Walcast::spawn(&database.url(), &settings);
    second.wait_for_status("standby").await;
    schema_is_read(&second).await;
    for operation in [SUBSCRIPTION, LIVE] {
        let (status, body) = asked(&second, operation).await;
        assert_eq!(
            (status, &body["errors"][0]["extensions"]["code"]),
            (503, &json!("Unavailable")),
            "{body}"
        );
    }
    let opening = Stream::open(&second, SUBSCRIPTION, &Value::Null, "");
    let mut opening = std::pin::pin!(opening);
    let early = tokio::time::timeout(Duration::from_secs(1), opening.as_mut()).await;
    assert!(early.is_err(), "confirmed before changes are read");
    client.batch_execute("insert into items values (1)").await.unwrap();
    drop(first);
    let mut stream = opening.await;
    client.batch_execute("insert into items values (2)").await.unwrap();
    let told = stream.next().await.expect("a result").data;
    assert_eq!(told, json!({ "data": { "items": { "record": { "id": "2" } } } }));
}
