//! The hot paths, one at a time: decode, decode + JSON, routing; a GraphQL request up to its statement. Ratios count, not
//! nanoseconds: the first two groups have their baselines in the same run.

#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use bytes::Bytes;
use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use walcast::change::assembler::{Assembler, Passed};
use walcast::change::compare::Kind;
use walcast::change::value::Profile;
use walcast::change::wire::Telling;
use walcast::change::{Change, Transaction};
use walcast::graphql::catalog::Catalog;
use walcast::graphql::plan::{Limits, plan};
use walcast::graphql::schema::Schema;
use walcast::graphql::sql::write;
use walcast::graphql::tags::Names;
use walcast::lsn::Lsn;
use walcast::operations::{Identity, Operations, Request};
use walcast::pgoutput::{Column, Message, decode};
use walcast::postgres::pool::{Pool, PoolOptions};
use walcast::topic::condition::{self, Condition, Operand, Test};
use walcast::topic::filter::Comparison;
use walcast::topic::index::{Index, Pattern, TopicId};
use walcast::topic::pattern::Filtered;

/// Rows of one piece: about what a busy transaction hands over at a time.
const ROWS: u64 = 1000;

/// The load benchmark's table, as the log describes it.
fn relation() -> Bytes {
    let columns: [(&str, u32, u8); 8] = [
        ("id", 20, 1),
        ("account", 23, 0),
        ("name", 25, 0),
        ("amount", 1700, 0),
        ("rate", 701, 0),
        ("active", 16, 0),
        ("at", 1184, 0),
        ("note", 25, 0),
    ];
    let mut out = vec![b'R'];
    out.extend_from_slice(&16_400_u32.to_be_bytes());
    out.extend_from_slice(b"public\0load\0d");
    out.extend_from_slice(&8_u16.to_be_bytes());
    for (name, oid, flags) in columns {
        out.push(flags);
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.extend_from_slice(&oid.to_be_bytes());
        out.extend_from_slice(&(-1_i32).to_be_bytes());
    }
    out.into()
}

fn insert(id: u64) -> Bytes {
    let values = [
        id.to_string(),
        "4711".to_owned(),
        "customer name".to_owned(),
        "12345.67".to_owned(),
        "0.125".to_owned(),
        "t".to_owned(),
        "2026-01-02 03:04:05.678901+00".to_owned(),
        "a note of some forty characters, as usual".to_owned(),
    ];
    let mut out = vec![b'I'];
    out.extend_from_slice(&16_400_u32.to_be_bytes());
    out.push(b'N');
    out.extend_from_slice(&8_u16.to_be_bytes());
    for value in values {
        out.push(b't');
        out.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.into()
}

fn assembler() -> Assembler {
    let mut assembler = Assembler::after(Passed::default());
    let begin = Message::Begin { final_lsn: Lsn(1000), commit_time: 0, xid: 1 };
    assembler.apply(Lsn(0), &Bytes::new(), &begin).unwrap();
    let relation = relation();
    assembler.apply(Lsn(0), &relation, &decode(&relation).unwrap()).unwrap();
    assembler
}

/// The rows as changes, whether or not a piece was full in between.
fn assemble(rows: &[Bytes]) -> Vec<Change> {
    let mut assembler = assembler();
    let mut changes = Vec::new();
    for (lsn, row) in rows.iter().enumerate() {
        let piece = assembler.apply(Lsn(lsn as u64 + 1), row, &decode(row).unwrap()).unwrap();
        changes.extend(piece.into_iter().flat_map(|piece: Transaction| piece.changes));
    }
    let commit = Message::Commit { lsn: Lsn(1000), end_lsn: Lsn(1001), commit_time: 0 };
    let last = assembler.apply(Lsn(0), &Bytes::new(), &commit).unwrap().unwrap();
    changes.extend(last.changes);
    changes
}

fn rows() -> Vec<Bytes> {
    (0..ROWS).map(insert).collect()
}

/// What a general JSON library would do: one map of values a row.
fn through_value(row: &[u8], names: &[&str]) -> Vec<u8> {
    let Message::Insert { new, .. } = decode(row).unwrap() else { unreachable!() };
    let mut record = serde_json::Map::new();
    for (name, column) in names.iter().zip(new.iter()) {
        let Column::Text(text) = column else { continue };
        let text = std::str::from_utf8(text).unwrap();
        let value = serde_json::from_str::<serde_json::Number>(text)
            .map_or_else(|_| text.into(), serde_json::Value::Number);
        record.insert((*name).to_owned(), value);
    }
    serde_json::to_vec(
        &serde_json::json!({ "schema": "public", "table": "load", "type": "INSERT", "record": record }),
    )
    .unwrap()
}

fn rows_to_json(criterion: &mut Criterion) {
    let rows = rows();
    let names = ["id", "account", "name", "amount", "rate", "active", "at", "note"];
    let mut group = criterion.benchmark_group("rows");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            for row in &rows {
                black_box(decode(row).unwrap());
            }
        });
    });
    group.bench_function("decode + assemble", |bencher| bencher.iter(|| black_box(assemble(&rows))));
    group.bench_function("decode + assemble + JSON", |bencher| {
        let mut out = Vec::with_capacity(1 << 20);
        bencher.iter(|| {
            for change in assemble(&rows) {
                out.clear();
                change.write_payload(
                    &mut out,
                    "2026-01-02T03:04:05.678901Z",
                    Telling::Plain,
                    Profile::Default,
                );
                black_box(&out);
            }
        });
    });
    group.bench_function("baseline: decode + serde_json::Value", |bencher| {
        bencher.iter(|| {
            for row in &rows {
                black_box(through_value(row, &names));
            }
        });
    });
    group.finish();
}

fn test(comparison: Comparison, id: i64) -> Condition {
    let operand = Operand::new(&Kind::Integer, id.to_string()).unwrap();
    Condition::Test { column: 0, test: Test::Compare(Kind::Integer, comparison, operand) }
}

fn both(one: Condition, two: Condition) -> Pattern {
    on_load(Condition::All([one, two].into()))
}

fn filtered(comparison: Comparison, id: i64) -> Pattern {
    on_load(test(comparison, id))
}

fn on_load(condition: Condition) -> Pattern {
    let id = condition::Column { name: "id".into(), sql_type: "pg_catalog.int8".into(), text: false };
    let (schema, table) = ("public".into(), "load".into());
    Pattern::Filtered(Arc::new(Filtered { schema, table, columns: [id].into(), condition }))
}

fn index(patterns: impl Iterator<Item = Pattern>) -> Index {
    let mut index = Index::default();
    for (pattern, topic) in patterns.zip(0..) {
        index.insert(&pattern, TopicId(topic));
    }
    index
}

fn route(bencher: &mut Bencher<'_>, index: &Index, changes: &[Change]) {
    bencher.iter_batched_ref(
        Vec::new,
        |hits| {
            for change in changes {
                hits.clear();
                index.matches(change, hits);
                black_box(&hits);
            }
        },
        BatchSize::SmallInput,
    );
}

fn routing(criterion: &mut Criterion) {
    let changes: Arc<[Change]> = assemble(&rows()).into();
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(ROWS));
    for filters in [10_u32, 10_000, 100_000] {
        let equal = |id: u32| filtered(Comparison::Eq, id.into());
        let index = index((0..filters).map(equal));
        group.bench_function(format!("a change among {filters} filters id=eq.N"), |bencher| {
            route(bencher, &index, &changes);
        });
    }
    // None of the ids is there.
    let above = index((0..5000).map(|number| filtered(Comparison::Gt, 1_000_000 + number)));
    group.bench_function("a change among 5000 filters id=gt.N, none matching", |bencher| {
        route(bencher, &above, &changes);
    });
    let windows = index((0..5000).map(|number| {
        let begin = 1_000_000 + 10 * number;
        both(test(Comparison::Gte, begin), test(Comparison::Lt, begin + 10))
    }));
    group.bench_function("a change among 5000 filters id=gte.N,id=lt.N+10, none matching", |bencher| {
        route(bencher, &windows, &changes);
    });
    let rest = index((0..100).map(|number| filtered(Comparison::Neq, number)));
    group.bench_function("a change among 100 filters id=neq.N, nearly all matching", |bencher| {
        route(bencher, &rest, &changes);
    });
    group.finish();
}

/// The demo's auctions and bids, as the catalog tells of them.
fn catalog() -> Catalog {
    let column = |number: i16, name: &str, kind: u32| json!({ "number": number, "name": name, "type": kind, "not_null": true, "comment": null });
    let nothing = json!({ "tables": [], "calls": [], "more": false });
    let table = |oid: u32, name: &str, columns: &[serde_json::Value]| {
        json!({
            "oid": oid, "row_type": oid + 2, "schema": "public", "name": name, "kind": "table",
            "comment": null, "columns": columns, "primary_key": [1], "unique_keys": [], "reads": nothing,
        })
    };
    let source = |oid: u32, name: &str| {
        json!({
            "oid": oid, "schema": "public", "name": name, "sql": name, "kind": "table", "logged": true,
            "partition": false, "columns": [], "heirs": [], "published": oid, "filtered": false, "policies": nothing,
        })
    };
    let kind = |oid: u32, name: &str, sql: &str| {
        json!({
            "oid": oid, "schema": "pg_catalog", "name": name, "sql": sql, "kind": "base", "ordered": true,
            "comparable": true, "comment": null,
        })
    };
    serde_json::from_value(json!({
        "relations": [
            table(16_400, "auctions", &[column(1, "id", 20), column(2, "title", 25)]),
            table(16_410, "bids", &[column(1, "id", 20), column(2, "amount", 23), column(3, "auction_id", 20)]),
        ],
        "foreign_keys": [{
            "name": "bids_auction_id_fkey", "relation": 16_410, "columns": [3], "target": 16_400,
            "target_columns": [1], "comment": null,
        }],
        "types": [kind(20, "int8", "bigint"), kind(23, "int4", "integer"), kind(25, "text", "text")],
        "functions": [],
        "sources": [source(16_400, "auctions"), source(16_410, "bids")],
        "called": [],
        "publication": { "sql": "walcast", "lacks": [] },
    }))
    .unwrap()
}

/// What a GraphQL request costs before its statement is sent.
fn graphql(criterion: &mut Criterion) {
    const QUERY: &str = "query ($id: ID!) { auction(id: $id) { title bids { amount } } }";
    let schema = Arc::new(Schema::of(&catalog(), &Names::default()).unwrap());
    let limits = Limits { depth: 16, cost: 2000, rows: 1000, introspection: true };
    let config = "host=localhost user=nobody".parse().unwrap();
    let options = PoolOptions { role: None, connections: 1, wait: Duration::ZERO, statement: Duration::ZERO };
    let pool = Arc::new(Pool::new(&config, options).unwrap());
    let operations = || {
        let operations = Operations::new(Arc::clone(&pool) as _, limits, Arc::default());
        operations.serve(Ok(Arc::clone(&schema)), Ok(()));
        operations
    };
    let variables: JsonMap = serde_json::from_str(r#"{"id": "42"}"#).unwrap();
    let request = || Request {
        document: QUERY.to_owned(),
        operation_name: None,
        variables: variables.clone(),
        identity: Identity::default(),
    };
    let mut group = criterion.benchmark_group("graphql");
    group.bench_function("prepare, a document seen before", |bencher| {
        let operations = operations();
        operations.prepare(request()).unwrap();
        bencher.iter_batched(request, |request| operations.prepare(request).unwrap(), BatchSize::SmallInput);
    });
    group.bench_function("prepare, a new document", |bencher| {
        bencher.iter_batched(
            || (operations(), request()),
            |(operations, request)| (operations.prepare(request).unwrap(), operations),
            BatchSize::SmallInput,
        );
    });
    let document =
        ExecutableDocument::parse_and_validate(&schema.definitions, QUERY, "bench.graphql").unwrap();
    let operation = document.operations.get(None).unwrap();
    let coerced = coerce_variable_values(&schema.definitions, operation, &variables).unwrap();
    let plan = || plan(&schema.model, &document, operation, &coerced, limits, &JsonMap::new()).unwrap().0;
    group.bench_function("plan", |bencher| bencher.iter(|| black_box(plan())));
    let planned = plan();
    group.bench_function("plan to SQL", |bencher| {
        bencher.iter(|| black_box(write(&schema.model, &planned, limits.rows, false)));
    });
    group.finish();
}

criterion_group!(benches, rows_to_json, routing, graphql);
criterion_main!(benches);
