//! What an operator wants to know before walcast starts, and while it runs: `walcast check`.
//!
//! `facts` asks the database and judges nothing; `verdicts` and `coverage` judge and ask nothing; `report` writes it down. Nothing
//! is changed, and the slot is not touched: a server that reads it goes on.

mod coverage;
mod facts;
mod report;
mod tables;
mod verdicts;

use std::time::Duration;

use pgwire_replication::ReplicationClient;
use serde::Serialize;

use super::replication::probe;
use super::session::{CONNECT_SECONDS, Session};
use super::setup::Source;
use super::{Login, PostgresError};

pub use report::{json, size, table};

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, but costs something or endangers something.
    Warning,
    /// walcast cannot serve, or the application's writes fail.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; stays the same from version to version.
    pub name: &'static str,
    /// How it is to be taken.
    pub status: Status,
    /// What is.
    pub found: String,
    /// What to do, with the statement where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), advice: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, status: Status::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    fn error(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, status: Status::Error, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Whether nothing must be mended.
#[must_use]
pub fn is_ready(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.status != Status::Error)
}

/// Looks at everything. More than `lag` bytes of log that are not read, beside what the replay window keeps, are a warning.
///
/// # Errors
/// When the database cannot be asked at all.
pub async fn check(login: &Login, source: &Source, lag: u64) -> Result<Vec<Finding>, PostgresError> {
    let session = Session::new(login, "walcast-check");
    let client = match session.client().await {
        Ok(client) => client,
        Err(error) if is_pooler(&error) => return Ok(vec![verdicts::pooler(&error.to_string())]),
        Err(error) => return Err(error),
    };
    let server = facts::server(&client).await?;
    let slot = facts::slot(&client, &source.slot).await?;
    let publication = facts::publication(&client, &source.publication).await?;
    let tables = tables::tables(&client, &source.publication).await?;
    let (_, port) = login.endpoint();
    let mut findings =
        vec![verdicts::version(&server), verdicts::way(&server, port), verdicts::wal_level(&server)];
    findings.extend(verdicts::rights(&server));
    // A standby or a server without logical decoding would refuse what follows in words of its own.
    if !server.standby && server.wal_level == "logical" {
        let identified = identify(login, source).await;
        findings.push(verdicts::replication_session(
            identified.as_ref().err().map(ToString::to_string).as_deref(),
        ));
    }
    findings.extend(verdicts::room(&server, slot.as_ref(), &source.slot));
    findings.extend(coverage::publication(&server, publication.as_ref(), source, &tables));
    findings.extend(coverage::identities(publication.as_ref(), &tables));
    findings.extend(coverage::unseen(publication.as_ref(), &source.publication, &server, &tables));
    findings.extend(verdicts::slot(slot.as_ref(), source, lag));
    findings.extend(verdicts::limits(&server, slot.as_ref(), source));
    Ok(findings)
}

/// Opens a replication session, which a pooler, `pg_hba.conf` or a missing right forbids, and ends it.
async fn identify(login: &Login, source: &Source) -> Result<(), PostgresError> {
    let asking = async {
        let mut client =
            ReplicationClient::connect_gated(probe(login, source)).await.map_err(PostgresError::Stream)?;
        client.identify_system().await.map_err(PostgresError::Stream)?;
        Ok(())
    };
    let seconds = CONNECT_SECONDS;
    let what = "opening a replication session";
    let outcome = tokio::time::timeout(Duration::from_secs(seconds), asking).await;
    outcome.unwrap_or(Err(PostgresError::Timeout { what, seconds }))
}

/// Poolers refuse parameters of a session that they cannot pass on (`PgBouncer`: `ignore_startup_parameters`).
fn is_pooler(error: &PostgresError) -> bool {
    error.sqlstate() == Some("08P01") && error.to_string().contains("startup parameter")
}
