//! What a transaction can be: huge, rolled back in parts, prepared, truncating, in odd encodings.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use walcast::lsn::Cursor;

use crate::slot::{Slot, assert_cursors_grow, id};
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

#[tokio::test]
async fn a_transaction_of_200_000_rows_arrives_whole_and_in_order() {
    const ROWS: i64 = 200_000;
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    // A test's client is slower than the server.
    let settings = [("WALCAST__LIMITS__IDLE_SECONDS", "600"), ("WALCAST__OUTBOX__BYTES", "1073741824")];
    let walcast = Walcast::serve(&database, &settings).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({"frames": "type"})).await;
    client.batch_execute(&format!("insert into t select generate_series(1, {ROWS})")).await.unwrap();
    let mut last = Cursor::default();
    let mut next = 1;
    while next <= ROWS {
        // Reading all of it as JSON would take a test's build many seconds.
        let text = match socket.message().await {
            Some(Message::Text(text)) => text,
            Some(Message::Ping(_)) => continue,
            other => panic!("{other:?} at row {next}"),
        };
        let between = |before: &str, after: char| {
            text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map(|(value, _)| value)
        };
        let Some(cursor) = between("\"cursor\":\"", '"') else { continue };
        let cursor: Cursor = cursor.parse().unwrap();
        assert!(cursor > last, "{cursor} after {last}");
        assert_eq!(between("\"record\":{\"id\":", '}'), Some(next.to_string().as_str()));
        last = cursor;
        next += 1;
    }
}

#[tokio::test]
async fn rows_of_one_copy_have_cursors_of_their_own() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let other = Slot::created(database.connect().await).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({"frames": "type"})).await;
        let text = (1..=10_000).map(|id| id.to_string()).collect::<Vec<_>>().join("\n");
        let sink = client.copy_in("copy t from stdin").await.unwrap();
        let mut sink = Box::pin(sink);
        futures_util::SinkExt::send(&mut sink, bytes::Bytes::from(text)).await.unwrap();
        sink.as_mut().finish().await.unwrap();
        let told = socket.changes(10_000).await;
        assert!(told.iter().map(id).eq(1..=10_000));
        assert_cursors_grow(&told);
        let shared = told.windows(2).filter(|pair| lsn(&pair[0]) == lsn(&pair[1])).count();
        assert!(shared > 5_000, "rows of a COPY share positions, else this shows nothing: {shared}");
        // Whoever decodes it again names each row alike, to the last byte.
        assert!(other.peek("walcast").await == told, "a second decoding differs");
    }
}

/// The cursor without its index.
fn lsn(payload: &Value) -> &str {
    payload["cursor"].as_str().unwrap().rsplit_once('-').unwrap().0
}

#[tokio::test]
async fn what_was_rolled_back_is_never_told() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key, n int)").await.unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({})).await;
        client
            .batch_execute(
                "begin; insert into t values (-1, 0); rollback; \
                 begin; insert into t values (1, 0); savepoint a; insert into t values (-2, 0); \
                 rollback to a; insert into t values (2, 0); savepoint b; insert into t values (3, 0); \
                 release b; savepoint c; savepoint d; insert into t values (4, 0); release d; \
                 insert into t values (-3, 0); rollback to c; insert into t values (5, 0); commit; \
                 insert into t values (5, 1) on conflict (id) do update set n = excluded.n; \
                 insert into t values (5, 2) on conflict do nothing; insert into t values (6, 0)",
            )
            .await
            .unwrap();
        let told = socket.changes(6).await;
        let rows: Vec<_> =
            told.iter().map(|change| json!([change["type"], id(change), change["record"]["n"]])).collect();
        let insert = |id| json!(["INSERT", id, 0]);
        assert_eq!(rows, [insert(1), insert(2), insert(3), insert(5), json!(["UPDATE", 5, 1]), insert(6)]);
        assert_cursors_grow(&told);
        let stamp = |change: &Value| change["commit_timestamp"].clone();
        assert!(told[..4].iter().all(|change| stamp(change) == stamp(&told[0])), "one transaction, one time");
    }
}

#[tokio::test]
async fn a_truncate_of_several_tables_is_told_on_each() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table a (id int primary key); create table b (id int primary key references a); \
                 create table c (id int primary key); insert into a values (1); insert into b values (1)",
            )
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut all = Socket::connect(&walcast).await;
        all.joined("realtime:*", json!({})).await;
        let mut b = Socket::connect(&walcast).await;
        b.joined("realtime:public:b", json!({})).await;
        client.batch_execute("truncate a, c restart identity cascade").await.unwrap();
        let told = all.changes(3).await;
        assert_cursors_grow(&told);
        let mut tables: Vec<_> = told.iter().map(|change| change["table"].as_str().unwrap()).collect();
        tables.sort_unstable();
        assert_eq!(tables, ["a", "b", "c"]);
        assert!(told.iter().all(|change| change["type"] == "TRUNCATE"));
        let at_b = b.change().await;
        assert!(told.contains(&at_b), "{at_b}");
    }
}

#[tokio::test]
async fn messages_of_others_and_empty_transactions_pass_unnoticed() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({})).await;
        client
            .batch_execute(
                "select pg_logical_emit_message(true, 'other', 'x'), pg_logical_emit_message(false, '', ''); \
                 select pg_logical_emit_message(true, 'walcast.marker', '0000000000000000'); \
                 begin; insert into t values (1); select pg_logical_emit_message(false, 'walcast.marker', 'x'), \
                   pg_logical_emit_message(true, 'other', decode('ff00fe', 'hex')); insert into t values (2); commit; \
                 begin; select pg_logical_emit_message(false, 'other', 'told even so'); rollback; \
                 select txid_current(); create table u (id int primary key); insert into t values (3)",
            )
            .await
            .unwrap();
        let told = socket.changes(3).await;
        assert!(told.iter().map(id).eq(1..=3));
        assert_eq!(walcast.ready().await["status"], "live");
    }
}

#[tokio::test]
async fn text_of_another_server_encoding_arrives_as_utf8() {
    let shared = cluster::shared(15);
    let name = format!("latin_{}", std::process::id());
    let admin = cluster::connect(&shared.cluster().url("postgres")).await;
    admin
        .batch_execute(&format!("create database {name} encoding 'LATIN1' template template0"))
        .await
        .unwrap();
    let url = shared.cluster().url(&name);
    let client = cluster::connect(&url).await;
    // What the database and the role are set to must not show in what clients read.
    client
        .batch_execute(&format!(
            "alter database {name} set datestyle = 'German'; alter database {name} set timezone = 'Asia/Tokyo'; \
             alter database {name} set bytea_output = 'escape'; alter database {name} set extra_float_digits = -10; \
             alter database {name} set intervalstyle = 'iso_8601'; alter database {name} set client_encoding = 'LATIN1'; \
             create table \"größe\" (id int primary key, v text, d date, t timestamptz, b bytea, f float8, i interval)"
        ))
        .await
        .unwrap();
    let slot = Slot::new(cluster::connect(&url).await);
    let walcast = Walcast::spawn(&url, &[("WALCAST__REPLICATION__SLOT", &slot.name)]);
    walcast.wait_for_status("live").await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:größe", json!({})).await;
    client
        .batch_execute(
            "insert into \"größe\" values (1, 'Füße', '2026-01-02', '2026-01-02 03:04:05+00', '\\x00ff', 0.1, '1 day')",
        )
        .await
        .unwrap();
    let record = json!({"id": 1, "v": "Füße", "d": "2026-01-02", "t": "2026-01-02T03:04:05+00:00", "b": "\\x00ff",
                        "f": 0.1, "i": "1 day"});
    assert_eq!(socket.change().await["record"], record);
    assert!(walcast.stop().success());
    slot.drop_under_its_reader().await;
}
