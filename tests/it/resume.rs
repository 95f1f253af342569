//! Clients that come back with a cursor: they are told all that they missed, once and in order, or that this cannot be.

use serde_json::{Value, json};

use crate::cluster::{self, Database};
use crate::slot::{Slot, assert_cursors_grow, cursor, id, position};
use crate::socket::Socket;
use crate::walcast::Walcast;

const TABLE: &str = "create table t (id int8 generated always as identity primary key, n int, v text); \
                     alter table t replica identity full; create table other (id int primary key)";

/// A client that has seen one row, and then is away while `missed` more are written.
async fn away(walcast: &Walcast, database: &Database, missed: i32) -> (Value, Value) {
    let mut socket = Socket::connect(walcast).await;
    let response = socket.joined("realtime:public:t", json!({"frames": "type"})).await;
    let client = database.connect().await;
    client.batch_execute("insert into t (n) values (0)").await.unwrap();
    let seen = socket.change().await;
    let mut witness = Socket::connect(walcast).await;
    witness.joined("realtime:public:t", json!({"frames": "type"})).await;
    drop(socket);
    write(database, missed).await;
    witness.changes(usize::try_from(missed).unwrap()).await;
    (seen["cursor"].clone(), response["epoch"].clone())
}

/// Writes rows in transactions of one to three, with rows of another table between them.
async fn write(database: &Database, rows: i32) {
    let client = database.connect().await;
    let sql = "do $$ begin for i in 1..ROWS loop insert into t (n) values (i); \
               if i % 3 <> 1 then insert into other values (i) on conflict do nothing; commit; end if; end loop; end $$";
    client.batch_execute(&sql.replace("ROWS", &rows.to_string())).await.unwrap();
}

fn since(cursor: &Value, epoch: &Value) -> Value {
    json!({"frames": "type", "since": cursor, "epoch": epoch})
}

fn ids(told: &[Value]) -> Vec<i64> {
    told.iter().map(id).collect()
}

#[tokio::test]
async fn what_was_missed_is_told_once_and_in_order_and_then_what_comes() {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute(TABLE).await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let (cursor_seen, epoch) = away(&walcast, &database, 1000).await;
    let mut socket = Socket::connect(&walcast).await;
    let response = socket.joined("realtime:public:t", since(&cursor_seen, &epoch)).await;
    assert_eq!(response["resumed"], true, "{response}");
    let writing = tokio::spawn(async move {
        write(&database, 500).await;
        database
    });
    let told = socket.changes(1500).await;
    assert_eq!(ids(&told), (2..=1501).collect::<Vec<_>>());
    assert_cursors_grow(&told);
    // The reply's position is where the server was, not where the client is.
    assert!(cursor(&told[0]) < position(&response));
    // One token does as well, on another topic and in the other forms.
    let _database = writing.await.unwrap();
    let token = format!("{}.{}", epoch.as_str().unwrap(), told[1489]["cursor"].as_str().unwrap());
    for topic in ["realtime:*", "realtime:public", "realtime:public:t:n=eq.495"] {
        let mut other = Socket::connect(&walcast).await;
        let response = other.joined(topic, json!({"since": token})).await;
        assert_eq!(response["resumed"], true, "{topic} {response}");
        let mut last = other.change().await;
        while last["record"]["n"] != 495 {
            last = other.change().await;
        }
        assert_eq!(last["cursor"], told[1494]["cursor"], "{topic}");
    }
}

#[tokio::test]
async fn many_who_resume_under_load_all_have_every_row() {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute(TABLE).await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let (cursor, epoch) = away(&walcast, &database, 300).await;
    let writing = tokio::spawn(async move {
        write(&database, 2000).await;
        database
    });
    let mut clients = Vec::new();
    for number in 0..20_i64 {
        let mut socket = Socket::connect(&walcast).await;
        let join = since(&cursor, &epoch);
        clients.push(tokio::spawn(async move {
            assert_eq!(socket.joined("realtime:public:t", join).await["resumed"], true);
            let told = socket.changes(2300).await;
            assert_eq!(ids(&told), (2..=2301).collect::<Vec<_>>(), "client {number}");
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn the_window_is_read_from_the_slot_again_after_a_kill() {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute(TABLE).await.unwrap();
    let slot = Slot::new(database.connect().await);
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let walcast = Walcast::serve(&database, &settings).await;
    let (cursor, epoch) = away(&walcast, &database, 100).await;
    // Until everything was acknowledged that ever will be, as far as one can see.
    let mut witness = Socket::connect(&walcast).await;
    assert_eq!(witness.joined("realtime:public:t", since(&cursor, &epoch)).await["resumed"], true);
    let before = witness.changes(100).await;
    drop(walcast);
    write(&database, 50).await;
    let walcast = Walcast::serve(&database, &settings).await;
    let mut socket = Socket::connect(&walcast).await;
    let response = socket.joined("realtime:public:t", since(&cursor, &epoch)).await;
    assert_eq!(response["resumed"], true, "{response}");
    let told = socket.changes(150).await;
    assert_eq!(told[..100], before, "told otherwise the second time");
    assert_eq!(ids(&told), (2..=151).collect::<Vec<_>>());
    // And once more after an orderly end.
    assert!(walcast.stop().success());
    let walcast = Walcast::serve(&database, &settings).await;
    let mut socket = Socket::connect(&walcast).await;
    assert_eq!(socket.joined("realtime:public:t", since(&cursor, &epoch)).await["resumed"], true);
    assert_eq!(socket.changes(150).await, told);
}

#[tokio::test]
async fn who_cannot_resume_is_told_why_and_goes_on_live() {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute(TABLE).await.unwrap();
    // A handful of changes.
    let walcast = Walcast::serve(&database, &[("WALCAST__WINDOW__BYTES", "2000")]).await;
    let (cursor, epoch) = away(&walcast, &database, 100).await;
    for (join, reason) in [
        (since(&cursor, &epoch), "window"),
        (since(&cursor, &json!("7-1")), "epoch"),
        (json!({"frames": "type", "since": cursor}), "epoch"),
    ] {
        let mut socket = Socket::connect(&walcast).await;
        let response = socket.joined("realtime:public:t", join).await;
        assert_eq!(response["resumed"], false);
        assert_eq!(response["reason"], reason);
        write(&database, 2).await;
        let live = socket.changes(2).await;
        assert!(super::slot::cursor(&live[0]) > position(&response));
        // What it was told is the oldest serves: one change more than what is held would not.
        let mut again = Socket::connect(&walcast).await;
        let response = again.joined("realtime:public:t", since(&response["oldest"], &epoch)).await;
        let resumed = response["resumed"].as_bool().unwrap();
        assert!(resumed || response["reason"] == "window", "{response}");
        let mut last = Socket::connect(&walcast).await;
        let response = last.joined("realtime:public:t", since(&live[0]["cursor"], &epoch)).await;
        assert_eq!(response["resumed"], true, "{response}");
        assert_eq!(last.change().await, live[1]);
    }
}

#[tokio::test]
async fn nothing_can_be_resumed_where_the_window_is_off() {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute(TABLE).await.unwrap();
    let slot = Slot::new(database.connect().await);
    let settings = [("WALCAST__WINDOW__BYTES", "0"), ("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let walcast = Walcast::serve(&database, &settings).await;
    let (seen, epoch) = away(&walcast, &database, 3).await;
    // Nothing is held back.
    let mut socket = Socket::connect(&walcast).await;
    let response = socket.joined("realtime:public:t", json!({"frames": "type"})).await;
    slot.wait_for_confirmed(position(&response).commit).await;
    let mut socket = Socket::connect(&walcast).await;
    let response = socket.joined("realtime:public:t", since(&seen, &epoch)).await;
    assert_eq!((&response["resumed"], &response["reason"]), (&json!(false), &json!("window")));
}

#[tokio::test]
async fn the_slot_is_held_back_no_longer_than_the_window() {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute(TABLE).await.unwrap();
    let slot = Slot::new(database.connect().await);
    let settings =
        [("WALCAST__WINDOW__AGE_SECONDS", "2"), ("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let walcast = Walcast::serve(&database, &settings).await;
    let (seen, _) = away(&walcast, &database, 3).await;
    let seen = cursor(&json!({ "cursor": seen }));
    assert!(slot.confirmed().await <= seen.commit, "acknowledged at once");
    slot.wait_for_confirmed(walcast::lsn::Lsn(seen.commit.0 + 1)).await;
    assert_eq!(walcast.ready().await["status"], "live");
}

/// Who sees no change for long has a cursor that the window leaves behind; the socket's position does not stay behind.
#[tokio::test]
async fn heartbeats_tell_a_quiet_socket_from_where_it_can_resume() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    let joined = socket.joined("realtime:public:t", json!({"frames": "type"})).await;
    let mut witness = Socket::connect(&walcast).await;
    witness.joined("realtime:public:other", json!({"frames": "type"})).await;
    client.batch_execute("insert into other values (1)").await.unwrap();
    let other = cursor(&witness.change().await);
    let reached = loop {
        socket.send(json!([null, "h", "phoenix", "heartbeat", {}]).to_string()).await;
        let frame = socket.frame().await;
        assert_eq!((&frame[1], &frame[3]), (&json!("h"), &json!("phx_reply")), "{frame}");
        let response = frame[4]["response"].clone();
        if response["position"].is_string() && position(&response) >= other {
            break response;
        }
    };
    assert_eq!(reached["epoch"], joined["epoch"]);
    client.batch_execute("insert into t (n) values (7)").await.unwrap();
    let missed = socket.change().await;
    let mut again = Socket::connect(&walcast).await;
    let response = again.joined("realtime:public:t", since(&reached["position"], &reached["epoch"])).await;
    assert_eq!(response["resumed"], true);
    assert_eq!(again.change().await, missed);
}

#[tokio::test]
async fn a_cursor_ahead_of_all_that_was_read_keeps_no_seat_once_its_socket_is_gone() {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute(TABLE).await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    let epoch = socket.joined("realtime:public:other", json!({"frames": "type"})).await["epoch"].clone();
    let mut ahead = Socket::connect(&walcast).await;
    let far = json!("FFFFFFFFFFFFFFFF-FFFFFFFFFFFFFFFF-0");
    assert_eq!(ahead.joined("realtime:public:t", since(&far, &epoch)).await["resumed"], true);
    drop(ahead);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !walcast.get("/metrics").await.1.contains("\nwalcast_sockets 1\n") {
        assert!(std::time::Instant::now() < end, "its seat is free");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
