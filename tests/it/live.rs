//! A subscriber of a live query, over server-sent events.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::graphql::Graph;
use crate::walcast::{PATIENCE, Walcast};

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: Option<String>,
    pub name: String,
    pub data: Value,
}

/// A stream of them.
pub struct Stream {
    socket: TcpStream,
    raw: Vec<u8>,
    text: String,
    events: VecDeque<Event>,
    ended: bool,
}

impl Stream {
    /// Sends an operation; `headers` are whole lines.
    pub async fn open(walcast: &Walcast, query: &str, variables: &Value, headers: &str) -> Self {
        Self::send(walcast, &json!({ "query": query, "variables": variables }), headers).await
    }

    /// Sends a request.
    pub async fn send(walcast: &Walcast, body: &Value, headers: &str) -> Self {
        let body = body.to_string();
        let mut stream = TcpStream::connect(walcast.address()).await.unwrap();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Accept: text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, stream.read_u8()).await.expect("a head in time").unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        Self { socket: stream, raw: Vec::new(), text: String::new(), events: VecDeque::new(), ended: false }
    }

    /// A live query of this graph.
    pub async fn live(graph: &Graph, query: &str) -> Self {
        Self::followed(&graph.walcast, query).await
    }

    /// The same of any walcast, whose schema was read.
    pub async fn followed(walcast: &Walcast, query: &str) -> Self {
        Self::open(walcast, query, &json!({}), "").await
    }

    /// The next event, which is to come in time; `None` at the end.
    pub async fn next(&mut self) -> Option<Event> {
        timeout(PATIENCE, self.wait()).await.expect("an event in time")
    }

    /// The next event, however long it takes; `None` at the end.
    pub async fn wait(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let mut bytes = vec![0; 16 * 1024];
            let count = self.socket.read(&mut bytes).await.unwrap_or_default();
            self.ended = count == 0;
            self.raw.extend(&bytes[..count]);
            while let Some((size, end)) = chunk(&self.raw) {
                self.ended |= size == 0;
                self.text.push_str(std::str::from_utf8(&self.raw[end - size..end]).unwrap());
                self.raw.drain(..end + 2);
            }
            while let Some(end) = self.text.find("\n\n") {
                self.events.extend(parse(&self.text[..end]));
                self.text.drain(..end + 2);
            }
        }
    }

    /// The next result.
    pub async fn result(&mut self) -> Value {
        let event = self.next().await.expect("a result");
        assert_eq!(event.name, "next", "{event:?}");
        event.data
    }

    /// The data of the next result, which has no errors.
    pub async fn data(&mut self) -> Value {
        let mut result = self.result().await;
        assert!(result.get("errors").is_none(), "{result}");
        assert_eq!(result["isLive"], true, "{result}");
        result["data"].take()
    }

    /// Waits for a result with this data; what came before is passed over.
    pub async fn until(&mut self, data: &Value) {
        let mut before = Vec::new();
        loop {
            let Ok(event) = timeout(PATIENCE, self.wait()).await else {
                panic!("{data} did not come, but {before:?}");
            };
            let event = event.expect("a result");
            if event.data["data"] == *data {
                return;
            }
            before.push(event.data);
        }
    }

    /// Waits until the stream ends by itself.
    pub async fn complete(&mut self) {
        let event = self.next().await.expect("an event");
        assert_eq!(event.name, "complete");
    }
}

/// The first chunk of a chunked body (RFC 9112, section 7.1), if it is whole: its size and where it ends.
fn chunk(raw: &[u8]) -> Option<(usize, usize)> {
    let line = raw.windows(2).position(|two| two == b"\r\n")?;
    let size = usize::from_str_radix(std::str::from_utf8(&raw[..line]).unwrap(), 16).unwrap();
    let end = line + 2 + size;
    (raw.len() >= end + 2).then_some((size, end))
}

/// An event, unless it is a comment.
fn parse(text: &str) -> Option<Event> {
    let mut event = Event { id: None, name: String::new(), data: Value::Null };
    for line in text.lines() {
        match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
            Some(("id", value)) => event.id = Some(value.to_owned()),
            Some(("event", value)) => value.clone_into(&mut event.name),
            Some(("data", "")) => {}
            Some(("data", value)) => event.data = serde_json::from_str(value).unwrap(),
            _ => {}
        }
    }
    (!event.name.is_empty()).then_some(event)
}

/// A connection whose bytes are looked through as they come.
pub struct Wire {
    socket: TcpStream,
    text: String,
}

impl Wire {
    /// Sends a request; `headers` are whole lines.
    pub async fn send(graph: &Graph, method: &str, path: &str, headers: &str, body: &str) -> Self {
        let mut socket = TcpStream::connect(graph.walcast.address()).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        Self { socket, text: String::new() }
    }

    /// What comes up to this text, or up to the end if it is empty.
    pub async fn until(&mut self, text: &str) -> String {
        // Comments between events are no progress.
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text.find(text).filter(|_| !text.is_empty()) {
                let rest = self.text.split_off(at + text.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let mut bytes = vec![0; 16 * 1024];
            let reading = timeout_at(deadline, self.socket.read(&mut bytes)).await;
            let count =
                reading.unwrap_or_else(|_| panic!("{text:?} did not come, but {:?}", self.text)).unwrap();
            if count == 0 {
                assert!(text.is_empty(), "{text:?} did not come, but {:?}", self.text);
                return std::mem::take(&mut self.text);
            }
            self.text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
}
