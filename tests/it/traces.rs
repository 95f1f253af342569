//! Spans, as a collector receives them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::graphql::Graph;
use crate::live::Stream;
use crate::socket::Socket;
use crate::walcast::PATIENCE;

/// A collector that takes whatever it is sent, and hands on the line of each request and its body.
async fn collector() -> (String, mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (received, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let (mut head, mut first) = (String::new(), None);
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).await.unwrap();
                first.get_or_insert_with(|| head.trim().to_owned());
            }
            let head = head.to_lowercase();
            assert!(head.contains("content-type: application/x-protobuf"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            let _ = received.send((first.unwrap(), body));
        }
    });
    (address, requests)
}

/// The attributes of a span.
fn attributes(span: &Span) -> BTreeMap<String, Value> {
    let value = |value: &Attribute| match value {
        Attribute::StringValue(text) => json!(text),
        Attribute::IntValue(number) => json!(number),
        Attribute::BoolValue(truth) => json!(truth),
        other => panic!("{other:?}"),
    };
    let told = span.attributes.iter();
    let told =
        told.map(|told| (told.key.clone(), value(told.value.as_ref().unwrap().value.as_ref().unwrap())));
    told.collect()
}

#[tokio::test]
async fn a_collector_is_told_of_joins_transactions_operations_and_runs_and_of_no_values() {
    let (address, mut requests) = collector().await;
    let settings = [("WALCAST__TRACES__OTLP_ENDPOINT", address.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let schema = "create table seen (id int primary key, word text)";
    let graph = Graph::serve(15, schema, &settings).await;
    let mut socket = Socket::connect(&graph.walcast).await;
    socket.joined("realtime:public:seen", json!({})).await;
    let refused = socket.refused("realtime:public:hunter2", json!({})).await;
    assert!(refused.starts_with("TableNotFound: "), "{refused}");
    let mut live =
        Stream::live(&graph, "query watched @live { seens(filter: {word: {eq: \"hunter2\"}}) { id } }").await;
    live.data().await;
    graph.client.batch_execute("insert into seen values (1, 'hunter2'), (2, 'hunter2')").await.unwrap();
    live.data().await;
    socket.changes(2).await;
    let name = "asked_".repeat(20);
    let query = json!({
        "query": format!("query {name}($word: String!) {{ seens(filter: {{word: {{eq: $word}}}}) {{ id }} }}"),
        "variables": {"word": "hunter2"},
    });
    let query = query.to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{query}",
        query.len()
    );
    assert_eq!(graph.walcast.request(&request).await.0, 200);
    let mut spans = Vec::new();
    let wanted = [
        ("join", json!({"walcast.outcome": "joined", "walcast.resumed": false, "walcast.snapshot": false})),
        (
            "join",
            json!({"walcast.outcome": "TableNotFound", "walcast.resumed": false, "walcast.snapshot": false}),
        ),
        ("dispatch", json!({"walcast.changes": 2, "walcast.deliveries": 2, "walcast.frames": 2})),
        ("live run", json!({"graphql.operation.name": "watched", "walcast.changed": true})),
        (
            "graphql",
            json!({"graphql.operation.name": name[..64], "graphql.operation.type": "query", "walcast.unavailable": false}),
        ),
    ];
    let told = |spans: &[(Span, BTreeMap<String, Value>)], name: &str, expected: &Value| {
        let expected = expected.as_object().unwrap();
        spans.iter().any(|(span, told)| {
            span.name == name && expected.iter().all(|(key, value)| told.get(key) == Some(value))
        })
    };
    while !wanted.iter().all(|(name, expected)| told(&spans, name, expected)) {
        let next = tokio::time::timeout(PATIENCE, requests.recv()).await;
        let Ok(next) = next else { panic!("not all in {spans:#?}") };
        let (first, body) = next.unwrap();
        assert_eq!(first, "POST /v1/traces HTTP/1.1");
        assert!(!body.windows(7).any(|bytes| bytes == b"hunter2"), "a value is told");
        let request = ExportTraceServiceRequest::decode(&*body).unwrap();
        for resource in request.resource_spans {
            let service = &resource.resource.as_ref().unwrap().attributes;
            assert!(service.iter().any(|told| told.key == "service.name"), "{service:?}");
            let more = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(more.map(|span| (attributes(&span), span)).map(|(told, span)| (span, told)));
        }
    }
    for (span, told) in &spans {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
        assert!(
            span.name != "dispatch" || told["walcast.commit_lsn"].as_str().unwrap().contains('/'),
            "{told:?}"
        );
    }
}
