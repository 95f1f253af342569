//! A hundred values written through SQL, and what a joined client receives of each in every profile.
//!
//! The truth is stated twice and by others: by Postgres (`to_json`, whose rules are those of `to_jsonb` but
//! which keeps numbers as they are printed; the output functions, through `format`), and by hand where the
//! JSON of a row is meant to differ from both.

use serde_json::json;
use tokio_postgres::{Client, Row};

use crate::cluster::{self, Database};
use crate::postgres_binaries;
use crate::socket::Socket;
use crate::values_json::{Members, canonical, quoted, told};
use crate::walcast::Walcast;
use crate::{values_builtin, values_user};

/// One value: how it is written, and what is to come of it.
pub struct Case {
    /// The column's type.
    pub sql_type: &'static str,
    /// An expression of that type.
    pub sql: &'static str,
    /// The JSON of the default profile, where it is not what `to_json` says.
    pub json: Option<&'static str>,
    /// The JSON of the profile `exact`, where it is not that of the default profile.
    pub exact: Option<&'static str>,
}

/// A value that `to_json` tells as we do.
pub const fn same(sql_type: &'static str, sql: &'static str) -> Case {
    Case { sql_type, sql, json: None, exact: None }
}

/// As [`same`], but the profile `exact` quotes what is in it.
pub const fn quotes(sql_type: &'static str, sql: &'static str, exact: &'static str) -> Case {
    Case { sql_type, sql, json: None, exact: Some(exact) }
}

/// A value of which `to_json` says something else.
pub const fn differs(sql_type: &'static str, sql: &'static str, json: &'static str) -> Case {
    Case { sql_type, sql, json: Some(json), exact: None }
}

/// What the session of the truth must print like, whatever the role is set to.
pub const PLAIN_OUTPUT: &str = "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; \
                                set bytea_output = 'hex'; set extra_float_digits = 1";

/// What is expected of one column, by profile.
#[derive(Clone)]
struct Expected {
    default: String,
    exact: String,
    text: String,
}

const PROFILES: [&str; 3] = ["default", "exact", "text"];

/// Writes all of `cases` as one row, deletes it under REPLICA IDENTITY FULL, and compares what clients
/// of the three profiles received: the record, the old record, and the description of the columns.
pub async fn arrive_as_postgres_holds_them(database: &Database, cases: &[&Case]) {
    let client = database.connect().await;
    client.batch_execute(PLAIN_OUTPUT).await.unwrap();
    let columns: Vec<String> =
        cases.iter().enumerate().map(|(at, case)| format!("v{at} {}", case.sql_type)).collect();
    let create = format!("create table all_values ({})", columns.join(", "));
    client.batch_execute(&create).await.unwrap();
    client.batch_execute("alter table all_values replica identity full").await.unwrap();
    let walcast = Walcast::serve(database, &[]).await;
    let mut sockets = Vec::new();
    for profile in PROFILES {
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:all_values", json!({"profile": profile, "frames": "type"})).await;
        sockets.push((profile, socket));
    }
    let values: Vec<&str> = cases.iter().map(|case| case.sql).collect();
    client.batch_execute(&format!("insert into all_values values ({})", values.join(", "))).await.unwrap();
    let truth = truth(&client, cases).await;
    let described = described(&client).await;
    client.batch_execute("delete from all_values").await.unwrap();

    let mut wrong = Vec::new();
    for (profile, socket) in &mut sockets {
        for (event, row) in [("INSERT", "record"), ("DELETE", "old_record")] {
            let payload = told(socket).await;
            assert_eq!(payload.value("type"), event);
            let columns = payload.value("columns");
            let expected: Vec<_> = described.iter().map(|column| column.json(profile)).collect();
            for (got, expected) in columns.as_array().unwrap().iter().zip(&expected) {
                assert_eq!(got, expected, "a column in profile {profile}");
            }
            let row = Members::of(payload.json(row));
            assert_eq!(row.0.len(), cases.len());
            for (at, ((name, got), expected)) in row.0.iter().zip(&truth).enumerate() {
                assert_eq!(*name, format!("v{at}"));
                let expected = match *profile {
                    "default" => &expected.default,
                    "exact" => &expected.exact,
                    _ => &expected.text,
                };
                let got = canonical(got.get());
                if got != *expected {
                    let (ty, sql) = (cases[at].sql_type, cases[at].sql);
                    wrong.push(format!("{event} {profile} {ty} {sql}:\n   {got}\nnot {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len() * 6, wrong.join("\n"));
    assert!(walcast.stop().success());
}

/// What Postgres says of the only row, and the hand where it says otherwise.
async fn truth(client: &Client, cases: &[&Case]) -> Vec<Expected> {
    // `is null` is true of a row of nulls, which is a value; num_nulls counts only NULL itself.
    let told = |what: &str| -> String {
        let told = (0..cases.len()).map(|at| {
            let value = what.replace('v', &format!("v{at}"));
            format!("case when num_nulls(v{at}) = 1 then 'null' else {value}::text end")
        });
        told.collect::<Vec<_>>().join(", ")
    };
    let sql = format!(
        "select array[{}], array[{}] from all_values",
        told("to_json(v)"),
        told("to_json(format('%s', v))")
    );
    let row = client.query_one(&sql, &[]).await.unwrap();
    let (values, texts): (Vec<String>, Vec<String>) = (row.get(0), row.get(1));
    let expected = |((case, value), text): ((&&Case, &String), &String)| {
        let value = canonical(value);
        let default = case.json.map_or_else(|| value.clone(), canonical);
        assert!(case.json.is_none() || default != value, "{}: `to_json` says the same", case.sql);
        let exact = case.exact.map_or_else(|| default.clone(), canonical);
        assert!(case.exact.is_none() || exact != default, "{}: exact is no different", case.sql);
        Expected { default, exact, text: canonical(text) }
    };
    cases.iter().zip(&values).zip(&texts).map(expected).collect()
}

/// A column as the catalog has it, behind all domains.
struct Described {
    name: String,
    type_name: String,
    /// The type of an array's elements.
    element: Option<String>,
    modifier: i64,
}

async fn described(client: &Client) -> Vec<Described> {
    let base_of = "create function pg_temp.base_of(wanted oid) returns oid language sql as $$ \
                     with recursive base(oid) as ( \
                       select wanted \
                       union all select typbasetype from base join pg_type using (oid) where typtype = 'd') \
                     select oid from base join pg_type using (oid) where typtype <> 'd' $$";
    client.batch_execute(base_of).await.unwrap();
    // Materialized, lest the function be asked about every type there is.
    let sql = "with columns as materialized ( \
                 select attnum, attname, atttypmod, pg_temp.base_of(atttypid) as base from pg_attribute \
                 where attrelid = 'all_values'::regclass and attnum > 0), \
               behind as materialized ( \
                 select columns.*, typname, case typcategory when 'A' then pg_temp.base_of(typelem) end as element \
                 from columns join pg_type on oid = base) \
               select attname::text, behind.typname::text, e.typname::text, atttypmod::int8 & 4294967295 \
               from behind left join pg_type e on e.oid = element order by attnum";
    let rows = client.query(sql, &[]).await.unwrap();
    let column = |row: &Row| Described {
        name: row.get(0),
        type_name: row.get(1),
        element: row.get(2),
        modifier: row.get(3),
    };
    rows.iter().map(column).collect()
}

impl Described {
    fn json(&self, profile: &str) -> serde_json::Value {
        let name = match (profile, self.type_name.as_str(), self.element.as_deref()) {
            ("exact", "int8", _) => "bigint",
            ("exact", "numeric", _) => "decimal",
            ("exact", _, Some("int8")) => "_bigint",
            ("exact", _, Some("numeric")) => "_decimal",
            (_, name, _) => name,
        };
        // Under FULL every column is part of the identity.
        json!({"flags": ["key"], "name": self.name, "type": name, "type_modifier": self.modifier})
    }
}

#[tokio::test]
async fn every_builtin_type_arrives_as_postgres_holds_it_in_every_profile() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let cases = values_builtin::cases(major);
        assert!(cases.len() >= 100);
        arrive_as_postgres_holds_them(&database, &cases).await;
    }
}

#[tokio::test]
async fn every_kind_of_user_type_arrives_as_postgres_holds_it_in_every_profile() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        database.connect().await.batch_execute(values_user::TYPES).await.unwrap();
        let cases: Vec<&Case> = values_user::CASES.iter().collect();
        arrive_as_postgres_holds_them(&database, &cases).await;
    }
}

#[tokio::test]
async fn types_of_extensions_arrive_as_postgres_holds_them_in_every_profile() {
    let database = cluster::system().database().await;
    database.connect().await.batch_execute(values_user::EXTENSIONS).await.unwrap();
    let cases: Vec<&Case> = values_user::EXTENSION_CASES.iter().collect();
    arrive_as_postgres_holds_them(&database, &cases).await;
}

/// Whoever reads these values elsewhere must not change what clients get: every setting that changes the
/// text of a value is set to something else, in the way that an administrator would.
#[tokio::test]
async fn settings_of_the_role_and_the_database_do_not_change_what_clients_get() {
    let major = postgres_binaries::majors()[0];
    let database = cluster::shared(major).database().await;
    let client = database.connect().await;
    let name = database.name();
    for (setting, value) in [
        ("datestyle", "German, DMY"),
        ("timezone", "Asia/Kolkata"),
        ("intervalstyle", "sql_standard"),
        ("bytea_output", "escape"),
        ("extra_float_digits", "-15"),
        ("client_encoding", "LATIN1"),
    ] {
        // The role's setting in one database wins over the database's and over the role's own.
        for whose in [format!("database {name}"), format!("role current_user in database {name}")] {
            client.batch_execute(&format!("alter {whose} set {setting} = '{value}'")).await.unwrap();
        }
    }
    let session = database.connect().await;
    let effect = session.query_one("select now()::date::text like '__.__.____'", &[]).await.unwrap();
    assert!(effect.get::<_, bool>(0), "the settings have no effect");
    let cases = values_builtin::cases(major);
    arrive_as_postgres_holds_them(&database, &cases).await;
}

/// Order, spaces, duplicate keys and digits of a document are the user's.
#[tokio::test]
async fn json_is_embedded_byte_for_byte() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute("create table documents (id int primary key, d json)").await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:documents", json!({"frames": "type"})).await;
    let document = " {\"b\" :\n[1.10, 1E400,\t-0] , \"a\":\"\\u0041\\/\\u0000\",\"a\": {} }  ";
    let insert = format!("insert into documents values (1, {})", literal(document));
    client.batch_execute(&insert).await.unwrap();
    let record = told(&mut socket).await;
    let record = record.json("record");
    assert!(record.contains(document.trim()), "{record}");
    assert!(walcast.stop().success());
}

/// A SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The record of the next change, as one canonical JSON text.
pub async fn next_record(socket: &mut Socket) -> String {
    canonical(told(socket).await.json("record"))
}

/// What Postgres makes of an expression, as canonical JSON.
pub async fn as_json(client: &Client, expression: &str) -> String {
    let row = client.query_one(&format!("select to_json({expression})::text"), &[]).await.unwrap();
    canonical(row.get(0))
}

#[test]
fn literals_and_strings_are_quoted() {
    assert_eq!(literal("it's"), "'it''s'");
    assert_eq!(quoted("a\"b"), r#""a\"b""#);
}
