//! What queries answer.

use serde_json::json;

use crate::graphql::{DEMO, Graph, data};
use crate::postgres_binaries;

async fn demo() -> Graph {
    Graph::serve(postgres_binaries::majors()[0], DEMO, &[]).await
}

#[tokio::test]
async fn the_demo_answers_as_its_readme_says_on_every_major() {
    for major in postgres_binaries::majors() {
        let graph = Graph::serve(*major, DEMO, &[]).await;
        let answer = graph
            .ask("query GetCurrentAuctionBids { auction(id: \"1\") { bids { amount } highestBid { amount } id title } }")
            .await;
        assert_eq!(
            answer.to_string(),
            json!({ "data": { "auction": {
                "bids": [{ "amount": 10 }, { "amount": 15 }], "highestBid": { "amount": 15 },
                "id": "1", "title": "A wooden chair"
            } } })
            .to_string()
        );
        let bid = graph.data("mutation { bid(input: {auctionId: \"1\", amount: 20}) { amount auction { highestBid { amount } } } }").await;
        assert_eq!(bid, json!({ "bid": { "amount": 20, "auction": { "highestBid": { "amount": 20 } } } }));
        let message = graph
            .data("mutation { sendMessage(input: {roomId: \"1\", from: \"hello\", body: \"bob\"}) { body from } }")
            .await;
        assert_eq!(message, json!({ "sendMessage": { "body": "bob", "from": "hello" } }));
    }
}

#[tokio::test]
async fn members_come_in_the_order_of_the_selection() {
    let graph = demo().await;
    let body = json!({ "query": "{ b: auction(id: 1) { title __typename i: id id } a: __typename auction(id: 9) { id } }" });
    let request = body.to_string();
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let (_, text) =
        graph.walcast.request(&format!("{head}Content-Length: {}\r\n\r\n{request}", request.len())).await;
    assert_eq!(
        text,
        r#"{"data":{"b":{"title":"A wooden chair","__typename":"Auction","i":"1","id":"1"},"a":"Query","auction":null}}"#
    );
}

#[tokio::test]
async fn fragments_merge_and_directives_leave_out() {
    let graph = demo().await;
    let query = "query ($no: Boolean!, $yes: Boolean = true) {
        auction(id: 1) { ...f bids { amount } ... @include(if: $no) { title } ... on Auction { b2: bids @skip(if: $yes) { id } } }
        auction(id: 1) { bids { auction { id } } }
    }
    fragment f on Auction { id bids { __typename } }";
    let bid = |amount: i32| json!({ "__typename": "Bid", "amount": amount, "auction": { "id": "1" } });
    let expected = json!({ "auction": { "id": "1", "bids": [bid(10), bid(15)] } });
    assert_eq!(data(graph.ask_with(query, json!({ "no": false })).await), expected);
    let other = data(graph.ask_with(query, json!({ "no": true, "yes": false })).await);
    assert_eq!(other["auction"]["title"], "A wooden chair");
    assert_eq!(other["auction"]["b2"], json!([{ "id": "1" }, { "id": "2" }]));
    assert_eq!(data(graph.ask_with(query, json!({ "no": false })).await), expected, "plans of two shapes");
}

#[tokio::test]
async fn lists_are_filtered_ordered_and_cut() {
    let graph = demo().await;
    for (arguments, expected) in [
        ("", json!(["1", "2", "3"])),
        ("(orderBy: {title: ASC})", json!(["3", "2", "1"])),
        ("(orderBy: [{title: DESC}], limit: 1, offset: 1)", json!(["2"])),
        ("(limit: 0)", json!([])),
        ("(filter: {title: {ilike: \"%CHAIR%\"}})", json!(["1"])),
        ("(filter: {title: {startsWith: \"A b\"}})", json!(["2", "3"])),
        ("(filter: {title: {regex: \"(chair|maps)$\"}})", json!(["1", "3"])),
        ("(filter: {id: {in: [1, \"3\"]}})", json!(["1", "3"])),
        ("(filter: {id: {in: []}})", json!([])),
        ("(filter: {id: {gt: 1}, title: {neq: \"A box of old maps\"}})", json!(["2"])),
        ("(filter: {or: [{id: {eq: 1}}, {id: {eq: 2}}], not: {id: {lte: 1}}})", json!(["2"])),
        ("(filter: {or: []})", json!([])),
        ("(filter: {and: []})", json!(["1", "2", "3"])),
        ("(filter: {title: {is: NULL}})", json!([])),
        ("(filter: {title: {is: NOT_NULL}, id: {gte: 2}})", json!(["2", "3"])),
        ("(filter: {bids: {amount: {gte: 15}}})", json!(["1", "2"])),
        ("(filter: {not: {bids: {}}})", json!(["3"])),
    ] {
        let answer = graph.data(&format!("{{ auctions{arguments} {{ id }} }}")).await;
        let ids: Vec<_> =
            answer["auctions"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        assert_eq!(json!(ids), expected, "{arguments}");
    }
    let nested = "{ auctions(filter: {bids: {}}) { bids(orderBy: {amount: DESC}, limit: 1, filter: {auction: {title: {like: \"A%\"}}}) { amount auction { bids { id } } } } }";
    assert_eq!(
        graph.data(nested).await,
        json!({ "auctions": [
            { "bids": [{ "amount": 15, "auction": { "bids": [{ "id": "1" }, { "id": "2" }] } }] },
            { "bids": [{ "amount": 80, "auction": { "bids": [{ "id": "3" }] } }] },
        ] })
    );
}

#[tokio::test]
async fn variables_stand_for_values_filters_and_orders() {
    let graph = demo().await;
    let query = "query ($id: ID!, $f: BidFilter, $o: [BidOrder!], $n: Int, $least: Int) {
        auction(id: $id) { bids(filter: $f, orderBy: $o, limit: $n) { amount }  more: bids(filter: {amount: {gte: $least}}) { amount } }
    }";
    for (variables, bids, more) in [
        (json!({ "id": 1 }), json!([10, 15]), json!([10, 15])),
        (json!({ "id": "1", "f": { "amount": { "gt": 10 } }, "least": 11 }), json!([15]), json!([15])),
        (
            json!({ "id": "1", "f": { "amount": { "gt": 9 } }, "o": { "amount": "DESC" }, "n": 1 }),
            json!([15]),
            json!([10, 15]),
        ),
        (json!({ "id": "1", "f": null, "o": [], "n": null, "least": 100 }), json!([10, 15]), json!([])),
    ] {
        let answer = data(graph.ask_with(query, variables.clone()).await);
        let amounts = |key: &str| -> Vec<_> {
            answer["auction"][key].as_array().unwrap().iter().map(|bid| bid["amount"].clone()).collect()
        };
        assert_eq!((json!(amounts("bids")), json!(amounts("more"))), (bids, more), "{variables}");
    }
}

#[tokio::test]
async fn aggregates_count_and_measure_what_the_filter_leaves() {
    let graph = demo().await;
    let query = "{
        auctionsAggregate { count __typename }
        bidsAggregate(filter: {amount: {lt: 80}}) { count sum { amount } avg { amount } min { amount } max { n: amount } }
        none: bidsAggregate(filter: {amount: {lt: 0}}) { count sum { amount } }
        auction(id: 1) { bidsAggregate { count max { amount __typename } } }
    }";
    assert_eq!(
        graph.data(query).await,
        json!({
            "auctionsAggregate": { "count": 3, "__typename": "AuctionAggregate" },
            "bidsAggregate": {
                "count": 2, "sum": { "amount": "25" }, "avg": { "amount": "12.5000000000000000" },
                "min": { "amount": 10 }, "max": { "n": 15 }
            },
            "none": { "count": 0, "sum": { "amount": null } },
            "auction": { "bidsAggregate": { "count": 2, "max": { "amount": 15, "__typename": "BidMax" } } }
        })
    );
}

#[tokio::test]
async fn what_goes_too_far_is_refused_by_name() {
    let settings = [
        ("WALCAST__GRAPHQL__DEPTH", "4"),
        ("WALCAST__GRAPHQL__COST", "100"),
        ("WALCAST__GRAPHQL__ROWS", "2"),
        ("WALCAST__GRAPHQL__INTROSPECTION", "false"),
    ];
    let graph = Graph::serve(postgres_binaries::majors()[0], DEMO, &settings).await;
    let many = (0..12).map(|n| format!("a{n}: auctions(limit: 1) {{ id }}")).collect::<Vec<_>>().join(" ");
    for (query, code) in [
        ("{ auctions { bids { auction { bids { id } } } } }", "TooDeep"),
        (&format!("{{ {many} }}"), "TooCostly"),
        ("{ auctions(limit: 3) { id } }", "TooManyRows"),
        ("{ auctions(limit: -1) { id } }", "TooManyRows"),
        ("{ __schema { queryType { name } } }", "IntrospectionOff"),
        ("{ auctions(orderBy: {id: ASC, title: ASC}, limit: 1) { id } }", "ArgumentInvalid"),
        ("{ auctions(filter: {id: {eq: null}}, limit: 1) { id } }", "ArgumentInvalid"),
    ] {
        let error = graph.error(query).await;
        assert_eq!(error["extensions"]["code"], code, "{query}: {error}");
    }
    // The list of three, without a limit, is more than may be asked for.
    let answer = graph.ask("{ one: auction(id: 1) { bids { id } } auctions { id } }").await;
    assert_eq!(answer["data"], json!(null));
    assert_eq!(answer["errors"][0]["path"], json!(["auctions"]));
    assert_eq!(answer["errors"][0]["extensions"]["code"], "TooManyRows");
    assert_eq!(graph.data("{ auctions(limit: 2) { id } }").await["auctions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_mutation_happens_whole_or_not_at_all_and_in_order() {
    let graph = demo().await;
    let two = "mutation { a: bid(input: {auctionId: 1, amount: 20}) { amount auction { bids { amount } } }
                          b: bid(input: {auctionId: 1, amount: 30}) { auction { highestBid { amount } } } }";
    assert_eq!(
        graph.data(two).await,
        json!({
            "a": { "amount": 20, "auction": { "bids": [{ "amount": 10 }, { "amount": 15 }, { "amount": 20 }] } },
            "b": { "auction": { "highestBid": { "amount": 30 } } }
        })
    );
    let answer = graph
        .ask("mutation { a: bid(input: {auctionId: 1, amount: 40}) { amount } b: bid(input: {auctionId: 1, amount: 5}) { amount } }")
        .await;
    assert_eq!(answer["data"], json!(null));
    assert_eq!(
        answer["errors"],
        json!([{ "message": "a bid on auction 1 must be higher than 40", "path": ["b"], "extensions": { "code": "23514" } }])
    );
    let highest = graph.data("{ auction(id: 1) { highestBid { amount } } }").await;
    assert_eq!(
        highest["auction"]["highestBid"]["amount"], 30,
        "the first bid was rolled back with the second"
    );
}

#[tokio::test]
async fn a_query_writes_nothing_and_live_queries_are_refused_in_words() {
    let graph = demo().await;
    graph
        .client
        .batch_execute("create function sly() returns int language sql stable as 'select 1'; create or replace function sly() returns int language plpgsql stable as $$ begin execute 'delete from bids'; return 1; end $$")
        .await
        .unwrap();
    crate::walcast::until("the function is a field", async || {
        graph.ask("{ __type(name: \"Query\") { fields { name } } }").await.to_string().contains("sly")
    })
    .await;
    let error = graph.error("{ sly }").await;
    assert_eq!(error["path"], json!(["sly"]), "{error}");
    assert_eq!(graph.data("{ bidsAggregate { count } }").await["bidsAggregate"]["count"], 3);
    let error = graph.error("query @live { auctions { id } }").await;
    assert!(error["message"].as_str().unwrap().contains("live"), "{error}");
    assert_eq!(
        graph
            .data(
                "query ($l: Boolean!) @live(if: false) { __typename }"
                    .replace("($l: Boolean!) ", "")
                    .as_str()
            )
            .await,
        json!({ "__typename": "Query" })
    );
}

#[tokio::test]
async fn parts_that_may_come_later_come_at_once() {
    let graph = demo().await;
    let query = "{ auction(id: 1) { id ... @defer(label: \"b\") { title } bids @stream(initialCount: 1) { amount } } }";
    assert_eq!(
        graph.data(query).await,
        json!({ "auction": { "id": "1", "title": "A wooden chair", "bids": [{ "amount": 10 }, { "amount": 15 }] } })
    );
}

#[tokio::test]
async fn a_document_that_cannot_be_parsed_is_told_just_that() {
    let graph = demo().await;
    let error = graph.error("{ nothing ").await;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("syntax error"), "{error}");
    let error = graph.error("{ nothing }").await;
    assert!(error["message"].as_str().unwrap().contains("does not have a field `nothing`"), "{error}");
}
