//! Rows that enter and leave a filter, and what cannot be known of them.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::filters::told;
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

const SCHEMA: &str = "
    create table barrier (id serial primary key);
    create table keyed (id int primary key, state text);
    create table whole (id int primary key, state text, big text); alter table whole replica identity full;
    create table indexed (id int primary key, slug text not null unique); alter table indexed replica identity using index indexed_slug_key;
    create table toasted (id int primary key, big text, n int); alter table toasted alter big set storage external;
    alter table whole alter big set storage external";

struct Setting {
    socket: Socket,
    client: Client,
    topics: Vec<String>,
}

impl Setting {
    async fn join(&mut self, topic: &str) -> Value {
        let response = self.socket.joined(topic, json!({"frames": "type"})).await;
        self.topics.push(topic.to_owned());
        response
    }

    /// Runs SQL; what each topic was told: `[type, record, old_record, left]`.
    async fn told(&mut self, sql: &str) -> Vec<Value> {
        self.client.batch_execute(sql).await.unwrap();
        let topics = self.topics.clone();
        let place = |topic: &str| topics.iter().position(|known| known == topic).unwrap();
        let told = told(&mut self.socket, &self.client, topics.len(), place).await;
        let short =
            |change: &Value| json!([change["type"], change["record"], change["old_record"], change["left"]]);
        told.into_iter().map(|changes| changes.iter().map(short).collect()).collect()
    }
}

async fn setting(walcast: &Walcast, client: Client) -> Setting {
    let mut socket = Socket::connect(walcast).await;
    socket.joined("realtime:public:barrier", json!({})).await;
    Setting { socket, client, topics: Vec::new() }
}

#[tokio::test]
async fn rows_enter_and_leave_as_far_as_the_log_tells() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(SCHEMA).await.unwrap();
        let walcast = Walcast::serve(&database, &[]).await;

        // The key column itself: every way in and out is known.
        let mut keyed = setting(&walcast, database.connect().await).await;
        for id in ["1", "2"] {
            assert_eq!(
                keyed.join(&format!("realtime:public:keyed:id=eq.{id}")).await["warnings"],
                json!(null)
            );
        }
        let moved = keyed
            .told("insert into keyed values (1, 'a'); update keyed set id = 2; update keyed set state = 'b'; delete from keyed")
            .await;
        assert_eq!(
            moved,
            [
                json!([
                    ["INSERT", {"id": 1, "state": "a"}, null, null],
                    ["DELETE", null, {"id": 1}, "filter"]
                ]),
                json!([
                    ["UPDATE", {"id": 2, "state": "a"}, {"id": 1}, null],
                    ["UPDATE", {"id": 2, "state": "b"}, null, null],
                    ["DELETE", null, {"id": 2}, null]
                ]),
            ],
            "{major}"
        );

        // Another column: who leaves is not known, and the join says so.
        let mut blind = setting(&walcast, database.connect().await).await;
        let response = blind.join("realtime:public:keyed:state=eq.a").await;
        assert_eq!(
            response["warnings"],
            json!([
                "DELETEs, and rows that leave the filter, cannot be told: column state is not part of the replica \
                    identity; ALTER TABLE \"public\".\"keyed\" REPLICA IDENTITY FULL mends it"
            ])
        );
        let seen = blind
            .told(
                "insert into keyed values (1, 'b'); update keyed set state = 'a'; update keyed set state = 'b'; \
                 update keyed set state = 'a', id = 3; delete from keyed; insert into keyed values (4, null)",
            )
            .await;
        assert_eq!(
            seen,
            [json!([
                ["UPDATE", {"id": 1, "state": "a"}, null, null],
                ["UPDATE", {"id": 3, "state": "a"}, {"id": 1}, null]
            ])]
        );

        // FULL: everything is known, old values too.
        let mut whole = setting(&walcast, database.connect().await).await;
        assert_eq!(whole.join("realtime:public:whole:state=eq.a").await["warnings"], json!(null));
        let row = |state: &str| json!({"id": 1, "state": state, "big": null});
        let gone = json!({"id": 1, "state": null, "big": null});
        let seen = whole
            .told(
                "insert into whole values (1, 'b'); update whole set state = 'a'; update whole set state = 'c'; \
                 update whole set state = 'd'; update whole set state = 'a'; update whole set state = null; \
                 update whole set state = 'a'; delete from whole",
            )
            .await;
        assert_eq!(
            seen,
            [json!([
                ["UPDATE", row("a"), row("b"), null],
                ["DELETE", null, row("a"), "filter"],
                ["UPDATE", row("a"), row("d"), null],
                ["DELETE", null, row("a"), "filter"],
                ["UPDATE", row("a"), gone, null],
                ["DELETE", null, row("a"), null]
            ])]
        );

        // A chosen index is the identity.
        let mut indexed = setting(&walcast, database.connect().await).await;
        assert_eq!(indexed.join("realtime:public:indexed:slug=eq.a").await["warnings"], json!(null));
        assert!(
            indexed.join("realtime:public:indexed:id=eq.1").await["warnings"].is_array(),
            "not the identity"
        );
        let seen = indexed
            .told("insert into indexed values (1, 'a'); update indexed set slug = 'b'; delete from indexed")
            .await;
        assert_eq!(
            seen,
            [
                json!([["INSERT", {"id": 1, "slug": "a"}, null, null], ["DELETE", null, {"slug": "a"}, "filter"]]),
                json!([["INSERT", {"id": 1, "slug": "a"}, null, null], ["UPDATE", {"id": 1, "slug": "b"}, {"slug": "a"}, null]]),
            ]
        );
    }
}

#[tokio::test]
async fn a_large_value_that_the_log_does_not_repeat_counts_as_matching() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute(SCHEMA).await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut setting = setting(&walcast, client).await;
    for table in ["toasted", "whole"] {
        for letter in ["x", "y"] {
            setting.join(&format!("realtime:public:{table}:big=eq.{}", letter.repeat(4000))).await;
        }
    }
    let big = "x".repeat(4000);
    let seen = setting
        .told(
            "insert into toasted values (1, repeat('x', 4000), 1); update toasted set n = 2; \
             insert into whole values (1, 'a', repeat('x', 4000)); update whole set state = 'b'",
        )
        .await;
    let inserted = json!(["INSERT", {"id": 1, "big": big, "n": 1}, null, null]);
    // The value is not in the frame; it may be any, so both filters hear of it.
    let updated = json!(["UPDATE", {"id": 1, "n": 2}, null, null]);
    let before = json!({"id": 1, "state": "a", "big": big});
    let after = json!({"id": 1, "state": "b", "big": big});
    assert_eq!(
        seen,
        [
            json!([inserted, updated]),
            json!([updated]),
            // Under FULL the old row has it.
            json!([["INSERT", before, null, null], ["UPDATE", after, before, null]]),
            json!([]),
        ]
    );
}

#[tokio::test]
async fn nulls_never_match_and_truncate_reaches_every_filter() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute(SCHEMA).await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut setting = setting(&walcast, client).await;
    for value in ["", "null", "NULL", "a"] {
        setting.join(&format!("realtime:public:whole:state=eq.{value}")).await;
    }
    setting.join("realtime:public:keyed:id=eq.77").await;
    let seen = setting
        .told("insert into whole values (1, null); update whole set big = 'z'; delete from whole; truncate whole, keyed")
        .await;
    let truncate = json!([["TRUNCATE", null, null, null]]);
    assert_eq!(seen, vec![truncate; 5]);
}

#[tokio::test]
async fn filters_of_several_columns_need_all_of_them_to_know_who_leaves() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client
        .batch_execute(&format!(
            "{SCHEMA}; create table several (id int primary key, a int, b text); create table known (like several \
             including all); alter table known replica identity full"
        ))
        .await
        .unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut setting = setting(&walcast, client).await;
    let warned = |columns: &str| {
        json!([format!(
            "DELETEs, and rows that leave the filter, cannot be told: {columns} not part of the replica identity; \
             ALTER TABLE \"public\".\"several\" REPLICA IDENTITY FULL mends it"
        )])
    };
    let all = "id=lt.10,or=(a.gt.5,b.eq.x)";
    assert_eq!(
        setting.join(&format!("realtime:public:several:{all}")).await["warnings"],
        warned("columns a, b are")
    );
    let any = setting.join("realtime:public:several:or=(id.eq.1,a.is.null)").await;
    assert_eq!(any["warnings"], warned("column a is"));
    assert_eq!(setting.join(&format!("realtime:public:known:{all}")).await["warnings"], json!(null));
    let script = "insert into T values (1, 9, 'y'); update T set a = 1; update T set b = 'x'; update T set id = 10; \
                  update T set id = 2, a = null; delete from T; insert into T values (1, null, null); delete from T;";
    let seen = setting.told(&(script.replace('T', "several") + &script.replace('T', "known"))).await;
    let row = |id: i32, a: Option<i32>, b: Option<&str>| json!({"id": id, "a": a, "b": b});
    assert_eq!(
        seen,
        [
            json!([
                ["INSERT", row(1, Some(9), Some("y")), null, null],
                ["UPDATE", row(1, Some(1), Some("x")), null, null],
                ["UPDATE", row(2, None, Some("x")), {"id": 10}, null],
            ]),
            // The key alone says that the row was there, and what became of it.
            json!([
                ["INSERT", row(1, Some(9), Some("y")), null, null],
                ["UPDATE", row(1, Some(1), Some("y")), null, null],
                ["UPDATE", row(1, Some(1), Some("x")), null, null],
                ["DELETE", null, {"id": 1}, "filter"],
                ["UPDATE", row(2, None, Some("x")), {"id": 10}, null],
                ["INSERT", row(1, None, None), null, null],
                ["DELETE", null, {"id": 1}, null],
            ]),
            json!([
                ["INSERT", row(1, Some(9), Some("y")), null, null],
                ["DELETE", null, row(1, Some(9), Some("y")), "filter"],
                ["UPDATE", row(1, Some(1), Some("x")), row(1, Some(1), Some("y")), null],
                ["DELETE", null, row(1, Some(1), Some("x")), "filter"],
                ["UPDATE", row(2, None, Some("x")), row(10, Some(1), Some("x")), null],
                ["DELETE", null, row(2, None, Some("x")), null],
            ]),
        ]
    );
}

#[tokio::test]
async fn another_column_rules_out_what_a_large_value_leaves_open() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let client = database.connect().await;
    client.batch_execute(SCHEMA).await.unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let mut setting = setting(&walcast, client).await;
    for filter in ["n=eq.2,big=like.y%", "n=gt.2,big=like.x%", "n=eq.2,not.or=(big.eq.z,n.is.null)"] {
        setting.join(&format!("realtime:public:toasted:{filter}")).await;
    }
    let seen = setting
        .told("insert into toasted values (1, repeat('x', 4000), 1); update toasted set n = 2; update toasted set n = 1")
        .await;
    let updated = json!(["UPDATE", {"id": 1, "n": 2}, null, null]);
    assert_eq!(seen, [json!([updated]), json!([]), json!([updated])]);
}
