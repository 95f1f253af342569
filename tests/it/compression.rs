//! permessage-deflate (RFC 7692): who asks for it gets it, where it is on, and nobody else notices.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};

use crate::cluster::{self, Database};
use crate::program::{Program, file};
use crate::raw::{CLOSE, CONTINUATION, PING, PONG, Raw, TEXT, handshake, masked};
use crate::socket::Socket;
use crate::walcast::Walcast;

const ON: (&str, &str) = ("WALCAST__CHANNELS__COMPRESSION", "true");
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
const ANSWER: &str = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
const TOPIC: &str = "realtime:public:t";
/// The bit of a message that is compressed.
const COMPRESSED: u8 = 0x40;

async fn serve(further: &[(&str, &str)]) -> (Database, Walcast) {
    let database = cluster::shared(15).database().await;
    let table = "create table t (id int8 primary key, note text); create table a (b int primary key)";
    database.connect().await.batch_execute(table).await.unwrap();
    let walcast = Walcast::serve(&database, &[&[ON], further].concat()).await;
    (database, walcast)
}

async fn connect(walcast: &Walcast) -> Raw {
    let (raw, head) = Raw::with(walcast, &handshake("localhost", OFFER)).await;
    assert!(head.contains(ANSWER), "{head}");
    raw
}

fn inflated(payload: &[u8]) -> Vec<u8> {
    let whole = [payload, &[0, 0, 0xFF, 0xFF]].concat();
    let mut out = Vec::with_capacity(1 << 20);
    Decompress::new(false).decompress_vec(&whole, &mut out, FlushDecompress::Sync).unwrap();
    out
}

fn deflated(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 100);
    Compress::new(Compression::best(), false).compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
    out.strip_suffix(&[0, 0, 0xFF, 0xFF]).unwrap().to_vec()
}

/// The next text message, and whether it was compressed.
async fn message(raw: &mut Raw) -> (Value, bool) {
    let (first, payload) = raw.frame().await.expect("a frame");
    assert_eq!(first & !COMPRESSED, TEXT, "{first:x}");
    let compressed = first & COMPRESSED != 0;
    let text = if compressed { inflated(&payload) } else { payload };
    (serde_json::from_slice(&text).unwrap(), compressed)
}

#[tokio::test]
async fn changes_are_compressed_for_who_offers_it_and_plain_for_others_on_the_same_topic() {
    let (database, walcast) = serve(&[]).await;
    let (mut small, mut plain) = (connect(&walcast).await, Socket::connect(&walcast).await);
    plain.joined(TOPIC, json!({"frames": "type"})).await;
    small.join(TOPIC).await;
    let sql = database.connect().await;
    // One alone, some in a row, and one that is shared in parts with sockets that get it plain.
    sql.batch_execute("insert into t values (1, 'one')").await.unwrap();
    sql.batch_execute("insert into t select i, 'some' from generate_series(2, 50) i").await.unwrap();
    sql.batch_execute("insert into t values (51, repeat('large', 20000))").await.unwrap();
    for id in 1..=51 {
        let (told, compressed) = message(&mut small).await;
        assert!(compressed, "{id}");
        assert_eq!(told[4], plain.change().await, "{id}");
        assert_eq!(told[4]["record"]["id"], id);
    }
}

#[tokio::test]
async fn what_was_missed_and_snapshots_are_compressed_too_with_the_star_twins() {
    let (database, walcast) = serve(&[]).await;
    let sql = database.connect().await;
    let mut first = Socket::connect(&walcast).await;
    let response = first.joined(TOPIC, json!({})).await;
    sql.batch_execute("insert into t select i, 'missed' from generate_series(1, 20) i").await.unwrap();
    first.changes(20).await;
    let mut raw = connect(&walcast).await;
    let since = json!({"since": response["position"], "epoch": response["epoch"]});
    raw.send(TEXT, json!(["1", "1", TOPIC, "phx_join", since]).to_string().as_bytes()).await;
    assert_eq!(message(&mut raw).await.0[4]["response"]["resumed"], true);
    for frame in 0..40 {
        let (told, compressed) = message(&mut raw).await;
        assert!(compressed);
        assert_eq!(told[3], if frame % 2 == 0 { "*" } else { "INSERT" });
        assert_eq!(told[4]["record"]["id"], 1 + frame / 2);
    }
    sql.batch_execute("insert into t values (21, 'live')").await.unwrap();
    assert_eq!(message(&mut raw).await.0[4]["record"]["id"], 21);

    let mut raw = connect(&walcast).await;
    let join = json!(["1", "1", TOPIC, "phx_join", {"snapshot": true}]).to_string();
    raw.send(TEXT, join.as_bytes()).await;
    assert_eq!(message(&mut raw).await.0[4]["response"]["snapshot"], true);
    let (page, compressed) = message(&mut raw).await;
    assert!(compressed);
    assert_eq!(page[4]["records"].as_array().unwrap().len(), 21);
    assert_eq!(message(&mut raw).await.0[3], "snapshot_end");
}

#[tokio::test]
async fn clients_may_compress_what_they_send_also_in_fragments() {
    let (_database, walcast) = serve(&[]).await;
    let mut raw = connect(&walcast).await;
    let padding = " ".repeat(5000);
    let heartbeat = |reference: &str| {
        deflated(format!("[null,\"{reference}\",\"phoenix\",\"heartbeat\",{{}}{padding}]").as_bytes())
    };
    raw.send(TEXT | COMPRESSED, &heartbeat("whole")).await;
    assert_eq!(message(&mut raw).await.0[1], "whole");
    let bytes = heartbeat("in fragments");
    let (one, two) = bytes.split_at(bytes.len() / 2);
    raw.send(0x01 | COMPRESSED, one).await;
    raw.send(PING, b"between").await;
    assert_eq!(raw.frame().await, Some((PONG, b"between".to_vec())));
    raw.send(CONTINUATION, two).await;
    assert_eq!(message(&mut raw).await.0[1], "in fragments");
    // And what is not compressed is heard as ever.
    raw.send(TEXT, br#"[null,"plain","phoenix","heartbeat",{}]"#).await;
    assert_eq!(message(&mut raw).await.0[1], "plain");
}

#[tokio::test]
async fn bombs_and_what_is_no_deflate_end_their_socket_alone() {
    let (database, walcast) = serve(&[("WALCAST__LIMITS__FRAME_BYTES", "10000")]).await;
    let mut other = connect(&walcast).await;
    other.join(TOPIC).await;
    let bomb = deflated(&vec![b' '; 8_000_000]);
    assert!(bomb.len() < 10_000);
    let memory = walcast.memory();
    for (what, first, payload, code) in [
        ("a bomb", TEXT | COMPRESSED, &bomb[..], 1009_u16),
        ("a bomb of bytes", 0x82 | COMPRESSED, &bomb, 1009),
        ("no DEFLATE", TEXT | COMPRESSED, &[0xFF; 30], 1007),
        ("not UTF-8", TEXT | COMPRESSED, &deflated(b"\"\xFF\""), 1007),
        ("a compressed ping", PING | COMPRESSED, b"", 1002),
    ] {
        let mut raw = connect(&walcast).await;
        raw.send(TEXT, br#"[null,"before","phoenix","heartbeat",{}]"#).await;
        raw.send(first, payload).await;
        assert_eq!(message(&mut raw).await.0[1], "before", "{what}");
        let (first, payload) = raw.frame().await.expect("a close frame");
        assert_eq!((first, &payload[..2]), (CLOSE, &code.to_be_bytes()[..]), "{what}");
        assert_eq!(raw.frame().await, None, "{what}");
    }
    assert!(walcast.memory() < memory + 4_000_000);
    database.connect().await.batch_execute("insert into t values (1, 'one')").await.unwrap();
    assert_eq!(message(&mut other).await.0[4]["record"]["id"], 1);
}

#[tokio::test]
async fn many_messages_that_come_at_once_are_all_heard_and_never_inflated_at_once() {
    let (_database, walcast) = serve(&[]).await;
    let mut raw = connect(&walcast).await;
    let padding = " ".repeat(500_000);
    let mut bytes = Vec::new();
    for reference in 0..60 {
        let heartbeat = format!("[null,\"{reference}\",\"phoenix\",\"heartbeat\",{{}}{padding}]");
        bytes.extend(masked(TEXT | COMPRESSED, &deflated(heartbeat.as_bytes())));
    }
    assert!(bytes.len() < 60_000, "one read: {}", bytes.len());
    let memory = walcast.memory();
    raw.send_bytes(&bytes).await;
    for reference in 0..60 {
        assert_eq!(message(&mut raw).await.0[1], reference.to_string());
    }
    let peak = walcast.peak_memory();
    assert!(peak < memory + 10_000_000, "{memory} became {peak}");
}

#[tokio::test]
async fn both_ways_to_a_handshake_answer_an_offer_and_silence_answers_what_cannot_be() {
    let (database, walcast) = serve(&[]).await;
    // A request with a body is left to hyper.
    let slow = format!("{OFFER}Content-Length: 0\r\n");
    let (mut raw, head) = Raw::with(&walcast, &handshake("localhost", &slow)).await;
    assert!(head.contains(ANSWER), "{head}");
    raw.join(TOPIC).await;
    database.connect().await.batch_execute("insert into t values (1, 'one')").await.unwrap();
    assert!(message(&mut raw).await.1);
    let bounded = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n";
    let off = Walcast::serve(&database, &[]).await;
    for (walcast, offer) in [(&walcast, bounded), (&walcast, ""), (&off, OFFER), (&off, &slow)] {
        let (mut raw, head) = Raw::with(walcast, &handshake("localhost", offer)).await;
        assert!(!head.contains("sec-websocket-extensions"), "{head}");
        raw.send(TEXT | COMPRESSED, &deflated(b"[null,\"1\",\"phoenix\",\"heartbeat\",{}]")).await;
        assert_eq!(raw.close_code().await, Some(1002));
    }
}

#[tokio::test]
async fn a_client_that_others_wrote_compresses_and_inflates() {
    let (database, walcast) = serve(&[]).await;
    let url = format!("ws://{}/socket/websocket?vsn=2.0.0", walcast.address());
    let script = file("tests/clients/deflate.cjs");
    let mut program = Program::start("node".as_ref(), &[&script], &[("WALCAST_URL", &url), ("TOPIC", TOPIC)]);
    let joined: Value = serde_json::from_str(&program.expect_line().await).unwrap();
    assert_eq!(joined["extensions"], "permessage-deflate", "{joined}");
    assert_eq!(joined["frame"][4]["status"], "ok", "{joined}");
    let note = "words and words and more words; ".repeat(20_000);
    let sql = database.connect().await;
    sql.execute("insert into t values (1, $1)", &[&note]).await.unwrap();
    let told: Value = serde_json::from_str(&program.expect_line().await).unwrap();
    assert_eq!(told["frame"][4]["record"]["note"], note);
    assert!(told["bytes"].as_u64().unwrap() < 100_000, "{}", told["bytes"]);
}
