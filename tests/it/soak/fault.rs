//! What breaks.

use std::time::Duration;

use fastrand::Rng;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use walcast::demo::cluster::Shutdown;

use super::Soak;
use crate::cluster;
use crate::slot::Slot;

/// Each is over when it has been inflicted: whatever was stopped runs again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Killed,
    Succeeded,
    Paused,
    WalsenderTerminated,
    WalsenderPaused,
    RestartedFast,
    RestartedImmediately,
    NetworkCut,
    NetworkFrozen,
    SocketsCut,
    ClientsDeaf,
    Altered,
    CatalogsRewritten,
    LargeTransaction,
    LargeRow,
    Truncated,
    SlotDropped,
}

impl Fault {
    const ALL: [Self; 17] = [
        Self::Killed,
        Self::Succeeded,
        Self::Paused,
        Self::WalsenderTerminated,
        Self::WalsenderPaused,
        Self::RestartedFast,
        Self::RestartedImmediately,
        Self::NetworkCut,
        Self::NetworkFrozen,
        Self::SocketsCut,
        Self::ClientsDeaf,
        Self::Altered,
        Self::CatalogsRewritten,
        Self::LargeTransaction,
        Self::LargeRow,
        Self::Truncated,
        Self::SlotDropped,
    ];

    pub(super) fn any(random: &mut Rng) -> Self {
        Self::ALL[random.usize(..Self::ALL.len())]
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Killed => "kill -9 of walcast",
            Self::Succeeded => "SIGTERM of walcast with a successor",
            Self::Paused => "pause of walcast",
            Self::WalsenderTerminated => "walsender terminated",
            Self::WalsenderPaused => "pause of the walsender",
            Self::RestartedFast => "fast restart of Postgres",
            Self::RestartedImmediately => "immediate restart of Postgres",
            Self::NetworkCut => "connections to Postgres cut",
            Self::NetworkFrozen => "connections to Postgres frozen",
            Self::SocketsCut => "clients' sockets cut",
            Self::ClientsDeaf => "clients that do not read",
            Self::Altered => "DDL",
            Self::CatalogsRewritten => "VACUUM FULL of catalogs",
            Self::LargeTransaction => "large transaction",
            Self::LargeRow => "large row",
            Self::Truncated => "TRUNCATE",
            Self::SlotDropped => "slot dropped",
        }
    }
}

impl Soak {
    pub(super) async fn inflict(&mut self, fault: Fault) {
        match fault {
            Fault::Killed => {
                self.service.kill();
                self.pause(700).await;
                self.resize_window();
                self.service.begin();
            }
            Fault::Succeeded => {
                self.resize_window();
                self.service.succeed().await;
            }
            Fault::Paused => {
                self.service.walcast().signal(Signal::SIGSTOP);
                self.pause(5000).await;
                self.service.walcast().signal(Signal::SIGCONT);
            }
            Fault::WalsenderTerminated => {
                self.execute("select pg_terminate_backend(active_pid) from pg_replication_slots").await;
            }
            Fault::WalsenderPaused => self.pause_walsender().await,
            Fault::RestartedFast => self.restart(Shutdown::Fast).await,
            Fault::RestartedImmediately => self.restart(Shutdown::Immediate).await,
            Fault::NetworkCut => self.proxy.lead_to(self.cluster.port()),
            Fault::NetworkFrozen => self.proxy.freeze(),
            Fault::SocketsCut => self.some(|watcher, _| watcher.follower.cut()),
            Fault::ClientsDeaf => self.some(|watcher, random| {
                watcher.follower.deafen(Duration::from_millis(random.u64(500..6000)));
            }),
            Fault::Altered => {
                let statements = [
                    "alter table items add column if not exists extra text default 'extra'",
                    "alter table items drop column if exists extra",
                    "alter table items alter column n type bigint",
                    "alter table items alter column n type int",
                    "create table if not exists passing (id int primary key); drop table passing",
                ];
                let statement = statements[self.random.usize(..statements.len())];
                self.execute(statement).await;
            }
            Fault::CatalogsRewritten => {
                for catalog in ["pg_class", "pg_attribute", "pg_type", "pg_publication_rel"] {
                    self.execute(&format!("vacuum full {catalog}")).await;
                }
            }
            Fault::LargeTransaction => {
                let rows = self.random.i32(1_000..20_000);
                self.execute(&format!(
                    "insert into journal (n, body) select i, repeat('x', 100) from generate_series(1, {rows}) i"
                ))
                .await;
                self.execute("delete from journal where id < (select max(id) - 5000 from journal)").await;
            }
            Fault::LargeRow => {
                let (id, kilobytes) = (self.random.i32(0..800), self.random.i32(500..8_000));
                self.execute(&format!(
                    "update items set body = (select string_agg(md5(i::text), '') from generate_series(1, {}) i) \
                     where id >= {id} and id < {id} + 2",
                    kilobytes * 32
                ))
                .await;
            }
            Fault::Truncated => self.execute("truncate items").await,
            Fault::SlotDropped => {
                let client = cluster::connect(&self.cluster.url("postgres")).await;
                Slot::named(self.service.slot(), client).drop_under_its_reader().await;
            }
        }
    }

    /// What the next process holds: so much that all can resume, or so little that many cannot.
    fn resize_window(&mut self) {
        let bytes = ["262144", "2097152", "67108864"][self.random.usize(..3)];
        self.service.set("WALCAST__WINDOW__BYTES", bytes);
    }

    async fn restart(&mut self, shutdown: Shutdown) {
        tokio::task::block_in_place(|| self.cluster.stop_server(shutdown)).unwrap();
        self.pause(1000).await;
        tokio::task::block_in_place(|| self.cluster.start_server()).unwrap();
    }

    /// Nothing is read from a connection that looks alive.
    async fn pause_walsender(&mut self) {
        let client = cluster::connect(&self.cluster.url("postgres")).await;
        let sql = "select active_pid from pg_replication_slots where active_pid is not null";
        let Some(row) = client.query_opt(sql, &[]).await.unwrap() else { return };
        let walsender = Pid::from_raw(row.get(0));
        // It may end meanwhile.
        if kill(walsender, Signal::SIGSTOP).is_ok() {
            self.pause(4000).await;
            let _ = kill(walsender, Signal::SIGCONT);
        }
    }

    /// Writers that hold a lock may be in the way, and then it is they who go on.
    async fn execute(&self, sql: &str) {
        let client = cluster::connect(&self.cluster.url("postgres")).await;
        let outcome = client.batch_execute(sql).await;
        if let Err(error) = outcome {
            assert!(error.as_db_error().is_some(), "{sql}: {error}");
        }
    }

    fn some(&mut self, then: impl Fn(&super::Watcher, &mut Rng)) {
        for watcher in &self.watchers {
            if self.random.bool() {
                then(watcher, &mut self.random);
            }
        }
    }
}
