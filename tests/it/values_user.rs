//! Values of types that users make, or that extensions bring.

use crate::values::{Case, quotes, same};

/// The types of [`CASES`].
pub const TYPES: &str = r#"
    create type mood as enum ('sad', 'very "happy"', 'a,b}', 'NULL', 'it''s (\ok\)', '');
    create domain small as int8 check (value < 100000000000000000);
    create domain smaller as small check (value > -1);
    create domain tags as text[];
    create domain amounts as numeric(12,3)[];
    create domain feeling as mood;
    create domain label as varchar(7);
    create type pair as (n int8, "say ""x"", ü" text, at timestamptz);
    create domain pair_domain as pair;
    create type nest as (id smaller, p pair, ps pair[], t tags, m mood, ms mood[], j jsonb, r int4range, a numeric[]);
    create type deep as (n nest, ns nest[], f float8);
    create type nothing as ();
    create type one as (v text);
    create type span as range (subtype = float8);
    create type moods as range (subtype = mood);
    create type ones as range (subtype = one);
    create schema "Other.schema";
    create type "Other.schema"."Mood" as enum ('Odd');
    create type "Other.schema"."Pair" as (a "Other.schema"."Mood", b public.mood[]);
    create table rows_of (a int4, gone int4, b text);
    alter table rows_of drop column gone;
"#;

/// One or more values of each kind of user type.
pub const CASES: &[Case] = &[
    same("mood", "'very \"happy\"'"),
    same("mood", "''"),
    same("mood[]", r#"array['sad', null, 'NULL', 'a,b}', 'it''s (\ok\)', '', 'very "happy"']::mood[]"#),
    same("mood[]", "'[3:4][0:0]={{sad},{NULL}}'"),
    same("\"Other.schema\".\"Mood\"", "'Odd'"),
    quotes("smaller", "90071992547409931", r#""90071992547409931""#),
    quotes("small[]", "array[1, null]::small[]", r#"["1",null]"#),
    quotes("smaller[]", "'[0:0]={90071992547409931}'", r#"["90071992547409931"]"#),
    same("tags", r#"array['a "b"', null, '']"#),
    same("tags[]", r#"array['{"a","b,\"c\""}', null, '{}']::tags[]"#),
    quotes("amounts", "'{{1.5},{NULL}}'", r#"[["1.500"],[null]]"#),
    same("feeling", "'NULL'"),
    same("feeling[]", "array['sad', null]::feeling[]"),
    same("label", "'seven'"),
    quotes(
        "pair",
        r#"row(9007199254740993, 'a "q" \ , ( ) '' ' || U&'\+01F600', '2024-01-02 03:04:05+01')"#,
        r#"{"n":"9007199254740993","say \"x\", ü":"a \"q\" \\ , ( ) ' 😀","at":"2024-01-02T02:04:05+00:00"}"#,
    ),
    same("pair", "row(null, null, null)"),
    same("pair", "row(null, '', 'infinity')"),
    same("pair", "null"),
    quotes("pair", "row(1, 'NULL', null)", r#"{"n":"1","say \"x\", ü":"NULL","at":null}"#),
    quotes(
        "pair[]",
        r#"array[row(1, 'x"y\', null)::pair, null, row(null, E'\n', null)::pair]"#,
        r#"[{"n":"1","say \"x\", ü":"x\"y\\","at":null},null,{"n":null,"say \"x\", ü":"\n","at":null}]"#,
    ),
    same("pair[]", "array[array[row(null, '{}', null)::pair], array[null::pair]]"),
    quotes("pair_domain", "row(5, ' padded ', null)", r#"{"n":"5","say \"x\", ü":" padded ","at":null}"#),
    same("pair_domain[]", "array[row(null, ')', null)::pair_domain]"),
    quotes(
        "nest",
        r#"row(7, row(8, 'p"', null), array[row(9, '"', null)::pair, null], array['{"t"}', null], 'a,b}',
               array['sad', 'very "happy"']::mood[], '{"k": ["\"", 1.10]}', '[1,3)', array[[1.10]])"#,
        r#"{"id":"7","p":{"n":"8","say \"x\", ü":"p\"","at":null},
            "ps":[{"n":"9","say \"x\", ü":"\"","at":null},null],"t":["{\"t\"}",null],"m":"a,b}",
            "ms":["sad","very \"happy\""],"j":{"k":["\"",1.10]},"r":"[1,3)","a":[["1.10"]]}"#,
    ),
    same("nest", "row(null, null, '{}', '{}', null, null, 'null', 'empty', null)"),
    same(
        "nest[]",
        r#"array[null, row(null, row(null, '\"', null), array[row(null, 'é', null)::pair], null, 'NULL',
                           array['', 'NULL']::mood[], '[]', null, null)::nest]"#,
    ),
    quotes(
        "deep",
        r#"row(row(1, row(2, '"\', null), null, '{"\"x\""}', null, null, null, null, null),
               array[row(3, row(4, '"\"\', null), null, array['"','\'], 'it''s (\ok\)', null, '"\\"', null, null)::nest],
               'NaN')"#,
        r#"{"n":{"id":"1","p":{"n":"2","say \"x\", ü":"\"\\","at":null},"ps":null,"t":["\"x\""],"m":null,"ms":null,
                 "j":null,"r":null,"a":null},
            "ns":[{"id":"3","p":{"n":"4","say \"x\", ü":"\"\\\"\\","at":null},"ps":null,"t":["\"","\\"],
                   "m":"it's (\\ok\\)","ms":null,"j":"\\","r":null,"a":null}],"f":"NaN"}"#,
    ),
    same("nothing", "row()"),
    same("nothing[]", "array[row()::nothing, null]"),
    same("one", "row(null)"),
    same("one", "row('')"),
    same("one[]", "array[row(null)::one, row('')::one, row('()')::one]"),
    same("\"Other.schema\".\"Pair\"", "row('Odd', array['sad', null]::mood[])"),
    same("rows_of", "row(1, 'two')"),
    same("rows_of[]", "array[row(1, 'two')::rows_of]"),
    same("span", "'[1.5,2.5)'"),
    same("span_multirange", "'{[1.5,2.5),[3,)}'"),
    same("span[]", "array['[1.5,2.5)', 'empty', null]::span[]"),
    same("moods", "'[sad,\"a,b}\"]'"),
    same("moods[]", "array['[sad,\"a,b}\"]']::moods[]"),
    same("moods_multirange", "'{[sad,\"very \\\"happy\\\"\"]}'"),
    same("moods_multirange[]", "array['{[sad,\"a,b}\"]}', null]::moods_multirange[]"),
    same("ones", "ones(row('a')::one, row('b\"')::one)"),
];

/// Where the types of [`EXTENSION_CASES`] come from.
pub const EXTENSIONS: &str = "
    create schema extensions;
    create extension hstore schema extensions;
    create extension citext;
    create extension ltree;
    create extension cube;
    create domain attributes as extensions.hstore;
    create type described as (h extensions.hstore, c citext, hs extensions.hstore[]);";

/// Values of the types of extensions that come with Postgres.
pub const EXTENSION_CASES: &[Case] = &[
    same("extensions.hstore", r#"'"a"=>"1", "b"=>NULL, "k\"\\"=>"v, \"x\" => y", ""=>""'"#),
    same("extensions.hstore", "''"),
    same("extensions.hstore", "null"),
    same("extensions.hstore", "'a=>\"NULL\", b=>t, c=>1.50'"),
    same("extensions.hstore[]", r#"array['a=>1', null, 'q=>"\"{"']::extensions.hstore[]"#),
    same("attributes", "'a=>1'"),
    same("attributes[]", "array['a=>\",\"']::attributes[]"),
    same("described", "row('a=>\"b\\\"\"', 'CamelCase', array['x=>NULL', null]::extensions.hstore[])"),
    same("citext", "'CamelCase \"q\"'"),
    same("citext[]", "array['A', null, 'b c']::citext[]"),
    same("ltree", "'Top.Science.Astronomy'"),
    same("ltree[]", "array['Top.A', 'Top']::ltree[]"),
    same("cube", "'(1,2),(3,4)'"),
    same("cube[]", "array['(1,2),(3,4)', '(0)']::cube[]"),
    same("xml", "'<a b=\"c\">&amp;é</a>'"),
];
