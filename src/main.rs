//! The `walcast` program: `serve` beside a database of yours, `demo` with a throw-away one, `schema` to see what GraphQL
//! makes of yours, `check` whether all is ready for it, `remove` to leave no trace in it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use walcast::postgres::{Login, check};
use walcast::server::Server;
use walcast::settings::{Mode, Settings};
use walcast::{demo, telemetry};

/// Turns a Postgres database into a realtime backend.
#[derive(Parser)]
#[command(name = "walcast", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the changes of your database: `DATABASE_URL=postgres://.. walcast serve`
    Serve {
        /// A TOML file with settings; environment variables win over it (see docs/configuration.md)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Start a throw-away Postgres with example data, and serve it on `http://localhost:4000`
    Demo {
        /// A TOML file with settings; environment variables win over it (see docs/configuration.md)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the GraphQL schema of your database: `DATABASE_URL=postgres://.. walcast schema`
    Schema {
        /// As TypeScript types rather than in the schema definition language
        #[arg(long)]
        ts: bool,
        /// A TOML file with settings; environment variables win over it (see docs/configuration.md)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say whether your database is ready and what walcast costs it, also while walcast runs. Ends with 0 when nothing
    /// must be mended, 1 when something must, 2 when the database could not be asked
    Check {
        /// As JSON rather than as a table
        #[arg(long)]
        json: bool,
        /// A TOML file with settings; environment variables win over it (see docs/configuration.md)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Drop the replication slot, for which Postgres keeps its log as long as it is there
    Remove {
        /// Drop the publication, too
        #[arg(long)]
        publication: bool,
        /// A TOML file with settings; environment variables win over it (see docs/configuration.md)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// What a command does once its settings are read.
enum Job {
    Run,
    Schema { typescript: bool },
    Check { json: bool },
    Remove { publication: bool },
}

/// `walcast check` could not look.
const NOT_ASKED: u8 = 2;

/// What an operator of the early server may believe to be in force.
const UNHEEDED: [&str; 4] = ["JWT_SECRET", "SECURE_CHANNELS", "JWT_CLAIM_VALIDATORS", "DB_SSL"];

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let failure =
        if matches!(command, Command::Check { .. }) { ExitCode::from(NOT_ASKED) } else { ExitCode::FAILURE };
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "walcast: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                let _ = write!(out, ": {cause}");
                source = cause.source();
            }
            let _ = writeln!(out);
            failure
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    let (mode, config, job) = match command {
        Command::Serve { config } => (Mode::Serve, config, Job::Run),
        Command::Demo { config } => (Mode::Demo, config, Job::Run),
        Command::Schema { ts, config } => (Mode::Serve, config, Job::Schema { typescript: ts }),
        Command::Check { json, config } => (Mode::Serve, config, Job::Check { json }),
        Command::Remove { publication, config } => (Mode::Serve, config, Job::Remove { publication }),
    };
    // Variables that are not text cannot be settings.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = Settings::load(config.as_deref(), environment, mode)?;
    if matches!(job, Job::Run) {
        telemetry::start(&settings.log);
        return start(&settings, mode).map(|()| ExitCode::SUCCESS);
    }
    // Loading in this mode demands a database.
    let login = settings.database.as_ref().ok_or("no database is set")?.login();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        match job {
            Job::Check { json } => return check(&settings, &login, json).await,
            Job::Remove { publication } => remove(&settings, &login, publication).await?,
            Job::Schema { typescript } => {
                telemetry::start(&settings.log);
                schema(&settings, &login, typescript).await?;
            }
            Job::Run => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn start(settings: &Settings, mode: Mode) -> Result<(), Failure> {
    for name in UNHEEDED.iter().filter(|name| std::env::var_os(name).is_some()) {
        tracing::warn!(
            name,
            "this variable of Supabase Realtime 0.x is not heeded: walcast checks no tokens, and takes TLS to Postgres from database.sslmode"
        );
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let traces = settings.traces.as_ref().map(telemetry::traces::start).transpose()?;
        let ended = match mode {
            Mode::Serve => serve(settings).await,
            Mode::Demo => demo::run(settings, stop_signal()?).await.map_err(Failure::from),
        };
        if let Some(traces) = traces {
            traces.finish().await;
        }
        ended
    })
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    let stop = stop_signal()?;
    // Loading in this mode demands a database.
    let database = settings.database.as_ref().ok_or("no database is set")?;
    Server::start(settings, &database.login(), None).await?.run(stop).await?;
    Ok(())
}

async fn schema(settings: &Settings, login: &Login, typescript: bool) -> Result<(), Failure> {
    let schema = walcast::server::schema(settings, login).await?;
    let text = if typescript { walcast::graphql::typescript::typescript(&schema) } else { schema.sdl };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

async fn check(settings: &Settings, login: &Login, json: bool) -> Result<ExitCode, Failure> {
    let source = walcast::server::source(settings);
    let findings = check::check(login, &source, settings.replication.lag_warn_bytes).await?;
    let text = if json { check::json(&findings)? + "\n" } else { check::table(&findings) };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(if check::is_ready(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn remove(settings: &Settings, login: &Login, publication: bool) -> Result<(), Failure> {
    let replication = &settings.replication;
    let publication = publication.then_some(replication.publication.as_str());
    let done = walcast::postgres::remove::remove(login, &replication.slot, publication).await?;
    let mut out = std::io::stdout().lock();
    for line in done {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Resolves at the first SIGINT or SIGTERM; a second one ends the process at once.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    })
}
