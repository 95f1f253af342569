//! Random databases and random queries: each answer is, to the byte, what a slow path makes of plain SELECTs.

mod answer;
mod filters;
mod kinds;
mod question;
mod world;

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;

use fastrand::Rng;
use futures_util::FutureExt as _;
use serde_json::json;

use crate::graphql::Graph;
use crate::graphql_injection::check;
use crate::postgres_binaries;
use answer::Reader;
use question::{Question, question};
use world::World;

/// Databases, unless `WALCAST_TEST_SEEDS` says otherwise.
const SEEDS: u64 = 6;

/// Queries of each.
const QUESTIONS: usize = 60;

/// The first seed is 1, or `WALCAST_TEST_SEED`.
fn seeds() -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("WALCAST_TEST_SEED");
    let count = number("WALCAST_TEST_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    (0..count).map(move |seed| first.unwrap_or(1) + seed)
}

#[tokio::test]
async fn answers_are_what_a_slow_path_makes_of_plain_selects() {
    for seed in seeds() {
        let told = AssertUnwindSafe(ask_all(seed)).catch_unwind().await;
        assert!(told.is_ok(), "WALCAST_TEST_SEED={seed}");
    }
}

/// The document with a word left out, doubled, or put elsewhere. Much of this stays valid.
fn mutated(random: &mut Rng, document: &str) -> String {
    let mut words: Vec<_> = document.split_inclusive([' ', '(', ')', '{', '}', ':', ',']).collect();
    for _ in 0..random.usize(1..3) {
        let (place, other) = (random.usize(..words.len()), random.usize(..words.len()));
        match random.usize(..3) {
            0 => drop(words.remove(place)),
            1 => words.insert(place, words[place]),
            _ => words.swap(place, other),
        }
    }
    words.concat()
}

async fn ask_all(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let world = World::new(&mut random);
    let majors = postgres_binaries::majors();
    let major = majors[usize::try_from(seed).unwrap() % majors.len()];
    let graph = Graph::serve(major, &world.sql, &[("WALCAST__GRAPHQL__COST", "1000000")]).await;
    let mut reader = Reader::new(&world, &graph.client).await;
    let (mut wrong, mut bytes) = (String::new(), 0);
    for _ in 0..QUESTIONS {
        let asked = question(&mut random, &world);
        let body = format!("{{\"query\":{},\"variables\":{}}}", json!(asked.document), asked.variables);
        let answer = graph.post_text(&body).await.1;
        let expected = format!("{{\"data\":{}}}", reader.answer(&asked.roots).await);
        bytes += answer.len();
        let mutated = json!({ "query": mutated(&mut random, &asked.document) });
        let (status, told) = graph.post(&mutated).await;
        check(&mutated, status, &told);
        if answer != expected {
            let Question { document, variables, .. } = asked;
            let _ = writeln!(
                wrong,
                "{document}\nvariables {variables}\nanswered {answer}\nexpected {expected}\n"
            );
        }
    }
    assert!(bytes > 100 * QUESTIONS, "there was something to answer: {bytes} bytes, seed {seed}");
    assert!(wrong.is_empty(), "on Postgres {major}:\n{}\n{wrong}", world.sql);
}
