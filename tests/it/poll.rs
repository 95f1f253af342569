//! `/poll`: the changes of a topic, fetched.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cluster::{self, Database};
use crate::slot::{assert_cursors_grow, id};
use crate::walcast::Walcast;

const TABLE: &str = "create table t (id int8 generated always as identity primary key, n int); \
                     create table other (id int primary key)";

async fn prepared(settings: &[(&str, &str)]) -> (Database, Client, Walcast) {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    let walcast = Walcast::serve(&database, settings).await;
    (database, client, walcast)
}

async fn poll(walcast: &Walcast, rest: &str) -> Value {
    let (status, body) = walcast.get(&format!("/poll?topic=realtime:public:t{rest}")).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn position(answer: &Value) -> &str {
    answer["position"].as_str().unwrap()
}

fn events(answer: &Value) -> &[Value] {
    answer["events"].as_array().unwrap()
}

#[tokio::test]
async fn a_client_that_polls_under_load_has_every_row_once_and_in_order() {
    let (database, client, walcast) = prepared(&[]).await;
    let first = poll(&walcast, "").await;
    assert_eq!(
        first,
        json!({"events": [], "position": first["position"], "resumed": false, "reason": "since"})
    );
    let writing = tokio::spawn(async move {
        let sql = "do $$ begin for i in 1..3000 loop insert into t (n) values (i); \
                   if i % 3 = 0 then insert into other values (i); commit; end if; end loop; end $$";
        client.batch_execute(sql).await.unwrap();
        database
    });
    let (mut since, mut told) = (position(&first).to_owned(), Vec::new());
    while told.len() < 3000 {
        let (status, body) = walcast.get(&format!("/poll?topic=realtime:public:t&since={since}")).await;
        assert!(status == 200 && body.len() < 70 * 1024, "{status} with {} bytes", body.len());
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["resumed"], true);
        assert!(!events(&answer).is_empty(), "it waited for nothing");
        told.extend_from_slice(events(&answer));
        position(&answer).clone_into(&mut since);
    }
    assert_eq!(told.iter().map(id).collect::<Vec<_>>(), (1..=3000).collect::<Vec<_>>());
    assert_cursors_grow(&told);
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn an_answer_is_held_until_there_is_something() {
    let (_database, client, walcast) = prepared(&[]).await;
    let since = position(&poll(&walcast, "").await).to_owned();
    let rest = format!("&since={since}&wait=60");
    let held = poll(&walcast, &rest);
    let writing = async {
        client.batch_execute("insert into other values (1)").await.unwrap();
        // Nothing for this topic: the answer comes, and says how far that was.
        let empty = poll(&walcast, &format!("&since={since}&wait=1")).await;
        assert_eq!((events(&empty).len(), &empty["resumed"]), (0, &json!(true)));
        assert_ne!(position(&empty), since);
        client.batch_execute("insert into t (n) values (1)").await.unwrap();
        empty
    };
    let (answer, empty) = tokio::join!(held, writing);
    assert_eq!(events(&answer).len(), 1);
    for since in [position(&empty), &since] {
        assert_eq!(events(&poll(&walcast, &format!("&since={since}")).await), events(&answer));
    }
    let after = poll(&walcast, &format!("&since={}&wait=0", position(&answer))).await;
    assert_eq!((events(&after).len(), &after["resumed"]), (0, &json!(true)));
}

#[tokio::test]
async fn who_polls_too_late_is_told_from_where_to_go_on() {
    let (_database, client, walcast) = prepared(&[("WALCAST__WINDOW__BYTES", "2000")]).await;
    let first = position(&poll(&walcast, "").await).to_owned();
    client.batch_execute("insert into t (n) select 1 from generate_series(1, 100)").await.unwrap();
    let cursor = first.split_once('.').unwrap().1;
    for (since, reason) in [(&*first, "window"), (&format!("7-1.{cursor}"), "epoch"), (cursor, "epoch")] {
        let late = loop {
            let answer = poll(&walcast, &format!("&since={since}&wait=0")).await;
            if answer["resumed"] == false {
                break answer;
            }
        };
        assert_eq!((&late["reason"], events(&late).len()), (&json!(reason), 0));
        assert!(late["oldest"].is_string(), "{late}");
        let on = poll(&walcast, &format!("&since={}&wait=0", position(&late))).await;
        assert_eq!(on["resumed"], true);
    }
}

#[tokio::test]
async fn a_held_answer_comes_empty_when_the_server_stops() {
    let (_database, _client, walcast) = prepared(&[("WALCAST__LIMITS__SOCKETS", "1")]).await;
    let since = position(&poll(&walcast, "").await).to_owned();
    let address = walcast.address();
    let request = format!(
        "GET /poll?topic=realtime:public:t&since={since}&wait=60 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    );
    let held = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            // Whoever looks whether the one place is taken takes it for a moment.
            if !answer.starts_with("HTTP/1.1 503") {
                return answer;
            }
        }
    });
    let taken = || async { walcast.get("/poll?topic=realtime:public:t").await.0 == 503 };
    crate::walcast::until("the poll is held", async || taken().await).await;
    let begun = Instant::now();
    assert!(tokio::task::spawn_blocking(|| walcast.stop()).await.unwrap().success());
    let answer = held.await.unwrap();
    assert!(answer.contains("\"events\":[]") && answer.contains("\"resumed\":true"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}
