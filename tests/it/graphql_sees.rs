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
            // What is lower down comes as the topmost of those published; 14 lists all of them.
            (
                "for table log, far.log_new_b with (publish_via_partition_root = true)",
                set(&["log"]),
                set(&["log", "far.log_new_b"]),
            ),
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
        // Lists of columns, filters and schemas came with 15.
        if major > 14 {
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
        }
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

/// Makes the role `reader` of this database, which owns nothing, and reads as it from then on.
async fn as_reader(seen: &Seen) -> String {
    let role = format!("reader_{}_{}", seen.database.name(), seen.major);
    seen.client
        .batch_execute(&format!(
            "create role {role}; grant select on all tables in schema public to {role}; set role {role}"
        ))
        .await
        .unwrap();
    role
}

async fn forget(seen: &Seen, role: &str) {
    seen.client
        .batch_execute(&format!("reset role; drop owned by {role} cascade; drop role {role}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn policies_tell_which_tables_decide_what_is_seen() {
    for &major in postgres_binaries::majors() {
        let seen = Seen::of(
            major,
            "create table teams (id int primary key); create table members (team int, who text, primary key (team, who));
             create table notes (id int primary key, team int, owner text); create schema auth;
             create table auth.bans (who text primary key);
             create function auth.banned(who text) returns bool language sql stable security definer
               begin atomic select exists (select from auth.bans b where b.who = banned.who); end;
             create function auth.me() returns text language sql stable
               begin atomic select current_setting('request.jwt.claims', true)::json ->> 'sub'; end;
             create function auth.team() returns int language sql stable as 'select 1';
             create function auth.is_fine(notes) returns bool language plpgsql stable as 'begin return true; end';
             create publication walcast for all tables;
             alter table notes enable row level security; alter table members enable row level security;",
        )
        .await;
        let role = as_reader(&seen).await;
        let run = async |sql: &str| {
            seen.client.batch_execute(&format!("reset role; {sql}; set role {role}")).await.unwrap();
        };
        assert_eq!(seen.guards("public.notes").await, Ok(set(&[])), "{major}");
        assert_eq!(seen.guards("public.teams").await, Ok(set(&[])));
        // Settings and names of the session are the identity's, and its own columns are the row's.
        run("create policy own on notes using (owner = current_user or owner = auth.me()
               or team = current_setting('app.team', true)::int)")
        .await;
        assert_eq!(seen.guards("public.notes").await, Ok(set(&[])), "{major}");
        run("create policy mine on notes for select using (
               exists (select from members m where m.team = notes.team and not auth.banned(m.who)))")
        .await;
        assert_eq!(seen.guards("public.notes").await, Ok(set(&["members", "auth.bans"])), "{major}");
        // What only says what may be written has no say in what is read.
        run("create policy ins on notes for insert with check (team = auth.team());
             create policy upd on notes for update using (team = auth.team())")
        .await;
        assert_eq!(seen.guards("public.notes").await, Ok(set(&["members", "auth.bans"])));
        // Nor has one for others.
        run(&format!(
            "create role {role}_2; create policy others on notes to {role}_2 using (team = auth.team())"
        ))
        .await;
        assert_eq!(seen.guards("public.notes").await, Ok(set(&["members", "auth.bans"])));
        run(&format!("grant {role}_2 to {role}")).await;
        refused(
            seen.guards("public.notes").await,
            &[
                "a row-security policy of public.notes calls the function auth.team(), of which",
                "COMMENT ON FUNCTION auth.team() IS '@walcast depends_on some_table",
            ],
        );
        run("comment on function auth.team() is '@walcast depends_on nothing'").await;
        assert_eq!(seen.guards("public.notes").await, Ok(set(&["members", "auth.bans"])));
        run("comment on function auth.team() is '@walcast depends_on public.teams'").await;
        assert_eq!(seen.guards("public.notes").await, Ok(set(&["members", "auth.bans", "teams"])));
        run("comment on function auth.team() is '@walcast depends_on nowhere'").await;
        refused(seen.guards("public.notes").await, &["auth.team()", "there is no nowhere"]);
        run(&format!("drop owned by {role}_2; drop role {role}_2")).await;
        run("create policy fine on notes using (auth.is_fine(notes))").await;
        refused(seen.guards("public.notes").await, &["auth.is_fine(notes)"]);
        run("drop policy fine on notes; create policy now on notes using (id < extract(epoch from now()))")
            .await;
        refused(seen.guards("public.notes").await, &["public.notes depends on what no table holds"]);
        run("alter table notes disable row level security").await;
        assert_eq!(seen.guards("public.notes").await, Ok(set(&[])), "{major}");
        // Its owner is not bound, unless it is forced.
        run(&format!("alter table notes enable row level security; alter table notes owner to {role}")).await;
        assert_eq!(seen.guards("public.notes").await, Ok(set(&[])), "{major}");
        run("alter table notes force row level security").await;
        assert!(seen.guards("public.notes").await.is_err(), "{major}");
        // Views read in their owner's rights.
        run(&format!(
            "alter table notes no force row level security; create role {role}_3; \
                      grant select on notes to {role}_3; create view all_notes as select id from notes;
                      alter view all_notes owner to {role}_3"
        ))
        .await;
        assert!(seen.guards("public.notes").await.is_err(), "{major}");
        run(&format!("reset role; drop owned by {role}_3; drop role {role}_3")).await;
        forget(&seen, &role).await;
    }
}

#[tokio::test]
async fn those_above_row_security_are_bound_by_no_policy() {
    let seen = Seen::of(
        postgres_binaries::majors()[0],
        "create table t (id int primary key); alter table t enable row level security, force row level security;
         create policy p on t using (id < random())",
    )
    .await;
    assert_eq!(seen.guards("public.t").await, Ok(set(&[])));
}

#[tokio::test]
async fn what_no_table_holds_makes_a_view_opaque() {
    for &major in postgres_binaries::majors() {
        let seen = Seen::of(
            major,
            "create table t (id int primary key); create publication walcast for all tables;
             create function looked_up(int, int) returns bool language sql stable as 'select true';
             create operator <=>= (leftarg = int, rightarg = int, function = looked_up);
             create view by_operator as select id from t where id <=>= 1;
             create view of_catalog as select relname from pg_class;
             create view of_session as select id from t where current_user = 'me';
             create view clear as select id from t;",
        )
        .await;
        let model = seen.model().await;
        let reads = |name: &str| {
            model
                .entities
                .iter()
                .find(|one| one.relation == name)
                .unwrap()
                .reads
                .clone()
                .map(|oids| oids.len())
        };
        assert_eq!(reads("clear"), Ok(1));
        for (view, word) in [
            (
                "by_operator",
                "the view public.by_operator calls the function public.looked_up(integer, integer), of",
            ),
            ("of_catalog", "the view public.of_catalog depends on what no table holds"),
            ("of_session", "the view public.of_session depends on what no table holds"),
        ] {
            let reason = reads(view).expect_err(view);
            assert!(reason.contains(word), "{reason} on {major}");
        }
        let declared = "comment on function looked_up is '@walcast depends_on t'";
        seen.client.batch_execute(declared).await.unwrap();
        let model = seen.model().await;
        let view = model.entities.iter().find(|one| one.relation == "by_operator").unwrap();
        assert_eq!(view.reads.as_ref().map(Vec::len), Ok(1), "{major}");
    }
}
