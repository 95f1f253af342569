//! A bare WebSocket client that speaks Phoenix by hand.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::walcast::{PATIENCE, Walcast};

/// One connected socket of vsn 2.0.0.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    reference: u64,
}

impl Socket {
    /// Connects with vsn 2.0.0.
    pub async fn connect(walcast: &Walcast) -> Self {
        Self::open(walcast, "/socket/websocket?vsn=2.0.0").await
    }

    /// Connects to a path; frames are read as they come.
    pub async fn open(walcast: &Walcast, path: &str) -> Self {
        let stream = TcpStream::connect(walcast.address()).await.unwrap();
        Self::over(stream, path).await
    }

    /// Does the handshake on a connected stream, whose buffers the caller may have set.
    pub async fn over(stream: TcpStream, path: &str) -> Self {
        let request = format!("ws://localhost{path}").into_client_request().unwrap();
        // Rows have no bound here, and browsers have none either.
        let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        let (stream, _) = client_async_with_config(request, stream, Some(config)).await.unwrap();
        Self { stream, reference: 0 }
    }

    /// Sends one text frame.
    pub async fn send(&mut self, text: impl Into<String>) {
        self.stream.send(Message::text(text.into())).await.unwrap();
    }

    /// Sends any message.
    pub async fn send_message(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// The next message of any kind; `None` when the socket has ended.
    pub async fn message(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(PATIENCE, self.stream.next());
        next.await.expect("a message in time").and_then(Result::ok)
    }

    /// The next text frame, as JSON; answers pings.
    pub async fn frame(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The next text frame as it came; answers pings.
    pub async fn text(&mut self) -> Utf8Bytes {
        loop {
            match self.message().await {
                Some(Message::Text(text)) => return text,
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("expected a text frame, got {other:?}"),
            }
        }
    }

    /// The code and reason with which the server closes; skips what comes before.
    pub async fn close_code(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Some(Message::Close(Some(close))) => return (close.code.into(), close.reason.to_string()),
                Some(_) => {}
                None => panic!("the socket ended without a close frame"),
            }
        }
    }

    /// Sends a join (vsn 2.0.0) and returns its whole reply payload: `{"status": .., "response": ..}`.
    /// Frames that come before the reply must not be changes.
    pub async fn join(&mut self, topic: &str, payload: Value) -> Value {
        self.reference += 1;
        let reference = self.reference.to_string();
        self.send(json!([reference, reference, topic, "phx_join", payload]).to_string()).await;
        loop {
            let frame = self.frame().await;
            if frame[1] == reference.as_str() && frame[3] == "phx_reply" {
                return frame[4].clone();
            }
            assert_ne!(frame[3], "*", "a change came before the reply to the join");
        }
    }

    /// Joins and demands success; returns the response.
    pub async fn joined(&mut self, topic: &str, payload: Value) -> Value {
        let reply = self.join(topic, payload).await;
        assert_eq!(reply["status"], "ok", "join of {topic}: {reply}");
        reply["response"].clone()
    }

    /// Joins and demands a refusal; returns its reason.
    pub async fn refused(&mut self, topic: &str, payload: Value) -> String {
        let reply = self.join(topic, payload).await;
        assert_eq!(reply["status"], "error", "join of {topic}: {reply}");
        reply["response"]["reason"].as_str().unwrap().to_owned()
    }

    /// Waits until the channel is told that changes may have been missed; whatever comes before is skipped.
    pub async fn interrupted(&mut self, topic: &str) {
        loop {
            let frame = self.frame().await;
            if frame[2] == topic && frame[3] == "phx_error" {
                return;
            }
        }
    }

    /// The payload of the next change, as its typed frame tells it; the `*` twin before it must say the same.
    pub async fn change(&mut self) -> Value {
        self.change_on().await.1
    }

    /// As [`Socket::change`], with the topic.
    pub async fn change_on(&mut self) -> (String, Value) {
        let mut twin = None;
        loop {
            let frame = self.frame().await;
            let (topic, event, payload) = (&frame[2], frame[3].as_str().unwrap(), &frame[4]);
            match event {
                "*" => twin = Some(payload.clone()),
                "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE" => {
                    assert_eq!(payload["type"], event);
                    if let Some(twin) = twin {
                        assert_eq!(twin, *payload, "the `*` twin differs");
                    }
                    return (topic.as_str().unwrap().to_owned(), payload.clone());
                }
                _ => {}
            }
        }
    }

    /// The next `count` changes.
    pub async fn changes(&mut self, count: usize) -> Vec<Value> {
        let mut changes = Vec::new();
        while changes.len() < count {
            changes.push(self.change().await);
        }
        changes
    }
}
