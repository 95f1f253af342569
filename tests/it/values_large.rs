//! Large values: what the log does not repeat of them, and that they arrive whole.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::socket::Socket;
use crate::values_json::{Members, canonical, quoted, told};
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

/// Text that compression cannot make small enough to stay inside of the row, `kilobytes` long.
fn large(kilobytes: usize) -> String {
    let words = (0..kilobytes * 32).map(|n: usize| format!("{:032x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    words.collect()
}

async fn one(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

fn record(payload: &Members) -> Value {
    payload.value("record")
}

#[tokio::test]
async fn a_large_value_that_did_not_change_is_named_or_taken_from_the_old_row() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table docs (id int primary key, big text, \"other \"\"big\"\"\" jsonb, small int); \
                 alter table docs alter big set storage external, alter \"other \"\"big\"\"\" set storage external",
            )
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:docs", json!({"frames": "type"})).await;

        let (big, other) = (large(20), json!({"n": large(8)}));
        let insert = "insert into docs values (1, $1, $2::text::jsonb, 1)";
        client.execute(insert, &[&big, &other.to_string()]).await.unwrap();
        let inserted = told(&mut socket).await;
        assert_eq!(record(&inserted), json!({"id": 1, "big": big, "other \"big\"": other, "small": 1}));
        assert_eq!(inserted.get("unchanged"), None);

        client.batch_execute("update docs set small = 2").await.unwrap();
        let updated = told(&mut socket).await;
        assert_eq!(record(&updated), json!({"id": 1, "small": 2}));
        assert_eq!(updated.value("unchanged"), json!(["big", "other \"big\""]));
        assert_eq!(updated.get("old_record"), None);

        client.batch_execute("update docs set id = 2, big = null").await.unwrap();
        let moved = told(&mut socket).await;
        assert_eq!(record(&moved), json!({"id": 2, "big": null, "small": 2}));
        assert_eq!(moved.value("unchanged"), json!(["other \"big\""]));
        assert_eq!(moved.value("old_record"), json!({"id": 1}));

        client.batch_execute("alter table docs replica identity full").await.unwrap();
        client.batch_execute("update docs set small = 3").await.unwrap();
        let full = told(&mut socket).await;
        assert_eq!(record(&full), json!({"id": 2, "big": null, "other \"big\"": other, "small": 3}));
        assert_eq!(full.get("unchanged"), None);
        let old = json!({"id": 2, "big": null, "other \"big\"": other, "small": 2});
        assert_eq!(full.value("old_record"), old, "on {major}");
        assert!(walcast.stop().success());
    }
}

/// A key that lies outside of the row is logged with every update, whether or not it changed, so that it is
/// known although the new row does not repeat it.
#[tokio::test]
async fn a_large_key_that_did_not_change_is_still_told_and_still_found_by_its_filter() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table named (name text primary key, n int); alter table named alter name set storage external",
            )
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let name = &large(3)[..2500];
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:named", json!({"frames": "type"})).await;
        let mut filtered = Socket::connect(&walcast).await;
        let topic = format!("realtime:public:named:name=eq.{name}");
        filtered.joined(&topic, json!({"frames": "type"})).await;
        let mut others = Socket::connect(&walcast).await;
        others.joined("realtime:public:named:name=eq.other", json!({"frames": "type"})).await;

        client.execute("insert into named values ($1, 1)", &[&name]).await.unwrap();
        client.batch_execute("update named set n = 2; insert into named values ('other', 3)").await.unwrap();
        for socket in [&mut socket, &mut filtered] {
            assert_eq!(record(&told(socket).await), json!({"name": name, "n": 1}));
            let updated = told(socket).await;
            assert_eq!(record(&updated), json!({"name": name, "n": 2}), "on {major}");
            assert_eq!(updated.get("unchanged"), None);
        }
        assert_eq!(record(&told(&mut others).await), json!({"name": "other", "n": 3}), "on {major}");
        assert!(walcast.stop().success());
    }
}

#[tokio::test]
async fn a_text_of_16_mb_and_rows_of_several_mb_in_one_transaction_arrive_whole() {
    let database = cluster::shared(postgres_binaries::majors()[1]).database().await;
    let client = database.connect().await;
    client.batch_execute("create table large (id int primary key, t text, b bytea, j json)").await.unwrap();
    // This client is a debug build on a busy machine; how slow a client may be is another test's matter.
    let walcast = Walcast::serve(&database, &[("WALCAST__OUTBOX__PAUSE_MS", "10000")]).await;
    let mut socket = Socket::connect(&walcast).await;
    // With the `*` twin, so that one change is twice as large as it is.
    socket.joined("realtime:public:large", json!({})).await;

    let unit = "0123456789 \"ü\"\n";
    let text = unit.repeat(16 * 1024 * 1024 / unit.len());
    let insert = "insert into large (id, t) values (1, repeat($1, $2))";
    let count = i32::try_from(text.len() / unit.len()).unwrap();
    client.execute(insert, &[&unit, &count]).await.unwrap();
    for event in ["*", "INSERT"] {
        let frame = socket.text().await;
        assert!(frame.contains(&format!("\"realtime:public:large\",\"{event}\",")), "not a frame of {event}");
        let start = frame.find("\"t\":").expect("the column") + 4;
        let expected = quoted(&text);
        // Compared without printing: a failure would write 16 MB.
        assert!(
            frame[start..].starts_with(&expected),
            "16 MB came damaged, in a frame of {} bytes",
            frame.len()
        );
    }

    client
        .batch_execute(
            "insert into large select n, repeat(n::text, 3000000), decode(repeat('ab' || lpad(n::text, 2, '0'), 750000), 'hex'),
               to_json(array_fill(n, array[1000000])) from generate_series(2, 4) n",
        )
        .await
        .unwrap();
    // All are read before any is looked at, for this client is slow to look.
    let mut frames = Vec::new();
    for _ in 0..6 {
        frames.push(socket.text().await);
    }
    for (at, frame) in frames.iter().enumerate() {
        let n = at / 2 + 2;
        let event = if at % 2 == 0 { "*" } else { "INSERT" };
        assert!(frame.contains(&format!("\"realtime:public:large\",\"{event}\",")), "not a frame of {event}");
        let bytes = format!("ab{n:02}").repeat(750_000);
        let numbers = format!("{n},").repeat(1_000_000);
        let record = format!(
            "\"record\":{{\"id\":{n},\"t\":\"{}\",\"b\":\"\\\\x{bytes}\",\"j\":[{}]}}",
            n.to_string().repeat(3_000_000),
            &numbers[..numbers.len() - 1]
        );
        let start = frame.find("\"record\":").expect("the record");
        assert!(
            frame[start..].starts_with(&record),
            "row {n} came damaged, in a frame of {} bytes",
            frame.len()
        );
    }
    client.batch_execute("update large set j = '1' where id = 1").await.unwrap();
    let small = socket.change().await;
    assert_eq!(
        (&small["record"], &small["unchanged"]),
        (&json!({"id": 1, "b": null, "j": 1}), &json!(["t"]))
    );
    assert!(walcast.stop().success());
}

/// A table of 1,600 columns, the most that Postgres has.
#[tokio::test]
async fn the_widest_table_arrives_in_column_order() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    let columns: Vec<String> = (0..1600).rev().map(|n| format!("c{n} \"char\"")).collect();
    client.batch_execute(&format!("create table wide ({})", columns.join(", "))).await.unwrap();
    client.batch_execute("alter table wide replica identity full").await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:wide", json!({"frames": "type"})).await;
    client.batch_execute("insert into wide (c0, c1599) values ('z', 'a')").await.unwrap();
    let wide = told(&mut socket).await;
    let record = Members::of(wide.json("record"));
    let names: Vec<String> = (0..1600).rev().map(|n| format!("c{n}")).collect();
    assert_eq!(record.names(), names);
    assert_eq!((record.json("c1599"), record.json("c1"), record.json("c0")), ("\"a\"", "null", "\"z\""));
    let expected = one(&client, "select to_json(wide)::text from wide").await;
    assert_eq!(canonical(wide.json("record")), canonical(&expected));
    assert!(walcast.stop().success());
}
