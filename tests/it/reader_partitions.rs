//! Partitioned tables: told as their root or as their partitions, as the publication has it.

use serde_json::{Value, json};

use crate::slot::{Slot, assert_cursors_grow};
use crate::socket::Socket;
use crate::walcast::{Walcast, until};
use crate::{cluster, postgres_binaries};

const TABLES: &str = "create schema \"S\"; \
    create table \"S\".\"Root\" (id int, n int, primary key (id)) partition by range (id); \
    create table low partition of \"S\".\"Root\" for values from (0) to (10); \
    create table high partition of \"S\".\"Root\" for values from (10) to (100) partition by range (id); \
    create table higher (n int, id int not null, primary key (id)); \
    alter table high attach partition higher for values from (50) to (100); \
    create table highest partition of high for values from (10) to (50); create table plain (id int primary key)";

const CHANGES: &str = "insert into \"S\".\"Root\" values (1, 1), (60, 2); update \"S\".\"Root\" set n = 3 where id = 60; \
    update \"S\".\"Root\" set id = 61 where id = 1; delete from \"S\".\"Root\" where id = 60; insert into plain values (0)";

/// Event, table and rows up to the row of `plain`.
async fn until_plain(socket: &mut Socket) -> Vec<Value> {
    let mut changes = Vec::new();
    loop {
        let change = socket.change().await;
        if change["table"] == "plain" {
            assert_cursors_grow(&changes);
            return changes
                .iter()
                .map(|change: &Value| {
                    json!([
                        change["type"],
                        change["schema"],
                        change["table"],
                        change["record"],
                        change["old_record"]
                    ])
                })
                .collect();
        }
        changes.push(change);
    }
}

#[tokio::test]
async fn by_root_all_changes_are_the_roots_and_a_partition_cannot_be_joined() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(TABLES).await.unwrap();
        let walcast = Walcast::serve(&database, &[]).await;
        let mut all = Socket::connect(&walcast).await;
        all.joined("realtime:*", json!({})).await;
        let mut root = Socket::connect(&walcast).await;
        root.joined("realtime:S:Root", json!({})).await;
        root.joined("realtime:S:Root:id=eq.61", json!({})).await;
        for partition in ["low", "high", "higher"] {
            let reason = root.refused(&format!("realtime:public:{partition}"), json!({})).await;
            assert_eq!(
                reason,
                format!(
                    "TableNotPublished: changes of the partition public.{partition} are told as \"S\".\"Root\"; join that instead"
                )
            );
        }
        client.batch_execute(CHANGES).await.unwrap();
        let told = until_plain(&mut all).await;
        let row = |event: &str, record: Value, old: Value| json!([event, "S", "Root", record, old]);
        assert_eq!(
            told,
            [
                row("INSERT", json!({"id": 1, "n": 1}), Value::Null),
                row("INSERT", json!({"id": 60, "n": 2}), Value::Null),
                row("UPDATE", json!({"id": 60, "n": 3}), Value::Null),
                row("DELETE", Value::Null, json!({"id": 1})),
                row("INSERT", json!({"id": 61, "n": 1}), Value::Null),
                row("DELETE", Value::Null, json!({"id": 60})),
            ],
            "on {major}"
        );
        // Six on the table's channel, one on the filter's.
        let mut topics = Vec::new();
        for _ in 0..7 {
            topics.push(root.change_on().await.0);
        }
        assert_eq!(topics.iter().filter(|topic| topic.ends_with("61")).count(), 1, "{topics:?}");

        // One partition alone, truncated or attached, is the root's as well.
        client
            .batch_execute(
                "truncate low; create table late partition of \"S\".\"Root\" for values from (100) to (200); \
                 insert into late values (150, 0); alter table \"S\".\"Root\" detach partition late; \
                 truncate \"S\".\"Root\"; insert into plain values (1)",
            )
            .await
            .unwrap();
        let told: Vec<Value> =
            until_plain(&mut all).await.iter().map(|row| json!([row[0], row[2]])).collect();
        assert!(told.contains(&json!(["INSERT", "Root"])), "on {major}: {told:?}");
        assert!(told.contains(&json!(["TRUNCATE", "Root"])), "on {major}: {told:?}");
    }
}

#[tokio::test]
async fn by_partition_all_changes_are_the_partitions_and_the_root_cannot_be_joined() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(TABLES).await.unwrap();
        client.batch_execute("create publication walcast for all tables").await.unwrap();
        let slot = Slot::new(database.connect().await);
        let walcast = Walcast::serve(&database, &[("WALCAST__REPLICATION__SLOT", &slot.name)]).await;
        let mut all = Socket::connect(&walcast).await;
        all.joined("realtime:*", json!({})).await;
        let mut low = Socket::connect(&walcast).await;
        low.joined("realtime:public:low", json!({})).await;
        for (topic, name) in [("realtime:S:Root", "S.Root"), ("realtime:public:high", "public.high")] {
            let reason = low.refused(topic, json!({})).await;
            let words = format!(
                "TableNotPublished: changes of {name} are told as its partitions; join those, or run ALTER \
                                 PUBLICATION \"walcast\" SET (publish_via_partition_root = true)"
            );
            assert_eq!(reason, words);
        }
        client.batch_execute(CHANGES).await.unwrap();
        let told = until_plain(&mut all).await;
        let row = |event: &str, table: &str, record: Value, old: Value| {
            json!([event, "public", table, record, old])
        };
        assert_eq!(
            told,
            [
                row("INSERT", "low", json!({"id": 1, "n": 1}), Value::Null),
                row("INSERT", "higher", json!({"n": 2, "id": 60}), Value::Null),
                row("UPDATE", "higher", json!({"n": 3, "id": 60}), Value::Null),
                row("DELETE", "low", Value::Null, json!({"id": 1})),
                row("INSERT", "higher", json!({"n": 1, "id": 61}), Value::Null),
                row("DELETE", "higher", Value::Null, json!({"id": 60})),
            ],
            "on {major}"
        );
        assert_eq!(low.change().await["type"], "INSERT");
        assert_eq!(low.change().await["type"], "DELETE");

        // The operator does as the refusal says, and the root can be joined.
        client
            .batch_execute("alter publication \"walcast\" set (publish_via_partition_root = true)")
            .await
            .unwrap();
        let mut root = Socket::connect(&walcast).await;
        // The catalog's answer to the join before is kept for a second.
        until("the root can be joined", async || {
            root.join("realtime:S:Root", json!({})).await["status"] == "ok"
        })
        .await;
        client.batch_execute("insert into \"S\".\"Root\" values (2, 2)").await.unwrap();
        assert_eq!(root.change().await["record"], json!({"id": 2, "n": 2}));

        // Another process reads all of it again.
        drop(walcast);
        let walcast = Walcast::serve(&database, &[("WALCAST__REPLICATION__SLOT", &slot.name)]).await;
        let mut root = Socket::connect(&walcast).await;
        root.joined("realtime:S:Root", json!({})).await;
        client.batch_execute("insert into \"S\".\"Root\" values (3, 3)").await.unwrap();
        assert_eq!(root.change().await["record"], json!({"id": 3, "n": 3}));
    }
}
