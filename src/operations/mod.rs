//! GraphQL operations, from a request to the bytes of its response.
//!
//! [`Operations::prepare`] does what needs no database (parse, validate, coerce, plan), so that a transport can
//! choose its form from the document; [`Operations::run`] does the rest. The database is behind [`Database`].

mod documents;
mod live;
mod running;
mod subscription;

use std::pin::Pin;
use std::sync::{Arc, OnceLock, RwLock};

use apollo_compiler::executable::{Operation, OperationType};
use apollo_compiler::introspection;
use apollo_compiler::request::{RequestError, coerce_variable_values};
use apollo_compiler::response::{GraphQLError, JsonMap};
use apollo_compiler::validation::Valid;
use apollo_compiler::{Name, Node};
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Notify, watch};

use crate::graphql::code;
use crate::graphql::plan::{self, Limits, PlanError};
use crate::graphql::schema::Schema;
use crate::graphql::sql;
use documents::{Compiled, Document, Serving};
pub use live::{Live, Refreshed, Shared};
pub use subscription::Subscribed;

/// How much of an operation's name is told.
const NAME_BYTES: usize = 64;

/// On whose behalf an operation runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The role in the database; `None` is the one that the connection was made with.
    pub role: Option<String>,
    /// The claims as a JSON text, for `current_setting('request.jwt.claims')`.
    pub claims: Option<String>,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The document's text, looked up already where it is a persisted one.
    pub document: String,
    /// Which of its operations; may be left out where there is one.
    pub operation_name: Option<String>,
    /// Values of its variables, not yet coerced.
    pub variables: JsonMap,
    /// On whose behalf.
    pub identity: Identity,
}

/// Why a request is not carried out. None of these reached the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The document cannot be parsed, is not valid in this schema, or beyond a limit.
    Validation,
    /// Which operation is meant cannot be told.
    OperationName,
    /// A variable is missing or of another type.
    Variables,
    /// There is no schema yet: the database was not reached. HTTP 503.
    Unavailable,
    /// It has to follow changes, and these are not read yet. HTTP 503.
    Unfollowed,
    /// GraphQL is off, and why is in the message: HTTP 503.
    Off,
}

/// A request error: `{"errors": [..]}` without `data`.
#[derive(Debug)]
pub struct Refused {
    /// Of what kind.
    pub fault: Fault,
    /// The response.
    pub body: Bytes,
}

/// An executed operation: a response with `data`, which may be null, and perhaps `errors`.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The response, one JSON object.
    pub body: Bytes,
    /// The database cannot be had at present (`data` is null); a plain HTTP answer is a 503.
    pub unavailable: bool,
    /// What the same result of others shares with it.
    pub shared: Option<Arc<SharedResult>>,
}

/// One result of a live query, for all its subscribers.
#[derive(Debug, Default)]
pub struct SharedResult {
    /// What a client sends back to say what it has: the newest change that the result contains, and its hash.
    pub id: String,
    /// The event, once it was written.
    pub event: OnceLock<Bytes>,
}

impl Answer {
    /// The response of a request that was refused.
    #[must_use]
    pub const fn of(body: Bytes) -> Self {
        Self { body, unavailable: false, shared: None }
    }
}

/// What kind an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads.
    Query,
    /// A query that refreshes itself (`@live`).
    Live,
    /// Writes.
    Mutation,
    /// Listens.
    Subscription,
}

impl Kind {
    /// As the specification of GraphQL calls it; a live query is a query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query | Self::Live => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// An operation that can be run.
#[derive(Debug)]
pub struct Prepared {
    kind: Kind,
    name: Option<Name>,
    schema: Arc<Schema>,
    compiled: Arc<Compiled>,
    variables: Valid<JsonMap>,
    identity: Identity,
    live: Option<Live>,
    subscribed: Option<Subscribed>,
}

impl Prepared {
    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What the document calls it, for whoever watches: clients choose it as long as they like, so no more is told than its
    /// first [`NAME_BYTES`].
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        // Names are ASCII ("Names" in the GraphQL specification).
        self.name.as_deref().map(|name| name.get(..NAME_BYTES).unwrap_or(name))
    }

    /// The SQL that will run, for those who want to EXPLAIN it.
    #[must_use]
    pub fn statements(&self) -> Vec<Arc<str>> {
        let text = |statement: &sql::Statement| Arc::clone(&statement.sql);
        match &self.compiled.script {
            sql::Script::Query(statement) => vec![text(statement)],
            sql::Script::Mutation(changes) => {
                let both = changes.iter().flat_map(|change| [&change.call, &change.selection]);
                both.flatten().map(text).collect()
            }
            sql::Script::Subscription(_) => Vec::new(),
        }
    }
}

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// A text, or NULL. Every parameter of ours is declared as text; the statement casts it.
    Text(Option<String>),
    /// The first column of the step before.
    Result,
}

/// One statement of an operation. It returns one row whose columns are texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The statement. Worth preparing: operations of one shape have one text.
    pub sql: Arc<str>,
    /// Its parameters, `$1` first.
    pub parameters: Vec<Parameter>,
}

/// The one row of a step.
pub type Reply = Vec<Option<String>>;

/// Why the database did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseError {
    /// It cannot be reached, or all connections stayed taken. In words, for the client.
    Unavailable(String),
    /// It took longer than it may.
    Timeout,
    /// A statement was refused.
    Refused {
        /// Which step, from 0; the number of steps where the transaction failed at its end.
        step: usize,
        /// SQLSTATE.
        code: String,
        /// The primary message; never the detail, which repeats values of rows.
        message: String,
        /// The hint, if any.
        hint: Option<String>,
    },
}

/// A future of the database.
pub type Running<'a, T> = Pin<Box<dyn Future<Output = Result<T, DatabaseError>> + Send + 'a>>;

/// Who carries statements out. Dropping the future cancels the statement that runs.
pub trait Database: Send + Sync + 'static {
    /// One statement that reads, in a read-only transaction of its own.
    fn read<'a>(&'a self, identity: &'a Identity, step: Step) -> Running<'a, Reply>;
    /// Steps in one transaction, one after the other; all or none.
    fn write<'a>(&'a self, identity: &'a Identity, steps: Vec<Step>) -> Running<'a, Vec<Reply>>;
}

/// The schema of the moment, or why there is none.
pub type Served = Result<Arc<Schema>, (Fault, String)>;

type Current = Result<Arc<Serving>, (Fault, String)>;

/// A handle; clones share it.
#[derive(Clone)]
pub struct Operations {
    served: Arc<RwLock<Current>>,
    database: Arc<dyn Database>,
    limits: Limits,
    stale: Arc<Notify>,
    followed: Arc<watch::Sender<bool>>,
}

impl Operations {
    /// Nothing can be asked before [`Operations::serve`] was called. `stale` is notified when the schema may be no longer that
    /// of the database, as when a statement failed.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, limits: Limits, stale: Arc<Notify>) -> Self {
        let none = (Fault::Unavailable, "the schema has not been read from the database yet".to_owned());
        let followed = Arc::new(watch::Sender::new(true));
        Self { served: Arc::new(RwLock::new(Err(none))), database, limits, stale, followed }
    }

    /// Whether changes are read, which is taken for granted until somebody says otherwise. Where they are not, operations
    /// that have to follow them are refused as [`Fault::Unfollowed`].
    pub fn follow(&self, followed: bool) {
        self.followed.send_replace(followed);
    }

    /// Whether changes are read.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        *self.followed.borrow()
    }

    /// Waits until changes are read.
    pub async fn until_followed(&self) {
        // It has a sender of its own.
        let _ = self.followed.subscribe().wait_for(|followed| *followed).await;
    }

    /// From now on this schema; `live` says whether changes tell all that happens to its rows, or why they do not.
    pub fn serve(&self, served: Served, live: Result<(), String>) {
        let serving = served.map(|schema| Arc::new(Serving::new(schema, live)));
        *self.served.write().unwrap_or_else(std::sync::PoisonError::into_inner) = serving;
    }

    fn serving(&self) -> Current {
        self.served.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The schema may not be that of the database any more: it is looked at once.
    pub fn suspect(&self) {
        self.stale.notify_one();
    }

    /// The schema of the moment.
    ///
    /// # Errors
    /// When there is none.
    pub fn served(&self) -> Served {
        self.serving().map(|serving| Arc::clone(&serving.schema))
    }

    /// Everything that needs no database.
    ///
    /// # Errors
    /// A request error: nothing was or will be done.
    pub fn prepare(&self, request: Request) -> Result<Prepared, Refused> {
        let serving = self.serving().map_err(|(fault, message)| {
            let code = if fault == Fault::Off { code::GRAPHQL_OFF } else { code::UNAVAILABLE };
            Refused::new(fault, code, &message)
        })?;
        let schema = Arc::clone(&serving.schema);
        let document = serving
            .document(&request.document)
            .map_err(|errors| Refused::with(Fault::Validation, &errors))?;
        let refuse = |fault: Fault, error: &RequestError| {
            Refused::with(fault, &[error.to_graphql_error(&document.parsed.sources)])
        };
        let operation = document
            .parsed
            .operations
            .get(request.operation_name.as_deref())
            .map_err(|error| refuse(Fault::OperationName, &error))?;
        let variables = coerce_variable_values(&schema.definitions, operation, &request.variables)
            .map_err(|error| refuse(Fault::Variables, &error))?;
        let live = match operation.operation_type {
            OperationType::Query => live::asked(&document.parsed, operation, &variables)?
                .map(|throttle| Live { throttle, request: request.clone() }),
            OperationType::Mutation | OperationType::Subscription => None,
        };
        let kind = match operation.operation_type {
            OperationType::Query if live.is_some() => Kind::Live,
            OperationType::Query => Kind::Query,
            OperationType::Mutation => Kind::Mutation,
            OperationType::Subscription => Kind::Subscription,
        };
        let compiled = self.compiled(&schema, &document, operation, &variables)?;
        // What the catalog told until then was from before walcast had its publication.
        if matches!(kind, Kind::Live | Kind::Subscription) && !self.is_followed() {
            let words = "the stream of changes is not live yet";
            return Err(Refused::new(Fault::Unfollowed, code::UNAVAILABLE, words));
        }
        if kind == Kind::Live {
            Self::followed(&serving, &compiled)?;
        }
        let subscribed = self.subscribed(&serving, &compiled, &variables, &request)?;
        let name = operation.name.clone();
        Ok(Prepared { kind, name, schema, compiled, variables, identity: request.identity, live, subscribed })
    }

    fn compiled(
        &self,
        schema: &Schema,
        document: &Document,
        operation: &Node<Operation>,
        variables: &Valid<JsonMap>,
    ) -> Result<Arc<Compiled>, Refused> {
        if let Some(compiled) = document.planned(operation, variables) {
            return Ok(compiled);
        }
        let parsed = &document.parsed;
        let refuse = |error: &RequestError| {
            Refused::with(Fault::Validation, &[error.to_graphql_error(&parsed.sources)])
        };
        if operation.operation_type == OperationType::Subscription {
            let compiled = self.compiled_subscription(schema, parsed, operation, variables)?;
            let (compiled, shape) = compiled;
            document.keep(operation, variables, &shape, &compiled);
            return Ok(compiled);
        }
        let mut introspected = JsonMap::new();
        let introspects = operation
            .root_fields(parsed)
            .any(|field| field.name.starts_with("__s") || field.name == "__type");
        if introspects && self.limits.introspection {
            introspection::check_max_depth(parsed, operation).map_err(|error| refuse(&error))?;
            let answer = introspection::partial_execute(
                &schema.definitions,
                &schema.implementers,
                parsed,
                operation,
                variables,
            );
            introspected = answer.map_err(|error| refuse(&error))?.data.unwrap_or_default();
        }
        let (plan, shape) =
            plan::plan(&schema.model, parsed, operation, variables, self.limits, &introspected)
                .map_err(|error| Refused::with(Fault::Validation, &[planning(&error)]))?;
        let script = sql::write(&schema.model, &plan, self.limits.rows, false);
        let compiled = Arc::new(Compiled::new(plan, script));
        // The answer of `__type(name: $name)` is part of the plan.
        if !introspects {
            document.keep(operation, variables, &shape, &compiled);
        }
        Ok(compiled)
    }
}

fn planning(error: &PlanError) -> GraphQLError {
    let code = match error {
        PlanError::Depth { .. } => code::TOO_DEEP,
        PlanError::Cost { .. } => code::TOO_COSTLY,
        PlanError::Count { .. } => code::TOO_MANY_ROWS,
        PlanError::Introspection => code::INTROSPECTION_OFF,
        PlanError::Unknown(_) => code::INTERNAL_ERROR,
        _ => code::ARGUMENT_INVALID,
    };
    let mut error = GraphQLError::new(error.to_string(), None, &Arc::default());
    error.extensions.insert("code", code.into());
    error
}

impl Refused {
    /// A refusal with one error.
    #[must_use]
    pub fn new(fault: Fault, code: &str, message: &str) -> Self {
        let mut error = GraphQLError::new(message, None, &Arc::default());
        error.extensions.insert("code", code.into());
        Self::with(fault, &[error])
    }

    fn with(fault: Fault, errors: &[GraphQLError]) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            errors: &'a [GraphQLError],
        }
        Self { fault, body: Bytes::from(serde_json::to_vec(&Body { errors }).unwrap_or_default()) }
    }
}
