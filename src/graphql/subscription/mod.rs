//! From a change to a subscription's result (specification, 6.2.3.2 "`MapSourceToResponseEvent`").
//!
//! What the log tells is written from the log: the row's columns as the change left them. What hangs on the row, and
//! what the log does not repeat, is read by primary key, one statement for any number of changes. Where row-level
//! security decides what the role sees of a table, all of the row is read, so that the database decides.

mod respond;
mod row;
mod test;
mod value;

use std::borrow::Cow;
use std::sync::Arc;

use apollo_compiler::response::JsonMap;

use super::model::{ChangeEvent, ColumnId, Entity, Events, Model};
use super::plan::{ChangeField, Changes, Node, Operand, PlanError, Selection, Source, Subscription};
use super::sql::{Given, Statement, calls_row, changed, needed};
use crate::change::{Action, Change};
use crate::pgoutput::Oid;
pub use respond::{Answers, error, failed};
use row::known;
pub use row::{Known, Side, named};
use test::{Binding, Test, Truth};
use value::Written;

/// One subscription with its variables: what it listens to, and what its results are.
#[derive(Debug)]
pub struct Stream {
    model: Arc<Model>,
    plan: Arc<Subscription>,
    rows: u32,
    source: Listened,
}

#[derive(Debug)]
enum Listened {
    Topic(Box<str>),
    Table(Box<Table>),
}

/// What is known of a table's subscription beforehand.
#[derive(Debug)]
struct Table {
    relations: Vec<Oid>,
    test: Test,
    equal: Option<(Box<str>, Box<str>)>,
    /// Row-level security decides what is told.
    secured: bool,
    /// Reads what the log never tells; `None` where it tells all.
    rest: Option<Read>,
    /// Reads everything; `None` for tables without a key.
    whole: Option<Read>,
}

/// A statement that reads rows by key.
#[derive(Debug)]
struct Read {
    statement: Statement,
    given: Given,
    /// What its own operands are for the subscription's variables.
    operands: Vec<Option<String>>,
    /// For each selection of the row and each of its fields, the part of an answer that is its JSON.
    parts: Vec<Vec<Option<usize>>>,
}

/// To what a stream listens.
#[derive(Debug, PartialEq, Eq)]
pub enum Listens<'a> {
    /// To what is sent to this topic.
    Topic(&'a str),
    /// To changes of this table.
    Table {
        /// The relations under which they come (`pg_class.oid`).
        tables: &'a [Oid],
        /// The events.
        events: Events,
        /// Only rows whose column, by its name, has this value concern it, as the log writes it.
        equal: Option<(&'a str, &'a str)>,
    },
}

/// How much of its row has to be read before a change can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// Nothing.
    Nothing,
    /// What the log never tells.
    Rest,
    /// Everything.
    Whole,
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not told.
    Silent,
    /// It is told.
    Told {
        /// Once so much has been read.
        reading: Reading,
        /// Even if the row cannot be read any more.
        certain: bool,
    },
}

impl Stream {
    /// A subscription for these variables. `rows` is the most rows of a list. With `secured`, row-level security counts
    /// as on for every table.
    ///
    /// # Errors
    /// When a value does not fit, or when something could never be told.
    pub fn new(
        model: &Arc<Model>,
        plan: &Arc<Subscription>,
        variables: &JsonMap,
        rows: u32,
        secured: bool,
    ) -> Result<Self, PlanError> {
        let source = match &plan.source {
            Source::Topic(topic, _) => {
                Listened::Topic(topic.bind(variables, &model.enums)?.unwrap_or_default().into())
            }
            Source::Changes(changes) => {
                let entity = model
                    .entities
                    .get(changes.entity)
                    .ok_or_else(|| PlanError::Unknown("subscription".to_owned()))?;
                let writing = Writing { model, entity, changes, variables, rows };
                Listened::Table(Box::new(writing.table(secured || entity.row_security)?))
            }
        };
        Ok(Self { model: Arc::clone(model), plan: Arc::clone(plan), rows, source })
    }

    /// The model that it was made for.
    #[must_use]
    pub const fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What it listens to.
    #[must_use]
    pub fn listens(&self) -> Listens<'_> {
        match (&self.source, self.changes()) {
            (Listened::Topic(topic), _) => Listens::Topic(topic),
            (Listened::Table(table), changes) => Listens::Table {
                tables: &table.relations,
                events: changes.map_or(Events::default(), |changes| changes.events),
                equal: table.equal.as_ref().map(|(column, value)| (&**column, &**value)),
            },
        }
    }

    fn changes(&self) -> Option<&Changes> {
        match &self.plan.source {
            Source::Changes(changes) => Some(changes),
            Source::Topic(..) => None,
        }
    }

    fn entity(&self) -> Option<&Entity> {
        self.model.entities.get(self.changes()?.entity)
    }

    fn table(&self) -> Option<&Table> {
        match &self.source {
            Listened::Table(table) => Some(table),
            Listened::Topic(_) => None,
        }
    }

    /// What becomes of a change of its table.
    #[must_use]
    pub fn verdict(&self, change: &Change) -> Verdict {
        let (Some(table), Some(entity), Some(changes)) = (self.table(), self.entity(), self.changes()) else {
            return Verdict::Silent;
        };
        if !changes.events.contains(event(change)) {
            return Verdict::Silent;
        }
        let decide = |side| table.test.decide(&|column| known(change, entity, column, side).0);
        let nothing = Verdict::Told { reading: Reading::Nothing, certain: true };
        match &change.action {
            Action::Truncate => nothing,
            // Nobody can be asked any more whether the role saw the row.
            Action::Delete { .. } if table.secured => Verdict::Silent,
            // Who removes by key what he has, or has not, is served by one too many and not by one too few.
            Action::Delete { .. } => match decide(Side::Old) {
                Truth::True | Truth::Unknown => nothing,
                Truth::False | Truth::Null => Verdict::Silent,
            },
            Action::Insert { .. } | Action::Update { .. } => {
                let truth = decide(Side::New);
                let reading = match truth {
                    Truth::False | Truth::Null => return Verdict::Silent,
                    _ if table.secured => Reading::Whole,
                    Truth::True if !self.tells(change, entity, changes) => Reading::Whole,
                    Truth::True if table.rest.is_some() => Reading::Rest,
                    Truth::True => Reading::Nothing,
                    Truth::Unknown => Reading::Whole,
                };
                match reading {
                    Reading::Whole if table.whole.is_none() => nothing,
                    _ => Verdict::Told { reading, certain: truth == Truth::True && !table.secured },
                }
            }
        }
    }

    /// Whether the log has every column that is selected, or on which something hangs.
    fn tells(&self, change: &Change, entity: &Entity, changes: &Changes) -> bool {
        if let Some(Read { given: Given::Columns(columns), .. }) = self.read(Reading::Rest)
            && columns.iter().any(|column| known(change, entity, *column, Side::New).0 == Known::Unknown)
        {
            return false;
        }
        let mut columns = changes.selection.records().flat_map(|rows| &rows.fields).filter_map(|field| {
            let Node::Column(column) = field.node else { return None };
            Some(column)
        });
        columns.all(|column| self.written(change, entity, column, Side::New).is_some())
    }

    /// A column as the log tells it.
    fn written(&self, change: &Change, entity: &Entity, column: ColumnId, side: Side) -> Option<Written> {
        let described = entity.columns.get(column)?;
        match known(change, entity, column, side) {
            (Known::Unknown, _) | (Known::Value(_), None) => None,
            (Known::Null, _) => Some(Written::null()),
            (Known::Value(text), Some(log)) => value::write(&self.model, &described.value, &log.info, text),
        }
    }

    fn read(&self, reading: Reading) -> Option<&Read> {
        let table = self.table()?;
        match reading {
            Reading::Nothing => None,
            Reading::Rest => table.rest.as_ref(),
            Reading::Whole => table.whole.as_ref(),
        }
    }

    /// The statement that reads the rows of these changes, and its parameters; each change with whether its filter is
    /// decided. `None` where nothing is to be read.
    #[must_use]
    pub fn statement<'a>(
        &self,
        reading: Reading,
        changes: impl Iterator<Item = (&'a Change, bool)> + Clone,
    ) -> Option<(Arc<str>, Vec<Option<String>>)> {
        let (read, entity) = (self.read(reading)?, self.entity()?);
        let (columns, by_key) = match &read.given {
            Given::Columns(columns) => (columns, false),
            Given::Key => (&entity.key, true),
        };
        let mut parameters = Vec::with_capacity(columns.len() + 1 + read.operands.len());
        for column in columns {
            let values =
                changes.clone().map(|(change, _)| match known(change, entity, *column, Side::New).0 {
                    Known::Value(text) => Some(String::from_utf8_lossy(text)),
                    Known::Null | Known::Unknown => None,
                });
            parameters.push(Some(row::array(values)));
        }
        if by_key {
            let decided = changes.map(|(_, decided)| Some(Cow::Borrowed(if decided { "t" } else { "f" })));
            parameters.push(Some(row::array(decided)));
        }
        parameters.extend(read.operands.iter().cloned());
        Some((Arc::clone(&read.statement.sql), parameters))
    }
}

/// What happened.
#[must_use]
pub const fn event(change: &Change) -> ChangeEvent {
    match change.action {
        Action::Insert { .. } => ChangeEvent::Insert,
        Action::Update { .. } => ChangeEvent::Update,
        Action::Delete { .. } => ChangeEvent::Delete,
        Action::Truncate => ChangeEvent::Truncate,
    }
}

/// A table's statements as they are written.
struct Writing<'a> {
    model: &'a Model,
    entity: &'a Entity,
    changes: &'a Changes,
    variables: &'a JsonMap,
    rows: u32,
}

impl Writing<'_> {
    fn table(&self, secured: bool) -> Result<Table, PlanError> {
        let binding = Binding { entity: self.entity, enums: &self.model.enums, variables: self.variables };
        let tests = self.changes.conditions.iter().map(|condition| binding.test(condition));
        let test = Test::All(tests.collect::<Result<_, _>>()?);
        let named = |(column, value): (ColumnId, Box<str>)| {
            Some((self.entity.columns.get(column)?.name.as_str().into(), value))
        };
        let equal = test.equality().and_then(named);
        let coverage = self.model.coverage.get(&self.entity.oid);
        let relations = coverage.and_then(|coverage| coverage.followed.clone().ok()).unwrap_or_default();
        let rest = |node: &Node| match node {
            Node::Known(_) => false,
            Node::Column(column) => {
                self.entity.columns.get(*column).is_none_or(|column| !value::is_told(&column.value))
            }
            _ => true,
        };
        if self.entity.key.is_empty() {
            self.refuse_keyless(&test, secured)?;
        }
        let told = !self.selected().any(|(_, node)| rest(node));
        let rest = if told { None } else { Some(self.read(rest, false)?) };
        let keyed = !self.entity.key.is_empty();
        let whole = if keyed { Some(self.read(|node| !matches!(node, Node::Known(_)), true)?) } else { None };
        Ok(Table { relations, test, equal, secured, rest, whole })
    }

    fn selected(&self) -> impl Iterator<Item = (&Arc<str>, &Node)> {
        let rows = self.changes.selection.records();
        rows.flat_map(|rows| rows.fields.iter().map(|field| (&field.key, &field.node)))
    }

    /// Rows without a key can only be told from the log, with what hangs on their columns.
    fn refuse_keyless(&self, test: &Test, secured: bool) -> Result<(), PlanError> {
        let keyless =
            |field: &str| PlanError::Keyless { field: field.to_owned(), table: self.entity.name.clone() };
        if let Some((key, _)) = self.selected().find(|(_, node)| calls_row(self.model, node)) {
            return Err(keyless(key));
        }
        if test.asks() {
            return Err(keyless("filter"));
        }
        let told = match &self.changes.selection {
            Selection::Record(_) => "record",
            Selection::Change(fields) => fields
                .iter()
                .find(|(_, field)| matches!(field, ChangeField::Record(_) | ChangeField::Old(_)))
                .map_or("event", |(key, _)| key),
        };
        if secured { Err(keyless(told)) } else { Ok(()) }
    }

    fn read(&self, reads: impl Fn(&Node) -> bool, whole: bool) -> Result<Read, PlanError> {
        let (mut nodes, mut parts) = (Vec::new(), Vec::new());
        for rows in self.changes.selection.records() {
            let mut of_row = Vec::with_capacity(rows.fields.len());
            for field in &rows.fields {
                of_row.push(reads(&field.node).then_some(nodes.len()));
                if reads(&field.node) {
                    nodes.push(&field.node);
                }
            }
            parts.push(of_row);
        }
        let given = if whole { Given::Key } else { needed(self.model, &nodes) };
        // What the log tells it has decided about.
        let conditions = if whole { self.changes.conditions.as_slice() } else { &[] };
        let statement = changed(self.model, self.changes.entity, &nodes, &given, conditions, self.rows);
        let bind = |operand: &Operand| operand.bind(self.variables, &self.model.enums);
        let operands = statement.operands.iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Read { statement, given, operands, parts })
    }
}
