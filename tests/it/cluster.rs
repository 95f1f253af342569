//! Real Postgres servers for the tests: one cluster for each major in a test process, one database for each test.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};
use walcast::demo::cluster::{Binaries, Cluster, Options};

use crate::postgres_binaries;

/// A cluster that the tests of this process share. It ends with the process, however that ends.
pub struct SharedCluster {
    cluster: Cluster,
    databases: AtomicU32,
}

/// A database of one test; dropping it drops it, with its slots and whoever still uses them.
pub struct Database {
    cluster: &'static SharedCluster,
    name: String,
}

/// The shared cluster of `major`, started by whoever asks first.
pub fn shared(major: u16) -> &'static SharedCluster {
    static CLUSTERS: Mutex<Option<HashMap<u16, &'static OnceLock<SharedCluster>>>> = Mutex::new(None);
    // The lock is held for the look-up alone, so that two majors start side by side; a test that failed to
    // start its cluster leaves the others to try for themselves.
    let cell = {
        let mut clusters = CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner);
        *clusters.get_or_insert_default().entry(major).or_insert_with(|| Box::leak(Box::default()))
    };
    cell.get_or_init(|| SharedCluster::start(&postgres_binaries::of_major(major)))
}

/// The shared cluster of the machine's own Postgres, which has contrib: hstore, citext.
pub fn system() -> &'static SharedCluster {
    static CLUSTER: OnceLock<SharedCluster> = OnceLock::new();
    CLUSTER.get_or_init(|| SharedCluster::start(&postgres_binaries::of_system()))
}

/// A cluster for one test alone, which may stop it, restart it or give it settings of its own.
pub fn own(binaries: &Binaries, settings: &[(&str, &str)]) -> Cluster {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let options = Options { settings, ..Options::default() };
    Cluster::start(binaries, &options, &mut |_| ()).unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// A session; its connection task runs on the calling runtime and ends with the client.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connect");
    // An error of the connection shows itself in the client's calls.
    tokio::spawn(connection);
    client
}

impl SharedCluster {
    fn start(binaries: &Binaries) -> Self {
        // Every test has connections, and a slot with its walsender, and they run side by side.
        let options = Options {
            max_wal_senders: 60,
            max_replication_slots: 60,
            settings: [("max_connections", "300"), ("max_prepared_transactions", "20")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            ..Options::default()
        };
        let cluster = Cluster::start(binaries, &options, &mut |_| ());
        let cluster = cluster.unwrap_or_else(|error| panic!("{}", chain(&error)));
        Self { cluster, databases: AtomicU32::new(0) }
    }

    /// The cluster itself, for what concerns all of it.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// An empty database for one test.
    pub async fn database(&'static self) -> Database {
        self.database_with("").await
    }

    /// As [`SharedCluster::database`], with options of `CREATE DATABASE`, such as an encoding.
    pub async fn database_with(&'static self, options: &str) -> Database {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let client = connect(&self.cluster.url("postgres")).await;
        client.batch_execute(&format!("create database {name} {options}")).await.expect("create database");
        Database { cluster: self, name }
    }
}

impl Database {
    /// The superuser's URL for it.
    pub fn url(&self) -> String {
        self.cluster.cluster.url(&self.name)
    }

    /// Its name, an identifier that needs no quotes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A superuser's session in it.
    pub async fn connect(&self) -> Client {
        connect(&self.url()).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let url = self.cluster.cluster.url("postgres");
        let name = self.name.clone();
        // Inside a test's runtime nothing can be waited for, hence a thread with a runtime of its own.
        let dropper = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.ok().and_then(|runtime| runtime.block_on(drop_database(&url, &name)).err())
        });
        let error = dropper.join().ok().flatten();
        // What is left over ends with the cluster; a test that failed already has something to say.
        if let (Some(error), false) = (error, thread::panicking()) {
            eprintln!("cannot drop database {}: {error}", self.name);
        }
    }
}

async fn drop_database(url: &str, name: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let deadline = Instant::now() + Duration::from_secs(10);
    // A walsender that was told to end holds its slot for a moment longer, and a reader may come back.
    loop {
        let active = "select pg_terminate_backend(active_pid) from pg_replication_slots \
                      where database = $1 and active_pid is not null";
        client.execute(active, &[&name]).await?;
        let dropped = "select pg_drop_replication_slot(slot_name) from pg_replication_slots \
                       where database = $1 and active_pid is null";
        let outcome = client.execute(dropped, &[&name]).await.map(drop);
        let left = client
            .query_one("select count(*) from pg_replication_slots where database = $1", &[&name])
            .await?;
        if left.get::<_, i64>(0) == 0 {
            break;
        }
        if Instant::now() > deadline {
            return outcome;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.batch_execute(&format!("drop database if exists {name} with (force)")).await
}

/// An error with its causes, as the binary prints it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
