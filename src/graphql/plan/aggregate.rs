//! Aggregates.

use std::sync::Arc;

use super::planner::{Group, Planner, typename};
use super::{Aggregate, From, Measure, Measured, Node, Operation, PlanError};
use crate::graphql::model::{Entity, EntityId, Field};

impl<'a> Planner<'a> {
    pub(super) fn aggregate(
        &mut self,
        id: EntityId,
        from: From,
        group: &Group<'a>,
        depth: usize,
    ) -> Result<Node, PlanError> {
        self.spend(10)?;
        let entity = self.entity(id)?;
        let Some(first) = group.first() else { return Err(PlanError::Unknown(String::new())) };
        let conditions = self.filter_of(entity, first)?;
        let sets: Vec<_> = group.iter().map(|field| &field.selection_set).collect();
        let mut fields = Vec::new();
        for (key, group) in self.collect(&sets, depth + 1)? {
            let Some(field) = group.first() else { continue };
            let of = |operation| (operation, field.definition.ty.inner_named_type().as_str());
            let measure = match field.name.as_str() {
                "__typename" => Measure::Known(typename(sets.first().map_or("", |set| set.ty.as_str()))),
                "count" => Measure::Count,
                "sum" => self.measured(entity, of(Operation::Sum), &group, depth + 1)?,
                "avg" => self.measured(entity, of(Operation::Avg), &group, depth + 1)?,
                "min" => self.measured(entity, of(Operation::Min), &group, depth + 1)?,
                "max" => self.measured(entity, of(Operation::Max), &group, depth + 1)?,
                other => return Err(PlanError::Unknown(other.to_owned())),
            };
            fields.push((Arc::from(key), measure));
        }
        Ok(Node::Aggregate(Box::new(Aggregate { entity: id, from, conditions, fields })))
    }

    fn measured(
        &mut self,
        entity: &'a Entity,
        (operation, of): (Operation, &str),
        group: &Group<'a>,
        depth: usize,
    ) -> Result<Measure, PlanError> {
        let sets: Vec<_> = group.iter().map(|field| &field.selection_set).collect();
        let mut fields = Vec::new();
        for (key, group) in self.collect(&sets, depth + 1)? {
            let Some(field) = group.first() else { continue };
            let measured = match (field.name.as_str(), entity.fields.get(field.name.as_str())) {
                ("__typename", _) => Measured::Known(typename(of)),
                (_, Some(Field::Column(column))) => Measured::Column(*column),
                (other, _) => return Err(PlanError::Unknown(other.to_owned())),
            };
            fields.push((Arc::from(key), measured));
        }
        Ok(Measure::Of(operation, fields))
    }
}
