//! Filters on topics: equality of every type as Postgres means it, and rows that leave.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cluster::SharedCluster;
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

/// A type with the values that rows hold, those that filters ask for, and those that are no values of it.
struct Case {
    sql: &'static str,
    rows: &'static [&'static str],
    wanted: &'static [&'static str],
    invalid: &'static [&'static str],
}

const fn case(
    sql: &'static str,
    rows: &'static [&'static str],
    wanted: &'static [&'static str],
    invalid: &'static [&'static str],
) -> Case {
    Case { sql, rows, wanted, invalid }
}

const CASES: &[Case] = &[
    case("bool", &["t", "f"], &["t", "true", "f", "FALSE", "1", "off", "yes"], &["", "2", "tru e"]),
    case("int2", &["1", "-1", "32767"], &["1", "01", "-1", "+1", " 1 ", "32767"], &["32768", "1.0", "", "x"]),
    case(
        "int4",
        &["1", "-7", "2147483647"],
        &["1", "001", "-7", "-07", "2147483647"],
        &["2147483648", "1e3"],
    ),
    case(
        "int8",
        &["1", "0", "-9223372036854775808", "9007199254740993"],
        &["01", "1", "-0", "0", "9007199254740993", "9007199254740992", "-9223372036854775808"],
        &["9223372036854775808", "one", "1;"],
    ),
    case(
        "numeric",
        &["1", "1.0", "1.00", "-1.50", "100", "1e20", "NaN", "0", "-0.00"],
        &["1", "1.000", "-1.5", "100", "100.0", "1e2", "100000000000000000000", "nan", "0.0", "-0", "10"],
        &["1,5", "", "0x", "1.5.0"],
    ),
    case(
        "numeric(6,2)",
        &["1.5", "2", "1234.56"],
        &["1.50", "1.5", "2", "2.00", "1234.56", "1234.561"],
        &["a"],
    ),
    case(
        "float4",
        &["0.1", "-0", "0", "NaN", "Infinity", "1e10", "16777217"],
        &["0.1", "0.10000000149", "0", "-0", "nan", "inf", "10000000000", "16777216"],
        &["1e40", "x"],
    ),
    case(
        "float8",
        &["0.1", "-0", "0", "NaN", "-Infinity", "1e300", "0.30000000000000004"],
        &["0.1", "0.10", "0", "-0.0", "NaN", "-inf", "1e300", "0.3", "0.30000000000000004"],
        &["1e309", "1 2"],
    ),
    case("oid", &["1", "4294967295"], &["1", "01", "4294967295", "-1"], &["x", "4294967296"]),
    case(
        "text",
        &[
            "",
            " ",
            "a",
            "A",
            "a ",
            "100%",
            "%31",
            "a:b=c.d",
            "grün",
            "gru\u{308}n",
            "it's",
            "\"q\"\\",
            "\t\n",
            "🙂",
            "null",
        ],
        &[
            "",
            " ",
            "a",
            "A",
            "a ",
            "100%",
            "%31",
            "1",
            "a:b=c.d",
            "grün",
            "gru\u{308}n",
            "it's",
            "\"q\"\\",
            "\t\n",
            "🙂",
            "null",
            "eq.a",
        ],
        &["\0"],
    ),
    case("varchar(4)", &["", "ab", "ab ", "abcd"], &["", "ab", "ab ", "abcd", "abcde"], &["a\0"]),
    case("char(5)", &["", "ab", "ab   ", "a b"], &["", "ab", "ab ", "ab      ", "a b", " ab"], &["\0"]),
    case("\"char\"", &["a", "b", ""], &["a", "", "b", "ab"], &[]),
    case("name", &["a", "A", "x y"], &["a", "A", "x y", "x"], &[]),
    case(
        "uuid",
        &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
        &[
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12",
        ],
        &["a0eebc99", ""],
    ),
    case(
        "date",
        &["2024-02-29", "infinity", "0044-03-15 BC"],
        &["2024-02-29", "Feb 29, 2024", "20240229", "infinity", "0044-03-15 BC"],
        &["2023-02-29", "never"],
    ),
    case(
        "time",
        &["10:00", "10:00:00.5", "24:00"],
        &["10:00:00", "10:00 AM", "10:00:00.500000", "24:00:00", "00:00"],
        &["25:00"],
    ),
    case(
        "timestamp",
        &["2024-01-01 12:00", "-infinity"],
        &["2024-01-01T12:00:00", "2024-01-01 12:00:00.000", "2024-01-01 12:00:00+05", "-infinity"],
        &["2024-13-01"],
    ),
    case(
        "timetz",
        &["10:00+00", "12:00+02", "10:00:00.5-08"],
        &["10:00+00", "12:00+02", "12:00:00+02:00", "11:00+01", "10:00:00.5-08"],
        &["10:00+99"],
    ),
    case(
        "interval",
        &["1 mon", "30 days", "1 day", "0", "-1 day"],
        &["30 days", "1 mon", "24:00", "1 day", "0", "-24:00", "2 days"],
        &["x"],
    ),
    case(
        "timestamptz",
        &["2024-01-01 12:00+00", "2024-01-01 12:00:00.000001+00"],
        &[
            "2024-01-01T14:00:00+02:00",
            "2024-01-01 07:00 America/New_York",
            "2024-01-01 12:00:00Z",
            "2024-01-01 12:00:00.000001Z",
        ],
        &["2024-01-01 12:00 Mars/Olympus"],
    ),
    case(
        "bytea",
        &["", "\\x00ff", "abc"],
        &["", "\\x00FF", "\\000\\377", "\\x616263", "abc"],
        &["\\x0", "\\xzz"],
    ),
    case(
        "inet",
        &["10.0.0.1", "10.0.0.1/8", "::1", "::ffff:10.0.0.1"],
        &["10.0.0.1", "10.0.0.1/32", "10.0.0.1/8", "0:0:0:0:0:0:0:1", "::1/128", "::ffff:a00:1"],
        &["10.0.0", "10.0.0.1/33"],
    ),
    case(
        "cidr",
        &["10.0.0.0/8", "10.0.0.1/32"],
        &["10.0.0.0/8", "10.0.0.1", "10.0.0.1/32"],
        &["10.0.0.1/8", "x"],
    ),
    case(
        "macaddr",
        &["08:00:2b:01:02:03"],
        &["08-00-2B-01-02-03", "08002b:010203", "0800.2b01.0203"],
        &["08:00"],
    ),
    case("macaddr8", &["08:00:2b:01:02:03:04:05"], &["0800.2B01.0203.0405", "08:00:2b:01:02:03"], &["x"]),
    case("bit(3)", &["101", "000"], &["101", "B101", "x5", "000", "0"], &["2"]),
    case("varbit", &["", "101", "0101"], &["", "101", "0101", "x5"], &["12"]),
    case("money", &["1.5", "-1000"], &["1.50", "$1.50", "-1000", "-$1,000.00", "1.505"], &["x"]),
    case("pg_lsn", &["0/1", "16/B374D848"], &["0/1", "00/01", "16/b374d848"], &["1", "g/0"]),
    case("xid8", &["1", "18446744073709551615"], &["1", "01", "18446744073709551615"], &[]),
    case("xid", &["3", "4294967295"], &["3", "4294967295", "5"], &[]),
    case("mood", &["happy", "so so", "Happy"], &["happy", "so so", "Happy"], &["sad", "", "HAPPY"]),
    case("positive", &["1", "20"], &["1", "01", "+20", "-5"], &["1.5", "x"]),
    case("short_mood", &["happy"], &["happy", "so so"], &["sad"]),
];

/// What these tests demand of a type is in the tables above; what it means is asked of Postgres.
const TYPES: &str = "create type mood as enum ('happy', 'so so', 'Happy'); \
                     create domain positive as int8 check (value > 0); \
                     create domain inner_mood as mood; create domain short_mood as inner_mood";

async fn matching(client: &Client, table: usize, value: &str) -> Vec<i64> {
    let literal = postgres_protocol::escape::escape_literal(value);
    // Postgres finds no operator for a domain over an enum; it is compared as the enum that it is.
    let cast = if CASES[table].sql == "short_mood" { "::mood" } else { "" };
    let sql = format!("select id::int8 from t{table} where v{cast} = {literal} order by id");
    client
        .query(&sql, &[])
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// The ids of the rows that reach each of `topics`, up to the next row of `barrier`.
pub async fn told(
    socket: &mut Socket,
    client: &Client,
    topics: usize,
    of: impl Fn(&str) -> usize,
) -> Vec<Vec<Value>> {
    client.batch_execute("insert into barrier default values").await.unwrap();
    let mut told = vec![Vec::new(); topics];
    loop {
        let (topic, change) = socket.change_on().await;
        if topic == "realtime:public:barrier" {
            return told;
        }
        told[of(&topic)].push(change);
    }
}

#[tokio::test]
async fn equality_is_what_postgres_says_it_is() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute("set timezone = 'UTC'; create table barrier (id serial primary key)")
            .await
            .unwrap();
        client.batch_execute(TYPES).await.unwrap();
        for (number, case) in CASES.iter().enumerate() {
            let sql = format!("create table t{number} (id serial primary key, v {})", case.sql);
            client.batch_execute(&sql).await.unwrap();
        }
        let limits = [
            ("WALCAST__LIMITS__CHANNELS_PER_SOCKET", "1000"),
            ("WALCAST__LIMITS__JOINS_PER_SECOND", "10000"),
        ];
        let walcast = Walcast::serve(&database, &limits).await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:barrier", json!({})).await;
        let mut topics = Vec::new();
        for (number, case) in CASES.iter().enumerate() {
            for value in case.wanted {
                let topic = format!("realtime:public:t{number}:v=eq.{value}");
                socket.joined(&topic, json!({"frames": "type"})).await;
                topics.push((topic, number, *value));
            }
            for value in case.invalid {
                let topic = format!("realtime:public:t{number}:v=eq.{value}");
                let reason = socket.refused(&topic, json!({})).await;
                assert!(reason.starts_with("FilterValueInvalid: "), "{} {value:?}: {reason}", case.sql);
            }
        }
        for (number, case) in CASES.iter().enumerate() {
            let literals: Vec<String> = case
                .rows
                .iter()
                .map(|row| format!("({})", postgres_protocol::escape::escape_literal(row)))
                .collect();
            let sql = format!("insert into t{number} (v) values {}, (null)", literals.join(", "));
            client.batch_execute(&sql).await.unwrap();
        }
        let place = |topic: &str| topics.iter().position(|(known, ..)| known == topic).unwrap();
        let told = told(&mut socket, &client, topics.len(), place).await;
        let mut some = 0;
        for ((topic, number, value), changes) in topics.iter().zip(told) {
            let ids: Vec<i64> =
                changes.iter().map(|change| change["record"]["id"].as_i64().unwrap()).collect();
            assert_eq!(
                ids,
                matching(&client, *number, value).await,
                "{topic} ({}) on {major}",
                CASES[*number].sql
            );
            some += usize::from(!ids.is_empty());
        }
        assert!(some > 100, "most filters match something: {some}");
    }
}

#[tokio::test]
async fn types_whose_equality_is_not_their_texts_are_refused_by_name() {
    let own = "create type pair as (a int, b int); create schema mine; create type mine.money as (units int); \
               create domain ids as int4[]";
    let types = [
        ("json", "json"),
        ("jsonb", "jsonb"),
        ("int4[]", "_int4"),
        ("ids", "_int4"),
        ("point", "point"),
        ("int4range", "int4range"),
        ("tsvector", "tsvector"),
        ("xml", "xml"),
        ("pair", "pair"),
        ("mine.money", "money"),
    ];
    refused(cluster::shared(postgres_binaries::majors()[0]), own, &types).await;
}

#[tokio::test]
async fn texts_that_are_equal_with_other_bytes_are_refused() {
    // The machine's own Postgres has ICU and the contrib extensions.
    let own = "create extension citext; create extension hstore; \
               create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
               create domain loosely as text collate loose";
    let types = [
        ("citext", "citext"),
        ("hstore", "hstore"),
        ("text collate loose", "text under a nondeterministic collation"),
        ("loosely", "text under a nondeterministic collation"),
    ];
    refused(cluster::system(), own, &types).await;
}

async fn refused(cluster: &'static SharedCluster, own: &str, types: &[(&str, &str)]) {
    let database = cluster.database().await;
    let client = database.connect().await;
    client.batch_execute(own).await.unwrap();
    let columns: Vec<String> =
        types.iter().enumerate().map(|(number, (sql, _))| format!(", c{number} {sql}")).collect();
    client
        .batch_execute(&format!("create table odd (id int primary key{})", columns.concat()))
        .await
        .unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    for (number, (sql, name)) in types.iter().enumerate() {
        let reason = socket.refused(&format!("realtime:public:odd:c{number}=eq.1"), json!({})).await;
        let right = format!(
            "FilterUnsupported: equality of type {name} (column \"c{number}\") cannot be decided exactly as Postgres \
             would"
        );
        assert_eq!(reason, right, "{sql}");
    }
}
