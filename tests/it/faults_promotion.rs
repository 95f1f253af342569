//! A standby that is promoted: its log is another one from then on, and every client is told.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use walcast::demo::cluster::{Cluster, Shutdown};
use walcast::lsn::Epoch;

use crate::faults::patiently;
use crate::follower::{Follower, Keeping};
use crate::proxy::Proxy;
use crate::service::Service;
use crate::walcast::until;
use crate::{cluster, postgres_binaries};

/// A copy of a server that follows it; dropping it ends it.
struct Standby {
    directory: PathBuf,
    programs: PathBuf,
    account: (u32, u32),
    port: u16,
}

impl Standby {
    fn of(primary: &Cluster) -> Self {
        let data = std::fs::metadata(primary.directory().join("data")).unwrap();
        let standby = Self {
            directory: primary.directory().join("standby"),
            programs: primary.binaries().directory().to_owned(),
            account: (data.uid(), data.gid()),
            port: std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
        };
        std::fs::DirBuilder::new().mode(0o700).create(&standby.directory).unwrap();
        chown(&standby.directory, Some(data.uid()), Some(data.gid())).unwrap();
        let url = primary.url("postgres");
        standby.run("pg_basebackup", &["--no-sync", "--checkpoint=fast", "-R", "-X", "stream", "-d", &url]);
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c wal_level=logical -c fsync=off",
            standby.port
        );
        let log = standby.directory.join("log");
        standby.run("pg_ctl", &["-w", "-s", "-l", log.to_str().unwrap(), "-o", &options, "start"]);
        standby
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(&self.directory).args(arguments);
        command.current_dir("/").env_clear().env("LC_ALL", "C").stdin(Stdio::null());
        if nix::unistd::geteuid().is_root() {
            command.uid(self.account.0).gid(self.account.1);
        }
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        // The server that is started would keep a pipe open.
        let status = self.command(program, arguments).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{program} {status}");
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
        let _ = self.command("pg_ctl", &["-s", "-m", "immediate", "stop"]).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_is_another_epoch_and_every_client_is_told() {
    let mut primary = cluster::own(&postgres_binaries::of_system(), &[]);
    let url = primary.url("postgres");
    let client = cluster::connect(&url).await;
    client.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    let standby = tokio::task::block_in_place(|| Standby::of(&primary));
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
    patiently("all have them", &mut async || {
        clients.iter().all(|client| client.account().ids.len() == 100)
    })
    .await;

    let replica = cluster::connect(&standby.url(&url)).await;
    until("the standby has them", async || {
        replica.query_one("select count(*) from t", &[]).await.unwrap().get::<_, i64>(0) == 100
    })
    .await;
    tokio::task::block_in_place(|| primary.stop_server(Shutdown::Fast)).unwrap();
    tokio::task::block_in_place(|| standby.run("pg_ctl", &["-w", "-s", "promote"]));
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
