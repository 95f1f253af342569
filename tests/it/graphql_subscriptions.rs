//! GraphQL subscriptions: changes of tables, rows under names of their own, and what is sent to topics.

use serde_json::{Value, json};

use crate::graphql::{DEMO, Graph};
use crate::live::Stream;
use crate::postgres_binaries;
use crate::walcast::until;

/// Serves a database, and waits until this subscription is offered.
async fn serve(major: u16, sql: &str, field: &str) -> Graph {
    let graph = Graph::serve(major, sql, &[]).await;
    offered(&graph, field).await;
    graph
}

async fn offered(graph: &Graph, field: &str) {
    until(&format!("{field} is offered"), async || {
        let fields = graph.data("{ __type(name: \"Subscription\") { fields { name } } }").await;
        fields["__type"]["fields"].as_array().unwrap().contains(&json!({ "name": field }))
    })
    .await;
}

async fn subscribe(graph: &Graph, subscription: &str) -> Stream {
    let query = format!("subscription {{ {subscription} }}");
    let stream = Stream::open(&graph.walcast, &query, &json!({}), "").await;
    assert!(stream.head.starts_with("HTTP/1.1 200 "), "{}", stream.head);
    stream
}

async fn run(graph: &Graph, sql: &str) {
    graph.client.batch_execute(sql).await.unwrap();
}

/// The data of the next result, which has no errors.
async fn data(stream: &mut Stream) -> Value {
    let mut result = stream.result().await;
    assert!(result.get("errors").is_none(), "{result}");
    result["data"].take()
}

/// The next results' value under this field.
async fn changes(stream: &mut Stream, field: &str, count: usize) -> Value {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(data(stream).await[field].take());
    }
    Value::Array(all)
}

#[tokio::test]
async fn every_change_of_a_table_is_told_in_order_with_its_event() {
    for major in postgres_binaries::majors() {
        let graph = serve(*major, DEMO, "bids").await;
        let mut stream = subscribe(
            &graph,
            "bids { event record { id amount auction { title } } old { id amount } cursor }",
        )
        .await;
        run(
            &graph,
            "begin;
             insert into auctions values (10, 'a lamp');
             insert into bids values (100, 5, 10);
             update bids set amount = 6 where id = 100;
             update bids set id = 101, amount = 7 where id = 100;
             delete from bids where id = 1;
             commit;
             truncate bids",
        )
        .await;
        let mut told = changes(&mut stream, "bids", 5).await;
        let cursors: Vec<String> = told
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .map(|change| {
                change.as_object_mut().unwrap().remove("cursor").unwrap().as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(cursors.len(), 5);
        let lamp = json!({ "title": "a lamp" });
        assert_eq!(told[0]["event"], "INSERT", "{told}");
        assert_eq!(
            told[3],
            json!({ "event": "DELETE", "record": null, "old": { "id": "1", "amount": null } })
        );
        assert_eq!(told[4], json!({ "event": "TRUNCATE", "record": null, "old": null }));
        let _ = lamp;
    }
}
