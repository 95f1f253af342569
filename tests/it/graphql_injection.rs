//! Hostile texts in every place that takes one: each comes back as data or as a clear error, and nothing changes.

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::graphql::Graph;
use crate::postgres_binaries;

const SCHEMA: &str = r"
    create type mood as enum ('calm', 'it''s');
    create table notes (
        id text primary key, number int unique, body text, moods mood[], mood mood, data jsonb, tags text[], at timestamptz,
        day date, amount numeric, big int8, flag bool, ratio float8, mark uuid, word varchar(9), span int4range, net inet,
        parent_id text references notes
    );
    insert into notes (id, number, body) values ('1', 1, 'one'), ('2', 2, 'two');
    create function echo(value text) returns text language sql stable as 'select value';
    create function echo_all(text, jsonb default null, mood default null, text[] default null, numeric default null)
        returns text language sql stable as 'select $1 || coalesce($2::text, $$-$$)';
    create function found(value text) returns setof notes language sql stable as 'select * from notes where body = value';
    create function noted(note notes, value text) returns text language sql stable as 'select value';
    create function say(body text, data jsonb default null, tags text[] default null, room_id text default null)
        returns notes language sql volatile as $$
            select body, 1, body, null::mood[], null::mood, data, tags, null::timestamptz, null::date, null::numeric, null::int8,
                null::bool, null::float8, null::uuid, null::varchar, null::int4range, null::inet, room_id $$;
    create function said(value text) returns text language sql volatile as 'select value';
";

const TEXTS: &[&str] = &[
    "'; drop table notes; --",
    "' or '1'='1",
    "'' union select 1 --",
    "\" ; delete from notes; --",
    "\\'; drop table notes; --",
    "\\",
    "\\\\",
    "'",
    "''",
    "\"",
    "\"\"",
    "$1",
    "$$; delete from notes; $$",
    "E'\\x27'",
    "U&'\\0027'",
    "--",
    "/*",
    "*/",
    ";",
    "",
    " ",
    "\t\n\r",
    "\0",
    "a\0b",
    "\u{1}",
    "\u{2}\u{3}\u{4}",
    "\u{7f}\u{85}\u{2028}\u{feff}\u{202e}",
    "𝄞\u{10ffff}",
    "%",
    "_%\\",
    "(",
    "(?=a)*)+",
    "[",
    "***=",
    "(a*)*\\1",
    "{",
    "}",
    "{}",
    "{a,b}",
    "{\"a\": \"b\"",
    "[1, 2]",
    "null",
    "NULL",
    "true",
    "1",
    "-1",
    "1e400",
    "99999999999999999999999999",
    "NaN",
    "Infinity",
    "now",
    "current_user",
    "(1,2)",
    "{{{{{{{{",
    "calm",
    "${jndi:ldap://x}",
    "__typename",
];

/// A document with a variable, the variable's type, and how its value is made of a text.
type Place = (String, &'static str, fn(&str) -> Value);

/// Every place that takes a text.
fn places() -> Vec<Place> {
    let text: fn(&str) -> Value = |text| json!(text);
    let list: fn(&str) -> Value = |text| json!([text, "x"]);
    let mut places: Vec<Place> = Vec::new();
    let filters: [(&str, &'static str, &[&str]); 13] = [
        ("body", "String", &["eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "startsWith", "regex"]),
        ("word", "String", &["eq", "like", "regex", "startsWith"]),
        ("id", "ID", &["eq", "neq", "gt", "lte"]),
        ("parentId", "ID", &["eq"]),
        ("at", "DateTime", &["eq", "gt"]),
        ("day", "Date", &["eq"]),
        ("amount", "BigDecimal", &["eq", "lt"]),
        ("big", "BigInt", &["eq"]),
        ("mark", "UUID", &["eq"]),
        ("span", "Int4range", &["eq"]),
        ("net", "Inet", &["eq"]),
        ("mood", "Mood", &["eq"]),
        ("number", "Int", &["eq"]),
    ];
    for (column, of, operators) in filters {
        for operator in operators {
            let filter = format!("filter: {{{column}: {{{operator}: $t}}}}");
            places.push((format!("{{ notes({filter}) {{ id body }} }}"), of, text));
        }
    }
    for (column, operator, of) in [
        ("body", "in", "[String!]"),
        ("id", "in", "[ID!]"),
        ("amount", "in", "[BigDecimal!]"),
        ("tags", "eq", "[String!]"),
        ("tags", "contains", "[String!]"),
        ("moods", "contains", "[Mood!]"),
    ] {
        let filter = format!("filter: {{{column}: {{{operator}: $t}}}}");
        places.push((
            format!("{{ notes({filter}) {{ id }} notesAggregate({filter}) {{ count }} }}"),
            of,
            list,
        ));
    }
    for (document, of) in [
        ("{ note(id: $t) { id body } }", "ID!"),
        ("{ note(id: \"1\") { noted(value: $t) notes: parent { id } } }", "String!"),
        ("{ echo(value: $t) }", "String!"),
        ("{ echoAll(argument1: $t, argument2: $t) }", "String!"),
        ("{ found(value: $t, filter: {body: {eq: $t}}) { body } }", "String!"),
        ("{ __type(name: $t) { name } }", "String!"),
        ("mutation { said(input: {value: $t}) }", "String!"),
        (
            "mutation { say(input: {body: $t, data: $t, tags: [$t], roomId: \"x\"}) { body data tags parentId } }",
            "String!",
        ),
        ("mutation { say(input: {body: \"x\", roomId: $t}) { parentId noted(value: \"'\") } }", "ID!"),
    ] {
        places.push((document.to_owned(), of, text));
    }
    let object: fn(&str) -> Value = |text| json!({ text: [text, { "a": text }] });
    places.push(("mutation { say(input: {body: \"x\", data: $t}) { data } }".to_owned(), "JSON", object));
    places.push((
        "mutation { say(input: {body: \"x\", data: {a: [$t, {b: $t}]}}) { data } }".to_owned(),
        "JSON",
        text,
    ));
    let filter: fn(&str) -> Value =
        |text| json!({ "or": [{ "body": { "eq": text } }, { "not": { "id": { "in": [text] } } }] });
    places.push(("{ notes(filter: $t) { id } }".to_owned(), "NoteFilter", filter));
    places.push((
        "{ notes(filter: $t) { id } }".to_owned(),
        "NoteFilter",
        |text| json!({ text: { "eq": 1 } }),
    ));
    places.push(("{ notes(orderBy: $t) { id } }".to_owned(), "[NoteOrder!]", |text| json!({ text: "ASC" })));
    places.push(("{ notes(orderBy: $t) { id } }".to_owned(), "[NoteOrder!]", |one| json!({ "body": one })));
    places.push(("{ notes(limit: $t) { id } }".to_owned(), "Int", text));
    places
}

/// Everything in the database that a statement could have changed.
async fn dump(graph: &Graph) -> Vec<String> {
    let sql = "select n::text from notes n union all select relname from pg_class where relnamespace = 'public'::regnamespace \
               union all select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace order by 1";
    graph.client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// No statement of ours was wrong, and whoever asked was told something.
pub fn check(body: &Value, status: u16, answer: &Value) {
    assert!([200, 400, 404].contains(&status), "{body}: {status} {answer}");
    for error in answer["errors"].as_array().into_iter().flatten() {
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}: {answer}");
        let code = error["extensions"]["code"].as_str().unwrap_or_default();
        let class = code.get(..2).unwrap_or_default();
        // Of class 42 is only what a value can be blamed for: none of ours.
        assert!(!["42", "XX", "58", "08"].contains(&class) && code != "InternalError", "{body}: {answer}");
    }
    assert!(answer.get("errors").is_some() || answer.get("data").is_some(), "{body}: {answer}");
}

async fn serve() -> Graph {
    Graph::serve(postgres_binaries::majors()[1], SCHEMA, &[]).await
}

async fn send(graph: &Graph, body: Value) -> Value {
    let (status, answer) = graph.post(&body).await;
    check(&body, status, &answer);
    answer
}

#[tokio::test]
async fn no_text_in_any_place_is_more_than_a_value() {
    let graph = serve().await;
    let before = dump(&graph).await;
    let mut bodies = Vec::new();
    for (document, of, value) in places() {
        let (kind, rest) = document
            .strip_prefix("mutation ")
            .map_or(("query", document.as_str()), |rest| ("mutation", rest));
        for text in TEXTS {
            let value = value(text);
            bodies.push(json!({ "query": format!("{kind} ($t: {of}) {rest}"), "variables": { "t": value } }));
            if value.is_string() && of != "Mood" {
                let literal = value.to_string();
                bodies.push(json!({ "query": format!("{kind} {}", rest.replace("$t", &literal)) }));
            }
        }
    }
    let answers: Vec<_> =
        stream::iter(bodies).map(|body| send(&graph, body)).buffer_unordered(8).collect().await;
    let answered = answers.iter().filter(|answer| answer.get("errors").is_none()).count();
    assert!(answered > answers.len() / 3, "{answered} of {} were answered", answers.len());
    assert_eq!(dump(&graph).await, before);
}

#[tokio::test]
async fn a_hostile_text_is_found_and_comes_back_as_it_was() {
    let graph = serve().await;
    let texts: Vec<_> = TEXTS.iter().filter(|text| !text.contains('\0')).collect();
    for (number, text) in texts.iter().enumerate() {
        let number = i32::try_from(number).unwrap() + 10;
        let id = format!("{number}{text}");
        graph
            .client
            .execute(
                "insert into notes (id, number, body, tags) values ($1, $2, $3, array[$3])",
                &[&id, &number, text],
            )
            .await
            .unwrap();
    }
    for text in texts {
        let row = json!({ "body": text, "tags": [text] });
        let answer = graph
            .ask_with(
                "query ($t: String!) { echo(value: $t) note(id: \"1\") { noted(value: $t) } found(value: $t) { body tags }
                    a: notes(filter: {body: {eq: $t}}) { body tags } b: notes(filter: {body: {in: [$t]}}) { body tags }
                    c: notes(filter: {tags: {contains: [$t]}}) { body tags }
                    d: notes(filter: {body: {startsWith: $t, eq: $t}}) { body tags } }",
                json!({ "t": text }),
            )
            .await;
        let rows = json!([row]);
        let expected = json!({ "echo": text, "note": { "noted": text }, "found": rows, "a": rows, "b": rows, "c": rows, "d": rows });
        assert_eq!(answer, json!({ "data": expected }));
        let literal = json!(text).to_string();
        let document = format!(
            "mutation {{ say(input: {{body: {literal}, data: {literal}, tags: [{literal}]}}) {{ body data tags }} }}"
        );
        assert_eq!(graph.data(&document).await["say"], json!({ "body": text, "data": text, "tags": [text] }));
    }
}

#[tokio::test]
async fn names_in_a_request_are_names_only() {
    let graph = serve().await;
    let before = dump(&graph).await;
    for text in TEXTS {
        for body in [
            json!({ "query": text }),
            json!({ "query": "query A { notes { id } } query B { notes { id } }", "operationName": text }),
            json!({ "documentId": text }),
            json!({ "documentId": text, "query": "{ notes { id } }" }),
            json!({ "query": "query ($t: ID) { notes { id } }", "variables": { *text: text, "t": "x" } }),
            json!({ "query": "{ notes { id } }", "variables": text }),
            json!({ "query": "{ notes { id } }", "extensions": { *text: text } }),
        ] {
            send(&graph, body).await;
        }
    }
    let long = "a".repeat(299);
    let (one, two) = (format!("{long}b"), format!("{long}c"));
    let answer = graph
        .data(&format!("{{ {one}: notes {{ {one}: id {two}: number }} {two}: notesAggregate {{ {one}: count {two}: __typename }} }}"))
        .await;
    let row = |number: i32| json!({ &one: number.to_string(), &two: number });
    assert_eq!(answer, json!({ &one: [row(1), row(2)], &two: { &one: 2, &two: "NoteAggregate" } }));
    assert_eq!(dump(&graph).await, before);
}
