//! A throw-away Postgres cluster of our own: for `walcast demo`, and for the tests.
//!
//! It lives in a directory of its own below one root, listens on a free port of 127.0.0.1 alone, asks for a
//! random password, and ends with its owner: cleanly by [`Cluster::stop`], at once when dropped, and by a
//! watchdog when the owner was killed. Should the watchdog have been killed as well, the next
//! [`Cluster::start`] below the same root cleans up.
//!
//! Everything here blocks; asynchronous callers use a blocking thread.

mod account;
mod binaries;
mod error;
mod ground;
mod server;
mod watchdog;

use std::env;
use std::fmt::{self, Write as _};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use self::account::Account;
use self::binaries::last_lines;
pub use self::binaries::{Binaries, Version};
pub use self::error::ClusterError;
use self::ground::{Ground, Plot, random_hex};
use self::server::Server;
pub use self::server::Shutdown;
use self::watchdog::Watchdog;

/// The superuser of every throw-away cluster.
const SUPERUSER: &str = "postgres";

/// A port may be taken between looking for one and binding it; more often than this it is no accident.
const PORT_ATTEMPTS: usize = 8;

/// What may differ between throw-away clusters.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory below which the cluster gets its own; its parent exists, and nobody else may write to
    /// it. By default `walcast-demo-<uid>` in the directory for temporary files.
    pub root: Option<PathBuf>,
    /// `max_wal_senders` (Postgres manual, 20.6).
    pub max_wal_senders: u16,
    /// `max_replication_slots` (Postgres manual, 20.6).
    pub max_replication_slots: u16,
    /// Further settings by name, as after `postgres -c`. They win over the ones above, and `ALTER SYSTEM`
    /// cannot change them.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { root: None, max_wal_senders: 10, max_replication_slots: 10, settings: Vec::new() }
    }
}

/// A running throw-away cluster; dropping it ends it at once and removes its directory.
pub struct Cluster {
    // Declared, and so dropped, before the lock in `plot`: nobody sees an unlocked directory with a server.
    server: Option<Server>,
    watchdog: Watchdog,
    binaries: Binaries,
    account: Option<Account>,
    settings: Vec<(String, String)>,
    password: String,
    port: u16,
    plot: Plot,
}

impl Cluster {
    /// Cleans up after killed owners below the same root, then creates and starts a cluster and returns when
    /// it accepts connections (a second or two). `progress` gets a line for each step that takes time.
    /// As root, everything of Postgres runs as the user `postgres`, or else as `nobody`.
    ///
    /// # Errors
    /// See [`ClusterError`]; nothing is left behind.
    pub fn start(
        binaries: &Binaries,
        options: &Options,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self, ClusterError> {
        let account = Account::unprivileged()?;
        if let Some(account) = &account {
            account.reach(binaries.directory())?;
        }
        let ground = Ground::open(options.root.as_deref(), account.as_ref())?;
        ground.sweep(progress)?;
        let plot = ground.claim()?;
        drop(ground);
        let watchdog =
            Watchdog::set(&plot.directory).map_err(ClusterError::io("watch over", &plot.directory))?;
        let mut settings: Vec<(String, String)> = [
            ("listen_addresses", "127.0.0.1"),
            // A socket's path is limited to about 100 bytes, and a loopback port is all that is needed.
            ("unix_socket_directories", ""),
            ("wal_level", "logical"),
            // Nothing in it has to survive a power cut.
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("logging_collector", "off"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        settings.push(("max_wal_senders".to_owned(), options.max_wal_senders.to_string()));
        settings.push(("max_replication_slots".to_owned(), options.max_replication_slots.to_string()));
        settings.extend(options.settings.iter().cloned());
        let mut cluster = Self {
            server: None,
            watchdog,
            binaries: binaries.clone(),
            account,
            settings,
            password: random_hex::<16>()?,
            port: 0,
            plot,
        };
        progress(&format!("creating a database cluster in {}", cluster.directory().display()));
        cluster.initialize()?;
        for _ in 0..PORT_ATTEMPTS {
            let Some(port) = server::free_port() else { continue };
            cluster.port = port;
            progress(&format!("starting Postgres {} on port {port}", binaries.version().text));
            match cluster.start_server() {
                Err(ClusterError::NoPort { .. }) => (),
                started => return started.map(|()| cluster),
            }
        }
        Err(ClusterError::NoPort { attempts: PORT_ATTEMPTS })
    }

    /// A URL for the superuser, password included: `postgres://postgres:...@127.0.0.1:PORT/DATABASE`.
    /// A fresh cluster has the database `postgres`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let mut url = format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/", self.password, self.port);
        for byte in database.bytes() {
            // RFC 3986, 2.3: all but the unreserved characters are escaped.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                url.push(char::from(byte));
            } else {
                write!(url, "%{byte:02X}").ok();
            }
        }
        url
    }

    /// The TCP port on 127.0.0.1; it stays the same when the server is started again.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The directory that holds all of the cluster: the data in `data`, what the server prints in `log`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.plot.directory
    }

    /// The programs that it runs.
    #[must_use]
    pub const fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Ends the server and keeps its data, until [`Self::start_server`]. Does nothing when it is down.
    ///
    /// # Errors
    /// [`ClusterError::Io`] if the system refuses to signal it or to wait for it.
    pub fn stop_server(&mut self, shutdown: Shutdown) -> Result<(), ClusterError> {
        self.server.take().map_or(Ok(()), |server| server.stop(shutdown))
    }

    /// Starts the server again, on the same port. Does nothing when it runs.
    ///
    /// # Errors
    /// [`ClusterError::NoPort`] if somebody took the port meanwhile, and those of a failed start.
    pub fn start_server(&mut self) -> Result<(), ClusterError> {
        if self.server.as_mut().is_some_and(Server::is_running) {
            return Ok(());
        }
        let mut command = self.command("postgres");
        command.arg("-p").arg(self.port.to_string());
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        self.server = Some(Server::start(command, self.directory(), self.port)?);
        Ok(())
    }

    /// Ends the server with a fast shutdown, with an immediate one if that takes longer than 5 s (it waits for
    /// replication clients that hold back their acknowledgement), and removes the directory.
    ///
    /// # Errors
    /// [`ClusterError::Io`] if the server cannot be ended or the directory cannot be removed.
    pub fn stop(mut self) -> Result<(), ClusterError> {
        self.stop_server(Shutdown::Fast)?;
        self.clear()
    }

    fn initialize(&self) -> Result<(), ClusterError> {
        let directory = self.directory();
        let data = directory.join("data");
        let created = fs::DirBuilder::new().mode(0o700).create(&data);
        created.map_err(ClusterError::io("create", &data))?;
        let secret = directory.join("password");
        fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&secret)
            .and_then(|mut file| writeln!(file, "{}", self.password))
            .map_err(ClusterError::io("write", &secret))?;
        if let Some(account) = &self.account {
            account.own(&data)?;
            account.own(&secret)?;
        }
        let output = self
            .command("initdb")
            .args(["--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"])
            .args(["--no-sync", "--no-instructions", "--pwfile"])
            .arg(&secret)
            .output()
            .map_err(ClusterError::io("run initdb in", self.binaries.directory()))?;
        fs::remove_file(&secret).map_err(ClusterError::io("remove", &secret))?;
        if output.status.success() {
            return Ok(());
        }
        Err(ClusterError::Initdb { status: output.status, output: last_lines(&output.stderr) })
    }

    /// A program of Postgres on this data directory, with nothing of our environment: neither our secrets nor
    /// the variables that change how a server behaves.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.directory().join(program));
        command.arg("-D").arg(self.directory().join("data"));
        command.current_dir(self.directory()).stdin(Stdio::null());
        command.env_clear().env("LC_ALL", "C").env("PATH", env::var_os("PATH").unwrap_or_default());
        // A Ctrl-C at the terminal is ours to handle; the server must not stop before we have.
        command.process_group(0);
        if let Some(account) = &self.account {
            account.lend(&mut command);
        }
        command
    }

    /// Removes the directory and lets the watchdog go.
    fn clear(&mut self) -> Result<(), ClusterError> {
        let mut removed = fs::remove_dir_all(self.directory());
        // After an immediate shutdown a backend may still create a file while it notices.
        for _ in 0..20 {
            if removed.is_ok() || !self.directory().exists() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
            removed = fs::remove_dir_all(self.directory());
        }
        self.watchdog.wake().map_err(ClusterError::io("wait for the watchdog of", self.directory()))?;
        if self.directory().exists() {
            removed.map_err(ClusterError::io("remove", self.directory()))?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nobody is there to be told: what fails here is left to the watchdog and the next start.
        self.stop_server(Shutdown::Immediate).ok();
        self.clear().ok();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("directory", &self.directory())
            .field("port", &self.port)
            .field("version", &self.binaries.version().text)
            .field("password", &"[redacted]")
            .finish_non_exhaustive()
    }
}
