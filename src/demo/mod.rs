//! `walcast demo`: a throw-away Postgres with example data, and the server on it.
//!
//! - [`cluster`]: a throw-away Postgres of our own, which never touches one that is already there

pub mod cluster;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::http::{Answer, DemoWrite};
use crate::postgres::session::Session;
use crate::postgres::{Login, PostgresError};
use crate::server::{Server, ServerError};
use crate::settings::Settings;
use cluster::{Binaries, Cluster, ClusterError, Options};

const SCHEMA: &str = include_str!("../../sql/demo.sql");
const FUNCTIONS: &str = include_str!("../../sql/walcast.sql");

/// Why the demo ended.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The throw-away Postgres could not be started or stopped.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The database's URL could not be left where scripts look for it.
    #[error("cannot write {}", path.display())]
    Url {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The example data could not be loaded.
    #[error("the example data could not be loaded")]
    Load(#[source] PostgresError),
    /// The server ended by itself.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The thread that starts and stops Postgres was lost.
    #[error("the throw-away Postgres was lost")]
    Task(#[from] tokio::task::JoinError),
}

/// Runs the demo until `stop` resolves; nothing of it is left then.
///
/// # Errors
/// When Postgres or the server cannot be started, or end by themselves.
pub async fn run(settings: &Settings, stop: impl Future<Output = ()>) -> Result<(), DemoError> {
    let explicit = std::env::var_os("PGBIN").map(PathBuf::from);
    let mut stop = std::pin::pin!(stop);
    let starting = tokio::task::spawn_blocking(move || start_cluster(explicit.as_deref()));
    let cluster = starting.await??;
    let served = serve(settings, &cluster, &mut stop).await;
    say("ending the throw-away Postgres");
    tokio::task::spawn_blocking(move || cluster.stop()).await??;
    served
}

fn start_cluster(explicit: Option<&Path>) -> Result<Cluster, ClusterError> {
    let binaries = Binaries::find(explicit)?;
    Cluster::start(&binaries, &Options::default(), &mut say)
}

async fn serve(
    settings: &Settings,
    cluster: &Cluster,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> Result<(), DemoError> {
    let url = cluster.url("postgres");
    let login: Login = url.parse().map_err(|error| DemoError::Load(PostgresError::Connect(error)))?;
    say("loading the example data");
    let session = Session::new(&login, "walcast-demo");
    let client = session.client().await.map_err(DemoError::Load)?;
    for sql in [SCHEMA, FUNCTIONS] {
        client.batch_execute(sql).await.map_err(|error| DemoError::Load(PostgresError::Sql(error)))?;
    }
    let writer = move |action| -> Answer<()> {
        let session = session.clone();
        Box::pin(async move { write(&session, action).await.map_err(|error| error.to_string()) })
    };
    leave_url(cluster, &url)?;
    let server = Server::start(settings, &login, Some(Box::new(writer))).await?;
    let (mut readiness, address) = (server.readiness(), server.address());
    let greeting = tokio::spawn(async move {
        if readiness.wait_for(crate::readiness::Readiness::is_live).await.is_ok() {
            greet(address, &url);
        }
    });
    let served = server.run(stop).await;
    greeting.abort();
    Ok(served?)
}

/// Where `scripts/simulate_*.sh` find the database of a demo that runs: a file in its directory, gone with it.
fn leave_url(cluster: &Cluster, url: &str) -> Result<(), DemoError> {
    let path = cluster.directory().join("url");
    let mut options = OpenOptions::new();
    // The password is in it.
    let file = options.create_new(true).write(true).mode(0o600).open(&path);
    file.and_then(|mut file| writeln!(file, "{url}")).map_err(|source| DemoError::Url { path, source })
}

/// One line of progress.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "  {line}");
}

fn greet(address: SocketAddr, url: &str) {
    let port = address.port();
    let _ = write!(
        std::io::stdout().lock(),
        "
  walcast is live. Every change of this throw-away database reaches whoever listens.

  See it      http://localhost:{port}

  Write       psql {url} \\
                -c \"insert into users (name) values ('you')\"
              scripts/simulate_bids.sh, scripts/simulate_chat.sh

  Subscribe   npm install phoenix@1.8 ws, then in Node:

      import {{ Socket }} from 'phoenix'
      import WebSocket from 'ws'
      const socket = new Socket('ws://localhost:{port}/socket', {{ transport: WebSocket }})
      socket.connect()
      const users = socket.channel('realtime:public:users')
      users.on('*', change => console.log(change.type, change.record))
      users.join()

  Ctrl-C ends it; nothing is left behind.
"
    );
}

/// One press of a button of the console page.
async fn write(session: &Session, action: DemoWrite) -> Result<(), PostgresError> {
    let statement = match action {
        DemoWrite::Insert => {
            "insert into users (name, email, tags, balance) \
             select 'sample user ' || n, 'user' || n || '@example.com', array['sample'], round(random()::numeric * 100, 2) \
             from (select coalesce(max(id), 0) + 1 from users) as next(n)"
        }
        DemoWrite::Update => {
            "update users set balance = balance + 1.5, profile = profile || jsonb_build_object('visits', \
             coalesce((profile ->> 'visits')::int, 0) + 1) where id = (select max(id) from users)"
        }
        DemoWrite::Delete => "delete from users where id = (select max(id) from users)",
        DemoWrite::Bid => {
            "select bid(1, (select coalesce(max(amount), 0) + 5 from bids where auction_id = 1))"
        }
        DemoWrite::Message => {
            "select send_message(1, 'the console', 'hello from the page at ' || to_char(now(), 'HH24:MI:SS'))"
        }
    };
    let client = session.client().await?;
    client.execute(statement, &[]).await.map_err(PostgresError::Sql)?;
    Ok(())
}
