//! Faults under load, with clients that come back by themselves and count: every row is told once and in order.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::{self, Database};
use crate::follower::{Follower, Keeping};
use crate::service::Service;
use crate::slot::Slot;

const TOPIC: &str = "realtime:public:t";
const TABLE: &str = "create table t (id int primary key, body text)";

/// Longer than anything takes, on a machine that does other things too.
const LONG: Duration = Duration::from_secs(120);

/// `ordinary` in the ordinary run, `long` with `WALCAST_TEST_LONG=1`.
pub fn scale<T>(ordinary: T, long: T) -> T {
    match std::env::var("WALCAST_TEST_LONG").as_deref() {
        Err(_) => ordinary,
        Ok("1") => long,
        Ok(other) => panic!("WALCAST_TEST_LONG is `{other}`: set it to `1` or not at all"),
    }
}

/// Clients that follow one table, and a writer of its rows, whose ids grow by one.
pub struct Load {
    clients: Vec<Follower>,
    writer: JoinHandle<()>,
    written: watch::Receiver<i32>,
    stop: watch::Sender<bool>,
}

impl Load {
    /// Starts as many clients, waits until all have joined, and begins to write a row every `pace`.
    pub async fn begin(service: &Service, url: &str, clients: usize, pace: Duration) -> Self {
        Self::at(service.at(), url, clients, pace).await
    }

    /// As [`Load::begin`], of clients that find the server where `at` says.
    pub async fn at(at: watch::Receiver<SocketAddr>, url: &str, clients: usize, pace: Duration) -> Self {
        let clients: Vec<Follower> =
            (0..clients).map(|_| Follower::start(&at, TOPIC, Keeping::Ids)).collect();
        patiently("every client has joined", &mut async || {
            clients.iter().all(|client| client.account().joins > 0)
        })
        .await;
        let (stop, stopped) = watch::channel(false);
        let (count, written) = watch::channel(0);
        let url = url.to_owned();
        let writer = tokio::spawn(async move {
            let mut next = 1;
            while !*stopped.borrow() {
                // The server may be away.
                let _ = write(&url, &mut next, pace, &count, &stopped).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { clients, writer, written, stop }
    }

    /// Waits until so many more rows are written.
    pub async fn rows(&mut self, more: i32) {
        let enough = *self.written.borrow() + more;
        let written = self.written.wait_for(|written| *written >= enough);
        tokio::time::timeout(LONG, written).await.expect("rows are written").expect("the writer lives");
    }

    /// Ends the writing, waits until every client has every row, and demands that none was told twice, out of order,
    /// or as lost.
    pub async fn all_is_told(self) -> Vec<Follower> {
        self.stop.send_replace(true);
        self.writer.await.unwrap();
        let rows = usize::try_from(*self.written.borrow()).unwrap();
        let clients = self.clients;
        patiently(&format!("every client has {rows} rows"), &mut async || {
            clients.iter().for_each(Follower::assert_alive);
            clients.iter().all(|client| client.account().ids.len() >= rows)
        })
        .await;
        for (number, client) in clients.iter().enumerate() {
            let account = client.account();
            let told = (&account.told, account.duplicated, account.disordered);
            assert_eq!(told, (&[].into(), 0, 0), "client {number}: {:?}", account.refused);
            let expected: Range<i64> = 1..i64::try_from(rows).unwrap() + 1;
            assert!(account.ids.iter().copied().eq(expected), "client {number} misses rows");
        }
        clients
    }
}

/// Writes until it is told to stop or the server goes away. A commit of which nothing was heard may have happened.
async fn write(
    url: &str,
    next: &mut i32,
    pace: Duration,
    count: &watch::Sender<i32>,
    stopped: &watch::Receiver<bool>,
) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let known: i32 = client.query_one("select coalesce(max(id), 0) from t", &[]).await?.get(0);
    *next = known + 1;
    while !*stopped.borrow() {
        client.execute("insert into t values ($1, 'a text')", &[next]).await?;
        count.send_replace(*next);
        *next += 1;
        tokio::time::sleep(pace).await;
    }
    Ok(())
}

/// Waits for a condition of many clients, which takes longer than that of one.
pub async fn patiently(what: &str, condition: &mut impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, wait).await.is_ok(), "this never came true: {what}");
}

async fn served(settings: &[(&str, &str)]) -> (Database, Service) {
    let database = cluster::shared(15).database().await;
    database.connect().await.batch_execute(TABLE).await.unwrap();
    let service = Service::start(&database.url(), settings).await;
    (database, service)
}

#[tokio::test]
async fn a_thousand_clients_survive_kills_at_random_moments() {
    let (database, mut service) = served(&[]).await;
    let (clients, kills) = scale((1000, 3), (1000, 100));
    let mut load = Load::begin(&service, &database.url(), clients, Duration::from_millis(20)).await;
    for _ in 0..kills {
        load.rows(fastrand::i32(5..50)).await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..300))).await;
        service.kill();
        load.rows(fastrand::i32(1..20)).await;
        service.begin();
        // Sometimes it is killed while it reads the window again.
        if fastrand::bool() {
            service.walcast().wait_for_status("live").await;
        }
    }
    load.rows(20).await;
    let clients = load.all_is_told().await;
    let resumed: u64 = clients.iter().map(|client| client.account().resumed).sum();
    assert!(resumed >= clients.len() as u64, "{resumed} came back");
}

#[tokio::test]
async fn a_walsender_that_is_terminated_under_load_costs_nothing() {
    let (database, service) = served(&[]).await;
    let mut load = Load::begin(&service, &database.url(), 50, Duration::from_millis(2)).await;
    let slot = Slot::named(service.slot(), database.connect().await);
    for _ in 0..10 {
        load.rows(fastrand::i32(10..80)).await;
        slot.terminate().await;
    }
    for client in load.all_is_told().await {
        let account = client.account();
        assert_eq!((account.joins, account.interrupted), (1, 0), "nobody was disturbed");
    }
}

#[tokio::test]
async fn a_successor_takes_over_under_load_and_whoever_resumes_misses_nothing() {
    let (database, mut service) = served(&[]).await;
    let mut load = Load::begin(&service, &database.url(), 100, Duration::from_millis(5)).await;
    for _ in 0..3 {
        load.rows(50).await;
        service.succeed().await;
    }
    load.rows(50).await;
    for client in load.all_is_told().await {
        // Not every one came back to each of them: some were still on their way when the next one came.
        assert!(client.account().resumed >= 1);
    }
}
