//! What a stream costs on which nothing happens.

use tokio_postgres::Client;

use crate::contenders::walcast;
use crate::server::Postgres;
use crate::streams::{Seen, identical};
use crate::{SELECTION, reset};

const STREAMS: usize = 2_000;
/// Streams that are open before it is measured, so that what all of them share is there.
const FIRST: usize = 20;

pub async fn run(postgres: &Postgres, sql: &Client) {
    reset(sql).await;
    let walcast = walcast(postgres).await;
    let query = format!("query @live {{ auction(id: \"1\") {{ {SELECTION} }} }}");
    let first = identical(walcast.address, &query, FIRST, &Seen::new(FIRST)).await;
    let before = walcast.memory("VmRSS");
    let streams = identical(walcast.address, &query, STREAMS, &Seen::new(STREAMS)).await;
    let grown = walcast.memory("VmRSS") - before;
    println!("\nmemory: {STREAMS} idle streams of one live query");
    println!("  KiB each {:>10.1}", grown as f64 / STREAMS as f64);
    drop((first, streams));
}
