//! Random trees of conditions over columns of many types: what is told of random changes, played back, is
//! what SQL selects.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use postgres_protocol::escape::escape_literal;
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};
use walcast::hub::Question;
use walcast::postgres::gate::Gate;
use walcast::postgres::session::Session;
use walcast::readiness::Readiness;
use walcast::topic::Topic;

use crate::filters::told;
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

/// A type and values of it, few enough that filters match; the texts for `like` come last.
const TYPES: &[(&str, &[&str])] = &[
    ("bool", &["t", "f", "true"]),
    ("int4", &["-1", "0", "1", "01", "2", "10"]),
    ("int8", &["-9223372036854775808", "0", "7", "9007199254740993"]),
    ("numeric", &["-Infinity", "-1.50", "-1.5", "0", "0.00", "1e1", "10.0", "NaN", "Infinity"]),
    ("float8", &["-0", "0", "0.1", "1e300", "NaN", "-Infinity"]),
    ("uuid", &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{00000000000000000000000000000001}"]),
    ("date", &["2024-02-29", "0044-03-15 BC", "infinity", "Feb 29, 2024"]),
    ("timestamptz", &["2024-01-01 12:00+02", "2024-01-01 10:00Z", "2024-01-01 10:00:00.5Z", "-infinity"]),
    ("timetz", &["10:00+00", "12:00+02", "09:00-01"]),
    ("interval", &["1 mon", "30 days", "720:00", "-1 day", "0"]),
    ("bytea", &["", "\\x00", "\\x0001", "\\xff"]),
    ("mood", &["sad", "so so", "happy"]),
    ("short_mood", &["sad", "happy"]),
    ("text", &["", "a", "A", "a,b", "a\"b", "(x)", "é", "a%", "b=eq.1", "null"]),
    ("varchar(5)", &["", "a", "B", "ab", "a b"]),
    ("char(3)", &["", "a", "A", "ab"]),
];
const FIRST_TEXT: usize = 13;
const PATTERNS: [&str; 6] = ["a%", "_", "%b%", "A", "", "%"];
const EXPRESSIONS: [&str; 6] = ["^a", "[[:alpha:]]", "b$", "^(a|é)*$", "\\W", "^\\s*$"];

/// In quotes as trees and lists want it; sometimes without, where that reads the same.
fn quoted(random: &mut fastrand::Rng, value: &str) -> String {
    if random.bool() && !value.contains(['"', ',', '(', ')', '\\']) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One condition behind the column's name: as a topic has it, and as SQL.
fn condition(random: &mut fastrand::Rng, kind: usize) -> (String, String) {
    let (sql_type, values) = TYPES[kind];
    let text = kind >= FIRST_TEXT;
    let base = match sql_type {
        "short_mood" => "mood",
        other => other.split('(').next().unwrap(),
    };
    let base = if base == "char" { "bpchar" } else { base };
    let column = format!("c{kind}::{base}{}", if text { " collate \"C\"" } else { "" });
    let pick = |random: &mut fastrand::Rng| values[random.usize(..values.len())];
    let (topic, sql) = match random.u32(..if text { 14 } else { 10 }) {
        0..7 => {
            let (name, operator) = [
                ("eq", "="),
                ("neq", "<>"),
                ("lt", "<"),
                ("lte", "<="),
                ("gt", ">"),
                ("gte", ">="),
                ("isdistinct", "is distinct from"),
            ][random.usize(..7)];
            let value = pick(random);
            (
                format!("{name}.{}", quoted(random, value)),
                format!("{column} {operator} {}::{base}", escape_literal(value)),
            )
        }
        7..9 => {
            let several: Vec<&str> = (0..random.usize(1..4)).map(|_| pick(random)).collect();
            let list: Vec<String> = several.iter().map(|value| quoted(random, value)).collect();
            // Without quotes, a list of one empty text is a list of nothing, which is refused.
            let list = Some(list.join(",")).filter(|list| !list.is_empty()).unwrap_or_else(|| "\"\"".into());
            let literals: Vec<String> =
                several.iter().map(|value| format!("{}::{base}", escape_literal(value))).collect();
            (format!("in.({list})"), format!("{column} in ({})", literals.join(", ")))
        }
        9 if sql_type == "bool" => {
            let word = ["null", "true", "false", "unknown"][random.usize(..4)];
            (format!("is.{word}"), format!("c{kind} is {word}"))
        }
        9 => ("is.null".to_owned(), format!("c{kind} is null")),
        10..12 => {
            let (name, pattern) =
                (["like", "ilike"][random.usize(..2)], PATTERNS[random.usize(..PATTERNS.len())]);
            (
                format!("{name}.{}", quoted(random, pattern)),
                format!("{column} {name} {}", escape_literal(pattern)),
            )
        }
        _ => {
            let (name, operator) = [("match", "~"), ("imatch", "~*")][random.usize(..2)];
            let pattern = EXPRESSIONS[random.usize(..EXPRESSIONS.len())];
            (
                format!("{name}.{}", quoted(random, pattern)),
                format!("{column} {operator} {}", escape_literal(pattern)),
            )
        }
    };
    if random.u32(..5) == 0 {
        (format!("not.{topic}"), format!("not ({sql})"))
    } else {
        (topic, format!("({sql})"))
    }
}

/// An element of a tree.
fn element(random: &mut fastrand::Rng, depth: usize) -> (String, String) {
    if depth < 3 && random.u32(..3) == 0 {
        let word = ["and", "or"][random.usize(..2)];
        let (topic, sql) = tree(random, word, depth + 1);
        return if random.u32(..4) == 0 {
            (format!("not.{word}{topic}"), format!("not {sql}"))
        } else {
            (format!("{word}{topic}"), sql)
        };
    }
    let kind = random.usize(..TYPES.len());
    let (topic, sql) = condition(random, kind);
    (format!("c{kind}.{topic}"), sql)
}

/// The brackets of a tree.
fn tree(random: &mut fastrand::Rng, word: &str, depth: usize) -> (String, String) {
    let elements: Vec<(String, String)> = (0..random.usize(1..4)).map(|_| element(random, depth)).collect();
    let topics: Vec<&str> = elements.iter().map(|(topic, _)| topic.as_str()).collect();
    let sqls: Vec<&str> = elements.iter().map(|(_, sql)| sql.as_str()).collect();
    (format!("({})", topics.join(",")), format!("({})", sqls.join(&format!(" {word} "))))
}

fn filter(random: &mut fastrand::Rng) -> (String, String) {
    // One equality takes quotes as part of the value.
    let mut filters: Vec<(String, String)> = vec![("id=gte.0".to_owned(), "id >= 0".to_owned())];
    if random.u32(..4) == 0 {
        let bound = random.u32(..40);
        filters = vec![(format!("id=lt.{bound}"), format!("id < {bound}"))];
    }
    for _ in 0..random.usize(1..3) {
        if random.u32(..3) == 0 {
            let word = ["and", "or"][random.usize(..2)];
            let (topic, sql) = tree(random, word, 1);
            filters.push((format!("{word}={topic}"), sql));
        } else {
            let kind = random.usize(..TYPES.len());
            let (topic, sql) = condition(random, kind);
            filters.push((format!("c{kind}={topic}"), sql));
        }
    }
    let topics: Vec<&str> = filters.iter().map(|(topic, _)| topic.as_str()).collect();
    let sqls: Vec<&str> = filters.iter().map(|(_, sql)| sql.as_str()).collect();
    (topics.join(","), sqls.join(" and "))
}

/// The conditions of these topics as the gate makes them, each as SQL.
async fn conditions(url: &str, topics: impl Iterator<Item = &str>) -> Vec<String> {
    let session = Session::new(&url.parse().unwrap(), "test");
    let (_live, readiness) = watch::channel(Readiness::live());
    let (questions, asked) = mpsc::channel(1);
    tokio::spawn(Gate::new(session, "walcast", readiness).run(asked));
    let mut conditions = Vec::new();
    for topic in topics {
        let (answer, verdict) = oneshot::channel();
        questions.send(Question { topic: Topic::parse(topic).unwrap(), answer }).await.unwrap();
        let pattern = verdict.await.unwrap().unwrap().pattern;
        assert_eq!(pattern.table(), Some(("public", "wide")));
        conditions.push(pattern.condition().unwrap());
    }
    conditions
}

#[tokio::test]
async fn what_trees_of_conditions_tell_is_what_sql_selects() {
    let seed =
        std::env::var("WALCAST_TEST_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("WALCAST_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    let mut columns = String::new();
    for (number, (sql, _)) in TYPES.iter().enumerate() {
        let _ = write!(columns, ", c{number} {sql}");
    }
    client
        .batch_execute(&format!(
            "set timezone = 'UTC'; create table barrier (id serial primary key); \
             create type mood as enum ('sad', 'happy'); alter type mood add value 'so so' before 'happy'; \
             create domain short_mood as mood; \
             create table wide (id int primary key{columns}); alter table wide replica identity full"
        ))
        .await
        .unwrap();
    let limits =
        [("WALCAST__LIMITS__CHANNELS_PER_SOCKET", "1000"), ("WALCAST__LIMITS__JOINS_PER_SECOND", "10000")];
    let walcast = Walcast::serve(&database, &limits).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:barrier", json!({})).await;
    let mut topics = Vec::new();
    for _ in 0..250 {
        let (filter, sql) = filter(&mut random);
        let topic = format!("realtime:public:wide:{filter}");
        if topics.iter().all(|(known, _)| *known != topic) {
            socket.joined(&topic, json!({"frames": "type"})).await;
            topics.push((topic, sql));
        }
    }
    let conditions = conditions(&database.url(), topics.iter().map(|(topic, _)| topic.as_str())).await;
    let mut views: Vec<BTreeSet<i64>> = vec![BTreeSet::new(); topics.len()];
    let mut matched = 0;
    for _ in 0..3 {
        let mut sql = String::new();
        for _ in 0..120 {
            let literal = |random: &mut fastrand::Rng, kind: usize| match random.u32(..6) {
                0 => "null".to_owned(),
                _ => escape_literal(TYPES[kind].1[random.usize(..TYPES[kind].1.len())]),
            };
            let id = random.u32(..40);
            let kind = random.usize(..TYPES.len());
            match random.u32(..10) {
                0..4 => {
                    let values: Vec<String> =
                        (0..TYPES.len()).map(|kind| literal(&mut random, kind)).collect();
                    let _ = write!(
                        sql,
                        "insert into wide values ({id}, {}) on conflict do nothing;",
                        values.join(", ")
                    );
                }
                4..9 => {
                    let _ = write!(
                        sql,
                        "update wide set c{kind} = {} where id = {id};",
                        literal(&mut random, kind)
                    );
                }
                _ => {
                    let _ = write!(sql, "delete from wide where id = {id};");
                }
            }
        }
        client.batch_execute(&sql).await.unwrap();
        let place = |topic: &str| topics.iter().position(|(known, _)| known == topic).unwrap();
        let told = told(&mut socket, &client, topics.len(), place).await;
        for (((topic, sql), view), changes) in topics.iter().zip(&mut views).zip(told) {
            for change in changes {
                let (new, old) = (change["record"]["id"].as_i64(), change["old_record"]["id"].as_i64());
                match change["type"].as_str().unwrap() {
                    "DELETE" => {
                        assert!(view.remove(&old.unwrap()), "{topic} told {change} of a row it had not");
                    }
                    "UPDATE" => {
                        view.remove(&old.unwrap());
                        view.insert(new.unwrap());
                    }
                    _ => assert!(view.insert(new.unwrap()), "{topic} told {change} twice"),
                }
            }
            let sql = format!("select id::int8 from wide where {sql}");
            let rows = client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let selected: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(*view, selected, "{topic}, {sql}, seed {seed}");
            matched += selected.len();
        }
    }
    for ((topic, _), (view, condition)) in topics.iter().zip(views.iter().zip(conditions)) {
        let sql = format!("select id::int8 from wide where {condition}");
        let rows = client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let selected: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(*view, selected, "{topic}, {sql}, seed {seed}");
    }
    assert!(matched > 300, "the filters matched something: {matched}");
}
