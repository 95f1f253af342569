//! Who is measured: walcast and its peers, each a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::server::{self, Postgres, Walcast};

/// The words by which this program is told to be one of the peers.
pub const TUNED: &str = "tuned-peer";
pub const BARE: &str = "bare-peer";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Walcast,
    Tuned,
    Ws,
    SocketIo,
    Bare,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Walcast, Self::Tuned, Self::Ws, Self::SocketIo, Self::Bare];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Walcast => "walcast",
            Self::Tuned => "tuned tokio-tungstenite",
            Self::Ws => "ws",
            Self::SocketIo => "Socket.IO",
            Self::Bare => "bare send",
        }
    }

    /// Where its WebSockets are opened.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Walcast => "/socket/websocket?vsn=2.0.0",
            Self::Tuned | Self::Ws | Self::Bare => "/",
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
        }
    }
}

/// A running server; killed when dropped.
pub enum Contender {
    Walcast(Walcast),
    Peer { kind: Kind, child: Child, address: SocketAddr },
}

impl Contender {
    pub async fn start(kind: Kind, postgres: &Postgres) -> Self {
        let mut command = match kind {
            Kind::Walcast => return Self::Walcast(Walcast::serve(postgres).await),
            Kind::Tuned | Kind::Bare => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.arg(if kind == Kind::Tuned { TUNED } else { BARE });
                command
            }
            Kind::Ws | Kind::SocketIo => {
                let folder = if kind == Kind::Ws { "ws" } else { "socket.io" };
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(folder);
                assert!(folder.join("node_modules").exists(), "run scripts/setup.sh bench first");
                let mut command = Command::new("node");
                command.arg("server.mjs").current_dir(folder).env("NODE_ENV", "production");
                command
            }
        };
        let mut child =
            command.env("DATABASE_URL", postgres.url()).stdout(Stdio::piped()).spawn().expect("a peer");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self::Peer { kind, child, address: line.trim().parse().expect("the peer's address") }
    }

    pub const fn kind(&self) -> Kind {
        match self {
            Self::Walcast(_) => Kind::Walcast,
            Self::Peer { kind, .. } => *kind,
        }
    }

    pub const fn address(&self) -> SocketAddr {
        match self {
            Self::Walcast(walcast) => walcast.address,
            Self::Peer { address, .. } => *address,
        }
    }

    fn process(&self) -> u32 {
        match self {
            Self::Walcast(walcast) => walcast.process(),
            Self::Peer { child, .. } => child.id(),
        }
    }

    /// CPU seconds of its threads so far.
    pub fn cpu(&self) -> f64 {
        server::cpu(self.process())
    }

    /// Resident memory in KiB.
    pub fn memory(&self) -> u64 {
        server::memory(self.process(), "VmRSS")
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        if let Self::Peer { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
