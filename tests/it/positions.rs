//! The position in a join's reply: exactly the changes after it are delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use walcast::lsn::Cursor;

use crate::slot::{cursor, position};
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

const SOCKETS: usize = 8;
const JOINS: usize = 25;
/// The row that is written last.
const LAST: i64 = -1;

/// The topic of the table `hammer`, spelled in the `number`th of 64 ways.
fn spelling(number: usize) -> String {
    let name = "hammer".bytes().enumerate().map(|(place, letter)| {
        if number >> place & 1 == 1 { format!("%{letter:02X}") } else { char::from(letter).to_string() }
    });
    format!("realtime:public:{}", name.collect::<String>())
}

/// What one channel got: its position, then each row by cursor.
#[derive(Default)]
struct Seen {
    position: Option<Cursor>,
    rows: BTreeMap<Cursor, i64>,
}

impl Seen {
    fn row(&mut self, payload: &serde_json::Value) -> i64 {
        let cursor: Cursor = payload["cursor"].as_str().unwrap().parse().unwrap();
        let id = payload["record"]["id"].as_i64().unwrap();
        let position = self.position.expect("no change before the reply to the join");
        assert!(cursor > position, "row {id} was committed before the join");
        assert_eq!(
            self.rows.last_key_value().filter(|(last, _)| **last >= cursor),
            None,
            "in order, none twice"
        );
        self.rows.insert(cursor, id);
        id
    }
}

/// Joins one spelling after the other while changes arrive, and reads all to the last row.
async fn hammer(mut socket: Socket, joined: tokio::sync::oneshot::Sender<()>) -> BTreeMap<String, Seen> {
    let mut channels: BTreeMap<String, Seen> = BTreeMap::new();
    for number in 0..JOINS {
        let (topic, reference) = (spelling(number), number.to_string());
        let join = json!([reference, reference, topic, "phx_join", {"frames": "type"}]);
        socket.send(join.to_string()).await;
        channels.insert(topic.clone(), Seen::default());
        // Each join comes at another position: behind a change that came after the join before.
        let mut told = false;
        while !told || channels[&topic].position.is_none() {
            let frame = socket.frame().await;
            let seen = channels.get_mut(frame[2].as_str().unwrap()).unwrap();
            if frame[3] == "phx_reply" {
                assert_eq!((&frame[1], &frame[4]["status"]), (&json!(reference), &json!("ok")), "{frame}");
                seen.position = frame[4]["response"]["position"].as_str().unwrap().parse().ok();
            } else {
                seen.row(&frame[4]);
                told = channels[&topic].position.is_some();
            }
        }
    }
    joined.send(()).unwrap();
    let mut open: BTreeSet<String> = channels.keys().cloned().collect();
    while !open.is_empty() {
        let (topic, change) = socket.change_on().await;
        if channels.get_mut(&topic).unwrap().row(&change) == LAST {
            open.remove(&topic);
        }
    }
    channels
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_gets_exactly_what_is_committed_after_its_position() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute("create table hammer (id int8 primary key)").await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut reference = Socket::connect(&walcast).await;
    reference.joined("realtime:public:hammer", json!({"frames": "type"})).await;

    let stop = Arc::new(AtomicBool::new(false));
    let (writer, stopped) = (database.connect().await, Arc::clone(&stop));
    let writing = tokio::spawn(async move {
        let mut next = 1_i64;
        while !stopped.load(Ordering::Relaxed) {
            // Single rows, and transactions of several: none may reach a channel in part.
            let rows = if next % 5 == 0 { 4_i64 } else { 1 };
            let sql = "insert into hammer select generate_series($1::int8, $1::int8 + $2::int8 - 1)";
            writer.execute(sql, &[&next, &rows]).await.unwrap();
            next += rows;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut tasks = Vec::new();
    let mut joined = Vec::new();
    for _ in 0..SOCKETS {
        let socket = Socket::connect(&walcast).await;
        let (done, wait) = tokio::sync::oneshot::channel();
        joined.push(wait);
        tasks.push(tokio::spawn(hammer(socket, done)));
    }
    for wait in joined {
        wait.await.expect("a socket joined all its topics");
    }
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    client.execute("insert into hammer values ($1)", &[&LAST]).await.unwrap();

    let mut all = Seen { position: Some(Cursor::default()), rows: BTreeMap::new() };
    while all.row(&reference.change().await) != LAST {}
    let rows = client.query("select id from hammer order by id", &[]).await.unwrap();
    let mut told: Vec<i64> = all.rows.values().copied().collect();
    told.sort_unstable();
    assert_eq!(
        told,
        rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(),
        "the reference has what SQL has"
    );

    let mut positions = BTreeSet::new();
    for task in tasks {
        for (topic, seen) in task.await.unwrap() {
            let position = seen.position.unwrap();
            positions.insert(position);
            let expected = all.rows.range(position..).filter(|(cursor, _)| **cursor > position);
            assert!(seen.rows.iter().eq(expected), "{topic} after {position}");
            assert!(!seen.rows.is_empty());
        }
    }
    assert!(positions.len() > 20, "the joins happened while rows were written: {}", positions.len());
}

#[tokio::test]
async fn the_position_of_a_quiet_stream_is_behind_all_that_is_committed() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute("create table users (id int8 primary key)").await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut witness = Socket::connect(&walcast).await;
    witness.joined("realtime:public:users", json!({})).await;
    for id in 1..=20_i64 {
        client.execute("insert into users values ($1)", &[&id]).await.unwrap();
        let change = witness.change().await;
        let mut socket = Socket::connect(&walcast).await;
        let response = socket.joined("realtime:public:users", json!({})).await;
        assert!(position(&response) >= cursor(&change), "the join comes behind the last change");
        client.execute("update users set id = id + 1000 where id = $1", &[&id]).await.unwrap();
        let next = socket.change().await;
        assert!(cursor(&next) > position(&response));
        assert_eq!((&next["type"], &next["record"]["id"]), (&json!("UPDATE"), &json!(id + 1000)));
        assert_eq!(next, witness.change().await);
    }
}
