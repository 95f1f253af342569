//! GraphQL over HTTP: one operation a request.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use walcast::http::Documents;
use walcast::operations::Fault;

use crate::cluster;
use crate::graphql_served::{Endpoint, Stage, schema};
use crate::program::{Program, file};
use crate::walcast::{PATIENCE, Walcast, until};

const RESPONSE: &str = "application/graphql-response+json";
const ASK: &str = r#"{"query": "{ __typename }"}"#;
/// `{ __typename }`
const ASK_BY_GET: &str = "/graphql?query=%7B__typename%7D";

#[tokio::test]
async fn every_audit_of_graphql_http_passes() {
    let endpoint = Endpoint::start().await;
    audit(&endpoint.url("/graphql")).await;
}

async fn audit(url: &str) {
    let script = file("tests/clients/graphql-http-audits.mjs");
    let mut program = Program::start("node".as_ref(), &[&script], &[("GRAPHQL_URL", url)]);
    let mut audits = 0;
    let mut failed = Vec::new();
    while let Some(line) = program.line().await {
        audits += 1;
        if !line.contains("\"status\":\"ok\"") {
            failed.push(line);
        }
    }
    program.finish().await;
    assert_eq!((audits, failed), (61, Vec::<String>::new()));
}

#[tokio::test]
async fn the_program_passes_the_audits_and_cancels_what_nobody_waits_for() {
    let database = cluster::shared(15).database().await;
    let sql = database.connect().await;
    sql.batch_execute(
        "create function slow() returns int stable language sql as 'select 1 from pg_sleep(600)';
         create function change() returns int language sql as 'select 1'",
    )
    .await
    .unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let start = Instant::now();
    // The schema is read beside the stream.
    while walcast.get(ASK_BY_GET).await.0 == 503 {
        assert!(start.elapsed() < PATIENCE, "no schema; the log:\n{}", walcast.log());
    }
    audit(&format!("http://{}/graphql", walcast.address())).await;

    let running = async || {
        let query = "select count(*) from pg_stat_activity where query like '%slow%' and state = 'active' \
                     and datname = current_database() and pid <> pg_backend_pid()";
        sql.query_one(query, &[]).await.unwrap().get::<_, i64>(0)
    };
    for accept in ["application/json", "text/event-stream"] {
        let mut client = TcpStream::connect(walcast.address()).await.unwrap();
        let request =
            format!("GET /graphql?query=%7Bslow%7D HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        until("the statement runs", async || running().await == 1).await;
        drop(client);
        until("the statement is cancelled", async || running().await == 0).await;
    }
}

#[tokio::test]
async fn a_query_is_answered_by_get_and_by_post() {
    let endpoint = Endpoint::start().await;
    let typename = json!({"data": {"__typename": "Query"}});
    for accept in [RESPONSE, "application/json"] {
        let answer = endpoint.post(accept, ASK).await;
        assert_eq!((answer.status, answer.json()), (200, typename.clone()));
        assert_eq!(answer.header("content-type"), Some(&*format!("{accept}; charset=utf-8")));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("vary"), Some("Accept"));
    }
    let get = async |query: &str| endpoint.ask("GET", &format!("/graphql?{query}"), "", "").await.json();
    assert_eq!(get("query=%7B__typename%7D&variables=&operationName=&extensions=").await, typename);
    let named =
        "query=query+A%7B__typename%7D+query+B($n:String!)%7B__type(name:$n)%7Bname%7D%7D&operationName=B";
    assert_eq!(
        get(&format!("{named}&variables=%7B%22n%22:%22Query%22%7D")).await,
        json!({"data": {"__type": {"name": "Query"}}})
    );
    // A spare parameter means nothing.
    assert_eq!(get("query=%7B__typename%7D&apikey=1&apikey=2").await, typename);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let endpoint = Endpoint::start().await;
    for (body, words) in [
        ("", "the body is not JSON, from line 1, column 0 on"),
        ("{\n\"query\": }", "the body is not JSON, from line 2, column 10 on"),
        ("[]", "the body is not a JSON object"),
        ("{}", "`query` is missing, and so is `documentId`"),
        (r#"{"query": null}"#, "`query` is missing, and so is `documentId`"),
        (r#"{"query": 1}"#, "`query` must be a string"),
        (r#"{"query": "{a}", "documentId": {}}"#, "`documentId` must be a string"),
        (r#"{"query": "{a}", "documentId": "a"}"#, "give `query` or `documentId`, not both"),
        (r#"{"query": "{a}", "operationName": []}"#, "`operationName` must be a string"),
        (r#"{"query": "{a}", "variables": "{}"}"#, "`variables` must be an object"),
        (r#"{"query": "{a}", "extensions": [1]}"#, "`extensions` must be an object"),
    ] {
        for accept in [RESPONSE, "application/json", "*/*"] {
            let answer = endpoint.post(accept, body).await;
            assert_eq!((answer.status, answer.code()), (400, json!("RequestInvalid")), "{body}");
            assert_eq!(answer.json()["errors"][0]["message"], words, "{body}");
        }
    }
    for (query, words) in [
        ("", "`query` is missing, and so is `documentId`"),
        ("query=%7B__typename%7D&variables=%7B", "`variables` is not JSON"),
        ("query=%7B__typename%7D&variables=1", "`variables` must be an object"),
        ("query=%7B__typename%7D&extensions=%22%22", "`extensions` must be an object"),
        ("query=a&query=b", "`query` is given more than once"),
    ] {
        let answer = endpoint.ask("GET", &format!("/graphql?{query}"), "", "").await;
        assert_eq!((answer.status, answer.code()), (400, json!("RequestInvalid")), "{query}");
        assert_eq!(answer.json()["errors"][0]["message"], words, "{query}");
    }
}

#[tokio::test]
async fn the_status_of_a_refused_operation_follows_the_media_type() {
    let endpoint = Endpoint::start().await;
    for body in [
        json!({"query": "{"}),
        json!({"query": "{ nothing }"}),
        json!({"query": "query A { __typename }", "operationName": "B"}),
        json!({"query": "query A($id: ID!) { auction(id: $id) }"}),
    ] {
        for (accept, status) in [(RESPONSE, 400), ("application/json", 200), ("*/*", 200)] {
            let answer = endpoint.post(accept, &body.to_string()).await;
            assert_eq!(answer.status, status, "{accept} {body}");
            assert!(answer.json().get("data").is_none() && answer.json()["errors"][0]["message"].is_string());
        }
        // Clients of streams would try again for ever.
        let events = endpoint.post("text/event-stream", &body.to_string()).await;
        assert_eq!(
            (events.status, events.header("content-type")),
            (200, Some("text/event-stream; charset=utf-8"))
        );
        assert!(
            events.body.starts_with(":\n\nevent: next\ndata: {\"errors\":[{\"message\":"),
            "{}",
            events.body
        );
        assert!(events.body.ends_with("\n\nevent: complete\ndata:\n\n"), "{}", events.body);
        let parts = endpoint.post("multipart/mixed", &body.to_string()).await;
        assert_eq!(parts.status, 200);
        assert!(parts.body.contains("{\"errors\":"), "{}", parts.body);
    }
}

#[tokio::test]
async fn methods_types_and_sizes_that_are_not_served_have_their_status() {
    let endpoint = Endpoint::start().await;
    let json_post = "Content-Type: application/json\r\n";
    for accept in ["", "Accept: text/event-stream\r\n", "Accept: application/graphql-response+json\r\n"] {
        let mutation = "/graphql?query=mutation%7B__typename%7D";
        let answer = endpoint.ask("GET", mutation, accept, "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{accept}");
        assert_eq!(answer.code(), "MethodNotAllowed");
        for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/json; charset=latin1\r\n"]
        {
            let answer = endpoint.ask("POST", "/graphql", &format!("{accept}{kind}"), ASK).await;
            assert_eq!((answer.status, answer.code()), (415, json!("ContentTypeUnsupported")), "{kind}");
            assert_eq!(answer.header("accept"), Some("application/json"));
        }
    }
    let mutation = endpoint.post(RESPONSE, r#"{"query": "mutation { __typename }"}"#).await;
    assert_eq!((mutation.status, mutation.json()), (200, json!({"data": {"__typename": "Mutation"}})));

    let unread = endpoint.post("text/html, image/*;q=0.5", ASK).await;
    assert_eq!((unread.status, unread.code()), (406, json!("NotAcceptable")));
    assert!(unread.header("accept").is_some_and(|offer| offer.contains("text/event-stream")));

    let padding = |size: usize| format!("{}{ASK}", " ".repeat(size - ASK.len()));
    assert_eq!(endpoint.post(RESPONSE, &padding(1 << 20)).await.status, 200);
    let large = endpoint.post(RESPONSE, &padding((1 << 20) + 1)).await;
    assert_eq!((large.status, large.code()), (413, json!("BodyTooLarge")));

    for method in ["PUT", "DELETE", "PATCH"] {
        let answer = endpoint.ask(method, "/graphql", json_post, ASK).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD,POST")), "{method}");
    }
}

#[tokio::test]
async fn without_a_schema_clients_are_told_to_come_back_and_without_graphql_there_is_nothing() {
    for (fault, retry) in [(Fault::Unavailable, Some("5")), (Fault::Off, None)] {
        let endpoint = Endpoint::start_with(Err((fault, "in words".to_owned())), Documents::default()).await;
        for accept in [RESPONSE, "application/json", "text/event-stream", "multipart/mixed"] {
            let answer = endpoint.post(accept, ASK).await;
            assert_eq!((answer.status, answer.header("retry-after")), (503, retry), "{accept}");
            assert_eq!(answer.json()["errors"][0]["message"], "in words");
        }
    }
    let endpoint = Endpoint::without().await;
    for path in [ASK_BY_GET, "/graphql/stream?token=a"] {
        let answer = endpoint.ask("GET", path, "", "").await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("NotFound")));
    }
}

#[tokio::test]
async fn one_result_travels_in_the_form_that_was_asked_for() {
    let endpoint = Endpoint::start().await;
    let result = r#"{"data":{"__typename":"Query"}}"#;
    let events = format!(":\n\nevent: next\ndata: {result}\n\nevent: complete\ndata:\n\n");
    let headers = "Accept: text/event-stream\r\n";
    for answer in
        [endpoint.ask("GET", ASK_BY_GET, headers, "").await, endpoint.post("text/event-stream", ASK).await]
    {
        assert_eq!((answer.status, answer.body.as_str()), (200, events.as_str()));
        assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    }
    let parts = endpoint.post("multipart/mixed;boundary=graphql", ASK).await;
    assert_eq!((parts.status, parts.header("content-type")), (200, Some("multipart/mixed; boundary=\"-\"")));
    assert_eq!(
        parts.body,
        format!(
            "\r\n---\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{result}\r\n-----\r\n",
            result.len()
        )
    );
}

#[tokio::test]
async fn persisted_documents_are_found_by_their_identifier() {
    let folder = std::env::temp_dir().join(format!("walcast-documents-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("documents.json");
    let documents =
        json!({"abc": "query A { __typename }", "sha256:def": "{ kind: __typename }", "bad": "{"});
    std::fs::write(&path, documents.to_string()).unwrap();
    for only in [false, true] {
        let documents = Documents::load(&path, only).unwrap();
        let endpoint = Endpoint::start_with(Ok(Arc::new(schema())), documents).await;
        for (id, data) in [
            ("abc", json!({"__typename": "Query"})),
            ("sha256:abc", json!({"__typename": "Query"})),
            ("sha256:def", json!({"kind": "Query"})),
        ] {
            let by_post = endpoint.post(RESPONSE, &json!({"documentId": id}).to_string()).await;
            let by_get = endpoint.ask("GET", &format!("/graphql?documentId={id}"), "", "").await;
            assert_eq!((by_post.json(), by_get.json()), (json!({"data": data}), json!({"data": data})));
        }
        for id in ["def", "nothing", "md5:abc"] {
            let answer = endpoint.post("application/json", &json!({"documentId": id}).to_string()).await;
            assert_eq!((answer.status, answer.code()), (400, json!("DocumentNotFound")), "{id}");
        }
        assert_eq!(endpoint.post(RESPONSE, r#"{"documentId": "bad"}"#).await.status, 400);
        let text = endpoint.post(RESPONSE, ASK).await;
        if only {
            assert_eq!((text.status, text.code()), (400, json!("DocumentsOnly")));
        } else {
            assert_eq!(text.status, 200);
        }
    }
    for (content, words) in [("{\"a\": 1}", "must be a JSON object"), ("[]", "must be a JSON object")] {
        std::fs::write(&path, content).unwrap();
        assert!(Documents::load(&path, false).unwrap_err().to_string().contains(words));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(Documents::load(&path, false).unwrap_err().to_string().starts_with("cannot read"));
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_ask_in_every_way() {
    let endpoint = Endpoint::start().await;
    for (path, method, headers) in [
        ("/graphql", "POST", "content-type, x-apollo-operation-name"),
        ("/graphql/stream", "PUT", ""),
        ("/graphql/stream", "DELETE", "x-graphql-event-stream-token"),
    ] {
        let preflight = |origin: &str| {
            let wanted = format!("Access-Control-Request-Headers: {headers}\r\n");
            let wanted = if headers.is_empty() { "" } else { wanted.as_str() };
            format!("Origin: {origin}\r\nAccess-Control-Request-Method: {method}\r\n{wanted}")
        };
        let answer = endpoint.ask("OPTIONS", path, &preflight("http://localhost:3000"), "").await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (204, Some("http://localhost:3000"))
        );
        assert!(
            answer.header("access-control-allow-methods").is_some_and(|methods| methods.contains(method))
        );
        assert_eq!(answer.header("access-control-allow-headers").unwrap_or_default(), headers);
        let answer = endpoint.ask("OPTIONS", path, &preflight("https://evil.example"), "").await;
        assert_eq!((answer.status, answer.header("access-control-allow-headers")), (403, None));
    }
    let foreign = "Origin: https://evil.example\r\nContent-Type: application/json\r\n";
    assert_eq!(endpoint.ask("POST", "/graphql", foreign, ASK).await.status, 403);
}

#[tokio::test]
async fn graphql_sse_runs_operations_on_distinct_connections() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.url("/graphql");
    let results = graphql_sse(&url, "distinct").await;
    assert_eq!(results, expected_of_graphql_sse());
}

#[tokio::test]
async fn graphql_sse_runs_operations_on_one_connection() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.url("/graphql/stream");
    let mut expected = expected_of_graphql_sse();
    // There a document that is not valid is refused where it is posted.
    expected[2] = vec![json!({"operation": 2, "error": "Server responded with 400: Bad Request"})];
    assert_eq!(graphql_sse(&url, "single").await, expected);
}

fn expected_of_graphql_sse() -> Vec<Vec<Value>> {
    let done = |n: usize, result: Value| {
        vec![json!({"operation": n, "next": result}), json!({"operation": n, "complete": true})]
    };
    vec![
        done(0, json!({"data": {"__typename": "Query"}})),
        done(1, json!({"data": {"__type": {"name": "Query"}}})),
        done(2, json!({"errors": true})),
        done(3, json!({"data": {"__typename": "Mutation"}})),
    ]
}

/// What graphql-sse tells of four operations, by operation; of errors, that there are some.
async fn graphql_sse(url: &str, mode: &str) -> Vec<Vec<Value>> {
    let script = file("tests/clients/graphql-sse.mjs");
    let mut program = Program::start("node".as_ref(), &[&script], &[("GRAPHQL_URL", url), ("MODE", mode)]);
    for operation in [
        json!({"query": "{ __typename }"}),
        json!({"query": "query($n: String!) { __type(name: $n) { name } }", "variables": {"n": "Query"}}),
        json!({"query": "{ nothing }"}),
        json!({"query": "mutation { __typename }"}),
    ] {
        program.say(&operation.to_string()).await;
    }
    let mut told = vec![Vec::new(); 4];
    let mut open = 4;
    while open > 0 {
        let mut line: Value = serde_json::from_str(&program.expect_line().await).unwrap();
        if line.get("next").is_none() {
            open -= 1;
        } else if line["next"]["errors"].is_array() {
            line["next"] = json!({"errors": true});
        }
        let operation = usize::try_from(line["operation"].as_u64().unwrap()).unwrap();
        told[operation].push(line);
    }
    program.finish().await;
    told
}

/// `{ count }`, by the way of each form; a mutation would do as well.
const COUNT: &str = r#"{"query": "{ count }"}"#;

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_statement() {
    let stage = Stage::with(0);
    let endpoint = Endpoint::start_on(stage.clone(), Ok(Arc::new(schema())), Documents::default()).await;
    for accept in ["application/json", RESPONSE, "text/event-stream", "multipart/mixed"] {
        let headers = format!("Content-Type: application/json\r\nAccept: {accept}\r\n");
        let clients = [endpoint.begin("POST", "/graphql", &headers, COUNT).await, {
            let path = "/graphql?query=%7Bcount%7D";
            endpoint.begin("GET", path, &headers, "").await
        }];
        stage.runs(2).await;
        drop(clients);
        stage.runs(0).await;
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_a_status_or_the_last_result_of_a_stream() {
    let stage = Stage::with(1);
    let endpoint = Endpoint::start_on(stage.clone(), Ok(Arc::new(schema())), Documents::default()).await;
    assert_eq!(endpoint.post(RESPONSE, COUNT).await.json(), json!({"data": {"count": 1}}));
    stage.answers.close();
    for accept in [RESPONSE, "application/json"] {
        let answer = endpoint.post(accept, COUNT).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{accept}");
        assert_eq!(answer.json()["errors"][0]["message"], "it is gone");
    }
    // Its head was sent before the database was asked.
    let events = endpoint.post("text/event-stream", COUNT).await;
    assert_eq!(events.status, 200);
    assert!(events.body.contains("it is gone") && events.body.ends_with("event: complete\ndata:\n\n"));
}

#[tokio::test]
async fn a_stop_waits_for_operations_that_run() {
    let stage = Stage::with(0);
    let endpoint = Endpoint::start_on(stage.clone(), Ok(Arc::new(schema())), Documents::default()).await;
    let headers = "Accept: text/event-stream\r\nContent-Type: application/json\r\n";
    let mut client = endpoint.open("POST", "/graphql", headers, COUNT).await;
    client.until(":\n\n").await;
    stage.runs(1).await;
    let stopping = tokio::spawn(endpoint.stop());
    stage.answers.add_permits(1);
    let (whole, body) = client.end().await;
    assert!(
        whole && body.ends_with("event: next\ndata: {\"data\":{\"count\":1}}\n\nevent: complete\ndata:\n\n")
    );
    stopping.await.unwrap();
}
