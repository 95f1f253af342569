//! A database that goes away, comes back, is another one, or is busy with itself, under load.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::Client;
use walcast::demo::cluster::{Cluster, Shutdown};

use crate::faults::{Load, patiently};
use crate::service::Service;
use crate::slot::Slot;
use crate::walcast::until;
use crate::{cluster, postgres_binaries};

async fn served(settings: &[(&str, &str)]) -> (Cluster, Client, Service) {
    let cluster = cluster::own(&postgres_binaries::of_major(15), settings);
    let url = cluster.url("postgres");
    let client = cluster::connect(&url).await;
    client.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    let service = Service::start(&url, &[]).await;
    (cluster, client, service)
}

/// What the server has printed since it was last asked.
fn printed(cluster: &Cluster, before: &mut usize) -> String {
    let log = std::fs::read_to_string(cluster.directory().join("log")).unwrap();
    let new = log[*before..].to_owned();
    *before = log.len();
    new
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_under_load_are_not_held_up_and_cost_nothing() {
    let (mut cluster, _, service) = served(&[]).await;
    let url = cluster.url("postgres");
    let mut load = Load::begin(&service, &url, 50, Duration::from_millis(2)).await;
    let slot = Slot::named(service.slot(), cluster::connect(&url).await);
    load.rows(30).await;
    let mut before = 0;
    for round in 0..6 {
        let shutdown = if round % 2 == 0 { Shutdown::Fast } else { Shutdown::Immediate };
        let held_back = cluster::connect(&url).await;
        let sql = "select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::int8 from pg_replication_slots \
                   where slot_name = $1";
        let behind: i64 = held_back.query_one(sql, &[&slot.name]).await.unwrap().get(0);
        assert!(behind > 0, "nothing is held back, so this shows nothing");
        printed(&cluster, &mut before);
        tokio::task::block_in_place(|| cluster.stop_server(shutdown)).unwrap();
        // A fast shutdown that does not end becomes an immediate one here, and the log would say so.
        let said = printed(&cluster, &mut before);
        if shutdown == Shutdown::Fast {
            assert!(said.contains("database system is shut down"), "{said}");
            assert!(!said.contains("immediate shutdown request"), "it waited for us:\n{said}");
        }
        assert_eq!(service.walcast().get("/health").await.0, 200);
        tokio::task::block_in_place(|| cluster.start_server()).unwrap();
        load.rows(30).await;
    }
    load.all_is_told().await;
}

#[tokio::test]
async fn catalogs_that_are_rewritten_under_load_cost_nothing() {
    let (cluster, client, service) = served(&[]).await;
    let mut load = Load::begin(&service, &cluster.url("postgres"), 20, Duration::from_millis(1)).await;
    for round in 0..8 {
        // New relations and types have the reader ask the catalogs that are locked.
        let sql = format!(
            "create type mood{round} as enum ('sad', 'ok'); create table m{round} (id int primary key, m mood{round}); \
             insert into m{round} values (1, 'ok'); alter table t add column extra{round} int default {round}"
        );
        client.batch_execute(&sql).await.unwrap();
        for catalog in
            ["pg_class", "pg_attribute", "pg_type", "pg_publication_rel", "pg_publication", "pg_index"]
        {
            // Whoever meets the reader in the wrong order gives way, or it does, and comes again.
            if let Err(error) = client.batch_execute(&format!("vacuum full {catalog}")).await {
                assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("40P01"), "{error}");
            }
        }
        load.rows(20).await;
    }
    load.all_is_told().await;
}

#[tokio::test]
async fn columns_that_come_and_go_under_load_cost_nothing() {
    let (cluster, client, service) = served(&[]).await;
    let mut load = Load::begin(&service, &cluster.url("postgres"), 20, Duration::from_millis(1)).await;
    for statement in [
        "alter table t add column c int default 7",
        "alter table t alter column c type text",
        "alter table t rename column c to d",
        "alter table t drop column d",
        "alter table t replica identity full",
        "alter table t alter column body type varchar(100)",
        "begin; alter table t rename to u; alter table u rename to t; commit",
        "cluster t using t_pkey",
    ] {
        load.rows(15).await;
        client.batch_execute(statement).await.unwrap();
    }
    load.rows(15).await;
    load.all_is_told().await;
}

#[tokio::test]
async fn processes_that_stand_still_are_waited_for_or_replaced() {
    let (cluster, client, service) = served(&[("wal_sender_timeout", "2s")]).await;
    let url = cluster.url("postgres");
    let mut load = Load::begin(&service, &url, 20, Duration::from_millis(5)).await;
    let slot = Slot::named(service.slot(), client);
    for seconds in [1, 5] {
        // The one that sends: the connection looks alive, and nothing comes.
        let walsender = slot.walsender().await.expect("it reads");
        kill(Pid::from_raw(walsender), Signal::SIGSTOP).unwrap();
        load.rows(20).await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        kill(Pid::from_raw(walsender), Signal::SIGCONT).unwrap();
        load.rows(20).await;
        // The one that reads, as a suspended machine would: after 2 s the server gives it up.
        service.walcast().signal(Signal::SIGSTOP);
        load.rows(20).await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        service.walcast().signal(Signal::SIGCONT);
        load.rows(20).await;
        until("it reads again", async || slot.walsender().await.is_some()).await;
    }
    load.all_is_told().await;
}

#[tokio::test]
async fn a_publication_that_is_replaced_under_load_costs_nothing() {
    let (cluster, client, service) = served(&[]).await;
    let mut load = Load::begin(&service, &cluster.url("postgres"), 20, Duration::from_millis(1)).await;
    for statement in [
        "create table other (id int primary key)",
        "alter publication walcast set (publish = 'insert')",
        "begin; drop publication walcast; create publication walcast for table t; commit",
        "alter publication walcast add table other",
        "alter publication walcast drop table other",
        "begin; drop publication walcast; create publication walcast for all tables; commit",
    ] {
        load.rows(15).await;
        client.batch_execute(statement).await.unwrap();
    }
    load.rows(15).await;
    load.all_is_told().await;
}

#[tokio::test]
async fn what_was_written_without_a_publication_is_named_as_lost_until_the_slot_is_given_up() {
    let (cluster, client, mut service) = served(&[]).await;
    let mut load = Load::begin(&service, &cluster.url("postgres"), 20, Duration::from_millis(5)).await;
    load.rows(20).await;
    let clients = load.all_is_told().await;
    client.batch_execute("drop publication walcast").await.unwrap();
    client.batch_execute("insert into t values (0)").await.unwrap();
    patiently("the log says how to go on", &mut async || {
        let ready = service.walcast().ready().await;
        ready["reason"].as_str().is_some_and(|reason| reason.contains("pg_drop_replication_slot"))
    })
    .await;
    service.kill();
    let slot = Slot::named(service.slot(), cluster::connect(&cluster.url("postgres")).await);
    slot.drop_under_its_reader().await;
    service.begin();
    service.walcast().wait_for_status("live").await;
    patiently("every client is told that it missed changes", &mut async || {
        clients.iter().all(|client| client.account().told.get("window") == Some(&1))
    })
    .await;
    client.batch_execute("insert into t values (-1)").await.unwrap();
    patiently("every client goes on", &mut async || {
        clients.iter().all(|client| client.account().ids.last() == Some(&-1))
    })
    .await;
}
