//! The same client by `/events` and by `/poll`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use walcast::lsn::Cursor;

use super::Session;

/// An event stream sends something at least every 15 s.
const BEATS: Duration = Duration::from_secs(20);

/// For how long a poll is held, in seconds.
const WAIT: u64 = 3;

/// What waits longer than it may is answered.
const ANSWER: Duration = Duration::from_secs(15);

impl Session {
    /// The query of a request, and whether it says where the client was.
    fn query(&self) -> (String, bool) {
        let topic = self.topic.replace('=', "%3D");
        match &self.account().cursor {
            Some((cursor, epoch)) => (format!("topic={topic}&since={epoch}.{cursor}"), true),
            None => (format!("topic={topic}"), false),
        }
    }

    async fn get(&self, target: &str) -> Option<BufReader<TcpStream>> {
        let address = *self.at.borrow();
        let mut stream =
            tokio::time::timeout(super::SILENCE, TcpStream::connect(address)).await.ok()?.ok()?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        Some(BufReader::new(stream))
    }

    async fn refused(&self, words: String) -> Option<()> {
        self.account().refused = words;
        tokio::time::sleep(Duration::from_millis(200)).await;
        None
    }

    /// The client is at `token` now, behind which it goes on.
    fn advance(&self, token: &str) {
        let (_, cursor) = token.split_once('.').expect("EPOCH.CURSOR");
        let cursor: Cursor = cursor.parse().unwrap();
        if let Some((last, _)) = &mut self.account().cursor {
            *last = cursor.max(*last);
        }
    }

    /// One event stream, until something is wrong with it.
    pub(super) async fn events(&mut self) -> Option<()> {
        let (query, resumes) = self.query();
        let mut reader = self.get(&format!("/events?{query}")).await?;
        let head = tokio::time::timeout(ANSWER, head(&mut reader)).await.ok()??;
        if !head.starts_with("HTTP/1.1 200 ") {
            return self.refused(head).await;
        }
        let mut text = Vec::new();
        loop {
            self.listens().await;
            text.extend(tokio::time::timeout(BEATS, chunk(&mut reader)).await.ok()??);
            while let Some(end) = memchr::memmem::find(&text, b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                self.event(std::str::from_utf8(&event).unwrap(), resumes).await?;
            }
        }
    }

    async fn event(&self, event: &str, resumes: bool) -> Option<()> {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let data: Option<Value> = field("data").map(|data| serde_json::from_str(data).unwrap());
        match (field("event"), data) {
            (Some("joined"), Some(response)) => return self.joined(resumes, &response).await,
            (Some("interrupted"), _) => {
                self.account().interrupted += 1;
                return None;
            }
            (Some(other), data) => return self.refused(format!("{other}: {data:?}")).await,
            (None, Some(change)) => {
                let kind = change["type"].as_str().unwrap();
                self.account().change(kind, &change, &self.keeping);
            }
            (None, None) => {}
        }
        if let Some(token) = field("id") {
            self.advance(token);
        }
        Some(())
    }

    /// Polls, until something is wrong with one.
    pub(super) async fn polls(&mut self) -> Option<()> {
        let mut joined = false;
        loop {
            self.listens().await;
            let (query, resumes) = self.query();
            let mut reader = self.get(&format!("/poll?{query}&wait={WAIT}")).await?;
            let answered = tokio::time::timeout(ANSWER, async {
                let head = head(&mut reader).await?;
                let mut body = Vec::new();
                reader.read_to_end(&mut body).await.ok()?;
                Some((head, body))
            });
            let (head, body) = answered.await.ok()??;
            if !head.starts_with("HTTP/1.1 200 ") {
                return self.refused(head).await;
            }
            // What was cut on its way is asked for again.
            let answer: Value = serde_json::from_slice(&body).ok()?;
            let token = answer["position"].as_str().unwrap();
            let resumed = answer["resumed"].as_bool().unwrap();
            if !(joined && resumed) {
                let (epoch, position) = token.split_once('.').expect("EPOCH.CURSOR");
                let reason = &answer["reason"];
                let response =
                    json!({"epoch": epoch, "position": position, "resumed": resumed, "reason": reason});
                self.joined(resumes, &response).await?;
                joined = true;
            }
            for change in answer["events"].as_array().unwrap() {
                let kind = change["type"].as_str().unwrap();
                self.account().change(kind, change, &self.keeping);
            }
            self.advance(token);
        }
    }
}

/// The head of an answer; `None` where the connection ends before.
async fn head(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// The next chunk of a body (RFC 9112, section 7.1); `None` at its end.
async fn chunk(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut size = String::new();
    reader.read_line(&mut size).await.ok()?;
    let size = usize::from_str_radix(size.trim(), 16).ok().filter(|size| *size > 0)?;
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk).await.ok()?;
    chunk.truncate(size);
    Some(chunk)
}
