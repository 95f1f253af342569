//! Values of every kind, on their way out and on their way in.

use serde_json::{Value, json};

use crate::graphql::{Graph, data};
use crate::{cluster, postgres_binaries};

const VALUES: &str = r#"
    create domain positive as int check (value > 0);
    create domain word as text not null check (value <> '');
    create domain wordy as word check (length(value) < 10);
    create type label as enum ('a b', 'x''y', 'ünï', 'ok', '__typename', 'null', '', 'q"');
    create type leaf as (n numeric, f float8, tags text[]);
    create type branch as (leaf leaf, leaves leaf[], label label);
    create table vals (
        id int primary key, i2 int2, i4 int4, i8 int8, num numeric, f4 float4, f8 float8, b bool, t text, vc varchar(10),
        c char(5), n name, tz timestamptz, ts timestamp, d date, tm time, ttz timetz, iv interval, by bytea, j json,
        jb jsonb, u uuid, ip inet, cd cidr, mac macaddr, mo money, bt bit(5), vb bit varying, tv tsvector, tq tsquery,
        r int4range, mr int4multirange, tr tstzrange, l label, dp positive, dw wordy not null default 'w', p point,
        o oid, br branch, brs branch[], ai int8[], an numeric[], af float8[], at text[], ajb jsonb[], al label[],
        atz timestamptz[], ab bytea[], adp positive[], lsn pg_lsn, ch "char", bo bool[], empty int[], ad int[]
    );
    insert into vals values (
        1, -32768, -2147483648, -9223372036854775808, 1.10, 1.1, 5e-324, true, E'a"\\\n\t\x01é😀', 'vc', 'c', 'n',
        '0044-03-15 12:00:00.123456+00 BC', '294276-12-31 23:59:59.999999', '4713-01-01 BC', '24:00:00', '12:30+05:30',
        '1 year 2 mons -3 days 04:05:06.789', '\x00ff', '1', '{"b": 1, "a": 12345678901234567890.10}',
        'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '-1234.56', B'10101',
        B'1', 'fat cat', 'fat & cat', '[1,5)', '{[1,3),[5,7)}', '[2020-01-01,)', 'a b', 5, 'w', '(1.5,2)', 4294967295,
        row(row(1.10, 2.5, array['q"', '\', null])::leaf, array[row(null, null, null)::leaf, row('NaN', 1, '{}')::leaf],
            'x''y')::branch,
        array[row(row(1, 1, null)::leaf, null, 'ok')::branch, null],
        '{-9223372036854775808,NULL,9223372036854775807}', '{NaN,1.000,NULL,Infinity}', '{1,NULL,2.5}',
        '{a,NULL,"NULL","","x\"y\\z",😀}', array['{"a":1}', null, 'null']::jsonb[], '{"a b",NULL,ok}',
        '{infinity,-infinity,NULL}', '{"\\x00",NULL}', '{1,NULL}', '0/16B3748', 'x', '{t,NULL,f}', '{}', '[2:3]={7,8}'
    );
    insert into vals (id, tz, ts, d, f4, f8, num, af) values
        (2, 'infinity', '-infinity', 'infinity', 'NaN', '-Infinity', 'NaN', '{1,NaN,NULL,Infinity}');
    insert into vals (id, i8, num, f8, ad) values
        (3, 9223372036854775807, 'Infinity', 1.7976931348623157e308, '{{1,2},{3,4}}');
    create table sure (id int primary key, f float8 not null);
    insert into sure values (1, 0.5), (2, 'NaN');
    create function echo_i8(v int8) returns int8 language sql stable as 'select v';
    create function echo_num(v numeric) returns numeric language sql stable as 'select v';
    create function echo_f8(v float8) returns float8 language sql stable as 'select v';
    create function echo_j(v json) returns json language sql stable as 'select v';
    create function echo_ajb(v jsonb[]) returns jsonb[] language sql stable as 'select v';
    create function echo_t(v text) returns text language sql stable as 'select v';
    create function echo_at(v text[]) returns text[] language sql stable as 'select v';
    create function echo_l(v label) returns label language sql stable as 'select v';
    create function echo_dw(v wordy) returns wordy language sql stable as 'select v';
    create function echo_dp(v positive) returns positive language sql stable as 'select v';
    create function echo_tz(v timestamptz) returns timestamptz language sql stable as 'select v';
    create function echo_by(v bytea) returns bytea language sql stable as 'select v';
    create function keep(id int, t text, num numeric, j json, at text[], l label, tz timestamptz default null) returns vals
        language sql volatile as 'insert into vals (id, t, num, j, at, l, tz)
            values (keep.id, keep.t, keep.num, keep.j, keep.at, keep.l, keep.tz) returning *';
"#;

/// The answer as it came: a JSON reader would round, order and forget.
async fn text(graph: &Graph, query: &str, variables: Value) -> String {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";
    graph.walcast.request(&format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await.1
}

#[tokio::test]
async fn every_type_has_its_form() {
    for &major in postgres_binaries::majors() {
        let graph = Graph::serve(major, VALUES, &[]).await;
        let query = "{ val(id: 1) { i2 i4 i8 num f4 f8 b t vc c n tz ts d tm ttz iv by u ip cd mac mo bt vb tv tq r mr tr l dp dw
            p o ai an af at al atz ab adp lsn ch bo empty ad ajb
            br { leaf { n f tags } leaves { n f tags } label } brs { leaf { n f tags } leaves { n } label } } }";
        let expected = [
            json!({
            "i2": -32768, "i4": -2_147_483_648, "i8": "-9223372036854775808", "num": "1.10", "f4": 1.1, "f8": 5e-324,
            "b": true, "t": "a\"\\\n\t\u{1}é😀", "vc": "vc", "c": "c", "n": "n",
            "tz": "0044-03-15T12:00:00.123456+00:00 BC", "ts": "294276-12-31T23:59:59.999999", "d": "4713-01-01 BC",
            "tm": "24:00:00", "ttz": "12:30:00+05:30", "iv": "1 year 2 mons -3 days +04:05:06.789", "by": "\\x00ff",
            }),
            json!({"u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "ip": "10.0.0.1/8", "cd": "10.0.0.0/8",
            "mac": "08:00:2b:01:02:03", "mo": "-$1,234.56", "bt": "10101", "vb": "1", "tv": "'cat' 'fat'",
            "tq": "'fat' & 'cat'", "r": "[1,5)", "mr": "{[1,3),[5,7)}", "tr": "[\"2020-01-01 00:00:00+00\",)",
            "l": "a_b", "dp": 5, "dw": "w", "p": "(1.5,2)", "o": "4294967295",
            }),
            json!({"ai": ["-9223372036854775808", null, "9223372036854775807"], "an": ["NaN", "1.000", null, "Infinity"],
                "af": [1, null, 2.5], "at": ["a", null, "NULL", "", "x\"y\\z", "😀"], "al": ["a_b", null, "ok"],
                "atz": ["infinity", "-infinity", null], "ab": ["\\x00", null], "adp": [1, null], "lsn": "0/16B3748",
                "ch": "x", "bo": [true, null, false], "empty": [], "ad": [7, 8], "ajb": [{ "a": 1 }, null, null],
                "br": { "leaf": { "n": "1.10", "f": 2.5, "tags": ["q\"", "\\", null] },
                        "leaves": [null, { "n": "NaN", "f": 1, "tags": [] }], "label": "x_y" },
                "brs": [{ "leaf": { "n": "1", "f": 1, "tags": null }, "leaves": null, "label": "ok" }, null],
            }),
        ];
        let mut answer = graph.data(query).await["val"].take();
        // How money looks is up to the server's locale.
        let money = answer["mo"].as_str().unwrap().replace(['$', ','], "");
        assert_eq!(money, "-1234.56");
        answer["mo"] = json!("-$1,234.56");
        for (field, value) in expected.iter().flat_map(|part| part.as_object().unwrap()) {
            assert_eq!(&answer[field], value, "{field}");
        }
        let edges = graph.data("{ a: val(id: 2) { tz ts d num } b: val(id: 3) { i8 num f8 } none: val(id: 3) { br { label } brs { label } l at j } }").await;
        assert_eq!(
            edges,
            json!({
                "a": { "tz": "infinity", "ts": "-infinity", "d": "infinity", "num": "NaN" },
                "b": { "i8": "9223372036854775807", "num": "Infinity", "f8": f64::MAX },
                "none": { "br": null, "brs": null, "l": null, "at": null, "j": null },
            })
        );
    }
}

#[tokio::test]
async fn json_goes_out_as_it_is_kept() {
    let graph = Graph::serve(postgres_binaries::majors()[0], VALUES, &[]).await;
    let odd = "{ \"a\" : 1,\r\n\t\"a\":2, \"b\" : [1.0, 1e400, \"\\u0000 \\ud83d\\ude00\", {}] }";
    graph.client.execute("update vals set j = $1::text::json where id = 1", &[&odd]).await.unwrap();
    let answer = text(&graph, "{ val(id: 1) { id j jb t } }", json!({})).await;
    let expected = format!(
        "{{\"data\":{{\"val\":{{\"id\":\"1\",\"j\":{odd},\"jb\":{{\"a\": 12345678901234567890.10, \"b\": 1}},\
         \"t\":\"a\\\"\\\\\\n\\t\\u0001é😀\"}}}}}}"
    );
    assert_eq!(answer, expected);
    let request = "GET /graphql?query=%7Bval(id:1)%7Bj%7D%7D HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                   Accept: text/event-stream\r\n\r\n";
    let (_, stream) = graph.walcast.request(request).await;
    assert!(
        stream.lines().any(|line| line.contains("data: ") && line.contains("1e400")),
        "one event, one line: {stream}"
    );
}

#[tokio::test]
async fn numbers_that_are_none_are_errors_at_their_places() {
    let graph = Graph::serve(postgres_binaries::majors()[0], VALUES, &[]).await;
    let told = |answer: &Value| -> Value {
        let errors = answer["errors"].as_array().unwrap();
        errors.iter().map(|error| json!([error["extensions"]["code"], error["path"]])).collect()
    };
    let answer = graph.ask("{ vals { f8 af } x: val(id: 2) { f4 } }").await;
    assert_eq!(answer["data"]["vals"][1], json!({ "f8": null, "af": [1, null, null, null] }));
    assert_eq!(answer["data"]["vals"][2]["f8"], f64::MAX);
    assert_eq!(
        told(&answer),
        json!([
            ["NotFinite", ["vals", 1, "f8"]],
            ["NotFinite", ["vals", 1, "af", 1]],
            ["NotFinite", ["vals", 1, "af", 3]],
            ["NotFinite", ["x", "f4"]],
        ])
    );
    let answer = graph.ask("{ a: sure(id: 1) { f } b: sure(id: 2) { id f } }").await;
    assert_eq!(answer["data"], json!({ "a": { "f": 0.5 }, "b": null }));
    assert_eq!(told(&answer), json!([["NotFinite", ["b", "f"]]]));
    let answer = graph.ask("{ valsAggregate { count sum { f8 num } max { f8 } min { f4 } } }").await;
    assert_eq!(
        answer["data"],
        json!({ "valsAggregate": { "count": 3, "sum": { "f8": null, "num": "NaN" }, "max": { "f8": f64::MAX }, "min": { "f4": 1.1 } } }),
        "{answer}"
    );
    assert_eq!(told(&answer), json!([["NotFinite", ["valsAggregate", "sum", "f8"]]]));
    let answer = graph.ask("{ val(id: 3) { id ad } }").await;
    assert_eq!(answer["data"], json!({ "val": { "id": "3", "ad": null } }));
    assert_eq!(told(&answer), json!([["ArrayNested", ["val", "ad"]]]));
}

#[tokio::test]
async fn filters_find_values_of_every_type() {
    for &major in postgres_binaries::majors() {
        let graph = Graph::serve(major, VALUES, &[]).await;
        for (filter, ids) in [
            ("i2: { eq: -32768 }", json!(["1"])),
            ("i8: { eq: \"9223372036854775807\" }", json!(["3"])),
            ("i8: { in: [1, \"9223372036854775807\", -9223372036854775808] }", json!(["1", "3"])),
            ("num: { eq: \"NaN\" }", json!(["2"])),
            ("num: { eq: 1.1 }", json!(["1"])),
            ("num: { gt: 1e999 }", json!(["2", "3"])),
            ("f4: { eq: 1.1 }", json!(["1"])),
            ("f8: { lt: 5e-323 }", json!(["1", "2"])),
            ("b: { eq: true }", json!(["1"])),
            ("t: { eq: \"a\\\"\\\\\\n\\t\\u0001é😀\" }", json!(["1"])),
            ("c: { eq: \"c\" }", json!(["1"])),
            ("c: { eq: \"c  \" }", json!(["1"])),
            ("c: { like: \"c\" }", json!(["1"])),
            ("c: { regex: \"^c$\" }", json!(["1"])),
            ("n: { startsWith: \"n\" }", json!(["1"])),
            ("vc: { eq: \"vc is longer than ten\" }", json!([])),
            ("tz: { eq: \"infinity\" }", json!(["2"])),
            ("tz: { lt: \"0001-01-01T00:00:00Z\" }", json!(["1"])),
            ("tz: { eq: \"0044-03-15T12:00:00.123456+00:00 BC\" }", json!(["1"])),
            ("d: { eq: \"infinity\" }", json!(["2"])),
            ("tm: { eq: \"24:00\" }", json!(["1"])),
            ("ttz: { eq: \"12:30+05:30\" }", json!(["1"])),
            ("iv: { gt: \"1 year\" }", json!(["1"])),
            ("by: { eq: \"\\\\x00ff\" }", json!(["1"])),
            ("u: { eq: \"A0EEBC999C0B4EF8BB6D6BB9BD380A11\" }", json!(["1"])),
            ("ip: { eq: \"10.0.0.1/8\" }", json!(["1"])),
            ("cd: { neq: \"10.0.0.0/9\" }", json!(["1"])),
            ("mac: { gt: \"00:00:00:00:00:00\" }", json!(["1"])),
            ("mo: { lt: \"0\" }", json!(["1"])),
            ("bt: { eq: \"10101\" }", json!(["1"])),
            ("vb: { in: [\"1\", \"0\"] }", json!(["1"])),
            ("tv: { eq: \"cat fat\" }", json!(["1"])),
            ("r: { eq: \"[1,4]\" }", json!(["1"])),
            ("mr: { neq: \"{}\" }", json!(["1"])),
            ("l: { in: [ok, a_b] }", json!(["1"])),
            ("l: { gt: a_b }", json!([])),
            ("dp: { eq: 5 }", json!(["1"])),
            ("dw: { eq: \"w\" }", json!(["1", "2", "3"])),
            ("o: { eq: \"4294967295\" }", json!(["1"])),
            ("lsn: { gt: \"0/0\" }", json!(["1"])),
            ("ai: { contains: [\"9223372036854775807\"] }", json!(["1"])),
            ("an: { contains: [\"NaN\", 1] }", json!(["1"])),
            ("at: { contains: [\"x\\\"y\\\\z\", \"NULL\", \"\"] }", json!(["1"])),
            ("al: { contains: a_b }", json!(["1"])),
            ("ab: { contains: [\"\\\\x00\"] }", json!(["1"])),
            ("adp: { contains: [1] }", json!(["1"])),
            ("empty: { eq: [] }", json!(["1"])),
            ("ai: { is: NULL }", json!(["2", "3"])),
            ("j: { is: NOT_NULL }", json!(["1"])),
        ] {
            let answer = graph.data(&format!("{{ vals(filter: {{ {filter} }}) {{ id }} }}")).await;
            let found: Vec<_> =
                answer["vals"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
            assert_eq!(json!(found), ids, "{filter}");
        }
        for (order, ids) in [
            ("num: ASC", ["1", "3", "2"]),
            ("f8: DESC", ["3", "1", "2"]),
            ("tz: DESC_NULLS_LAST", ["2", "1", "3"]),
            ("l: ASC_NULLS_FIRST", ["2", "3", "1"]),
            ("r: ASC", ["1", "2", "3"]),
        ] {
            let answer = graph.data(&format!("{{ vals(orderBy: {{ {order} }}) {{ id }} }}")).await;
            let found: Vec<_> =
                answer["vals"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
            assert_eq!(found, ids, "{order}");
        }
    }
}

#[tokio::test]
async fn what_goes_in_comes_out_again() {
    let graph = Graph::serve(postgres_binaries::majors()[1], VALUES, &[]).await;
    let same = async |field: &str, scalar: &str, value: Value| {
        let query = format!("query ($v: {scalar}!) {{ {field}(v: $v) }}");
        assert_eq!(data(graph.ask_with(&query, json!({ "v": value })).await)[field], value, "{field}");
    };
    same("echoI8", "BigInt", json!("-9223372036854775808")).await;
    let thousand = format!("{}.{}", "9".repeat(1000), "1".repeat(100));
    same("echoNum", "BigDecimal", json!(thousand)).await;
    for number in [0.1, -1.5e-300, f64::MAX, 5e-324] {
        same("echoF8", "Float", json!(number)).await;
    }
    for value in [json!({ "a": [1, null, "\u{1}\"\\é😀"], "": {} }), json!("text"), json!(1), json!([])] {
        same("echoJ", "JSON", value).await;
    }
    same("echoAjb", "[JSON]", json!([{ "a": "\"\\" }, null, 1, "x", [1]])).await;
    let planes: String = (1..=0x10_FFFF_u32).step_by(997).filter_map(char::from_u32).collect();
    same("echoT", "String", json!(planes)).await;
    same("echoT", "String", json!("é😀\\\"'$1;--".repeat(60_000))).await;
    same("echoAt", "[String]", json!(["a", null, "NULL", "", "x\"y\\z", "{}", ",", " ", planes])).await;
    for label in ["a_b", "x_y", "ok", "null_", "_typename", "_"] {
        same("echoL", "Label", json!(label)).await;
    }
    for moment in ["0044-03-15T12:00:00.123456+00:00 BC", "infinity", "294276-12-31T23:59:59.999999+00:00"] {
        same("echoTz", "DateTime", json!(moment)).await;
    }
    same("echoBy", "Bytea", json!("\\x00ff27")).await;
    same("echoDp", "Int", json!(3)).await;

    // Literals keep their digits.
    let query = "query ($x: JSON) { a: echoI8(v: 9223372036854775807) b: echoNum(v: 123456789012345678901234567890.120)
        c: echoJ(v: { a: 1.10, b: [12345678901234567890, true, null, \"x\", E], c: $x }) d: echoAjb(v: [{ a: 1.10 }]) e: echoAt(v: \"one\") }";
    assert_eq!(
        text(&graph, query, json!({ "x": [1.5] })).await,
        "{\"data\":{\"a\":\"9223372036854775807\",\"b\":\"123456789012345678901234567890.120\",\
         \"c\":{\"a\":1.10,\"b\":[12345678901234567890,true,null,\"x\",\"E\"],\"c\":[1.5]},\"d\":[{\"a\": 1.10}],\"e\":[\"one\"]}}"
    );
    let written = graph
        .ask_with(
            "mutation ($input: KeepInput!) { keep(input: $input) { id t num j at l tz } }",
            json!({ "input": { "id": 9, "t": planes, "num": thousand, "j": { "a": "\u{1f600}" }, "at": ["", null], "l": "x_y", "tz": null } }),
        )
        .await;
    let keep = &data(written)["keep"];
    assert_eq!(keep["num"], thousand.as_str());
    assert_eq!(keep["t"], planes.as_str());
    assert_eq!(
        (&keep["j"], &keep["at"], &keep["l"], &keep["tz"]),
        (&json!({ "a": "\u{1f600}" }), &json!(["", null]), &json!("x_y"), &json!(null))
    );
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_place() {
    let graph = Graph::serve(postgres_binaries::majors()[0], VALUES, &[]).await;
    for (query, code) in [
        ("{ echoI8(v: 9223372036854775808) }", json!("22003")),
        ("{ echoI8(v: 1.5) }", json!("22P02")),
        ("{ echoTz(v: \"soon\") }", json!("22007")),
        ("{ echoDp(v: 0) }", json!("23514")),
        ("{ echoDw(v: \"\") }", json!("23514")),
        ("{ echoDw(v: \"longer than that\") }", json!("23514")),
        ("{ val(id: \"x\") { id } }", json!("22P02")),
        ("{ vals(filter: { i2: { eq: 40000 } }) { id } }", json!("22003")),
        ("{ vals(filter: { t: { regex: \"(\" } }) { id } }", json!("2201B")),
        ("{ echoT(v: \"\\u0000\") }", json!("ArgumentInvalid")),
        ("{ echoF8(v: 1e400) }", json!(null)),
        ("{ echoL(v: null) }", json!(null)),
        ("{ echoL(v: nothing) }", json!(null)),
        ("{ vals(filter: { i4: { eq: 2147483648 } }) { id } }", json!(null)),
    ] {
        let error = graph.ask(query).await["errors"][0].take();
        assert_eq!(error["extensions"]["code"], code, "{query}: {error}");
        if code.as_str().is_some_and(|code| code.starts_with('2')) {
            let field = query.trim_start_matches("{ ").split('(').next().unwrap();
            assert_eq!(error["path"], json!([field]), "{query}");
        }
    }
}

#[tokio::test]
async fn types_of_extensions_compare_as_they_do_in_sql() {
    let database = cluster::system().database().await;
    let client = database.connect().await;
    client
        .batch_execute(
            "create extension citext; create extension hstore;
             create table people (id int primary key, name citext unique, more hstore, names citext[]);
             insert into people values (1, 'Ann', 'a=>1,\"c d\"=>\"x\\\"y\",n=>NULL', '{A,b}'), (2, 'bob', null, null);
             create function named(name citext) returns setof people language sql stable
                 as 'select * from people p where p.name = named.name';",
        )
        .await
        .unwrap();
    let graph = Graph::of(database, client, &[]).await;
    let answer = graph
        .data("{ personByName(name: \"ANN\") { id name more names } named(name: \"BOB\") { name } }")
        .await;
    assert_eq!(
        answer,
        json!({
            "personByName": { "id": "1", "name": "Ann", "more": "\"a\"=>\"1\", \"n\"=>NULL, \"c d\"=>\"x\\\"y\"", "names": ["A", "b"] },
            "named": [{ "name": "bob" }],
        })
    );
    for (filter, ids) in [
        ("name: { eq: \"ANN\" }", json!(["1"])),
        ("name: { in: [\"BOB\", \"x\"] }", json!(["2"])),
        ("name: { neq: \"aNN\" }", json!(["2"])),
        ("names: { contains: [\"a\"] }", json!(["1"])),
        ("more: { eq: \"n=>NULL,a=>1,\\\"c d\\\"=>\\\"x\\\\\\\"y\\\"\" }", json!(["1"])),
    ] {
        let answer = graph.data(&format!("{{ people(filter: {{ {filter} }}) {{ id }} }}")).await;
        let found: Vec<_> =
            answer["people"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        assert_eq!(json!(found), ids, "{filter}");
    }
}
