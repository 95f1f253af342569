//! A client that comes back by itself with its cursor, whatever becomes of its socket, and keeps an account of all that
//! it was told.

mod account;
mod fetched;
mod snapshot;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

pub use account::{Account, Row, digest};
use account::{apply, row};

/// Longer than any answer takes; a server that says nothing for so long is asked, then left.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a join may wait for the stream.
const JOIN: Duration = Duration::from_secs(12);

/// What a follower makes of the changes.
#[derive(Clone, Debug)]
pub enum Keeping {
    /// The `id` of each, in the order in which they came.
    Ids,
    /// A table: by its primary key, which is `id`, the number `n` and a digest of the text `body`.
    Table {
        /// Where it is read when changes were missed.
        url: String,
        /// `select id, n, body from ..`.
        sql: String,
    },
}

/// How a follower is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A channel of a WebSocket.
    Socket,
    /// The same, which has the table come with the join when it cannot go on, instead of asking the database.
    Snapshots,
    /// `/events`.
    Events,
    /// `/poll`, again and again.
    Polls,
}

/// What a table holds now.
pub async fn select(url: &str, sql: &str) -> Option<BTreeMap<i64, Row>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
    tokio::spawn(connection);
    let rows = client.query(sql, &[]).await.ok()?;
    let row = |row: &tokio_postgres::Row| {
        let n: Option<i32> = row.get(1);
        (row.get::<_, i32>(0).into(), (n.map(i64::from), digest(row.get::<_, Option<&str>>(2))))
    };
    Some(rows.iter().map(row).collect())
}

/// A running client; dropping it ends it.
pub struct Follower {
    account: Arc<Mutex<Account>>,
    commands: watch::Sender<Command>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Command {
    /// Changed to have the socket cut.
    cut: u64,
    /// Nothing is read before.
    deaf_until: Option<Instant>,
}

impl Follower {
    /// Follows `topic` at the server that listens where `at` says, over a WebSocket.
    pub fn start(at: &watch::Receiver<SocketAddr>, topic: &str, keeping: Keeping) -> Self {
        Self::by(Way::Socket, at, topic, keeping)
    }

    /// The same by any way.
    pub fn by(way: Way, at: &watch::Receiver<SocketAddr>, topic: &str, keeping: Keeping) -> Self {
        let account = Arc::new(Mutex::new(Account::default()));
        let (commands, received) = watch::channel(Command::default());
        let client = Session {
            way,
            at: at.clone(),
            topic: topic.to_owned(),
            keeping,
            account: Arc::clone(&account),
            commands: received,
        };
        Self { account, commands, task: tokio::spawn(client.run()) }
    }

    /// What it was told.
    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its socket is cut without a word.
    pub fn cut(&self) {
        self.commands.send_modify(|command| command.cut += 1);
    }

    /// It reads nothing for a while.
    pub fn deafen(&self, time: Duration) {
        self.commands.send_modify(|command| command.deaf_until = Some(Instant::now() + time));
    }

    /// Fails if it panicked.
    pub fn assert_alive(&self) {
        assert!(!self.task.is_finished(), "a client panicked");
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Session {
    way: Way,
    at: watch::Receiver<SocketAddr>,
    topic: String,
    keeping: Keeping,
    account: Arc<Mutex<Account>>,
    commands: watch::Receiver<Command>,
}

impl Session {
    async fn run(mut self) {
        loop {
            self.commands.mark_unchanged();
            let cut = self.commands.borrow().cut;
            let mut commands = self.commands.clone();
            tokio::select! {
                _ = self.told() => {}
                _ = commands.wait_for(|command| command.cut != cut) => {}
            }
            // Jitter, as a client that is gentle with its server has it.
            tokio::time::sleep(Duration::from_millis(fastrand::u64(10..150))).await;
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on until something is wrong.
    async fn told(&mut self) -> Option<()> {
        match self.way {
            Way::Socket | Way::Snapshots => self.session().await,
            Way::Events => self.events().await,
            Way::Polls => self.polls().await,
        }
    }

    /// One socket, until something is wrong with it.
    async fn session(&mut self) -> Option<()> {
        let address = *self.at.borrow();
        let stream = TcpStream::connect(address);
        let stream = tokio::time::timeout(SILENCE, stream).await.ok()?.ok()?;
        let request = "ws://localhost/socket/websocket?vsn=2.0.0".into_client_request().ok()?;
        let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        let handshake = client_async_with_config(request, stream, Some(config));
        let (mut socket, _) = tokio::time::timeout(SILENCE, handshake).await.ok()?.ok()?;
        let mut payload = json!({"frames": "type"});
        if let Some((cursor, epoch)) = &self.account().cursor {
            payload["since"] = cursor.to_string().into();
            payload["epoch"] = epoch.as_str().into();
        }
        let resumes = payload.get("since").is_some();
        if self.way == Way::Snapshots {
            payload["snapshot"] = true.into();
        }
        let join = json!(["1", "1", self.topic, "phx_join", payload]);
        socket.send(Message::text(join.to_string())).await.ok()?;
        let reply = tokio::time::timeout(JOIN, text(&mut socket)).await.ok()??;
        let reply: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply[3], "phx_reply", "{reply}");
        let response = &reply[4]["response"];
        if reply[4]["status"] != "ok" {
            self.account().refused = response["reason"].to_string();
            tokio::time::sleep(Duration::from_millis(200)).await;
            return None;
        }
        if response["snapshot"] == true {
            self.resumed(resumes, response);
            self.snapshot(&mut socket).await?;
        } else {
            self.joined(resumes, response).await?;
        }
        let mut asked = false;
        loop {
            self.listens().await;
            let Ok(text) = tokio::time::timeout(SILENCE, text(&mut socket)).await else {
                if std::mem::replace(&mut asked, true) {
                    return None;
                }
                let heartbeat = json!([null, "9", "phoenix", "heartbeat", {}]).to_string();
                socket.send(Message::text(heartbeat)).await.ok()?;
                continue;
            };
            asked = false;
            self.frame(&text?)?;
        }
    }

    /// Counts a join; returns whether it goes on where the client was.
    fn resumed(&self, resumes: bool, response: &Value) -> bool {
        let mut account = self.account();
        account.joins += 1;
        if !resumes {
            return false;
        }
        let resumed = response["resumed"].as_bool().expect("a client that sends since is answered");
        if resumed {
            account.resumed += 1;
        } else {
            let reason = response["reason"].as_str().expect("a reason").to_owned();
            *account.told.entry(reason).or_default() += 1;
        }
        resumed
    }

    async fn joined(&self, resumes: bool, response: &Value) -> Option<()> {
        if self.resumed(resumes, response) {
            return Some(());
        }
        let mut table = None;
        if let Keeping::Table { url, sql } = &self.keeping {
            // What is told from now on is not all that this snapshot might lack: a commit is in the log before it is
            // visible.
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
            tokio::spawn(connection);
            let visible = committed_is_visible(&client);
            tokio::time::timeout(Duration::from_secs(20), visible).await.ok()??;
            table = Some(select(url, sql).await?);
        }
        let position = response["position"].as_str().unwrap().parse().unwrap();
        self.account().begin(position, response["epoch"].as_str().unwrap().to_owned(), table);
        Some(())
    }

    /// Waits as long as it is to be deaf.
    async fn listens(&self) {
        let deaf = self.commands.borrow().deaf_until;
        if let Some(left) = deaf.and_then(|until| until.checked_duration_since(Instant::now())) {
            tokio::time::sleep(left).await;
        }
    }

    fn frame(&self, text: &str) -> Option<()> {
        // With many clients, an array of which one part is wanted costs too much.
        if let Keeping::Ids = self.keeping
            && let Some((_, rest)) = text.split_once(",\"INSERT\",")
        {
            let cursor = between(rest, "\"cursor\":\"", '"').parse().unwrap();
            let id = between(rest, "\"id\":", ',').trim_end_matches(['}', ']']).parse().unwrap();
            let mut account = self.account();
            account.count(cursor);
            account.ids.push(id);
            return Some(());
        }
        let frame: Value = serde_json::from_str(text).unwrap();
        match frame[3].as_str().unwrap() {
            event @ ("INSERT" | "UPDATE" | "DELETE" | "TRUNCATE") => {
                self.account().change(event, &frame[4], &self.keeping);
            }
            "phx_error" | "phx_close" => {
                self.account().interrupted += 1;
                return None;
            }
            _ => {}
        }
        Some(())
    }
}

fn between<'a>(text: &'a str, before: &str, after: char) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split(after).next().unwrap()
}

/// The next text message; `None` when the socket has ended.
async fn text(socket: &mut WebSocketStream<TcpStream>) -> Option<Utf8Bytes> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return Some(text),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

/// Waits until whatever ends now has ended: a commit is in the log, and can be told, shortly before any snapshot
/// sees it.
async fn committed_is_visible(client: &Client) -> Option<()> {
    let next = "select pg_snapshot_xmax(pg_current_snapshot())::text::int8";
    let next: i64 = client.query_one(next, &[]).await.ok()?.get(0);
    let oldest = "select pg_snapshot_xmin(pg_current_snapshot())::text::int8";
    while client.query_one(oldest, &[]).await.ok()?.get::<_, i64>(0) < next {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Some(())
}
