//! The throw-away cluster itself: that it starts as promised, and that nothing of it outlives its owner.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use walcast::demo::cluster::{Cluster, ClusterError, Options, Shutdown};

use crate::{cluster, postgres_binaries};

/// Set for the copy of this test program that owns a cluster and gets killed.
const OWNER_ROOT: &str = "WALCAST_TEST_OWNER_ROOT";

#[tokio::test]
async fn every_major_starts_with_logical_wal_utf8_and_c_locale() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        let settings = [
            ("wal_level", "logical"),
            ("server_encoding", "UTF8"),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("max_replication_slots", "60"),
        ];
        for (name, value) in settings {
            assert_eq!(setting(&client, name).await, value, "{name} on {major}");
        }
        assert_eq!(setting(&client, "server_version_num").await.len(), 6);
        assert!(setting(&client, "server_version_num").await.starts_with(&major.to_string()));
        let collate =
            client.query_one("select datcollate from pg_database where datname = current_database()", &[]);
        assert_eq!(collate.await.unwrap().get::<_, String>(0), "C");
    }
}

#[tokio::test]
async fn the_machines_own_postgres_has_the_contrib_types() {
    let database = cluster::system().database().await;
    let client = database.connect().await;
    client.batch_execute("create extension hstore; create extension citext").await.unwrap();
    let same =
        client.query_one("select 'A'::citext = 'a'::citext and 'k=>v'::hstore ? 'k'", &[]).await.unwrap();
    assert!(same.get::<_, bool>(0));
}

#[tokio::test]
async fn a_wrong_password_is_refused_on_loopback() {
    let database = cluster::shared(15).database().await;
    let mut config: tokio_postgres::Config = database.url().parse().unwrap();
    config.password("wrong");
    let error = config.connect(tokio_postgres::NoTls).await.err().unwrap();
    assert_eq!(error.code(), Some(&SqlState::INVALID_PASSWORD));
}

#[tokio::test]
async fn a_dropped_database_takes_its_slot_and_its_sessions_along() {
    let database = cluster::shared(15).database().await;
    let name = database.name().to_owned();
    let client = database.connect().await;
    client
        .query_one("select pg_create_logical_replication_slot('left_over', 'pgoutput')", &[])
        .await
        .unwrap();
    drop(database);
    let other = cluster::shared(15).database().await;
    let rest = other.connect().await;
    let left = "select (select count(*) from pg_database where datname = $1)
                     + (select count(*) from pg_replication_slots where database = $1)";
    assert_eq!(rest.query_one(left, &[&name]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn extra_settings_win_and_the_port_and_the_data_survive_a_restart() {
    let settings = [("wal_sender_timeout", "3s"), ("max_replication_slots", "7")];
    let mut own = cluster::own(&postgres_binaries::of_major(18), &settings);
    let (port, directory) = (own.port(), own.directory().to_owned());
    let client = cluster::connect(&own.url("postgres")).await;
    assert_eq!(setting(&client, "wal_sender_timeout").await, "3s");
    assert_eq!(setting(&client, "max_replication_slots").await, "7");
    client.batch_execute("create table kept (id int); insert into kept values (42)").await.unwrap();

    for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
        own.stop_server(shutdown).unwrap();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "still listening after {shutdown:?}");
        own.start_server().unwrap();
        assert_eq!(own.port(), port);
        let client = cluster::connect(&own.url("postgres")).await;
        assert_eq!(client.query_one("select id from kept", &[]).await.unwrap().get::<_, i32>(0), 42);
    }
    own.stop().unwrap();
    assert!(!directory.exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn a_hung_backend_delays_the_stop_and_does_not_survive_it() {
    let own = cluster::own(&postgres_binaries::of_major(15), &[]);
    let client = cluster::connect(&own.url("postgres")).await;
    let backend = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get::<_, i32>(0);
    let backend = u32::try_from(backend).unwrap();
    signal(backend, Signal::SIGSTOP);
    let directory = own.directory().to_owned();
    own.stop().unwrap();
    eventually("the backend is gone", || !runs(backend));
    assert!(!directory.exists());
}

#[tokio::test]
async fn an_odd_database_name_survives_the_url() {
    let own = cluster::own(&postgres_binaries::of_major(15), &[]);
    let client = cluster::connect(&own.url("postgres")).await;
    client.batch_execute("create database \"a/b?c=ü %20\"").await.unwrap();
    let client = cluster::connect(&own.url("a/b?c=ü %20")).await;
    let name = client.query_one("select current_database()::text", &[]).await.unwrap();
    assert_eq!(name.get::<_, String>(0), "a/b?c=ü %20");
}

#[test]
fn data_belongs_to_an_unprivileged_user_and_nobody_else_can_read_it() {
    let own = cluster::own(&postgres_binaries::of_major(15), &[]);
    let data = fs::metadata(own.directory().join("data")).unwrap();
    assert_eq!(data.permissions().mode() & 0o777, 0o700);
    assert_ne!(data.uid(), 0);
    assert!(!own.directory().join("password").exists());
    assert!(!format!("{own:?}").contains(own.url("").split([':', '@']).nth(2).unwrap()), "{own:?}");
}

#[test]
fn a_refused_setting_fails_with_the_servers_own_words_and_leaves_nothing() {
    let root = Root::new();
    let mut options = Options { root: Some(root.0.clone()), ..Options::default() };
    options.settings.push(("wal_sender_timeout".to_owned(), "soon".to_owned()));
    let error = Cluster::start(&postgres_binaries::of_major(15), &options, &mut |_| ()).unwrap_err();
    assert!(
        matches!(&error, ClusterError::Startup { log, .. } if log.contains("wal_sender_timeout")),
        "{error}"
    );
    assert_eq!(root.clusters(), Vec::<PathBuf>::new());
}

#[test]
fn dropping_ends_the_server_and_removes_the_directory() {
    let root = Root::new();
    let options = Options { root: Some(root.0.clone()), ..Options::default() };
    let mut lines = Vec::new();
    let own =
        Cluster::start(&postgres_binaries::of_major(15), &options, &mut |line| lines.push(line.to_owned()));
    let own = own.unwrap();
    let (port, directory) = (own.port(), own.directory().to_owned());
    let expected = [
        format!("creating a database cluster in {}", directory.display()),
        format!("starting Postgres {} on port {port}", own.binaries().version().text),
    ];
    assert_eq!(lines, expected);
    let server = server_of(&directory);
    drop(own);
    assert!(!runs(server));
    assert_eq!(root.clusters(), Vec::<PathBuf>::new());
}

/// Both halves of this test are this test program: started once more with [`OWNER_ROOT`] set, it owns a cluster
/// until it is killed.
#[test]
fn a_killed_owner_takes_its_server_and_its_directory_along() {
    if let Some(root) = env::var_os(OWNER_ROOT) {
        own_a_cluster_until_killed(PathBuf::from(root));
    }
    let root = Root::new();
    let mut owner = Owner::start(&root);
    let server = server_of(&owner.directory);
    assert!(runs(server));
    owner.process.kill().unwrap();
    owner.process.wait().unwrap();
    eventually("the server is gone", || !runs(server));
    eventually("the directory is gone", || !owner.directory.exists());
}

#[test]
fn the_next_start_ends_what_a_killed_owner_and_watchdog_left_and_nothing_else() {
    let root = Root::new();
    let mut abandoned = Owner::start(&root);
    let live = Owner::start(&root);
    let abandoned_server = server_of(&abandoned.directory);
    let live_server = server_of(&live.directory);
    // Directories that no owner holds, whose recorded process is somebody else's: of another program, and of
    // a cluster that lives in another directory.
    let bystander = Killed(Command::new("sleep").arg("600").spawn().unwrap());
    for (name, pid) in [("1-00000000000000aa", bystander.0.id()), ("1-00000000000000bb", live_server)] {
        let data = root.0.join(name).join("data");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("postmaster.pid"), format!("{pid}\n")).unwrap();
    }
    fs::create_dir(root.0.join("keep")).unwrap();
    fs::write(root.0.join("keep/file"), "mine").unwrap();

    signal(abandoned.watchdog(), Signal::SIGKILL);
    eventually("the watchdog is gone", || !runs(abandoned.watchdog_pid));
    abandoned.process.kill().unwrap();
    abandoned.process.wait().unwrap();
    assert!(runs(abandoned_server), "without a watchdog the server lives on");

    let options = Options { root: Some(root.0.clone()), ..Options::default() };
    let next = Cluster::start(&postgres_binaries::of_major(15), &options, &mut |_| ()).unwrap();
    assert!(!runs(abandoned_server));
    assert!(runs(live_server));
    assert!(runs(bystander.0.id()));
    let mut left = vec![live.directory.clone(), next.directory().to_owned()];
    left.sort();
    assert_eq!(root.clusters(), left);
    assert_eq!(fs::read_to_string(root.0.join("keep/file")).unwrap(), "mine");
}

#[tokio::test]
async fn the_demo_schema_loads_twice_and_its_functions_hold_their_rules() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    for _ in 0..2 {
        client.batch_execute(include_str!("../../sql/demo.sql")).await.unwrap();
    }
    let counts = "select (select count(*) from users), (select count(*) from auctions),
                         (select count(*) from bids), (select count(*) from messages)";
    let counts = client.query_one(counts, &[]).await.unwrap();
    assert_eq!([0, 1, 2, 3].map(|column| counts.get::<_, i64>(column)), [3, 3, 3, 2]);

    let highest = "select h.amount from auctions a left join lateral highest_bid(a) h on true order by a.id";
    let amounts = client.query(highest, &[]).await.unwrap();
    let amounts: Vec<Option<i32>> = amounts.iter().map(|row| row.get(0)).collect();
    assert_eq!(amounts, [Some(15), Some(80), None]);

    let bid = "select amount from bid((select min(id) from auctions), $1)";
    assert_eq!(client.query_one(bid, &[&16]).await.unwrap().get::<_, i32>(0), 16);
    let error = client.query_one(bid, &[&16]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION));
    assert!(error.as_db_error().unwrap().message().ends_with("must be higher than 16"));
    let error = client.query_one("select bid(0, 1)", &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), "there is no auction 0");

    let send = "select room_id, \"from\", body from send_message(7, 'x', 'y')";
    let message = client.query_one(send, &[]).await.unwrap();
    assert_eq!((message.get(0), message.get(1), message.get(2)), (7_i64, "x", "y"));
}

async fn setting(client: &Client, name: &str) -> String {
    client.query_one("select current_setting($1)", &[&name]).await.unwrap().get(0)
}

/// A root directory of one test, with whatever is left in it removed at the end.
struct Root(PathBuf);

impl Root {
    fn new() -> Self {
        let name = format!("walcast-test-{}-{:x}", std::process::id(), fastrand::u64(..));
        let path = fs::canonicalize(env::temp_dir()).unwrap().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).unwrap();
        Self(path)
    }

    /// The cluster directories in it, sorted.
    fn clusters(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = entries.filter(|path| path.join("data").exists()).collect();
        found.sort();
        found
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A process that is killed with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Another process that owns a cluster.
struct Owner {
    process: Child,
    directory: PathBuf,
    watchdog_pid: u32,
}

impl Owner {
    fn start(root: &Root) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "cluster_tests::a_killed_owner_takes_its_server_and_its_directory_along"])
            .args(["--nocapture", "--test-threads=1"])
            .env(OWNER_ROOT, &root.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // The test framework may have begun the line.
        let ready = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("owns ")?.1.to_owned()));
        let directory = PathBuf::from(ready.expect("the owner says which directory it owns"));
        let mut owner = Self { process, directory, watchdog_pid: 0 };
        owner.watchdog_pid = owner.watchdog();
        owner
    }

    /// The one child of the owner that is a shell.
    fn watchdog(&self) -> u32 {
        if self.watchdog_pid != 0 {
            return self.watchdog_pid;
        }
        let parent = format!("PPid:\t{}", self.process.id());
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            status.lines().any(|line| line == parent) && arguments.contains("walcast-watchdog")
        })
        .expect("the owner has a watchdog")
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        // The root goes next, and the watchdog needs it.
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.directory.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn own_a_cluster_until_killed(root: PathBuf) -> ! {
    let options = Options { root: Some(root), ..Options::default() };
    // Started from a thread that ends at once: the watchdog must not mistake that for the owner's end.
    let start = move || Cluster::start(&postgres_binaries::of_major(15), &options, &mut |_| ()).unwrap();
    let own = thread::spawn(start).join().unwrap();
    println!("owns {}", own.directory().display());
    loop {
        thread::park();
    }
}

/// The pid of the server on the cluster in `directory`.
fn server_of(directory: &Path) -> u32 {
    let text = fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().trim().parse().unwrap()
}

/// Whether the process exists and is more than a zombie that nobody has waited for.
fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.lines().any(|line| line.starts_with("State:\tZ")))
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

/// Waits until `condition` holds, for at most 20 s.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
