//! `channels.coalesce`: changes that wait for more of them, without being told in another order or getting lost.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::cluster::{self, Database};
use crate::slot::{assert_cursors_grow, cursor, id, position};
use crate::socket::Socket;
use crate::walcast::{Walcast, slot_name};

const SLOW: &str = "realtime:public:slow";
const PROMPT: &str = "realtime:public:prompt";
/// Longer than anything here takes that does not wait.
const LONG: (&str, &str) = ("WALCAST__CHANNELS__COALESCE", "realtime:public:slow*=10000");

async fn serve(wait: (&str, &str)) -> (Database, Walcast) {
    let database = cluster::shared(15).database().await;
    let tables =
        "create table slow (id int8 primary key, note text); create table prompt (id int8 primary key)";
    database.connect().await.batch_execute(tables).await.unwrap();
    let walcast = Walcast::serve(&database, &[wait]).await;
    (database, walcast)
}

async fn member(walcast: &Walcast, topics: &[&str]) -> Socket {
    let mut socket = Socket::connect(walcast).await;
    for topic in topics {
        socket.joined(topic, json!({"frames": "type"})).await;
    }
    socket
}

#[tokio::test]
async fn changes_wait_until_their_socket_is_told_of_something_else_and_then_come_in_the_order_of_commits() {
    let (database, walcast) = serve(LONG).await;
    let (mut waiting, mut prompt) = (member(&walcast, &[SLOW]).await, member(&walcast, &[PROMPT]).await);
    let sql = database.connect().await;
    for id in 1..=20_i64 {
        sql.execute("insert into slow values ($1)", &[&id]).await.unwrap();
        sql.execute("insert into prompt values ($1)", &[&id]).await.unwrap();
        // Others are told at once.
        assert_eq!(self::id(&prompt.change().await), id);
    }
    waiting.send(r#"[null,"h","phoenix","heartbeat",{}]"#).await;
    assert_eq!(waiting.frame().await[1], "h", "the reply, and no change before it");

    let mut both = member(&walcast, &[PROMPT, "realtime:public:slow:id=gte.20"]).await;
    sql.batch_execute("insert into slow values (21); insert into prompt values (21)").await.unwrap();
    let told = both.changes(2).await;
    assert_eq!(
        told.iter().map(|change| change["table"].as_str().unwrap()).collect::<Vec<_>>(),
        ["slow", "prompt"]
    );
    assert_cursors_grow(&told);
}

#[tokio::test]
async fn what_waits_is_told_in_order_when_its_time_has_come() {
    let (database, walcast) = serve(("WALCAST__CHANNELS__COALESCE", "realtime:public:slow*=300")).await;
    let mut sockets = [member(&walcast, &[SLOW]).await, member(&walcast, &[SLOW]).await];
    let sql = database.connect().await;
    for id in 1..=50_i64 {
        sql.execute("insert into slow values ($1)", &[&id]).await.unwrap();
    }
    // Who comes meanwhile is told what comes behind its position, and nothing of what waits.
    let mut late = Socket::connect(&walcast).await;
    let response = late.joined(SLOW, json!({"frames": "type"})).await;
    sql.execute("insert into slow values (51)", &[]).await.unwrap();
    for socket in &mut sockets {
        let told = socket.changes(51).await;
        assert_eq!(told.iter().map(id).collect::<Vec<_>>(), (1..=51).collect::<Vec<_>>());
        assert_cursors_grow(&told);
    }
    let mut told = vec![late.change().await];
    assert!(cursor(&told[0]) > position(&response), "{} lies before {response}", told[0]);
    while told.last().map(id) != Some(51) {
        told.push(late.change().await);
    }
    assert_cursors_grow(&told);
}

#[tokio::test]
async fn much_does_not_wait() {
    let (database, walcast) = serve(LONG).await;
    let mut socket = member(&walcast, &[SLOW]).await;
    let sql = database.connect().await;
    let start = Instant::now();
    sql.batch_execute("insert into slow select i, repeat('x', 10000) from generate_series(1, 1000) i")
        .await
        .unwrap();
    assert_eq!(socket.changes(900).await.last().map(id), Some(900));
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_heartbeat_never_tells_of_what_still_waits() {
    let (database, walcast) = serve(("WALCAST__CHANNELS__COALESCE", "realtime:public:slow=3000")).await;
    let mut socket = member(&walcast, &[SLOW]).await;
    database.connect().await.execute("insert into slow values (1)", &[]).await.unwrap();
    let mut told = Vec::new();
    // Positions are announced each second, so twice meanwhile.
    let change = loop {
        socket.send(r#"[null,"h","phoenix","heartbeat",{}]"#).await;
        let frame = socket.frame().await;
        if frame[3] == "INSERT" {
            break frame[4].clone();
        }
        let response = &frame[4]["response"];
        told.extend(response["position"].is_string().then(|| position(response)));
    };
    let last = told.iter().max();
    assert!(last < Some(&cursor(&change)), "{last:?} told before {change}");
    // And then it does.
    loop {
        socket.send(r#"[null,"h","phoenix","heartbeat",{}]"#).await;
        let response = &socket.frame().await[4]["response"];
        if response["position"].is_string() && position(response) >= cursor(&change) {
            break;
        }
    }
}

#[tokio::test]
async fn what_waits_is_told_before_the_server_stops_and_from_the_window_after_it_was_killed() {
    let slot = slot_name();
    let (database, walcast) = serve(LONG).await;
    let mut socket = member(&walcast, &[SLOW]).await;
    let sql = database.connect().await;
    // Of which a witness has heard, so that it waits.
    let mut witness = member(&walcast, &[PROMPT]).await;
    sql.batch_execute("insert into slow values (1); insert into prompt values (1)").await.unwrap();
    witness.change().await;
    walcast.signal(Signal::SIGTERM);
    assert_eq!(id(&socket.change().await), 1);
    assert_eq!(socket.close_code().await.0, 1012);
    walcast.stop();

    let environment = [LONG, ("WALCAST__REPLICATION__SLOT", slot.as_str())];
    let walcast = Walcast::serve(&database, &environment).await;
    let mut socket = Socket::connect(&walcast).await;
    let response = socket.joined(SLOW, json!({"frames": "type"})).await;
    let mut witness = member(&walcast, &[PROMPT]).await;
    sql.batch_execute("insert into slow values (2); insert into prompt values (2)").await.unwrap();
    witness.change().await;
    drop(walcast);
    let walcast = Walcast::serve(&database, &environment).await;
    let mut socket = Socket::connect(&walcast).await;
    let since = json!({"frames": "type", "since": response["position"], "epoch": response["epoch"]});
    assert_eq!(socket.joined(SLOW, since).await["resumed"], true);
    assert_eq!(id(&socket.change().await), 2);
}
