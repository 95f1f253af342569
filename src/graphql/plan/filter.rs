//! Filters: input objects to conditions.

use super::input::Input;
use super::planner::Planner;
use super::{Comparison, Condition, PlanError, Take};
use crate::graphql::model::{ColumnId, Entity, Field, Relationship, Shape};

impl<'a> Planner<'a> {
    /// What a filter asks for; all of it must hold.
    pub(super) fn filter(
        &mut self,
        entity: &'a Entity,
        input: Input<'a>,
    ) -> Result<Vec<Condition>, PlanError> {
        let mut conditions = Vec::new();
        for (name, value) in self.fields(input) {
            // A part that is null asks for nothing, as one that is left out.
            if self.null(value) {
                continue;
            }
            self.spend(1)?;
            match (name, entity.fields.get(name)) {
                (_, Some(Field::Column(column))) => self.column(entity, *column, value, &mut conditions)?,
                (_, Some(Field::One(relation) | Field::Many(relation))) => {
                    conditions.push(self.exists(relation, value)?);
                }
                ("and", _) => conditions.extend(self.each(entity, value)?),
                ("or", _) => conditions.push(Condition::Or(self.each(entity, value)?)),
                ("not", _) => {
                    let inner = self.filter(entity, value)?;
                    conditions.push(Condition::Not(Box::new(Condition::And(inner))));
                }
                _ => return Err(PlanError::Unknown(name.to_owned())),
            }
        }
        Ok(conditions)
    }

    fn each(&mut self, entity: &'a Entity, input: Input<'a>) -> Result<Vec<Condition>, PlanError> {
        let mut all = Vec::new();
        for one in self.items(input) {
            self.spend(1)?;
            all.push(Condition::And(self.filter(entity, one)?));
        }
        Ok(all)
    }

    fn exists(&mut self, relation: &'a Relationship, input: Input<'a>) -> Result<Condition, PlanError> {
        self.spend(10)?;
        let target = self.entity(relation.target)?;
        let condition = Box::new(Condition::And(self.filter(target, input)?));
        Ok(Condition::Exists { target: relation.target, on: relation.on.clone(), condition })
    }

    fn column(
        &mut self,
        entity: &'a Entity,
        column: ColumnId,
        input: Input<'a>,
        conditions: &mut Vec<Condition>,
    ) -> Result<(), PlanError> {
        let unknown = |name: &str| PlanError::Unknown(name.to_owned());
        let value = &entity.columns.get(column).ok_or_else(|| unknown("column"))?.value;
        for (operator, input) in self.fields(input) {
            self.spend(1)?;
            if self.null(input) {
                return Err(PlanError::Null { operator: operator.to_owned() });
            }
            if operator == "is" {
                let is = self.resolve(input).and_then(Input::word);
                conditions.push(Condition::Null(column, is == Some("NULL")));
                continue;
            }
            let take = || Take::Value(value.clone());
            let (comparison, take) = match (operator, &value.shape) {
                ("eq", _) => (Comparison::Eq, take()),
                ("neq", _) => (Comparison::Neq, take()),
                ("gt", _) => (Comparison::Gt, take()),
                ("gte", _) => (Comparison::Gte, take()),
                ("lt", _) => (Comparison::Lt, take()),
                ("lte", _) => (Comparison::Lte, take()),
                ("in", _) => (Comparison::In, Take::Any(value.clone())),
                ("contains", Shape::List(_)) => (Comparison::Contains, take()),
                ("like", _) => (Comparison::Like, Take::Pattern),
                ("ilike", _) => (Comparison::Ilike, Take::Pattern),
                ("startsWith", _) => (Comparison::StartsWith, Take::Pattern),
                ("regex", _) => (Comparison::Regex, Take::Pattern),
                _ => return Err(unknown(operator)),
            };
            conditions.push(Condition::Compare(column, comparison, self.operand(input, take)?));
        }
        Ok(())
    }
}
