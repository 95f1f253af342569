//! Single-connection mode: `/graphql/stream`.

use std::sync::Arc;

use serde_json::{Value, json};
use walcast::http::Documents;

use crate::graphql_served::{Answer, Endpoint, Stage, schema};

const STREAM: &str = "/graphql/stream";

async fn reserve(endpoint: &Endpoint) -> String {
    let answer = endpoint.ask("PUT", STREAM, "", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (201, Some("text/plain; charset=utf-8")));
    assert!(answer.body.len() == 32 && answer.body.bytes().all(|digit| digit.is_ascii_hexdigit()));
    answer.body
}

fn by_header(token: &str) -> String {
    format!("X-GraphQL-Event-Stream-Token: {token}\r\nContent-Type: application/json\r\n")
}

async fn operate(endpoint: &Endpoint, token: &str, body: &Value) -> Answer {
    endpoint.ask("POST", STREAM, &by_header(token), &body.to_string()).await
}

fn operation(id: &str) -> Value {
    json!({"query": "{ __typename }", "extensions": {"operationId": id}})
}

fn events(id: &str) -> String {
    let id = Value::from(id).to_string();
    format!(
        "event: next\ndata: {{\"id\":{id},\"payload\":{{\"data\":{{\"__typename\":\"Query\"}}}}}}\n\n\
         event: complete\ndata: {{\"id\":{id}}}\n\n"
    )
}

#[tokio::test]
async fn results_come_on_the_stream_also_of_operations_from_before_it_was_opened() {
    let endpoint = Endpoint::start().await;
    let token = reserve(&endpoint).await;
    let early = operate(&endpoint, &token, &operation("early \"one\"")).await;
    assert_eq!((early.status, early.body.as_str()), (202, ""));
    let mut stream = endpoint.open("GET", &format!("{STREAM}?token={token}"), "", "").await;
    assert_eq!(stream.status, 200);
    assert!(stream.head.contains("content-type: text/event-stream; charset=utf-8\r\n"), "{}", stream.head);
    let complete = "event: complete\ndata: {\"id\":\"early \\\"one\\\"\"}\n\n";
    assert_eq!(stream.until(complete).await, format!(":\n\n{}", events("early \"one\"")));
    // An identifier is free again after its operation.
    for id in ["a", "b", "a"] {
        assert_eq!(operate(&endpoint, &token, &operation(id)).await.status, 202);
        let complete = format!("event: complete\ndata: {{\"id\":\"{id}\"}}\n\n");
        assert_eq!(stream.until(&complete).await, events(id));
    }
    // The second way to name the token.
    let path = format!("{STREAM}?token={token}");
    let answer =
        endpoint.ask("POST", &path, "Content-Type: application/json\r\n", &operation("c").to_string()).await;
    assert_eq!(answer.status, 202);
    stream.until("event: complete\ndata: {\"id\":\"c\"}\n\n").await;
    let gone = endpoint.ask("DELETE", &format!("{path}&operationId=c"), "", "").await;
    assert_eq!((gone.status, gone.body.as_str()), (200, ""));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_by_name() {
    let endpoint = Endpoint::start().await;
    let token = reserve(&endpoint).await;
    let path = format!("{STREAM}?token={token}");
    let stream = endpoint.open("GET", &path, "", "").await;
    let unknown = "X-GraphQL-Event-Stream-Token: 00000000000000000000000000000000\r\n";
    let delete = format!("{STREAM}?operationId=a");
    for (method, path, headers, body, status, code, message) in [
        ("GET", path.as_str(), "", "", 409, "StreamExists", "Stream already open"),
        ("PUT", &path, "", "", 409, "StreamExists", "Stream already registered"),
        ("GET", STREAM, "", "", 404, "StreamNotFound", "Stream not found"),
        ("GET", STREAM, unknown, "", 404, "StreamNotFound", "Stream not found"),
        ("POST", STREAM, unknown, "{}", 404, "StreamNotFound", "Stream not found"),
        ("DELETE", &delete, unknown, "", 404, "StreamNotFound", "Stream not found"),
        ("DELETE", &path, "", "", 400, "OperationIdMissing", "Operation ID is missing"),
        (
            "POST",
            &path,
            &by_header(&token),
            "{\"query\": \"{ __typename }\"}",
            400,
            "OperationIdMissing",
            "Operation ID is missing",
        ),
        (
            "POST",
            &path,
            &by_header(&token),
            "{",
            400,
            "RequestInvalid",
            "the body is not JSON, from line 1, column 1 on",
        ),
        (
            "POST",
            &path,
            "Content-Type: text/plain\r\n",
            "{}",
            415,
            "ContentTypeUnsupported",
            "the Content-Type of a POST must be application/json, in UTF-8",
        ),
    ] {
        let answer = endpoint.ask(method, path, headers, body).await;
        assert_eq!((answer.status, answer.code()), (status, json!(code)), "{method} {path} {headers} {body}");
        assert_eq!(answer.json()["errors"][0]["message"], message);
    }
    let invalid = json!({"query": "{ nothing }", "extensions": {"operationId": "a"}});
    let answer = operate(&endpoint, &token, &invalid).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (400, Some("application/json; charset=utf-8"))
    );
    assert!(answer.json()["errors"][0]["message"].is_string());
    drop(stream);
}

#[tokio::test]
async fn a_stream_ends_with_its_connection_and_with_the_server() {
    let endpoint = Endpoint::start().await;
    let token = reserve(&endpoint).await;
    let path = format!("{STREAM}?token={token}");
    let mut stream = endpoint.open("GET", &path, "", "").await;
    stream.until(":\n\n").await;
    drop(stream);
    let start = std::time::Instant::now();
    while operate(&endpoint, &token, &operation("a")).await.status != 404 {
        assert!(start.elapsed() < crate::walcast::PATIENCE, "the stream outlives its client");
    }
    let token = reserve(&endpoint).await;
    let mut stream = endpoint.open("GET", &format!("{STREAM}?token={token}"), "", "").await;
    stream.until(":\n\n").await;
    endpoint.stop().await;
    assert_eq!(stream.end().await, (true, String::new()));
}

fn count(id: &str) -> Value {
    json!({"query": "{ count }", "extensions": {"operationId": id}})
}

#[tokio::test]
async fn operations_run_side_by_side_until_they_are_not_wanted() {
    let stage = Stage::with(0);
    let endpoint = Endpoint::start_on(stage.clone(), Ok(Arc::new(schema())), Documents::default()).await;
    let token = reserve(&endpoint).await;
    let path = format!("{STREAM}?token={token}");
    let mut stream = endpoint.open("GET", &path, "", "").await;
    for n in 0..100 {
        assert_eq!(operate(&endpoint, &token, &count(&n.to_string())).await.status, 202);
    }
    stage.runs(100).await;
    let taken = operate(&endpoint, &token, &count("7")).await;
    assert_eq!((taken.status, taken.code()), (409, json!("OperationIdTaken")));
    assert_eq!(taken.json()["errors"][0]["message"], "Operation with ID already exists");
    let many = operate(&endpoint, &token, &count("100")).await;
    assert_eq!((many.status, many.code()), (429, json!("TooManyOperations")));
    // A slow one keeps nobody waiting, and one that is not wanted any more ends.
    for n in 1..100 {
        let deleted = endpoint.ask("DELETE", &format!("{path}&operationId={n}"), "", "").await;
        assert_eq!(deleted.status, 200);
    }
    stage.runs(1).await;
    assert_eq!(operate(&endpoint, &token, &operation("7")).await.status, 202);
    stream.until("event: complete\ndata: {\"id\":\"7\"}\n\n").await;
    // The rest goes with its client.
    drop(stream);
    stage.runs(0).await;
}

#[tokio::test]
async fn a_stop_waits_for_the_operations_of_a_stream_and_takes_no_more() {
    let stage = Stage::with(0);
    let endpoint = Endpoint::start_on(stage.clone(), Ok(Arc::new(schema())), Documents::default()).await;
    let token = reserve(&endpoint).await;
    let mut stream = endpoint.open("GET", &format!("{STREAM}?token={token}"), "", "").await;
    stream.until(":\n\n").await;
    assert_eq!(operate(&endpoint, &token, &count("a")).await.status, 202);
    stage.runs(1).await;
    let stopping = tokio::spawn(endpoint.stop());
    tokio::task::yield_now().await;
    stage.answers.add_permits(1);
    let (whole, body) = stream.end().await;
    assert!(whole && body.ends_with("event: complete\ndata: {\"id\":\"a\"}\n\n"), "{body}");
    stopping.await.unwrap();
}
