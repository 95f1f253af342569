//! The connections on which GraphQL's statements run: bounded, made when they are needed.
//!
//! A read on nobody's behalf is one prepared statement, one message each way. Role and claims take a
//! transaction, all of whose messages are sent at once. Connections begin read-only transactions unless told
//! otherwise, so that a read cannot write whatever it calls.

mod connection;
mod failure;

use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, BuildError, Object, PoolConfig, PoolError, QueueMode, TimeoutType, Timeouts};
use futures_util::FutureExt;
use tokio::time::timeout;

use super::Login;
use crate::metrics::PoolUse;
use crate::operations::{Database, DatabaseError, Identity, Reply, Running, Step};
use connection::{Connection, Connector};
use failure::Failure;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// How much longer than `statement` an answer may take before the server counts as gone: it ends a statement
/// itself, if it is there.
const GRACE: Duration = Duration::from_secs(5);

/// What the connections are like.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// The role of operations whose identity names none; the one that logs in where this is `None`.
    pub role: Option<String>,
    /// Most connections at once.
    pub connections: usize,
    /// How long an operation may wait for one of them.
    pub wait: Duration,
    /// How long one statement may take.
    pub statement: Duration,
}

/// A handle; clones share the connections.
#[derive(Clone)]
pub struct Pool {
    connections: managed::Pool<Connector>,
    options: PoolOptions,
}

impl Pool {
    /// Connections to `login`; nothing is connected yet.
    ///
    /// # Errors
    /// None that a pool with a runtime is known to have.
    pub fn new(login: &Login, options: PoolOptions) -> Result<Self, BuildError> {
        let connections = managed::Pool::builder(Connector::new(login, &options))
            .config(PoolConfig {
                max_size: options.connections,
                timeouts: Timeouts { wait: Some(options.wait), create: Some(CONNECT), recycle: None },
                // The connection that was used last knows most statements.
                queue_mode: QueueMode::Lifo,
            })
            .runtime(Runtime::Tokio1)
            .build()?;
        Ok(Self { connections, options })
    }

    /// How its connections are used.
    #[must_use]
    pub fn usage(&self) -> PoolUse {
        let managed::Status { max_size, size, available, waiting } = self.connections.status();
        PoolUse { in_use: size.saturating_sub(available), idle: available, waiting, most: max_size }
    }

    async fn connection(&self) -> Result<Object<Connector>, DatabaseError> {
        let error = match self.connections.get().await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        Err(match error {
            PoolError::Timeout(TimeoutType::Wait) => DatabaseError::Unavailable(format!(
                "all {} connections to the database stayed in use for {} ms",
                self.options.connections,
                self.options.wait.as_millis()
            )),
            PoolError::Backend(error) => {
                let told = failure::told_of_connecting(&error);
                tracing::debug!(%error, "a connection for GraphQL cannot be made");
                told
            }
            _ => DatabaseError::Unavailable(failure::UNREACHABLE.to_owned()),
        })
    }

    /// Waits for an answer, though not for that of a server that is gone.
    fn in_time<T>(
        &self,
        asking: impl Future<Output = Result<T, Failure>>,
    ) -> impl Future<Output = Result<T, Failure>> {
        timeout(self.options.statement + GRACE, asking).map(|outcome| outcome.unwrap_or(Err(Failure::Silent)))
    }

    async fn attempt(
        &self,
        connection: &mut Connection,
        identity: &Identity,
        step: &Step,
    ) -> Result<Reply, Failure> {
        self.in_time(async {
            if is_nobody(identity) {
                connection.read(step).await
            } else {
                // Its states are many, and boxed they do not make the future of every read as large as they are.
                Box::pin(connection.read_as(identity, step)).await
            }
        })
        .await
    }

    /// All of a transaction but its beginning and its end; with the place of the step that failed.
    async fn carry_out(
        &self,
        connection: &mut Connection,
        steps: &[Step],
    ) -> Result<Vec<Reply>, (usize, Failure)> {
        let mut replies: Vec<Reply> = Vec::with_capacity(steps.len());
        for (place, step) in steps.iter().enumerate() {
            let before = replies.last().and_then(|reply| reply.first()).and_then(Option::as_deref);
            let asking = connection.step(step, before);
            replies.push(self.in_time(asking).await.map_err(|failure| (place, failure))?);
        }
        Ok(replies)
    }

    async fn transact(
        &self,
        connection: &mut Connection,
        identity: &Identity,
        steps: &[Step],
    ) -> Result<Vec<Reply>, (usize, Failure)> {
        self.in_time(connection.begin(identity)).await.map_err(|failure| (0, failure))?;
        match self.carry_out(connection, steps).await {
            Ok(replies) => {
                // Constraints may wait for the end, where no step is to blame.
                let end = steps.len();
                self.in_time(connection.commit()).await.map_err(|failure| (end, failure))?;
                Ok(replies)
            }
            Err((place, failure)) => {
                if failure.leaves_session() {
                    self.in_time(connection.rollback()).await.map_err(|failure| (place, failure))?;
                }
                Err((place, failure))
            }
        }
    }
}

impl Database for Pool {
    fn read<'a>(&'a self, identity: &'a Identity, step: Step) -> Running<'a, Reply> {
        Box::pin(async move {
            refuse_none(identity)?;
            let mut connection = self.connection().await?;
            let under_way = connection.start();
            let mut outcome = self.attempt(&mut connection, identity, &step).await;
            if outcome.as_ref().is_err_and(Failure::is_stale) {
                connection.forget();
                outcome = Box::pin(self.attempt(&mut connection, identity, &step)).await;
            }
            connection.finish(under_way, outcome).map_err(|failure| failure.told(0))
        })
    }

    fn write<'a>(&'a self, identity: &'a Identity, steps: Vec<Step>) -> Running<'a, Vec<Reply>> {
        Box::pin(async move {
            refuse_none(identity)?;
            let mut connection = self.connection().await?;
            let under_way = connection.start();
            let (mut place, outcome) = (0, self.transact(&mut connection, identity, &steps).await);
            let outcome = outcome.map_err(|(failed, failure)| {
                place = failed;
                failure
            });
            if outcome.as_ref().is_err_and(Failure::is_stale) {
                connection.forget();
            }
            connection.finish(under_way, outcome).map_err(|failure| failure.told(place))
        })
    }
}

const fn is_nobody(identity: &Identity) -> bool {
    identity.role.is_none() && identity.claims.is_none()
}

/// `none` is no role: as a value of the setting `role` it means the one that logged in (PostgreSQL manual, SET
/// ROLE), which may do more than any that an identity should name.
fn refuse_none(identity: &Identity) -> Result<(), DatabaseError> {
    match identity.role.as_deref() {
        Some(role) if role.eq_ignore_ascii_case("none") || role.is_empty() => Err(DatabaseError::Refused {
            step: 0,
            code: "22023".to_owned(),
            message: format!("role \"{role}\" does not exist"),
            hint: None,
        }),
        _ => Ok(()),
    }
}
