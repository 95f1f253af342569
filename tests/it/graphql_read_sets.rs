//! What a tracked statement returns, and the read-set that is made of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use serde_json::json;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use walcast::graphql::plan::{self, Limits, Plan};
use walcast::graphql::read_set::{Extent, Opaque, Predicate, ReadSet, Values, Watch, broad, read_set};
use walcast::graphql::schema::Schema;
use walcast::graphql::sql::{self, Script};
use walcast::graphql::tags::Names;
use walcast::postgres::introspection;

use crate::graphql::DEMO;
use crate::{cluster, postgres_binaries};

const LIMITS: Limits = Limits { depth: 16, cost: 2000, rows: 1000, introspection: true };

/// A schema and its database.
struct Tracked {
    client: Client,
    schema: Schema,
    tables: BTreeMap<u32, String>,
    _database: cluster::Database,
}

impl Tracked {
    async fn of(sql: &str) -> Self {
        let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
        let client = database.connect().await;
        client.batch_execute("create publication walcast for all tables").await.unwrap();
        client.batch_execute(sql).await.unwrap();
        let catalog = introspection::catalog(&client, &["public".to_owned()], "walcast").await.unwrap();
        let schema = Schema::of(&catalog, &Names::default()).unwrap();
        let tables = catalog.relations.iter().map(|relation| (relation.oid, relation.name.clone())).collect();
        Self { client, schema, tables, _database: database }
    }

    /// The plan of a query, and its coerced variables.
    fn plan(&self, query: &str, variables: &serde_json::Value) -> (Plan, Valid<JsonMap>) {
        let document = ExecutableDocument::parse_and_validate(&self.schema.definitions, query, "q").unwrap();
        let operation = document.operations.get(None).unwrap();
        let given: JsonMap = serde_json::from_value(variables.clone()).unwrap();
        let variables = coerce_variable_values(&self.schema.definitions, operation, &given).unwrap();
        let (plan, _) =
            plan::plan(&self.schema.model, &document, operation, &variables, LIMITS, &JsonMap::new())
                .unwrap();
        (plan, variables)
    }

    /// The data, the keys and the snapshot that the one statement returns, and the read-set.
    async fn run(&self, query: &str, variables: &serde_json::Value) -> (String, String, String, ReadSet) {
        let (plan, variables) = self.plan(query, variables);
        let Script::Query(statement) = sql::write(&self.schema.model, &plan, LIMITS.rows, true) else {
            panic!("a query has one statement")
        };
        let bound: Vec<_> = statement
            .operands
            .iter()
            .map(|operand| operand.bind(&variables, &self.schema.model.enums).unwrap())
            .collect();
        let types = vec![Type::TEXT; bound.len()];
        let prepared = self.client.prepare_typed(&statement.sql, &types).await.unwrap_or_else(|error| {
            panic!("{error:?}: {}", statement.sql);
        });
        let parameters: Vec<_> = bound.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        let row = self.client.query_one(&prepared, &parameters).await.unwrap();
        let (data, keys, snapshot): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let set = read_set(&self.schema.model, &plan, &variables, &keys).unwrap();
        (data, keys, snapshot, set)
    }

    /// The read-set in words, a line for each watch.
    async fn told(&self, query: &str, variables: serde_json::Value) -> String {
        let (_, _, _, set) = self.run(query, &variables).await;
        self.lines(&set).join("\n")
    }

    fn lines(&self, set: &ReadSet) -> Vec<String> {
        let mut lines: Vec<_> = set.watches.iter().map(|watch| self.line(watch)).collect();
        lines.extend(set.opaque.iter().map(|opaque| match opaque {
            Opaque::Function { name, .. } => format!("function {name}"),
            Opaque::View { name, .. } => format!("view {name}"),
            Opaque::Unseen { name, .. } => format!("unseen {name}"),
            Opaque::Policy { name, .. } => format!("policy {name}"),
        }));
        lines
    }

    fn line(&self, watch: &Watch) -> String {
        let mut out = self.tables[&watch.table].clone();
        if !watch.rows.is_empty() {
            let _ = write!(out, " rows {}", values(&watch.rows));
        }
        match &watch.columns {
            None => out.push_str(" read *"),
            Some(columns) if columns.is_empty() => {}
            Some(columns) => {
                let _ = write!(out, " read {}", columns.iter().cloned().collect::<Vec<_>>().join(" "));
            }
        }
        if let Some((columns, bound)) = &watch.members.bound {
            let _ = write!(out, " where {} in {}", columns.join(" "), values(bound));
        }
        for predicate in &watch.members.conditions {
            let _ = write!(out, " and {}", condition(predicate));
        }
        if watch.members.closed {
            out.push_str(" closed");
        }
        match &watch.extent {
            Extent::Whole => {}
            Extent::Window(order) => {
                let _ = write!(out, " window by {}", order.join(" "));
            }
            Extent::Aggregate(columns) => {
                let _ = write!(out, " aggregate {}", columns.iter().cloned().collect::<Vec<_>>().join(" "));
            }
            Extent::Existence => out.push_str(" exists"),
            Extent::Any => out.push_str(" any"),
        }
        out
    }
}

fn values(all: &std::collections::BTreeSet<Values>) -> String {
    let one = |values: &Values| {
        values.iter().map(|value| value.as_deref().unwrap_or("null").to_owned()).collect::<Vec<_>>().join("/")
    };
    format!("{{{}}}", all.iter().map(one).collect::<Vec<_>>().join(","))
}

fn condition(predicate: &Predicate) -> String {
    let all = |parts: &[Predicate], word: &str| {
        format!("({})", parts.iter().map(condition).collect::<Vec<_>>().join(word))
    };
    match predicate {
        Predicate::And(parts) => all(parts, " and "),
        Predicate::Or(parts) => all(parts, " or "),
        Predicate::Not(part) => format!("not {}", condition(part)),
        Predicate::Null(column, null) => format!("{column} is{}null", if *null { " " } else { " not " }),
        Predicate::Compare(column, _, comparison, value) => {
            format!("{column} {comparison:?} {}", value.as_deref().unwrap_or("null"))
        }
        Predicate::Elsewhere => "elsewhere".to_owned(),
    }
}

#[tokio::test]
async fn one_statement_returns_the_data_all_keys_and_its_snapshot() {
    let tracked = Tracked::of(DEMO).await;
    let (data, keys, snapshot, _) = tracked
        .run("{ auctions(limit: 2) { title bids { amount } highestBid { amount } } bidsAggregate { count } auction(id: 9) { title } }", &json!({}))
        .await;
    assert_eq!(
        data,
        r#"{"auctions":[{"title":"A wooden chair","bids":[{"amount":10},{"amount":15}],"highestBid":{"amount":15}},{"title":"A brass telescope","bids":[{"amount":80}],"highestBid":{"amount":80}}],"bidsAggregate":{"count":3},"auction":null}"#
    );
    // The auction's key, its bids' keys, the highest bid's key; nothing of the aggregate, null for the row that is not there.
    assert_eq!(keys, r#"[[["1",[["1"],["2"]],["2"]],["2",[["3"]],["3"]]],null]"#);
    assert_eq!(snapshot.split(':').count(), 3, "{snapshot} is xmin:xmax:xip");
}

#[tokio::test]
async fn read_sets_name_rows_edges_predicates_windows_aggregates_and_functions() {
    let tracked = Tracked::of(DEMO).await;
    for (query, variables, expected) in [
        (
            "query ($id: ID!) { auction(id: $id) { title bids { amount } } }",
            json!({ "id": "1" }),
            "auctions rows {1} read id title where id in {1}\n\
             bids rows {1,2} read amount id where auction_id in {1}",
        ),
        // A row that is not there is waited for.
        ("{ auction(id: 9) { id } }", json!({}), "auctions read id where id in {9}"),
        (
            "{ auctions(filter: {title: {like: \"A b%\"}}, orderBy: {title: DESC}, limit: 1) { id bids { auction { id } } } }",
            json!({}),
            "auctions rows {2} read id title and title Like A b% window by title\n\
             bids rows {3} read auction_id id where auction_id in {2}\n\
             auctions rows {2} read id where id in {2}",
        ),
        (
            "query ($f: BidFilter) { bidsAggregate(filter: $f) { count max { amount } } }",
            json!({ "f": { "or": [{ "amount": { "lt": 50 } }, { "not": { "auction": { "title": { "is": "NULL" } } } }] } }),
            "auctions read id title and (title is null) exists\n\
             bids and ((amount Lt 50) or (not (elsewhere))) aggregate amount auction_id",
        ),
        (
            "{ auctions { bidsAggregate { count } } }",
            json!({}),
            "auctions rows {1,2,3} read id\nbids where auction_id in {1,2,3} aggregate ",
        ),
        // The function says what it reads; the row that it takes is read whole.
        (
            "{ auction(id: 1) { highestBid { amount } } }",
            json!({}),
            "auctions rows {1} read * where id in {1}\n\
             bids read * where auction_id in {1} any\n\
             bids rows {2} read amount id closed",
        ),
    ] {
        assert_eq!(tracked.told(query, variables).await, expected, "{query}");
    }
}

#[tokio::test]
async fn what_the_slot_does_not_show_is_named() {
    let tracked = Tracked::of(
        "create table t (id int primary key, a int);
         create unlogged table u (id int primary key);
         create view v as select id, a from t where a > 0;
         create materialized view m as select 1 as id;
         create function f(t) returns int language sql stable as 'select 1';
         create function p(t) returns int language sql immutable as 'select 1';
         create function g() returns setof t language sql stable begin atomic select * from t; end;",
    )
    .await;
    for (query, expected) in [
        ("{ us { id } }", "u read id\nunseen public.u"),
        ("{ ms { id } }", "unseen public.m"),
        ("{ vs { a } }", "t read * any"),
        ("{ ts { f } }", "t read *\nfunction public.f"),
        ("{ ts { p } }", "t read *"),
        ("{ g { id } }", "t read * any\nt read id closed"),
    ] {
        assert_eq!(tracked.told(query, json!({})).await, expected, "{query}");
    }
}

#[tokio::test]
async fn tables_that_policies_read_are_watched_as_a_whole() {
    let tracked = Tracked::of(
        "create table notes (id int primary key, team int, owner text);
         create table members (team int, who text, primary key (team, who));
         create table bans (who text primary key); create table teams (id int primary key);
         create function looked() returns bool language sql stable as 'select true';
         insert into notes values (1, 1, 'me'); insert into members values (1, 'me');
         create policy p on notes using (exists (select from members m where m.team = notes.team));
         create policy p on members using (not exists (select from bans b where b.who = members.who));
         create policy p on teams using (looked());
         alter table notes enable row level security; alter table members enable row level security;
         alter table teams enable row level security;
         create role notes_reader; grant select on all tables in schema public to notes_reader;
         set role notes_reader",
    )
    .await;
    for (query, expected) in [
        ("{ notes { owner } }", "notes rows {1} read *\nmembers read * any\nbans read * any"),
        // One of which rows are read as well is watched for both reasons.
        (
            "{ notes { id } member(team: 2, who: \"me\") { team } }",
            "notes rows {1} read *\nmembers read * where team who in {2/me}\nmembers read * any\nbans read * any",
        ),
        ("{ teams { id } }", "teams read *\npolicy public.teams"),
    ] {
        assert_eq!(tracked.told(query, json!({})).await, expected, "{query}");
    }
    tracked
        .client
        .batch_execute("reset role; drop owned by notes_reader; drop role notes_reader")
        .await
        .unwrap();
}

#[tokio::test]
async fn without_keys_the_whole_tables_are_watched() {
    let tracked = Tracked::of(DEMO).await;
    for (query, expected) in [
        (
            "query ($id: ID!) { auction(id: $id) { title bids(filter: {auction: {title: {eq: \"x\"}}}) { amount } } }",
            "auctions read * any\nbids read * any",
        ),
        ("{ auctions { highestBid { amount } } }", "auctions read * any\nbids read * any"),
        ("{ auctions { bidsAggregate { count } } }", "auctions read * any\nbids read * any"),
        ("{ __typename }", ""),
    ] {
        let mut lines =
            tracked.lines(&broad(&tracked.schema.model, &tracked.plan(query, &json!({ "id": "1" })).0));
        lines.sort();
        assert_eq!(lines.join("\n"), expected, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_followed_is_told_before_anything_runs() {
    let tracked = Tracked::of(
        "create table t (id int primary key); create unlogged table u (id int primary key, t int references t);
         create function f(t) returns int language sql stable as 'select 1';
         create view v as select id, now() as at from t;",
    )
    .await;
    for (query, words) in [
        (
            "{ us { id } }",
            "public.u is unlogged, so that its changes are not replicated; run ALTER TABLE public.u SET LOGGED",
        ),
        ("{ ts(filter: {us: {id: {gt: 1}}}) { id } }", "public.u is unlogged"),
        ("{ ts { usAggregate { count } } }", "public.u is unlogged"),
        (
            "{ ts { f } }",
            "the function public.f(t), of which it is not known what it reads; say it: COMMENT ON FUNCTION public.f(t) IS \
             '@walcast depends_on some_table, other_table', or '@walcast depends_on nothing'",
        ),
        ("{ vs { id } }", "the view public.v depends on what no table holds: the clock, chance, the session"),
    ] {
        let set = broad(&tracked.schema.model, &tracked.plan(query, &json!({})).0);
        let told: Vec<String> = set.opaque.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].starts_with(words), "{query}: {told:?}");
    }
}
