//! The section `graphql`.

use std::path::PathBuf;
use std::time::Duration;

use super::database::Database;
use super::problem::{Problem, shown};
use super::reading::{Reading, is_name};
use super::table;
use crate::graphql::tags::Names;

/// The GraphQL endpoint.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct GraphQl {
    /// Whether there is one.
    pub enabled: bool,
    /// The database that is asked: the one that is followed, unless another address of it was given. `None` in
    /// [`Mode::Demo`](super::Mode::Demo) only.
    pub database: Option<Database>,
    /// The role of operations that name none; the one that logs in where this is `None`.
    pub role: Option<String>,
    /// The schemas whose tables, views and functions are offered, unquoted.
    pub schemas: Vec<String>,
    /// Most connections at once.
    pub connections: usize,
    /// How long an operation may wait for one of them.
    pub wait: Duration,
    /// How long one statement may take.
    pub statement: Duration,
    /// Most levels of fields within fields.
    pub depth: usize,
    /// Most fields of one operation, each counted as often as it is selected.
    pub cost: usize,
    /// Most rows of one list.
    pub rows: usize,
    /// Whether `__schema` and `__type` are answered.
    pub introspection: bool,
    /// Whether the page `/graphiql` is served.
    pub graphiql: bool,
    /// Most streams of live queries at once.
    pub live_streams: usize,
    /// Whether live results tell what they depend on and what made them.
    pub live_extensions: bool,
    /// A JSON file with persisted documents: an object from the document's id to its text.
    pub documents: Option<PathBuf>,
    /// Whether no other documents are served.
    pub documents_only: bool,
    /// What GraphQL calls something otherwise than it would.
    pub names: Vec<Renaming>,
    /// What is not offered: `schema.relation`, `schema.relation.column` or `schema.function()`.
    pub omit: Vec<String>,
    /// Named subscriptions: `name = schema.table on insert or update (column, ..)`.
    pub subscriptions: Vec<String>,
}

/// One entry of `graphql.names`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renaming {
    /// `schema.relation`, `schema.relation.column` or `schema.function()`, unquoted.
    pub object: String,
    /// The name in GraphQL.
    pub name: String,
}

impl GraphQl {
    pub(super) fn read(reading: &mut Reading<'_>, followed: Option<&Database>) -> Self {
        let database = if reading.is_set(&table::GRAPHQL_URL) {
            let named = reading.database(&table::GRAPHQL_URL);
            named.and_then(|database| reading.with_tls(&table::GRAPHQL_URL, database))
        } else {
            followed.cloned()
        };
        let graphql = Self {
            enabled: reading.flag(&table::GRAPHQL),
            database,
            role: reading.optional(&table::GRAPHQL_ROLE),
            schemas: schemas(reading),
            connections: reading.usize(&table::CONNECTIONS),
            wait: reading.milliseconds(&table::WAIT),
            statement: reading.milliseconds(&table::STATEMENT),
            depth: reading.usize(&table::DEPTH),
            cost: reading.usize(&table::COST),
            rows: reading.usize(&table::ROWS),
            introspection: reading.flag(&table::INTROSPECTION),
            graphiql: reading.flag(&table::GRAPHIQL),
            live_streams: reading.usize(&table::LIVE_STREAMS),
            live_extensions: reading.flag(&table::LIVE_EXTENSIONS),
            documents: reading.optional(&table::DOCUMENTS).map(PathBuf::from),
            documents_only: reading.flag(&table::DOCUMENTS_ONLY),
            names: names(reading),
            omit: omit(reading),
            subscriptions: subscriptions(reading),
        };
        if graphql.documents_only && graphql.documents.is_none() {
            let name = reading.name(&table::DOCUMENTS_ONLY);
            let right = "name the file of documents, graphql.documents, or write false";
            reading.problems.push(Problem::new(name, "is true, but there are no documents", right));
        }
        graphql
    }
}

fn schemas(reading: &mut Reading<'_>) -> Vec<String> {
    let schemas = reading.list(&table::SCHEMAS);
    if let Some(wrong) = schemas.iter().find(|schema| !is_name(schema)) {
        reading.refuse(&table::SCHEMAS, format!("the entry {} is no name", shown(wrong)));
    }
    schemas
}

fn names(reading: &mut Reading<'_>) -> Vec<Renaming> {
    let mut names = Vec::new();
    for entry in reading.list(&table::RENAMINGS) {
        // The name behind the last = cannot hold one; what SQL calls something may.
        match entry.rsplit_once('=') {
            Some((object, name)) if is_object(object.trim()) && is_graphql_name(name.trim()) => {
                names.push(Renaming { object: object.trim().to_owned(), name: name.trim().to_owned() });
            }
            _ => reading.refuse(&table::RENAMINGS, format!("found the entry {}", shown(&entry))),
        }
    }
    names
}

fn omit(reading: &mut Reading<'_>) -> Vec<String> {
    let omit = reading.list(&table::OMITTED);
    for entry in omit.iter().filter(|entry| !is_object(entry)) {
        reading.refuse(&table::OMITTED, format!("found the entry {}", shown(entry)));
    }
    omit
}

fn subscriptions(reading: &mut Reading<'_>) -> Vec<String> {
    let entries = reading.list(&table::SUBSCRIPTIONS);
    for entry in &entries {
        if let Err(error) = Names::default().with_subscriptions(&[entry]) {
            let all: Vec<_> = error.iter().map(ToString::to_string).collect();
            reading.refuse(&table::SUBSCRIPTIONS, all.join("; "));
        }
    }
    entries
}

/// Whether a text has the form of `schema.relation`, `schema.relation.column` or `schema.function()`.
fn is_object(text: &str) -> bool {
    let function = text.strip_suffix("()");
    let parts = function.unwrap_or(text).split('.');
    let most = if function.is_some() { 2 } else { 3 };
    (2..=most).contains(&parts.clone().count()) && parts.into_iter().all(is_name)
}

/// A name of GraphQL (specification, 2.1.9) that is not kept for introspection.
fn is_graphql_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(letter)
        && text.chars().all(|c| letter(c) || c.is_ascii_digit())
        && !text.starts_with("__")
}
