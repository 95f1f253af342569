//! Where the programs of each Postgres major come from.

use std::path::{Path, PathBuf};

use walcast::demo::cluster::Binaries;

/// The majors of the ordinary run: the oldest that most machines have, and the newest.
pub const ORDINARY_MAJORS: [u16; 2] = [15, 18];

/// Every supported major, for the long run.
pub const ALL_MAJORS: [u16; 5] = [14, 15, 16, 17, 18];

/// The majors that this run covers: the ordinary ones, or all of them with `WALCAST_TEST_MAJORS=all`.
///
/// # Panics
/// On any other value, lest a misspelt long run pass for one.
pub fn majors() -> &'static [u16] {
    match std::env::var("WALCAST_TEST_MAJORS").as_deref() {
        Err(_) => &ORDINARY_MAJORS,
        Ok("all") => &ALL_MAJORS,
        Ok(other) => panic!("WALCAST_TEST_MAJORS is `{other}`: set it to `all` or not at all"),
    }
}

/// The programs of `major`: from the npm package that `tests/package.json` or `tests/long/package.json` pins;
/// on a platform for which there is no such package, Debian's directory of that major.
///
/// # Panics
/// When neither is there, with the command that installs it: a missing prerequisite is a failure.
pub fn of_major(major: u16) -> Binaries {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let ordinary = ORDINARY_MAJORS.contains(&major);
    let folder = if ordinary { tests } else { tests.join("long") };
    let places = [
        folder.join(format!("node_modules/pg{major}/native/bin")),
        PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")),
    ];
    let found = places.iter().filter_map(|place| Binaries::find(Some(place)).ok());
    let mut found = found.filter(|binaries| binaries.version().major == major);
    let target = if ordinary { "setup" } else { "setup-long" };
    found.next().unwrap_or_else(|| {
        let places = places.map(|place| place.display().to_string()).join(" nor in ");
        panic!("Postgres {major} is neither in {places}: `make {target}` installs it")
    })
}

/// The machine's own Postgres, which has the contrib extensions; `PGBIN` names another one.
///
/// # Panics
/// When there is none, with the command that installs it.
pub fn of_system() -> Binaries {
    let explicit = std::env::var_os("PGBIN").map(PathBuf::from);
    Binaries::find(explicit.as_deref()).unwrap_or_else(|error| {
        panic!("the machine's own Postgres is missing (`make setup` installs it): {error}")
    })
}
