//! The HTTP face of GraphQL alone, in this process: the real router on a port of its own, with a schema made of a text
//! and a database that answers when a test wants it to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use walcast::access::{AdminRule, OriginRule};
use walcast::change::value::Profile;
use walcast::channel::coalesce::Coalescing;
use walcast::dispatch::Progress;
use walcast::feeds::Feeds;
use walcast::graphql::catalog::Volatility;
use walcast::graphql::model::{Function, Model, Reads, RootField, Scalar, Shape, ValueType};
use walcast::graphql::plan::Limits;
use walcast::graphql::schema::Schema;
use walcast::history::Bounds;
use walcast::http::{self, App, Console, Documents, GraphQl};
use walcast::hub::{Door, Hub, Rules};
use walcast::operations::{Database, DatabaseError, Identity, Operations, Reply, Running, Served, Step};
use walcast::readiness::Readiness;
use walcast::replay::Replay;

use crate::walcast::PATIENCE;

/// One field that asks the database, and introspection, which does not.
const SDL: &str =
    "type Query { auction(id: ID!): String  count: Int } type Mutation { bid(amount: Int!): Int }";

/// The schema of [`SDL`].
pub fn schema() -> Schema {
    let count = Function {
        field: "count".to_owned(),
        oid: 1,
        schema: "public".to_owned(),
        name: "count".to_owned(),
        description: None,
        volatility: Volatility::Stable,
        of: None,
        arguments: Vec::new(),
        returns: Some(ValueType {
            sql: "integer".to_owned(),
            base: 23,
            shape: Shape::Scalar(Scalar::Int),
            ordered: true,
            comparable: true,
        }),
        returns_set: false,
        reads: Reads::Nothing,
    };
    let query = [("count".to_owned(), RootField::Function(0))].into_iter().collect();
    let model = Model { functions: vec![count], query, ..Model::default() };
    Schema::new(model, SDL.to_owned()).unwrap()
}

/// A database that answers when a test says so.
#[derive(Clone)]
pub struct Stage {
    /// Statements that run now.
    pub running: Arc<AtomicUsize>,
    /// A permit for each statement that may end.
    pub answers: Arc<Semaphore>,
}

impl Stage {
    /// A database with an answer for so many statements.
    pub fn with(answers: usize) -> Self {
        Self { running: Arc::default(), answers: Arc::new(Semaphore::new(answers)) }
    }

    /// Waits until so many statements run.
    pub async fn runs(&self, statements: usize) {
        let start = Instant::now();
        while self.running.load(Ordering::SeqCst) != statements {
            assert!(start.elapsed() < PATIENCE, "{} statements run", self.running.load(Ordering::SeqCst));
            tokio::task::yield_now().await;
        }
    }
}

/// Leaves the stage when it is dropped, as a statement that is cancelled does.
struct Act(Arc<AtomicUsize>);

impl Drop for Act {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Database for Stage {
    fn read<'a>(&'a self, _: &'a Identity, _: Step) -> Running<'a, Reply> {
        Box::pin(async {
            self.running.fetch_add(1, Ordering::SeqCst);
            let _act = Act(Arc::clone(&self.running));
            let answer =
                self.answers.acquire().await.map_err(|_| DatabaseError::Unavailable("it is gone".to_owned()));
            answer?.forget();
            Ok(vec![Some("{\"count\":1}".to_owned())])
        })
    }

    fn write<'a>(&'a self, _: &'a Identity, _: Vec<Step>) -> Running<'a, Vec<Reply>> {
        Box::pin(async { Err(DatabaseError::Unavailable("nothing is written".to_owned())) })
    }
}

/// A running endpoint; dropping it stops it.
pub struct Endpoint {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// The status line and headers of an answer, and its body without the framing of HTTP.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    /// The code of its only error.
    pub fn code(&self) -> Value {
        let body = self.json();
        assert_eq!(body["errors"].as_array().map(Vec::len), Some(1), "{body}");
        assert!(body["errors"][0]["message"].as_str().is_some_and(|message| !message.is_empty()));
        body["errors"][0]["extensions"]["code"].clone()
    }
}

impl Endpoint {
    pub async fn start() -> Self {
        Self::start_with(Ok(Arc::new(schema())), Documents::default()).await
    }

    pub async fn start_with(served: Served, documents: Documents) -> Self {
        Self::start_on(Stage::with(0), served, documents).await
    }

    pub async fn start_on(stage: Stage, served: Served, documents: Documents) -> Self {
        let limits = Limits { depth: 16, cost: 10_000, rows: 1000, introspection: true };
        let operations = Operations::new(Arc::new(stage), limits, Arc::default());
        operations.serve(served, Ok(()));
        let (stop, stopped) = watch::channel(false);
        let graphql =
            GraphQl::new(operations, Feeds::default(), Identity::default(), documents, stopped.clone());
        Self::serve(Some(Arc::new(graphql)), stop, stopped).await
    }

    /// The same port without GraphQL.
    pub async fn without() -> Self {
        let (stop, stopped) = watch::channel(false);
        Self::serve(None, stop, stopped).await
    }

    async fn serve(
        graphql: Option<Arc<GraphQl>>,
        stop: watch::Sender<bool>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bounds = Bounds { bytes: 0, age: Duration::ZERO, wal_bytes: 0 };
        let door =
            Door { known: Arc::new(|_| None), questions: mpsc::channel(1).0, snapshots: mpsc::channel(1).0 };
        let rules = Rules {
            limits: walcast::channel::Limits { channels: 1, joins_per_second: 1 },
            profile: Profile::Default,
            frame_bytes: 1024,
            deflate: false,
            sockets: 1,
            members_per_topic: 1,
            idle: PATIENCE,
            outbox_bytes: 1024,
            pause: Duration::ZERO,
            stall: PATIENCE,
        };
        let app = App {
            hub: Hub::start(1, rules, &Coalescing::default(), &Replay::new(bounds), &door).unwrap(),
            readiness: watch::channel(Readiness::live()).1,
            origins: OriginRule::default(),
            admin: AdminRule::new(None, address.ip()),
            feeds: Feeds::default(),
            console: Console { tables: Box::new(|| Box::pin(async { Ok(Vec::new()) })), write: None },
            watched: http::Watched { progress: watch::channel(Progress::default()).1, pool: None },
            graphiql: false,
            graphql,
            sessions: http::Sessions::default(),
            large: http::Large::default(),
            vanished: std::time::Duration::from_secs(300),
            stop: stopped,
        };
        Self { address, stop, serving: tokio::spawn(http::serve(listener, app)) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Stops it in order, and waits until every connection has ended.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(PATIENCE, self.serving).await.expect("an end in time").unwrap();
    }

    /// One request on a connection of its own, whole; `headers` are whole lines.
    pub async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut open = self.open(method, path, headers, body).await;
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, open.stream.read_to_end(&mut rest)).await.expect("an end").unwrap();
        let body = if open.head.to_lowercase().contains("transfer-encoding: chunked") {
            unchunked(&rest).expect("the last chunk")
        } else {
            rest
        };
        Answer {
            status: open.status,
            head: std::mem::take(&mut open.head),
            body: String::from_utf8(body).unwrap(),
        }
    }

    /// A POST of JSON to `/graphql`.
    pub async fn post(&self, accept: &str, body: &str) -> Answer {
        let headers = format!("Content-Type: application/json\r\nAccept: {accept}\r\n");
        self.ask("POST", "/graphql", &headers, body).await
    }

    /// Sends a request on a connection of its own.
    pub async fn begin(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// The head of an answer whose body goes on.
    pub async fn open(&self, method: &str, path: &str, headers: &str, body: &str) -> Open {
        let mut stream = self.begin(method, path, headers, body).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("a head").unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Open { status, head, stream, read: Vec::new() }
    }
}

/// An answer that goes on.
pub struct Open {
    pub status: u16,
    pub head: String,
    stream: TcpStream,
    read: Vec<u8>,
}

impl Open {
    /// Reads on until the body ends with `end`, and returns all of it since the last time.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            let body = chunks(&self.read).0;
            if body.ends_with(end.as_bytes()) {
                self.read.clear();
                return String::from_utf8(body).unwrap();
            }
            let mut more = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut more)).await;
            let length = read.unwrap_or_else(|_| panic!("no {end:?} after {body:?}")).unwrap();
            assert!(length > 0, "no {end:?} after {body:?}");
            self.read.extend_from_slice(&more[..length]);
        }
    }

    /// Reads to the end; whether the body was ended in order, and what was in it.
    pub async fn end(mut self) -> (bool, String) {
        let reading = self.stream.read_to_end(&mut self.read);
        let _ = tokio::time::timeout(PATIENCE, reading).await.expect("an end in time");
        let (body, whole) = chunks(&self.read);
        (whole, String::from_utf8(body).unwrap())
    }
}

/// What chunks hold (RFC 9112, section 7.1), and whether the last was among them.
fn chunks(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(at) = raw.windows(2).position(|pair| pair == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..at]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = raw.get(at + 2..at + 2 + size) else { break };
        body.extend_from_slice(chunk);
        raw = raw.get(at + 4 + size..).unwrap_or_default();
    }
    (body, false)
}

fn unchunked(raw: &[u8]) -> Option<Vec<u8>> {
    let (body, whole) = chunks(raw);
    whole.then_some(body)
}
