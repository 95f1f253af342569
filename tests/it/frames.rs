//! WebSocket frames as no good client sends them: each costs its own socket at most, with the right code.

use serde_json::json;

use crate::raw::{CLOSE, CONTINUATION, PING, PONG, Raw, TEXT, masked};
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

const LIMIT: usize = 2048;

fn heartbeat(reference: &str) -> Vec<u8> {
    json!([null, reference, "phoenix", "heartbeat", {}]).to_string().into_bytes()
}

#[tokio::test]
async fn frames_that_break_the_rules_close_their_socket_alone() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute("create table users (id int8 primary key)").await.unwrap();
    let walcast = Walcast::serve(&database, &[("WALCAST__LIMITS__FRAME_BYTES", "2048")]).await;
    let mut other = Socket::connect(&walcast).await;
    other.joined("realtime:public:users", json!({})).await;

    let mut unmasked = vec![TEXT, 18];
    unmasked.extend_from_slice(b"[null,null,1,2,{}]");
    let mut huge = vec![TEXT, 0x80 | 127];
    huge.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    huge.extend_from_slice(&[0; 4]);
    let mut fragments = masked(0x01, &[b' '; 1500]);
    fragments.extend(masked(CONTINUATION, &[b' '; 1500]));
    let mut split_utf8 = masked(0x01, &[b'"', 0xC3]);
    split_utf8.extend(masked(CONTINUATION, b"\""));
    let mut two_texts = masked(0x01, b"[");
    two_texts.extend(masked(TEXT, b"]"));
    let cases: [(&str, Vec<u8>, u16); 14] = [
        ("not masked", unmasked, 1002),
        ("a reserved bit", masked(TEXT | 0x40, b"{}"), 1002),
        ("a reserved opcode", masked(0x83, b"{}"), 1002),
        ("a continuation of nothing", masked(CONTINUATION, b"{}"), 1002),
        ("a message within a message", two_texts, 1002),
        ("a ping in fragments", masked(0x09, b"x"), 1002),
        ("a long ping", masked(PING, &[0; 126]), 1002),
        ("a close of one byte", masked(CLOSE, &[3]), 1002),
        ("not UTF-8", masked(TEXT, b"\"\xFF\""), 1007),
        ("an end within a letter", masked(TEXT, b"\"\xC3"), 1007),
        ("not UTF-8 across fragments", split_utf8, 1007),
        ("one byte too many", masked(TEXT, &vec![b' '; LIMIT + 1]), 1009),
        ("a terabyte announced", huge, 1009),
        ("too much in fragments", fragments, 1009),
    ];
    for (what, bytes, code) in cases {
        let mut socket = Raw::connect(&walcast).await;
        // Its other channels have what they were told until then.
        socket.join("realtime:public:users").await;
        socket.send(TEXT, &heartbeat("before")).await;
        socket.send_bytes(&bytes).await;
        // Whatever comes behind is not acted upon.
        socket.send(TEXT, &heartbeat("after")).await;
        assert_eq!(socket.text().await[1], "before", "{what}");
        let (first, payload) = socket.frame().await.expect("a close frame");
        assert_eq!((first, payload.get(..2)), (CLOSE, Some(&code.to_be_bytes()[..])), "{what}");
        assert!(
            std::str::from_utf8(&payload[2..]).is_ok_and(|reason| !reason.is_empty()),
            "{what}: a reason"
        );
        assert_eq!(socket.frame().await, None, "{what}: and the end");
    }
    // Everybody else lives on.
    client.batch_execute("insert into users values (1)").await.unwrap();
    assert_eq!(other.change().await["record"]["id"], 1);
}

#[tokio::test]
async fn frames_within_the_rules_are_heard_in_every_form() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let walcast = Walcast::serve(&database, &[("WALCAST__LIMITS__FRAME_BYTES", "2048")]).await;
    let mut socket = Raw::connect(&walcast).await;

    // In fragments, one of them empty, cut within a letter, with a ping between.
    let text = json!([null, "grün", "phoenix", "heartbeat", {}]).to_string().into_bytes();
    let cut = text.iter().position(|byte| *byte > 127).unwrap() + 1;
    socket.send(0x01, &text[..cut]).await;
    socket.send(PING, b"are you there").await;
    assert_eq!(socket.frame().await, Some((PONG, b"are you there".to_vec())));
    socket.send(0x00, b"").await;
    socket.send(CONTINUATION, &text[cut..]).await;
    assert_eq!(socket.text().await[1], "grün");

    // As large as allowed; then byte by byte.
    let mut padded = heartbeat("large");
    padded.resize(LIMIT, b' ');
    socket.send(TEXT, &padded).await;
    assert_eq!(socket.text().await[1], "large");
    for byte in masked(TEXT, &heartbeat("slow")) {
        socket.send_bytes(&[byte]).await;
    }
    assert_eq!(socket.text().await[1], "slow");

    // Many at once.
    let many: Vec<u8> = (0..500).flat_map(|n| masked(TEXT, &heartbeat(&n.to_string()))).collect();
    socket.send_bytes(&many).await;
    for n in 0..500 {
        assert_eq!(socket.text().await[1], n.to_string());
    }

    // A binary frame is refused by name; pongs that nobody asked for are no matter.
    socket.send(PONG, b"").await;
    socket.send(0x82, &[3, 1, 1, 1]).await;
    let reason = socket.text().await[4]["response"]["reason"].clone();
    assert_eq!(reason, "BinaryUnsupported: binary frames are not supported; send text");

    // A goodbye is answered with its own code.
    socket.send(TEXT, &heartbeat("last")).await;
    socket.send(CLOSE, &[&1000_u16.to_be_bytes()[..], b"bye"].concat()).await;
    assert_eq!(socket.text().await[1], "last");
    assert_eq!(socket.close_code().await, Some(1000));
    assert_eq!(socket.frame().await, None);
}
