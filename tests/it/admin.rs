//! What the application's own server asks for over HTTP: who may, and what is refused.

use serde_json::{Value, json};

use crate::cluster::Database;
use crate::walcast::{Walcast, until};
use crate::{cluster, postgres_binaries};

const SECRET: &str = "correct-horse-battery";

const JSON: &str = "Host: localhost\r\nContent-Type: application/json\r\n";

const KEYS: &str = r#"{"keys": ["Auction:123", "Query.auctions"]}"#;

async fn serve(settings: &[(&str, &str)]) -> (Database, Walcast) {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let settings = [settings, &[("WALCAST__LOG__FILTER", "walcast=trace")]].concat();
    let walcast = Walcast::spawn(&database.url(), &settings);
    (database, walcast)
}

/// The status, the head and the body of the answer to a POST.
async fn post(walcast: &Walcast, path: &str, headers: &str, body: &str) -> (u16, String, Value) {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let (head, body) = walcast.exchange(&request).await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = serde_json::from_str(&body).unwrap_or_else(|_| panic!("not JSON: {head} {body}"));
    (status, head.to_lowercase(), body)
}

/// As [`post`], the code of a refusal with its status.
async fn refusal(walcast: &Walcast, path: &str, headers: &str, body: &str) -> (u16, String) {
    let (status, _, body) = post(walcast, path, headers, body).await;
    (status, body["error"]["code"].as_str().unwrap_or_else(|| panic!("{status} {body}")).to_owned())
}

/// The text of a refusal for what stands in the body.
async fn complaint(walcast: &Walcast, path: &str, body: &str) -> String {
    let (status, _, answer) = post(walcast, path, JSON, body).await;
    assert_eq!(status, 400, "{body}");
    let (code, message) = (&answer["error"]["code"], &answer["error"]["message"]);
    assert!(!message.as_str().unwrap().contains("hunter2"), "a value is repeated: {message}");
    format!("{}: {}", code.as_str().unwrap(), message.as_str().unwrap())
}

#[tokio::test]
async fn local_programs_invalidate_and_publish_without_a_secret() {
    let (_database, walcast) = serve(&[]).await;
    let accepted = async |path: &str, headers: &str, body: &str, answer: Value| {
        let (status, head, body) = post(&walcast, path, headers, body).await;
        assert_eq!((status, body), (202, answer), "{path} {headers}");
        assert!(head.contains("cache-control: no-store"), "{head}");
    };
    for headers in [
        JSON,
        "Host: 127.0.0.1:4000\r\nContent-Type: application/json; charset=utf-8\r\n",
        "Host: [::1]\r\nContent-Type: application/json\r\nOrigin: http://localhost:3000\r\n",
    ] {
        accepted("/invalidate", headers, KEYS, json!({"keys": 2})).await;
    }
    let one = r#"{"topic": "countdown", "event": "tick", "payload": {"left": 9.50}}"#;
    accepted("/publish", JSON, one, json!({"messages": 1})).await;
    let null = r#"{"topic": "countdown", "event": "tick", "payload": null, "private": true}"#;
    accepted("/publish", JSON, null, json!({"messages": 1})).await;
    accepted("/publish", JSON, &format!(r#"{{"messages": [{one}, {null}]}}"#), json!({"messages": 2})).await;
    let most = json!({"keys": vec![format!("K:{}", "1".repeat(1022)); 1000]}).to_string();
    accepted("/invalidate", JSON, &most, json!({"keys": 1000})).await;
    for path in ["/invalidate", "/publish"] {
        assert_eq!(walcast.get(path).await.0, 405, "{path}");
    }
}

#[tokio::test]
async fn without_a_secret_whatever_may_come_from_afar_is_refused() {
    let listed =
        [("WALCAST__AUTH__ORIGINS", "https://app.example.com"), ("WALCAST__AUTH__HOSTS", "db.internal")];
    let (_database, walcast) = serve(&listed).await;
    for added in [
        "Forwarded: for=192.0.2.1\r\n",
        "X-Forwarded-For: 127.0.0.1\r\n",
        "x-forwarded-proto: https\r\n",
        "X-Forwarded-Server: proxy\r\n",
        "X-Real-IP: 127.0.0.1\r\n",
        "Via: 1.1 proxy\r\n",
        // Both may read, if they are listed; that is another matter.
        "Origin: https://app.example.com\r\n",
    ] {
        let (status, _, body) = post(&walcast, "/invalidate", &format!("{JSON}{added}"), KEYS).await;
        assert_eq!((status, &body["error"]["code"]), (403, &json!("AdminRefused")), "{added}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("WALCAST__ADMIN__SECRET"), "it tells how to mend it: {message}");
    }
    let host = "Host: db.internal\r\nContent-Type: application/json\r\n";
    assert_eq!(refusal(&walcast, "/publish", host, "{}").await, (403, "AdminRefused".to_owned()));
    // The general rule comes first.
    for (headers, code) in [
        ("Host: evil.example\r\nContent-Type: application/json\r\n", "OriginRefused"),
        (
            "Host: localhost\r\nContent-Type: application/json\r\nOrigin: https://evil.example\r\n",
            "OriginRefused",
        ),
        ("Host: localhost\r\nContent-Type: application/json\r\nOrigin: null\r\n", "OriginRefused"),
    ] {
        assert_eq!(
            refusal(&walcast, "/invalidate", headers, KEYS).await,
            (403, code.to_owned()),
            "{headers}"
        );
    }
    // Whoever listens for others hears nobody without a secret.
    let open = [("WALCAST__LISTEN", "0.0.0.0:0"), ("WALCAST__AUTH__MODE", "none")];
    let (_database, open) = serve(&[&open[..], &[("WALCAST__GRAPHQL__ENABLED", "false")]].concat()).await;
    assert_eq!(refusal(&open, "/invalidate", JSON, KEYS).await, (403, "AdminRefused".to_owned()));
}

#[tokio::test]
async fn with_a_secret_it_alone_counts() {
    let settings = [("WALCAST__ADMIN__SECRET", SECRET), ("WALCAST__AUTH__HOSTS", "rt.example.com")];
    let (_database, walcast) = serve(&settings).await;
    let right = format!("{JSON}Authorization: Bearer {SECRET}\r\n");
    for headers in [
        right.clone(),
        format!("{JSON}authorization: bearer {SECRET}\r\n"),
        format!("{right}X-Forwarded-For: 192.0.2.1\r\nVia: 1.1 proxy\r\n"),
        right.replace("Host: localhost", "Host: rt.example.com"),
    ] {
        let (status, _, body) = post(&walcast, "/invalidate", &headers, KEYS).await;
        assert_eq!((status, body), (202, json!({"keys": 2})), "{headers}");
    }
    for (added, challenge) in [
        (String::new(), "www-authenticate: bearer realm=\"walcast\"\r\n"),
        (
            "Authorization: Basic Y29ycmVjdA==\r\n".to_owned(),
            "www-authenticate: bearer realm=\"walcast\"\r\n",
        ),
        (format!("Authorization: {SECRET}\r\n"), "www-authenticate: bearer realm=\"walcast\"\r\n"),
        (
            format!("Authorization: Bearer {SECRET}\r\nAuthorization: Bearer {SECRET}\r\n"),
            "www-authenticate: bearer realm=\"walcast\"\r\n",
        ),
        (
            format!("Authorization: Bearer {SECRET}r\r\n"),
            "www-authenticate: bearer realm=\"walcast\", error=\"invalid_token\"\r\n",
        ),
        (
            "Authorization: Bearer hunter2hunter2hunter2\r\n".to_owned(),
            "www-authenticate: bearer realm=\"walcast\", error=\"invalid_token\"\r\n",
        ),
    ] {
        for path in ["/invalidate", "/publish"] {
            let (status, head, body) = post(&walcast, path, &format!("{JSON}{added}"), "not even read").await;
            assert_eq!((status, &body["error"]["code"]), (401, &json!("Unauthorized")), "{added}");
            assert!(format!("{head}\r\n").contains(challenge), "{added} {head}");
        }
    }
    // A secret does not lift the rule of hosts and origins.
    let strange = right.replace("Host: localhost", "Host: evil.example");
    assert_eq!(refusal(&walcast, "/invalidate", &strange, KEYS).await, (403, "OriginRefused".to_owned()));
    until("the log is written", async || walcast.log().contains("invalidated")).await;
    let log = walcast.log();
    for unseen in [SECRET, "hunter2", "Auction:123"] {
        assert!(!log.contains(unseen), "{unseen} is logged:\n{log}");
    }
}

#[tokio::test]
async fn bodies_must_be_json_and_say_so() {
    let (_database, walcast) = serve(&[]).await;
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json; charset=latin1\r\n",
    ] {
        for path in ["/invalidate", "/publish"] {
            let (status, head, body) =
                post(&walcast, path, &format!("Host: localhost\r\n{kind}"), KEYS).await;
            assert_eq!((status, &body["error"]["code"]), (415, &json!("ContentTypeUnsupported")), "{kind}");
            assert!(head.contains("accept: application/json"), "{head}");
        }
    }
    let long = format!("{{\"keys\": [\"{}\"]}}", "k".repeat(1024 * 1024));
    assert_eq!(refusal(&walcast, "/invalidate", JSON, &long).await, (413, "BodyTooLarge".to_owned()));
    for body in ["", "hunter2", "{\"keys\": [\"hunter2\"", "{\"keys\": [\"hunter2\"]} x"] {
        let text = complaint(&walcast, "/invalidate", body).await;
        assert!(text.starts_with("RequestInvalid: the body is not JSON, from line 1, column "), "{text}");
    }
    for (path, body) in [
        ("/invalidate", "{}"),
        ("/invalidate", "[[\"hunter2\"]]"),
        ("/invalidate", r#"{"keys": "hunter2"}"#),
        ("/invalidate", r#"{"keys": ["hunter2", 1]}"#),
        ("/invalidate", r#"{"keys": ["hunter2"], "hunter2": 1}"#),
        ("/publish", "{}"),
        ("/publish", r#"{"topic": "hunter2", "event": "e"}"#),
        ("/publish", r#"{"topic": "hunter2", "payload": 1}"#),
        ("/publish", r#"{"event": "hunter2", "payload": 1}"#),
        ("/publish", r#"{"topic": "t", "event": "e", "payload": 1, "private": "hunter2"}"#),
        ("/publish", r#"{"topic": "t", "event": "e", "payload": 1, "hunter2": 1}"#),
        ("/publish", r#"{"messages": [{"topic": "hunter2", "event": "e"}]}"#),
        ("/publish", r#"{"messages": [], "topic": "hunter2", "event": "e", "payload": 1}"#),
        ("/publish", r#"[{"topic": "hunter2", "event": "e", "payload": 1}]"#),
    ] {
        let text = complaint(&walcast, path, body).await;
        assert!(text.starts_with("RequestInvalid: the body must be {\""), "{body}: {text}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_key_or_name_is_refused_by_its_place() {
    let (_database, walcast) = serve(&[]).await;
    let keys = |keys: &[&str]| json!({ "keys": keys }).to_string();
    let long = format!("A:{}", "ü".repeat(512));
    let none = |place: usize| {
        format!(
            "KeyInvalid: keys[{place}] is none: a resource identifier is `Type:id`, `Query.field` or \
             `Query.field(argument:\"value\")`, of at most 1024 bytes"
        )
    };
    for (keys, expected) in [
        (keys(&[""]), none(0)),
        (keys(&["A:1", "hunter2"]), none(1)),
        (keys(&["A:1", "Query.a", "hunter2:\n"]), none(2)),
        (keys(&["A:1", &long]), none(1)),
        (keys(&["Query.hunter2("]), none(0)),
        (
            keys(&["hunter2"; 1001]),
            "TooManyAtOnce: there are 1001 keys, and at most 1000 may come at once".to_owned(),
        ),
    ] {
        assert_eq!(complaint(&walcast, "/invalidate", &keys).await, expected);
    }
    let message = |topic: &str, event: &str| json!({"topic": topic, "event": event, "payload": "hunter2"});
    for (body, expected) in [
        (message("", "e"), "NameInvalid: topic is empty"),
        (message("t", "\u{7f}"), "NameInvalid: event has a control character"),
        (
            json!({"messages": [message("t", "e"), message("t", "")]}),
            "NameInvalid: messages[1].event is empty",
        ),
        (
            json!({"messages": vec![message("t", "e"); 1001]}),
            "TooManyAtOnce: there are 1001 messages, and at most 1000 may come at once",
        ),
    ] {
        assert_eq!(complaint(&walcast, "/publish", &body.to_string()).await, expected);
    }
}
