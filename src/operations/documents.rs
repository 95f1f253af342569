//! Documents that were seen before: parsed, validated, and planned for the shapes of variables that came with them.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use apollo_compiler::ExecutableDocument;
use apollo_compiler::parser::Parser;
use apollo_compiler::response::{GraphQLError, JsonMap};
use apollo_compiler::validation::{DiagnosticList, Valid};
use lru::LruCache;

use crate::graphql::model::Model;
use crate::graphql::plan::{Plan, Shape};
use crate::graphql::schema::Schema;
use crate::graphql::sql::{self, Script, Statement};

/// The most documents kept; each is at most as long as a request may be.
const DOCUMENTS: NonZeroUsize = nonzero(1000);

/// The bytes of text beyond which a document is not kept, since what it is parsed to is some fifty times as large.
const KEPT_BYTES: usize = 16 * 1024;

/// The most plans kept for one document.
const PLANS: NonZeroUsize = nonzero(64);

/// Tokens of a document, and how deep it may nest for the parser.
const TOKENS: usize = 15_000;
const RECURSION: usize = 200;

const fn nonzero(number: usize) -> NonZeroUsize {
    match NonZeroUsize::new(number) {
        Some(number) => number,
        None => NonZeroUsize::MIN,
    }
}

/// A plan and its statements.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) plan: Plan,
    pub(super) script: Script,
    tracked: OnceLock<Option<Statement>>,
}

impl Compiled {
    pub(super) const fn new(plan: Plan, script: Script) -> Self {
        Self { plan, script, tracked: OnceLock::new() }
    }

    /// The statement of a query that also tells what was read.
    pub(super) fn tracked(&self, model: &Model, rows: u32) -> Option<&Statement> {
        let write = || match sql::write(model, &self.plan, rows, true) {
            Script::Query(statement) => Some(statement),
            Script::Mutation(_) | Script::Subscription(_) => None,
        };
        self.tracked.get_or_init(write).as_ref()
    }
}

/// A valid document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) parsed: Valid<ExecutableDocument>,
    plans: Mutex<Plans>,
}

#[derive(Debug)]
struct Plans {
    /// By the operation's name; the shape is common to all operations, which only makes keys longer.
    shape: Shape,
    compiled: LruCache<(Option<String>, String), Arc<Compiled>>,
}

impl Document {
    /// The plan of an operation for these variables, if one was kept.
    pub(super) fn planned(
        &self,
        operation: &apollo_compiler::executable::Operation,
        variables: &JsonMap,
    ) -> Option<Arc<Compiled>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (operation.name.as_ref().map(ToString::to_string), plans.shape.key(operation, variables));
        plans.compiled.get(&key).map(Arc::clone)
    }

    /// Keeps a plan that was made for these variables and depends on what `shape` says.
    pub(super) fn keep(
        &self,
        operation: &apollo_compiler::executable::Operation,
        variables: &JsonMap,
        shape: &Shape,
        compiled: &Arc<Compiled>,
    ) {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.shape.widen(shape) {
            plans.compiled.clear();
        }
        let key = (operation.name.as_ref().map(ToString::to_string), plans.shape.key(operation, variables));
        plans.compiled.put(key, Arc::clone(compiled));
    }
}

/// A schema that is served, with the documents that were asked of it.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) schema: Arc<Schema>,
    /// Whether live queries are sound here, or why they are not.
    pub(super) live: Result<(), String>,
    documents: Mutex<LruCache<String, Arc<Document>>>,
}

impl Serving {
    pub(super) fn new(schema: Arc<Schema>, live: Result<(), String>) -> Self {
        Self { schema, live, documents: Mutex::new(LruCache::new(DOCUMENTS)) }
    }

    /// A document by its text, or what is wrong with it.
    pub(super) fn document(&self, text: &str) -> Result<Arc<Document>, Vec<GraphQLError>> {
        let documents = || self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = documents().get(text) {
            return Ok(Arc::clone(known));
        }
        let definitions = &self.schema.definitions;
        let mut parser = Parser::new().token_limit(TOKENS).recursion_limit(RECURSION);
        // What cannot be parsed is not worth comparing with the schema.
        let parsed = parser.parse_ast(text, "document.graphql").map_err(|invalid| told(&invalid.errors))?;
        let parsed = parsed.to_executable_validate(definitions).map_err(|invalid| told(&invalid.errors))?;
        let plans = Plans { shape: Shape::default(), compiled: LruCache::new(PLANS) };
        let document = Arc::new(Document { parsed, plans: Mutex::new(plans) });
        if text.len() <= KEPT_BYTES {
            documents().put(text.to_owned(), Arc::clone(&document));
        }
        Ok(document)
    }
}

fn told(errors: &DiagnosticList) -> Vec<GraphQLError> {
    errors.iter().map(|error| error.to_json()).collect()
}
