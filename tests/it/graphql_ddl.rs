//! The schema follows the database, and whoever asks meanwhile is never told anything wrong.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::graphql::Graph;
use crate::postgres_binaries;
use crate::walcast::until;

const SHOP: &str = "
    create table lots (id int primary key, title text not null, weight int not null);
    create table offers (id int primary key, lot_id int not null references lots, amount int not null);
    insert into lots values (1, 'chair', 10), (2, 'table', 20);
    insert into offers values (1, 1, 100), (2, 1, 200), (3, 2, 300);";

async fn changed(graph: &Graph, sql: &str) {
    graph.client.batch_execute(sql).await.unwrap();
}

/// Waits until a query has this answer.
async fn answers(graph: &Graph, query: &str, expected: Value) {
    until(&format!("{query} answers {expected}"), async || graph.ask(query).await["data"] == expected).await;
}

/// Waits until a query is not one of the schema's.
async fn refuses(graph: &Graph, query: &str) {
    until(&format!("{query} is refused"), async || graph.post(&json!({ "query": query })).await.0 == 400)
        .await;
}

async fn description(graph: &Graph, of: &str) -> Value {
    let answer = graph
        .data(&format!("{{ __type(name: \"{of}\") {{ description fields {{ name description }} }} }}"))
        .await;
    answer["__type"].clone()
}

#[tokio::test]
async fn the_schema_follows_tables_columns_functions_and_comments() {
    let graph = Graph::serve(postgres_binaries::majors()[1], SHOP, &[]).await;
    changed(&graph, "alter table lots add colour text default 'red'").await;
    answers(&graph, "{ lot(id: 1) { colour } }", json!({ "lot": { "colour": "red" } })).await;
    changed(&graph, "alter table lots rename colour to hue").await;
    answers(&graph, "{ lot(id: 1) { hue } }", json!({ "lot": { "hue": "red" } })).await;
    refuses(&graph, "{ lot(id: 1) { colour } }").await;
    changed(
        &graph,
        "alter table lots drop hue; alter table lots alter weight type text using weight || ' kg'",
    )
    .await;
    answers(&graph, "{ lot(id: 1) { weight } }", json!({ "lot": { "weight": "10 kg" } })).await;
    refuses(&graph, "{ lot(id: 1) { hue } }").await;

    changed(
        &graph,
        "create table bins (id int primary key, lot_id int references lots); insert into bins values (1, 2)",
    )
    .await;
    answers(&graph, "{ lot(id: 2) { bins { id } } }", json!({ "lot": { "bins": [{ "id": "1" }] } })).await;
    changed(&graph, "alter table bins rename to boxes").await;
    answers(
        &graph,
        "{ lot(id: 2) { boxes { lot { id } } } }",
        json!({ "lot": { "boxes": [{ "lot": { "id": "2" } }] } }),
    )
    .await;
    changed(&graph, "drop table boxes").await;
    refuses(&graph, "{ boxes { id } }").await;

    changed(
        &graph,
        "create function best(lots) returns int language sql stable
                     as 'select max(amount) from offers where lot_id = $1.id'",
    )
    .await;
    answers(&graph, "{ lot(id: 1) { best } }", json!({ "lot": { "best": 200 } })).await;
    changed(
        &graph,
        "create or replace function best(lots) returns int language sql stable
                     as 'select min(amount) from offers where lot_id = $1.id'",
    )
    .await;
    assert_eq!(
        graph.data("{ lot(id: 1) { best } }").await["lot"]["best"],
        100,
        "at once: the plan names the function"
    );
    changed(&graph, "alter function best(lots) rename to lowest").await;
    answers(&graph, "{ lot(id: 1) { lowest } }", json!({ "lot": { "lowest": 100 } })).await;
    changed(&graph, "drop function lowest(lots)").await;
    refuses(&graph, "{ lot(id: 1) { lowest } }").await;

    changed(
        &graph,
        "comment on table lots is E'What is sold.\\n@walcast name article';
                     comment on column lots.title is E'@walcast name heading\\nIn large letters.';
                     comment on column lots.weight is '@walcast omit'",
    )
    .await;
    answers(
        &graph,
        "{ articles { heading } }",
        json!({ "articles": [{ "heading": "chair" }, { "heading": "table" }] }),
    )
    .await;
    assert_eq!(description(&graph, "Article").await["description"], "What is sold.");
    let fields = description(&graph, "Article").await["fields"].to_string();
    assert!(
        fields.contains("In large letters.") && !fields.contains("weight") && !fields.contains("walcast"),
        "{fields}"
    );
    answers(
        &graph,
        "{ offer(id: 1) { lot { heading } } }",
        json!({ "offer": { "lot": { "heading": "chair" } } }),
    )
    .await;
    changed(&graph, "comment on table lots is null").await;
    answers(&graph, "{ lots(limit: 1) { heading } }", json!({ "lots": [{ "heading": "chair" }] })).await;
    changed(&graph, "alter table lots alter title drop not null").await;
    until("the field may be null", async || {
        let answer = graph.data("{ __type(name: \"Lot\") { fields { name type { kind } } } }").await;
        answer["__type"]["fields"]
            .as_array()
            .unwrap()
            .contains(&json!({ "name": "heading", "type": { "kind": "SCALAR" } }))
    })
    .await;
}

#[tokio::test]
async fn who_asks_while_the_schema_changes_gets_the_truth_or_an_error() {
    for &major in postgres_binaries::majors() {
        let graph = Graph::serve(major, SHOP, &[]).await;
        let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
        // Every answer that was ever true of lot 1 while both columns had these names.
        let truths = [
            json!({ "lot": { "title": "chair", "weight": 10, "offers": [{ "amount": 100 }, { "amount": 200 }] } }),
            json!({ "lot": { "title": null, "weight": 10, "offers": [{ "amount": 100 }, { "amount": 200 }] } }),
            // A number again, told by the schema in which it was a text.
            json!({ "lot": { "title": "chair", "weight": "10", "offers": [{ "amount": 100 }, { "amount": 200 }] } }),
            json!({ "lot": { "title": "chair", "weight": "10 kg", "offers": [{ "amount": 100 }, { "amount": 200 }] } }),
            json!({ "lot": { "title": "chair", "weight": "a\"b", "offers": [{ "amount": 100 }, { "amount": 200 }] } }),
            // As an enum's label it has the name `_`.
            json!({ "lot": { "title": "chair", "weight": "_", "offers": [{ "amount": 100 }, { "amount": 200 }] } }),
            json!({ "lot": { "title": "chair", "weight": "-", "offers": [{ "amount": 100 }, { "amount": 200 }] } }),
            json!({ "lot": { "title": "chair", "weight": null, "offers": [{ "amount": 100 }, { "amount": 200 }] } }),
        ];
        let ask = async || {
            let (mut told, mut refused) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                let answer = graph.ask("{ lot(id: 1) { title weight offers { amount } } }").await;
                asked.fetch_add(1, Ordering::Relaxed);
                if answer.get("errors").is_none() {
                    assert!(truths.contains(&answer["data"]), "{answer}");
                    told += 1;
                } else {
                    assert!(answer["errors"][0]["message"].is_string(), "{answer}");
                    let data = &answer["data"];
                    assert!(data.is_null() || data["lot"].is_null(), "{answer}");
                    refused += 1;
                }
            }
            (told, refused)
        };
        let change = async {
            for sql in [
                "alter table lots alter weight type text using weight || ' kg'",
                "update lots set weight = 'a\"b'",
                "alter table lots alter weight drop not null; update lots set weight = null",
                "update lots set weight = '-'; alter table lots alter weight set not null",
                "create type load as enum ('-', 'a\"b'); alter table lots alter weight type load using weight::load",
                "alter table lots alter weight type int using 10",
                "alter table lots rename title to name",
                "alter table lots rename name to title",
                "alter table lots alter title drop not null; update lots set title = null",
                "update lots set title = 'chair'; alter table lots alter title set not null",
                "alter table offers rename to tenders",
                "alter table tenders rename to offers",
                "alter table lots add extra int; alter table lots drop extra",
            ] {
                changed(&graph, sql).await;
                let before = asked.load(Ordering::Relaxed);
                until("both have asked again", async || asked.load(Ordering::Relaxed) >= before + 6).await;
            }
            answers(&graph, "{ lot(id: 1) { title weight offers { amount } } }", truths[0].clone()).await;
            done.store(true, Ordering::Relaxed);
        };
        let (one, two, ()) = tokio::join!(ask(), ask(), change);
        assert!(one.0 > 0 && two.0 > 0 && one.1 + two.1 > 0, "{one:?} {two:?}");
    }
}

#[tokio::test]
async fn settings_name_and_hide_what_comments_need_not() {
    let sql = format!(
        "{SHOP} create schema store; create table store.shelves (id int primary key, lot_id int references lots);
         create function public.heaviest() returns lots language sql stable as 'select l from lots l order by weight desc limit 1';
         create table hidden (id int primary key, lot_id int references lots);
         comment on table lots is '@walcast name commented'"
    );
    let settings = [
        ("WALCAST__GRAPHQL__SCHEMAS", "public,store"),
        (
            "WALCAST__GRAPHQL__NAMES",
            "public.lots=Article,public.lots.title=heading,public.heaviest()=topArticle",
        ),
        ("WALCAST__GRAPHQL__OMIT", "public.hidden,public.lots.weight"),
    ];
    let graph = Graph::serve(postgres_binaries::majors()[0], &sql, &settings).await;
    let answer = graph
        .data("{ article(id: 1) { heading shelves { id } } topArticle { heading } shelves { lot { id } } }")
        .await;
    assert_eq!(
        answer,
        json!({ "article": { "heading": "chair", "shelves": [] }, "topArticle": { "heading": "table" }, "shelves": [] })
    );
    for query in [
        "{ hiddens { id } }",
        "{ articles { weight } }",
        "{ articles { hiddens { id } } }",
        "{ lots { id } }",
    ] {
        assert_eq!(graph.post(&json!({ "query": query })).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn keys_of_every_kind_find_their_rows() {
    const KEYS: &str = "
        create table users (id int primary key, email text unique, first text, last text, unique (first, last));
        create table messages (
            id int primary key, sender_id int not null references users, recipient_id int references users,
            reply_to int references messages
        );
        create table seats (hall text, number int, primary key (hall, number));
        create table tickets (
            code uuid primary key, hall text, number int, holder_id int unique references users,
            foreign key (hall, number) references seats
        );
        comment on constraint messages_recipient_id_fkey on messages is '@walcast name addressee';
        insert into users values (1, 'a@x', 'Ann', 'Lee'), (2, null, 'Bob', null);
        insert into messages values (1, 1, 2, null), (2, 2, 1, 1), (3, 1, null, 1);
        insert into seats values ('big', 1), ('big', 2);
        insert into tickets values ('00000000-0000-0000-0000-000000000001', 'big', 2, 1),
            ('00000000-0000-0000-0000-000000000002', 'big', null, null);";
    for &major in postgres_binaries::majors() {
        let graph = Graph::serve(major, KEYS, &[]).await;
        let answer = graph
            .data(
                "{ userByEmail(email: \"a@x\") { id messagesBySender { id } messagesByAddressee { id } ticket { code } }
                   userByFirstAndLast(first: \"Ann\", last: \"Lee\") { id }
                   message(id: 3) { sender { id } addressee { id } }
                   seat(hall: \"big\", number: 2) { tickets { holder { email } seat { number } } }
                   none: seat(hall: \"small\", number: 2) { hall }
                   ticket(code: \"00000000-0000-0000-0000-000000000002\") { seat { hall } holder { id } } }",
            )
            .await;
        assert_eq!(
            answer,
            json!({
                "userByEmail": {
                    "id": "1", "messagesBySender": [{ "id": "1" }, { "id": "3" }], "messagesByAddressee": [{ "id": "2" }],
                    "ticket": { "code": "00000000-0000-0000-0000-000000000001" },
                },
                "userByFirstAndLast": { "id": "1" },
                "message": { "sender": { "id": "1" }, "addressee": null },
                "seat": { "tickets": [{ "holder": { "email": "a@x" }, "seat": { "number": "2" } }] },
                "none": null,
                "ticket": { "seat": null, "holder": null },
            })
        );
    }
}

#[tokio::test]
async fn views_and_partitioned_tables_are_served_like_tables() {
    const KINDS: &str = "
        create table people (id int primary key, name text);
        insert into people values (1, 'ann'), (2, 'bob');
        create view loud_people as select id, upper(name) as name from people;
        create materialized view counted as select count(*) as n from people;
        create table events (id int, year int, what text, person_id int references people, primary key (id, year))
            partition by range (year);
        create table events_2020 partition of events for values from (2020) to (2021);
        create table events_2021 partition of events for values from (2021) to (2022);
        insert into events values (1, 2020, 'a', 1), (1, 2021, 'b', 1), (2, 2021, 'c', 2);
        create function of_view(loud_people) returns text language sql stable as 'select $1.name || ''!''';";
    for &major in postgres_binaries::majors() {
        let graph = Graph::serve(major, KINDS, &[]).await;
        let answer = graph
            .data(
                "{ loudPeople(filter: { name: { like: \"A%\" } }, orderBy: { id: ASC }) { id name ofView }
                   loudPeopleAggregate { count max { name } } counteds { n }
                   events(orderBy: { what: DESC }) { what person { name } } event(id: 1, year: 2021) { what }
                   person(id: 1) { events { what } eventsAggregate { count } } }",
            )
            .await;
        assert_eq!(
            answer,
            json!({
                "loudPeople": [{ "id": "1", "name": "ANN", "ofView": "ANN!" }],
                "loudPeopleAggregate": { "count": 2, "max": { "name": "BOB" } },
                "counteds": [{ "n": "2" }],
                "events": [
                    { "what": "c", "person": { "name": "bob" } }, { "what": "b", "person": { "name": "ann" } },
                    { "what": "a", "person": { "name": "ann" } },
                ],
                "event": { "what": "b" },
                "person": { "events": [{ "what": "a" }, { "what": "b" }], "eventsAggregate": { "count": 2 } },
            })
        );
        assert_eq!(graph.post(&json!({ "query": "{ events2020s { id } }" })).await.0, 400);
        changed(
            &graph,
            "create table events_2022 partition of events for values from (2022) to (2023);
                         insert into events values (3, 2022, 'd', 1);",
        )
        .await;
        assert_eq!(graph.data("{ eventsAggregate { count } }").await["eventsAggregate"]["count"], 4);
        changed(&graph, "insert into people values (3, 'cat'); refresh materialized view counted").await;
        assert_eq!(graph.data("{ counteds { n } }").await["counteds"], json!([{ "n": "3" }]));
        changed(&graph, "create or replace view loud_people as select id, upper(name) as name, length(name) as letters from people").await;
        answers(
            &graph,
            "{ loudPeople(limit: 1, orderBy: { id: ASC }) { letters } }",
            json!({ "loudPeople": [{ "letters": 3 }] }),
        )
        .await;
    }
}
