//! What a result depends on, as a value: which rows it read, and which rows would belong to it if they were there.
//!
//! Made from a plan and from the keys that its tracked statement returned. Every [`Watch`] stands for one place of the
//! plan. A change makes the result stale if it touches one of them: it updates or deletes a row that was read, in a column
//! that was read, or it brings a row that belongs to a set that was read. What cannot be told from a change counts as
//! touching.

mod broad;

use std::collections::BTreeSet;

use apollo_compiler::response::JsonMap;
use serde_json::Value;
use thiserror::Error;

pub use broad::broad;
use broad::{Walk, any};

use super::catalog::{Oid, RelationKind};
use super::model::{ColumnId, Entity, Model, Reads};
use super::plan::{
    Aggregate, Call, Cardinality, Comparison, Condition, From, Measure, Measured, Node, Operand, Plan,
    PlanError, Rows,
};

/// Values of some columns of a row, as Postgres writes them.
pub type Values = Vec<Option<String>>;

/// All that a result depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// One for each place of the plan that reads a table.
    pub watches: Vec<Watch>,
    /// What changes cannot tell of.
    pub opaque: BTreeSet<Opaque>,
}

/// Something whose changes the replication slot does not show, or that walcast cannot look into. Its words are for
/// clients: they name it, and say what to do.
#[derive(Clone, Debug, Error, PartialEq, Eq, PartialOrd, Ord)]
#[error("{}", self.reason())]
pub enum Opaque {
    /// A function that does not say what it reads.
    Function {
        /// `schema.name`
        name: String,
        /// A whole sentence, which names it.
        reason: String,
    },
    /// A view that calls such functions, or that depends on the clock, chance or the session.
    View {
        /// `schema.name`
        name: String,
        /// A whole sentence, which names it.
        reason: String,
    },
    /// A table that is not published as it should be; a materialized view, a foreign or an unlogged table.
    Unseen {
        /// `schema.name`
        name: String,
        /// A whole sentence, which names it.
        reason: String,
    },
    /// A table with a row-security policy that calls such functions.
    Policy {
        /// `schema.name` of the table.
        name: String,
        /// A whole sentence, which names it.
        reason: String,
    },
}

impl Opaque {
    /// What is wrong, and what to do.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Function { reason, .. }
            | Self::View { reason, .. }
            | Self::Unseen { reason, .. }
            | Self::Policy { reason, .. } => reason,
        }
    }
}

/// What was read of one table at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// `pg_class.oid`
    pub table: Oid,
    /// Columns of the primary key; empty where there is none.
    pub key: Vec<String>,
    /// The rows that were read, by their primary key.
    pub rows: BTreeSet<Values>,
    /// Columns that were read of these rows; `None` is all.
    pub columns: Option<BTreeSet<String>>,
    /// Which rows belong.
    pub members: Members,
    /// What was made of them.
    pub extent: Extent,
}

/// Which rows belong to a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// These columns have one of these values: an edge from a row above, or a key. `None` binds nothing.
    pub bound: Option<(Vec<String>, BTreeSet<Values>)>,
    /// And all of these hold.
    pub conditions: Vec<Predicate>,
    /// There can be no others than those read: they came from a function or from a row's own column.
    pub closed: bool,
}

/// What was made of a set of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of them are in the result.
    Whole,
    /// A part, by these columns' order: rows outside it have a say in which those are.
    Window(Vec<String>),
    /// A number made of all of them, of these columns; rows are not listed.
    Aggregate(BTreeSet<String>),
    /// Whether there is one; rows are not listed.
    Existence,
    /// Something unknown.
    Any,
}

/// A condition with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// All hold.
    And(Vec<Predicate>),
    /// One holds.
    Or(Vec<Predicate>),
    /// It does not hold.
    Not(Box<Predicate>),
    /// A column is null, or is not.
    Null(String, bool),
    /// A column of this base type is compared with this value.
    Compare(String, Oid, Comparison, Option<String>),
    /// It depends on other rows, which a [`Watch`] of their own stands for.
    Elsewhere,
}

/// What the result of `plan` depends on; `keys` is the second column of its tracked statement. Tables that only
/// policies read are there as a whole, since which rows a policy looked at is not known.
///
/// # Errors
/// When a variable does not fit, which the statement would not have survived.
pub fn read_set(model: &Model, plan: &Plan, variables: &JsonMap, keys: &str) -> Result<ReadSet, PlanError> {
    let keys: Value = serde_json::from_str(keys).unwrap_or(Value::Null);
    let mut reading = Reading { model, variables, watches: Vec::new() };
    let mut below = keys.as_array().into_iter().flatten();
    for root in &plan.roots {
        let values: Vec<&Value> =
            if let Node::Rows(_) = root.node { below.next().into_iter().collect() } else { Vec::new() };
        reading.node(&root.node, &values, None)?;
    }
    let walk = Walk::of(model, plan);
    reading.watches.extend(walk.guards.iter().map(|guard| any(*guard)));
    Ok(ReadSet { watches: reading.watches, opaque: walk.opaque })
}

/// Rows one level up: the columns of their identity, and the values of these.
struct Above<'a> {
    identity: &'a [ColumnId],
    rows: &'a [&'a [Value]],
}

impl Above<'_> {
    /// The values of these columns in every row.
    fn values(&self, columns: impl IntoIterator<Item = ColumnId>) -> BTreeSet<Values> {
        let columns: Vec<_> = columns.into_iter().collect();
        let place = |column: ColumnId| self.identity.iter().position(|known| *known == column);
        let of = |row: &&[Value]| -> Values {
            columns.iter().map(|column| text(row.get(place(*column)?)?)).collect()
        };
        self.rows.iter().map(of).collect()
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

struct Reading<'a> {
    model: &'a Model,
    variables: &'a JsonMap,
    watches: Vec<Watch>,
}

impl Reading<'_> {
    fn node(&mut self, node: &Node, keys: &[&Value], above: Option<&Above<'_>>) -> Result<(), PlanError> {
        match node {
            Node::Known(_) | Node::Column(_) => Ok(()),
            Node::Rows(rows) => self.rows(rows, keys, above),
            Node::Aggregate(aggregate) => self.aggregate(aggregate, above),
            Node::Call(call) => {
                self.call(call, above);
                Ok(())
            }
        }
    }

    /// `keys`: for each row above what stands in the place of these rows.
    fn rows(&mut self, rows: &Rows, keys: &[&Value], above: Option<&Above<'_>>) -> Result<(), PlanError> {
        let model = self.model;
        let Some(entity) = model.entities.get(rows.entity) else { return Ok(()) };
        let many = matches!(rows.cardinality, Cardinality::Many(_) | Cardinality::Array { .. });
        let each: Vec<&[Value]> = keys
            .iter()
            .flat_map(|value| {
                if many {
                    value.as_array().map_or(&[][..], Vec::as_slice)
                } else {
                    std::slice::from_ref(*value)
                }
            })
            .filter_map(|row| row.as_array().map(Vec::as_slice))
            .collect();
        if let From::Function(call) = &rows.from {
            self.call(call, above);
        }
        let identity = rows.identity(model);
        let this = Above { identity: &identity, rows: &each };
        let members = self.members(entity, &rows.from, &rows.conditions, above)?;
        let extent = match &rows.cardinality {
            Cardinality::Many(window) if window.limit.is_some() || window.offset.is_some() => {
                Extent::Window(names(entity, window.order.iter().map(|order| order.column)).collect())
            }
            _ => Extent::Whole,
        };
        let mut columns: BTreeSet<String> = names(entity, selected(rows, self.model)).collect();
        if let Cardinality::Many(window) = &rows.cardinality {
            columns.extend(names(entity, window.order.iter().map(|order| order.column)));
        }
        conditioned(entity, &rows.conditions, &mut columns);
        let columns = (!whole_row(rows, self.model)).then_some(columns);
        let read = this.values(entity.key.iter().copied());
        self.watch(entity, read, columns, members, extent);

        let mut place = identity.len();
        for field in &rows.fields {
            let below: Vec<&Value> = if let Node::Rows(_) = field.node {
                place += 1;
                each.iter().filter_map(|row| row.get(place - 1)).collect()
            } else {
                Vec::new()
            };
            self.node(&field.node, &below, Some(&this))?;
        }
        Ok(())
    }

    fn aggregate(&mut self, aggregate: &Aggregate, above: Option<&Above<'_>>) -> Result<(), PlanError> {
        let Some(entity) = self.model.entities.get(aggregate.entity) else { return Ok(()) };
        let members = self.members(entity, &aggregate.from, &aggregate.conditions, above)?;
        let measured = aggregate.fields.iter().filter_map(|(_, measure)| match measure {
            Measure::Of(_, fields) => Some(fields),
            Measure::Known(_) | Measure::Count => None,
        });
        let columns = measured.flatten().filter_map(|(_, measured)| match measured {
            Measured::Column(column) => Some(*column),
            Measured::Known(_) => None,
        });
        let mut columns: BTreeSet<String> = names(entity, columns).collect();
        conditioned(entity, &aggregate.conditions, &mut columns);
        let extent = Extent::Aggregate(columns);
        self.watch(entity, BTreeSet::new(), Some(BTreeSet::new()), members, extent);
        Ok(())
    }

    fn call(&mut self, call: &Call, above: Option<&Above<'_>>) {
        let Some(function) = self.model.functions.get(call.function) else { return };
        let Reads::Tables(tables) = &function.reads else { return };
        for table in tables {
            let columns: Vec<String> = table.on.iter().map(|(theirs, _)| theirs.clone()).collect();
            let bound = above
                .filter(|_| !columns.is_empty())
                .map(|above| (columns, above.values(table.on.iter().map(|(_, ours)| *ours))));
            let mut watch = any(table.table);
            watch.members.bound = bound;
            self.watches.push(watch);
        }
    }

    fn members(
        &mut self,
        entity: &Entity,
        from: &From,
        conditions: &[Condition],
        above: Option<&Above<'_>>,
    ) -> Result<Members, PlanError> {
        let mut asked = Vec::new();
        let bound = match (from, above) {
            (From::Key(key), _) if !key.iter().all(|(column, _)| is_spelt_alike(entity, *column)) => {
                for (column, operand) in key {
                    asked.push(Condition::Compare(*column, Comparison::Eq, operand.clone()));
                }
                None
            }
            (From::Key(key), _) => {
                let columns = names(entity, key.iter().map(|(column, _)| *column)).collect();
                let values: Result<Values, _> = key.iter().map(|(_, operand)| self.bind(operand)).collect();
                Some((columns, BTreeSet::from([values?])))
            }
            (From::Linked(on), Some(above)) => {
                let columns = names(entity, on.iter().map(|(_, ours)| *ours)).collect();
                Some((columns, above.values(on.iter().map(|(theirs, _)| *theirs))))
            }
            _ => None,
        };
        let closed = matches!(from, From::Function(_) | From::Composite { .. } | From::Returned);
        let predicates: Result<_, _> =
            conditions.iter().chain(&asked).map(|condition| self.predicate(entity, condition)).collect();
        Ok(Members { bound, conditions: predicates?, closed })
    }

    fn predicate(&mut self, entity: &Entity, condition: &Condition) -> Result<Predicate, PlanError> {
        let name = |column: ColumnId| names(entity, std::iter::once(column)).next().unwrap_or_default();
        let model = self.model;
        let mut each = |all: &[Condition]| {
            all.iter().map(|one| self.predicate(entity, one)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match condition {
            Condition::And(all) => Predicate::And(each(all)?),
            Condition::Or(any) => Predicate::Or(each(any)?),
            Condition::Not(one) => Predicate::Not(Box::new(self.predicate(entity, one)?)),
            Condition::Null(column, null) => Predicate::Null(name(*column), *null),
            Condition::Compare(column, comparison, operand) => {
                let base = entity.columns.get(*column).map_or(0, |column| column.value.base);
                Predicate::Compare(name(*column), base, *comparison, self.bind(operand)?)
            }
            Condition::Exists { target, on, condition } => {
                if let Some(other) = model.entities.get(*target) {
                    // Which rows above ask is not known here, so the edge binds nothing.
                    let predicate = self.predicate(other, condition)?;
                    let mut columns: BTreeSet<String> =
                        names(other, on.iter().map(|(_, theirs)| *theirs)).collect();
                    conditioned(other, std::slice::from_ref(condition), &mut columns);
                    let members = Members { bound: None, conditions: vec![predicate], closed: false };
                    self.watch(other, BTreeSet::new(), Some(columns), members, Extent::Existence);
                }
                Predicate::Elsewhere
            }
        })
    }

    fn bind(&self, operand: &Operand) -> Result<Option<String>, PlanError> {
        operand.bind(self.variables, &self.model.enums)
    }

    fn watch(
        &mut self,
        entity: &Entity,
        rows: BTreeSet<Values>,
        columns: Option<BTreeSet<String>>,
        members: Members,
        extent: Extent,
    ) {
        match entity.kind {
            // Changes of the last two never come.
            RelationKind::CompositeType | RelationKind::MaterializedView | RelationKind::ForeignTable => {}
            RelationKind::View => {
                self.watches.extend(entity.reads.iter().flatten().map(|table| any(*table)));
            }
            RelationKind::Table => {
                let key = names(entity, entity.key.iter().copied()).collect();
                let coverage = self.model.coverage.get(&entity.oid);
                // Any column may decide whether a policy shows a row.
                let (columns, extent) = match extent {
                    extent if coverage.is_some_and(|coverage| !coverage.secured) => (columns, extent),
                    Extent::Window(_) | Extent::Aggregate(_) => (None, Extent::Any),
                    extent => (None, extent),
                };
                self.watches.push(Watch { table: entity.oid, key, rows, columns, members, extent });
            }
        }
    }
}

/// Whether clients spell values of a column as Postgres does, but for zeros and case: integers, texts, `uuid`. A date
/// comes in many forms.
fn is_spelt_alike(entity: &Entity, column: ColumnId) -> bool {
    entity
        .columns
        .get(column)
        .is_some_and(|column| matches!(column.value.base, 20 | 21 | 23 | 25 | 1043 | 2950))
}

fn names<'a>(
    entity: &'a Entity,
    columns: impl Iterator<Item = ColumnId> + 'a,
) -> impl Iterator<Item = String> + 'a {
    columns.filter_map(|column| entity.columns.get(column)).map(|column| column.name.clone())
}

/// Columns that a row's selection reads.
fn selected<'a>(rows: &'a Rows, model: &'a Model) -> impl Iterator<Item = ColumnId> + 'a {
    let columns = rows.fields.iter().filter_map(|field| match &field.node {
        Node::Column(column) => Some(*column),
        Node::Rows(inner) => match &inner.from {
            From::Composite { column, .. } => Some(*column),
            _ => None,
        },
        _ => None,
    });
    columns.chain(rows.identity(model))
}

/// A function takes the whole row, so every column counts.
fn whole_row(rows: &Rows, model: &Model) -> bool {
    let of_row =
        |call: &Call| model.functions.get(call.function).is_some_and(|function| function.of.is_some());
    rows.fields.iter().any(|field| match &field.node {
        Node::Call(call) => of_row(call),
        Node::Rows(inner) => matches!(&inner.from, From::Function(call) if of_row(call)),
        _ => false,
    })
}

fn conditioned(entity: &Entity, conditions: &[Condition], columns: &mut BTreeSet<String>) {
    for condition in conditions {
        match condition {
            Condition::And(all) | Condition::Or(all) => conditioned(entity, all, columns),
            Condition::Not(one) => conditioned(entity, std::slice::from_ref(one), columns),
            Condition::Compare(column, ..) | Condition::Null(column, _) => {
                columns.extend(names(entity, std::iter::once(*column)));
            }
            Condition::Exists { on, .. } => columns.extend(names(entity, on.iter().map(|(ours, _)| *ours))),
        }
    }
}
