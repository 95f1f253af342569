//! The `walcast` program: `serve` beside a database of yours, `demo` with a throw-away one, `schema` to see what GraphQL
//! makes of yours.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
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
}

/// What an operator of the early server may believe to be in force.
const UNHEEDED: [&str; 4] = ["JWT_SECRET", "SECURE_CHANNELS", "JWT_CLAIM_VALIDATORS", "DB_SSL"];

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "walcast: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                let _ = write!(out, ": {cause}");
                source = cause.source();
            }
            let _ = writeln!(out);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let (mode, config, print) = match command {
        Command::Serve { config } => (Mode::Serve, config, None),
        Command::Demo { config } => (Mode::Demo, config, None),
        Command::Schema { ts, config } => (Mode::Serve, config, Some(ts)),
    };
    // Variables that are not text cannot be settings.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = Settings::load(config.as_deref(), environment, mode)?;
    telemetry::start(&settings.log);
    if let Some(typescript) = print {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(schema(&settings, typescript));
    }
    for name in UNHEEDED.iter().filter(|name| std::env::var_os(name).is_some()) {
        tracing::warn!(
            name,
            "this variable of Supabase Realtime 0.x is not heeded: walcast checks no tokens, and takes TLS to Postgres from database.sslmode"
        );
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        match mode {
            Mode::Serve => serve(&settings).await,
            Mode::Demo => demo::run(&settings, stop_signal()?).await.map_err(Failure::from),
        }
    })
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    let stop = stop_signal()?;
    // Loading in this mode demands a database.
    let database = settings.database.as_ref().ok_or("no database is set")?;
    Server::start(settings, &database.login(), None).await?.run(stop).await?;
    Ok(())
}

async fn schema(settings: &Settings, typescript: bool) -> Result<(), Failure> {
    let database = settings.database.as_ref().ok_or("no database is set")?;
    let schema = walcast::server::schema(settings, &database.login()).await?;
    let text = if typescript { walcast::graphql::typescript::typescript(&schema) } else { schema.sdl };
    std::io::stdout().lock().write_all(text.as_bytes())?;
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
