//! What is compared here is compared as a real server does: order and equality of every type, and patterns.

use tokio_postgres::Client;
use walcast::change::compare::Kind;
use walcast::topic::condition::text::TextPattern;
use walcast::topic::filter::Matching;

use crate::{cluster, postgres_binaries};

/// A type by its name in the catalog, with a query of some of its values as `v`.
const VALUES: &[(&str, &str)] = &[
    ("bool", "select unnest('{t,f}'::bool[]) v"),
    ("int2", "select unnest('{-32768,-10,-9,0,9,10,32767}'::int2[]) v"),
    ("int4", "select (random() * 400 - 200)::int4 v from generate_series(1, 40)"),
    ("int8", "select (2 ^ (random() * 62))::int8 * (i % 3 - 1) v from generate_series(1, 40) i"),
    ("oid", "select unnest('{0,9,10,2147483648,4294967295}'::oid[]) v"),
    ("xid8", "select unnest('{0,9,10,9223372036854775808,18446744073709551615}'::text[])::xid8 v"),
    (
        "numeric",
        "select round(((random() - 0.5) * 10 ^ (random() * 24 - 8))::numeric, (random() * 12)::int) v \
         from generate_series(1, 50) \
         union all select unnest('{NaN,Infinity,-Infinity,0,0.00,-0.0,1,1.0,1.50,1.5,-1.50,-1.5,100,1e2,1e20,1e-20}'::numeric[])",
    ),
    (
        "float4",
        "select ((random() - 0.5) * 10 ^ (random() * 60 - 30))::float4 v from generate_series(1, 40) \
         union all select unnest('{NaN,Infinity,-Infinity,0,-0,0.1,1e-40,16777216}'::float4[])",
    ),
    (
        "float8",
        "select (random() - 0.5) * 10 ^ (random() * 600 - 300) v from generate_series(1, 40) \
         union all select unnest('{NaN,Infinity,-Infinity,0,-0,0.1,0.30000000000000004,0.3,5e-324}'::float8[])",
    ),
    ("text", "select v from texts"),
    ("varchar", "select v::varchar v from texts"),
    ("bpchar", "select v::char(8) v from texts union all select v::bpchar from texts"),
    ("name", "select v::name v from texts"),
    ("uuid", "select md5(random()::text)::uuid v from generate_series(1, 30)"),
    (
        "bytea",
        "select substr(decode(md5(random()::text), 'hex'), 1, (random() * 4)::int) v from generate_series(1, 40)",
    ),
    (
        "date",
        "select '2000-01-01'::date + ((random() - 0.5) * 10 ^ (random() * 6))::int v from generate_series(1, 40) \
         union all select unnest('{infinity,-infinity,4713-01-01 BC,0001-12-31 BC,0001-01-01,9999-12-31,10000-01-01}'::date[])",
    ),
    (
        "time",
        "select '00:00'::time + random() * '1 day'::interval v from generate_series(1, 40) \
         union all select unnest('{24:00,00:00,10:00,10:00:00.5,10:00:00.05}'::time[])",
    ),
    (
        "timetz",
        "select ('00:00'::time + (random() * 24)::int * '1 hour'::interval)::text || \
           (array['+00', '+02', '-08', '+05:30', '-03:15:30'])[1 + (random() * 4)::int] v from generate_series(1, 60)",
    ),
    (
        "timestamp",
        "select '2000-01-01'::timestamp + (random() - 0.5) * 10 ^ (random() * 10) * '1 second'::interval v \
         from generate_series(1, 40) \
         union all select unnest('{infinity,-infinity,0044-03-15 12:00 BC,0044-03-15 12:00:00.5 BC,10000-01-01}'::timestamp[])",
    ),
    (
        "timestamptz",
        "select '2000-01-01'::timestamptz + (random() - 0.5) * 10 ^ (random() * 10) * '1 second'::interval v \
         from generate_series(1, 40) \
         union all select unnest('{infinity,-infinity,0044-03-15 12:00 BC,2024-01-01 00:00+02,10000-01-01}'::timestamptz[])",
    ),
    (
        "interval",
        "select make_interval((random() * 4 - 2)::int, (random() * 24 - 12)::int, 0, (random() * 60 - 30)::int, \
           (random() * 48 - 24)::int, 0, random() * 100 - 50) v from generate_series(1, 60) \
         union all select unnest('{0,1 day,24:00,1 day -1:00,23:00,1 mon,30 days,1 year,12 mons,360 days,-1 mon +1 day}'::interval[])",
    ),
    ("macaddr", "select unnest('{08:00:2b:01:02:03,08:00:2b:01:02:0a,a8:00:2b:01:02:03}'::macaddr[]) v"),
    ("macaddr8", "select unnest('{08:00:2b:01:02:03:04:05,a8:00:2b:01:02:03:00:00}'::macaddr8[]) v"),
    ("bit", "select (random() * 255)::int::bit(8) v from generate_series(1, 20)"),
    (
        "varbit",
        "select substring((random() * 65535)::int::bit(16)::varbit from 1 for (random() * 16)::int) v from generate_series(1, 60)",
    ),
    ("pg_lsn", "select unnest('{0/0,0/9,0/A,0/FFFFFFFF,1/0,FFFFFFFF/FFFFFFFF}'::pg_lsn[]) v"),
    ("inet", "select unnest('{10.0.0.1,10.0.0.1/8,10.0.0.1/32,::1,::1/128}'::inet[]) v"),
    ("cidr", "select unnest('{10.0.0.0/8,10.0.0.1,::/0}'::cidr[]) v"),
    ("money", "select unnest('{1.5,1.50,-1000}'::money[]) v"),
    ("xid", "select unnest('{3,4294967295}'::text[])::xid v"),
    ("char", "select unnest('{a,b,A}'::\"char\"[]) v"),
];

const TEXTS: &str = "create table texts as select unnest(array['', ' ', 'a', 'a ', 'A', 'B', 'ab', 'a b', 'é', 'É', 'z', '🙂', U&'\\0085', E'\\x01', '\
                     a-b', E'a\\nb', E'\\t', '_', '%', 'abc123', '1', 'a.b', 'ÿ', '~', 'aa', 'aab', 'foo bar', '[', ']', E'\\\\'\
                     ]) v";

async fn session(major: u16) -> (cluster::Database, Client) {
    let database = cluster::shared(major).database().await;
    let client = database.connect().await;
    // As the sessions whose texts are compared.
    let pinned = "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set extra_float_digits = 1;";
    client.batch_execute(&format!("{pinned}{TEXTS}")).await.unwrap();
    (database, client)
}

#[tokio::test]
async fn keys_have_the_order_of_postgres() {
    for &major in postgres_binaries::majors() {
        let (_database, client) = session(major).await;
        for (name, values) in VALUES {
            let kind = Kind::of(name).unwrap();
            let collate =
                if ["text", "varchar", "bpchar", "name"].contains(name) { "collate \"C\"" } else { "" };
            let less = if kind.ordered() {
                format!("a.v {collate} < b.v {collate}")
            } else {
                "null::bool".to_owned()
            };
            let of_type = if *name == "char" { "\"char\"" } else { name };
            // The planner may not fold two readings of a random value into one.
            let sql = format!(
                "with v as materialized (select v::pg_catalog.{of_type} v from ({values}) x) \
                 select format('%s', a.v), format('%s', b.v), a.v {collate} = b.v {collate}, {less} from v a, v b"
            );
            let rows = client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            assert!(rows.len() > 3, "{name}");
            for row in rows {
                let (one, two): (String, String) = (row.get(0), row.get(1));
                let key = |text: &str| {
                    kind.key(text.as_bytes())
                        .unwrap_or_else(|| panic!("{text} has no key as {name} on {major}"))
                };
                assert_eq!(
                    key(&one) == key(&two),
                    row.get::<_, bool>(2),
                    "{one:?} = {two:?} as {name} on {major}"
                );
                if let Some(less) = row.get::<_, Option<bool>>(3) {
                    assert_eq!(key(&one) < key(&two), less, "{one:?} < {two:?} as {name} on {major}");
                }
            }
        }
    }
}

/// A pattern of few characters with many meanings.
fn pattern(random: &mut fastrand::Rng, expression: bool) -> String {
    const EXPRESSION: [&str; 42] = [
        "a",
        "b",
        "A",
        "é",
        "1",
        " ",
        ".",
        "^",
        "$",
        "*",
        "+",
        "?",
        "|",
        "(",
        ")",
        "(?:",
        "[ab]",
        "[^a]",
        "[a-z]",
        "[[:alpha:]",
        "]",
        "[[:upper:]]",
        "[^[:space:]é]",
        "[[:cntrl:]]",
        "[^[:cntrl:][:punct:]]",
        "\\d",
        "\\w",
        "\\W",
        "\\s",
        "\\S",
        "\\D",
        "\\m",
        "\\M",
        "\\y",
        "\\A",
        "\\Z",
        "{2}",
        "{1,}",
        "{0,2}",
        "\\.",
        "-",
        "foo",
    ];
    const LIKE: [&str; 10] = ["a", "b", "A", "é", "%", "_", "\\%", "\\\\", " ", "."];
    let parts: &[&str] = if expression { &EXPRESSION } else { &LIKE };
    (0..random.usize(1..6)).map(|_| parts[random.usize(..parts.len())]).collect()
}

#[tokio::test]
async fn patterns_match_as_in_postgres() {
    let (_database, client) = session(postgres_binaries::majors()[0]).await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut served = 0;
    for _ in 0..1500 {
        let (matching, operator) = [
            (Matching::Like, "like"),
            (Matching::ILike, "ilike"),
            (Matching::Match, "~"),
            (Matching::IMatch, "~*"),
        ][random.usize(..4)];
        let source = pattern(&mut random, matches!(matching, Matching::Match | Matching::IMatch));
        let sql = format!("select v, v collate \"C\" {operator} $1::text from texts");
        let Ok(rows) = client.query(&sql, &[&source]).await else { continue };
        let Ok(pattern) = TextPattern::new(matching, &source) else { continue };
        served += 1;
        for row in rows {
            let text: &str = row.get(0);
            assert_eq!(pattern.matches(text), row.get::<_, bool>(1), "{text:?} {operator} {source:?}");
        }
    }
    assert!(served > 800, "most patterns are served: {served}");
}
