//! GraphQL clients that others wrote, unmodified, each in every way it knows; and npm `graphql`'s view of the schema.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::graphql::{DEMO, Graph};
use crate::program::{Program, file};
use crate::walcast::command;

const RESPONSE: &str = "application/graphql-response+json";
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const PARTS: &str = "multipart/mixed";

/// One way of a client: its name, the method of its queries, and the media type that it is answered in.
type Way = (&'static str, &'static str, &'static str);

/// What a script prints of one way in which it asked all questions, if that is its `n`th one, from 1 on
/// (`tests/clients/graphql/contract.mjs`). Mutations always travel by POST.
fn told((way, method, media): Way, n: u32) -> Vec<Value> {
    let highest = json!({"__typename": "Bid", "id": "3", "amount": 80});
    let auction = json!({
        "__typename": "Auction", "id": "2", "title": "A brass telescope",
        "bids": [highest], "highestBid": highest,
    });
    let (id, amount) = ((3 + n).to_string(), 100 + n);
    let bid = json!({
        "__typename": "Bid", "id": id, "amount": amount,
        "auction": {
            "__typename": "Auction", "id": "1",
            "highestBid": {"__typename": "Bid", "id": id, "amount": amount},
        },
    });
    let refused = json!({
        "message": format!("a bid on auction 1 must be higher than {amount}"), "code": "23514", "path": ["bid"],
    });
    let invalid = json!({"message": "type `Query` does not have a field `nothing`"});
    vec![
        json!({"way": way, "step": "query", "by": [method, media], "data": {"auction": auction}}),
        json!({"way": way, "step": "mutation", "by": ["POST", media], "data": {"bid": bid}}),
        json!({"way": way, "step": "refused", "by": ["POST", media], "errors": [refused]}),
        json!({"way": way, "step": "invalid", "by": [method, media], "errors": [invalid]}),
    ]
}

/// What the script prints of the demo's data, served anew, to its end.
async fn lines(script: &str) -> Vec<Value> {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let script = file(&format!("tests/clients/graphql/{script}"));
    let mut program = Program::start("node".as_ref(), &[&script], &[("GRAPHQL_URL", &graph.url())]);
    let mut lines = Vec::new();
    while let Some(line) = program.line().await {
        lines.push(serde_json::from_str(&line).unwrap());
    }
    program.finish().await;
    lines
}

/// Demands that the script prints what it must of these ways; returns its other lines.
async fn ask_in(script: &str, ways: &[Way]) -> Vec<Value> {
    let steps = ["query", "mutation", "refused", "invalid"];
    let (told_by_all, others): (Vec<Value>, Vec<Value>) = lines(script).await.into_iter().partition(|line| {
        ways.iter().any(|way| line["way"] == way.0) && steps.iter().any(|step| line["step"] == *step)
    });
    let expected: Vec<Value> = ways.iter().zip(1..).flat_map(|(way, n)| told(*way, n)).collect();
    assert_eq!(told_by_all, expected);
    others
}

#[tokio::test]
async fn urql_asks_by_post_by_get_and_over_graphql_sse() {
    let ways = [("POST", "POST", RESPONSE), ("GET", "GET", RESPONSE), ("graphql-sse", "POST", EVENTS)];
    assert_eq!(ask_in("urql.mjs", &ways).await, Vec::<Value>::new());
}

#[tokio::test]
async fn apollo_asks_by_post_by_get_and_over_graphql_sse_and_keeps_rows_by_type_and_id() {
    let ways = [("POST", "POST", RESPONSE), ("GET", "GET", RESPONSE), ("graphql-sse", "POST", EVENTS)];
    let cache = json!({
        "way": "POST", "step": "cache", "by": ["POST", RESPONSE],
        "data": {
            "entities": [
                "Auction:1", "Bid:1", "Bid:2", "Bid:4", "Bid:5", "Bid:6", "Bid:7", "ROOT_MUTATION", "ROOT_QUERY",
            ],
            "highestBid": {"__typename": "Bid", "id": "7", "amount": 104},
        },
    });
    assert_eq!(ask_in("apollo.mjs", &ways).await, [cache]);
}

#[tokio::test]
async fn the_executor_of_graphql_tools_reads_every_form() {
    let ways = [
        ("POST", "POST", RESPONSE),
        ("GET", "GET", RESPONSE),
        ("server-sent events", "POST", EVENTS),
        ("server-sent events by GET", "GET", EVENTS),
        ("multipart", "POST", PARTS),
    ];
    assert_eq!(ask_in("executor-http.mjs", &ways).await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_fetcher_of_stock_graphiql_reads_one_answer_and_parts() {
    let ways = [("stock", "POST", JSON), ("in one piece", "POST", RESPONSE), ("multipart", "POST", PARTS)];
    let introspection = ways.map(|(way, _, media)| {
        json!({"way": way, "step": "introspection", "by": ["POST", media], "data": ["Auction", "Bid"]})
    });
    assert_eq!(ask_in("graphiql-toolkit.mjs", &ways).await, introspection);
}

#[tokio::test]
async fn graphql_request_asks_by_post_and_by_get() {
    let ways = [("POST", "POST", RESPONSE), ("raw", "POST", RESPONSE)];
    let mut by_get = told(("GET", "GET", RESPONSE), 3);
    by_get.truncate(1);
    assert_eq!(ask_in("graphql-request.mjs", &ways).await, by_get);
}

#[tokio::test]
async fn fetch_and_event_source_need_no_client() {
    let get = told(("GET", "GET", JSON), 2);
    let source = told(("EventSource", "GET", EVENTS), 2);
    let refused = json!({"message": "a mutation must be sent by POST", "code": "MethodNotAllowed"});
    let expected = [
        get[0].clone(),
        json!({"way": "GET", "step": "mutation", "by": ["GET", JSON], "errors": [refused]}),
        source[0].clone(),
        source[3].clone(),
    ];
    assert_eq!(ask_in("no-client.mjs", &[("POST", "POST", JSON)]).await, expected);
}

/// What `walcast schema` prints of this database.
fn schema(graph: &Graph, arguments: &[&str]) -> String {
    let mut program = command();
    program.arg("schema").args(arguments).env("DATABASE_URL", graph.database.url());
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Writes files into a directory of this name, which is made anew.
fn written(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
    }
    directory
}

/// One question after the other to npm `graphql`: the document is valid for it, the answer has no errors, and
/// conforms to the schema that the endpoint tells, which is the one that `walcast schema` prints.
async fn conforms(name: &str, sql: &str, questions: &[Value]) -> Vec<Value> {
    let graph = Graph::serve(15, sql, &[]).await;
    let sdl = written(name, &[("schema.graphql", &schema(&graph, &[]))]).join("schema.graphql");
    let script = file("tests/clients/graphql/conformity.mjs");
    let environment = [("GRAPHQL_URL", &*graph.url()), ("SDL", sdl.to_str().unwrap())];
    let mut program = Program::start("node".as_ref(), &[&script], &environment);
    assert_eq!(program.expect_line().await, json!({"differs": []}).to_string());
    let mut answers = Vec::new();
    for question in questions {
        program.say(&question.to_string()).await;
        let answer: Value = serde_json::from_str(&program.expect_line().await).unwrap();
        assert_eq!(answer["faults"], json!([]), "{question}: {answer}");
        answers.push(answer["data"].clone());
    }
    program.finish().await;
    answers
}

#[tokio::test]
async fn answers_of_the_demo_conform_to_its_schema_as_npm_graphql_sees_it() {
    let answers = conforms(
        "demo-conforms",
        DEMO,
        &[
            json!({"query": "{
                auctions(orderBy: [{title: DESC}, {id: ASC}], filter: {bids: {amount: {gt: 1}}}) {
                    __typename id title bids(limit: 1) { id amount auctionId auction { title } }
                    highestBid { amount } bidsAggregate { count sum { amount } avg { amount } max { amount } }
                }
                messages { id roomId from body }
                users { id name email insertedAt profile tags balance }
                usersAggregate { count sum { balance } avg { balance } min { insertedAt } max { name balance } }
                bidsAggregate(filter: {amount: {gt: 999}}) { count sum { amount } min { amount } }
            }"}),
            json!({
                "query": "query($id: ID! = 1, $bids: Boolean!) {
                    b: auction(id: $id) { t: title ...More @include(if: $bids) title @skip(if: $bids) }
                    none: auction(id: 99) { id }
                }
                fragment More on Auction { bids { ... on Bid { __typename amount } id } title }",
                "variables": {"bids": true},
            }),
            json!({"query": "mutation {
                first: bid(input: {auctionId: \"3\", amount: 10}) { amount auction { highestBid { amount } } }
                second: bid(input: {auctionId: 3, amount: 11}) { amount auction { highestBid { amount } } }
                sendMessage(input: {roomId: 1, from: \"hello\", body: \"bob\"}) { body from }
            }"}),
            // What graphql-js says of the schema is what walcast says of it.
            json!({"query": "{
                __schema { directives { name locations isRepeatable args { name defaultValue type { kind name } } } }
                __type(name: \"AuctionFilter\") {
                    name kind description inputFields { name description defaultValue type { name ofType { name } } }
                }
                Bid: __type(name: \"Bid\") { fields { name isDeprecated type { kind ofType { name } } } }
                none: __type(name: \"Nothing\") { name }
            }"}),
        ],
    )
    .await;
    assert_eq!(
        answers[1]["b"]["bids"],
        json!([
            {"__typename": "Bid", "amount": 10, "id": "1"}, {"__typename": "Bid", "amount": 15, "id": "2"},
        ])
    );
    assert_eq!(answers[2]["second"], json!({"amount": 11, "auction": {"highestBid": {"amount": 11}}}));
}

#[tokio::test]
async fn answers_of_many_types_conform_to_their_schema_as_npm_graphql_sees_it() {
    let sql = "
        create type mood as enum ('fine', 'so so');
        create domain share as numeric check (value between 0 and 1);
        create type place as (street text, number int);
        create table things (
            id uuid primary key default '00000000-0000-0000-0000-000000000001',
            small smallint, wide bigint not null, exact numeric(20, 10), share share, real real, double float8, yes bool,
            mood mood not null, moods mood[] not null default '{}', place place, places place[],
            numbers int[], wides bigint[], day date, at timestamptz, local timestamp, moment interval,
            address inet, range int4range, bytes bytea, any_json json, many jsonb[]
        );
        insert into things (wide, mood) values (9223372036854775807, 'so so');
        insert into things values (
            '00000000-0000-0000-0000-000000000002', 1, -9223372036854775808, 1.5, 0.25, 0.1, 1e300, true,
            'fine', '{fine,\"so so\"}', row('a', 1), array[row('b', null), null]::place[],
            '{1,null}', '{9007199254740993}', '2024-02-29', '2024-05-01 12:30:00.5+02', '2024-05-01 12:30',
            '1 day', '::1', '[1,5)', '\\x00ff', '{\"b\": 1, \"a\": [null]}', array['1', 'null']::jsonb[]
        );
        create function twice(n bigint) returns bigint stable language sql as 'select n * 2';
        create function moods(mood mood default null) returns setof mood stable language sql
            as 'select m from unnest(enum_range(null::mood)) m where m is distinct from mood';
        create view some_things as select id, wide from things;
    ";
    let questions = [
        json!({"query": "{ things {
            id small wide exact share real double yes mood moods place { street number } places { street number }
            numbers wides day at local moment address range bytes anyJson many
        } }"}),
        json!({"query": "{ someThings { id wide } moods all: moods(mood: null) twice(n: \"4611686018427387903\") }"}),
        json!({"query": "{ thingsAggregate { count sum { wide small double } avg { small exact } min { day at mood } } }"}),
        json!({
            "query": "query($f: ThingFilter, $n: BigInt!) { things(filter: $f) { id mood } twice(n: $n) }",
            "variables": {"f": {"mood": {"in": ["fine"]}, "numbers": {"contains": [1]}}, "n": 7},
        }),
    ];
    let answers = conforms("types-conform", sql, &questions).await;
    assert_eq!(answers[0]["things"][0]["wide"], "9223372036854775807");
    assert_eq!(answers[3]["things"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn typescript_takes_the_types_of_a_schema_at_their_word() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let types = schema(&graph, &["--ts"]);
    let program = fs::read_to_string(file("tests/clients/graphql/uses-types.ts")).unwrap();
    let everything = fs::read_to_string(file("tests/golden/schema/everything.ts")).unwrap();
    let files = [("schema.ts", &*types), ("uses-types.ts", &program), ("everything.ts", &everything)];
    let directory = written("types", &files);
    let tsc = file("tests/clients/node_modules/typescript/bin/tsc");
    let arguments =
        ["--strict", "--noEmit", "--exactOptionalPropertyTypes", "--target", "es2022", "--pretty", "false"];
    let output = Command::new("node")
        .arg(tsc)
        .args(arguments)
        .args(files.map(|(name, _)| name))
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn every_graphql_example_asks_and_bids() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let url = format!("http://{}", graph.walcast.address());
    let runner = file("tests/clients/run-example.sh");
    let run = async |name: &str| {
        let mut example = Program::start(&runner, &[name.as_ref()], &[("WALCAST_URL", &url)]);
        let mut lines = Vec::new();
        while let Some(line) = example.line().await {
            lines.push(line);
        }
        example.finish().await;
        lines
    };
    for (name, highest) in [("graphql/urql.mjs", 15), ("graphql/graphql-sse.mjs", 16)] {
        let expected = [
            format!("A wooden chair {highest}"),
            "A brass telescope 80".to_owned(),
            "A box of old maps without a bid".to_owned(),
            format!("bid {} on A wooden chair", highest + 1),
        ];
        assert_eq!(run(name).await, expected, "{name}");
    }
    let answers: Vec<Value> =
        run("graphql/curl.sh").await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        answers[0]["data"]["auctions"][0],
        json!({"title": "A wooden chair", "highestBid": {"amount": 17}})
    );
    assert_eq!(answers[1]["data"]["auction"]["bids"][0], json!({"amount": 10}));
    assert_eq!(answers[2], json!({"data": {"sendMessage": {"from": "curl", "body": "Hello"}}}));
}
