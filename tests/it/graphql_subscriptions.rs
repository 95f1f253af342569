//! GraphQL subscriptions: changes of tables, rows under names of their own, and what is sent to topics.

use serde_json::{Value, json};

use crate::cluster;
use crate::graphql::{DEMO, Graph};
use crate::live::Stream;
use crate::walcast::until;

/// Serves a database, and waits until this subscription is offered.
pub async fn serve(major: u16, sql: &str, field: &str) -> Graph {
    serve_with(major, sql, field, &[]).await
}

pub async fn serve_with(major: u16, sql: &str, field: &str, settings: &[(&str, &str)]) -> Graph {
    let graph = Graph::serve(major, sql, settings).await;
    offered(&graph, field).await;
    graph
}

/// Waits until `Subscription` has a field.
pub async fn offered(graph: &Graph, field: &str) {
    until(&format!("{field} is offered"), async || {
        let fields = graph.data("{ __type(name: \"Subscription\") { fields { name } } }").await;
        fields["__type"]["fields"].as_array().unwrap().contains(&json!({ "name": field }))
    })
    .await;
}

pub async fn subscribe(graph: &Graph, subscription: &str) -> Stream {
    let query = format!("subscription {{ {subscription} }}");
    Stream::open(&graph.walcast, &query, &json!({}), "").await
}

/// The one error of a subscription that is refused.
pub async fn refused(graph: &Graph, subscription: &str) -> Value {
    let mut stream = subscribe(graph, subscription).await;
    let mut result = stream.result().await;
    stream.complete().await;
    assert!(result.get("data").is_none(), "{result}");
    assert_eq!(result["errors"].as_array().unwrap().len(), 1, "{result}");
    result["errors"][0].take()
}

pub async fn run(graph: &Graph, sql: &str) {
    graph.client.batch_execute(sql).await.unwrap();
}

/// The data of the next result, which has no errors.
pub async fn data(stream: &mut Stream) -> Value {
    let mut result = stream.result().await;
    assert!(result.get("errors").is_none(), "{result}");
    result["data"].take()
}

/// The next results' value under this field.
pub async fn changes(stream: &mut Stream, field: &str, count: usize) -> Value {
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
    const TABLE: &str = "
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
        alter table samples replica identity full;";
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

/// Auctions know when they were read: one moment for each statement.
const READ_AT: &str = "
    create function read_at(auction auctions) returns text language sql stable
        as 'select transaction_timestamp()::text';
    create function lot(bid bids) returns text language sql stable as 'select $1.id || ''/'' || $1.amount';";

#[tokio::test]
async fn nested_selections_of_a_transaction_are_one_statement_for_all_subscribers() {
    let graph = serve(15, &format!("{DEMO};{READ_AT}"), "bids").await;
    let queries = [
        "subscription { bids(events: [INSERT]) { record { amount auction { title readAt bids { id } } } } }",
        "subscription S($e: [ChangeEvent!]) { bids(events: $e) { ...C } } fragment C on BidChange \
         { record { amount auction { title readAt bids { id } } } }",
    ];
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(Stream::open(&graph.walcast, queries[0], &json!({}), "").await);
    }
    run(&graph, "insert into bids (auction_id, amount) select 1, n from generate_series(100, 139) n").await;
    let mut moments = std::collections::HashSet::new();
    for stream in &mut streams {
        for amount in 100..140 {
            let record = data(stream).await["bids"]["record"].take();
            assert_eq!(
                (&record["amount"], &record["auction"]["title"]),
                (&json!(amount), &json!("A wooden chair"))
            );
            assert_eq!(record["auction"]["bids"].as_array().unwrap().len(), 42);
            moments.insert(record["auction"]["readAt"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(moments.len(), 1, "{moments:?}");
    let mut other = Stream::open(&graph.walcast, queries[1], &json!({ "e": ["INSERT"] }), "").await;
    run(&graph, "insert into bids (auction_id, amount) values (2, 200)").await;
    assert_eq!(
        data(&mut other).await["bids"]["record"]["auction"]["bids"],
        json!([{ "id": "3" }, { "id": "44" }])
    );
}

#[tokio::test]
async fn columns_are_told_without_asking_the_database() {
    let graph = serve(18, DEMO, "messages").await;
    let mut stream = subscribe(&graph, "newMessage(roomId: \"2\") { id from body }").await;
    let mut lock = graph.database.connect().await;
    run(&graph, "insert into messages (room_id, \"from\", body) values (2, 'a', 'first')").await;
    let first = data(&mut stream).await;
    // Whoever reads the table now has to wait.
    let locked = lock.transaction().await.unwrap();
    locked.batch_execute("lock table messages in access exclusive mode").await.unwrap();
    locked
        .batch_execute("insert into messages (room_id, \"from\", body) values (2, 'b', 'second')")
        .await
        .unwrap();
    let other = graph.database.connect().await;
    other.batch_execute("insert into users (name) values ('x')").await.unwrap();
    locked.commit().await.unwrap();
    let again = graph.database.connect().await;
    again.batch_execute("begin; lock table messages in access exclusive mode").await.unwrap();
    assert_eq!(first, json!({ "newMessage": { "id": "3", "from": "a", "body": "first" } }));
    assert_eq!(
        data(&mut stream).await,
        json!({ "newMessage": { "id": "4", "from": "b", "body": "second" } })
    );
}

#[tokio::test]
async fn named_subscriptions_tell_of_rows_with_these_values() {
    let settings = [(
        "WALCAST__GRAPHQL__SUBSCRIPTIONS",
        "bidPlaced=public.bids on insert or update (auction_id and amount)",
    )];
    let graph = serve_with(15, DEMO, "bidPlaced", &settings).await;
    let query = "subscription On($room: ID!) { newMessage(roomId: $room) { from body } }";
    let mut two = Stream::open(&graph.walcast, query, &json!({ "room": 2 }), "").await;
    let mut three = Stream::open(&graph.walcast, query, &json!({ "room": "3" }), "").await;
    let mut bids = subscribe(&graph, "bidPlaced(auctionId: 1, amount: 50) { id auction { title } }").await;
    graph.data("mutation { sendMessage(input: {roomId: 3, from: \"c\", body: \"for three\"}) { id } }").await;
    run(
        &graph,
        "insert into messages (room_id, \"from\", body) values (1, 'a', 'for one'), (2, 'b', 'for two');
         update messages set body = 'changed' where room_id = 2;
         delete from messages where room_id = 2;
         insert into messages (room_id, \"from\", body) values (2, 'b', 'last');
         insert into bids (auction_id, amount) values (1, 49), (2, 50), (1, 50);
         update bids set amount = 50 where amount = 49",
    )
    .await;
    assert_eq!(
        changes(&mut two, "newMessage", 2).await,
        json!([{ "from": "b", "body": "for two" }, { "from": "b", "body": "last" }])
    );
    assert_eq!(data(&mut three).await, json!({ "newMessage": { "from": "c", "body": "for three" } }));
    let chair = json!({ "title": "A wooden chair" });
    assert_eq!(
        changes(&mut bids, "bidPlaced", 2).await,
        json!([{ "id": "6", "auction": chair }, { "id": "4", "auction": chair }])
    );
    let missing = refused(&graph, "newMessage { body }").await;
    assert!(missing["message"].as_str().unwrap().contains("roomId"), "{missing}");
    let unfit = refused(&graph, "newMessage(roomId: \"two\") { body }").await;
    assert_eq!(unfit["extensions"]["code"], "ArgumentInvalid");
    assert_eq!(unfit["message"], "a value of `ID` cannot be a text that is no whole number");
}

#[tokio::test]
async fn filters_and_events_say_what_is_told() {
    const TABLE: &str = "
        create type size as enum ('small', 'large');
        create table boxes (id int primary key, label text);
        create table things (
            id int primary key, n int, t text, flag bool, u uuid, s size, tags text[], box_id int references boxes
        );
        insert into boxes values (1, 'red'), (2, 'blue');";
    const ROWS: &str = "
        insert into things values
            (1, 1, 'one', true, '00000000-0000-0000-0000-00000000000a', 'small', '{a}', 1),
            (2, 2, 'two', false, null, 'large', '{b}', 2),
            (3, null, null, null, null, null, null, null),
            (4, 40, 'One', true, null, 'large', '{a,b}', 2);
        update things set n = 2 where id = 1;
        update things set n = 1 where id = 2;
        delete from things where id = 4;
        delete from things where id = 2;
        truncate things;
        insert into things (id) values (99)";
    let tellings: [(&str, &[&str]); 18] = [
        ("", &["I1", "I2", "I3", "I4", "U1", "U2", "D4", "D2", "T", "I99"]),
        ("events: [DELETE, TRUNCATE]", &["D4", "D2", "T"]),
        ("events: UPDATE", &["U1", "U2"]),
        // A row that is gone has only its key left: whether it was meant is not known, and so it is told.
        ("filter: {n: {eq: 2}}", &["I2", "U1", "D4", "D2", "T"]),
        ("filter: {n: {eq: 2}}, events: [INSERT, UPDATE]", &["I2", "U1"]),
        ("filter: {id: {eq: 4}}", &["I4", "D4", "T"]),
        ("filter: {id: {in: [2, 4]}}", &["I2", "I4", "U2", "D4", "D2", "T"]),
        ("filter: {id: {in: []}}, events: [INSERT, UPDATE, DELETE]", &[]),
        ("filter: {id: {gt: 2, lte: 3}}", &["I3", "T"]),
        ("filter: {not: {id: {neq: 4}}}", &["I4", "D4", "T"]),
        ("filter: {t: {eq: \"one\"}, flag: {eq: true}}, events: INSERT", &["I1"]),
        ("filter: {or: [{t: {is: NULL}}, {s: {eq: large}}]}, events: INSERT", &["I2", "I3", "I4"]),
        ("filter: {u: {eq: \"{0000000000000000000000000000000A}\"}}, events: INSERT", &["I1"]),
        // NULL is not unlike anything.
        ("filter: {not: {t: {eq: \"two\"}}}, events: INSERT", &["I1", "I4"]),
        // What only the database can decide, and what hangs on other rows.
        ("filter: {t: {ilike: \"ONE\"}}, events: INSERT", &["I1", "I4"]),
        ("filter: {tags: {contains: [\"b\"]}}, events: INSERT", &["I2", "I4"]),
        ("filter: {box: {label: {startsWith: \"bl\"}}}, events: INSERT", &["I2", "I4"]),
        ("filter: {n: {lt: 10}, box: {label: {eq: \"red\"}}}, events: INSERT", &["I1"]),
    ];
    for major in MAJORS {
        let graph = serve(major, TABLE, "things").await;
        let mut streams = Vec::new();
        for (arguments, _) in tellings {
            let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
            streams.push(
                subscribe(&graph, &format!("things{arguments} {{ event record {{ id }} old {{ id }} }}"))
                    .await,
            );
        }
        let (inserts, rest) = ROWS.split_once(";\n").unwrap();
        run(&graph, inserts).await;
        // What the database decides, it decides on rows as they are.
        for later in [false, true] {
            for ((arguments, expected), stream) in tellings.iter().zip(&mut streams) {
                if arguments.ends_with("events: INSERT") == later {
                    continue;
                }
                let mut told = Vec::new();
                for _ in 0..expected.len() {
                    let change = data(stream).await["things"].take();
                    let id =
                        change["record"]["id"].as_str().or(change["old"]["id"].as_str()).unwrap_or_default();
                    told.push(format!("{}{id}", &change["event"].as_str().unwrap()[..1]));
                }
                assert_eq!(told, **expected, "{arguments} on {major}");
            }
            if !later {
                run(&graph, rest).await;
            }
        }
        let unfit = refused(&graph, "things(events: []) { event }").await;
        assert_eq!(unfit["extensions"]["code"], "ArgumentInvalid");
    }
}

#[tokio::test]
async fn what_is_sent_to_a_topic_is_told_to_those_who_listen() {
    let graph = serve(18, DEMO, "bids").await;
    run(&graph, include_str!("../../sql/walcast.sql")).await;
    let query =
        "subscription On($topic: String!) { listen(topic: $topic) { topic event data: payload __typename } }";
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(Stream::open(&graph.walcast, query, &json!({ "topic": "room:1" }), "").await);
    }
    run(
        &graph,
        "select walcast.send('1', 'other', 'room:2'), walcast.send('2', 'private', 'room:1', private => true);
         begin; select walcast.send('{\"a\": [1.50, null]}', 'ti\"ck', 'room:1');
         insert into users (name) values ('x'); commit;
         begin; select walcast.send('3', 'undone', 'room:1'); rollback;
         select walcast.send('null', 'last', 'room:1', transactional => false)",
    )
    .await;
    let sent = |event: &str, payload: Value| json!({ "topic": "room:1", "event": event, "data": payload, "__typename": "Sent" });
    for stream in &mut streams {
        let told = changes(stream, "listen", 2).await;
        assert_eq!(told, json!([sent("ti\"ck", json!({ "a": [1.5, null] })), sent("last", json!(null))]));
    }
    let body = json!({ "topic": "room:1", "event": "posted", "payload": { "b": 2 } }).to_string();
    let request = format!(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!((200..300).contains(&graph.walcast.request(&request).await.0));
    for stream in &mut streams {
        assert_eq!(data(stream).await["listen"], sent("posted", json!({ "b": 2 })));
    }
}

#[tokio::test]
async fn row_security_decides_what_is_told() {
    const TABLES: &str = "
        create table owners (id int primary key, name text not null);
        create table papers (
            id int primary key, owner_id int not null references owners, title text not null, secret boolean not null
        );
        create table notes (id int primary key, body text);
        create table open (id int primary key, v text);
        alter table papers replica identity full;
        alter table notes enable row level security;
        alter table papers enable row level security;
        create policy visible on papers using (not secret);
        insert into owners values (1, 'ann');
        create role WEB;
        grant usage on schema public to WEB;
        grant select on owners, papers, open to WEB;
        grant select (id) on notes to WEB;";
    for major in MAJORS {
        let database = cluster::shared(major).database().await;
        let role = format!("web_{}", database.name());
        let client = database.connect().await;
        client.batch_execute(&TABLES.replace("WEB", &role)).await.unwrap();
        let graph = Graph::of(database, client, &[("WALCAST__GRAPHQL__ROLE", &role)]).await;
        offered(&graph, "papers").await;
        let mut all =
            subscribe(&graph, "papers { event record { id title owner { name } } old { title } }").await;
        let mut titles =
            subscribe(&graph, "papers(filter: {title: {eq: \"b\"}}) { event record { id } }").await;
        let mut events = subscribe(&graph, "papers(events: [INSERT, UPDATE, TRUNCATE]) { event }").await;
        // Each is read before the next, since rows are told as they are.
        let told = json!({ "event": "INSERT", "record": { "id": "1", "title": "a", "owner": { "name": "ann" } }, "old": null });
        run(&graph, "insert into papers values (9, 1, 'hidden', true), (1, 1, 'a', false)").await;
        assert_eq!(data(&mut all).await["papers"], told);
        assert_eq!(data(&mut events).await["papers"], json!({ "event": "INSERT" }));
        run(&graph, "update papers set title = 'b'").await;
        let told = json!({ "event": "UPDATE", "record": { "id": "1", "title": "b", "owner": { "name": "ann" } }, "old": null });
        assert_eq!(data(&mut all).await["papers"], told);
        assert_eq!(data(&mut titles).await["papers"], json!({ "event": "UPDATE", "record": { "id": "1" } }));
        assert_eq!(data(&mut events).await["papers"], json!({ "event": "UPDATE" }));
        run(&graph, "update papers set secret = true; delete from papers; truncate papers").await;
        for stream in [&mut all, &mut titles, &mut events] {
            assert_eq!(data(stream).await["papers"]["event"], "TRUNCATE");
        }
        // Columns that the role may not read are not in the schema.
        let unknown = refused(&graph, "notes { old { id body } }").await;
        assert!(unknown["message"].as_str().unwrap().contains("body"), "{unknown}");
        // Row security that comes later counts, too.
        let mut open = subscribe(&graph, "open: opens { event old { id } }").await;
        run(&graph, "insert into open values (1, 'x'), (2, 'y'); delete from open where id = 1").await;
        assert_eq!(
            changes(&mut open, "open", 3).await,
            json!([
                { "event": "INSERT", "old": null }, { "event": "INSERT", "old": null },
                { "event": "DELETE", "old": { "id": "1" } },
            ])
        );
        let read = graph.walcast.log().matches("the GraphQL schema was read").count();
        run(&graph, "alter table open enable row level security").await;
        until("the schema was read again", async || {
            graph.walcast.log().matches("the GraphQL schema was read").count() > read
        })
        .await;
        run(&graph, "delete from open; truncate open").await;
        assert_eq!(data(&mut open).await["open"]["event"], "TRUNCATE");
    }
}

#[tokio::test]
async fn rows_that_are_gone_or_changed_meanwhile_are_told_as_the_log_has_them() {
    let graph = serve(15, &format!("{DEMO};{READ_AT}"), "bids").await;
    let mut plain =
        subscribe(&graph, "bids(events: INSERT) { record { id amount auctionId auction { title } } }").await;
    let mut called = subscribe(&graph, "bids(events: INSERT) { record { id amount lot } }").await;
    run(
        &graph,
        "begin; insert into bids values (100, 1, 1), (101, 2, 2); delete from bids where id = 100;
         update bids set amount = 3 where id = 101; commit",
    )
    .await;
    let record = |id: &str, amount: i32, auction: &str, title: &str| json!({ "record": { "id": id, "amount": amount, "auctionId": auction, "auction": { "title": title } } });
    assert_eq!(
        changes(&mut plain, "bids", 2).await,
        json!([record("100", 1, "1", "A wooden chair"), record("101", 2, "2", "A brass telescope")])
    );
    // A function takes the row of the table, which one of them has no more.
    let gone = called.result().await;
    assert_eq!(gone["data"]["bids"]["record"], json!({ "id": "100", "amount": 1, "lot": null }));
    assert_eq!(gone["errors"][0]["path"], json!(["bids", "record", "lot"]));
    assert_eq!(gone["errors"][0]["extensions"]["code"], "RowGone");
    assert_eq!(
        data(&mut called).await["bids"]["record"],
        json!({ "id": "101", "amount": 2, "lot": "101/3" })
    );
}

#[tokio::test]
async fn keys_of_several_columns_no_keys_large_values_and_partitions() {
    const TABLES: &str = "
        create type weight as (value int, unit text);
        create table places (country text, code int, name text, primary key (country, code));
        create table visits (country text, code int, note text, weight weight, foreign key (country, code) references places);
        create table texts (id int primary key, small text, large text);
        alter table visits replica identity full;
        alter table texts alter large set storage external;
        create table logs (id int, at int, v text, primary key (id, at)) partition by range (at);
        create table logs_1 partition of logs for values from (0) to (10);
        create table logs_2 partition of logs for values from (10) to (20);
        insert into places values ('de', 1, 'Berlin'), ('a\"b,', 2, 'Odd');
        create function label(visits) returns text language sql stable as 'select $1.note';";
    for major in MAJORS {
        let graph = serve(major, TABLES, "places").await;
        let mut places = subscribe(
            &graph,
            "places { event record { country code name visits { note } } old { country name } }",
        )
        .await;
        run(&graph, "update places set name = upper(name); update places set country = 'xx' where code = 2")
            .await;
        let place = |country: &str, code: &str, name: &str| json!({ "country": country, "code": code, "name": name, "visits": [] });
        assert_eq!(
            changes(&mut places, "places", 3).await,
            json!([
                { "event": "UPDATE", "record": place("de", "1", "BERLIN"), "old": null },
                { "event": "UPDATE", "record": place("a\"b,", "2", "ODD"), "old": null },
                { "event": "UPDATE", "record": place("xx", "2", "ODD"), "old": { "country": "a\"b,", "name": null } },
            ])
        );
        let mut visits =
            subscribe(&graph, "visits { record { note weight { value unit } place { name } } }").await;
        run(
            &graph,
            "insert into visits values ('de', 1, 'first', row(3, 'kg')), (null, null, 'nowhere', null)",
        )
        .await;
        assert_eq!(
            changes(&mut visits, "visits", 2).await,
            json!([
                { "record": { "note": "first", "weight": { "value": 3, "unit": "kg" }, "place": { "name": "BERLIN" } } },
                { "record": { "note": "nowhere", "weight": null, "place": null } },
            ])
        );
        for subscription in ["visits { record { label } }", "visits(filter: {note: {like: \"a\"}}) { event }"]
        {
            let keyless = refused(&graph, subscription).await;
            assert_eq!(keyless["extensions"]["code"], "ArgumentInvalid");
            assert!(keyless["message"].as_str().unwrap().contains("no primary key"), "{keyless}");
        }
        // The log does not repeat a large value that stays.
        let mut texts = subscribe(
            &graph,
            "texts(events: UPDATE, filter: {large: {neq: \"\"}}) { record { id small large } }",
        )
        .await;
        run(&graph, "insert into texts values (1, 'a', repeat('x', 9000)); update texts set small = 'b'")
            .await;
        let told = data(&mut texts).await["texts"]["record"].take();
        assert_eq!((&told["small"], told["large"].as_str().unwrap().len()), (&json!("b"), 9000));
        let mut logs = subscribe(&graph, "logs { event record { id at v } old { at } }").await;
        run(&graph, "insert into logs values (1, 5, 'a'); update logs set at = 15").await;
        assert_eq!(
            data(&mut logs).await["logs"],
            json!({ "event": "INSERT", "record": { "id": "1", "at": "5", "v": "a" }, "old": null })
        );
        // A row that moves to another partition is deleted here and inserted there.
        let moved = changes(&mut logs, "logs", 2).await;
        assert_eq!((&moved[0]["event"], &moved[0]["old"]), (&json!("DELETE"), &json!({ "at": "5" })));
        assert_eq!(moved[1]["record"], json!({ "id": "1", "at": "15", "v": "a" }));
    }
}
