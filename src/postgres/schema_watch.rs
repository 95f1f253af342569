//! Follows the catalog, so that the schema follows DDL, and finds out what may be served from this database.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_postgres::types::{Oid, ToSql};
use tokio_postgres::{Client, Statement};

use super::backoff::Backoff;
use super::introspection::{self, Fingerprint};
use super::session::Session;
use super::{Class, Login, PostgresError};
use crate::graphql::catalog::Catalog;
use crate::readiness::Readiness;

/// How long it rests between two looks at least, however often it is nudged.
const REST: Duration = Duration::from_millis(100);

/// How long it then waits for a nudge: the catalog is compared every two seconds with what was read of it.
const IDLE: Duration = Duration::from_millis(1900);

/// How long all questions of one look may take, in seconds: longer than the server lets one of them run.
const LOOK_SECONDS: u64 = 20;

/// What the watch sees. It is told once, and again when it is otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The catalog.
    Catalog {
        /// As the role sees it.
        catalog: Arc<Catalog>,
        /// Another one whenever something else than a row has changed that may change what a query returns, be it a
        /// function's body, while the catalog may be equal.
        version: String,
        /// Whether live queries are sound here, or why they are not.
        live: Result<(), String>,
        /// Whether that was asked when changes were read already, and the publication was there.
        followed: bool,
    },
    /// GraphQL must not be served: why, and what to do.
    Forbidden(String),
    /// The database cannot be asked at present. What was told before may hold still.
    Unreachable(String),
}

/// The watch; it keeps a connection of its own.
pub struct SchemaWatch {
    /// In the database that is asked, in the role that asks.
    asked: Session,
    /// In the database whose changes are read.
    followed: Session,
    schemas: Vec<String>,
    publication: String,
    /// Nobody but this machine reaches the server.
    loopback: bool,
    nudge: Arc<Notify>,
}

/// Which database of which cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    cluster: i64,
    database: Oid,
}

/// Where a connection leads, which stays what it is as long as it does.
#[derive(Default)]
struct Connected {
    client: Weak<Client>,
    place: Option<Place>,
}

/// What every look asks. Prepared, since planning it takes the server longer than answering it.
struct Questions {
    client: Arc<Client>,
    standing: Statement,
    fingerprint: Statement,
}

/// What the last look saw.
#[derive(Default)]
struct Memory {
    fingerprint: Fingerprint,
    catalog: Arc<Catalog>,
    /// Who was writing when the publication had changed.
    writers: Vec<String>,
    /// How often such writers came to their end.
    ended: u64,
    missing: Vec<String>,
    /// Changes were read when it began.
    followed: bool,
    questions: Option<Questions>,
    /// The database that is asked, and the one whose changes are read.
    places: [Connected; 2],
}

impl Questions {
    async fn prepare(client: Arc<Client>) -> Result<Self, PostgresError> {
        let standing = client.prepare(STANDING).await.map_err(PostgresError::Sql)?;
        let fingerprint = introspection::prepared_fingerprint(&client).await?;
        Ok(Self { client, standing, fingerprint })
    }
}

impl Connected {
    async fn place(&mut self, client: &Arc<Client>) -> Result<Place, PostgresError> {
        let known = Weak::ptr_eq(&self.client, &Arc::downgrade(client));
        if let Some(place) = self.place.filter(|_| known) {
            return Ok(place);
        }
        let sql = "select (select system_identifier from pg_control_system()), \
                     (select oid from pg_database where datname = current_database())";
        let row = client.query_one(sql, &[]).await.map_err(PostgresError::Sql)?;
        let place = Place { cluster: row.get(0), database: row.get(1) };
        *self = Self { client: Arc::downgrade(client), place: Some(place) };
        Ok(place)
    }
}

impl SchemaWatch {
    /// Watches `schemas` in the database of `asked`, in the rights of `role` or of the one that logs in, and what
    /// `publication` publishes there.
    /// `loopback` says that no other machine reaches the server. `nudge` has it look at once: whoever meets an
    /// error that DDL may have caused gives it.
    #[must_use]
    pub fn new(
        asked: &Login,
        role: Option<&str>,
        followed: Session,
        schemas: Vec<String>,
        publication: &str,
        loopback: bool,
        nudge: Arc<Notify>,
    ) -> Self {
        // Compiling a question takes longer than answering it.
        let asked = asked.as_role(role).with_options("-c jit=off");
        Self {
            asked: Session::new(&asked, "walcast-schema"),
            followed,
            schemas,
            publication: publication.to_owned(),
            loopback,
            nudge,
        }
    }

    /// Tells what it sees, until the task is dropped.
    pub async fn run(self, mut readiness: watch::Receiver<Readiness>, mut tell: impl FnMut(Sight) + Send) {
        let mut memory = Memory::default();
        let mut told = None;
        let mut backoff = Backoff::default();
        loop {
            memory.followed |= readiness.borrow().is_live();
            let looking = timeout(Duration::from_secs(LOOK_SECONDS), self.look(&mut memory)).await;
            let seen = looking.unwrap_or(Err(PostgresError::Timeout {
                what: "reading the catalog",
                seconds: LOOK_SECONDS,
            }));
            let (sight, wait) = match seen {
                Ok(sight) => {
                    backoff = Backoff::default();
                    (sight, None)
                }
                Err(error) => {
                    self.asked.discard().await;
                    memory.questions = None;
                    // An object that vanished under a question is gone at the next.
                    let class =
                        if matches!(error, PostgresError::Sql(_)) { Class::Retry } else { error.class() };
                    (Sight::Unreachable(error.to_string()), Some(backoff.next(class, fastrand::f64())))
                }
            };
            if told.as_ref() != Some(&sight) {
                if let Sight::Unreachable(reason) = &sight {
                    tracing::warn!(%reason, "the schema cannot be read from the database");
                }
                told = Some(sight.clone());
                tell(sight);
            }
            sleep(wait.unwrap_or(REST)).await;
            if wait.is_none() {
                let live = async {
                    if readiness.wait_for(Readiness::is_live).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    () = live, if !memory.followed => {}
                    _ = timeout(IDLE, self.nudge.notified()) => {}
                }
            }
        }
    }

    async fn look(&self, memory: &mut Memory) -> Result<Sight, PostgresError> {
        let client = self.asked.client().await?;
        let questions =
            match memory.questions.take().filter(|questions| Arc::ptr_eq(&questions.client, &client)) {
                Some(questions) => questions,
                None => Questions::prepare(Arc::clone(&client)).await?,
            };
        let Questions { standing, fingerprint, .. } = memory.questions.insert(questions);
        let parameters: [&(dyn ToSql + Sync); 1] = [&self.schemas];
        let standing = async { client.query_one(standing, &parameters).await.map_err(PostgresError::Sql) };
        let fingerprint = introspection::fingerprint(&client, fingerprint, &self.schemas, &self.publication);
        let (row, fingerprint) = tokio::try_join!(standing, fingerprint)?;
        let wal_level: &str = row.get(5);
        let (above, standby): (Option<&str>, bool) = (row.get(2), row.get(3));
        if let (Some(above), false) = (above, self.loopback) {
            return Ok(Sight::Forbidden(forbidden(row.get(0), row.get(1), above)));
        }
        let missing: Vec<String> = row.get(4);
        if missing != memory.missing && !missing.is_empty() {
            let role: &str = row.get(0);
            tracing::warn!(schemas = ?missing, %role, "graphql.schemas names what is not there, or not open to the role");
        }
        memory.missing = missing;

        if fingerprint.publication != memory.fingerprint.publication {
            memory.writers = writers(&client).await?;
        }
        if fingerprint != memory.fingerprint {
            let catalog = introspection::catalog(&client, &self.schemas, &self.publication).await?;
            if catalog != *memory.catalog {
                memory.catalog = Arc::new(catalog);
            }
            memory.fingerprint = fingerprint;
        } else if !memory.writers.is_empty() {
            let still = writers(&client).await?;
            memory.writers.retain(|writer| still.contains(writer));
            memory.ended += u64::from(memory.writers.is_empty());
        }
        let live = if standby {
            Err("the database is a standby, whose snapshots show transactions that are still open".to_owned())
        } else if wal_level != "logical" {
            Err(format!("wal_level is {wal_level} and not logical, so that changes cannot be read"))
        } else {
            let publication = memory.catalog.publication.as_ref();
            self.live(&client, &mut memory.places).await.and_then(|()| {
                publication.map(drop).ok_or_else(|| format!("there is no publication {:?}", self.publication))
            })
        };
        let version = format!("{} {}", memory.fingerprint.all, memory.ended);
        let followed = memory.followed;
        Ok(Sight::Catalog { catalog: Arc::clone(&memory.catalog), version, live, followed })
    }

    /// Whether the changes that are read are those of the database that is asked.
    async fn live(&self, client: &Arc<Client>, [asked, followed]: &mut [Connected; 2]) -> Result<(), String> {
        let unknown =
            |error: PostgresError| format!("it is not known whether the slot follows this database: {error}");
        let asked = asked.place(client).await.map_err(unknown)?;
        let client = self.followed.client().await.map_err(unknown)?;
        let followed = followed.place(&client).await.map_err(unknown)?;
        if asked.cluster != followed.cluster {
            return Err("graphql.url leads to another server than database.url".to_owned());
        }
        if asked.database != followed.database {
            return Err("graphql.url leads to another database than database.url".to_owned());
        }
        Ok(())
    }
}

const STANDING: &str = "select r.rolname::text, session_user::text, \
      case when r.rolsuper then 'is a superuser' when r.rolbypassrls then 'has BYPASSRLS' end, pg_is_in_recovery(), \
      array(select s from unnest($1::text[]) s where not exists( \
        select from pg_namespace n where n.nspname = s and has_schema_privilege(n.oid, 'usage'))), \
      current_setting('wal_level') \
    from pg_roles r where r.rolname = current_user";

// What a transaction wrote to a table before that was published never comes, though it may commit only after this was
// seen. The modes are those that writing takes (PostgreSQL manual, 13.3.1).
const WRITERS: &str = "select distinct virtualtransaction from pg_locks \
    where locktype = 'relation' and granted and relation >= 16384 \
      and database = (select oid from pg_database where datname = current_database()) \
      and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')";

async fn writers(client: &Client) -> Result<Vec<String>, PostgresError> {
    let rows = client.query(WRITERS, &[]).await.map_err(PostgresError::Sql)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn forbidden(role: &str, login: &str, above: &str) -> String {
    let [role, login] = [role, login].map(postgres_protocol::escape::escape_identifier);
    format!(
        "GraphQL is off: the role {role} {above}, so that row-level security does not bind it, and other machines reach \
         this server. Make a role for it: CREATE ROLE web NOLOGIN; GRANT web TO {login}; GRANT USAGE ON SCHEMA public TO \
         web; GRANT SELECT ON the tables to be served TO web; then set WALCAST__GRAPHQL__ROLE=web. Or listen on \
         127.0.0.1."
    )
}
