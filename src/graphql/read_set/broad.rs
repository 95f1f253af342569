//! Which tables a plan reads at all, whatever keys it meets.

use std::collections::BTreeSet;

use super::{Extent, Members, Opaque, ReadSet, Watch};
use crate::graphql::catalog::{Oid, RelationKind};
use crate::graphql::model::{EntityId, Model, Reads};
use crate::graphql::plan::{Call, Condition, From, Node, Plan, Rows};

/// What the result of `plan` may depend on when no keys are known, since it did not run or failed: the tables of
/// [`super::read_set`], any row of each. Whatever is in [`ReadSet::opaque`] cannot be followed, so that the
/// result must not be promised to be fresh.
#[must_use]
pub fn broad(model: &Model, plan: &Plan) -> ReadSet {
    let walk = Walk::of(model, plan);
    let watches = walk.tables.union(&walk.guards).map(|table| any(*table)).collect();
    ReadSet { watches, opaque: walk.opaque }
}

/// Any row of a table.
pub(super) fn any(table: Oid) -> Watch {
    Watch {
        table,
        key: Vec::new(),
        rows: BTreeSet::new(),
        columns: None,
        members: Members::default(),
        extent: Extent::Any,
    }
}

/// All that a plan reads.
pub(super) struct Walk<'a> {
    model: &'a Model,
    /// Tables that it reads.
    pub(super) tables: BTreeSet<Oid>,
    /// Tables that decide which rows are seen, of those and of these.
    pub(super) guards: BTreeSet<Oid>,
    pub(super) opaque: BTreeSet<Opaque>,
}

impl<'a> Walk<'a> {
    pub(super) fn of(model: &'a Model, plan: &Plan) -> Self {
        let mut walk =
            Self { model, tables: BTreeSet::new(), guards: BTreeSet::new(), opaque: BTreeSet::new() };
        for root in &plan.roots {
            walk.node(&root.node);
        }
        walk.guard();
        walk
    }

    /// The policies of a table that a policy reads bind there, too.
    fn guard(&mut self) {
        let mut open: Vec<Oid> = self.tables.iter().copied().collect();
        let mut seen = BTreeSet::new();
        while let Some(table) = open.pop() {
            if !seen.insert(table) {
                continue;
            }
            let Some(coverage) = self.model.coverage.get(&table) else {
                self.opaque.insert(Opaque::Unseen {
                    name: format!("a table with the number {table}"),
                    reason: "a table that is read is not in the catalog any more".to_owned(),
                });
                continue;
            };
            if let Err(reason) = &coverage.followed {
                self.opaque.insert(Opaque::Unseen { name: coverage.name.clone(), reason: reason.clone() });
            }
            match &coverage.guards {
                Err(reason) => {
                    self.opaque
                        .insert(Opaque::Policy { name: coverage.name.clone(), reason: reason.clone() });
                }
                Ok(guards) => {
                    self.guards.extend(guards);
                    open.extend(guards);
                }
            }
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Known(_) | Node::Column(_) => {}
            Node::Rows(rows) => self.rows(rows),
            Node::Aggregate(aggregate) => {
                self.entity(aggregate.entity);
                self.from(&aggregate.from);
                self.conditions(&aggregate.conditions);
            }
            Node::Call(call) => self.call(call),
        }
    }

    fn rows(&mut self, rows: &Rows) {
        self.entity(rows.entity);
        self.from(&rows.from);
        self.conditions(&rows.conditions);
        for field in &rows.fields {
            self.node(&field.node);
        }
    }

    fn from(&mut self, from: &From) {
        if let From::Function(call) = from {
            self.call(call);
        }
    }

    fn conditions(&mut self, conditions: &[Condition]) {
        for condition in conditions {
            match condition {
                Condition::And(all) | Condition::Or(all) => self.conditions(all),
                Condition::Not(one) => self.conditions(std::slice::from_ref(one)),
                Condition::Compare(..) | Condition::Null(..) => {}
                Condition::Exists { target, condition, .. } => {
                    self.entity(*target);
                    self.conditions(std::slice::from_ref(condition));
                }
            }
        }
    }

    fn call(&mut self, call: &Call) {
        let Some(function) = self.model.functions.get(call.function) else { return };
        match &function.reads {
            Reads::Nothing => {}
            Reads::Tables(tables) => self.tables.extend(tables.iter().map(|dependency| dependency.table)),
            Reads::Unknown(reason) => {
                let name = format!("{}.{}", function.schema, function.name);
                self.opaque.insert(Opaque::Function { name, reason: reason.clone() });
            }
        }
    }

    fn entity(&mut self, entity: EntityId) {
        let Some(entity) = self.model.entities.get(entity) else { return };
        match (entity.kind, &entity.reads) {
            (RelationKind::CompositeType, _) => {}
            (RelationKind::View, Ok(tables)) => self.tables.extend(tables),
            (RelationKind::View, Err(reason)) => {
                let name = format!("{}.{}", entity.schema, entity.relation);
                self.opaque.insert(Opaque::View { name, reason: reason.clone() });
            }
            (RelationKind::Table | RelationKind::MaterializedView | RelationKind::ForeignTable, _) => {
                self.tables.insert(entity.oid);
            }
        }
    }
}
