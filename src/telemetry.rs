//! Logs: structure, never rows, never secrets; to standard error. Spans go to a collector, if there is one.

pub mod traces;

use tracing_subscriber::EnvFilter;

use crate::settings::{Log, LogFormat};

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(log: &Log) {
    // The replication crate reports each lost connection as an error of its own; ours says what follows.
    // At its debug level tokio-postgres repeats the parameters of statements, which are values of rows.
    let filter = EnvFilter::new(format!("pgwire_replication=off,tokio_postgres=info,{}", log.filter));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Who reads the log may go away. That would be told on standard error, which then panics.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let _ = match log.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
