//! What live queries need of operations: whether one is asked for, whether it can be, and runs that tell what they read.

use std::sync::Arc;
use std::time::Duration;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::Value;
use apollo_compiler::executable::{Directive, Operation, Selection, SelectionSet};
use apollo_compiler::response::{JsonMap, JsonValue};

use super::documents::{Compiled, Serving};
use super::running::{Failure, step, unfit};
use super::{Fault, Identity, Operations, Parameter, Prepared, Refused, Request};
use crate::graphql::code;
use crate::graphql::model::Model;
use crate::graphql::read_set::{self, ReadSet};
use crate::graphql::response::{FieldError, is_marked, resolve};
use crate::live::identifier;
use crate::metrics::COUNTED;
use crate::snapshot::Snapshot;

/// `@live` of an operation.
#[derive(Debug)]
pub struct Live {
    /// At most one result in this time.
    pub throttle: Duration,
    /// What was asked for, to be prepared again for another schema.
    pub request: Request,
}

/// What makes two live queries one: the statement is the operation in its normal form, with the names of its response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shared {
    sql: Arc<str>,
    parameters: Vec<Parameter>,
    identity: Identity,
}

/// The result of one run of a live query.
#[derive(Debug)]
pub struct Refreshed {
    /// The response's `data`, as JSON.
    pub data: String,
    /// Its errors.
    pub errors: Vec<FieldError>,
    /// What it depends on.
    pub read: ReadSet,
    /// What it has seen; `None` where the statement failed.
    pub snapshot: Option<Snapshot>,
    /// The error may pass by itself.
    pub passing: bool,
}

/// The throttle of `@live`, zero without one, if it is asked for: unless its `if` is false; the default counts for a variable without a value, too.
pub(super) fn asked(
    document: &ExecutableDocument,
    operation: &Operation,
    variables: &JsonMap,
) -> Result<Option<Duration>, Refused> {
    let Some(directive) = operation.directives.get("live") else { return Ok(None) };
    let given = |name| match directive.specified_argument_by_name(name).map(AsRef::as_ref) {
        Some(Value::Variable(variable)) => variables.get(variable.as_str()).cloned(),
        Some(Value::Boolean(value)) => Some(JsonValue::Bool(*value)),
        Some(Value::Int(value)) => value.try_to_i32().ok().map(JsonValue::from),
        _ => None,
    };
    if given("if") == Some(JsonValue::Bool(false)) {
        return Ok(None);
    }
    if let Some(other) = incremental(document, &operation.selection_set) {
        let words = format!("Cannot mix \"@{other}\" with \"@live\".");
        return Err(Refused::new(Fault::Validation, code::ARGUMENT_INVALID, &words));
    }
    let throttle = match given("throttle").as_ref().and_then(JsonValue::as_i64) {
        None => 0,
        Some(milliseconds) => u64::try_from(milliseconds).map_err(|_| {
            let words = "`throttle` of `@live` is a number of milliseconds, 0 or more";
            Refused::new(Fault::Variables, code::ARGUMENT_INVALID, words)
        })?,
    };
    Ok(Some(Duration::from_millis(throttle)))
}

/// `defer` or `stream`, if one is used; without it live results have no parts.
fn incremental(document: &ExecutableDocument, selections: &SelectionSet) -> Option<&'static str> {
    let used = |directives: &[apollo_compiler::Node<Directive>]| {
        ["defer", "stream"].into_iter().find(|name| directives.iter().any(|one| one.name == *name))
    };
    selections.selections.iter().find_map(|selection| match selection {
        Selection::Field(field) => {
            used(&field.directives).or_else(|| incremental(document, &field.selection_set))
        }
        Selection::InlineFragment(inline) => {
            used(&inline.directives).or_else(|| incremental(document, &inline.selection_set))
        }
        // Fragments cannot contain themselves, which validation has seen to.
        Selection::FragmentSpread(spread) => used(&spread.directives).or_else(|| {
            let fragment = document.fragments.get(&spread.fragment_name)?;
            incremental(document, &fragment.selection_set)
        }),
    })
}

impl Operations {
    /// Whether changes tell all that a live query has to know.
    pub(super) fn followed(serving: &Serving, compiled: &Compiled) -> Result<(), Refused> {
        let refuse = |code: &'static str, words: &str| {
            COUNTED.live_refusals.count(&format!("code=\"{code}\""));
            Err(Refused::new(Fault::Validation, code, words))
        };
        if let Err(reason) = &serving.live {
            let words = format!("live queries cannot be followed here: {reason}");
            return refuse(code::LIVE_OFF, &words);
        }
        let read = read_set::broad(&serving.schema.model, &compiled.plan);
        match read.opaque.iter().next() {
            None => Ok(()),
            Some(opaque) => {
                let words = format!("this query cannot be live: {opaque}");
                refuse(code::LIVE_UNSEEN, &words)
            }
        }
    }

    /// What makes a live query one with others; `None` where its variables do not fit, or it is no query.
    #[must_use]
    pub fn shared(&self, prepared: &Prepared) -> Option<Shared> {
        let statement = prepared.compiled.tracked(&prepared.schema.model, self.limits.rows)?;
        let step = step(prepared, statement, false).ok()?;
        Some(Shared { sql: step.sql, parameters: step.parameters, identity: prepared.identity.clone() })
    }

    /// Runs a live query once.
    pub async fn refresh(&self, prepared: &Prepared) -> Refreshed {
        let compiled = &prepared.compiled;
        let model = &prepared.schema.model;
        let failed = |failure: Failure| Refreshed {
            data: "null".to_owned(),
            errors: failure.errors,
            read: read_set::broad(model, &compiled.plan),
            snapshot: None,
            passing: failure.passing,
        };
        let Some(statement) = compiled.tracked(model, self.limits.rows) else {
            return failed(Failure::default());
        };
        let roots = &compiled.plan.roots;
        let step = match step(prepared, statement, false) {
            Ok(step) => step,
            Err(error) => {
                let errors = roots.first().map(|root| unfit(&error, root)).into_iter().collect();
                return failed(Failure { errors, ..Failure::default() });
            }
        };
        let mut reply = match self.database.read(&prepared.identity, step).await {
            Ok(reply) => reply.into_iter(),
            Err(error) => return failed(self.failure(error, roots, |_| (roots.len() == 1).then_some(0))),
        };
        let data = reply.next().flatten().unwrap_or_else(|| "null".to_owned());
        let keys = reply.next().flatten().unwrap_or_default();
        let snapshot = reply.next().flatten().and_then(|text| text.parse().ok());
        let read = read_set::read_set(model, &compiled.plan, &prepared.variables, &keys)
            .unwrap_or_else(|_| read_set::broad(model, &compiled.plan));
        if !is_marked(&data) {
            return Refreshed { data, errors: Vec::new(), read, snapshot, passing: false };
        }
        let members: Vec<_> = roots.iter().map(|root| (Arc::clone(&root.key), &root.node)).collect();
        let (data, errors) = resolve(model, &members, &data, self.limits.rows);
        let data = data.unwrap_or_else(|| "null".to_owned());
        Refreshed { data, errors, read, snapshot, passing: false }
    }
}

impl Prepared {
    /// `@live`, if it was asked for.
    #[must_use]
    pub const fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    /// The model that it was planned for.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.schema.model
    }

    /// The resource identifiers of its root fields.
    #[must_use]
    pub fn roots(&self) -> Vec<String> {
        identifier::of_roots(&self.schema.model, &self.compiled.plan, &self.variables)
    }
}
