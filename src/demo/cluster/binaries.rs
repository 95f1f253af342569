//! Where the Postgres programs of this machine are.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ClusterError;

/// Older servers lack what the reader needs of the replication protocol.
const OLDEST_MAJOR: u16 = 14;

/// Directories that hold one directory for each installed major, and how its name starts.
/// Debian and Ubuntu; the PGDG packages for RPM; Homebrew on ARM and on Intel; Postgres.app.
const SHELVES: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
    ("/Applications/Postgres.app/Contents/Versions", ""),
];

/// A directory with `initdb` and `postgres` of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    directory: PathBuf,
    version: Version,
}

/// A server version as its own `--version` states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// `15` of `15.18`.
    pub major: u16,
    /// `15.18`, or `19beta1`.
    pub text: String,
}

impl Binaries {
    /// The Postgres to use: `explicit` (what `PGBIN` says) and nothing else if it is given; otherwise the
    /// first of `PATH`, then the highest major in the usual places of Debian, RPM, Homebrew and
    /// Postgres.app. Runs `postgres --version`; blocks while it does.
    ///
    /// # Errors
    /// [`ClusterError::Unusable`] names what the explicit directory lacks, [`ClusterError::NotFound`] lists
    /// where it looked and the command that installs Postgres.
    pub fn find(explicit: Option<&Path>) -> Result<Self, ClusterError> {
        if let Some(directory) = explicit {
            return Self::inspect(directory)
                .map_err(|reason| ClusterError::Unusable { directory: directory.to_owned(), reason });
        }
        let path = env::var_os("PATH").unwrap_or_default();
        Self::search(&path, SHELVES.map(|(parent, prefix)| (Path::new(parent), prefix)), Self::inspect)
    }

    fn search<'a>(
        path: &OsStr,
        shelves: impl IntoIterator<Item = (&'a Path, &'a str)>,
        inspect: impl Fn(&Path) -> Result<Self, String>,
    ) -> Result<Self, ClusterError> {
        let mut looked = Vec::new();
        // Most directories of PATH have nothing to do with Postgres; naming each of them would hide the rest.
        for directory in env::split_paths(path).filter(|directory| directory.join("postgres").exists()) {
            match inspect(&directory) {
                Ok(found) => return Ok(found),
                Err(reason) => looked.push(format!("{}: {reason}", directory.display())),
            }
        }
        looked.push("PATH: nothing usable".to_owned());
        for (parent, prefix) in shelves {
            let majors = installed(parent, prefix);
            if majors.is_empty() {
                looked.push(format!("{}: nothing there", parent.join(format!("{prefix}*/bin")).display()));
            }
            for directory in majors {
                match inspect(&directory) {
                    Ok(found) => return Ok(found),
                    Err(reason) => looked.push(format!("{}: {reason}", directory.display())),
                }
            }
        }
        Err(ClusterError::NotFound { looked })
    }

    /// The Postgres in `directory`, or what is wrong with it.
    fn inspect(directory: &Path) -> Result<Self, String> {
        for program in ["initdb", "postgres"] {
            if !directory.join(program).exists() {
                return Err(format!("no {program}"));
            }
        }
        let output = Command::new(directory.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("postgres does not run: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = Version::parse(&text).ok_or_else(|| {
            format!(
                "`postgres --version` states no version ({}): {}",
                output.status,
                last_lines(&output.stderr)
            )
        })?;
        Self::supported(directory, version)
    }

    fn supported(directory: &Path, version: Version) -> Result<Self, String> {
        if version.major < OLDEST_MAJOR {
            return Err(format!("Postgres {} is older than {OLDEST_MAJOR}", version.text));
        }
        Ok(Self { directory: directory.to_owned(), version })
    }

    /// The directory that holds the programs.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The version of the server.
    #[must_use]
    pub const fn version(&self) -> &Version {
        &self.version
    }
}

impl Version {
    /// The first word that starts with a digit, for there are builds that put another name before it.
    fn parse(text: &str) -> Option<Self> {
        let text = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Self { major: digits.parse().ok()?, text: text.to_owned() })
    }
}

/// The `bin` directories of a shelf, highest major first; one without a number (Homebrew's link to its
/// current version, `latest` of Postgres.app) comes last.
fn installed(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u16, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let rest = name.to_str()?.strip_prefix(prefix)?.trim_start_matches('@');
            let major = rest.parse().ok().or_else(|| matches!(rest, "" | "latest").then_some(0))?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, directory)| directory).collect()
}

/// The end of what a program printed: the reason is in its last lines.
pub(super) fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own that goes away with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let name = format!("walcast-binaries-{}-{:x}", std::process::id(), fastrand::u64(..));
            let path = env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        /// A directory that says what `postgres --version` would; nothing in it is ever run, because a
        /// program that was just written may be refused as busy while another test forks.
        fn install(&self, directory: &str, version: &str) -> PathBuf {
            let directory = self.0.join(directory);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("postgres"), version).unwrap();
            directory
        }
    }

    /// [`Binaries::inspect`] for what [`Scratch::install`] makes.
    fn inspect(directory: &Path) -> Result<Binaries, String> {
        let text = fs::read_to_string(directory.join("postgres")).map_err(|error| error.to_string())?;
        let version = Version::parse(&text).ok_or("no version")?;
        Binaries::supported(directory, version)
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn version_is_read_from_release_beta_and_vendor_builds() {
        let parse = |text| Version::parse(text).map(|version| (version.major, version.text));
        assert_eq!(parse("postgres (PostgreSQL) 15.18 (Debian 15.18-0)\n"), Some((15, "15.18".to_owned())));
        assert_eq!(parse("postgres (PostgreSQL) 19beta1"), Some((19, "19beta1".to_owned())));
        assert_eq!(parse("postgres (Some Vendor) 16.2.0"), Some((16, "16.2.0".to_owned())));
        assert_eq!(parse("postgres"), None);
    }

    #[test]
    fn path_comes_first_then_the_highest_major_and_old_ones_are_passed_over() {
        let scratch = Scratch::new();
        let on_path = scratch.install("path", "postgres (PostgreSQL) 14.1");
        let old = scratch.install("old", "postgres (PostgreSQL) 13.9");
        scratch.install("lib/9/bin", "postgres (PostgreSQL) 9.6.1");
        let highest = scratch.install("lib/18/bin", "postgres (PostgreSQL) 18.1");
        scratch.install("lib/15/bin", "postgres (PostgreSQL) 15.1");
        let lib = scratch.0.join("lib");
        let shelves = || [(lib.as_path(), "")];

        let paths = env::join_paths([&old, &on_path]).unwrap();
        assert_eq!(Binaries::search(&paths, shelves(), inspect).unwrap().directory(), on_path);
        let found = Binaries::search(old.as_os_str(), shelves(), inspect).unwrap();
        assert_eq!((found.directory(), found.version().major), (highest.as_path(), 18));
    }

    #[test]
    fn prefixed_shelves_take_versions_and_ignore_neighbours() {
        let scratch = Scratch::new();
        for name in ["postgresql", "postgresql@14", "postgresql@17", "postgresql-client", "other"] {
            scratch.install(&format!("{name}/bin"), "postgres (PostgreSQL) 17.0");
        }
        let names: Vec<_> = installed(&scratch.0, "postgresql")
            .iter()
            .map(|path| path.strip_prefix(&scratch.0).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["postgresql@17/bin", "postgresql@14/bin", "postgresql/bin"]);
    }

    #[test]
    fn finding_nothing_says_where_it_looked_and_what_installs_it() {
        let scratch = Scratch::new();
        let old = scratch.install("old", "postgres (PostgreSQL) 13.9");
        let error =
            Binaries::search(old.as_os_str(), [(Path::new("/nowhere"), "pgsql-")], inspect).unwrap_err();
        let text = error.to_string();
        for part in
            ["Postgres 13.9 is older than 14", "/nowhere/pgsql-*/bin", "apt-get install postgresql", "PGBIN"]
        {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }

    #[test]
    fn an_explicit_directory_is_never_replaced_by_another() {
        let scratch = Scratch::new();
        let directory = scratch.install("bin", "postgres (PostgreSQL) 16.1");
        let error = Binaries::find(Some(&directory)).unwrap_err();
        assert!(matches!(&error, ClusterError::Unusable { reason, .. } if reason == "no initdb"), "{error}");
    }
}
