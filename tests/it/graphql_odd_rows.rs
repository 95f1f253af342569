//! Rows that SQL allows and few expect: columns with the names of our own aliases, arrays of rows, inherited
//! tables, keys that are arrays, JSON in a document.

use serde_json::json;

use crate::graphql::Graph;
use crate::postgres_binaries;

async fn serve(sql: &str) -> Graph {
    Graph::serve(postgres_binaries::majors()[1], sql, &[]).await
}

#[tokio::test]
async fn columns_may_be_called_as_our_own_aliases_are() {
    let graph = serve(
        r#"create table pegs (id int primary key, r int, s1 int, t1 int, t2 int, "walcast row" int, "walcast place" int);
           insert into pegs values (1, 2, null, null, null, 6, 7);
           create function twice(pegs) returns int language sql stable as 'select 2 * $1.id';
           create function every_peg() returns setof pegs language sql stable as 'select * from pegs';
           create function first_peg() returns pegs language sql stable as 'select * from pegs limit 1';
           create function hit() returns pegs language sql volatile as 'select * from pegs limit 1';"#,
    )
    .await;
    let row = json!({ "id": "1", "s1": null, "twice": 2, "walcastRow": 6, "walcastPlace": 7 });
    let fields = "{ id s1 twice walcastRow walcastPlace }";
    let query = format!(
        "{{ peg(id: 1) {fields} pegs(orderBy: {{walcastPlace: ASC}}) {fields} everyPeg {fields} firstPeg {fields} }}"
    );
    assert_eq!(
        graph.data(&query).await,
        json!({ "peg": row, "pegs": [row], "everyPeg": [row], "firstPeg": row })
    );
    assert_eq!(graph.data("mutation { hit { r t1 } }").await, json!({ "hit": { "r": 2, "t1": null } }));
}

#[tokio::test]
async fn arrays_of_rows_keep_their_nulls() {
    let graph = serve(
        "create type spot as (street text, zip int);
         create table homes (id int primary key, old spot[], new spot);
         insert into homes values (1, array[row('a', 1)::spot, null], row('b', 2)), (2, null, null), (3, '{}', null),
             (4, array[array[row('a', 1)::spot]], null);
         create function spots() returns spot[] language sql stable as 'select old from homes limit 1';",
    )
    .await;
    let answer = graph.ask("{ homes { old { street } new { zip } } }").await;
    assert_eq!(
        answer["data"]["homes"],
        json!([
            { "old": [{ "street": "a" }, null], "new": { "zip": 2 } },
            { "old": null, "new": null },
            { "old": [], "new": null },
            { "old": null, "new": null },
        ])
    );
    assert_eq!(answer["errors"][0]["extensions"]["code"], "ArrayNested");
    assert_eq!(answer["errors"][0]["path"], json!(["homes", 3, "old"]));
    assert_eq!(graph.data("{ spots { zip } }").await, json!({ "spots": [{ "zip": 1 }, null] }));
}

#[tokio::test]
async fn a_key_finds_one_row_though_an_inherited_table_repeats_it() {
    let graph = serve(
        "create table plants (id int primary key, name text); create table herbs () inherits (plants);
         insert into plants values (1, 'same'); insert into herbs values (1, 'same');",
    )
    .await;
    assert_eq!(graph.data("{ plant(id: 1) { name } }").await, json!({ "plant": { "name": "same" } }));
}

#[tokio::test]
async fn a_key_that_is_an_array_is_a_list() {
    let graph = serve("create table marks (at int[] primary key); insert into marks values ('{1,2}');").await;
    assert_eq!(
        graph.data("{ mark(at: [1, 2]) { at } marks(filter: {at: {contains: 2}}) { at } }").await,
        json!({ "mark": { "at": [1, 2] }, "marks": [{ "at": [1, 2] }] })
    );
}

#[tokio::test]
async fn json_of_a_document_keeps_its_numbers() {
    let graph =
        serve("create function echo(value jsonb) returns text language sql stable as 'select value::text';")
            .await;
    let query =
        "query ($v: JSON) { echo(value: {a: 1.50, b: [123456789012345678901, $v, true, null, \"x\"]}) }";
    let answer = graph.ask_with(query, json!({ "v": { "c": 0.5 } })).await;
    assert_eq!(
        answer["data"]["echo"],
        r#"{"a": 1.50, "b": [123456789012345678901, {"c": 0.5}, true, null, "x"]}"#
    );
}

#[tokio::test]
async fn an_aggregate_of_nothing_but_its_name_is_one_object() {
    let graph = serve("create table pins (id int primary key); insert into pins values (1), (2);").await;
    let query = "{ pinsAggregate { __typename count @skip(if: true) } none: pinsAggregate(filter: {id: {gt: 2}}) { __typename } }";
    let object = json!({ "__typename": "PinAggregate" });
    assert_eq!(graph.data(query).await, json!({ "pinsAggregate": object, "none": object }));
}

#[tokio::test]
async fn conditions_cost_too() {
    let graph = serve("create table pins (id int primary key); insert into pins values (1), (2);").await;
    let query = "query ($filter: PinFilter) { pins(filter: $filter) { id } }";
    for (count, code) in [(100, json!(null)), (10_000, json!("TooCostly"))] {
        let any: Vec<_> = (0..count).map(|id| json!({ "id": { "eq": id } })).collect();
        let answer = graph.ask_with(query, json!({ "filter": { "or": any } })).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{answer}");
    }
}
