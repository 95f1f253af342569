//! What an operator sees of connections and topics, and closes.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use crate::cluster::{self, Database};
use crate::program::{Program, file};
use crate::raw::Raw;
use crate::socket::Socket;
use crate::walcast::{Walcast, until};

const TABLE: &str = "create table t (id int8 generated always as identity primary key, v text)";

const TOPIC: &str = "realtime:public:t";

const DISCONNECTED: (u16, &str) = (4000, "disconnected by the server's operator");

async fn serve(settings: &[(&str, &str)]) -> (Database, Walcast) {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute(TABLE).await.unwrap();
    let walcast = Walcast::serve(&database, settings).await;
    (database, walcast)
}

async fn get(walcast: &Walcast, path: &str) -> Value {
    let (status, body) = walcast.get(path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

async fn post(walcast: &Walcast, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, body) = walcast.request(&request).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

/// Disconnects whom the body names; how many there were.
async fn disconnect(walcast: &Walcast, body: Value) -> u64 {
    let (status, answer) =
        post(walcast, "/disconnect", "Content-Type: application/json\r\n", &body.to_string()).await;
    assert_eq!(status, 202, "{answer}");
    answer["connections"].as_u64().unwrap()
}

/// All entries of a list, page by page, and how many pages there were.
async fn paged(walcast: &Walcast, path: &str, list: &str) -> (Vec<Value>, usize) {
    let (mut all, mut pages, mut after) = (Vec::new(), 0, String::new());
    loop {
        let mut page = get(walcast, &format!("{path}{after}")).await;
        all.append(page[list].as_array_mut().unwrap());
        pages += 1;
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return (all, pages),
        }
    }
}

/// Sends a GET, and reads its answer until the connection ends.
fn hold(walcast: &Walcast, path: &str) -> JoinHandle<String> {
    let address = walcast.address();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    tokio::spawn(async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    })
}

#[tokio::test]
async fn every_connection_is_listed_once_over_all_pages() {
    let (_database, walcast) = serve(&[]).await;
    assert_eq!(get(&walcast, "/connections").await, json!({"connections": [], "next": null}));
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(Socket::connect(&walcast).await);
    }
    let mut old = Socket::open(&walcast, "/socket/websocket").await;
    old.send(json!({"topic": TOPIC, "event": "phx_join", "payload": {}, "ref": "1"}).to_string()).await;
    assert_eq!(old.frame().await["payload"]["status"], "ok");
    let stream = hold(&walcast, "/events?topic=realtime:public:t");
    until("all are there", async || {
        paged(&walcast, "/connections?limit=1000", "connections").await.0.len() == 7
    })
    .await;
    let (all, pages) = paged(&walcast, "/connections?limit=3", "connections").await;
    let mut ids: Vec<_> = all.iter().map(|seen| seen["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), all.len(), pages), (7, 7, 3), "{all:?}");
    let now = std::time::SystemTime::now();
    for seen in &all {
        assert!(seen["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{seen}");
        let opened: jiff::Timestamp = seen["opened_at"].as_str().unwrap().parse().unwrap();
        let age = now.duration_since(opened.into()).unwrap();
        assert!(age.as_secs() < 60, "{seen}");
    }
    let of = |transport: &str, vsn: Value| {
        all.iter().filter(|seen| seen["transport"] == transport && seen["vsn"] == vsn).collect::<Vec<_>>()
    };
    let joined = of("websocket", json!("1.0.0"));
    assert_eq!((joined[0]["channels"].as_u64(), joined[0]["pending_bytes"].as_u64()), (Some(1), Some(0)));
    assert!(joined[0]["heard_at"].as_str() >= joined[0]["opened_at"].as_str(), "{joined:?}");
    assert_eq!(of("websocket", json!("2.0.0")).len(), 5);
    assert_eq!(of("events", Value::Null)[0]["channels"], 1);
    drop((sockets, old));
    stream.abort();
    until("none is left", async || get(&walcast, "/connections").await["connections"] == json!([])).await;
}

#[tokio::test]
async fn what_waits_for_a_socket_that_does_not_read_is_told_of_it_alone() {
    let (database, walcast) = serve(&[("WALCAST__OUTBOX__BYTES", "1073741824")]).await;
    let mut slow = Raw::small(&walcast).await;
    slow.join(TOPIC).await;
    let _quiet = Socket::connect(&walcast).await;
    let write = "insert into t (v) select repeat('x', 100000) from generate_series(1, 200)";
    database.connect().await.batch_execute(write).await.unwrap();
    until("something waits", async || {
        let seen = get(&walcast, "/connections").await;
        let waits = |seen: &Value| seen["pending_bytes"].as_u64().unwrap() > 1_000_000;
        seen["connections"].as_array().unwrap().iter().map(waits).collect::<Vec<_>>()
            == seen["connections"]
                .as_array()
                .unwrap()
                .iter()
                .map(|seen| seen["channels"] == 1)
                .collect::<Vec<_>>()
    })
    .await;
}

#[tokio::test]
async fn topics_are_listed_with_what_they_match_and_who_has_joined_them_how() {
    let (_database, walcast) = serve(&[]).await;
    let mut one = Socket::connect(&walcast).await;
    one.joined(TOPIC, json!({})).await;
    one.joined("realtime:public:t:id=gt.5", json!({})).await;
    one.joined("realtime:*", json!({})).await;
    let mut two = Socket::connect(&walcast).await;
    two.joined(TOPIC, json!({"frames": "type", "profile": "exact"})).await;
    let stream = hold(&walcast, "/events?topic=realtime:public:t&profile=text");
    until("the stream is there", async || {
        get(&walcast, "/members?topic=realtime:public:t").await["members"].as_array().unwrap().len() == 3
    })
    .await;
    let (mut channels, pages) = paged(&walcast, "/channels?limit=2", "channels").await;
    channels.sort_by_key(|seen| seen["topic"].as_str().unwrap().to_owned());
    let filter = channels[2]["filter"].take();
    assert!(filter.as_str().unwrap().contains("id"), "{filter}");
    let expected = json!([
        {"topic": "realtime:*", "members": 1, "schema": null, "table": null, "filter": null},
        {"topic": TOPIC, "members": 3, "schema": "public", "table": "t", "filter": null},
        {"topic": "realtime:public:t:id=gt.5", "members": 1, "schema": "public", "table": "t", "filter": null},
    ]);
    assert_eq!((Value::from(channels), pages), (expected, 2));
    let (members, pages) = paged(&walcast, "/members?topic=realtime:public:t&limit=1", "members").await;
    assert_eq!(pages, 3);
    let mut options: Vec<_> = members
        .iter()
        .map(|seen| json!([seen["transport"], seen["vsn"], seen["profile"], seen["frames"], seen["state"]]))
        .collect();
    options.sort_by_key(Value::to_string);
    let expected = [
        json!(["events", null, "text", "type", "reading"]),
        json!(["websocket", "2.0.0", "default", "both", "live"]),
        json!(["websocket", "2.0.0", "exact", "type", "live"]),
    ];
    assert_eq!(options, expected);
    let all = get(&walcast, "/connections").await;
    for member in &members {
        let is_its = |seen: &&Value| seen["id"] == member["connection"];
        assert_eq!(all["connections"].as_array().unwrap().iter().filter(is_its).count(), 1, "{member}");
    }
    assert_eq!(get(&walcast, "/members?topic=realtime:public:other").await["members"], json!([]));
    stream.abort();
}

#[tokio::test]
async fn a_channel_that_is_told_first_what_it_missed_is_a_member_all_the_same() {
    let (database, walcast) = serve(&[("WALCAST__OUTBOX__STALL_SECONDS", "60")]).await;
    let mut first = Socket::connect(&walcast).await;
    let position = first.joined(TOPIC, json!({"frames": "type"})).await;
    let write = "insert into t (v) select repeat('x', 100000) from generate_series(1, 200)";
    database.connect().await.batch_execute(write).await.unwrap();
    // What is in the window is missed; what is on its way there would be told live.
    first.changes(200).await;
    drop(first);
    let mut slow = Raw::small(&walcast).await;
    let since = json!({"since": position["position"], "epoch": position["epoch"]});
    slow.send(crate::raw::TEXT, json!(["1", "1", TOPIC, "phx_join", since]).to_string().as_bytes()).await;
    until("it catches up", async || {
        let members = get(&walcast, "/members?topic=realtime:public:t").await;
        members["members"].as_array().unwrap().iter().any(|seen| seen["state"] == "catching_up")
    })
    .await;
    assert_eq!(disconnect(&walcast, json!({"topic": TOPIC})).await, 1);
    assert_eq!(slow.close_code().await, Some(DISCONNECTED.0));
}

#[tokio::test]
async fn who_is_disconnected_learns_the_code_and_nobody_else_is() {
    let (database, walcast) = serve(&[]).await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let mut socket = Socket::connect(&walcast).await;
        socket.joined(TOPIC, json!({"frames": "type"})).await;
        sockets.push(socket);
    }
    let mut other = Socket::connect(&walcast).await;
    other.joined("realtime:public", json!({"frames": "type"})).await;
    let members = get(&walcast, "/members?topic=realtime:public:t&limit=1").await;
    let id = members["members"][0]["connection"].clone();
    assert_eq!(disconnect(&walcast, json!({"connections": [id, id, "7-0-1", "0-9999-1"]})).await, 1);
    assert_eq!(disconnect(&walcast, json!({"connections": [id]})).await, 0);
    until("three are left", async || {
        get(&walcast, "/members?topic=realtime:public:t").await["members"].as_array().unwrap().len() == 3
    })
    .await;
    database.connect().await.batch_execute("insert into t (v) values ('a')").await.unwrap();
    assert_eq!(disconnect(&walcast, json!({"topic": "realtime:public:nothing"})).await, 0);
    assert_eq!(other.change().await["record"]["v"], "a");
    assert_eq!(disconnect(&walcast, json!({"topic": TOPIC})).await, 3);
    for mut socket in sockets {
        assert_eq!(socket.close_code().await, (DISCONNECTED.0, DISCONNECTED.1.to_owned()));
    }
    database.connect().await.batch_execute("insert into t (v) values ('b')").await.unwrap();
    assert_eq!(other.change().await["record"]["v"], "b");
    let counted = format!("walcast_closes_total{{code=\"4000\",reason=\"{}\"}} 4", DISCONNECTED.1);
    let (_, metrics) = walcast.get("/metrics").await;
    assert!(metrics.contains(&counted), "{metrics}");
}

#[tokio::test]
async fn readers_over_plain_http_are_listed_counted_and_ended() {
    let (database, walcast) = serve(&[]).await;
    let begin = get(&walcast, "/poll?topic=realtime:public:t").await["position"].clone();
    let begin = begin.as_str().unwrap();
    let session = get(&walcast, "/socket/longpoll?vsn=2.0.0&").await;
    let session = format!("/socket/longpoll?vsn=2.0.0&token={}", session["token"].as_str().unwrap());
    let join = json!(["1", "1", TOPIC, "phx_join", {"profile": "exact", "frames": "type"}]).to_string();
    assert_eq!(post(&walcast, &session, "", &join).await.1["status"], 200);
    assert_eq!(get(&walcast, &session).await["messages"].as_array().unwrap().len(), 1);
    let stream = hold(&walcast, "/events?topic=realtime:public:t");
    let readers =
        |transport: &str, count: u64| format!("walcast_readers{{transport=\"{transport}\"}} {count}\n");
    let metrics = async || walcast.get("/metrics").await.1;
    until("the stream has begun", async || metrics().await.contains("walcast_channels 2\n")).await;
    database.connect().await.batch_execute("insert into t (v) values ('a'), ('b'), ('c')").await.unwrap();
    let since = async |position: &str, wait: u32| {
        get(&walcast, &format!("/poll?topic=realtime:public:t&since={position}&wait={wait}")).await
    };
    let answer = since(begin, 30).await;
    assert_eq!(answer["events"].as_array().unwrap().len(), 3);
    assert_eq!(get(&walcast, &session).await["messages"].as_array().unwrap().len(), 3);
    until("all were read", async || {
        let metrics = metrics().await;
        let read = |transport: &str| {
            metrics.contains(&format!("walcast_read_total{{transport=\"{transport}\"}} 3\n"))
        };
        read("events") && read("poll") && read("longpoll") && metrics.contains("walcast_deliveries_total 0\n")
    })
    .await;
    let position = answer["position"].as_str().unwrap();
    let held = hold(&walcast, &format!("/poll?topic=realtime:public:t&since={position}&wait=60"));
    until("the poll is held", async || {
        let metrics = metrics().await;
        ["events", "poll", "longpoll"].iter().all(|transport| metrics.contains(&readers(transport, 1)))
    })
    .await;
    until("all are members", async || {
        let members = get(&walcast, "/members?topic=realtime:public:t").await;
        let told = members["members"].as_array().unwrap().iter();
        let mut told: Vec<_> =
            told.map(|seen| json!([seen["transport"], seen["vsn"], seen["profile"]])).collect();
        told.sort_by_key(Value::to_string);
        let all = [
            json!(["events", null, "default"]),
            json!(["longpoll", "2.0.0", "exact"]),
            json!(["poll", null, "default"]),
        ];
        told == all
    })
    .await;
    assert_eq!(disconnect(&walcast, json!({"topic": TOPIC})).await, 3);
    assert!(stream.await.unwrap().contains("event: joined"));
    let answer = held.await.unwrap();
    assert!(answer.contains("\"events\":[]") && answer.contains("\"resumed\":true"), "{answer}");
    until("the session is forgotten", async || post(&walcast, &session, "", &join).await.1["status"] == 410)
        .await;
    until("none is left", async || {
        let metrics = metrics().await;
        ["events", "poll", "longpoll"].iter().all(|transport| metrics.contains(&readers(transport, 0)))
    })
    .await;
}

#[tokio::test]
async fn only_who_may_publish_sees_and_disconnects() {
    const SECRET: &str = "correct-horse-battery";
    let (_database, walcast) = serve(&[("WALCAST__ADMIN__SECRET", SECRET)]).await;
    for path in ["/connections", "/channels", "/members?topic=realtime:*"] {
        let (status, body) = walcast.get(path).await;
        assert!(status == 401 && body.contains("\"Unauthorized\""), "{path}: {body}");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\nConnection: close\r\n\r\n"
        );
        let (head, _) = walcast.exchange(&request).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("no-store"), "{path}: {head}");
        assert_eq!(walcast.request(&request.replace("localhost", "evil.example")).await.0, 403, "{path}");
    }
    let json = "Content-Type: application/json\r\n";
    let body = json!({"topic": "realtime:*"}).to_string();
    assert_eq!(post(&walcast, "/disconnect", json, &body).await.0, 401);
    let right = format!("{json}Authorization: Bearer {SECRET}\r\n");
    assert_eq!(post(&walcast, "/disconnect", &right, &body).await, (202, json!({"connections": 0})));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_by_name() {
    let (_database, walcast) = serve(&[]).await;
    for path in [
        "/connections?limit=0",
        "/connections?limit=1001",
        "/connections?after=x",
        "/channels?after=-1",
        "/channels?limit=1&limit=2",
        "/members",
        "/members?topic=a&topic=b",
    ] {
        let (status, body) = walcast.get(path).await;
        assert!(status == 400 && body.contains("\"RequestInvalid\""), "{path}: {status} {body}");
    }
    let json = "Content-Type: application/json\r\n";
    for (body, code) in [
        ("{}".to_owned(), "RequestInvalid"),
        (r#"{"topic": "a", "connections": []}"#.to_owned(), "RequestInvalid"),
        (r#"{"connections": ["0-0-1", "no id"]}"#.to_owned(), "ConnectionInvalid"),
        (json!({"connections": vec!["0-0-1"; 1001]}).to_string(), "TooManyAtOnce"),
    ] {
        let (status, answer) = post(&walcast, "/disconnect", json, &body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)), "{answer}");
    }
    assert_eq!(post(&walcast, "/disconnect", "Content-Type: text/plain\r\n", "{}").await.0, 415);
    assert_eq!(walcast.get("/disconnect").await.0, 405);
}

#[tokio::test]
async fn clients_that_are_disconnected_come_back_by_themselves() {
    let (database, walcast) = serve(&[]).await;
    let http = format!("http://{}", walcast.address());
    let ws = format!("ws://{}/socket", walcast.address());
    let ours = [("WALCAST_URL", http.as_str()), ("TOPIC", TOPIC)];
    let mut ours = Program::start("node".as_ref(), &[&file("tests/clients/walcast-js.mjs")], &ours);
    let theirs = [("WALCAST_URL", ws.as_str()), ("TOPIC", TOPIC)];
    let mut theirs = Program::start("node".as_ref(), &[&file("tests/clients/phoenix.cjs")], &theirs);
    let next = async |program: &mut Program, what: &str, is: &dyn Fn(&Value) -> bool| {
        let mut passed = Vec::new();
        loop {
            let line: Value = serde_json::from_str(&program.expect_line().await).unwrap();
            if is(&line) {
                return line;
            }
            passed.push(line);
            assert!(passed.len() < 100, "no {what} in {passed:?}");
        }
    };
    let live = |line: &Value| line["status"]["state"] == "live";
    next(&mut ours, "live", &live).await;
    next(&mut theirs, "join", &|line| !line["joined"].is_null()).await;
    assert_eq!(disconnect(&walcast, json!({"topic": TOPIC})).await, 2);
    let waiting = next(&mut ours, "pause", &|line| line["client"]["state"] == "waiting").await;
    assert_eq!(waiting["client"]["code"], DISCONNECTED.0, "{waiting}");
    // While it is away.
    database.connect().await.batch_execute("insert into t (v) values ('a')").await.unwrap();
    let change = next(&mut ours, "change", &|line| !line["event"].is_null()).await;
    assert_eq!(change["event"]["record"]["v"], "a", "what was missed meanwhile is told: {change}");
    next(&mut theirs, "second join", &|line| !line["joined"].is_null()).await;
    database.connect().await.batch_execute("insert into t (v) values ('b')").await.unwrap();
    next(&mut theirs, "change", &|line| line["payload"]["record"]["v"] == "b").await;
    ours.finish().await;
    theirs.finish().await;
}
