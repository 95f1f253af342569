//! What must be true at rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;
use walcast::lsn::Cursor;

use super::{Soak, TOPICS};
use crate::cluster;
use crate::follower::{Account, Follower, Row, select};
use crate::slot::written;

/// How long clients may take to have everything once nobody writes.
const SETTLING: Duration = Duration::from_secs(90);

impl Soak {
    /// Stops the writers, waits until every client holds what SQL says, and compares what they were told.
    pub(super) async fn compare(&mut self) {
        let rest = Arc::clone(&self.rest);
        let _rest = rest.write().await;
        let url = self.cluster.url("postgres");
        let client = cluster::connect(&url).await;
        // A backend whose client went away may still be writing.
        let busy = "select count(*) from pg_stat_activity where backend_type = 'client backend' and xact_start is not \
                    null and pid <> pg_backend_pid() and application_name not like 'walcast%'";
        let begun = Instant::now();
        while client.query_one(busy, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(begun.elapsed() < SETTLING, "somebody still writes");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // A client that has just read the table holds what SQL says and still has to be told of what led there: only
        // who was told of a last change has been told of everything.
        let end = written(&client).await;
        let last = "begin; insert into journal (n, body) values (0, 'rest'); \
                    insert into items values (-1, 0, 'rest') on conflict (id) do update set n = 0; commit";
        client.batch_execute(last).await.unwrap();
        let mut tables = BTreeMap::new();
        for (topic, sql) in TOPICS {
            tables.insert(topic, select(&url, sql).await.expect("the server is there"));
        }
        for watcher in &self.watchers {
            let truth = &tables[watcher.topic];
            while !watcher.follower.account().holds(truth, end) {
                watcher.follower.assert_alive();
                if begun.elapsed() > SETTLING {
                    let account = watcher.follower.account();
                    panic!(
                        "{} ({}, {:?}) differs from SQL: {}; {} joins, {:?}, {:?}\n{}",
                        watcher.topic,
                        watcher.sql,
                        watcher.way,
                        differences(truth, &account.table),
                        account.joins,
                        account.told,
                        account.refused,
                        self.service.walcast().log(),
                    );
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        for (topic, _) in TOPICS {
            let followers = self.watchers.iter().filter(|watcher| watcher.topic == topic);
            let followers: Vec<&Follower> = followers.map(|watcher| &watcher.follower).collect();
            agree(topic, &followers, &self.service.walcast().log());
        }
    }
}

/// What one client was told, all others on its topic were told, unless they were told that they might have missed it.
fn agree(topic: &str, followers: &[&Follower], log: &str) {
    let mut all = BTreeSet::new();
    for follower in followers {
        all.extend(follower.account().cursors.iter().copied());
    }
    for (number, follower) in followers.iter().enumerate() {
        let mut account = follower.account();
        assert_eq!((account.duplicated, account.disordered), (0, 0), "{topic}, client {number}\n{log}");
        let missing = missing(&all, &account);
        assert!(
            missing.is_empty(),
            "{topic}, client {number} misses {} changes from {} to {}, gaps {:?}\n{log}",
            missing.len(),
            missing[0],
            missing[missing.len() - 1],
            account.gaps,
        );
        account.forget();
    }
}

fn missing(all: &BTreeSet<Cursor>, account: &Account) -> Vec<Cursor> {
    let told = |cursor: &Cursor| {
        account.cursors.binary_search(cursor).is_ok()
            || account.gaps.iter().any(|(from, to)| cursor > from && cursor <= to)
    };
    all.iter().filter(|cursor| !told(cursor)).copied().collect()
}

fn differences(truth: &BTreeMap<i64, Row>, held: &BTreeMap<i64, Row>) -> String {
    let ids = |these: &BTreeMap<i64, Row>, those: &BTreeMap<i64, Row>| -> Vec<i64> {
        these.iter().filter(|(id, row)| those.get(id) != Some(row)).map(|(id, _)| *id).take(20).collect()
    };
    format!("only in SQL {:?}, only held {:?}", ids(truth, held), ids(held, truth))
}

/// Notes the greatest distance between the slot and the end of the log, for ever.
pub(super) async fn measure(url: String, lag: Arc<AtomicU64>) {
    loop {
        if let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await {
            tokio::spawn(connection);
            let sql = "select max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn))::int8 \
                       from pg_replication_slots";
            while let Ok(row) = client.query_one(sql, &[]).await {
                let now = row.get::<_, Option<i64>>(0).unwrap_or_default();
                lag.fetch_max(u64::try_from(now).unwrap_or_default(), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
