//! One connection: the statements it has prepared, and what is under way on it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use lru::LruCache;
use tokio::task::AbortHandle;
use tokio::{join, time};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CancelToken, Client, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::Failure;
use super::{CONNECT, PoolOptions};
use crate::operations::{Identity, Parameter, Reply, Step};
use crate::postgres::session::PINNED_OUTPUT;
use crate::postgres::{Login, PostgresError};

/// Statements that a connection keeps prepared. Operations have few shapes where people write them, and as many as they
/// like where programs do.
const PREPARED: NonZeroUsize = match NonZeroUsize::new(256) {
    Some(number) => number,
    None => NonZeroUsize::MIN,
};

/// How long the server is asked to cancel before its connection is closed regardless.
const CANCEL: Duration = Duration::from_secs(5);

/// For this transaction only. NULL stands for what the connection began with.
const ASSUME: &str = "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)";

/// Makes connections.
pub(super) struct Connector {
    login: Login,
}

/// One connection.
pub(super) struct Connection {
    client: Client,
    statements: LruCache<Arc<str>, Statement>,
    assume: Option<Statement>,
    /// An operation has begun and not ended: what the session is in the middle of is not known.
    busy: bool,
    cancel: Arc<Cancel>,
    task: AbortHandle,
}

/// How the server is asked to end a statement: by a connection of its own, which goes the same way.
struct Cancel {
    token: CancelToken,
    connector: MakeRustlsConnect,
}

/// An operation that has begun. Dropped before its end, it has the server cancel what runs, and closes the
/// connection, which rolls back what is open.
pub(super) struct UnderWay {
    cancel: Arc<Cancel>,
    task: AbortHandle,
    over: bool,
}

impl Connector {
    pub(super) fn new(login: &Login, options: &PoolOptions) -> Self {
        let statement = options.statement.as_millis();
        // Ours come last, so that they win. Without claims a policy reads `{}`, on every connection alike: a
        // setting that was once made for a transaction reads as an empty text afterwards, which is no JSON.
        let pinned = format!(
            "{PINNED_OUTPUT} -c default_transaction_read_only=on -c statement_timeout={statement} \
             -c idle_in_transaction_session_timeout={} -c request.jwt.claims={{}}",
            statement.max(5_000)
        );
        let login = login.as_role(options.role.as_deref()).with_options(&pinned).with(|config| {
            config
                .application_name("walcast-graphql")
                .connect_timeout(CONNECT)
                .keepalives_idle(Duration::from_secs(30));
        });
        Self { login }
    }
}

impl Manager for Connector {
    type Type = Connection;
    type Error = PostgresError;

    async fn create(&self) -> Result<Connection, PostgresError> {
        let connector = self.login.connector()?;
        let (client, connection) = Box::pin(self.login.connect(connector.clone())).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection for GraphQL ended");
            }
        });
        let cancel = Arc::new(Cancel { token: client.cancel_token(), connector });
        let (statements, task) = (LruCache::new(PREPARED), task.abort_handle());
        Ok(Connection { client, statements, assume: None, busy: false, cancel, task })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<PostgresError> {
        if connection.busy || connection.client.is_closed() {
            return Err(RecycleError::message("it is closed"));
        }
        Ok(())
    }
}

impl Connection {
    /// An operation begins.
    pub(super) fn start(&mut self) -> UnderWay {
        self.busy = true;
        UnderWay { cancel: Arc::clone(&self.cancel), task: self.task.clone(), over: false }
    }

    /// It has ended, and so the next one may begin, unless the connection is done with.
    pub(super) fn finish<T>(
        &mut self,
        mut under_way: UnderWay,
        outcome: Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.busy = outcome.as_ref().is_err_and(|failure| !failure.leaves_session());
        under_way.over = !self.busy;
        outcome
    }

    /// Forgets what is prepared.
    pub(super) fn forget(&mut self) {
        self.statements.clear();
        self.assume = None;
    }

    /// One statement in a transaction of its own, as the connection's role.
    pub(super) async fn read(&mut self, step: &Step) -> Result<Reply, Failure> {
        let statement = self.prepared(step).await?;
        answer(&self.client, &statement, step, None).await
    }

    /// One statement in a transaction, as somebody. All is sent at once: where a part fails, what follows is
    /// refused by the server, and the answer counts only if nothing failed.
    pub(super) async fn read_as(&mut self, identity: &Identity, step: &Step) -> Result<Reply, Failure> {
        let assume = self.assume().await?;
        let client = &self.client;
        let who: [&(dyn ToSql + Sync); 2] = [&identity.role, &identity.claims];
        let begin = client.batch_execute("begin read only");
        let assume = client.query(&assume, &who);
        if let Some(statement) = self.statements.get(&step.sql) {
            let answer = answer(client, statement, step, None);
            let end = client.batch_execute("commit");
            let (begun, assumed, answered, ended) = join!(biased; begin, assume, answer, end);
            begun?;
            assumed?;
            let reply = answered?;
            ended?;
            return Ok(reply);
        }
        // Names are resolved in the rights of whoever prepares, so not before the role is assumed.
        let types = texts(step);
        let prepare = client.prepare_typed(&step.sql, &types);
        let (begun, assumed, prepared) = join!(biased; begin, assume, prepare);
        let prepared = begun.and(assumed).and(prepared);
        let statement = match prepared {
            Ok(statement) => statement,
            Err(error) => {
                let failure = Failure::from(error);
                if failure.leaves_session() {
                    self.rollback().await?;
                }
                return Err(failure);
            }
        };
        let answer = answer(client, &statement, step, None);
        let (answered, ended) = join!(biased; answer, client.batch_execute("commit"));
        self.keep(step, statement);
        let reply = answered?;
        ended?;
        Ok(reply)
    }

    /// Begins a transaction that writes, as somebody.
    pub(super) async fn begin(&mut self, identity: &Identity) -> Result<(), Failure> {
        if super::is_nobody(identity) {
            return Ok(self.client.batch_execute("begin read write").await?);
        }
        let assume = self.assume().await?;
        let who: [&(dyn ToSql + Sync); 2] = [&identity.role, &identity.claims];
        let begin = self.client.batch_execute("begin read write");
        let (begun, assumed) = join!(biased; begin, self.client.query(&assume, &who));
        begun?;
        if let Err(error) = assumed {
            let failure = Failure::from(error);
            if failure.leaves_session() {
                self.rollback().await?;
            }
            return Err(failure);
        }
        Ok(())
    }

    /// One step of the transaction; `before` is what the one before returned first.
    pub(super) async fn step(&mut self, step: &Step, before: Option<&str>) -> Result<Reply, Failure> {
        let statement = self.prepared(step).await?;
        answer(&self.client, &statement, step, before).await
    }

    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        let ended = self.client.batch_execute("commit").await.map_err(Failure::from);
        ended.map_err(|failure| if failure.leaves_session() { failure } else { Failure::InDoubt })
    }

    pub(super) async fn rollback(&self) -> Result<(), Failure> {
        Ok(self.client.batch_execute("rollback").await?)
    }

    async fn prepared(&mut self, step: &Step) -> Result<Statement, Failure> {
        if let Some(statement) = self.statements.get(&step.sql) {
            return Ok(statement.clone());
        }
        let statement = Box::pin(self.client.prepare_typed(&step.sql, &texts(step))).await?;
        self.keep(step, statement.clone());
        Ok(statement)
    }

    async fn assume(&mut self) -> Result<Statement, Failure> {
        if let Some(statement) = &self.assume {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare_typed(ASSUME, &[Type::TEXT, Type::TEXT]).await?;
        Ok(self.assume.insert(statement).clone())
    }

    fn keep(&mut self, step: &Step, statement: Statement) {
        self.statements.put(Arc::clone(&step.sql), statement);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return self.task.abort() };
        let (cancel, task) = (Arc::clone(&self.cancel), self.task.clone());
        runtime.spawn(async move {
            if !task.is_finished() {
                let asking = cancel.token.cancel_query(cancel.connector.clone());
                let _ = time::timeout(CANCEL, asking).await;
            }
            task.abort();
        });
    }
}

fn texts(step: &Step) -> Vec<Type> {
    vec![Type::TEXT; step.parameters.len()]
}

async fn answer(
    client: &Client,
    statement: &Statement,
    step: &Step,
    before: Option<&str>,
) -> Result<Reply, Failure> {
    let texts: Vec<Option<&str>> = step
        .parameters
        .iter()
        .map(|parameter| match parameter {
            Parameter::Text(text) => text.as_deref(),
            Parameter::Result => before,
        })
        .collect();
    let parameters: Vec<&(dyn ToSql + Sync)> = texts.iter().map(|text| text as &(dyn ToSql + Sync)).collect();
    let rows = client.query(statement, &parameters).await?;
    let [row] = rows.as_slice() else { return Err(Failure::Rows(rows.len())) };
    (0..row.len()).map(|column| Ok(row.try_get::<_, Option<String>>(column)?)).collect()
}
