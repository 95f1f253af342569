//! Random faults against random writes. At rest, an oracle compares what every client holds with what SQL says, and what
//! it was told with what others on its topic were told.
//!
//! A short one runs with the tests; `make soak MINUTES=30` runs as long as one likes.

mod fault;
mod oracle;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;
use walcast::demo::cluster::Cluster;

use crate::follower::{Follower, Keeping, Way};
use crate::proxy::Proxy;
use crate::service::Service;
use crate::{cluster, postgres_binaries};
use fault::Fault;

/// How often it is said how far it came.
const PROGRESS: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
create table items (id int primary key, n int, body text);
alter table items replica identity full;
create table journal (id int generated always as identity primary key, n int, body text);";

/// Topic and what it shows.
const TOPICS: [(&str, &str); 3] = [
    ("realtime:public:items", "select id, n::int, body from items"),
    ("realtime:public:items:n=lt.500", "select id, n::int, body from items where n < 500"),
    ("realtime:public:journal", "select id, n, body from journal"),
];

/// How many follow each topic, and how they are told.
const WAYS: [(Way, usize); 4] = [(Way::Socket, 3), (Way::Snapshots, 2), (Way::Events, 2), (Way::Polls, 2)];

/// A client and what it should hold.
struct Watcher {
    follower: Follower,
    way: Way,
    topic: &'static str,
    sql: &'static str,
}

/// All of it.
struct Soak {
    random: Rng,
    cluster: Cluster,
    proxy: Proxy,
    service: Service,
    watchers: Vec<Watcher>,
    /// Held for writing while everything is at rest.
    rest: Arc<RwLock<()>>,
    transactions: Arc<AtomicU64>,
    writers: Vec<JoinHandle<()>>,
    faults: BTreeMap<&'static str, u64>,
    /// The most log between the slot's position and the end, in bytes.
    lag: Arc<AtomicU64>,
    rounds: u64,
}

impl Soak {
    async fn start(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let settings = [("wal_sender_timeout", "3s"), ("max_connections", "200")];
        let cluster = cluster::own(&postgres_binaries::of_major(15), &settings);
        let url = cluster.url("postgres");
        cluster::connect(&url).await.batch_execute(SCHEMA).await.unwrap();
        let proxy = Proxy::to(cluster.port());
        // Small pieces of work are enough to fall out of such a window.
        let settings =
            [("WALCAST__WINDOW__BYTES", "2097152"), ("WALCAST__REPLICATION__ON_SLOT_LOST", "recreate")];
        let service = Service::start(&proxy.url(&url), &settings).await;
        let at = service.at();
        let mut watchers = Vec::new();
        for (topic, sql) in TOPICS {
            let keeping = Keeping::Table { url: url.clone(), sql: sql.to_owned() };
            for (way, count) in WAYS {
                for _ in 0..count {
                    let follower = Follower::by(way, &at, topic, keeping.clone());
                    watchers.push(Watcher { follower, way, topic, sql });
                }
            }
        }
        let rest = Arc::new(RwLock::new(()));
        let transactions = Arc::new(AtomicU64::new(0));
        let writers = (0..3).map(|number| {
            let random = Rng::with_seed(seed ^ (number << 32) ^ random.u64(..));
            tokio::spawn(writer::write(url.clone(), random, Arc::clone(&rest), Arc::clone(&transactions)))
        });
        let mut writers: Vec<_> = writers.collect();
        let lag = Arc::new(AtomicU64::new(0));
        writers.push(tokio::spawn(oracle::measure(url, Arc::clone(&lag))));
        let (faults, rounds) = (BTreeMap::new(), 0);
        Self { random, cluster, proxy, service, watchers, rest, transactions, writers, faults, lag, rounds }
    }

    /// Some faults, then rest.
    async fn round(&mut self) {
        for _ in 0..self.random.usize(1..5) {
            self.pause(1500).await;
            let fault = Fault::any(&mut self.random);
            *self.faults.entry(fault.name()).or_default() += 1;
            self.inflict(fault).await;
        }
        self.pause(1000).await;
        self.compare().await;
        self.rounds += 1;
    }

    async fn pause(&mut self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(self.random.u64(..milliseconds))).await;
    }

    fn sum(&self, of: impl Fn(&crate::follower::Account) -> u64) -> u64 {
        self.watchers.iter().map(|watcher| of(&watcher.follower.account())).sum()
    }

    fn progress(&mut self, begun: Instant) {
        println!(
            "{:5} s  {} rounds, {} faults, {} transactions, {} changes told, {} resumed, {} told of a loss, {} MiB",
            begun.elapsed().as_secs(),
            self.rounds,
            self.faults.values().sum::<u64>(),
            self.transactions.load(Ordering::Relaxed),
            self.sum(|account| account.changes),
            self.sum(|account| account.resumed),
            self.sum(crate::follower::Account::losses_told),
            self.service.peak() >> 20,
        );
    }

    fn report(&mut self, seed: u64, begun: Instant) {
        self.progress(begun);
        println!("seed                 {seed}");
        println!("seconds              {}", begun.elapsed().as_secs());
        for (way, count) in WAYS {
            println!("clients              {} x {way:?}", TOPICS.len() * count);
        }
        println!("comparisons at rest  {}", self.rounds);
        for (fault, count) in &self.faults {
            println!("fault                {count:5} x {fault}");
        }
        let mut told = BTreeMap::<String, u64>::new();
        for watcher in &self.watchers {
            for (reason, count) in &watcher.follower.account().told {
                *told.entry(reason.clone()).or_default() += count;
            }
        }
        println!("transactions         {}", self.transactions.load(Ordering::Relaxed));
        println!("changes told         {}", self.sum(|account| account.changes));
        println!("joins                {}", self.sum(|account| account.joins));
        println!("resumed              {}", self.sum(|account| account.resumed));
        println!("told of a loss       {told:?}");
        println!("snapshots            {}", self.sum(|account| account.snapshots));
        println!("interrupted          {}", self.sum(|account| account.interrupted));
        // Anything else ended the run where it was seen.
        println!("lost                 0");
        println!("duplicated           {}", self.sum(|account| account.duplicated));
        println!("disordered           {}", self.sum(|account| account.disordered));
        println!("peak memory          {} MiB", self.service.peak() >> 20);
        println!("greatest slot lag    {} MiB", self.lag.load(Ordering::Relaxed) >> 20);
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        self.writers.iter().for_each(JoinHandle::abort);
    }
}

async fn run(seed: u64, time: Duration) {
    println!("seed {seed}, {} s", time.as_secs());
    let begun = Instant::now();
    let mut soak = Soak::start(seed).await;
    let mut said = Instant::now();
    while begun.elapsed() < time {
        soak.round().await;
        if said.elapsed() >= PROGRESS {
            said = Instant::now();
            soak.progress(begun);
        }
    }
    soak.report(seed, begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_for_half_a_minute_clients_hold_what_sql_says() {
    run(20_260, Duration::from_secs(20)).await;
}

/// `MINUTES` says how long, `SEED` repeats the faults of another run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "as long as one likes: make soak"]
async fn whatever_breaks_for_minutes_clients_hold_what_sql_says() {
    let number = |name| {
        let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
        Some(text.parse::<u64>().expect(name))
    };
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    run(seed, Duration::from_secs(60 * number("MINUTES").unwrap_or(30))).await;
}
