//! Operations with many results, and what takes time. No socket is involved, so that the clock can be held.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::feeds::Feeds;
use crate::graphql::plan::Limits;
use crate::operations::{Database, DatabaseError, Reply, Running, Step};

struct Nobody;

impl Database for Nobody {
    fn read<'a>(&'a self, _: &'a Identity, _: Step) -> Running<'a, Reply> {
        Box::pin(async { Err(DatabaseError::Timeout) })
    }

    fn write<'a>(&'a self, _: &'a Identity, _: Vec<Step>) -> Running<'a, Vec<Reply>> {
        Box::pin(async { Err(DatabaseError::Timeout) })
    }
}

/// An endpoint without a schema, and what stops it.
fn endpoint() -> (Arc<GraphQl>, watch::Sender<bool>) {
    let (stop, stopped) = watch::channel(false);
    let limits = Limits { depth: 1, cost: 1, rows: 1, introspection: false };
    let operations = Operations::new(Arc::new(Nobody), limits, Arc::default());
    (
        Arc::new(GraphQl::new(
            operations,
            Feeds::default(),
            Identity::default(),
            Documents::default(),
            stopped,
        )),
        stop,
    )
}

/// An operation whose results a test sends.
fn live(stop: &watch::Sender<bool>) -> (mpsc::UnboundedSender<&'static str>, Answers) {
    let (results, outlet) = mpsc::unbounded_channel();
    let answers = stream::unfold(outlet, |mut outlet: mpsc::UnboundedReceiver<&'static str>| async move {
        let body = Bytes::from_static(outlet.recv().await?.as_bytes());
        Some((Ok(Answer::of(body)), outlet))
    });
    (results, until(stop.subscribe(), answers.boxed()))
}

fn body(response: Response) -> BodyDataStream {
    response.into_body().into_data_stream()
}

/// Everything that there is without waiting; `END` is the end.
fn ready(body: &mut BodyDataStream) -> String {
    let mut text = Vec::new();
    while let Some(chunk) = body.next().now_or_never() {
        let Some(chunk) = chunk else {
            text.extend_from_slice(b"END");
            break;
        };
        text.extend_from_slice(&chunk.expect("a whole body"));
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn results_are_sent_as_they_come() {
    let (_, stop) = endpoint();
    let (results, answers) = live(&stop);
    let mut events = body(sse::response(answers));
    assert_eq!(ready(&mut events), ":\n\n");
    for n in ["1", "2"] {
        results.send(n).unwrap();
        assert_eq!(ready(&mut events), format!("event: next\ndata: {n}\n\n"));
    }
    drop(results);
    assert_eq!(ready(&mut events), "event: complete\ndata:\n\nEND");

    let (results, answers) = live(&stop);
    let mut parts = body(multipart::response(answers));
    // The delimiter after a part comes at once: readers wait for it.
    assert_eq!(ready(&mut parts), "\r\n---");
    for n in ["1", "22"] {
        results.send(n).unwrap();
        let head = "Content-Type: application/json; charset=utf-8\r\nContent-Length";
        assert_eq!(ready(&mut parts), format!("\r\n{head}: {}\r\n\r\n{n}\r\n---", n.len()));
    }
    drop(results);
    assert_eq!(ready(&mut parts), "--\r\nEND");
}

#[tokio::test]
async fn a_stop_breaks_streams_off_so_that_clients_ask_again() {
    let (_, stop) = endpoint();
    for respond in [sse::response, multipart::response] {
        stop.send_replace(false);
        let (results, answers) = live(&stop);
        let mut body = body(respond(answers));
        results.send("1").unwrap();
        assert!(ready(&mut body).contains('1'));
        stop.send_replace(true);
        assert!(matches!(body.next().await, Some(Err(_))), "neither a result nor an end in order");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_every_twelve_seconds() {
    let (graphql, stop) = endpoint();
    let reserved = single::reserve(State(Arc::clone(&graphql)), HeaderMap::new(), Uri::default()).await;
    let token = axum::body::to_bytes(reserved.into_body(), 100).await.unwrap();
    let uri: Uri = format!("/?token={}", std::str::from_utf8(&token).unwrap()).parse().unwrap();
    beats(single::connect(State(graphql), HeaderMap::new(), uri).await).await;
    let (_results, answers) = live(&stop);
    beats(sse::response(answers)).await;
}

async fn beats(response: Response) {
    let mut body = body(response);
    let start = Instant::now();
    for n in 0..4 {
        assert_eq!(body.next().await.unwrap().unwrap(), ":\n\n");
        assert_eq!(start.elapsed().as_secs(), 12 * n);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reserved_stream_lapses_after_a_minute_unless_its_client_connects() {
    let (graphql, _stop) = endpoint();
    let mut uris = Vec::new();
    for _ in 0..2 {
        let reserved = single::reserve(State(Arc::clone(&graphql)), HeaderMap::new(), Uri::default()).await;
        let token = axum::body::to_bytes(reserved.into_body(), 100).await.unwrap();
        uris.push(format!("/?token={}", std::str::from_utf8(&token).unwrap()).parse::<Uri>().unwrap());
    }
    let connect = |uri: &Uri| single::connect(State(Arc::clone(&graphql)), HeaderMap::new(), uri.clone());
    tokio::time::sleep(Duration::from_secs(59)).await;
    let connected = connect(&uris[0]).await;
    assert_eq!(connected.status(), StatusCode::OK);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(connect(&uris[0]).await.status(), StatusCode::CONFLICT, "it is still there");
    assert_eq!(connect(&uris[1]).await.status(), StatusCode::NOT_FOUND);
}
