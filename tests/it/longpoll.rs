//! Phoenix' own long polling: the client of npm, unmodified, and what is below it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::Client;

use crate::cluster::{self, Database};
use crate::program::{Program, file};
use crate::slot::{Slot, assert_cursors_grow, cursor, id};
use crate::walcast::{Walcast, until};

const TABLE: &str = "create table t (id int8 generated always as identity primary key, v text); \
                     alter table t replica identity full; create table u (id int8 primary key)";

async fn prepared() -> (Database, Client) {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    (database, client)
}

/// A session, as a client holds it.
pub struct Session<'a> {
    walcast: &'a Walcast,
    token: String,
}

impl<'a> Session<'a> {
    /// Opens one.
    pub async fn open(walcast: &'a Walcast) -> Self {
        let (status, body) = walcast.get("/socket/longpoll?vsn=2.0.0&").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["status"], &body["messages"]), (200, &json!(410), &json!([])));
        let token = body["token"].as_str().unwrap().to_owned();
        assert!(token.len() >= 32, "{token}");
        Self { walcast, token }
    }

    /// Where it polls.
    pub fn path(&self) -> String {
        format!("/socket/longpoll?vsn=2.0.0&token={}", self.token)
    }

    /// Sends frames, one in each line.
    pub async fn send(&self, frames: &[Value]) -> u64 {
        let lines: Vec<_> = frames.iter().map(Value::to_string).collect();
        self.post("application/x-ndjson", &lines.join("\n")).await
    }

    async fn post(&self, content_type: &str, body: &str) -> u64 {
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            self.path(),
            body.len()
        );
        let (status, body) = self.walcast.request(&request).await;
        assert_eq!(status, 200);
        serde_json::from_str::<Value>(&body).unwrap()["status"].as_u64().unwrap()
    }

    /// One poll: its status and its messages.
    async fn poll(&self) -> (u64, Vec<Value>) {
        let (status, body) = self.walcast.get(&self.path()).await;
        assert_eq!(status, 200);
        let body: Value = serde_json::from_str(&body).unwrap();
        let messages = body["messages"].as_array().unwrap().iter();
        let messages = messages.map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap());
        (body["status"].as_u64().unwrap(), messages.collect())
    }

    /// Polls until there are `count` messages.
    async fn messages(&self, count: usize) -> Vec<Value> {
        let mut messages = Vec::new();
        while messages.len() < count {
            let (status, more) = self.poll().await;
            assert_eq!(status, 200, "after {messages:?}");
            messages.extend(more);
        }
        assert_eq!(messages.len(), count, "{messages:?}");
        messages
    }
}

fn join(reference: u32, topic: &str, payload: &Value) -> Value {
    let reference = reference.to_string();
    json!([reference, reference, topic, "phx_join", payload])
}

#[tokio::test]
async fn the_client_of_phoenix_joins_hears_and_leaves() {
    let (database, client) = prepared().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let url = format!("ws://{}/socket", walcast.address());
    let environment = [("WALCAST_URL", url.as_str()), ("TOPIC", "realtime:public:t")];
    let mut program =
        Program::start("node".as_ref(), &[&file("tests/clients/phoenix-longpoll.cjs")], &environment);
    let mut lines: Vec<Value> = Vec::new();
    while lines.len() < 2 {
        lines.push(serde_json::from_str(&program.expect_line().await).unwrap());
    }
    assert!(lines.contains(&json!({"pong": true})), "{lines:?}");
    let epoch = &walcast.ready().await["epoch"];
    assert!(lines.iter().any(|line| line["joined"]["epoch"] == *epoch), "{lines:?}");
    client
        .batch_execute("insert into t (v) values ('one'); update t set v = 'two'; delete from t; truncate t")
        .await
        .unwrap();
    let mut heard = Vec::new();
    while heard.len() < 8 {
        let line: Value = serde_json::from_str(&program.expect_line().await).unwrap();
        heard.push((line["event"].clone(), line["payload"]["type"].clone()));
    }
    let expected = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"]
        .map(|kind| [json!("*"), json!(kind)].map(|event| (event, json!(kind))));
    assert_eq!(heard, expected.concat());
    // More than one answer holds, while it polls.
    client
        .batch_execute("insert into t (v) select repeat('x', 1000) from generate_series(1, 500)")
        .await
        .unwrap();
    let mut ids = Vec::new();
    while ids.len() < 500 {
        let line: Value = serde_json::from_str(&program.expect_line().await).unwrap();
        if line["event"] == "INSERT" {
            ids.push(id(&line["payload"]));
        }
    }
    assert_eq!(ids, (2..=501).collect::<Vec<_>>());
    program.finish().await;
}

#[tokio::test]
async fn the_client_of_phoenix_joins_again_after_a_kill() {
    let (database, client) = prepared().await;
    let slot = Slot::new(database.connect().await);
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let walcast = Walcast::serve(&database, &settings).await;
    let address = walcast.address().to_string();
    let url = format!("ws://{address}/socket");
    let environment =
        [("WALCAST_URL", url.as_str()), ("TOPIC", "realtime:public:t"), ("JOIN", "{\"frames\":\"type\"}")];
    let mut program =
        Program::start("node".as_ref(), &[&file("tests/clients/phoenix-longpoll.cjs")], &environment);
    while !program.expect_line().await.starts_with("{\"joined\"") {}
    drop(walcast);
    let settings = [settings[0], ("WALCAST__LISTEN", address.as_str())];
    let walcast = Walcast::serve(&database, &settings).await;
    while !program.expect_line().await.starts_with("{\"joined\"") {}
    client.batch_execute("insert into t (v) values ('again')").await.unwrap();
    while !program.expect_line().await.contains("again") {}
    program.finish().await;
    drop(walcast);
}

#[tokio::test]
async fn replies_come_before_changes_and_changes_in_the_order_of_commits() {
    let (database, client) = prepared().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let session = Session::open(&walcast).await;
    let options = json!({"frames": "type"});
    let frames = [
        json!([null, "h", "phoenix", "heartbeat", {}]),
        join(1, "realtime:public:t", &options),
        join(2, "realtime:public:u", &options),
        join(3, "realtime:public:nope", &options),
        join(4, "realtime:public", &options),
    ];
    assert_eq!(session.send(&frames).await, 200);
    let mut replies = session.messages(5).await;
    assert_eq!(replies.remove(0)[1], "h");
    for reply in &replies {
        let status = if reply[1] == "3" { "error" } else { "ok" };
        assert_eq!((&reply[3], &reply[4]["status"]), (&json!("phx_reply"), &json!(status)), "{reply}");
    }
    client
        .batch_execute(
            "do $$ begin for i in 1..1000 loop insert into t (v) values ('x'); insert into u values (i); commit; end loop; end $$",
        )
        .await
        .unwrap();
    let told = session.messages(4000).await;
    let mut last = None;
    for message in &told {
        let cursor = cursor(&message[4]);
        assert!(last <= Some(cursor), "{cursor} after {last:?}");
        last = Some(cursor);
    }
    for (topic, count) in
        [("realtime:public:t", 1000), ("realtime:public:u", 1000), ("realtime:public", 2000)]
    {
        let told: Vec<_> =
            told.iter().filter(|message| message[2] == topic).map(|message| &message[4]).collect();
        assert_eq!(told.len(), count, "{topic}");
        assert_cursors_grow(told);
    }
    // What is left is told no more, and the leave is answered.
    assert_eq!(session.send(&[json!(["1", "9", "realtime:public:t", "phx_leave", {}])]).await, 200);
    let left = session.messages(2).await;
    assert_eq!((&left[0][1], &left[1][3]), (&json!("9"), &json!("phx_close")));
    client.batch_execute("insert into t (v) values ('y')").await.unwrap();
    assert_eq!(session.messages(1).await[0][2], "realtime:public");
}

#[tokio::test]
async fn a_join_with_a_cursor_is_told_what_it_missed() {
    let (database, client) = prepared().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let session = Session::open(&walcast).await;
    session.send(&[join(1, "realtime:public:t", &json!({}))]).await;
    let joined = session.messages(1).await.remove(0);
    client.batch_execute("insert into t (v) select 'x' from generate_series(1, 300)").await.unwrap();
    let response = &joined[4]["response"];
    let again = Session::open(&walcast).await;
    let options = json!({"frames": "type", "since": response["position"], "epoch": response["epoch"]});
    // A lone frame of another type may span lines.
    let frame = serde_json::to_string_pretty(&join(1, "realtime:public:t", &options)).unwrap();
    assert_eq!(again.post("application/json", &frame).await, 200);
    let told = again.messages(301).await;
    assert_eq!(told[0][4]["response"]["resumed"], true);
    let ids: Vec<_> = told[1..].iter().map(|message| id(&message[4])).collect();
    assert_eq!(ids, (1..=300).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_no_session_is_gone_and_what_cannot_be_one_is_refused() {
    let (database, _client) = prepared().await;
    let walcast = Walcast::serve(&database, &[("WALCAST__LIMITS__FRAME_BYTES", "4096")]).await;
    let unknown = Session { walcast: &walcast, token: "0".repeat(32) };
    assert_eq!(unknown.poll().await, (410, Vec::new()));
    assert_eq!(unknown.send(&[json!([])]).await, 410);
    let ask = async |method: &str, path: &str, body: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (status, body) = walcast.request(&request).await;
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        (status, body["status"].clone(), body["error"]["code"].clone())
    };
    let expected = (400, json!(403), json!("VersionUnsupported"));
    assert_eq!(ask("GET", "/socket/longpoll?vsn=7.0.0", "").await, expected);
    let session = Session::open(&walcast).await;
    let expected = (413, json!(500), json!("BodyTooLarge"));
    assert_eq!(ask("POST", &session.path(), &"x".repeat(5000)).await, expected);
    assert_eq!(ask("HEAD", &session.path(), "").await.0, 405);
    assert_eq!(ask("PUT", &session.path(), "").await.0, 405);
    // Lines that mean nothing are answered, none of them for more than an answer holds.
    let nonsense = vec!["x"; 2000].join("\n");
    let (posted, told) =
        tokio::join!(session.post("application/x-ndjson", &nonsense), session.messages(2000));
    assert_eq!(posted, 200);
    assert!(told.iter().all(|message| message[4]["status"] == "error"));
}

#[tokio::test]
async fn a_session_holds_a_place_until_nobody_polls_it() {
    let (database, _client) = prepared().await;
    let walcast = Walcast::serve(&database, &[("WALCAST__LIMITS__SOCKETS", "1")]).await;
    let session = Session::open(&walcast).await;
    let (status, body) = walcast.get("/socket/longpoll?vsn=2.0.0").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &body["status"], &body["error"]["code"]),
        (503, &json!(500), &json!("TooManySockets"))
    );
    until("it is forgotten", async || walcast.get("/poll?topic=realtime:public:t").await.0 == 200).await;
    assert_eq!(session.send(&[json!([])]).await, 410);
}

#[tokio::test]
async fn a_second_poll_ends_the_first_and_a_stop_ends_that() {
    let (database, client) = prepared().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let session = Session::open(&walcast).await;
    session.send(&[join(1, "realtime:public:t", &json!({"frames": "type"}))]).await;
    session.messages(1).await;
    let held = session.held().await;
    client.batch_execute("insert into t (v) values ('x')").await.unwrap();
    let answer = rest(held).await;
    assert!(answer.contains("\"status\":200") && answer.contains("INSERT"), "{answer}");
    let held = session.held().await;
    let begun = Instant::now();
    let stopping = tokio::task::spawn_blocking(move || walcast.stop());
    let answer = rest(held).await;
    assert!(answer.contains("\"status\":204"), "{answer}");
    assert!(stopping.await.unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

impl Session<'_> {
    /// A poll that is held: another came before it, and was answered when it came.
    async fn held(&self) -> TcpStream {
        let begin = async || {
            let mut stream = TcpStream::connect(self.walcast.address()).await.unwrap();
            let request =
                format!("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", self.path());
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        };
        let (one, other) = (begin().await, begin().await);
        let (ended, held) = tokio::select! {
            ready = one.readable() => { ready.unwrap(); (one, other) }
            ready = other.readable() => { ready.unwrap(); (other, one) }
        };
        assert!(rest(ended).await.contains("\"status\":204"));
        held
    }
}
