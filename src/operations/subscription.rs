//! Subscriptions: what is known of one before anything happens, and the reading of rows for its results.

use std::sync::Arc;

use apollo_compiler::executable::Operation;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Node};

use super::documents::{Compiled, Serving};
use super::{
    DatabaseError, Fault, Identity, Operations, Parameter, Prepared, Refused, Request, Step, planning,
};
use crate::change::Change;
use crate::graphql::code;
use crate::graphql::plan::{self, Plan, Shape};
use crate::graphql::response::FieldError;
use crate::graphql::schema::Schema;
use crate::graphql::sql::Script;
use crate::graphql::subscription::{Reading, Stream, error};
use crate::snapshot::Snapshot;

/// A subscription that can be fed.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// What its results are.
    pub stream: Arc<Stream>,
    /// What subscriptions whose results are the same have in common.
    pub key: Arc<str>,
    /// What the client asked for, to be prepared again when the schema has changed.
    pub request: Arc<Request>,
}

impl Prepared {
    /// What a subscription needs to be fed; nothing for other operations.
    #[must_use]
    pub fn into_subscribed(self) -> Option<Subscribed> {
        self.subscribed
    }
}

impl Operations {
    /// The plan of a subscription, which has no statements yet.
    pub(super) fn compiled_subscription(
        &self,
        schema: &Schema,
        document: &ExecutableDocument,
        operation: &Node<Operation>,
        variables: &Valid<JsonMap>,
    ) -> Result<(Arc<Compiled>, Shape), Refused> {
        let (subscription, shape) =
            plan::subscribe(&schema.model, document, operation, variables, self.limits)
                .map_err(|error| Refused::with(Fault::Validation, &[planning(&error)]))?;
        let plan = Plan { mutation: false, roots: Vec::new() };
        let script = Script::Subscription(Arc::new(subscription));
        Ok((Arc::new(Compiled::new(plan, script)), shape))
    }

    /// A subscription with its variables.
    pub(super) fn subscribed(
        &self,
        serving: &Serving,
        compiled: &Compiled,
        variables: &Valid<JsonMap>,
        request: &Request,
    ) -> Result<Option<Subscribed>, Refused> {
        let Script::Subscription(plan) = &compiled.script else { return Ok(None) };
        if let Err(reason) = &serving.live {
            let words = format!("changes cannot be followed here: {reason}");
            return Err(Refused::new(Fault::Validation, code::LIVE_OFF, &words));
        }
        let (schema, identity) = (&serving.schema, &request.identity);
        // The catalog tells of the role that reads it; of another one, row-level security may be in the way.
        let secured = identity.role.is_some();
        let stream = Stream::new(&schema.model, plan, variables, self.limits.rows, secured)
            .map_err(|error| Refused::with(Fault::Validation, &[planning(&error)]))?;
        let variables = serde_json::to_string(&**variables).unwrap_or_default();
        let key = format!("{:p}\n{plan:?}\n{variables}\n{identity:?}", Arc::as_ptr(&schema.model)).into();
        Ok(Some(Subscribed { stream: Arc::new(stream), key, request: Arc::new(request.clone()) }))
    }

    /// Reads the rows of changes, each with whether its filter is decided. The answer is for
    /// [`crate::graphql::subscription::Answers`]; with it comes what it could see.
    ///
    /// # Errors
    /// What a client may know of it.
    pub async fn read_rows(
        &self,
        identity: &Identity,
        stream: &Stream,
        reading: Reading,
        changes: &[(&Change, bool)],
    ) -> Result<(Option<String>, Snapshot), FieldError> {
        let Some((sql, parameters)) = stream.statement(reading, changes.iter().copied()) else {
            return Ok((None, Snapshot::default()));
        };
        let parameters = parameters.into_iter().map(Parameter::Text).collect();
        let step = Step { sql, parameters };
        match self.database.read(identity, step).await {
            Ok(reply) => {
                let mut columns = reply.into_iter();
                let data = columns.next().flatten();
                let snapshot = columns.next().flatten().and_then(|text| text.parse().ok());
                snapshot
                    .map(|snapshot| (data, snapshot))
                    .ok_or_else(|| error(code::INTERNAL_ERROR, "the database did not say what it has seen"))
            }
            Err(failure) => Err(self.told(failure)),
        }
    }

    fn told(&self, failure: DatabaseError) -> FieldError {
        match failure {
            DatabaseError::Unavailable(reason) => error(code::UNAVAILABLE, &reason),
            DatabaseError::Timeout => {
                error(code::TIMEOUT, "the database needed longer than it may; ask for less of each change")
            }
            DatabaseError::Refused { code, message, hint, .. } => {
                if super::running::STALE.contains(&code.as_str()) {
                    self.stale.notify_one();
                }
                let mut told = error(&code, &message);
                told.extensions.hint = hint;
                told
            }
        }
    }
}
