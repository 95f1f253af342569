//! The one port: who is let in, what every path answers, and requests that no good client sends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::Database;
use crate::raw::handshake;
use crate::walcast::{PATIENCE, Walcast};
use crate::{cluster, postgres_binaries};

const SOCKETS: [&str; 3] = ["/socket/websocket", "/realtime/v1/websocket", "/websocket"];

async fn serve(settings: &[(&str, &str)]) -> (Database, Walcast) {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client
        .batch_execute("create table users (id int8 primary key, name varchar(9)); create schema s; create table s.t (a int, b int, primary key (b, a))")
        .await
        .unwrap();
    let walcast = Walcast::serve(&database, settings).await;
    (database, walcast)
}

/// The head of the answer to a request; sockets stay open, so that no more can be waited for.
async fn head_of(walcast: &Walcast, request: &str) -> String {
    let mut stream = TcpStream::connect(walcast.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time");
        match byte {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {head:?}")).parse().unwrap()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn code(body: &str) -> Value {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {body:?}"));
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert_eq!(body["error"].as_object().map(serde_json::Map::len), Some(2));
    body["error"]["code"].clone()
}

/// Asks every kind of endpoint with these headers; the statuses of a page, an answer and a socket.
async fn statuses(walcast: &Walcast, version: &str, headers: &str) -> [u16; 4] {
    let get = |path: &str| format!("GET {path} {version}\r\n{headers}Connection: close\r\n\r\n");
    let socket = handshake("HOST", headers).replace("Host: HOST\r\n", "").replace("HTTP/1.1", version);
    [
        status(&head_of(walcast, &get("/")).await),
        status(&head_of(walcast, &get("/health")).await),
        status(&head_of(walcast, &get("/console.json")).await),
        status(&head_of(walcast, &socket).await),
    ]
}

#[tokio::test]
async fn one_rule_of_host_and_origin_guards_pages_answers_and_sockets() {
    let (_database, walcast) = serve(&[
        ("WALCAST__AUTH__ORIGINS", "https://app.example.com"),
        ("WALCAST__AUTH__HOSTS", "db.internal"),
    ])
    .await;
    let (passes, refused) = ([200, 200, 200, 101], [403; 4]);
    for (headers, expected) in [
        ("Host: localhost\r\n", passes),
        ("Host: 127.0.0.1:4000\r\nOrigin: http://localhost:3000\r\n", passes),
        ("Host: [::1]\r\nOrigin: http://127.0.0.1\r\n", passes),
        ("Host: db.internal:1\r\nOrigin: https://app.example.com\r\n", passes),
        ("Host: app.example.com\r\n", passes),
        ("Host: evil.example\r\n", refused),
        ("Host: localhost.evil.example\r\n", refused),
        ("Host: localhost\r\nOrigin: https://evil.example\r\n", refused),
        ("Host: localhost\r\nOrigin: http://app.example.com\r\n", refused),
        ("Host: localhost\r\nOrigin: https://app.example.com:444\r\n", refused),
        ("Host: localhost\r\nOrigin: null\r\n", refused),
        ("Host: localhost\r\nOrigin: \r\n", refused),
        ("Host: localhost\r\nOrigin: \u{fc}\r\n", refused),
        ("Host: \r\n", refused),
        ("", refused),
    ] {
        assert_eq!(statuses(&walcast, "HTTP/1.1", headers).await, expected, "{headers:?}");
    }
    // HTTP/1.0 may leave the host out, and then is refused; it has no WebSockets either way.
    assert_eq!(statuses(&walcast, "HTTP/1.0", "").await, refused);
    assert_eq!(statuses(&walcast, "HTTP/1.0", "Host: localhost\r\n").await, [200, 200, 200, 426]);
    // The authority of the request line counts, not the header.
    let absolute = "GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (status, body) = walcast.request(absolute).await;
    assert_eq!((status, code(&body)), (403, json!("OriginRefused")));
}

#[tokio::test]
async fn cors_answers_follow_the_rule() {
    let (_database, walcast) = serve(&[("WALCAST__AUTH__ORIGINS", "https://app.example.com")]).await;
    let ask = async |method: &str, path: &str, headers: &str| {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        walcast.exchange(&request).await.0
    };
    for origin in ["https://app.example.com", "http://localhost:5173"] {
        let simple = ask("GET", "/ready", &format!("Origin: {origin}\r\n")).await;
        assert_eq!(status(&simple), 200);
        assert_eq!(header(&simple, "access-control-allow-origin"), Some(origin));
        assert_eq!(header(&simple, "vary"), Some("Origin"));
        // A page may read why it was refused a socket, too.
        let refused = ask("GET", "/websocket", &format!("Origin: {origin}\r\n")).await;
        assert_eq!((status(&refused), header(&refused, "access-control-allow-origin")), (426, Some(origin)));
        let preflight = format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: apikey\r\n"
        );
        let answer = ask("OPTIONS", "/ready", &preflight).await;
        assert_eq!(status(&answer), 204);
        assert_eq!(header(&answer, "access-control-allow-origin"), Some(origin));
        assert_eq!(header(&answer, "access-control-allow-methods"), Some("GET, POST, PUT, DELETE"));
        assert!(
            header(&answer, "access-control-allow-headers").is_some_and(|names| names.contains("apikey"))
        );
    }
    let strange = "Origin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n";
    for (method, headers) in [("OPTIONS", strange), ("GET", "Origin: https://evil.example\r\n")] {
        let answer = ask(method, "/ready", headers).await;
        assert_eq!(status(&answer), 403, "{method}");
        assert_eq!(header(&answer, "access-control-allow-origin"), None);
    }
    let plain = ask("GET", "/ready", "").await;
    assert_eq!((status(&plain), header(&plain, "access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn every_path_answers_and_every_error_has_its_shape() {
    let (_database, walcast) = serve(&[]).await;
    let ask = async |request: &str| {
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        walcast.exchange(&(request + "Content-Length: 0\r\n\r\n")).await
    };
    for path in ["/nothing", "/socket", "/websocket/", "/console/index.html", "/../Cargo.toml", "/demo/write"]
    {
        let (head, body) = ask(&format!("GET {path}")).await;
        assert_eq!((status(&head), code(&body)), (404, json!("NotFound")), "{path}");
    }
    // Only the demo writes.
    let (head, body) = ask("POST /demo/write").await;
    assert_eq!((status(&head), code(&body)), (404, json!("NotFound")));
    for request in ["POST /health", "DELETE /ready", "PUT /", "POST /console.json", "OPTIONS /health"] {
        let (head, body) = ask(request).await;
        assert_eq!((status(&head), code(&body)), (405, json!("MethodNotAllowed")), "{request}");
        assert_eq!(header(&head, "allow"), Some("GET,HEAD"), "{request}");
    }
    for path in SOCKETS {
        for method in ["GET", "POST", "HEAD"] {
            let (head, body) = ask(&format!("{method} {path}")).await;
            assert_eq!(
                (status(&head), header(&head, "upgrade")),
                (426, Some("websocket")),
                "{method} {path}"
            );
            assert!(method == "HEAD" || code(&body) == "UpgradeRequired");
        }
        for (query, right) in [
            ("vsn=3", "VersionUnsupported"),
            ("vsn=1&vsn=2", "RequestInvalid"),
            ("vsn=", "VersionUnsupported"),
        ] {
            let (head, body) = ask(&format!("GET {path}?{query}")).await;
            assert_eq!((status(&head), code(&body)), (400, json!(right)), "{query}");
        }
    }
    let upgrade = handshake("localhost", "");
    for (from, to) in [
        ("Version: 13", "Version: 8"),
        ("Sec-WebSocket-Version: 13\r\n", ""),
        ("dGhl", ""),
        ("Sec-WebSocket-Key", "X"),
    ] {
        let head = head_of(&walcast, &upgrade.replace(from, to)).await;
        assert_eq!(status(&head), 400, "{from}");
        assert_eq!(header(&head, "sec-websocket-version"), from.contains("Version").then_some("13"));
    }
    for (from, to) in [
        ("Connection: keep-alive, Upgrade", "Connection: keep-alive"),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("GET ", "PUT "),
    ] {
        assert_eq!(status(&head_of(&walcast, &upgrade.replace(from, to)).await), 426, "{from}");
    }
    // RFC 6455, section 1.3: the key of this request makes this answer.
    let accepted = head_of(&walcast, &upgrade.replace("Upgrade: websocket", "upgrade: WebSocket")).await;
    assert_eq!(header(&accepted, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[tokio::test]
async fn the_console_is_served_with_its_policy() {
    let (_database, walcast) = serve(&[]).await;
    let mut files = 0;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/console.js", "text/javascript; charset=utf-8"),
        ("/console.css", "text/css; charset=utf-8"),
        ("/console.svg", "image/svg+xml"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let (head, body) = walcast.exchange(&request).await;
        assert_eq!((status(&head), header(&head, "content-type")), (200, Some(kind)));
        let policy = header(&head, "content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header(&head, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&head, "referrer-policy"), Some("no-referrer"));
        assert!(body.len() > 100);
        // Every file that the page names is there.
        let named = body.split(['"', '\'']).filter(|name| {
            let folder = name.starts_with("./") || name.starts_with('/');
            folder && [".js", ".css", ".svg", ".json"].iter().any(|end| name.ends_with(end))
        });
        for name in named {
            files += 1;
            let name = name.trim_start_matches('.');
            assert_eq!(walcast.get(name).await.0, 200, "{name}, named by {path}");
        }
    }
    assert!(files >= 5, "the page consists of its files: {files}");
    let (status, body) = walcast.get("/console.json").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["demo"]), (200, &json!(false)));
    assert_eq!(
        body["tables"],
        json!([
            {"schema": "public", "table": "users", "columns": [
                {"name": "id", "type": "bigint", "key": true},
                {"name": "name", "type": "character varying(9)", "key": false}]},
            {"schema": "s", "table": "t", "columns": [
                {"name": "a", "type": "integer", "key": true},
                {"name": "b", "type": "integer", "key": true}]},
        ])
    );
}

#[tokio::test]
async fn heads_that_are_too_large_or_never_end_are_cut() {
    let (_database, walcast) = serve(&[]).await;
    let slow = {
        let address = walcast.address();
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let start = Instant::now();
            // A byte now and then does not buy more time.
            for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ".iter().cycle() {
                if stream.write_all(&[*byte]).await.is_err() || start.elapsed() > PATIENCE {
                    break;
                }
                let mut answer = [0; 64];
                let read = stream.read(&mut answer);
                if let Ok(end) = tokio::time::timeout(Duration::from_millis(300), read).await
                    && end.map_or(true, |length| length == 0)
                {
                    break;
                }
            }
            start.elapsed()
        })
    };
    let many = "X: y\r\n".repeat(500);
    let long = format!("X: {}\r\n", "y".repeat(100_000));
    for headers in [many, long] {
        let mut stream = TcpStream::connect(walcast.address()).await.unwrap();
        let request = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        // The server may answer and close before it has read all of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let (head, _) = walcast.exchange("this is not HTTP\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert_eq!(walcast.get("/health").await.0, 200, "everybody else is served");
    let lasted = slow.await.unwrap();
    assert!((9..20).contains(&lasted.as_secs()), "a head may take about 10 s: {lasted:?}");
}
