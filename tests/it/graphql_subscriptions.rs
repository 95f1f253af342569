//! GraphQL subscriptions: changes of tables, rows under names of their own, and what is sent to topics.

use serde_json::{Value, json};

use crate::graphql::{DEMO, Graph};
use crate::live::Stream;
use crate::walcast::until;

/// Serves a database, and waits until this subscription is offered.
async fn serve(major: u16, sql: &str, field: &str) -> Graph {
    serve_with(major, sql, field, &[]).await
}

async fn serve_with(major: u16, sql: &str, field: &str, settings: &[(&str, &str)]) -> Graph {
    let graph = Graph::serve(major, sql, settings).await;
    offered(&graph, field).await;
    graph
}

/// Waits until `Subscription` has a field.
async fn offered(graph: &Graph, field: &str) {
    until(&format!("{field} is offered"), async || {
        let fields = graph.data("{ __type(name: \"Subscription\") { fields { name } } }").await;
        fields["__type"]["fields"].as_array().unwrap().contains(&json!({ "name": field }))
    })
    .await;
}

async fn subscribe(graph: &Graph, subscription: &str) -> Stream {
    let query = format!("subscription {{ {subscription} }}");
    let stream = Stream::open(&graph.walcast, &query, &json!({}), "").await;
    assert!(stream.head.starts_with("HTTP/1.1 200 "), "{}", stream.head);
    stream
}

/// The one error of a subscription that is refused.
async fn refused(graph: &Graph, subscription: &str) -> Value {
    let mut stream = subscribe(graph, subscription).await;
    let mut result = stream.result().await;
    stream.complete().await;
    assert!(result.get("data").is_none(), "{result}");
    assert_eq!(result["errors"].as_array().unwrap().len(), 1, "{result}");
    result["errors"][0].take()
}

async fn run(graph: &Graph, sql: &str) {
    graph.client.batch_execute(sql).await.unwrap();
}

/// The data of the next result, which has no errors.
async fn data(stream: &mut Stream) -> Value {
    let mut result = stream.result().await;
    assert!(result.get("errors").is_none(), "{result}");
    result["data"].take()
}

/// The next results' value under this field.
async fn changes(stream: &mut Stream, field: &str, count: usize) -> Value {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(data(stream).await[field].take());
    }
    Value::Array(all)
}

const MAJORS: [u16; 2] = [15, 18];

#[tokio::test]
async fn every_change_of_a_table_is_told_in_order_as_it_was() {
    for major in MAJORS {
        let graph = serve(major, DEMO, "bids").await;
        let mut stream = subscribe(
            &graph,
            "bids { event record { id amount auction { title } } old { id amount } cursor __typename }",
        )
        .await;
        run(
            &graph,
            "begin;
             insert into auctions values (10, 'a lamp');
             insert into bids values (100, 5, 10);
             update bids set amount = 6 where id = 100;
             update bids set id = 101, amount = 7 where id = 100;
             delete from bids where id = 1;
             commit;
             truncate bids",
        )
        .await;
        let mut told = changes(&mut stream, "bids", 5).await;
        let mut cursors = Vec::new();
        for change in told.as_array_mut().unwrap() {
            cursors.push(change["cursor"].take().as_str().unwrap().parse::<walcast::lsn::Cursor>().unwrap());
            assert_eq!(change["__typename"].take(), "BidChange");
        }
        assert!(cursors.is_sorted_by(|one, two| one < two), "{cursors:?}");
        let row =
            |id: &str, amount: i32| json!({ "id": id, "amount": amount, "auction": { "title": "a lamp" } });
        let change = |event: &str, record: Value, old: Value| json!({ "event": event, "record": record, "old": old, "cursor": null, "__typename": null });
        let expected = [
            change("INSERT", row("100", 5), json!(null)),
            change("UPDATE", row("100", 6), json!(null)),
            change("UPDATE", row("101", 7), json!({ "id": "100", "amount": null })),
            change("DELETE", json!(null), json!({ "id": "1", "amount": null })),
            change("TRUNCATE", json!(null), json!(null)),
        ];
        assert_eq!(told, json!(expected));
    }
}

#[tokio::test]
async fn what_the_log_writes_is_what_the_database_writes() {
    const TABLE: &str = r#"
        create type mood as enum ('happy', 'very sad');
        create domain label as text;
        create type pair as (a int, b text);
        create table samples (
            id int8 primary key, i2 int2, i4 int4, n numeric, f4 float4, f8 float8, b bool, t text, v varchar(20),
            c char(6), d date, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, ip inet, net cidr,
            by bytea, m mood, l label, r int4range, bits bit(4), texts text[], ints int8[], floats float8[],
            moods mood[], times timestamptz[], ips inet[], chars char(4)[], p pair, x xml, mac macaddr, oid_ref oid,
            money_of money, boxes box[]
        );
        alter table samples replica identity full;"#;
    let rows = [
        r#"(1, -2, 3, 123456789012345678901234567890.5, 1.5, -0.1, true, 'a"b\c' || chr(10) || 'ü', 'v', 'c', '2024-02-29',
            '2024-01-02 03:04:05.678', '2024-01-02 03:04:05+02', '1 day 02:00', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
            '{"a" : 1.50}', '{"b": [1, null]}', '10.0.0.1', '10.0.0.0/8', '\xdead', 'very sad', 'l', '[1,3)', '1010',
            array['a', null, 'x,"y"'], array[1, null]::int8[], array[1.5]::float8[], array['happy', 'very sad']::mood[],
            array['2024-01-02 03:04:05+02']::timestamptz[], array['::1', '10.0.0.0/8']::inet[], array['a']::char(4)[],
            row(1, 'x'), '<a/>', '08:00:2b:01:02:03', 42, 12.5, array['((1,2),(3,4))']::box[])"#,
        r#"(2, null, null, 'NaN', 1e-30, 1e300, false, '', '', '', '0044-03-15 BC', '0044-03-15 01:02:03 BC',
            '0044-03-15 01:02:03+00 BC', '-1 mon', null, 'null', '"\u001e"', '10.0.0.1/24', null, '', 'happy', null,
            'empty', '0000', '{}', '{}', '{}', '{}', '{infinity}', '{}', '{}', row(null, '"'), null, null, null, null,
            '{}')"#,
        "(3, 0, 0, 'Infinity', 0, 0, null, 'plain', null, 'ab c', 'infinity', 'infinity', '-infinity', '0', null, \
         '[]', '{}', '::1', null, null, null, '', null, null, null, null, null, null, null, null, null, null, null, \
         null, null, null, null)",
    ];
    for major in MAJORS {
        let graph = serve(major, TABLE, "samples").await;
        let columns = "id i2 i4 n f4 f8 b t v c d ts tz iv u j jb ip net by m l r bits texts ints floats moods times ips \
                       chars p { a b } x mac oidRef moneyOf boxes";
        let old = columns.replace("p { a b }", "");
        let subscription = format!("samples {{ event record {{ {columns} }} old {{ {old} }} }}");
        let mut stream = subscribe(&graph, &subscription).await;
        for (row, id) in rows.iter().zip(1..) {
            run(&graph, &format!("insert into samples values {row}")).await;
            let asked = graph.data(&format!("{{ sample(id: {id}) {{ {columns} }} }}")).await;
            let told = data(&mut stream).await;
            assert_eq!(told["samples"]["record"], asked["sample"], "row {id} on {major}");
            run(&graph, &format!("delete from samples where id = {id}")).await;
            let mut gone = data(&mut stream).await["samples"].take();
            let mut expected = asked["sample"].clone();
            expected.as_object_mut().unwrap().remove("p");
            assert_eq!(gone["old"].take(), expected, "row {id} on {major}");
        }
        // What GraphQL has no value for is an error at its place.
        run(
            &graph,
            "insert into samples (id, f8, floats, texts) values (4, 'NaN', '{1,Infinity}', '{{a},{b}}')",
        )
        .await;
        let told = stream.result().await;
        let asked = graph.ask(&format!("{{ sample(id: 4) {{ {columns} }} }}")).await;
        assert_eq!(told["data"]["samples"]["record"], asked["data"]["sample"]);
        let at = |errors: &Value, drop: usize| {
            let mut all: Vec<_> = errors
                .as_array()
                .unwrap()
                .iter()
                .map(|error| {
                    (
                        error["path"].as_array().unwrap()[drop..].to_vec(),
                        error["extensions"]["code"].clone(),
                        error["message"].clone(),
                    )
                })
                .collect();
            all.sort_by_key(|error| format!("{error:?}"));
            all
        };
        assert_eq!(at(&told["errors"], 2), at(&asked["errors"], 1));
        assert_eq!(told["errors"].as_array().unwrap().len(), 3);
    }
}
