//! Databases whose text is not UTF-8, or of no encoding at all.

use serde_json::json;

use crate::socket::Socket;
use crate::values_json::{Members, quoted, told};
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

/// Without an encoding the database takes any bytes, and no server can convert them: each value that is not
/// UTF-8 shows its damage, and everything around it is as it was.
#[tokio::test]
async fn in_sql_ascii_what_is_not_utf8_degrades_value_by_value() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database_with("encoding 'SQL_ASCII' template template0").await;
        let client = database.connect().await;
        client
            .batch_execute(
                r"create type pair as (a text, n int8);
                  do $$ begin execute format('create type mood as enum (%L, %L)', 'ok', E'gr\xfcn'); end $$;
                  create table raw (id int primary key, t text, a text[], p pair, j json, m mood, n numeric)",
            )
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:raw", json!({"frames": "type"})).await;
        client
            .batch_execute(
                r#"insert into raw values (1, E'gr\xc3\xbcn', array['ok'], row('a', 1), '{"k": 1.0}', 'ok', 1.10);
                   insert into raw values (2, E'gr\xfcn', array['ok', E'\xff"', null], row(E'\xfc,', 2),
                                           E'{"k": "\xfc"}', E'gr\xfcn', 1.10);
                   update raw set t = 'whole again' where id = 2"#,
            )
            .await
            .unwrap();
        let whole = told(&mut socket).await;
        let expected =
            r#"{"id":1,"t":"grün","a":["ok"],"p":{"a":"a","n":1},"j":{"k": 1.0},"m":"ok","n":1.10}"#;
        assert_eq!(whole.json("record"), expected, "on {major}");
        let damaged = "{\"id\":2,\"t\":\"gr\u{FFFD}n\",\"a\":[\"ok\",\"\u{FFFD}\\\"\",null],\
                       \"p\":{\"a\":\"\u{FFFD},\",\"n\":2},\"j\":\"{\\\"k\\\": \\\"\u{FFFD}\\\"}\",\
                       \"m\":\"gr\u{FFFD}n\",\"n\":1.10}";
        assert_eq!(told(&mut socket).await.json("record"), damaged, "on {major}");
        let updated = told(&mut socket).await;
        assert_eq!(updated.value("record")["t"], "whole again");
        assert_eq!(walcast.ready().await["status"], "live");
        assert!(walcast.stop().success());
    }
}

/// Names are bytes, too. Such a table can be told of, and it must not stop the stream for all others.
#[tokio::test]
async fn in_sql_ascii_names_that_are_not_utf8_do_not_stop_the_stream() {
    let major = postgres_binaries::majors()[0];
    let database = cluster::shared(major).database_with("encoding 'SQL_ASCII' template template0").await;
    let client = database.connect().await;
    client.batch_execute("create table plain (id int primary key)").await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public", json!({"frames": "type"})).await;
    client
        .batch_execute(
            r"do $$ begin
                execute format('create type %I as enum (%L)', E'm\xfcd', 'yes');
                execute format('create type pair as (%I int, b %I)', E'\xfc', E'm\xfcd');
                execute format('create table odd (id int primary key, %I text, m %I, p pair)', E'c\xfc', E'm\xfcd');
                execute 'insert into odd values (1, ''text'', ''yes'', row(1, ''yes''))';
              end $$;
              insert into plain values (2)",
        )
        .await
        .unwrap();
    let odd = told(&mut socket).await;
    let record = Members::of(odd.json("record"));
    assert_eq!(record.names(), ["id", "c\u{FFFD}", "m", "p"]);
    assert_eq!(record.json("p"), "{\"\u{FFFD}\":1,\"b\":\"yes\"}");
    assert_eq!(odd.value("columns")[2]["type"], "m\u{FFFD}d");
    assert_eq!((record.json("c\u{FFFD}"), record.json("m")), ("\"text\"", "\"yes\""));
    assert_eq!(told(&mut socket).await.json("record"), r#"{"id":2}"#);
    assert!(walcast.stop().success());
}

#[tokio::test]
async fn text_of_another_encoding_is_converted_to_utf8_whatever_the_role_asks_for() {
    for &major in postgres_binaries::majors() {
        let options = "encoding 'LATIN1' template template0";
        let database = cluster::shared(major).database_with(options).await;
        let name = database.name();
        database
            .connect()
            .await
            .batch_execute(&format!(
                "alter role current_user in database {name} set client_encoding = 'LATIN1'"
            ))
            .await
            .unwrap();
        let client = database.connect().await;
        client
            .batch_execute(
                "create type mood as enum ('grün'); create type pair as (\"ä\" text, m mood); \
                 create table \"Größe\" (id int primary key, \"ö\" text, m mood[], p pair, j jsonb)",
            )
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:Größe", json!({"frames": "type"})).await;
        client
            .batch_execute(
                r#"insert into "Größe" values (1, 'é "ß"', '{grün}', row('ÿ', 'grün'), '{"ñ": "\u00e9"}')"#,
            )
            .await
            .unwrap();
        let change = told(&mut socket).await;
        assert_eq!(change.value("table"), "Größe");
        let expected = r#"{"id":1,"ö":"é \"ß\"","m":["grün"],"p":{"ä":"ÿ","m":"grün"},"j":{"ñ": "é"}}"#;
        assert_eq!(change.json("record"), expected, "on {major}");
        assert!(walcast.stop().success());
    }
}

/// `"char"` is one byte. Before 15, servers print a byte from 128 on as it is, which is no UTF-8 even in a UTF-8 database; then
/// as an escape.
#[tokio::test]
async fn a_single_byte_type_cannot_break_a_frame() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute("create table bytes (id int primary key, c \"char\", cs \"char\"[])")
            .await
            .unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:bytes", json!({"frames": "type"})).await;
        client.batch_execute("insert into bytes values (1, 'é', array['é'::\"char\", 'x'])").await.unwrap();
        let c = quoted(if major < 15 { "\u{FFFD}" } else { r"\303" });
        let expected = format!("{{\"id\":1,\"c\":{c},\"cs\":[{c},\"x\"]}}");
        assert_eq!(told(&mut socket).await.json("record"), expected, "on {major}");
        assert!(walcast.stop().success());
    }
}
