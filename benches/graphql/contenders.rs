//! What walcast is compared with, and what everything costs.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use walcast::graphql::plan::Limits;
use walcast::operations::{Identity, Operations, Request};
use walcast::postgres::pool::{Pool, PoolOptions};
use walcast::settings::{Mode, Settings};

use crate::load::Load;
use crate::server::Postgres;

/// pgbench with one prepared statement.
pub struct Pgbench {
    command: std::path::PathBuf,
    url: String,
    script: String,
}

impl Pgbench {
    /// `statement` has one parameter, which takes the numbers 1 to `ids`.
    pub fn new(postgres: &Postgres, statement: &str, ids: u32) -> Self {
        assert!(!statement.contains('\n') && !statement.contains("$2"), "{statement}");
        let script = format!("\\set id random(1, {ids})\n{};\n", statement.replace("$1", ":id"));
        Self { command: postgres.program("pgbench"), url: postgres.url(), script }
    }

    pub fn run(&self, connections: usize, threads: usize, time: Duration) -> Load {
        let mut child = Command::new(&self.command)
            .args(["--no-vacuum", "--protocol=prepared", "--file=-"])
            .args([format!("--client={connections}"), format!("--jobs={threads}")])
            .args([format!("--time={}", time.as_secs()), self.url.clone()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pgbench");
        child.stdin.take().unwrap().write_all(self.script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let number = |label: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(label)).map(str::trim_start);
            let number =
                line.and_then(|rest| rest.split([' ', '/']).next()).and_then(|word| word.parse().ok());
            number.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
        };
        let requests: f64 = number("number of transactions actually processed:");
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count")]
        Load { requests: requests as u64, seconds: requests / number("tps = ") }
    }
}

/// A running graphql-yoga; killed when dropped.
pub struct Yoga {
    child: Child,
    pub address: SocketAddr,
}

impl Yoga {
    pub fn serve(postgres: &Postgres, connections: usize) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/graphql-yoga");
        assert!(folder.join("node_modules").exists(), "run scripts/setup.sh bench first");
        let mut child = Command::new("node")
            .arg("server.mjs")
            .current_dir(folder)
            .env("DATABASE_URL", postgres.url())
            .env("POOL", connections.to_string())
            .env("NODE_ENV", "production")
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().parse().expect("the server's address");
        Self { child, address }
    }

    /// CPU seconds used so far.
    pub fn cpu(&self) -> f64 {
        Stat::of(self.child.id()).expect("it runs").own
    }
}

impl Drop for Yoga {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU seconds that a process and those which it started have used so far, also the ones that have ended.
pub fn cpu_of_family(process: u32) -> f64 {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|entry| Stat::of(entry.file_name().to_str()?.parse().ok()?));
    let children: f64 = processes.filter(|stat| stat.parent == process).map(|stat| stat.own).sum();
    let stat = Stat::of(process).expect("it runs");
    children + stat.own + stat.waited_for
}

/// CPU seconds of this process, which makes the load, and of each pgbench that has ended.
pub fn cpu_of_client() -> f64 {
    let stat = Stat::of(std::process::id()).expect("it runs");
    stat.own + stat.waited_for
}

/// The process that started another one.
pub fn parent(process: u32) -> u32 {
    Stat::of(process).expect("it runs").parent
}

/// A line of /proc/PID/stat: see `proc_pid_stat(5)`.
struct Stat {
    parent: u32,
    /// CPU seconds, user and system.
    own: f64,
    /// Those of its children that have ended.
    waited_for: f64,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // Counted behind the name, the first field is the third one. A tick is 1/100 s.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let seconds = |index: usize| Some(fields.get(index)?.parse::<f64>().ok()? / 100.0);
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: seconds(11)? + seconds(12)?,
            waited_for: seconds(13)? + seconds(14)?,
        })
    }
}

/// The SQL that walcast sends for a query, by the library and with the default settings.
pub async fn statement(postgres: &Postgres, query: &str) -> String {
    let environment = [("DATABASE_URL".to_owned(), postgres.url())];
    let settings = Settings::load(None, environment, Mode::Serve).unwrap();
    let login = settings.database.as_ref().unwrap().login();
    let schema = walcast::server::schema(&settings, &login).await.unwrap();
    let options = PoolOptions { role: None, connections: 1, wait: Duration::ZERO, statement: Duration::ZERO };
    let pool = Pool::new(&login, options).unwrap();
    let limits = Limits {
        depth: settings.graphql.depth,
        cost: settings.graphql.cost,
        rows: u32::try_from(settings.graphql.rows).unwrap(),
        introspection: true,
    };
    let operations = Operations::new(Arc::new(pool), limits, Arc::default());
    operations.serve(Ok(Arc::new(schema)), Ok(()));
    let variables = serde_json::from_str(r#"{"id": "1"}"#).unwrap();
    let identity = Identity::default();
    let request = Request { document: query.to_owned(), operation_name: None, variables, identity };
    let prepared = operations.prepare(request).unwrap();
    let [statement] = prepared.statements().try_into().expect("one statement");
    statement.to_string()
}
