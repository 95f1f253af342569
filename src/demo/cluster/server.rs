//! The server process: started until it accepts connections, ended until it is gone.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ClusterError;
use super::binaries::last_lines;

/// For a busy machine; an idle one needs about a tenth of a second.
const START_LIMIT: Duration = Duration::from_secs(60);

const FAST_LIMIT: Duration = Duration::from_secs(5);

/// The server itself kills what has not ended 5 s after an immediate shutdown began (Postgres source,
/// `SIGKILL_CHILDREN_AFTER_SECS`); killed earlier, it would leave a hung process behind.
const IMMEDIATE_LIMIT: Duration = Duration::from_secs(8);

const PACE: Duration = Duration::from_millis(5);

/// How a server is ended (Postgres manual, 19.5 "Shutting Down the Server").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Rolls back what is open, ends every session and writes a checkpoint; becomes immediate after 5 s.
    Fast,
    /// Ends every process at once; the next start recovers from the log, as after a crash.
    Immediate,
}

/// A server that was ready once.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
}

/// What became of a start.
enum Start {
    Ready,
    Ended(ExitStatus),
    Late,
}

impl Server {
    /// Runs `command`, the server on `directory/data` with `port`, and waits until it accepts connections.
    pub(super) fn start(mut command: Command, directory: &Path, port: u16) -> Result<Self, ClusterError> {
        let log = directory.join("log");
        let before = fs::metadata(&log).map_or(0, |metadata| metadata.len());
        let output = OpenOptions::new().create(true).append(true).mode(0o600).open(&log);
        let output = output.map_err(ClusterError::io("open", &log))?;
        let errors = output.try_clone().map_err(ClusterError::io("open", &log))?;
        command.stdout(output).stderr(errors).stdin(Stdio::null());
        let process = command.spawn().map_err(ClusterError::io("run postgres for", directory))?;
        let mut server = Self { process };
        let outcome = server.wait_until_ready(&directory.join("data/postmaster.pid"));
        let printed = || {
            let bytes = fs::read(&log).unwrap_or_default();
            let start = usize::try_from(before).unwrap_or(usize::MAX);
            last_lines(bytes.get(start..).unwrap_or_default())
        };
        match outcome {
            Ok(Start::Ready) => Ok(server),
            Ok(Start::Ended(status)) => {
                let log = printed();
                if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() || log.contains("could not bind") {
                    return Err(ClusterError::NoPort { attempts: 1 });
                }
                Err(ClusterError::Startup { status, log })
            }
            Ok(Start::Late) => {
                server.stop(Shutdown::Immediate)?;
                Err(ClusterError::NotReady { seconds: START_LIMIT.as_secs(), log: printed() })
            }
            Err(source) => {
                server.stop(Shutdown::Immediate)?;
                Err(ClusterError::io("wait for postgres in", directory)(source))
            }
        }
    }

    /// Asks the file in which the server states its own progress, as `pg_ctl` does: first line the pid,
    /// eighth line the state (Postgres source, `pidfile.h`). A connection would tell no more, and might reach
    /// somebody else's server on that port.
    fn wait_until_ready(&mut self, file: &Path) -> io::Result<Start> {
        let pid = self.process.id().to_string();
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait()? {
                return Ok(Start::Ended(status));
            }
            let text = fs::read_to_string(file).unwrap_or_default();
            let mut lines = text.lines().map(str::trim);
            if lines.next() == Some(&pid) && lines.nth(6) == Some("ready") {
                return Ok(Start::Ready);
            }
            thread::sleep(PACE);
        }
        Ok(Start::Late)
    }

    /// Whether the process still exists.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Ends the process and waits until it is gone.
    pub(super) fn stop(mut self, shutdown: Shutdown) -> Result<(), ClusterError> {
        self.end(shutdown).map_err(|source| ClusterError::Io { doing: "end postgres".to_owned(), source })
    }

    fn end(&mut self, shutdown: Shutdown) -> io::Result<()> {
        let steps = match shutdown {
            Shutdown::Fast => [(Signal::SIGINT, FAST_LIMIT), (Signal::SIGQUIT, IMMEDIATE_LIMIT)].as_slice(),
            Shutdown::Immediate => &[(Signal::SIGQUIT, IMMEDIATE_LIMIT)],
        };
        for (signal, limit) in steps {
            // The process is ours and not yet waited for, so its number cannot have gone to another.
            if self.process.try_wait()?.is_some() {
                return Ok(());
            }
            let pid = i32::try_from(self.process.id()).map_err(io::Error::other)?;
            kill(Pid::from_raw(pid), *signal)?;
            let deadline = Instant::now() + *limit;
            while Instant::now() < deadline {
                if self.process.try_wait()?.is_some() {
                    return Ok(());
                }
                thread::sleep(PACE);
            }
        }
        self.process.kill()?;
        self.process.wait().map(drop)
    }
}

/// A port on 127.0.0.1 that is free now. It lies below the ranges from which Linux and macOS take the local
/// ports of outgoing connections, or one of those could take it while the server is restarted.
pub(super) fn free_port() -> Option<u16> {
    let port = fastrand::u16(20_000..32_000);
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
}
