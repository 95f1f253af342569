//! Random rows, changes and filters: what each filtered topic has told, played back, is what SQL selects.

use std::collections::BTreeSet;

use serde_json::json;

use crate::filters::told;
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

const TYPES: [&str; 5] = ["int4", "numeric", "text", "bool", "timestamptz"];

/// A value of the type, from few enough that filters match; equal ones are spelled in several ways.
fn value(random: &mut fastrand::Rng, kind: usize) -> String {
    let number = random.i32(-3..4);
    match kind {
        0 => ["", "0", " "][random.usize(..3)].to_owned() + &number.unsigned_abs().to_string(),
        1 => match random.u32(..6) {
            0 => "NaN".to_owned(),
            1 => format!("{number}e0"),
            scale => format!("{number}.{}", "0".repeat(scale as usize)),
        },
        2 => ["", "a", "A", "a ", "%61", "ä", ":", "'", "a.b=c"][random.usize(..9)].to_owned(),
        3 => ["t", "true", "f", "no"][random.usize(..4)].to_owned(),
        _ => format!("2024-03-31 0{}:30:00{:+03}", number.unsigned_abs(), random.i32(-2..3)),
    }
}

#[tokio::test]
async fn what_filters_tell_is_what_sql_selects() {
    let seed =
        std::env::var("WALCAST_TEST_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("WALCAST_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let database = cluster::shared(postgres_binaries::majors()[1]).database().await;
    let client = database.connect().await;
    let columns: Vec<String> =
        TYPES.iter().enumerate().map(|(number, sql)| format!(", c{number} {sql}")).collect();
    client
        .batch_execute(&format!(
            "set timezone = 'UTC'; create table barrier (id serial primary key); \
             create table mixed (id int primary key{}); alter table mixed replica identity full",
            columns.concat()
        ))
        .await
        .unwrap();
    let limits =
        [("WALCAST__LIMITS__CHANNELS_PER_SOCKET", "1000"), ("WALCAST__LIMITS__JOINS_PER_SECOND", "10000")];
    let walcast = Walcast::serve(&database, &limits).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:barrier", json!({})).await;
    let mut topics = Vec::new();
    for kind in 0..TYPES.len() {
        let wanted: BTreeSet<String> = (0..12).map(|_| value(&mut random, kind)).collect();
        for value in wanted {
            let topic = format!("realtime:public:mixed:c{kind}=eq.{value}");
            socket.joined(&topic, json!({"frames": "type"})).await;
            topics.push((topic, kind, value));
        }
    }
    let mut views: Vec<BTreeSet<i64>> = vec![BTreeSet::new(); topics.len()];
    let mut matched = 0;
    for _ in 0..4 {
        let mut sql = String::from("begin;");
        for _ in 0..120 {
            let literal = |random: &mut fastrand::Rng, kind| match random.u32(..8) {
                0 => "null".to_owned(),
                _ => postgres_protocol::escape::escape_literal(&value(random, kind)),
            };
            let id = random.u32(..40);
            let kind = random.usize(..TYPES.len());
            let statement = match random.u32(..20) {
                0..6 => {
                    let values: Vec<String> =
                        (0..TYPES.len()).map(|kind| literal(&mut random, kind)).collect();
                    format!("insert into mixed values ({id}, {}) on conflict do nothing;", values.join(", "))
                }
                6..15 => {
                    format!("update mixed set c{kind} = {} where id = {id};", literal(&mut random, kind))
                }
                15..17 => format!(
                    "update mixed set id = id + 100 where id = {id} \
                     and not exists (select from mixed where id = {id} + 100);"
                ),
                17..19 => format!("delete from mixed where id % 40 = {id};"),
                _ => if random.u32(..4) == 0 { "truncate mixed;" } else { "commit; begin;" }.to_owned(),
            };
            sql.push_str(&statement);
        }
        client.batch_execute(&(sql + "commit")).await.unwrap();
        let place = |topic: &str| topics.iter().position(|(known, ..)| known == topic).unwrap();
        let told = told(&mut socket, &client, topics.len(), place).await;
        for (((topic, kind, value), view), changes) in topics.iter().zip(&mut views).zip(told) {
            for change in changes {
                let (new, old) = (change["record"]["id"].as_i64(), change["old_record"]["id"].as_i64());
                match change["type"].as_str().unwrap() {
                    "TRUNCATE" => view.clear(),
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
            let literal = postgres_protocol::escape::escape_literal(value);
            let sql = format!("select id::int8 from mixed where c{kind} = {literal}");
            let rows = client.query(&sql, &[]).await.unwrap();
            let selected: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(*view, selected, "{topic}, seed {seed}");
            matched += selected.len();
        }
    }
    assert!(matched > 20, "the filters matched something: {matched}");
}
