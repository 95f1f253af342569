//! The catalog as GraphQL's schema is made of it, read from databases with everything in them.

use tokio_postgres::Client;
use walcast::graphql::catalog::{Catalog, Function, Relation, RelationKind, Type, TypeKind, Volatility};
use walcast::postgres::introspection;

use crate::{cluster, postgres_binaries};

const EVERYTHING: &str = r#"
    create schema api; create schema hidden; create schema "Odd, name";
    create domain hidden.word as text check (value <> '');
    create domain hidden.sure as hidden.word not null;
    create type api.mood as enum ('sad', 'ok', 'happy'); comment on type api.mood is 'how one feels';
    alter type api.mood add value 'so-so' after 'sad';
    create type hidden.place as (street text, zips int[]); comment on type hidden.place is 'where one lives';
    create table api.people (
        id bigint generated always as identity primary key,
        gone int, name hidden.sure, nick hidden.word, email varchar(80) unique, home hidden.place,
        moods api.mood[] not null, data json, tag "char", span int4range, at timestamptz not null default now()
    );
    alter table api.people drop column gone;
    comment on table api.people is E'Everybody.\n@walcast name Person';
    comment on column api.people.nick is 'as friends say';
    create unique index on api.people (name, nick) include (at);
    create unique index on api.people (nick) where nick <> '';
    create unique index on api.people (lower(name));
    create table api.pairs (a int, b int, c int unique deferrable, primary key (b, a));
    create table api.late (id int primary key deferrable);
    create table api.marks (
        pair_a int not null, pair_b int, person bigint references api.people,
        constraint of_pair foreign key (pair_b, pair_a) references api.pairs (b, a)
    );
    comment on constraint of_pair on api.marks is '@walcast name pair';
    create unlogged table api.fleeting (id int primary key, person bigint references api.people);
    create table api.log (id int, day date, person bigint references api.people, primary key (id, day))
        partition by range (day);
    create table api.log_2020 partition of api.log for values from ('2020-01-01') to ('2021-01-01');
    create table api.notes (log_id int, log_day date, foreign key (log_id, log_day) references api.log);
    create table api.empty ();
    create table hidden.base (id int primary key);
    create table "Odd, name"."Ta""ble" ("Co.l" int primary key);

    create view api.names as select name, at from api.people where id > 0;
    create view hidden.between as select n.name, p.a from api.names n, api.pairs p;
    create view api.top as select b.name, x.id from hidden.between b join hidden.base x on x.id = b.a;
    create view api.recent as select id from api.people where at > now() - interval '1 day';
    create view api.today as select id, current_date as day from api.people;
    create view api.shown as select id, to_char(at, 'YYYY') as year, at::date as day from api.people;
    create materialized view api.counted as select count(*) as n from api.people;
    create view api.of_counted as select n from api.counted;

    create function api.best(person api.people) returns api.pairs language sql stable
        begin atomic select p.* from api.pairs p where p.a = (best.person).id limit 1; end;
    comment on function api.best(api.people) is 'the best';
    create function api.named(text, part int default 1, rest int[] default '{}') returns setof api.people
        language sql stable strict begin atomic select p.* from api.people p join api.names n using (name); end;
    create function api.clock() returns timestamptz language sql stable begin atomic select now() from api.pairs; end;
    create function api.through() returns bigint language sql stable begin atomic select (api.best(p)).a::bigint from api.people p; end;
    create function api.text_bodied() returns int language sql stable as 'select a from api.pairs';
    create function api.by_text() returns int language sql stable begin atomic select api.text_bodied(); end;
    create function api.double(n int) returns int language sql immutable as 'select 2 * n';
    create function api.doubled() returns int language sql stable begin atomic select api.double(a) from api.pairs; end;
    create view api.by_function as select api.doubled() as one;
    create view api.by_text_function as select api.text_bodied() as one;
    create function api.wipe() returns void language plpgsql as 'begin end';
    create function api.over(a int) returns int language sql immutable as 'select 1';
    create function api.over(a text) returns int language sql immutable as 'select 2';
    create function api.out_argument(out a int) language sql as 'select 1';
    create function api.as_table() returns table (a int) language sql as 'select 1';
    create function api.many(variadic a int[]) returns int language sql as 'select 1';
    create function api.any(a anyelement) returns int language sql as 'select 1';
    create function api.row() returns record language sql as 'select 1, 2';
    create function api.fire() returns trigger language plpgsql as 'begin return new; end';
    create procedure api.proceed() language plpgsql as 'begin end';
    create aggregate api.total (int) (sfunc = int4pl, stype = int);
"#;

async fn read(client: &Client, schemas: &[&str]) -> Catalog {
    let schemas: Vec<String> = schemas.iter().map(ToString::to_string).collect();
    introspection::catalog(client, &schemas, "walcast").await.unwrap()
}

fn relation<'a>(catalog: &'a Catalog, name: &str) -> &'a Relation {
    catalog.relations.iter().find(|relation| relation.name == name).unwrap_or_else(|| panic!("no {name}"))
}

fn kind<'a>(catalog: &'a Catalog, name: &str) -> &'a Type {
    catalog.types.iter().find(|kind| kind.name == name).unwrap_or_else(|| panic!("no type {name}"))
}

fn function<'a>(catalog: &'a Catalog, name: &str) -> &'a Function {
    catalog.functions.iter().find(|function| function.name == name).unwrap_or_else(|| panic!("no {name}()"))
}

/// The names of relations, sorted.
fn names(catalog: &Catalog, oids: &[u32]) -> Vec<String> {
    let name = |oid: &u32| catalog.relations.iter().find(|one| one.oid == *oid).map(|one| one.name.clone());
    let mut names: Vec<String> = oids.iter().map(|oid| name(oid).unwrap_or_else(|| "?".to_owned())).collect();
    names.sort();
    names
}

fn type_name(catalog: &Catalog, oid: u32) -> &str {
    &catalog.types.iter().find(|one| one.oid == oid).unwrap().name
}

#[tokio::test]
async fn relations_columns_and_keys_are_as_they_were_made() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(EVERYTHING).await.unwrap();
        let catalog = read(&client, &["api", "Odd, name"]).await;
        let listed: Vec<(&str, &str)> =
            catalog.relations.iter().map(|one| (one.schema.as_str(), one.name.as_str())).collect();
        let api = [
            "by_function",
            "by_text_function",
            "counted",
            "fleeting",
            "late",
            "log",
            "marks",
            "names",
            "notes",
            "of_counted",
            "pairs",
            "people",
            "recent",
            "shown",
            "today",
            "top",
        ];
        let mut expected = vec![("Odd, name", "Ta\"ble")];
        expected.extend(api.map(|name| ("api", name)));
        expected.push(("hidden", "place"));
        assert_eq!(listed, expected, "{major}");

        let people = relation(&catalog, "people");
        assert_eq!(people.kind, RelationKind::Table);
        assert_eq!(people.comment.as_deref(), Some("Everybody.\n@walcast name Person"));
        let columns: Vec<(i16, &str, &str, bool)> = people
            .columns
            .iter()
            .map(|one| (one.number, &*one.name, type_name(&catalog, one.kind), one.not_null))
            .collect();
        assert_eq!(
            columns,
            [
                (1, "id", "int8", true),
                (3, "name", "sure", true),
                (4, "nick", "word", false),
                (5, "email", "varchar", false),
                (6, "home", "place", false),
                (7, "moods", "_mood", true),
                (8, "data", "json", false),
                (9, "tag", "char", false),
                (10, "span", "int4range", false),
                (11, "at", "timestamptz", true),
            ]
        );
        assert_eq!(people.columns[2].comment.as_deref(), Some("as friends say"));
        assert_eq!(
            (&people.primary_key[..], &people.unique_keys[..]),
            (&[1][..], &[vec![3, 4], vec![5]][..])
        );
        let pairs = relation(&catalog, "pairs");
        assert_eq!((&pairs.primary_key[..], pairs.unique_keys.len()), (&[2, 1][..], 0));
        assert_eq!(relation(&catalog, "late").primary_key, [1]);
        assert_eq!(relation(&catalog, "log").primary_key, [1, 2]);
        assert_eq!(relation(&catalog, "counted").kind, RelationKind::MaterializedView);
        assert_eq!(relation(&catalog, "names").kind, RelationKind::View);
        assert!(relation(&catalog, "names").columns.iter().all(|column| !column.not_null));
        let place = relation(&catalog, "place");
        assert_eq!(
            (place.kind, place.comment.as_deref()),
            (RelationKind::CompositeType, Some("where one lives"))
        );
        assert_eq!(place.columns.len(), 2);
        assert_eq!(kind(&catalog, "place").kind, TypeKind::Composite(place.oid));
        assert_eq!(kind(&catalog, "place").oid, place.row_type);
    }
}

#[tokio::test]
async fn foreign_keys_are_told_once_and_in_the_order_of_their_columns() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(EVERYTHING).await.unwrap();
        let catalog = read(&client, &["api"]).await;
        let told: Vec<_> = catalog
            .foreign_keys
            .iter()
            .map(|key| {
                let ends =
                    names(&catalog, &[key.relation])[0].clone() + " " + &names(&catalog, &[key.target])[0];
                (key.name.as_str(), ends, key.columns.clone(), key.target_columns.clone())
            })
            .collect();
        let key =
            |name, ends: &str, from: &[i16], to: &[i16]| (name, ends.to_owned(), from.to_vec(), to.to_vec());
        assert_eq!(
            told,
            [
                key("fleeting_person_fkey", "fleeting people", &[2], &[1]),
                key("log_person_fkey", "log people", &[3], &[1]),
                key("marks_person_fkey", "marks people", &[3], &[1]),
                key("of_pair", "marks pairs", &[2, 1], &[2, 1]),
                key("notes_log_id_log_day_fkey", "notes log", &[1, 2], &[1, 2]),
            ],
            "{major}"
        );
        assert_eq!(catalog.foreign_keys[3].comment.as_deref(), Some("@walcast name pair"));
    }
}

#[tokio::test]
async fn types_are_explained_down_to_what_they_are_made_of() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(EVERYTHING).await.unwrap();
        let catalog = read(&client, &["api"]).await;
        let mood = kind(&catalog, "mood");
        assert_eq!(mood.kind, TypeKind::Enum(["sad", "so-so", "ok", "happy"].map(str::to_owned).to_vec()));
        assert_eq!((mood.sql.as_str(), mood.comment.as_deref()), ("api.mood", Some("how one feels")));
        assert_eq!(kind(&catalog, "_mood").kind, TypeKind::Array(mood.oid));
        let word = kind(&catalog, "word");
        assert_eq!(kind(&catalog, "sure").kind, TypeKind::Domain { base: word.oid, not_null: true });
        assert_eq!(word.kind, TypeKind::Domain { base: kind(&catalog, "text").oid, not_null: false });
        assert_eq!(kind(&catalog, "char").sql, "pg_catalog.\"char\"");
        for (name, ordered, comparable) in [
            ("int8", true, true),
            ("sure", true, true),
            ("varchar", true, true),
            ("mood", true, true),
            ("_mood", true, true),
            ("int4range", true, true),
            ("json", false, false),
            ("place", false, false),
        ] {
            let found = kind(&catalog, name);
            assert_eq!((found.ordered, found.comparable), (ordered, comparable), "{name} on {major}");
        }
        // Every type that is named is there, and what SQL is told to call it is what it is.
        for one in &catalog.types {
            let oid = client.prepare(&format!("select null::{}", one.sql)).await.unwrap();
            assert_eq!(oid.columns()[0].type_().oid(), base(&catalog, one.oid), "{}", one.sql);
        }
    }
}

/// The protocol tells what a domain is over.
fn base(catalog: &Catalog, oid: u32) -> u32 {
    match catalog.types.iter().find(|one| one.oid == oid).unwrap().kind {
        TypeKind::Domain { base: over, .. } => base(catalog, over),
        _ => oid,
    }
}

#[tokio::test]
async fn functions_are_those_that_can_be_fields() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(EVERYTHING).await.unwrap();
        let catalog = read(&client, &["api"]).await;
        let offered: Vec<&str> = catalog.functions.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(
            offered,
            [
                "best",
                "by_text",
                "clock",
                "double",
                "doubled",
                "named",
                "over",
                "over",
                "text_bodied",
                "through",
                "wipe"
            ],
            "{major}"
        );
        let best = function(&catalog, "best");
        let people = relation(&catalog, "people");
        assert_eq!(
            (best.arguments[0].kind, best.returns),
            (people.row_type, Some(relation(&catalog, "pairs").row_type))
        );
        assert_eq!((best.volatility, best.comment.as_deref()), (Volatility::Stable, Some("the best")));
        assert_eq!((best.strict, best.returns_set), (false, false));
        let named = function(&catalog, "named");
        assert!(named.returns_set && named.strict);
        let arguments: Vec<_> = named
            .arguments
            .iter()
            .map(|one| (one.name.as_deref(), type_name(&catalog, one.kind), one.has_default))
            .collect();
        assert_eq!(
            arguments,
            [(None, "text", false), (Some("part"), "int4", true), (Some("rest"), "_int4", true)]
        );
        assert_eq!(function(&catalog, "wipe").returns, None);
        assert_eq!(function(&catalog, "wipe").volatility, Volatility::Volatile);
        assert_eq!(function(&catalog, "double").volatility, Volatility::Immutable);
    }
}

#[tokio::test]
async fn what_views_and_functions_read_is_known_as_far_as_postgres_knows_it() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(EVERYTHING).await.unwrap();
        let catalog = read(&client, &["api", "hidden"]).await;
        for (name, reads, more) in [
            ("names", &["people"][..], false),
            ("top", &["base", "pairs", "people"], false),
            ("recent", &["people"], true),
            ("today", &["people"], true),
            ("shown", &["people"], false),
            ("of_counted", &["counted"], false),
            ("by_function", &["pairs"], false),
            ("by_text_function", &[], true),
            ("counted", &[], false),
            ("people", &[], false),
        ] {
            let view = relation(&catalog, name);
            assert_eq!(
                (names(&catalog, &view.reads.tables), view.reads.more || !view.reads.calls.is_empty()),
                (reads.iter().map(ToString::to_string).collect(), more),
                "{name} on {major}"
            );
        }
        for (name, reads) in [
            ("best", Some(&["pairs"][..])),
            ("named", Some(&["people"])),
            ("through", Some(&["pairs", "people"])),
            ("doubled", Some(&["pairs"])),
            ("clock", None),
            ("by_text", None),
            ("text_bodied", None),
            ("wipe", None),
        ] {
            let found = &function(&catalog, name).reads;
            let known = !found.more && found.calls.is_empty();
            let found = known.then(|| names(&catalog, &found.tables));
            assert_eq!(
                found,
                reads.map(|names| names.iter().map(ToString::to_string).collect()),
                "{name} on {major}"
            );
        }
    }
}

#[tokio::test]
async fn only_what_the_role_may_see_is_there() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(EVERYTHING).await.unwrap();
        let role = format!("web_{}_{}", database.name(), major);
        client
            .batch_execute(&format!(
                "create role {role}; grant usage on schema api to {role}; grant select on api.pairs, api.names to {role}; \
                 grant select (id, email) on api.people to {role}; grant select (pair_a, person) on api.marks to {role}; \
                 grant select on hidden.base to {role}; revoke execute on all functions in schema api from public; \
                 grant execute on function api.double to {role}; set role {role}"
            ))
            .await
            .unwrap();
        let catalog = read(&client, &["api", "hidden", "nowhere"]).await;
        let listed: Vec<&str> = catalog.relations.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(listed, ["marks", "names", "pairs", "people"], "{major}");
        let people = relation(&catalog, "people");
        let columns: Vec<&str> = people.columns.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(columns, ["id", "email"]);
        // A key with a column that cannot be read is none.
        assert_eq!((&people.primary_key[..], &people.unique_keys[..]), (&[1][..], &[vec![5]][..]));
        let keys: Vec<&str> = catalog.foreign_keys.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(keys, ["marks_person_fkey"]);
        let functions: Vec<&str> = catalog.functions.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(functions, ["double"]);
        client.batch_execute(&format!("reset role; drop owned by {role}; drop role {role}")).await.unwrap();
    }
}

#[tokio::test]
async fn what_belongs_to_an_extension_is_left_out_but_its_types_are_explained() {
    let database = cluster::system().database().await;
    let client = database.connect().await;
    client
        .batch_execute("create extension citext; create extension hstore; create table t (c citext, h hstore, cs citext[])")
        .await
        .unwrap();
    let catalog = read(&client, &["public"]).await;
    assert_eq!(catalog.relations.len(), 1);
    assert!(catalog.functions.is_empty());
    assert_eq!(
        catalog.types.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["_citext", "citext", "hstore"]
    );
    assert!(catalog.types.iter().all(|one| one.ordered && one.comparable));
}

#[tokio::test]
async fn the_fingerprint_changes_with_everything_that_changes_the_catalog() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(EVERYTHING).await.unwrap();
        let role = format!("seen_{}_{}", database.name(), major);
        client.batch_execute(&format!("create role {role}; create role {role}_2")).await.unwrap();
        let schemas = ["api".to_owned()];
        // As it is asked for hours: by one statement, whose plan is kept.
        let prepared = introspection::prepared_fingerprint(&client).await.unwrap();
        let fingerprint =
            async || introspection::fingerprint(&client, &prepared, &schemas, "walcast").await.unwrap();
        let mut last = fingerprint().await;
        for change in [
            "create table api.new (id int)",
            "alter table api.new add column n int",
            "alter table api.new rename column n to m",
            "alter table api.new alter column m set not null",
            "alter table api.new add primary key (id)",
            "alter table api.new add foreign key (m) references api.new",
            "create unique index on api.new (m)",
            "comment on column api.new.m is 'x'",
            "comment on constraint new_m_fkey on api.new is 'x'",
            "comment on function api.wipe() is 'x'",
            "comment on type api.mood is 'x'",
            "comment on column api.new.m is null",
            "alter table api.new set unlogged",
            "grant select on api.new to ROLE",
            "grant select (m) on api.new to ROLE",
            "revoke execute on function api.wipe() from public",
            "grant usage on schema api to ROLE",
            "alter type api.mood add value 'best'",
            "alter type api.mood rename value 'best' to 'better'",
            "alter type hidden.place add attribute country text",
            "alter domain hidden.word set not null",
            "create or replace function api.wipe() returns void language plpgsql stable as 'begin end'",
            "create or replace view api.names as select name, at from api.people, api.pairs",
            "create or replace view hidden.between as select n.name, p.a from api.names n, api.pairs p, hidden.base",
            "create policy p on api.pairs using (true)",
            "alter policy p on api.pairs using (a > 1)",
            "alter table api.pairs enable row level security",
            "alter table api.pairs force row level security",
            "create policy p on hidden.base using (true)",
            "alter view api.names set (security_barrier)",
            "alter view api.names owner to ROLE",
            "alter role ROLE bypassrls",
            "create function hidden.deep() returns int language sql stable as 'select 1'",
            "create or replace function hidden.deep() returns int language sql stable as 'select 2'",
            "alter table hidden.base add column n int",
            "alter table api.late alter column id type int using id + 1",
            "create table hidden.heir () inherits (api.late)",
            "alter table hidden.heir no inherit api.late",
            "create publication walcast for table api.pairs",
            "alter publication walcast add table api.late",
            "alter publication walcast set (publish = 'insert')",
            "create table hidden.named (id int); comment on function api.double is '@walcast depends_on hidden.named'",
            "alter table hidden.named add column n int",
            "alter publication walcast set (publish_via_partition_root = true)",
            "drop table api.notes",
            "insert into api.log values (1, '2020-05-05'); truncate api.log_2020",
            "alter table api.log detach partition api.log_2020",
            "drop table api.new",
            "drop function api.wipe()",
        ] {
            let change = change.replace("ROLE", &role);
            client.batch_execute(&change).await.unwrap_or_else(|error| panic!("{change}: {error}"));
            let next = fingerprint().await;
            assert_ne!(next, last, "{change} on {major}");
            last = next;
        }
        for nothing in [
            "insert into api.pairs values (1, 1, 1); analyze",
            "truncate api.pairs, api.marks",
            "vacuum freeze",
            "vacuum full api.people",
            "create index on api.people (at)",
            "reindex table api.people",
            "cluster api.people using people_pkey",
            "alter table api.people set (fillfactor = 90)",
            "refresh materialized view api.counted",
            "create table hidden.unread (id int primary key)",
            "create temp table passing (id int primary key)",
            "create sequence api.numbers",
        ] {
            client.batch_execute(nothing).await.unwrap_or_else(|error| panic!("{nothing}: {error}"));
            let next = fingerprint().await;
            assert_eq!(next, last, "{nothing} on {major}");
        }
        client.batch_execute(&format!("set role {role}")).await.unwrap();
        let as_role = fingerprint().await;
        assert_ne!(as_role, last);
        database.connect().await.batch_execute(&format!("grant {role}_2 to {role}")).await.unwrap();
        assert_ne!(fingerprint().await, as_role);
        client
            .batch_execute(&format!("reset role; drop owned by {role} cascade; drop role {role}, {role}_2"))
            .await
            .unwrap();
    }
}
