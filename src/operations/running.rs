//! Carrying out what was planned.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use super::{Answer, DatabaseError, Operations, Parameter, Prepared, Reply, Step};
use crate::graphql::code;
use crate::graphql::plan::{Operand, PlanError, Root};
use crate::graphql::response::{Extensions, FieldError, Segment, is_marked, resolve, resolve_root};
use crate::graphql::sql::{Script, Statement};
use crate::traces::{self, KeyValue};

/// What a statement meets that was made for a schema of before: an undefined table, column, function, object or type; a
/// missing privilege; a plan whose result changed. Appendix A of the Postgres manual.
pub(super) const STALE: [&str; 6] = ["42P01", "42703", "42883", "42704", "42501", "0A000"];

impl Operations {
    /// Carries an operation out, once.
    pub async fn run(&self, prepared: &Prepared) -> Answer {
        let begun = traces::begin();
        let answer = self.carry_out(prepared).await;
        begun.end("graphql", || {
            [
                KeyValue::new("graphql.operation.type", prepared.kind.name()),
                KeyValue::new("graphql.operation.name", prepared.name().unwrap_or_default().to_owned()),
                KeyValue::new("walcast.unavailable", answer.unavailable),
            ]
        });
        answer
    }

    async fn carry_out(&self, prepared: &Prepared) -> Answer {
        match &prepared.compiled.script {
            Script::Query(statement) => self.query(prepared, statement).await,
            Script::Mutation(changes) => {
                let mut steps = Vec::new();
                // For each root field the last of its steps.
                let mut places = Vec::with_capacity(changes.len());
                for (change, root) in changes.iter().zip(&prepared.compiled.plan.roots) {
                    for (statement, selects) in [(&change.call, false), (&change.selection, true)] {
                        let Some(statement) = statement else { continue };
                        match step(prepared, statement, selects) {
                            Ok(step) => steps.push(step),
                            Err(error) => return failed(&[unfit(&error, root)], false),
                        }
                    }
                    places.push(steps.len());
                }
                self.mutation(prepared, steps, &places).await
            }
            // It has results as things happen: see `feeds`.
            Script::Subscription(_) => failed(&[], false),
        }
    }

    async fn query(&self, prepared: &Prepared, statement: &Statement) -> Answer {
        let roots = &prepared.compiled.plan.roots;
        if let Some(known) = known(roots) {
            return answered(&known, &[]);
        }
        let step = match step(prepared, statement, false) {
            Ok(step) => step,
            Err(error) => {
                return roots
                    .first()
                    .map_or_else(|| failed(&[], false), |root| failed(&[unfit(&error, root)], false));
            }
        };
        let mut reply = match self.database.read(&prepared.identity, step).await {
            Ok(reply) => reply,
            Err(error) => return self.refused(error, roots, |_| (roots.len() == 1).then_some(0)),
        };
        let Some(data) = reply.first_mut().and_then(Option::take) else { return answered("null", &[]) };
        if !is_marked(&data) {
            return answered(&data, &[]);
        }
        let members: Vec<_> = roots.iter().map(|root| (Arc::clone(&root.key), &root.node)).collect();
        let (data, errors) = resolve(&prepared.schema.model, &members, &data, self.limits.rows);
        answered(data.as_deref().unwrap_or("null"), &errors)
    }

    async fn mutation(&self, prepared: &Prepared, steps: Vec<Step>, places: &[usize]) -> Answer {
        let roots = &prepared.compiled.plan.roots;
        let replies: Vec<Reply> = if steps.is_empty() {
            Vec::new()
        } else {
            match self.database.write(&prepared.identity, steps).await {
                Ok(replies) => replies,
                Err(error) => {
                    return self.refused(error, roots, |step| places.iter().position(|after| step < *after));
                }
            }
        };
        let (mut data, mut errors, mut whole) = (String::from("{"), Vec::new(), true);
        let mut before = 0;
        for (root, after) in roots.iter().zip(places) {
            if data.len() > 1 {
                data.push(',');
            }
            let _ = write!(data, "\"{}\":", root.key);
            let json = match &root.node {
                crate::graphql::plan::Node::Known(json) => Some(json.as_ref()),
                _ if *after > before => {
                    replies.get(after - 1).and_then(|reply| reply.first()).and_then(Option::as_deref)
                }
                _ => None,
            };
            before = *after;
            match json {
                Some(json) if is_marked(json) => {
                    let (json, nullable, found) =
                        resolve_root(&prepared.schema.model, &root.key, &root.node, json, self.limits.rows);
                    errors.extend(found);
                    whole &= json.is_some() || nullable;
                    data.push_str(json.as_deref().unwrap_or("null"));
                }
                Some(json) => data.push_str(json),
                None => data.push_str("null"),
            }
        }
        data.push('}');
        answered(if whole { &data } else { "null" }, &errors)
    }
}

/// The response of an operation that needs no database.
fn known(roots: &[Root]) -> Option<String> {
    let mut data = String::from("{");
    for root in roots {
        let crate::graphql::plan::Node::Known(json) = &root.node else { return None };
        if data.len() > 1 {
            data.push(',');
        }
        let _ = write!(data, "\"{}\":{json}", root.key);
    }
    data.push('}');
    Some(data)
}

pub(super) fn step(prepared: &Prepared, statement: &Statement, selects: bool) -> Result<Step, PlanError> {
    let enums = &prepared.schema.model.enums;
    let bind = |operand: &Operand| operand.bind(&prepared.variables, enums).map(Parameter::Text);
    let bound: Result<Vec<_>, _> = statement.operands.iter().map(bind).collect();
    let parameters = selects.then_some(Parameter::Result).into_iter().chain(bound?).collect();
    Ok(Step { sql: Arc::clone(&statement.sql), parameters })
}

fn answered(data: &str, errors: &[FieldError]) -> Answer {
    const BEFORE: &[u8] = b"{\"data\":";
    let mut body = Vec::with_capacity(BEFORE.len() + data.len() + 1);
    body.extend_from_slice(BEFORE);
    body.extend_from_slice(data.as_bytes());
    if !errors.is_empty() {
        body.extend_from_slice(b",\"errors\":");
        body.extend(serde_json::to_vec(errors).unwrap_or_default());
    }
    body.push(b'}');
    Answer::of(Bytes::from(body))
}

fn failed(errors: &[FieldError], unavailable: bool) -> Answer {
    Answer { unavailable, ..answered("null", errors) }
}

pub(super) fn unfit(error: &PlanError, root: &Root) -> FieldError {
    FieldError {
        message: error.to_string(),
        path: vec![Segment::Key(Arc::clone(&root.key))],
        extensions: Extensions { code: code::ARGUMENT_INVALID.to_owned(), hint: None },
    }
}

/// SQLSTATEs of errors that may pass without any change: of connections, of conflicts between transactions, of resources,
/// and of an operator's intervention (Appendix A of the Postgres manual).
const PASSING: [&str; 4] = ["08", "40", "53", "57"];

/// A statement that the database did not carry out.
#[derive(Debug, Default)]
pub(super) struct Failure {
    pub(super) errors: Vec<FieldError>,
    /// The database cannot be had at present.
    pub(super) unavailable: bool,
    /// It may go away by itself.
    pub(super) passing: bool,
}

impl Operations {
    /// The response to an error of the database; `at` knows the root field of a step.
    fn refused(&self, error: DatabaseError, roots: &[Root], at: impl Fn(usize) -> Option<usize>) -> Answer {
        let failure = self.failure(error, roots, at);
        failed(&failure.errors, failure.unavailable)
    }

    /// An error of the database in GraphQL's words.
    pub(super) fn failure(
        &self,
        error: DatabaseError,
        roots: &[Root],
        at: impl Fn(usize) -> Option<usize>,
    ) -> Failure {
        let passing = match &error {
            DatabaseError::Unavailable(_) | DatabaseError::Timeout => true,
            DatabaseError::Refused { code, .. } => PASSING.iter().any(|class| code.starts_with(class)),
        };
        let (message, code, hint, step, unavailable) = match error {
            DatabaseError::Unavailable(reason) => (reason, code::UNAVAILABLE.to_owned(), None, None, true),
            DatabaseError::Timeout => {
                let message =
                    "the database needed longer than it may; ask for less, or for what an index serves";
                (message.to_owned(), code::TIMEOUT.to_owned(), None, None, false)
            }
            DatabaseError::Refused { step, code, message, hint } => {
                if STALE.contains(&code.as_str()) {
                    self.stale.notify_one();
                }
                (message, code, hint, Some(step), false)
            }
        };
        let root = step.and_then(at).and_then(|place| roots.get(place));
        let path = root.map(|root| Segment::Key(Arc::clone(&root.key))).into_iter().collect();
        let error = FieldError { message, path, extensions: Extensions { code, hint } };
        Failure { errors: vec![error], unavailable, passing }
    }
}
