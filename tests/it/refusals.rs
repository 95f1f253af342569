//! Joins that are refused: for every reason its code and words.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::socket::Socket;
use crate::walcast::{Walcast, slot_name};
use crate::{cluster, postgres_binaries};

const SCHEMA: &str = r#"
    create table users (id int8 primary key, name text, mood text, addr inet);
    create table secret (id int primary key);
    create table "Odd ""name""" (id int primary key);
    create table listed (id int primary key, shown int, hidden int);
    create view looks as select * from users;
    create materialized view froze as select * from users;
    create sequence counts;
    create foreign data wrapper nowhere; create server nowhere foreign data wrapper nowhere;
    create foreign table away (id int) server nowhere;
    create index users_name on users (name);
    create table rooted (id int primary key) partition by range (id);
    create table rooted_1 partition of rooted for values from (0) to (10);
    create table leafed (id int primary key) partition by range (id);
    create table leafed_1 partition of leafed for values from (0) to (10);
    create publication roots for table users, rooted with (publish_via_partition_root = true);
    create publication leaves for table users, leafed, listed (id, shown);
"#;

const BAD_PROFILE: &str = "OptionInvalid: profile is \"default\", \"exact\" or \"text\"";
const BAD_FRAMES: &str = "OptionInvalid: frames is \"both\" or \"type\"";

/// Topic, payload of the join, and the reason of its refusal under the publication `roots`.
const REFUSED: &[(&str, &str, &str)] = &[
    ("", "{}", "unmatched topic"),
    ("phoenix:x", "{}", "unmatched topic"),
    (
        "realtime:",
        "{}",
        "TopicInvalid: the schema is empty; a topic is realtime:SCHEMA:TABLE:COL=eq.VALUE or a prefix of it",
    ),
    ("realtime:100%:x", "{}", "TopicInvalid: the schema has a bad escape; write % as %25, and : as %3A"),
    (
        "realtime:public:users:id",
        "{}",
        "FilterInvalid: a filter is COL=OP.VALUE, several with commas between them, or or=(COL.OP.VALUE,..)",
    ),
    ("realtime:public:users:id=is.x", "{}", "FilterInvalid: is takes null, true, false or unknown"),
    (
        "realtime:public:users:id=EQ.1",
        "{}",
        "FilterInvalid: there is no such operator; there are eq, neq, lt, lte, gt, gte, in, is, isdistinct, like, ilike, \
         match and imatch",
    ),
    (
        "realtime:public:users:id=is.true",
        "{}",
        "FilterUnsupported: is is for booleans, and column \"id\" is of type int8",
    ),
    (
        "realtime:public:users:id=like.1%",
        "{}",
        "FilterUnsupported: like is for texts, and column \"id\" is of type int8",
    ),
    (
        "realtime:public:users:name=match.(a)\\1",
        "{}",
        "FilterUnsupported: the pattern for column \"name\" is refused: a reference back, or a character by its number, \
         cannot be decided exactly as Postgres would",
    ),
    (
        "realtime:public:users:name=imatch.(a",
        "{}",
        "FilterValueInvalid: the pattern for column \"name\" is refused: it is no regular expression",
    ),
    (
        "realtime:public:users:id=gt.NULL",
        "{}",
        "FilterValueInvalid: null is not of type int8 (column \"id\"), and nothing equals it; use is.null",
    ),
    (
        "realtime:public:users:addr=lt.10.0.0.1",
        "{}",
        "FilterUnsupported: the order of type inet (column \"addr\") cannot be decided exactly as Postgres would",
    ),
    (
        "realtime:public:users:or=(id.eq.1,nope.eq.2)",
        "{}",
        "ColumnNotFound: table public.users has no column \"nope\"",
    ),
    ("realtime:public:users", "[]", "OptionInvalid: the payload of phx_join is an object"),
    ("realtime:public:users", "{\"profile\": \"Exact\"}", BAD_PROFILE),
    ("realtime:public:users", "{\"profile\": 1}", BAD_PROFILE),
    ("realtime:public:users", "{\"frames\": \"star\"}", BAD_FRAMES),
    (
        "realtime:public:users",
        "{\"config\": {}}",
        "OptionUnsupported: the join option config is not supported yet",
    ),
    ("realtime:public:users", "{\"snapshot\": 7}", "OptionInvalid: snapshot is true or {\"limit\": ROWS}"),
    ("realtime:nope", "{}", "SchemaNotFound: there is no schema \"nope\" in this database"),
    ("realtime:nope:users", "{}", "SchemaNotFound: there is no schema \"nope\" in this database"),
    ("realtime:Public:users", "{}", "SchemaNotFound: there is no schema \"Public\" in this database"),
    ("realtime:public:nope", "{}", "TableNotFound: there is no table \"nope\" in schema \"public\""),
    ("realtime:public:Users", "{}", "TableNotFound: there is no table \"Users\" in schema \"public\""),
    (
        "realtime:public:users_name",
        "{}",
        "TableNotFound: there is no table \"users_name\" in schema \"public\"",
    ),
    (
        "realtime:public:looks",
        "{}",
        "TableNotReplicated: public.looks is a view; the log carries changes of tables only",
    ),
    (
        "realtime:public:froze",
        "{}",
        "TableNotReplicated: public.froze is a materialized view; the log carries changes of tables only",
    ),
    (
        "realtime:public:away",
        "{}",
        "TableNotReplicated: public.away is a foreign table; the log carries changes of tables only",
    ),
    (
        "realtime:public:counts",
        "{}",
        "TableNotReplicated: public.counts is a sequence; the log carries changes of tables only",
    ),
    (
        "realtime:public:secret",
        "{}",
        "TableNotPublished: public.secret is not published; run ALTER PUBLICATION \"roots\" ADD TABLE \
         \"public\".\"secret\"",
    ),
    (
        "realtime:public:Odd \"name\"",
        "{}",
        "TableNotPublished: public.Odd \"name\" is not published; run ALTER PUBLICATION \"roots\" ADD TABLE \
         \"public\".\"Odd \"\"name\"\"\"",
    ),
    (
        "realtime:public:rooted_1",
        "{}",
        "TableNotPublished: changes of the partition public.rooted_1 are told as public.rooted; join that \
         instead",
    ),
    ("realtime:public:users:nope=eq.1", "{}", "ColumnNotFound: table public.users has no column \"nope\""),
    ("realtime:public:users:ID=eq.1", "{}", "ColumnNotFound: table public.users has no column \"ID\""),
    (
        "realtime:public:users:id=eq.one",
        "{}",
        "FilterValueInvalid: the value is not of type int8 (column \"id\")",
    ),
];

/// One server with the publication `roots`, one with `leaves`.
#[tokio::test]
async fn every_refusal_names_what_is_wrong() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        let leaves = major >= 15;
        let schema = if leaves { SCHEMA.to_owned() } else { SCHEMA.replace(", listed (id, shown)", "") };
        client.batch_execute(&schema).await.unwrap();
        let by_root = Walcast::serve(&database, &[("WALCAST__REPLICATION__PUBLICATION", "roots")]).await;
        let by_leaf = Walcast::serve(&database, &[("WALCAST__REPLICATION__PUBLICATION", "leaves")]).await;
        let mut socket = Socket::connect(&by_root).await;
        for (topic, payload, reason) in REFUSED {
            let payload: Value = serde_json::from_str(payload).unwrap();
            assert_eq!(socket.refused(topic, payload.clone()).await, *reason, "{topic} {payload} on {major}");
        }
        let long = format!("realtime:{}", "x".repeat(8200));
        assert_eq!(
            socket.refused(&long, json!({})).await,
            "TopicInvalid: the topic has 8209 bytes; at most 8192 are allowed"
        );
        // The refused topics left nothing behind, and the socket goes on.
        socket.joined("realtime:public:users", json!({})).await;
        socket.joined("realtime:public:rooted", json!({})).await;
        socket.send(json!(["1", "1", "realtime:public:users", "broadcast", {}]).to_string()).await;
        assert_eq!(
            socket.frame().await[4]["response"]["reason"],
            "EventUnsupported: this channel carries changes of the database; it takes phx_join, phx_leave and \
             access_token"
        );

        let mut socket = Socket::connect(&by_leaf).await;
        assert_eq!(
            socket.refused("realtime:public:leafed", json!({})).await,
            "TableNotPublished: changes of public.leafed are told as its partitions; join those, or run ALTER \
             PUBLICATION \"leaves\" SET (publish_via_partition_root = true)"
        );
        socket.joined("realtime:public:leafed_1", json!({})).await;
        if leaves {
            assert_eq!(
                socket.refused("realtime:public:listed:hidden=eq.1", json!({})).await,
                "ColumnNotPublished: the publication leaves out column \"hidden\" of table public.listed"
            );
            socket.joined("realtime:public:listed:shown=eq.1", json!({})).await;
        }
    }
}

#[tokio::test]
async fn a_join_waits_for_the_stream_and_is_told_when_it_does_not_come() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute("create table users (id int8 primary key)").await.unwrap();
    let slot = slot_name();
    let slot = [("WALCAST__REPLICATION__SLOT", slot.as_str())];
    let first = Walcast::serve(&database, &slot).await;
    let second = Walcast::spawn(&database.url(), &slot);
    second.wait_for_status("standby").await;
    let mut socket = Socket::connect(&second).await;
    assert_eq!(
        socket.refused("realtime:public:users", json!({})).await,
        "Unavailable: the stream of changes is not live (another process reads the slot); try again later"
    );
    // One that is waiting when the stream comes is admitted, and misses nothing from then on.
    socket.send(json!(["1", "1", "realtime:public:users", "phx_join", {}]).to_string()).await;
    first.signal(Signal::SIGTERM);
    let reply = socket.frame().await;
    assert_eq!(reply[4]["status"], "ok", "{reply}");
    client.batch_execute("insert into users values (1)").await.unwrap();
    assert_eq!(socket.change().await["record"]["id"], 1);
}
