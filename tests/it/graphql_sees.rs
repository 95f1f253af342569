//! What the slot shows of tables that may be read, as the model tells it, against what really comes through a slot.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use walcast::graphql::model::{Coverage, Model};
use walcast::graphql::schema::Schema;
use walcast::graphql::tags::Names;
use walcast::postgres::introspection;

use crate::{cluster, postgres_binaries};

/// A database, its client, and the model of its schema `public`.
struct Seen {
    major: u16,
    client: Client,
    database: cluster::Database,
}

impl Seen {
    async fn of(major: u16, sql: &str) -> Self {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(sql).await.unwrap();
        Self { major, client, database }
    }

    async fn model(&self) -> Model {
        let catalog = introspection::catalog(&self.client, &["public".to_owned()], "walcast").await.unwrap();
        Schema::of(&catalog, &Names::default()).unwrap().model.clone().as_ref().clone()
    }

    async fn coverage(&self, table: &str) -> Coverage {
        let model = self.model().await;
        let found = model.coverage.values().find(|one| one.name == table);
        found.unwrap_or_else(|| panic!("{table} is not covered on {}", self.major)).clone()
    }

    /// As which relations the changes of a table come, or the reason.
    async fn followed(&self, table: &str) -> Result<BTreeSet<String>, String> {
        self.names(self.coverage(table).await.followed?).await
    }

    /// Which tables decide what is seen of a table, or the reason.
    async fn guards(&self, table: &str) -> Result<BTreeSet<String>, String> {
        self.names(self.coverage(table).await.guards?).await
    }

    async fn names(&self, oids: Vec<u32>) -> Result<BTreeSet<String>, String> {
        let sql = "select c.oid::regclass::text from pg_class c where c.oid = any ($1)";
        Ok(self.client.query(sql, &[&oids]).await.unwrap().iter().map(|row| row.get(0)).collect())
    }

    /// What comes through a slot when this is run: the relation of each change.
    async fn comes(&self, sql: &str) -> Vec<String> {
        let slot = format!("{}_slot", self.database.name());
        let create = "select pg_create_logical_replication_slot($1, 'pgoutput')";
        self.client.query_one(create, &[&slot]).await.unwrap();
        self.client.batch_execute(sql).await.unwrap();
        let peek = "select data from pg_logical_slot_get_binary_changes($1, null, null, \
                    'proto_version', '1', 'publication_names', 'walcast')";
        let messages = self.client.query(peek, &[&slot]).await.unwrap();
        self.client.query_one("select pg_drop_replication_slot($1)", &[&slot]).await.unwrap();
        let mut oids = Vec::new();
        for message in &messages {
            let data: &[u8] = message.get(0);
            let number = |at: usize| u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
            match data[0] {
                b'I' | b'U' | b'D' => oids.push(number(1)),
                // The count of relations, then the options.
                b'T' => oids.extend((0..number(1) as usize).map(|place| number(6 + 4 * place))),
                _ => {}
            }
        }
        let mut names = Vec::new();
        for oid in oids {
            names.extend(self.names(vec![oid]).await.unwrap());
        }
        names
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(told: Result<BTreeSet<String>, String>, words: &[&str]) {
    let reason = told.expect_err("it is followed");
    for word in words {
        assert!(reason.contains(word), "{reason:?} lacks {word:?}");
    }
}

const PARTITIONED: &str = "
    create table log (id int, day int, primary key (id, day)) partition by range (day);
    create table log_old partition of log for values from (0) to (10);
    create table log_new partition of log for values from (10) to (30) partition by range (day);
    create table log_new_a partition of log_new for values from (10) to (20);
    create schema far; create table far.log_new_b partition of log_new for values from (20) to (30);
    create view of_leaf as select * from far.log_new_b;";

const PARTITIONS_WRITTEN: &str = "
    insert into log values (1, 5), (1, 15), (1, 25); update log set id = 2; delete from log where day = 5;
    update log set day = 16 where day = 25; insert into far.log_new_b values (9, 29)";

#[tokio::test]
async fn partitions_are_followed_under_the_name_that_they_come_by() {
    for &major in postgres_binaries::majors() {
        let seen = Seen::of(major, PARTITIONED).await;
        let leaves = ["log", "log_old", "log_new_a", "far.log_new_b"];
        for (publication, whole, leaf) in [
            ("for table log", set(&leaves), set(&["far.log_new_b"])),
            ("for all tables", set(&leaves), set(&["far.log_new_b"])),
            (
                "for table log with (publish_via_partition_root = true)",
                set(&["log"]),
                set(&["log", "far.log_new_b"]),
            ),
            (
                "for all tables with (publish_via_partition_root = true)",
                set(&["log"]),
                set(&["log", "far.log_new_b"]),
            ),
            // What is lower down comes as the topmost of those published.
            (
                "for table log_old, log_new, far.log_new_b with (publish_via_partition_root = true)",
                set(&["log", "log_old", "log_new"]),
                set(&["log_new", "far.log_new_b"]),
            ),
        ] {
            seen.client.batch_execute(&format!("create publication walcast {publication}")).await.unwrap();
            let followed = seen.followed("public.log").await;
            assert_eq!(followed.as_ref(), Ok(&whole), "{publication} on {major}");
            assert_eq!(seen.followed("far.log_new_b").await, Ok(leaf.clone()), "{publication} on {major}");
            let came = seen.comes(PARTITIONS_WRITTEN).await;
            // Three inserts and updates, a delete, a move as delete and insert, an insert.
            assert_eq!(came.len(), 10, "{publication} on {major}: {came:?}");
            assert!(came.iter().all(|name| whole.contains(name)), "{came:?} with {publication} on {major}");
            let came = seen.comes("insert into far.log_new_b values (10, 29)").await;
            assert!(came.len() == 1 && leaf.contains(&came[0]), "{came:?} with {publication} on {major}");
            let came = seen.comes("truncate log").await;
            assert!(!came.is_empty(), "{publication} on {major}");
            assert!(came.iter().all(|name| whole.contains(name)), "{came:?} with {publication} on {major}");
            seen.client.batch_execute("drop publication walcast").await.unwrap();
        }
        seen.client.batch_execute("create publication walcast for table log_old, log_new_a").await.unwrap();
        let advice = "far.log_new_b is not in the publication; run ALTER PUBLICATION walcast ADD TABLE ";
        refused(seen.followed("public.log").await, &[advice, "TABLE public.log"]);
        refused(seen.followed("far.log_new_b").await, &[advice, "TABLE far.log_new_b"]);
        // With the advice followed, it is.
        seen.client.batch_execute("alter publication walcast add table public.log").await.unwrap();
        assert_eq!(seen.followed("public.log").await, Ok(set(&leaves)));
    }
}

#[tokio::test]
async fn what_inherits_is_read_and_followed_too() {
    for &major in postgres_binaries::majors() {
        let seen = Seen::of(
            major,
            "create table animals (id int primary key); create table cats (primary key (id)) inherits (animals);
             create table lions (primary key (id)) inherits (cats); create publication walcast for table animals;",
        )
        .await;
        let all = Ok(set(&["animals", "cats", "lions"]));
        assert_eq!(seen.followed("public.animals").await, all, "{major}");
        assert_eq!(seen.followed("public.cats").await, Ok(set(&["cats", "lions"])));
        let came =
            seen.comes("insert into cats values (1); update animals set id = 2; truncate animals").await;
        assert!(came.contains(&"cats".to_owned()), "{came:?}");
        // One that comes later is not published by itself.
        seen.client.batch_execute("create table dogs (primary key (id)) inherits (animals)").await.unwrap();
        refused(seen.followed("public.animals").await, &["public.dogs is not in the publication"]);
        assert_eq!(seen.followed("public.cats").await, Ok(set(&["cats", "lions"])));
        // A temporary one is seen by its session alone.
        seen.client
            .batch_execute("drop table dogs; create temp table hares () inherits (animals)")
            .await
            .unwrap();
        assert_eq!(seen.followed("public.animals").await, all, "{major}");
    }
}

#[tokio::test]
async fn what_a_publication_leaves_out_is_named_with_what_to_do() {
    for &major in postgres_binaries::majors() {
        let seen = Seen::of(
            major,
            r#"create table a (id int primary key, b int, c int); create schema "Odd, one";
               create table "Odd, one"."Ta""ble" (id int primary key); create view odd as select * from "Odd, one"."Ta""ble";
               create unlogged table fleeting (id int primary key); create materialized view counted as select 1 as n;
               create foreign data wrapper w; create server s foreign data wrapper w;
               create foreign table elsewhere (id int) server s; create sequence numbers;
               create view drawn as select last_value from numbers; create view of_view as select * from drawn"#,
        )
        .await;
        refused(seen.followed("public.a").await, &["public.a cannot be followed", "is not there"]);
        let create = async |what: &str| {
            let sql = format!("drop publication if exists walcast; create publication walcast {what}");
            seen.client.batch_execute(&sql).await.unwrap();
        };
        create("").await;
        refused(
            seen.followed("public.a").await,
            &["public.a is not in the publication; run ALTER PUBLICATION walcast ADD TABLE public.a"],
        );
        let odd = r#"Odd, one.Ta"ble"#;
        refused(seen.followed(odd).await, &[r#"walcast ADD TABLE "Odd, one"."Ta""ble""#]);
        create("for table a with (publish = 'insert, update, delete')").await;
        refused(seen.followed("public.a").await, &["does not publish truncate", "SET (publish = 'insert,"]);
        create("for table a with (publish = 'insert')").await;
        refused(seen.followed("public.a").await, &["does not publish update and delete and truncate"]);
        // Changes outside of a list of columns come as well.
        create("for table a (id, b)").await;
        assert_eq!(seen.followed("public.a").await, Ok(set(&["a"])));
        let came = seen.comes("insert into a values (1, 1, 1); update a set c = 2; delete from a").await;
        assert_eq!(came, ["a", "a", "a"], "{major}");
        create("for table a where (id > 5)").await;
        refused(
            seen.followed("public.a").await,
            &["rows of public.a by a filter", "DROP TABLE public.a, then"],
        );
        create("for tables in schema \"Odd, one\"").await;
        refused(seen.followed("public.a").await, &["ADD TABLE public.a"]);
        assert_eq!(seen.followed(odd).await, Ok(set(&[r#""Odd, one"."Ta""ble""#])));
        create("for all tables").await;
        assert_eq!(seen.followed("public.a").await, Ok(set(&["a"])));
        for (table, word) in [
            (
                "public.fleeting",
                "is unlogged, so that its changes are not replicated; run ALTER TABLE public.fleeting SET",
            ),
            ("public.counted", "is a materialized view"),
            ("public.elsewhere", "is a foreign table"),
            ("public.numbers", "is a sequence"),
        ] {
            refused(seen.followed(table).await, &[table, word]);
        }
    }
}

#[tokio::test]
async fn parts_that_no_log_holds_are_named_for_the_whole() {
    for &major in postgres_binaries::majors() {
        let seen = Seen::of(
            major,
            "create table whole (id int primary key) partition by range (id);
             create unlogged table fleeting partition of whole for values from (0) to (10);
             create publication walcast for all tables with (publish_via_partition_root = true)",
        )
        .await;
        refused(
            seen.followed("public.whole").await,
            &["public.whole reads public.fleeting, which is unlogged"],
        );
    }
}

#[tokio::test]
async fn tables_behind_views_and_functions_are_covered_in_hidden_schemas_too() {
    for &major in postgres_binaries::majors() {
        let seen = Seen::of(
            major,
            "create schema far;
             create table far.deep (id int primary key); create table far.body (id int primary key);
             create table far.told (id int primary key, a int); create table far.\"To Ld\" (id int primary key);
             create table far.unread (id int primary key); create table t (id int primary key);
             create view far.one with (security_barrier) as select * from far.deep;
             create view two as select o.id from far.one o;
             create function counted() returns bigint language sql stable
               begin atomic select count(*) from far.body; end;
             create function told(t) returns int language sql stable security definer as 'select 1';
             comment on function told is '@walcast depends_on far.told(a = id), far.\"To Ld\"';
             create publication walcast for all tables",
        )
        .await;
        let model = seen.model().await;
        let names: BTreeSet<String> = model.coverage.values().map(|one| one.name.clone()).collect();
        assert_eq!(names, set(&["far.To Ld", "far.body", "far.deep", "far.told", "public.t"]), "{major}");
        assert!(model.coverage.values().all(|one| one.followed.is_ok()));
        assert!(model.remarks.is_empty(), "{:?}", model.remarks);
    }
}
