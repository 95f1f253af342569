//! The directory under which throw-away clusters live, and what earlier owners left there.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{env, process};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use super::ClusterError;
use super::account::Account;
use super::watchdog::Watchdog;

/// The directory of all clusters of one user. Each is a directory `<owner pid>-<random>`, locked by its
/// owner: the lock ends with the owner, and unlike a recorded pid it cannot be mistaken for that of a later
/// process, or of one in another container that shares the directory.
#[derive(Debug)]
pub(super) struct Ground {
    root: PathBuf,
    mode: u32,
    /// Held from looking for abandoned clusters until the own one is locked, so that nobody takes a
    /// directory for abandoned between its creation and its lock.
    _gate: Flock<File>,
}

/// The directory of one cluster.
#[derive(Debug)]
pub(super) struct Plot {
    /// Absolute, without symbolic links.
    pub(super) directory: PathBuf,
    _lock: Flock<File>,
}

impl Ground {
    /// Opens `root`, or `walcast-demo-<uid>` in the directory for temporary files, and creates it where it is
    /// missing. Waits while another process is setting up a cluster there.
    pub(super) fn open(root: Option<&Path>, account: Option<&Account>) -> Result<Self, ClusterError> {
        let uid = geteuid().as_raw();
        let root = root.map_or_else(|| env::temp_dir().join(format!("walcast-demo-{uid}")), Path::to_owned);
        // The account must be able to enter, not to list.
        let mode = if account.is_some() { 0o711 } else { 0o700 };
        match DirBuilder::new().mode(mode).create(&root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(ClusterError::io("create", &root)(error));
            }
            Ok(()) | Err(_) => (),
        }
        // On a shared machine anybody may have created that name first, also as a link to elsewhere.
        let metadata = fs::symlink_metadata(&root).map_err(ClusterError::io("look at", &root))?;
        if !metadata.is_dir() || metadata.uid() != uid || metadata.mode() & 0o022 != 0 {
            return Err(ClusterError::NotOurs { path: root });
        }
        let root = fs::canonicalize(&root).map_err(ClusterError::io("resolve", &root))?;
        if let Some(account) = account {
            account.reach(&root)?;
        }
        let gate = root.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&gate);
        let file = file.map_err(ClusterError::io("open", &gate))?;
        let gate = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| ClusterError::io("lock", &gate)(errno.into()))?;
        Ok(Self { root, mode, _gate: gate })
    }

    /// Ends and removes the clusters whose owners are gone; everything else stays untouched.
    pub(super) fn sweep(&self, progress: &mut dyn FnMut(&str)) -> Result<(), ClusterError> {
        let entries = fs::read_dir(&self.root).map_err(ClusterError::io("list", &self.root))?;
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_plot(path)) {
            let Ok(directory) = File::open(&path) else { continue };
            let Ok(_lock) = Flock::lock(directory, FlockArg::LockExclusiveNonblock) else { continue };
            progress(&format!("removing what an interrupted run left in {}", path.display()));
            Watchdog::stand_in(&path).map_err(ClusterError::io("clean up", &path))?;
        }
        Ok(())
    }

    /// A new directory, locked for this process.
    pub(super) fn claim(&self) -> Result<Plot, ClusterError> {
        let directory = self.root.join(format!("{}-{}", process::id(), random_hex::<8>()?));
        let created = DirBuilder::new().mode(self.mode).create(&directory);
        created.map_err(ClusterError::io("create", &directory))?;
        let file = File::open(&directory).map_err(ClusterError::io("open", &directory))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| ClusterError::io("lock", &directory)(errno.into()))?;
        Ok(Plot { directory, _lock: lock })
    }
}

/// Whether `path` is a real directory with a name such as [`Ground::claim`] gives.
fn is_plot(path: &Path) -> bool {
    let named = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('-'));
    let named = named.is_some_and(|(pid, random)| {
        !pid.is_empty()
            && pid.bytes().all(|b| b.is_ascii_digit())
            && random.len() == 16
            && random.bytes().all(|b| b.is_ascii_hexdigit())
    });
    named && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// `N` bytes from the system's own generator, in hexadecimal: good enough for a password.
pub(super) fn random_hex<const N: usize>() -> Result<String, ClusterError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0_u8; N];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(ClusterError::io("read", source))?;
    let mut text = String::with_capacity(2 * N);
    for byte in bytes {
        write!(text, "{byte:02x}").ok();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_named_by_pid_and_random_are_swept() {
        let root = env::temp_dir().join(format!("walcast-ground-{}", random_hex::<8>().unwrap()));
        let ground = Ground::open(Some(&root), None).unwrap();
        for name in
            ["12-0123456789abcdef", "12-0123456789abcde", "x-0123456789abcdef", "-0123456789abcdef", "data"]
        {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("13-0123456789abcdef"), "a file").unwrap();
        std::os::unix::fs::symlink("/", root.join("14-0123456789abcdef")).unwrap();
        let mut swept = Vec::new();
        ground.sweep(&mut |line| swept.push(line.rsplit('/').next().unwrap_or_default().to_owned())).unwrap();
        assert_eq!(swept, ["12-0123456789abcdef"]);
        let mut left: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(
            left,
            [
                "-0123456789abcdef",
                "12-0123456789abcde",
                "13-0123456789abcdef",
                "14-0123456789abcdef",
                "data",
                "lock",
                "x-0123456789abcdef"
            ]
        );
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_root_that_others_can_write_to_is_refused() {
        let root = env::temp_dir().join(format!("walcast-ground-{}", random_hex::<8>().unwrap()));
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let error = Ground::open(Some(&root), None).unwrap_err();
        assert!(matches!(&error, ClusterError::NotOurs { path } if *path == root), "{error}");
        fs::remove_dir_all(&root).unwrap();
    }
}
