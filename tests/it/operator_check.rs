//! `walcast check` and `walcast remove`, run as the program against real servers.

use std::process::Output;

use serde_json::Value;

use crate::slot::{Slot, as_role};
use crate::walcast::{Walcast, command, until};
use crate::{cluster, postgres_binaries};

/// Runs a command with these words and settings: the exit code, and what it printed.
async fn run(words: &[&str], url: &str, environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = command();
    command.args(words).env("DATABASE_URL", url).envs(environment.iter().copied());
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The findings of a check, with the exit code that fits them.
struct Checked(Vec<Value>);

impl Checked {
    async fn of(url: &str, environment: &[(&str, &str)]) -> Self {
        let (code, out, error) = run(&["check", "--json"], url, environment).await;
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}{error}"));
        let findings = report["findings"].as_array().unwrap().clone();
        let ready = findings.iter().all(|finding| finding["status"] != "error");
        assert_eq!((report["ready"].as_bool(), code), (Some(ready), i32::from(!ready)), "{report:#}");
        Self(findings)
    }

    /// Demands a finding of this name and status, in which all these words stand.
    fn has(&self, name: &str, status: &str, words: &[&str]) {
        let found = self.0.iter().any(|finding| {
            let text = format!(
                "{} {}",
                finding["found"].as_str().unwrap(),
                finding["advice"].as_str().unwrap_or("")
            );
            finding["name"] == name
                && finding["status"] == status
                && words.iter().all(|word| text.contains(word))
        });
        assert!(found, "no {name} {status} {words:?} in {:#?}", self.0);
    }

    fn lacks(&self, name: &str) {
        assert!(self.0.iter().all(|finding| finding["name"] != name), "{name} is in {:#?}", self.0);
    }
}

#[tokio::test]
async fn a_ready_database_is_said_to_be_ready_before_and_while_walcast_runs() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute("create table t (id int primary key); create publication walcast for table t")
            .await
            .unwrap();
        let slot = Slot::new(database.connect().await);
        let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
        let before = Checked::of(&database.url(), &settings).await;
        for (name, words) in [
            ("server", &["PostgreSQL"][..]),
            ("way", &["127.0.0.1", "on this machine"]),
            ("wal_level", &["logical"]),
            ("rights", &["may replicate"]),
            ("replication", &["can be opened"]),
            ("slots", &["of 60 in use"]),
            ("senders", &["of 60 in use"]),
            ("publication", &["\"walcast\" publishes 1"]),
            ("identity", &["key: public.t."]),
            ("slot", &["there is no slot", "creates it"]),
            ("wal_sender_timeout", &["60000 ms"]),
            ("synchronous_standby_names", &["none"]),
        ] {
            before.has(name, "ok", words);
        }
        before.has("max_slot_wal_keep_size", "warning", &["no limit", "ALTER SYSTEM SET"]);
        before.lacks("unseen");
        before.lacks("idle_replication_slot_timeout");

        let walcast = Walcast::serve(&database, &settings).await;
        let during = Checked::of(&database.url(), &settings).await;
        during.has("slot", "ok", &["is read by walcast from 127.0.0.1"]);
        during.has("lag", "ok", &["Postgres keeps", "are not acknowledged", "window.wal_bytes (1 GiB)"]);
        // It disturbed nobody.
        assert_eq!(walcast.ready().await["status"], "live");
        assert_eq!(walcast.log().matches("\"streaming\"").count(), 1);
        let (code, table, _) = run(&["check"], &database.url(), &settings).await;
        assert_eq!(code, 0);
        assert!(
            table.contains("\nok       wal_level") && table.contains("\nready: 0 to be mended, "),
            "{table}"
        );
        assert!(walcast.stop().success());
        slot.left().await;
        let after = Checked::of(&database.url(), &settings).await;
        after.has("slot", "warning", &["nobody reads", "walcast remove"]);
    }
}

#[tokio::test]
async fn what_the_log_does_not_tell_is_named_with_the_statement_that_mends_it() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        // Before 15, publications tell all rows and columns of a table.
        let [columns, rows] = if major < 15 { ["", ""] } else { ["(id, a)", "where (id > 0)"] };
        let sql = format!(
            "create table keyed (id int primary key, twice int generated always as (id * 2) stored); \
            create table whole (v text); alter table whole replica identity full; \
            create table bare (v text); create table outside (id int primary key); \
            create unlogged table fleeting (id int primary key); \
            create materialized view summed as select count(*) from keyed; \
            create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing; \
            create foreign table far (id int) server nowhere; \
            create table parted (id int primary key) partition by list (id); \
            create table part1 partition of parted for values in (1); \
            create table sliced (id int primary key, a int, b int); \
            create publication walcast for table keyed, whole, bare, parted, sliced {columns}, only outside {rows} \
              with (publish = 'insert, update, delete', publish_via_partition_root = true); \
            create table \"Not There\" (id int primary key)"
        );
        client.batch_execute(&sql).await.unwrap();
        let slot = Slot::new(database.connect().await);
        let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
        let checked = Checked::of(&database.url(), &settings).await;
        checked.has(
            "identity",
            "error",
            &["public.bare", "fail", "ALTER TABLE public.bare REPLICA IDENTITY FULL"],
        );
        checked.has("identity", "ok", &["FULL: public.whole."]);
        checked.has("identity", "ok", &["key: public.keyed, public.outside, public.parted, public.sliced."]);
        checked.has("operations", "warning", &["truncate", "ALTER PUBLICATION \"walcast\" SET (publish"]);
        checked.has(
            "unseen",
            "warning",
            &["not published: public.\"Not There\"", "ADD TABLE public.\"Not There\""],
        );
        checked.has("unseen", "warning", &["unlogged", "public.fleeting", "SET LOGGED"]);
        checked.has("unseen", "warning", &["foreign", "public.far"]);
        checked.has("unseen", "warning", &["materialized", "public.summed"]);
        if major >= 15 {
            checked.has("unseen", "warning", &["column list", ": public.sliced"]);
            checked.has("unseen", "warning", &["row filter", ": public.outside"]);
        }
        let generated =
            if major >= 18 { "publish_generated_columns = stored" } else { "none before PostgreSQL 18" };
        checked.has("unseen", "warning", &["public.keyed.\"twice\"", generated]);
        // What it says mends it.
        client.batch_execute("alter table bare replica identity full").await.unwrap();
        if major >= 18 {
            client
                .batch_execute("alter publication walcast set (publish_generated_columns = stored)")
                .await
                .unwrap();
        }
        let mended = Checked::of(&database.url(), &settings).await;
        mended.has("identity", "ok", &["FULL: public.bare, public.whole."]);
        let generated =
            mended.0.iter().any(|finding| finding["found"].as_str().unwrap().contains("generated"));
        assert_eq!(generated, major < 18);
    }
}

#[tokio::test]
async fn a_missing_publication_is_shown_as_the_statement_that_makes_it() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute("create table a (id int primary key); create table bare (v text)").await.unwrap();
    let create = "CREATE PUBLICATION \"walcast\" FOR TABLE public.a WITH (publish_via_partition_root = true)";
    let missing = Checked::of(&database.url(), &[]).await;
    missing.has("publication", "error", &["there is no publication", create]);
    let own = [("WALCAST__REPLICATION__CREATE_PUBLICATION", "true")];
    Checked::of(&database.url(), &own).await.has("publication", "ok", &["walcast creates it", create]);
    client.batch_execute(create).await.unwrap();
    Checked::of(&database.url(), &[]).await.has("publication", "ok", &["publishes 1"]);
}

#[tokio::test]
async fn a_role_without_rights_is_told_what_it_lacks() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    let role = format!("Small {}", database.name());
    let quoted = postgres_protocol::escape::escape_identifier(&role);
    client
        .batch_execute(&format!(
            "create role {quoted} login password 'p'; create publication walcast for all tables"
        ))
        .await
        .unwrap();
    let url = as_role(&database.url(), &role, "p");
    let checked = Checked::of(&url, &[]).await;
    let grant = format!("ALTER ROLE {quoted} REPLICATION");
    checked.has("rights", "error", &[&grant]);
    checked.has("replication", "error", &["pg_hba.conf"]);
    client.batch_execute(&grant).await.unwrap();
    let granted = Checked::of(&url, &[]).await;
    granted.has("rights", "ok", &["may replicate"]);
    granted.has("replication", "ok", &[]);
    let drop = format!("drop role {quoted}");
    client.batch_execute(&drop).await.unwrap();
}

/// One cluster of its own sees what concerns all of a server.
#[tokio::test]
async fn settings_of_the_server_that_endanger_the_slot_or_the_application_are_named() {
    let settings = [
        ("wal_sender_timeout", "0"),
        ("max_slot_wal_keep_size", "16MB"),
        ("synchronous_standby_names", "*"),
        ("synchronous_commit", "local"),
        ("idle_replication_slot_timeout", "1h"),
        ("max_replication_slots", "1"),
    ];
    let cluster = cluster::own(&postgres_binaries::of_major(18), &settings);
    let url = cluster.url("postgres");
    let client = cluster::connect(&url).await;
    client.batch_execute("create publication walcast for all tables").await.unwrap();
    let other = Slot::created(cluster::connect(&url).await).await;
    let checked = Checked::of(&url, &[]).await;
    checked.has("slots", "error", &["1 of 1 in use", "max_replication_slots"]);
    checked.has("wal_sender_timeout", "warning", &["never gives a vanished reader up"]);
    checked.has("synchronous_standby_names", "error", &["commits wait"]);
    checked.has("idle_replication_slot_timeout", "warning", &["1h"]);
    checked.has("max_slot_wal_keep_size", "warning", &["16 MiB", "window.wal_bytes (1 GiB)"]);
    let small = [("WALCAST__WINDOW__WAL_BYTES", "1048576")];
    Checked::of(&url, &small).await.has("max_slot_wal_keep_size", "ok", &["16 MiB"]);
    checked.has("publication", "warning", &["publishes no table"]);

    // The slot is there, and is given up.
    let lost = "select wal_status = 'lost' from pg_replication_slots where slot_name = $1";
    until("Postgres gives the slot up", async || {
        let write = "select pg_logical_emit_message(false, 'filler', repeat('x', 1000000)) from generate_series(1, 20)";
        client.batch_execute(&format!("{write}; select pg_switch_wal(); checkpoint")).await.unwrap();
        client.query_one(lost, &[&other.name]).await.unwrap().get(0)
    })
    .await;
    let lost = [("WALCAST__REPLICATION__SLOT", other.name.as_str())];
    let drop = format!("pg_drop_replication_slot('{}')", other.name);
    Checked::of(&url, &lost).await.has("slot", "error", &["is lost by max_slot_wal_keep_size", &drop]);
    let recreate = [lost[0], ("WALCAST__REPLICATION__ON_SLOT_LOST", "recreate")];
    Checked::of(&url, &recreate).await.has("slot", "warning", &["makes it anew"]);

    let replica = cluster::own(&postgres_binaries::of_major(15), &[("wal_level", "replica")]);
    Checked::of(&replica.url("postgres"), &[]).await.has("wal_level", "error", &["replica", "ALTER SYSTEM"]);
}

#[tokio::test]
async fn a_database_that_cannot_be_asked_is_neither_ready_nor_not() {
    for (url, words) in [
        ("postgres://u@127.0.0.1:1/d", "walcast: cannot connect to the database: "),
        ("postgres://u@127.0.0.1:1/d?sslmode=allow", "walcast: 1 setting is wrong"),
    ] {
        for words_of in [&["check"][..], &["check", "--json"]] {
            let (code, out, error) = run(words_of, url, &[]).await;
            assert_eq!((code, out.as_str()), (2, ""));
            assert!(error.starts_with(words), "{error}");
        }
    }
}

#[tokio::test]
async fn what_walcast_made_is_removed_once_nobody_uses_it() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let slot = Slot::new(database.connect().await);
        let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
        let walcast = Walcast::serve(&database, &settings).await;
        let left = async || -> (i64, i64) {
            let sql = "select (select count(*) from pg_replication_slots where slot_name = $1), \
                       (select count(*) from pg_publication)";
            let row = client.query_one(sql, &[&slot.name]).await.unwrap();
            (row.get(0), row.get(1))
        };
        let pid = slot.walsender().await.unwrap();
        let (code, out, error) = run(&["remove", "--publication"], &database.url(), &settings).await;
        assert_eq!((code, out.as_str()), (1, ""));
        for word in [&slot.name, &format!("read by walcast from 127.0.0.1 (pid {pid})"), "stop it first"] {
            assert!(error.contains(word), "{word:?} in {error}");
        }
        assert_eq!(left().await, (1, 1));
        assert!(walcast.stop().success());
        slot.left().await;

        let (code, out, _) = run(&["remove"], &database.url(), &settings).await;
        assert_eq!(code, 0);
        assert!(out.starts_with(&format!("dropped the slot \"{}\"; Postgres had kept ", slot.name)), "{out}");
        assert_eq!(left().await, (0, 1));
        let (code, out, _) = run(&["remove", "--publication"], &database.url(), &settings).await;
        assert_eq!(code, 0);
        let both = format!("there is no slot \"{}\"\ndropped the publication \"walcast\"\n", slot.name);
        assert_eq!((out, left().await), (both, (0, 0)));
    }
}

#[tokio::test]
async fn a_slot_of_another_use_is_not_removed() {
    let shared = cluster::shared(15);
    let (database, other) = (shared.database().await, shared.database().await);
    let slot = Slot::created(other.connect().await).await;
    let settings = [("WALCAST__REPLICATION__SLOT", slot.name.as_str())];
    let (code, _, error) = run(&["remove"], &database.url(), &settings).await;
    assert!(code == 1 && error.contains("is not walcast's") && error.contains(other.name()), "{error}");
    assert_ne!(slot.confirmed().await, walcast::lsn::Lsn(0));
}

#[tokio::test]
async fn falling_behind_is_warned_of_once_and_catching_up_is_told() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    client.batch_execute("create table t (id int primary key, v text)").await.unwrap();
    let walcast = Walcast::serve(&database, &[("WALCAST__REPLICATION__LAG_WARN_BYTES", "1048576")]).await;
    // Decoding is held up in the server itself.
    let sql = "select active_pid from pg_replication_slots where database = current_database()";
    let pid: i32 = client.query_one(sql, &[]).await.unwrap().get(0);
    let walsender = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(walsender, nix::sys::signal::Signal::SIGSTOP).unwrap();
    client
        .batch_execute("insert into t select i, repeat('x', 1000) from generate_series(1, 3000) i")
        .await
        .unwrap();
    walcast.wait_for_log("walcast is behind the database").await;
    nix::sys::signal::kill(walsender, nix::sys::signal::Signal::SIGCONT).unwrap();
    walcast.wait_for_log("walcast has caught up with the database").await;
    assert_eq!(walcast.log().matches("walcast is behind the database").count(), 1);
}
