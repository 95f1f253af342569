//! Who serves the live queries: walcast, or the peer.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::server::{Postgres, Walcast};
use crate::streams::until_served;

/// Connections of each server to Postgres: what walcast's pool has by default.
const CONNECTIONS: usize = 8;

/// A running server; killed when dropped.
pub enum Contender {
    Walcast(Walcast),
    Yoga(Yoga),
}

impl Contender {
    pub async fn walcast(postgres: &Postgres) -> Self {
        Self::Walcast(walcast(postgres).await)
    }

    pub fn yoga(postgres: &Postgres) -> Self {
        Self::Yoga(Yoga::serve(postgres))
    }

    pub const fn name(&self) -> &'static str {
        match self {
            Self::Walcast(_) => "walcast",
            Self::Yoga(_) => "graphql-yoga",
        }
    }

    pub const fn address(&self) -> SocketAddr {
        match self {
            Self::Walcast(walcast) => walcast.address,
            Self::Yoga(yoga) => yoga.address,
        }
    }

    /// CPU seconds of its threads so far.
    pub fn cpu(&self) -> f64 {
        let process = match self {
            Self::Walcast(walcast) => walcast.process(),
            Self::Yoga(yoga) => yoga.child.id(),
        };
        cpu(process)
    }
}

/// A walcast that serves its schema.
pub async fn walcast(postgres: &Postgres) -> Walcast {
    let walcast = Walcast::serve(postgres).await;
    until_served(walcast.address).await;
    walcast
}

pub struct Yoga {
    child: Child,
    address: SocketAddr,
}

impl Yoga {
    fn serve(postgres: &Postgres) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/graphql-yoga-live");
        assert!(folder.join("node_modules").exists(), "run scripts/setup.sh bench first");
        let mut child = Command::new("node")
            .arg("server.mjs")
            .current_dir(folder)
            .env("DATABASE_URL", postgres.url())
            .env("POOL", CONNECTIONS.to_string())
            .env("NODE_ENV", "production")
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().parse().expect("the server's address");
        Self { child, address }
    }
}

impl Drop for Yoga {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU seconds that the threads of a process have used, to the nanosecond (`/proc/PID/stat` counts in 1/100 s). Those
/// of threads that have ended are not in it; neither server ends any while it is measured.
pub fn cpu(process: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    let times = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    let times = times.filter_map(|text| text.split(' ').next()?.parse::<f64>().ok());
    times.sum::<f64>() / 1e9
}
