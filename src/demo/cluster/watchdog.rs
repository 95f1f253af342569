//! The small process that outlives its owner by just as long as it takes to clean up after it.
//!
//! Linux could signal the server by itself when its parent ends (`PR_SET_PDEATHSIG`), but it means the
//! parent *thread*, which is a short-lived one in a test or in a blocking pool; other systems have nothing of
//! the kind. A pipe whose other end closes with the owner works everywhere, and can remove files, too.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = include_str!("watchdog.sh");

/// Waits for the end of this process; see `watchdog.sh`.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Sets a watchdog on the cluster directory `directory`, an absolute path without line feeds.
    pub(super) fn set(directory: &Path) -> io::Result<Self> {
        let shell = script(directory).stdin(Stdio::piped()).spawn()?;
        Ok(Self { shell })
    }

    /// Wakes it, and returns when server and directory are gone, or it gave up (after about 20 s).
    pub(super) fn wake(&mut self) -> io::Result<()> {
        drop(self.shell.stdin.take());
        self.shell.wait().map(drop)
    }

    /// Does at once for an abandoned cluster what its own watchdog would have done.
    pub(super) fn stand_in(directory: &Path) -> io::Result<()> {
        script(directory).stdin(Stdio::null()).status().map(drop)
    }
}

fn script(directory: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "walcast-watchdog"]).arg(directory);
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
    // A Ctrl-C at the terminal goes to the owner's process group; the watchdog has to survive it.
    command.process_group(0);
    command
}
