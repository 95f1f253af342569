//! Answers whether a topic may be joined: waits until the stream is live, then asks the catalog.

mod filter;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use postgres_protocol::escape::escape_identifier;
use tokio::sync::{Mutex, OnceCell, mpsc, watch};
use tokio_postgres::Client;

use super::PostgresError;
use super::catalog::{self, Table};
use super::session::Session;
use crate::channel::Refusal;
use crate::hub::{Approval, Question};
use crate::readiness::{Phase, Readiness};
use crate::topic::Topic;
use crate::topic::index::Pattern;

/// How long a join waits for the stream. Clients give up after 10 s, and would not learn the reason.
const WAIT: Duration = Duration::from_secs(8);

/// When a join is answered at the latest, whatever the database does.
const ANSWERED: Duration = Duration::from_secs(9);

/// How long a question rests that was not answered, until it is asked once more: by then a connection that broke under it is
/// known to have.
const AGAIN: Duration = Duration::from_millis(100);

/// How long an answer of the catalog serves further joins of the same table, so that a crowd that joins at
/// once asks once.
const FRESH: Duration = Duration::from_secs(1);

/// Why a join is refused that the catalog does not decide.
const UNANSWERED: &str = "the database did not answer";

type Described = Arc<OnceCell<Option<Arc<Table>>>>;

/// By schema and table; each with the time of its first asking.
type Answers = HashMap<(String, String), (Instant, Described)>;

/// The gate's state.
#[derive(Clone)]
pub struct Gate {
    session: Session,
    publication: Arc<str>,
    readiness: watch::Receiver<Readiness>,
    tables: Arc<Mutex<Answers>>,
}

impl Gate {
    /// A gate for the tables of `publication`.
    #[must_use]
    pub fn new(session: Session, publication: &str, readiness: watch::Receiver<Readiness>) -> Self {
        Self { session, publication: publication.into(), readiness, tables: Arc::default() }
    }

    /// Answers until all who ask are gone.
    pub async fn run(self, mut questions: mpsc::Receiver<Question>) {
        while let Some(Question { topic, answer }) = questions.recv().await {
            let gate = self.clone();
            tokio::spawn(async move {
                let session = gate.session.clone();
                let in_time = tokio::time::timeout(ANSWERED, gate.decide(&topic)).await;
                let verdict = if let Ok(verdict) = in_time {
                    verdict
                } else {
                    tracing::warn!("a join could not be decided: the database did not answer");
                    session.discard().await;
                    Err(Refusal::Unavailable(UNANSWERED))
                };
                let _ = answer.send(verdict);
            });
        }
    }

    /// The approval, where it is known without waiting: changes flow, the table was asked for a moment ago, and a
    /// filter's value needs no look from the database.
    #[must_use]
    pub fn known(&self, topic: &Topic) -> Option<Approval> {
        if !self.readiness.borrow().is_live() {
            return None;
        }
        match topic {
            Topic::All => Some(open(Pattern::All)),
            Topic::Schema(_) => None,
            Topic::Table { schema, table } => {
                self.remembered(schema, table)?;
                Some(open(Pattern::Table(schema.as_str().into(), table.as_str().into())))
            }
            Topic::Filtered { schema, table, filter } => {
                let found = self.remembered(schema, table)?;
                // Without a gate to ask at there is nothing to wait for.
                let resolved = filter::resolve(None, &found, schema, table, filter).now_or_never()?.ok()?;
                Some(Approval { pattern: resolved.pattern, warnings: resolved.warnings })
            }
        }
    }

    /// A table that may be joined and was asked for a moment ago.
    fn remembered(&self, schema: &str, table: &str) -> Option<Arc<Table>> {
        let tables = self.tables.try_lock().ok()?;
        let (asked, cell) = tables.get(&(schema.to_owned(), table.to_owned()))?;
        let found = cell
            .get()?
            .as_ref()
            .filter(|found| found.published && !matches!(found.kind, 'v' | 'm' | 'f' | 'S'))?;
        (asked.elapsed() < FRESH).then(|| Arc::clone(found))
    }

    /// A session that ends while it is asked, as by `pg_terminate_backend`, costs a moment and no join.
    async fn decide(self, topic: &Topic) -> Result<Approval, Refusal> {
        match self.clone().look_up(topic).await {
            Err(Refusal::Unavailable(UNANSWERED)) => {
                tokio::time::sleep(AGAIN).await;
                self.look_up(topic).await
            }
            verdict => verdict,
        }
    }

    async fn look_up(mut self, topic: &Topic) -> Result<Approval, Refusal> {
        let live = async { self.readiness.wait_for(Readiness::is_live).await.is_ok() };
        if !tokio::time::timeout(WAIT, live).await.unwrap_or(false) {
            return Err(Refusal::Unavailable(unavailable(self.readiness.borrow().phase)));
        }
        match topic {
            Topic::All => Ok(open(Pattern::All)),
            Topic::Schema(schema) => {
                let client = self.client().await?;
                if catalog::schema_exists(&client, schema).await.map_err(lost)? {
                    return Ok(open(Pattern::Schema(schema.as_str().into())));
                }
                Err(Refusal::SchemaNotFound(schema.clone()))
            }
            Topic::Table { schema, table } => {
                self.published(schema, table).await?;
                Ok(open(Pattern::Table(schema.as_str().into(), table.as_str().into())))
            }
            Topic::Filtered { schema, table, filter } => {
                let found = self.published(schema, table).await?;
                let resolved = filter::resolve(Some(&self), &found, schema, table, filter).await?;
                Ok(Approval { pattern: resolved.pattern, warnings: resolved.warnings })
            }
        }
    }

    async fn client(&self) -> Result<Arc<Client>, Refusal> {
        self.session.client().await.map_err(lost)
    }

    /// The table, if its changes reach us under its name.
    async fn published(&self, schema: &str, table: &str) -> Result<Arc<Table>, Refusal> {
        let cell = {
            let mut tables = self.tables.lock().await;
            let now = Instant::now();
            tables.retain(|_, (asked, _)| now.saturating_duration_since(*asked) < FRESH);
            let fresh = || (now, Described::default());
            Arc::clone(&tables.entry((schema.to_owned(), table.to_owned())).or_insert_with(fresh).1)
        };
        let found = cell
            .get_or_try_init(|| async {
                let client = self.client().await?;
                let found = catalog::table(&client, &self.publication, schema, table).await.map_err(lost)?;
                Ok::<_, Refusal>(found.map(Arc::new))
            })
            .await?;
        if !found.as_ref().is_some_and(|found| found.published) {
            // What is refused may be mended the moment after; only what may be joined is remembered.
            self.tables.lock().await.remove(&(schema.to_owned(), table.to_owned()));
        }
        let Some(found) = found else {
            let client = self.client().await?;
            if !catalog::schema_exists(&client, schema).await.map_err(lost)? {
                return Err(Refusal::SchemaNotFound(schema.to_owned()));
            }
            return Err(Refusal::TableNotFound(schema.to_owned(), table.to_owned()));
        };
        let name = format!("{schema}.{table}");
        let quoted = quote_name(schema, table);
        let kind = match found.kind {
            'v' => Some("view"),
            'm' => Some("materialized view"),
            'f' => Some("foreign table"),
            'S' => Some("sequence"),
            _ => None,
        };
        if let Some(kind) = kind {
            return Err(Refusal::NotATable(name, kind));
        }
        if found.published {
            return Ok(Arc::clone(found));
        }
        let publication = escape_identifier(&self.publication);
        Err(Refusal::NotPublished(match &found.told_as {
            Some(root) => format!("changes of the partition {name} are told as {root}; join that instead"),
            None if found.by_partitions => format!(
                "changes of {name} are told as its partitions; join those, or run ALTER PUBLICATION {publication} \
                 SET (publish_via_partition_root = true)"
            ),
            None => {
                format!("{name} is not published; run ALTER PUBLICATION {publication} ADD TABLE {quoted}")
            }
        }))
    }
}

fn open(pattern: Pattern) -> Approval {
    Approval { pattern, warnings: [].into() }
}

/// The table's name as a statement may hold it.
pub(super) fn quote_name(schema: &str, table: &str) -> String {
    format!("{}.{}", escape_identifier(schema), escape_identifier(table))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn lost(error: PostgresError) -> Refusal {
    tracing::warn!(%error, "the database could not be asked about a join");
    Refusal::Unavailable(UNANSWERED)
}

const fn unavailable(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "connecting to the database",
        Phase::Standby => "another process reads the slot",
        Phase::CatchingUp | Phase::Live => "catching up with the log",
        Phase::Reconnecting => "the connection to the database was lost",
    }
}
