//! Phoenix conversations on real sockets: joins, leaves, heartbeats, names.

use serde_json::{Value, json};

use crate::cluster::Database;
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

async fn serve(schema: &str) -> (Database, tokio_postgres::Client, Walcast) {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute(schema).await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    (database, client, walcast)
}

const USERS: &str = "create table users (id int8 primary key, name text)";

/// A frame of either version as `[join_ref, ref, topic, event, payload]`; vsn 1.0.0 has no `join_ref`.
async fn frame(socket: &mut Socket, v2: bool) -> Value {
    let frame = socket.frame().await;
    if v2 {
        assert_eq!(frame.as_array().map(Vec::len), Some(5), "{frame}");
        return frame;
    }
    let keys: Vec<&String> = frame.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["event", "payload", "ref", "topic"], "exactly these keys");
    json!([null, frame["ref"], frame["topic"], frame["event"], frame["payload"]])
}

async fn send(socket: &mut Socket, v2: bool, frame: &Value) {
    let text = if v2 {
        frame.to_string()
    } else {
        json!({"join_ref": frame[0], "ref": frame[1], "topic": frame[2], "event": frame[3], "payload": frame[4]})
            .to_string()
    };
    socket.send(text).await;
}

#[tokio::test]
async fn every_path_serves_both_versions() {
    let (_database, client, walcast) = serve(USERS).await;
    let mut id = 0_i64;
    for path in ["/socket/websocket", "/realtime/v1/websocket", "/websocket"] {
        for (query, v2) in [("", false), ("?vsn=1.0.0&apikey=x", false), ("?apikey=x&vsn=2.0.0", true)] {
            let mut socket = Socket::open(&walcast, &format!("{path}{query}")).await;
            let mut say = async |said: Value, expected: Vec<Value>| {
                send(&mut socket, v2, &said).await;
                for mut expected in expected {
                    let frame = frame(&mut socket, v2).await;
                    if !v2 {
                        expected[0] = Value::Null;
                    }
                    let position = frame[4]["response"]["position"].clone();
                    if position.is_string() {
                        expected[4]["response"] = frame[4]["response"].clone();
                    }
                    assert_eq!(frame, expected, "{path}{query}: {said}");
                }
            };
            let ok = json!({"status": "ok", "response": {}});
            let topic = "realtime:public:users";
            for reference in [json!("h1"), json!(null), json!(7)] {
                let beat = json!([null, reference, "phoenix", "heartbeat", {}]);
                say(beat, vec![json!([null, reference, "phoenix", "phx_reply", ok])]).await;
            }
            let join = json!(["1", "1", topic, "phx_join", {"user_token": "x"}]);
            say(join, vec![json!(["1", "1", topic, "phx_reply", ok])]).await;
            id += 1;
            client.execute("insert into users values ($1, 'n')", &[&id]).await.unwrap();
            let mut twins = Vec::new();
            for event in ["*", "INSERT"] {
                let change = frame(&mut socket, v2).await;
                assert_eq!(
                    (&change[0], &change[1], &change[2], &change[3]),
                    (&json!(null), &json!(null), &json!(topic), &json!(event))
                );
                assert_eq!(change[4]["record"], json!({"id": id, "name": "n"}));
                twins.push(change[4].clone());
            }
            assert_eq!(twins[0], twins[1]);
            let mut say = async |said: Value, expected: Vec<Value>| {
                send(&mut socket, v2, &said).await;
                for mut expected in expected {
                    if !v2 {
                        expected[0] = Value::Null;
                    }
                    assert_eq!(frame(&mut socket, v2).await, expected, "{path}{query}: {said}");
                }
            };
            // No answer to a token; the leave's answer comes next.
            say(json!(["1", "2", topic, "access_token", {"access_token": "x"}]), vec![]).await;
            say(
                json!(["1", "3", topic, "phx_leave", {}]),
                vec![json!(["1", "3", topic, "phx_reply", ok]), json!(["1", "1", topic, "phx_close", {}])],
            )
            .await;
        }
    }
}

#[tokio::test]
async fn a_version_that_nobody_speaks_is_refused() {
    let (_database, _client, walcast) = serve(USERS).await;
    let handshake = crate::raw::handshake("localhost", "Connection: close\r\n").replace("2.0.0", "3.0.0");
    let (status, body) = walcast.request(&handshake).await;
    assert_eq!(status, 400);
    assert!(body.contains("VersionUnsupported"), "{body}");
}

#[tokio::test]
async fn joins_leaves_and_mistakes_concern_their_channel_alone() {
    let (_database, client, walcast) = serve(
        "create table users (id int8 primary key, name text); create table posts (id int8 primary key)",
    )
    .await;
    let mut socket = Socket::connect(&walcast).await;
    let mut other = Socket::connect(&walcast).await;
    socket.joined("realtime:public:posts", json!({})).await;
    other.joined("realtime:public:users", json!({})).await;
    let users = "realtime:public:users";
    let unmatched = json!({"status": "error", "response": {"reason": "unmatched topic"}});
    let ok = json!({"status": "ok", "response": {}});

    // What cannot be understood is answered, and the socket goes on.
    for (said, expected) in [
        ("not json".to_owned(), None),
        ("[]".to_owned(), None),
        (String::new(), None),
        ("{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":\"1\"}".to_owned(), None),
        (json!(["1", "1", users, "phx_join"]).to_string(), None),
        (json!(["1", {}, users, "phx_join", {}]).to_string(), None),
        (
            json!(["j", "a", "room:1", "phx_join", {}]).to_string(),
            Some(json!(["j", "a", "room:1", "phx_reply", unmatched])),
        ),
        (
            json!([null, "b", users, "shout", {}]).to_string(),
            Some(json!([null, "b", users, "phx_reply", unmatched])),
        ),
        (
            json!([null, "c", "phoenix", "shout", {}]).to_string(),
            Some(json!([null, "c", "phoenix", "phx_reply", unmatched])),
        ),
        // Whoever leaves what was never joined is out of it all the same.
        (
            json!(["9", "d", users, "phx_leave", {}]).to_string(),
            Some(json!(["9", "d", users, "phx_reply", ok])),
        ),
    ] {
        socket.send(said.clone()).await;
        let answer = socket.frame().await;
        if let Some(expected) = expected {
            assert_eq!(answer, expected, "{said}");
            continue;
        }
        assert_eq!((&answer[0], &answer[1], &answer[2]), (&json!(null), &json!(null), &json!("phoenix")));
        let reason = answer[4]["response"]["reason"].as_str().unwrap();
        assert!(reason.starts_with("FrameInvalid: "), "{said}: {reason}");
    }

    // A second join of the same topic ends the first.
    socket.send(json!(["j1", "r1", users, "phx_join", {}]).to_string()).await;
    let reply = socket.frame().await;
    assert_eq!((&reply[0], &reply[1], &reply[4]["status"]), (&json!("j1"), &json!("r1"), &json!("ok")));
    socket.send(json!(["j2", "r2", users, "phx_join", {}]).to_string()).await;
    assert_eq!(socket.frame().await, json!(["j1", "j1", users, "phx_close", {}]));
    let reply = socket.frame().await;
    assert_eq!((&reply[0], &reply[1], &reply[4]["status"]), (&json!("j2"), &json!("r2"), &json!("ok")));
    // A leave of the first is late, and does not end the second.
    socket.send(json!(["j1", "r3", users, "phx_leave", {}]).to_string()).await;
    assert_eq!(socket.frame().await, json!(["j1", "r3", users, "phx_reply", ok]));
    client.batch_execute("insert into users values (1, 'one'); insert into posts values (1)").await.unwrap();
    assert_eq!(socket.change_on().await.0, users);
    assert_eq!(socket.change_on().await.0, "realtime:public:posts", "told once, though joined twice");
    // After the real leave nothing comes any more; then it can be joined again.
    socket.send(json!(["j2", "r4", users, "phx_leave", {}]).to_string()).await;
    assert_eq!(socket.frame().await, json!(["j2", "r4", users, "phx_reply", ok]));
    assert_eq!(socket.frame().await, json!(["j2", "j2", users, "phx_close", {}]));
    client.batch_execute("insert into users values (2, 'two'); insert into posts values (2)").await.unwrap();
    assert_eq!(socket.change_on().await.0, "realtime:public:posts");
    socket.joined(users, json!({})).await;
    client.batch_execute("insert into users values (3, 'three')").await.unwrap();
    assert_eq!(socket.change().await["record"]["id"], 3);
    let seen: Vec<Value> =
        other.changes(3).await.iter().map(|change| change["record"]["id"].clone()).collect();
    assert_eq!(seen, [1, 2, 3]);
}

#[tokio::test]
async fn frames_and_profiles_are_chosen_by_each_join() {
    let (_database, client, walcast) =
        serve("create table precise (id int8 primary key, price numeric, ok bool, at timestamptz)").await;
    let topic = "realtime:public:precise";
    let mut sockets = Vec::new();
    for profile in [json!({}), json!({"profile": "exact"}), json!({"profile": "text"})] {
        for (frames, events) in [(json!("both"), 2), (json!("type"), 1)] {
            let mut options = profile.clone();
            options["frames"] = frames;
            let mut socket = Socket::connect(&walcast).await;
            socket.joined(topic, options).await;
            sockets.push((profile["profile"].clone(), events, socket));
        }
    }
    client
        .batch_execute("insert into precise values (9007199254740993, 1.5, true, '2024-02-29 12:00:00.5+02')")
        .await
        .unwrap();
    for (profile, events, socket) in &mut sockets {
        let (id, price, ok, at, types) = match profile.as_str() {
            Some("exact") => (
                json!("9007199254740993"),
                json!("1.5"),
                json!(true),
                "2024-02-29T10:00:00.5+00:00",
                ["bigint", "decimal", "bool", "timestamptz"],
            ),
            Some("text") => (
                json!("9007199254740993"),
                json!("1.5"),
                json!("t"),
                "2024-02-29 10:00:00.5+00",
                ["int8", "numeric", "bool", "timestamptz"],
            ),
            _ => (
                json!(9_007_199_254_740_993_i64),
                json!(1.5),
                json!(true),
                "2024-02-29T10:00:00.5+00:00",
                ["int8", "numeric", "bool", "timestamptz"],
            ),
        };
        for event in &["*", "INSERT"][2 - *events..] {
            let frame = socket.frame().await;
            assert_eq!(frame[3], *event);
            let record = &frame[4]["record"];
            assert_eq!(*record, json!({"id": id, "price": price, "ok": ok, "at": at}), "{profile}");
            let named: Vec<&str> =
                frame[4]["columns"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
            assert_eq!(named, types);
        }
        // Nothing else came: the next frame is the answer to this.
        socket.send(json!([null, "beat", "phoenix", "heartbeat", {}]).to_string()).await;
        assert_eq!(socket.frame().await[1], "beat");
    }
}

#[tokio::test]
async fn odd_names_are_reached_by_their_escapes_and_told_as_they_are() {
    let (_database, client, walcast) = serve(
        r#"create schema "we:ird";
           create table "we:ird"."100% *=é ""q"".x" ("k=e:y%" text primary key, "*" int);
           create schema "*"; create table "*"."*" (id int primary key);
           create table "Users" (id int primary key); create table users (id int primary key)"#,
    )
    .await;
    let mut socket = Socket::connect(&walcast).await;
    let table = r#"100% *=é "q".x"#;
    let spelled = r#"realtime:we%3Aird:100%25 *=é "q".x"#;
    let escaped = r"realtime:we%3aird:100%25%20%2A%3D%C3%A9%20%22q%22%2Ex";
    let filtered = format!("{spelled}:k%3De%3Ay%25=eq.a:b=c%3A%.é\n");
    let schema = "realtime:we%3Aird";
    let star = "realtime:%2A";
    let star_table = "realtime:%2A:*";
    for topic in [spelled, escaped, &filtered, schema, star, star_table, "realtime:public:Users"] {
        socket.joined(topic, json!({"frames": "type"})).await;
    }
    client
        .execute(
            r#"insert into "we:ird"."100% *=é ""q"".x" values ($1, 1), ('other', 2)"#,
            &[&"a:b=c%3A%.é\n"],
        )
        .await
        .unwrap();
    client
        .batch_execute(
            r#"insert into "*"."*" values (7); insert into users values (8); insert into "Users" values (9)"#,
        )
        .await
        .unwrap();
    let mut told = Vec::new();
    for _ in 0..10 {
        let (topic, change) = socket.change_on().await;
        told.push(json!([topic, change["schema"], change["table"], change["record"]]));
    }
    let first = json!({"k=e:y%": "a:b=c%3A%.é\n", "*": 1});
    let second = json!({"k=e:y%": "other", "*": 2});
    let mut expected = Vec::new();
    for (record, topics) in
        [(&first, &[spelled, escaped, &filtered, schema][..]), (&second, &[spelled, escaped, schema])]
    {
        expected.extend(topics.iter().map(|topic| json!([topic, "we:ird", table, record])));
    }
    expected.push(json!([star, "*", "*", {"id": 7}]));
    expected.push(json!([star_table, "*", "*", {"id": 7}]));
    expected.push(json!(["realtime:public:Users", "public", "Users", {"id": 9}]));
    let sort = |list: &mut Vec<Value>| list.sort_by_key(Value::to_string);
    sort(&mut told);
    sort(&mut expected);
    assert_eq!(told, expected[..10]);
}

#[tokio::test]
async fn a_socket_has_a_hundred_channels() {
    let (_database, client, walcast) = serve(USERS).await;
    let mut socket = Socket::connect(&walcast).await;
    for id in 0..100 {
        let topic = format!("realtime:public:users:id=eq.{id}");
        socket.send(json!([id.to_string(), id.to_string(), topic, "phx_join", {}]).to_string()).await;
    }
    let mut answered: Vec<i32> = Vec::new();
    for _ in 0..100 {
        let reply = socket.frame().await;
        assert_eq!(reply[4]["status"], "ok", "{reply}");
        assert_eq!(reply[2], format!("realtime:public:users:id=eq.{}", reply[1].as_str().unwrap()));
        answered.push(reply[1].as_str().unwrap().parse().unwrap());
    }
    answered.sort_unstable();
    assert!(answered.into_iter().eq(0..100), "each join is answered once");
    client.batch_execute("insert into users select g, 'n' from generate_series(-5, 104) g").await.unwrap();
    for id in 0..100 {
        let (topic, change) = socket.change_on().await;
        assert_eq!(
            (topic, &change["record"]["id"]),
            (format!("realtime:public:users:id=eq.{id}"), &json!(id))
        );
    }
    let reason = socket.refused("realtime:*", json!({})).await;
    assert_eq!(reason, "TooManyChannels: a socket may join 100 channels (limits.channels_per_socket)");
    socket.send(json!([null, "x", "realtime:public:users:id=eq.3", "phx_leave", {}]).to_string()).await;
    assert_eq!(socket.frame().await[1], "x");
    assert_eq!(socket.frame().await[3], "phx_close");
    socket.joined("realtime:*", json!({})).await;
}
