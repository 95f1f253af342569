//! Clients that cost little themselves: of each result they read how many bids it has, and when it came.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What was told of each auction, or to each client, by number from 0 on.
pub struct Seen {
    bids: Vec<AtomicI64>,
    /// Microseconds since 1970.
    at: Vec<AtomicU64>,
    results: AtomicU64,
    /// Set off with each result.
    news: Notify,
}

impl Seen {
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            bids: (0..count).map(|_| AtomicI64::new(-1)).collect(),
            at: (0..count).map(|_| AtomicU64::new(0)).collect(),
            results: AtomicU64::new(0),
            news: Notify::new(),
        })
    }

    pub fn results(&self) -> u64 {
        self.results.load(Ordering::SeqCst)
    }

    /// When each was told what it holds.
    pub fn times(&self) -> &[AtomicU64] {
        &self.at
    }

    /// How many hold at least so many bids.
    pub fn holding(&self, bids: i64) -> usize {
        self.bids.iter().filter(|had| had.load(Ordering::SeqCst) >= bids).count()
    }

    /// Waits until this one holds at least so many bids.
    pub async fn one_holds(&self, number: usize, bids: i64) {
        self.until(|| self.bids[number].load(Ordering::SeqCst) >= bids).await;
    }

    /// Waits until all hold at least so many bids; false when it takes longer than `patience`.
    pub async fn all_hold(&self, bids: i64, patience: Duration) -> bool {
        let all = self.until(|| self.holding(bids) == self.bids.len());
        tokio::time::timeout(patience, all).await.is_ok()
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            let news = self.news.notified();
            if holds() {
                return;
            }
            news.await;
        }
    }

    fn told(&self, number: usize, bids: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.at[number].store(u64::try_from(now.as_micros()).unwrap(), Ordering::SeqCst);
        self.bids[number].store(bids, Ordering::SeqCst);
        self.results.fetch_add(1, Ordering::SeqCst);
        self.news.notify_waiters();
    }
}

/// One connection of HTTP/1.1, kept alive.
pub struct Connection {
    stream: TcpStream,
    address: SocketAddr,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, address }
    }

    async fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n\
             {body}",
            self.address,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// The body of the response, which has to be good.
    pub async fn ask(&mut self, method: &str, path: &str, headers: &str, body: &str) -> String {
        self.send(method, path, headers, body).await;
        let (good, body) = self.response().await;
        assert!(good, "{body}");
        body
    }

    /// Whether the response is good, and its body, whose length it has to tell.
    async fn response(&mut self) -> (bool, String) {
        let (mut bytes, mut head) = (Vec::new(), None);
        loop {
            assert!(self.stream.read_buf(&mut bytes).await.unwrap() > 0, "closed");
            head = head.or_else(|| head_of(&bytes));
            if let Some((good, start, length)) = head
                && bytes.len() >= start + length
            {
                return (good, String::from_utf8(bytes.split_off(start)).unwrap());
            }
        }
    }

    /// Takes the events of a stream until the server ends it; `number` finds out to whom one of them tells something.
    async fn listen(mut self, seen: &Seen, number: impl Fn(&[u8]) -> usize) {
        let mut bytes = Vec::with_capacity(16 * 1024);
        while self.stream.read_buf(&mut bytes).await.unwrap() > 0 {
            let mut start = 0;
            while let Some(length) = memmem::find(&bytes[start..], b"\n\n") {
                let event = &bytes[start..start + length];
                if let Some(bids) = bids(event) {
                    seen.told(number(event), bids);
                } else {
                    assert!(
                        memmem::find(event, b"\"errors\"").is_none(),
                        "{}",
                        String::from_utf8_lossy(event)
                    );
                }
                start += length + 2;
            }
            bytes.drain(..start);
        }
    }
}

/// Whether the response is good, where its body starts and how long that is, once the head is whole.
fn head_of(bytes: &[u8]) -> Option<(bool, usize, usize)> {
    let start = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..start]).unwrap().to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.unwrap_or_else(|| panic!("no Content-Length: {text}")).trim().parse().unwrap();
    Some((text.starts_with("http/1.1 20"), start, length))
}

/// How many bids the result of an event has; the highest comes once more.
fn bids(event: &[u8]) -> Option<i64> {
    memmem::rfind(event, b"\"highestBid\":{")?;
    i64::try_from(memmem::find_iter(event, b"{\"amount\":").count() - 1).ok()
}

/// Waits until this server has a schema.
pub async fn until_served(address: SocketAddr) {
    let mut connection = Connection::open(address).await;
    loop {
        let accept = "Accept: application/graphql-response+json\r\n";
        connection.send("POST", "/graphql", accept, "{\"query\":\"{ __typename }\"}").await;
        if connection.response().await.0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// So many clients, each on a connection of its own, with one and the same live query. They end with the set.
pub async fn identical(address: SocketAddr, query: &str, clients: usize, seen: &Arc<Seen>) -> JoinSet<()> {
    let body = serde_json::json!({ "query": query }).to_string();
    let mut running = JoinSet::new();
    for number in 0..clients {
        let (seen, body) = (Arc::clone(seen), body.clone());
        let mut connection = Connection::open(address).await;
        running.spawn(async move {
            connection.send("POST", "/graphql", "Accept: text/event-stream\r\n", &body).await;
            connection.listen(&seen, |_| number).await;
        });
    }
    assert!(seen.all_hold(0, Duration::from_secs(30)).await, "the clients have no first result");
    running
}

/// Live queries of these auctions, 100 on each stream of single-connection mode. They end with the set.
pub async fn distinct(
    address: SocketAddr,
    selection: &str,
    auctions: std::ops::Range<usize>,
    seen: &Arc<Seen>,
) -> JoinSet<()> {
    let query = format!("query ($id: ID!) @live {{ auction(id: $id) {{ {selection} }} }}");
    let mut running = JoinSet::new();
    let mut posts = Connection::open(address).await;
    let start = Instant::now();
    for stream in auctions.clone().collect::<Vec<_>>().chunks(100) {
        let token = posts.ask("PUT", "/graphql/stream", "", "").await;
        let token = format!("X-GraphQL-Event-Stream-Token: {token}\r\n");
        let mut connection = Connection::open(address).await;
        connection.send("GET", "/graphql/stream", &format!("{token}Accept: text/event-stream\r\n"), "").await;
        let seen = Arc::clone(seen);
        running.spawn(async move { connection.listen(&seen, operation).await });
        for auction in stream {
            let id = auction.to_string();
            let body = serde_json::json!({
                "query": query, "variables": { "id": id }, "extensions": { "operationId": id },
            });
            posts.ask("POST", "/graphql/stream", &token, &body.to_string()).await;
        }
    }
    for auction in auctions {
        let first = seen.one_holds(auction, 0);
        let patience = Duration::from_secs(60).saturating_sub(start.elapsed());
        tokio::time::timeout(patience, first).await.expect("every live query has its first result");
    }
    running
}

/// The operation that an event of single-connection mode belongs to.
fn operation(event: &[u8]) -> usize {
    let marker = b"data: {\"id\":\"";
    let start = memmem::find(event, marker).expect("an operation's id") + marker.len();
    let digits = event[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&event[start..start + digits]).unwrap().parse().unwrap()
}
