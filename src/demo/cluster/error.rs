//! What can keep a throw-away cluster from starting, in words that say what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use thiserror::Error;

/// Why there is no cluster. None of these is worth a retry without a change by the operator, except
/// [`ClusterError::NoPort`].
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No usable Postgres in any of the usual places.
    #[error(
        "no Postgres 14 or newer found{}\ninstall one: `apt-get install postgresql` (Debian, Ubuntu) or \
         `brew install postgresql` (macOS); or set PGBIN to the directory that holds initdb and postgres",
        Lines(.looked)
    )]
    NotFound {
        /// Each place that was looked at, with what was wrong there.
        looked: Vec<String>,
    },
    /// The directory that was named explicitly does not hold a usable Postgres.
    #[error("no usable Postgres in {}: {reason}", directory.display())]
    Unusable {
        /// The directory that was named.
        directory: PathBuf,
        /// What it lacks.
        reason: String,
    },
    /// Started as root on a machine without an account to step down to.
    #[error(
        "Postgres refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as"
    )]
    NoAccount,
    /// The unprivileged account cannot reach a file that it needs.
    #[error(
        "the user `{account}`, as whom Postgres must run, cannot enter {}: `chmod o+x` it, or use another place",
        path.display()
    )]
    NotTraversable {
        /// The first directory on the way that is closed.
        path: PathBuf,
        /// The account's name.
        account: String,
    },
    /// The directory for throw-away clusters could be changed by somebody else.
    #[error("{} is not a directory that only this user can write to: remove it, or set TMPDIR", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("cannot {doing}")]
    Io {
        /// What was being done, with the path where there is one.
        doing: String,
        /// The cause.
        source: io::Error,
    },
    /// `initdb` gave up.
    #[error("initdb failed ({status}): {output}")]
    Initdb {
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it printed.
        output: String,
    },
    /// The server ended before it accepted a connection.
    #[error("Postgres did not start ({status}): {log}")]
    Startup {
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// The server neither ended nor became ready.
    #[error("Postgres was not ready after {seconds} s: {log}")]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// The last lines of its log.
        log: String,
    },
    /// Somebody else took every port that was tried.
    #[error("no free port on 127.0.0.1: {attempts} were taken")]
    NoPort {
        /// How many ports were tried.
        attempts: usize,
    },
}

impl ClusterError {
    /// For `map_err`: an IO error and what was being done to which path.
    pub(super) fn io<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { doing: format!("{doing} {}", path.display()), source }
    }
}

/// One indented line for each item.
struct Lines<'a>(&'a [String]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}
