//! The processes under load: a Postgres of our own, and walcast.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, NoTls};
use walcast::demo::cluster::{Binaries, Cluster, Options};

pub struct Postgres(Cluster);

/// A session in a database, driven by the runtime of the caller.
pub async fn connected(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connect");
    tokio::spawn(connection);
    client
}

impl Postgres {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further settings.
    pub fn start_with(further: &[(&str, &str)]) -> Self {
        let binaries =
            Binaries::find(std::env::var_os("PGBIN").as_deref().map(std::path::Path::new)).expect("Postgres");
        let settings = [("shared_buffers", "512MB"), ("max_wal_size", "8GB"), ("autovacuum", "off")];
        let settings = settings.iter().chain(further).map(|(name, value)| ((*name).into(), (*value).into()));
        let options = Options { settings: settings.collect(), ..Options::default() };
        Self(Cluster::start(&binaries, &options, &mut |_| ()).expect("a cluster"))
    }

    pub fn version(&self) -> &str {
        &self.0.binaries().version().text
    }

    /// What is measured, and what else the machine did just before.
    pub fn heading(&self) -> String {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("?");
        let (walcast, postgres) = (env!("CARGO_PKG_VERSION"), self.version());
        format!("walcast {walcast} on Postgres {postgres}; load of the machine before: {load}")
    }

    pub fn url(&self) -> String {
        self.0.url("postgres")
    }

    pub async fn client(&self) -> Client {
        connected(&self.url()).await
    }

    /// One of the client programs of its version.
    pub fn program(&self, name: &str) -> PathBuf {
        // The directory may hold no more than links to the server's own programs.
        let postgres = self.0.binaries().directory().join("postgres").canonicalize().expect("postgres");
        postgres.with_file_name(name)
    }

    /// `pg_recvlogical` that discards what it reads until the position is reached.
    pub fn receiver(&self, slot: &str) -> Command {
        let mut command = Command::new(self.program("pg_recvlogical"));
        command.args([
            "--no-loop",
            "--start",
            "-f",
            "/dev/null",
            "-o",
            "proto_version=1",
            "-o",
            "publication_names=load",
        ]);
        command.args(["-S", slot, "-d", &self.url()]);
        command
    }
}

/// A running `walcast serve`; killed when dropped.
pub struct Walcast {
    child: Child,
    /// Sockets that it closed since they read too slowly.
    closed: Arc<AtomicU32>,
    pub address: SocketAddr,
}

impl Walcast {
    /// Starts with a slot of its own on the publication `load`, and returns when it is live.
    pub async fn serve(postgres: &Postgres) -> Self {
        Self::serve_with(postgres, &[]).await
    }

    /// With further settings, as environment variables.
    pub async fn serve_with(postgres: &Postgres, further: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut child = Command::new(env!("CARGO_BIN_EXE_walcast"))
            .arg("serve")
            .env("DATABASE_URL", postgres.url())
            .env("WALCAST__LISTEN", "127.0.0.1:0")
            .env("WALCAST__REPLICATION__SLOT", format!("load_{}", NEXT.fetch_add(1, Ordering::Relaxed)))
            .env("WALCAST__REPLICATION__PUBLICATION", "load")
            .env("WALCAST__REPLICATION__TEMPORARY", "true")
            .env("WALCAST__LOG__FORMAT", "json")
            .env("WALCAST__LIMITS__IDLE_SECONDS", "3600")
            .envs(further.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("walcast starts");
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (found, wait) = tokio::sync::oneshot::channel();
        let closed = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&closed);
        std::thread::spawn(move || {
            let mut found = Some(found);
            let mut address = None;
            for line in lines.map_while(Result::ok) {
                let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(text) = entry["address"].as_str() {
                    address = text.parse().ok();
                }
                if entry["message"].as_str().is_some_and(|text| text.starts_with("closing a socket that")) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                if entry["message"] == "live"
                    && let (Some(found), Some(address)) = (found.take(), address)
                {
                    let _ = found.send(address);
                }
            }
        });
        let address = wait.await.expect("walcast becomes live");
        Self { child, closed, address }
    }

    /// How many sockets it has closed since they read too slowly.
    pub fn closed_slow(&self) -> u32 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Its process identifier.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// CPU seconds used so far, user and system.
    pub fn cpu(&self) -> f64 {
        cpu(self.child.id())
    }

    /// A figure of /proc/PID/status in KiB: `VmRSS` now, `VmHWM` at its highest.
    pub fn memory(&self, name: &str) -> u64 {
        memory(self.child.id(), name)
    }
}

/// CPU seconds that the threads of a process have used, to the nanosecond (`/proc/PID/stat` counts in 1/100 s). Those
/// of threads that have ended are not in it; no server ends any while it is measured.
pub fn cpu(process: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    let times = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    let times = times.filter_map(|text| text.split(' ').next()?.parse::<f64>().ok());
    times.sum::<f64>() / 1e9
}

/// A figure of /proc/PID/status in KiB: `VmRSS` now, `VmHWM` at its highest.
pub fn memory(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

impl Drop for Walcast {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
