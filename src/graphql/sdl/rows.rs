//! Object types of rows, and what filters and orders them.

use super::{Line, Sdl};
use crate::graphql::model::{Column, Entity, Field, Relationship, Shape};

impl Sdl<'_> {
    pub(super) fn object(&mut self, entity: &Entity) {
        let fields: Vec<_> =
            entity.fields.iter().filter_map(|(name, field)| self.field(entity, name, field)).collect();
        self.block("type", &entity.name, entity.description.as_deref(), &fields);
    }

    fn field(&mut self, entity: &Entity, name: &str, field: &Field) -> Option<Line> {
        let target = |relationship: &Relationship| self.model.entities.get(relationship.target);
        Some(match field {
            Field::Column(column) => {
                let column = entity.columns.get(*column)?;
                let value = self.name(&column.value);
                let required = if column.not_null { "!" } else { "" };
                Line::new(format!("{name}: {value}{required}"), column.description.clone())
            }
            Field::One(relationship) => {
                let required = if relationship.required { "!" } else { "" };
                Line::from(format!("{name}: {}{required}", target(relationship)?.name))
            }
            Field::Many(relationship) => {
                let target = target(relationship)?;
                Line::from(format!("{name}({}): [{}!]!", selection(target).join(", "), target.name))
            }
            Field::Aggregate(relationship) => {
                let target = &target(relationship)?.name;
                Line::from(format!("{name}(filter: {target}Filter): {target}Aggregate!"))
            }
            Field::Function(function) => self.function(name, self.model.functions.get(*function)?),
        })
    }

    pub(super) fn inputs(&mut self, entity: &Entity) {
        let mut fields = Vec::new();
        for (name, field) in &entity.fields {
            let filter = match field {
                Field::Column(column) => entity
                    .columns
                    .get(*column)
                    .and_then(|column| self.leaves.filter(self.model, &column.value)),
                Field::One(relationship) | Field::Many(relationship) => self
                    .model
                    .entities
                    .get(relationship.target)
                    .map(|target| format!("{}Filter", target.name)),
                Field::Aggregate(_) | Field::Function(_) => None,
            };
            let description = match field {
                Field::Many(_) => Some("Some of these rows match.".to_owned()),
                _ => None,
            };
            fields.extend(filter.map(|filter| Line::new(format!("{name}: {filter}"), description)));
        }
        let own = format!("{}Filter", entity.name);
        let description = format!("What a row of `{}` must be like: all that is written here.", entity.name);
        fields.push(Line::from(format!("and: [{own}!]")));
        fields.push(Line::from(format!("or: [{own}!]")));
        fields.push(Line::from(format!("not: {own}")));
        self.block("input", &own, Some(&description), &fields);
        let fields: Vec<_> =
            ordered(entity).map(|(name, _)| Line::from(format!("{name}: OrderDirection"))).collect();
        if !fields.is_empty() {
            self.leaves.orders = true;
            let description = "One field in each object; the first object orders first.";
            self.block("input", &format!("{}Order", entity.name), Some(description), &fields);
        }
    }
}

/// The arguments of a list of rows.
pub(super) fn selection(entity: &Entity) -> Vec<String> {
    let mut arguments = vec![format!("filter: {}Filter", entity.name)];
    if ordered(entity).next().is_some() {
        arguments.push(format!("orderBy: [{}Order!]", entity.name));
    }
    arguments.extend(["limit: Int".to_owned(), "offset: Int".to_owned()]);
    arguments
}

/// Columns by which rows can be ordered.
fn ordered(entity: &Entity) -> impl Iterator<Item = (&str, &Column)> {
    shown(entity).filter(|(_, column)| {
        column.value.ordered && matches!(column.value.shape, Shape::Scalar(_) | Shape::Enum(_))
    })
}

/// Columns that are fields.
pub(super) fn shown(entity: &Entity) -> impl Iterator<Item = (&str, &Column)> {
    entity.fields.iter().filter_map(|(name, field)| match field {
        Field::Column(column) => Some((name.as_str(), entity.columns.get(*column)?)),
        _ => None,
    })
}
