//! A standby that is promoted: its log is another one from then on, and every client is told.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use walcast::demo::cluster::{Binaries, Cluster, Shutdown};
use walcast::lsn::Epoch;

use crate::faults::patiently;
use crate::follower::{Follower, Keeping};
use crate::proxy::Proxy;
use crate::service::Service;
use crate::walcast::until;
use crate::{cluster, postgres_binaries};

/// A copy of a server that follows it; dropping it ends it.
struct Standby {
    server: Child,
    port: u16,
}

impl Standby {
    /// Copies the data of a server that is down, which then is started.
    fn of(primary: &mut Cluster) -> Self {
        primary.stop_server(Shutdown::Fast).unwrap();
        let data = primary.directory().join("data");
        let copy = primary.directory().join("standby");
        let copied = Command::new("cp").arg("-a").args([&data, &copy]).status().unwrap();
        assert!(copied.success());
        std::fs::write(copy.join("standby.signal"), "").unwrap();
        primary.start_server().unwrap();
        let owner = std::fs::metadata(&data).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(primary.binaries().directory().join("postgres"));
        command.arg("-D").arg(&copy).args(["-p", &port.to_string()]);
        let source = format!("primary_conninfo={}", primary.url("postgres"));
        let fixed =
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "wal_level=logical", "fsync=off"];
        for setting in fixed.into_iter().chain([source.as_str()]) {
            command.args(["-c", setting]);
        }
        command.current_dir("/").env_clear().env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A server refuses to be root.
        if nix::unistd::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        Self { server: command.spawn().unwrap(), port }
    }

    /// `primary`'s URL at this server.
    fn url(&self, primary: &str) -> String {
        let mut url = url::Url::parse(primary).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.server.id()).unwrap()), Signal::SIGQUIT);
        let _ = self.server.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_is_another_epoch_and_every_client_is_told() {
    for &major in postgres_binaries::majors() {
        fail_over(&postgres_binaries::of_major(major)).await;
    }
}

async fn fail_over(binaries: &Binaries) {
    let mut primary = cluster::own(binaries, &[]);
    let url = primary.url("postgres");
    let standby = tokio::task::block_in_place(|| Standby::of(&mut primary));
    let client = cluster::connect(&url).await;
    client.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    let proxy = Proxy::to(primary.port());
    // The slot is not on the standby: whoever fails over lets it be made anew.
    let settings = [("WALCAST__REPLICATION__ON_SLOT_LOST", "recreate")];
    let service = Service::start(&proxy.url(&url), &settings).await;
    let epoch = |text: &serde_json::Value| text.as_str().unwrap().to_owned();
    let before = epoch(&service.walcast().ready().await["epoch"]);
    let at = service.at();
    let clients: Vec<Follower> =
        (0..20).map(|_| Follower::start(&at, "realtime:public:t", Keeping::Ids)).collect();
    patiently("all have joined", &mut async || clients.iter().all(|client| client.account().joins > 0)).await;
    client.batch_execute("insert into t select generate_series(1, 100)").await.unwrap();
    patiently("all have them", &mut async || clients.iter().all(|client| client.account().ids.len() == 100))
        .await;

    let second = standby.url(&url);
    until("the standby answers", async || {
        tokio_postgres::connect(&second, tokio_postgres::NoTls).await.is_ok()
    })
    .await;
    let replica = cluster::connect(&second).await;
    until("the standby has them", async || {
        let rows = replica.query_one("select count(*) from t", &[]).await;
        rows.is_ok_and(|rows| rows.get::<_, i64>(0) == 100)
    })
    .await;
    tokio::task::block_in_place(|| primary.stop_server(Shutdown::Fast)).unwrap();
    replica.batch_execute("select pg_promote()").await.unwrap();
    proxy.lead_to(standby.port);
    patiently("all are told that it is another log", &mut async || {
        clients.iter().all(|client| client.account().told.get("epoch") == Some(&1))
    })
    .await;
    service.walcast().wait_for_status("live").await;
    let after = epoch(&service.walcast().ready().await["epoch"]);
    let parts = |epoch: &str| {
        let (system, timeline) = epoch.split_once('-').unwrap();
        let hex = |text| u64::from_str_radix(text, 16).unwrap();
        Epoch { system: hex(system), timeline: u32::try_from(hex(timeline)).unwrap() }
    };
    let (before, after) = (parts(&before), parts(&after));
    assert_eq!(after, Epoch { timeline: before.timeline + 1, ..before });
    replica.batch_execute("insert into t values (101)").await.unwrap();
    patiently("all go on", &mut async || {
        clients.iter().all(|client| client.account().ids.last() == Some(&101))
    })
    .await;
    for client in &clients {
        let account = client.account();
        assert!(account.ids.iter().copied().eq(1..=101));
        assert_eq!((account.duplicated, account.disordered), (0, 0));
    }
}
