//! `/events`: the changes of a topic as Server-Sent Events, and clients that come back.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_postgres::Client;
use walcast::demo::cluster::Cluster;

use crate::cluster::{self, Database};
use crate::postgres_binaries;
use crate::program::{Program, file};
use crate::slot::{Slot, id};
use crate::socket::Socket;
use crate::walcast::{PATIENCE, Walcast, until};

const TABLE: &str = "create table t (id int8 generated always as identity primary key, v json); \
                     create table other (id int primary key)";

const TOPIC: &str = "/events?topic=realtime:public:t";

/// An open stream, read as an `EventSource` reads it (HTML standard, section 9.2.6).
struct Events {
    head: String,
    reader: BufReader<TcpStream>,
    /// The id of the last event.
    last: String,
    buffer: Vec<u8>,
}

impl Events {
    async fn open(walcast: &Walcast, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(walcast.address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(tokio::time::timeout(PATIENCE, reader.read_line(&mut head)).await.unwrap().unwrap() > 0);
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("text/event-stream"), "{head}");
        Self { head, reader, last: String::new(), buffer: Vec::new() }
    }

    async fn resume(walcast: &Walcast, last: &str) -> Self {
        Self::open(walcast, TOPIC, &format!("Last-Event-ID: {last}\r\n")).await
    }

    /// Reads one more chunk; `false` at the end.
    async fn chunk(&mut self) -> bool {
        let mut size = String::new();
        self.reader.read_line(&mut size).await.unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).await.unwrap();
        self.buffer.extend_from_slice(&chunk[..size]);
        size > 0
    }

    /// The next block of fields; `None` at the end.
    async fn block(&mut self) -> Option<Vec<(String, String)>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let block = String::from_utf8(block).unwrap();
                let fields = block.lines().filter_map(|line| line.split_once(':'));
                let fields = fields.map(|(name, value)| (name.to_owned(), value.trim_start().to_owned()));
                return Some(fields.filter(|(name, _)| !name.is_empty()).collect());
            }
            if !tokio::time::timeout(PATIENCE, self.chunk()).await.expect("an event in time") {
                assert_eq!(self.buffer, b"", "the stream ended within an event");
                return None;
            }
        }
    }

    /// The next event with data: its name and its data.
    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            let (mut event, mut data) = (String::new(), None);
            for (name, value) in self.block().await? {
                match name.as_str() {
                    "id" => self.last = value,
                    "event" => event = value,
                    "data" => assert_eq!(data.replace(value), None, "data in several lines"),
                    "retry" => {
                        value.parse::<u32>().unwrap();
                    }
                    other => panic!("the field {other}"),
                }
            }
            if let Some(data) = data {
                return Some((event, serde_json::from_str(&data).unwrap()));
            }
        }
    }

    async fn joined(&mut self) -> Value {
        let (event, response) = self.event().await.unwrap();
        assert_eq!(event, "joined");
        response
    }

    async fn change(&mut self) -> Value {
        let (event, change) = self.event().await.unwrap();
        assert_eq!(event, "", "{change}");
        assert!(self.last.ends_with(&format!(".{}", change["cursor"].as_str().unwrap())));
        change
    }

    async fn changes(&mut self, count: usize) -> Vec<Value> {
        let mut changes = Vec::new();
        while changes.len() < count {
            changes.push(self.change().await);
        }
        changes
    }
}

async fn prepared() -> (Database, Client) {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    (database, client)
}

async fn insert(client: &Client, rows: i32) {
    client.execute("insert into t (v) select '1' from generate_series(1, $1)", &[&rows]).await.unwrap();
}

fn token(response: &Value) -> String {
    format!("{}.{}", response["epoch"].as_str().unwrap(), response["position"].as_str().unwrap())
}

#[tokio::test]
async fn events_tell_what_a_socket_is_told() {
    let (database, client) = prepared().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({"frames": "type", "profile": "exact"})).await;
    let mut events = Events::open(&walcast, &format!("{TOPIC}&profile=exact&apikey=x"), "").await;
    assert!(events.head.to_lowercase().contains("cache-control: no-cache"), "{}", events.head);
    let joined = events.joined().await;
    assert_eq!(joined.get("resumed"), None);
    assert_eq!(events.last, token(&joined));
    client
        .batch_execute("insert into t (v) values (E'{\"a\":\n\r\n[1,\n2]}'); update t set v = '3'; delete from t; truncate t")
        .await
        .unwrap();
    for _ in 0..4 {
        assert_eq!(events.change().await, socket.change().await);
    }
}

#[tokio::test]
async fn an_event_source_comes_back_after_a_kill_and_misses_nothing() {
    let (database, client) = prepared().await;
    let slot = Slot::new(database.connect().await);
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let walcast = Walcast::serve(&database, &settings).await;
    let mut events = Events::open(&walcast, TOPIC, "").await;
    let begin = token(&events.joined().await);
    insert(&client, 500).await;
    let mut told = events.changes(200).await;
    let last = events.last.clone();
    drop(walcast);
    insert(&client, 100).await;
    let walcast = Walcast::serve(&database, &settings).await;
    // It wins over what stands in the address, which an EventSource never changes.
    let path = format!("{TOPIC}&since={begin}");
    let mut events = Events::open(&walcast, &path, &format!("Last-Event-ID: {last}\r\n")).await;
    assert_eq!(events.joined().await["resumed"], true);
    // Cut before anything was told, it would come back with this.
    assert_eq!(events.last, last);
    told.extend(events.changes(400).await);
    insert(&client, 10).await;
    told.extend(events.changes(10).await);
    assert_eq!(told.iter().map(id).collect::<Vec<_>>(), (1..=610).collect::<Vec<_>>());
    let mut all = Events::open(&walcast, &path, "").await;
    assert_eq!(all.joined().await["resumed"], true);
    assert_eq!(all.changes(610).await, told);
}

#[tokio::test]
async fn an_event_source_of_npm_comes_back_by_itself() {
    let (database, client) = prepared().await;
    let slot = Slot::new(database.connect().await);
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let mut walcast = Walcast::serve(&database, &settings).await;
    let address = walcast.address().to_string();
    let settings = [settings[0], ("WALCAST__LISTEN", address.as_str())];
    let url = format!("http://{address}{TOPIC}");
    let mut program =
        Program::start("node".as_ref(), &[&file("tests/clients/event-source.cjs")], &[("EVENTS_URL", &url)]);
    let mut next = 1;
    for round in 0..3 {
        let joined: Value = serde_json::from_str(&program.expect_line().await).unwrap();
        assert_eq!(joined["event"], "joined");
        assert_eq!(joined["data"].get("resumed"), (round > 0).then_some(&json!(true)));
        insert(&client, 20).await;
        for _ in 0..if round == 0 { 20 } else { 30 } {
            let message: Value = serde_json::from_str(&program.expect_line().await).unwrap();
            assert_eq!((&message["event"], id(&message["data"])), (&json!("message"), next));
            next += 1;
        }
        drop(walcast);
        insert(&client, 10).await;
        walcast = Walcast::serve(&database, &settings).await;
    }
    program.finish().await;
}

#[tokio::test]
async fn who_comes_back_too_late_is_told_and_goes_on_live() {
    let (database, client) = prepared().await;
    let walcast = Walcast::serve(&database, &[("WALCAST__WINDOW__BYTES", "2000")]).await;
    let mut events = Events::open(&walcast, TOPIC, "").await;
    let begin = token(&events.joined().await);
    insert(&client, 100).await;
    let cursor = begin.split_once('.').unwrap().1;
    let poll = format!("/poll?topic=realtime:public:t&wait=0&since={begin}");
    until("the beginning is no longer held", async || {
        walcast.get(&poll).await.1.contains("\"reason\":\"window\"")
    })
    .await;
    for (since, reason) in [(&*begin, "window"), (&format!("7-1.{cursor}"), "epoch"), (cursor, "epoch")] {
        let mut late = Events::resume(&walcast, since).await;
        let joined = late.joined().await;
        assert_eq!((&joined["resumed"], &joined["reason"]), (&json!(false), &json!(reason)));
        assert_eq!(late.last, token(&joined));
        client.batch_execute("insert into t (v) values ('\"live\"')").await.unwrap();
        assert_eq!(late.change().await["record"]["v"], "live");
    }
}

#[tokio::test]
async fn a_stream_says_when_changes_may_have_been_missed_and_ends() {
    let cluster: Cluster = cluster::own(&postgres_binaries::of_major(15), &[]);
    let client = cluster::connect(&cluster.url("postgres")).await;
    client.batch_execute(TABLE).await.unwrap();
    let slot = Slot::new(cluster::connect(&cluster.url("postgres")).await);
    let settings = [
        ("WALCAST__REPLICATION__SLOT", slot.name.as_str()),
        ("WALCAST__REPLICATION__ON_SLOT_LOST", "recreate"),
    ];
    let walcast = Walcast::spawn(&cluster.url("postgres"), &settings);
    walcast.wait_for_status("live").await;
    let mut events = Events::open(&walcast, TOPIC, "").await;
    events.joined().await;
    insert(&client, 1).await;
    events.change().await;
    // So that the new slot begins behind what was told.
    client.batch_execute("select pg_switch_wal(); insert into other values (1)").await.unwrap();
    slot.drop_under_its_reader().await;
    let (event, data) = events.event().await.unwrap();
    assert_eq!((&*event, &data["reason"]), ("interrupted", &json!("window")));
    assert_eq!(events.event().await, None);
    let mut again = Events::resume(&walcast, &events.last).await;
    let joined = again.joined().await;
    assert_eq!((&joined["resumed"], &joined["reason"]), (&json!(false), &json!("window")));
    insert(&client, 1).await;
    assert_eq!(id(&again.change().await), 2);
}

#[tokio::test]
async fn who_does_not_read_costs_little_and_is_told_that_it_fell_behind() {
    let (database, client) = prepared().await;
    let walcast = Walcast::serve(&database, &[("WALCAST__WINDOW__BYTES", "1000000")]).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:other", json!({})).await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        let mut events = Events::open(&walcast, TOPIC, "").await;
        events.joined().await;
        idle.push(events);
    }
    // Far more than the buffers of the system take.
    let sql = "insert into t (v) select to_json(repeat('x', 10000)) from generate_series(1, 3000)";
    client.batch_execute(sql).await.unwrap();
    client.batch_execute("insert into other values (1)").await.unwrap();
    socket.change().await;
    let memory = walcast.memory();
    assert!(memory < 150_000_000, "{memory} bytes, where all that was not read is 300 MB");
    for mut events in idle {
        let mut told = 0;
        loop {
            let (event, data) = events.event().await.unwrap();
            if event == "interrupted" {
                assert_eq!(data["reason"], "window");
                break;
            }
            told += 1;
            assert_eq!(id(&data), told);
        }
        assert!(told < 3000, "all of it was kept");
        assert_eq!(events.event().await, None);
    }
}

#[tokio::test]
async fn a_quiet_stream_says_how_far_it_came() {
    let (database, client) = prepared().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let mut events = Events::open(&walcast, TOPIC, "").await;
    let joined = events.joined().await;
    client.batch_execute("insert into other values (1)").await.unwrap();
    // A comment at once, then blocks with an id alone.
    while events.last == token(&joined) {
        for (name, value) in events.block().await.unwrap() {
            assert_eq!(name, "id");
            events.last = value;
        }
    }
    let mut again = Events::resume(&walcast, &events.last).await;
    assert_eq!(again.joined().await["resumed"], true);
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let (database, _client) = prepared().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let mut events = Events::open(&walcast, TOPIC, "").await;
    events.joined().await;
    let stopping = tokio::task::spawn_blocking(|| walcast.stop());
    assert_eq!(events.event().await, None);
    assert!(stopping.await.unwrap().success());
}

#[tokio::test]
async fn every_refusal_has_a_status_and_a_code() {
    let (database, _client) = prepared().await;
    let walcast = Walcast::serve(&database, &[("WALCAST__LIMITS__SOCKETS", "1")]).await;
    for path in ["/events", "/poll"] {
        for (query, status, code) in [
            ("", 400, "RequestInvalid"),
            ("topic=realtime:public:t&topic=realtime:public:t", 400, "RequestInvalid"),
            ("topic=realtime:public:t&profile=loud", 400, "RequestInvalid"),
            ("topic=realtime:public:t&since=yesterday", 400, "RequestInvalid"),
            ("topic=room:1", 404, "TopicUnmatched"),
            ("topic=realtime::t", 400, "TopicInvalid"),
            ("topic=realtime:public:nope", 404, "TableNotFound"),
            ("topic=realtime:nope", 404, "SchemaNotFound"),
            ("topic=realtime:public:t:id=eq.x", 400, "FilterValueInvalid"),
            ("topic=realtime:public:t:nope=eq.1", 404, "ColumnNotFound"),
        ] {
            let (answered, body) = walcast.get(&format!("{path}?{query}")).await;
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((answered, &body["error"]["code"]), (status, &json!(code)), "{path}?{query} {body}");
        }
        for (method, headers, status) in
            [("HEAD", "", 405), ("POST", "", 405), ("GET", "Origin: https://evil.example\r\n", 403)]
        {
            let request = format!(
                "{method} {path}?topic=realtime:public:t HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"
            );
            assert_eq!(walcast.request(&request).await.0, status, "{method} {path}");
        }
    }
    let (status, _) = walcast.get("/poll?topic=realtime:public:t&wait=61").await;
    assert_eq!(status, 400);
    // One place in all.
    let mut events = Events::open(&walcast, TOPIC, "").await;
    events.joined().await;
    for path in [TOPIC, "/poll?topic=realtime:public:t", "/socket/longpoll?vsn=2.0.0"] {
        let (status, body) = walcast.get(path).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["error"]["code"]), (503, &json!("TooManySockets")), "{path}");
    }
    // An EventSource would never come back after a 503.
    let mut refused = Events::open(&walcast, TOPIC, "Accept: text/event-stream\r\n").await;
    let (event, data) = refused.event().await.unwrap();
    assert_eq!((&*event, &data["error"]["code"]), ("refused", &json!("TooManySockets")));
    assert_eq!(refused.event().await, None);
    drop(events);
    until("the place is free", async || walcast.get("/poll?topic=realtime:public:t").await.0 == 200).await;
}

#[tokio::test]
async fn nothing_of_this_is_served_where_the_window_is_off() {
    let (database, _client) = prepared().await;
    let walcast = Walcast::serve(&database, &[("WALCAST__WINDOW__BYTES", "0")]).await;
    for path in [TOPIC, "/poll?topic=realtime:public:t", "/socket/longpoll?vsn=2.0.0"] {
        let (status, body) = walcast.get(path).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["error"]["code"]), (503, &json!("WindowOff")), "{path}");
    }
}
