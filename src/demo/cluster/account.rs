//! As whom Postgres runs: it refuses to be root (`initdb` and `postgres` both check).

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, geteuid};

use super::ClusterError;

/// The unprivileged account that a root process steps down to for everything it runs from Postgres.
#[derive(Clone, Debug)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
    name: String,
}

impl Account {
    /// Nothing for an ordinary user; for root the account `postgres`, or else `nobody`.
    pub(super) fn unprivileged() -> Result<Option<Self>, ClusterError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        // An account of that name with uid 0 would be refused by Postgres just the same.
        let account = ["postgres", "nobody"]
            .into_iter()
            .filter_map(|name| User::from_name(name).ok().flatten())
            .find(|user| !user.uid.is_root())
            .map(|user| Self { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name });
        account.map(Some).ok_or(ClusterError::NoAccount)
    }

    /// Makes `command` run as this account. The standard library also drops root's supplementary groups
    /// when it changes the uid, before it gives up the right to do so.
    pub(super) fn lend(&self, command: &mut Command) {
        command.gid(self.gid).uid(self.uid);
    }

    /// Gives `path` to this account.
    pub(super) fn own(&self, path: &Path) -> Result<(), ClusterError> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(ClusterError::io("change the owner of", path))
    }

    /// Fails with the first directory on the way to `path`, itself included, that this account cannot enter.
    pub(super) fn reach(&self, path: &Path) -> Result<(), ClusterError> {
        let path = fs::canonicalize(path).map_err(ClusterError::io("resolve", path))?;
        let mut steps: Vec<&Path> = path.ancestors().collect();
        steps.reverse();
        for step in steps {
            let metadata = fs::metadata(step).map_err(ClusterError::io("look at", step))?;
            if !self.may_enter(&metadata) {
                return Err(ClusterError::NotTraversable {
                    path: step.to_owned(),
                    account: self.name.clone(),
                });
            }
        }
        Ok(())
    }

    /// Its supplementary groups are dropped, so only these three bits can apply.
    fn may_enter(&self, metadata: &Metadata) -> bool {
        let bit = if metadata.uid() == self.uid {
            0o100
        } else if metadata.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        metadata.mode() & bit != 0
    }
}
