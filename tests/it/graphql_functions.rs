//! Functions of every kind as fields and mutations, and what becomes of operations that fail half-way.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use walcast::demo::cluster::Shutdown;

use crate::graphql::Graph;
use crate::walcast::{PATIENCE, Walcast, until};
use crate::{cluster, postgres_binaries};

const FUNCTIONS: &str = r#"
    create type mood as enum ('fine', 'so-so', '2bad');
    create type spot as (x int, y float8);
    create table items (id int primary key, name text not null, price numeric(10,2), mood mood not null default 'fine');
    insert into items select i, 'item ' || i, i, (array['fine', 'so-so', '2bad', 'fine', 'fine'])[i]::mood
        from generate_series(1, 5) i;
    create table log (id int generated always as identity primary key, what text not null);
    create table late (id int primary key, item_id int references items deferrable initially deferred);

    create function plus(a int, b int default 10, c int default 100) returns int language sql stable as 'select a + b + c';
    create function unnamed(int, text default 'x') returns text language sql stable as 'select $1 || $2';
    create function strictly(a int, b int default 1) returns int language sql stable strict as 'select a + b';
    create function "Odd Name"("the Arg" int, "select" int default 1) returns int language sql immutable
        as 'select "the Arg" + "select"';
    create function area(w int) returns int language sql stable as 'select w';
    create function area(w int, h int) returns int language sql stable as 'select w * h';
    create function by_price() returns setof items language sql stable as 'select * from items order by price desc';
    create function items_from(n int) returns setof items language sql stable
        as 'select * from items where id >= n order by mood, id desc';
    create function price_in(item items, rate numeric, digits int default 2) returns numeric language sql stable
        as 'select round(item.price * rate, digits)';
    create function neighbours(item items, distance int default 1) returns setof items language sql stable
        as 'select * from items where abs(id - item.id) between 1 and distance order by id desc';
    create function no_item() returns items language sql stable as 'select null::items';
    create function no_items() returns setof items language sql stable as 'select * from items where false';
    create function item_list(n int) returns items[] language sql stable
        as 'select array_agg(i order by id desc) || array[null::items] from items i where id < n having count(*) > 0';
    create function spot_of(n int) returns spot language sql stable as 'select (n, null)::spot';
    create function spots() returns setof spot language sql stable
        as 'select * from (values ((1, 0.5)::spot), (null), ((2, ''NaN'')::spot)) s';
    create function spot_list() returns spot[] language sql stable as 'select array[(1, 2)::spot, null, (3, null)::spot]';
    create function many_spots() returns setof spot[] language sql stable as 'select array[(1, 2)::spot]';
    create function words() returns setof text language sql stable as $$ select unnest(array['b', null, 'a']) $$;
    create function moods() returns mood[] language sql stable as $$ select array['fine', null, '2bad']::mood[] $$;
    create function mood_after(m mood) returns mood language sql stable
        as $$ select case m when 'fine' then 'so-so'::mood when 'so-so' then '2bad' end $$;
    create function floats() returns setof float8[] language sql stable
        as $$ values (array[1.5, 'NaN', null]::float8[]), (null), (array['Infinity']::float8[]) $$;
    create function nothing() returns void language sql stable as 'select';
    create function two_thousand() returns setof int language sql stable as 'select generate_series(1, 2000)';
    create function untidy() returns setof items language sql stable
        as $$ values (8, 'good', 1.0, 'fine'::mood), (9, null, 1.0, 'fine'::mood) $$;

    create function do_nothing() returns void language sql volatile as 'select';
    create function add_items(what text) returns setof items language plpgsql volatile as $$ begin
        insert into log (what) values (what);
        return query insert into items values (100, what), (101, what || '!') returning *;
    end $$;
    create function spots_made() returns setof spot language sql volatile
        as 'select * from (values ((1, 0.5)::spot), (null)) s';
    create function items_made() returns items[] language sql volatile as 'select array_agg(i order by id desc) from items i where id < 3';
    create function none_made() returns items[] language sql volatile as 'select null::items[]';
    create function fails(a int) returns int language plpgsql volatile as $$ begin
        insert into log (what) values ('never');
        raise exception 'a is %', a using errcode = 'WX001', hint = 'take another a', detail = 'not for clients';
    end $$;
    create function fails_softly() returns int language plpgsql stable as $$ begin
        raise exception 'no' using errcode = 'WX002';
    end $$;
    create function add_late(id int, item_id int) returns late language sql volatile
        as 'insert into late values (add_late.id, add_late.item_id) returning *';
    create function slow() returns int language plpgsql stable as $$ begin perform pg_sleep(60); return 1; end $$;
    create function slow_write() returns int language plpgsql volatile as $$ begin
        insert into log (what) values ('slow');
        perform pg_sleep(60);
        return 1;
    end $$;
    create schema other;
    create function other.elsewhere() returns items language sql stable as 'select i from public.items i order by id limit 1';
"#;

async fn served(settings: &[(&str, &str)]) -> Graph {
    Graph::serve(postgres_binaries::majors()[0], FUNCTIONS, settings).await
}

/// How many statements of GraphQL's connections in this database run now that hold `text`.
async fn running(graph: &Graph, text: &str) -> i64 {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and state <> 'idle'
               and pid <> pg_backend_pid() and query like '%' || $1 || '%'";
    graph.client.query_one(sql, &[&text]).await.unwrap().get(0)
}

async fn logged(graph: &Graph) -> i64 {
    graph.client.query_one("select count(*) from log", &[]).await.unwrap().get(0)
}

/// A request whose client does not wait for the answer.
async fn begin(graph: &Graph, query: &str) -> TcpStream {
    let body = json!({ "query": query }).to_string();
    let mut stream = TcpStream::connect(graph.walcast.address()).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn arguments_have_names_places_and_defaults() {
    for &major in postgres_binaries::majors() {
        let graph = Graph::serve(major, FUNCTIONS, &[]).await;
        let answer = graph
            .data(
                "{ a: plus(a: 1) b: plus(a: 1, c: 5) c: plus(a: 1, b: null) d: plus(c: 3, a: 1, b: 2)
                   e: unnamed(argument1: 4) f: unnamed(argument1: 4, argument2: \"z\")
                   g: strictly(a: 1, b: null) h: oddName(theArg: 4, select: 3) i: oddName(theArg: 4) j: area(w: 3) }",
            )
            .await;
        let expected = json!({ "a": 111, "b": 16, "c": null, "d": 6, "e": "4x", "f": "4z", "g": null, "h": 7, "i": 5, "j": 3 });
        assert_eq!(answer, expected);
        let query = "query ($b: Int) { plus(a: 1, b: $b) }";
        for (variables, expected) in [(json!({}), 111), (json!({ "b": 2 }), 103)] {
            assert_eq!(graph.ask_with(query, variables).await["data"]["plus"], expected);
        }
        assert_eq!(graph.ask_with(query, json!({ "b": null })).await["data"]["plus"], json!(null));
        for (query, words) in [
            ("{ plus }", "a"),
            ("{ area(w: 1, h: 2) }", "h"),
            ("{ elsewhere { id } }", "elsewhere"),
            ("{ manySpots { x } }", "manySpots"),
        ] {
            let answer = graph.ask(query).await;
            assert!(answer["errors"][0]["message"].as_str().unwrap().contains(words), "{answer}");
            assert!(answer.get("data").is_none(), "{answer}");
        }
        assert!(graph.walcast.log().contains("public.area(pg_catalog.int4, pg_catalog.int4) is not offered"));
    }
}

#[tokio::test]
async fn sets_of_rows_keep_their_order_unless_another_is_asked_for() {
    let graph = served(&[]).await;
    let ids = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    for (field, expected) in [
        ("byPrice", vec!["5", "4", "3", "2", "1"]),
        ("byPrice(limit: 2, offset: 1)", vec!["4", "3"]),
        ("byPrice(filter: { id: { in: [1, 4] } })", vec!["4", "1"]),
        ("byPrice(orderBy: { name: ASC }, limit: 2)", vec!["1", "2"]),
        ("itemsFrom(n: 2)", vec!["5", "4", "2", "3"]),
        ("itemsFrom(n: 2, orderBy: { mood: DESC })", vec!["3", "2", "5", "4"]),
        ("itemsFrom(n: 9)", vec![]),
        ("noItems", vec![]),
    ] {
        let answer = graph.data(&format!("{{ rows: {field} {{ id neighbours {{ id }} }} }}")).await;
        assert_eq!(ids(&answer["rows"]), expected, "{field}");
        let answer = graph.data(&format!("{{ rows: {field} {{ id }} }}")).await;
        assert_eq!(ids(&answer["rows"]), expected, "{field}, nothing nested");
    }
    let answer = graph
        .data("{ item(id: 3) { a: priceIn(rate: 2.5) b: priceIn(rate: \"1.23456\", digits: 4)
               neighbours(distance: 4, limit: 2, filter: { id: { lt: 5 } }) { id priceIn(rate: 2) neighbours { id } } } }")
        .await;
    assert_eq!(
        answer["item"],
        json!({ "a": "7.50", "b": "3.7037", "neighbours": [
            { "id": "4", "priceIn": "8.00", "neighbours": [{ "id": "5" }, { "id": "3" }] },
            { "id": "2", "priceIn": "4.00", "neighbours": [{ "id": "3" }, { "id": "1" }] },
        ] })
    );
}

#[tokio::test]
async fn results_of_every_kind_have_their_shape() {
    for &major in postgres_binaries::majors() {
        let settings = [("WALCAST__GRAPHQL__SCHEMAS", "public,other")];
        let graph = Graph::serve(major, FUNCTIONS, &settings).await;
        let answer = graph
            .data(
                "{ words nothing noItem { id } spotOf(n: 4) { x y } spotList { x y __typename } moods
                   itemList(n: 3) { id mood neighbours { id } } none: itemList(n: 0) { id }
                   a: moodAfter(m: fine) b: moodAfter(m: so_so) c: moodAfter(m: _2bad) elsewhere { name } }",
            )
            .await;
        let spot = |x: i32, y: Value| json!({ "x": x, "y": y, "__typename": "Spot" });
        assert_eq!(
            answer,
            json!({
                "words": ["b", null, "a"], "nothing": true, "noItem": null, "spotOf": { "x": 4, "y": null },
                "spotList": [spot(1, json!(2)), null, spot(3, json!(null))],
                "moods": ["fine", null, "_2bad"],
                "itemList": [
                    { "id": "2", "mood": "so_so", "neighbours": [{ "id": "3" }, { "id": "1" }] },
                    { "id": "1", "mood": "fine", "neighbours": [{ "id": "2" }] },
                    null,
                ],
                "none": null, "a": "so_so", "b": "_2bad", "c": null, "elsewhere": { "name": "item 1" },
            })
        );
        let answer = graph.ask("{ spots { x y } floats }").await;
        assert_eq!(
            answer["data"],
            json!({ "spots": [{ "x": 1, "y": 0.5 }, null, { "x": 2, "y": null }], "floats": [[1.5, null, null], null, [null]] })
        );
        let paths: Vec<_> =
            answer["errors"].as_array().unwrap().iter().map(|error| error["path"].clone()).collect();
        assert_eq!(json!(paths), json!([["spots", 2, "y"], ["floats", 0, 1], ["floats", 2, 0]]));
        let answer = graph.error("{ twoThousand }").await;
        assert_eq!(
            (&answer["extensions"]["code"], &answer["path"]),
            (&json!("TooManyRows"), &json!(["twoThousand"]))
        );
    }
}

#[tokio::test]
async fn a_null_that_the_table_would_not_take_is_an_error_and_no_missing_row() {
    let graph = served(&[]).await;
    let answer = graph.ask("{ untidy { id name } }").await;
    assert_eq!(answer["data"], json!(null));
    assert_eq!(answer["errors"][0]["path"], json!(["untidy", 1, "name"]), "{answer}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "NullUnexpected");
    let answer = graph.data("{ untidy { id } }").await;
    assert_eq!(answer["untidy"], json!([{ "id": "8" }, { "id": "9" }]));
}

#[tokio::test]
async fn mutations_run_in_order_and_see_what_came_before() {
    let graph = served(&[]).await;
    let answer = graph
        .data(
            "mutation { addItems(input: { what: \"new\" }) { id name neighbours { id } } doNothing
               spotsMade { x y } itemsMade { id name } noneMade { id } __typename }",
        )
        .await;
    assert_eq!(
        answer.to_string(),
        json!({
            "addItems": [
                { "id": "100", "name": "new", "neighbours": [{ "id": "101" }] },
                { "id": "101", "name": "new!", "neighbours": [{ "id": "100" }] },
            ],
            "doNothing": true, "spotsMade": [{ "x": 1, "y": 0.5 }, null],
            "itemsMade": [{ "id": "2", "name": "item 2" }, { "id": "1", "name": "item 1" }],
            "noneMade": null, "__typename": "Mutation",
        })
        .to_string()
    );
    assert_eq!(logged(&graph).await, 1, "both tables were written");
}

#[tokio::test]
async fn an_exception_is_told_with_code_and_hint_and_undoes_the_operation() {
    let graph = served(&[]).await;
    let answer = graph
        .ask("mutation { addItems(input: { what: \"gone\" }) { id } b: fails(input: { a: 1 }) c: doNothing }")
        .await;
    let error = json!({ "message": "a is 1", "path": ["b"], "extensions": { "code": "WX001", "hint": "take another a" } });
    assert_eq!(answer, json!({ "data": null, "errors": [error] }));
    assert_eq!(logged(&graph).await, 0);
    let error = graph.error("{ failsSoftly }").await;
    assert_eq!(error, json!({ "message": "no", "path": ["failsSoftly"], "extensions": { "code": "WX002" } }));
    let error = graph.error("{ byPrice { id } failsSoftly }").await;
    assert!(error.get("path").is_none(), "which field failed is not known: {error}");
    assert!(!graph.walcast.log().contains("not for clients"));
}

#[tokio::test]
async fn a_constraint_that_fails_at_the_end_undoes_all_and_blames_no_field() {
    let graph = served(&[]).await;
    let answer = graph
        .ask("mutation { a: addLate(input: { id: 1, itemId: 99 }) { id item { id } } addItems(input: { what: \"x\" }) { id } }")
        .await;
    assert_eq!(answer["data"], json!(null), "{answer}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "23503");
    assert!(answer["errors"][0].get("path").is_none(), "{answer}");
    assert_eq!((graph.data("{ lates { id } }").await["lates"].clone(), logged(&graph).await), (json!([]), 0));
    let mended = "mutation { a: addLate(input: { id: 1, itemId: 100 }) { id } addItems(input: { what: \"x\" }) { id } }";
    assert_eq!(graph.data(mended).await["a"]["id"], "1", "the end of the transaction is what counts");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_told_and_gone() {
    let graph =
        served(&[("WALCAST__GRAPHQL__STATEMENT_MS", "300"), ("WALCAST__GRAPHQL__CONNECTIONS", "1")]).await;
    for (query, field) in [("{ slow }", "slow"), ("mutation { doNothing slowWrite }", "slowWrite")] {
        let error = graph.error(query).await;
        assert_eq!(error["extensions"]["code"], "Timeout", "{field}: {error}");
        // Postgres tells of the error before it is done with the statement, which would run for a minute.
        until("the statement is gone", async || running(&graph, "slow").await == 0).await;
        assert_eq!(graph.data("{ plus(a: 1) }").await["plus"], 111, "the connection goes on");
    }
    assert_eq!(logged(&graph).await, 0);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_and_undoes_its_statement() {
    let graph = served(&[]).await;
    for query in ["{ slow }", "mutation { slowWrite }"] {
        let waiting = begin(&graph, query).await;
        until("the statement runs", async || running(&graph, "slow").await == 1).await;
        drop(waiting);
        until("the statement is gone", async || running(&graph, "slow").await == 0).await;
    }
    assert_eq!(logged(&graph).await, 0);
}

#[tokio::test]
async fn with_all_connections_taken_clients_are_told_to_come_back() {
    let settings = [("WALCAST__GRAPHQL__CONNECTIONS", "2"), ("WALCAST__GRAPHQL__WAIT_MS", "100")];
    let graph = served(&settings).await;
    let waiting = [begin(&graph, "{ slow }").await, begin(&graph, "{ slow }").await];
    until("both connections are taken", async || running(&graph, "slow").await == 2).await;
    let body = json!({ "query": "{ plus(a: 1) }" }).to_string();
    let (head, text) = graph
        .walcast
        .exchange(&format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.to_lowercase().contains("\r\nretry-after: "), "{head}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "Unavailable");
    drop(waiting);
    until("there is room again", async || graph.ask("{ plus(a: 1) }").await["data"]["plus"] == 111).await;
}

#[tokio::test]
async fn after_a_restart_of_the_database_queries_work_by_themselves() {
    let mut own = cluster::own(&postgres_binaries::of_major(postgres_binaries::majors()[1]), &[]);
    let url = own.url("postgres");
    cluster::connect(&url).await.batch_execute(FUNCTIONS).await.unwrap();
    let walcast = Walcast::spawn(&url, &[]);
    let ask = async || {
        let body = json!({ "query": "{ items { id neighbours { id } } }" }).to_string();
        let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";
        walcast.request(&format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await
    };
    until("the schema is served", async || ask().await.0 == 200).await;
    let whole = ask().await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let load = async || {
        let (mut answered, mut refused) = (0, 0);
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            match ask().await {
                same if same == whole => answered += 1,
                (503, text) => {
                    assert!(text.contains("Unavailable"), "{text}");
                    refused += 1;
                }
                (_, text) => panic!("neither the answer nor a refusal: {text}"),
            }
        }
        (answered, refused)
    };
    let restart = async {
        for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
            own.stop_server(shutdown).unwrap();
            until("clients are told", async || ask().await.0 == 503).await;
            own.start_server().unwrap();
            until("queries are answered", async || ask().await == whole).await;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (one, two, ()) =
        tokio::time::timeout(PATIENCE * 2, async { tokio::join!(load(), load(), restart) }).await.unwrap();
    for (answered, refused) in [one, two] {
        assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
    }
}
