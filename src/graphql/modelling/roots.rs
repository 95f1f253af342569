//! Fields of `Query` that begin at a relation.

use std::collections::HashSet;

use super::Draft;
use crate::graphql::model::{ColumnId, Entity, EntityId, Field, RootField, Shape};
use crate::graphql::naming::{self, capitalised};

pub(super) fn add_rows(draft: &mut Draft<'_>) {
    let ids: Vec<_> = selectable(draft);
    for id in &ids {
        let Some(entity) = draft.model.entities.get(*id) else { continue };
        let given = |column: &ColumnId| {
            entity.columns.get(*column).is_some_and(|column| is_input(&column.value.shape))
        };
        let askable = !entity.key.is_empty() && entity.key.iter().all(given);
        if askable && arguments(entity, &entity.key).is_some() {
            let field = RootField::ByKey(*id, entity.key.clone());
            let wanted = naming::one(&entity.name);
            add(draft, *id, wanted, field);
        }
    }
    for id in &ids {
        let Some(entity) = draft.model.entities.get(*id) else { continue };
        let wanted = naming::list(&entity.name);
        add(draft, *id, wanted, RootField::List(*id));
    }
    for id in &ids {
        for key in unique_keys(draft, *id) {
            let Some(entity) = draft.model.entities.get(*id) else { continue };
            let Some(arguments) = arguments(entity, &key) else { continue };
            let columns = arguments.iter().map(|name| capitalised(name)).collect::<Vec<_>>().join("And");
            let wanted = format!("{}By{columns}", naming::one(&entity.name));
            add(draft, *id, wanted, RootField::ByKey(*id, key));
        }
    }
}

pub(super) fn add_aggregates(draft: &mut Draft<'_>) {
    let lists: Vec<_> = draft
        .model
        .query
        .iter()
        .filter_map(|(name, field)| match field {
            RootField::List(id) => Some((*id, format!("{name}Aggregate"))),
            _ => None,
        })
        .collect();
    for (id, wanted) in lists {
        add(draft, id, wanted, RootField::Aggregate(id));
    }
}

fn selectable(draft: &Draft<'_>) -> Vec<EntityId> {
    let entities = draft.model.entities.iter().enumerate();
    entities.filter(|(_, entity)| entity.selectable).map(|(id, _)| id).collect()
}

fn add(draft: &mut Draft<'_>, id: EntityId, wanted: String, field: RootField) {
    let what = draft.relations.get(id).map(|relation| format!("{}.{}", relation.schema, relation.name));
    let name = draft.claim_query(&[wanted], &what.unwrap_or_default());
    draft.model.query.insert(name, field);
}

/// The fields that a key's columns are, in its order; `None` where one of them is hidden.
fn arguments<'a>(entity: &'a Entity, key: &[ColumnId]) -> Option<Vec<&'a str>> {
    key.iter().map(|column| entity.field_of(*column)).collect()
}

/// Keys besides the primary one, each set of columns once.
fn unique_keys(draft: &Draft<'_>, id: EntityId) -> Vec<Vec<ColumnId>> {
    let (Some(entity), Some(relation)) = (draft.model.entities.get(id), draft.relations.get(id)) else {
        return Vec::new();
    };
    let set = |key: &[ColumnId]| {
        let mut sorted = key.to_vec();
        sorted.sort_unstable();
        sorted
    };
    let mut seen = HashSet::from([set(&entity.key)]);
    let keys = relation.unique_keys.iter().filter_map(|key| super::key(entity, key));
    keys.filter(|key| !key.is_empty() && key.iter().all(|column| is_askable(entity, *column)))
        .filter(|key| seen.insert(set(key)))
        .collect()
}

/// A value of this column can be an argument and be compared.
fn is_askable(entity: &Entity, column: ColumnId) -> bool {
    entity.columns.get(column).is_some_and(|column| column.value.comparable && is_input(&column.value.shape))
}

/// Values of this shape can be given to a field.
pub(super) fn is_input(shape: &Shape) -> bool {
    match shape {
        Shape::Scalar(_) | Shape::Enum(_) => true,
        Shape::List(element) => is_input(&element.shape),
        Shape::Composite(_) => false,
    }
}

impl Entity {
    /// The field that a column is; `None` for a hidden one.
    #[must_use]
    pub fn field_of(&self, column: ColumnId) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(_, field)| **field == Field::Column(column)).map(|(name, _)| name.as_str())
    }
}
