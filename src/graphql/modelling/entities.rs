//! Relations and composite types as object types, with their columns.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use super::names::{of_column, of_relation};
use super::types::{self, Types};
use super::{Draft, sources};
use crate::graphql::catalog::{self, Catalog, Relation, RelationKind};
use crate::graphql::model::{Column, Entity, EntityId, Field};
use crate::graphql::naming;
use crate::graphql::tags::{Names, Tags};

/// The relations that are offered, in order. One without a column to show is not: GraphQL has no empty types.
/// Since a column may be a row of another such relation, they are left out one after the other.
pub(super) fn offered<'a>(catalog: &'a Catalog, names: &Names, types: &mut Types<'a>) -> Vec<&'a Relation> {
    let mut offered: Vec<_> =
        catalog.relations.iter().filter(|relation| !tags_of(names, catalog, relation).omit).collect();
    offered.sort_by_key(|relation| (&relation.schema, &relation.name, relation.oid));
    loop {
        types.rows = offered.iter().enumerate().map(|(id, relation)| (relation.oid, id)).collect();
        let before = offered.len();
        offered.retain(|relation| {
            relation.columns.iter().any(|column| {
                !names.tags(&of_column(relation, column), column.comment.as_deref()).omit
                    && types.value(column.kind).is_some()
            })
        });
        if offered.len() == before {
            return offered;
        }
    }
}

/// A composite type's comment may be with the type.
fn tags_of(names: &Names, catalog: &Catalog, relation: &Relation) -> Tags {
    let of_type = || catalog.types.iter().find(|kind| kind.oid == relation.row_type)?.comment.as_deref();
    names.tags(&of_relation(relation), relation.comment.as_deref().or_else(of_type))
}

pub(super) fn add(draft: &mut Draft<'_>) {
    types::reserve(&mut draft.type_names);
    let named: Vec<_> =
        draft.relations.iter().map(|relation| tags_of(draft.names, draft.catalog, relation)).collect();
    let wanted = wanted(&draft.relations, &named);
    // Names that were asked for come before those that were made.
    let mut names = vec![None; named.len()];
    for asked in [true, false] {
        for id in
            (0..named.len()).filter(|id| named.get(*id).is_some_and(|tags| tags.name.is_some() == asked))
        {
            let name = wanted.get(id).and_then(|wanted| type_name(draft, id, wanted));
            if let Some(slot) = names.get_mut(id) {
                *slot = name;
            }
        }
    }
    types::add(draft);
    for ((relation, name), tags) in draft.relations.clone().into_iter().zip(names).zip(named) {
        let Some(name) = name else { continue };
        add_entity(draft, relation, name, tags.description);
    }
    for relation in &draft.catalog.relations {
        let omitted = || tags_of(draft.names, draft.catalog, relation).omit;
        if !draft.entities.contains_key(&relation.oid) && !omitted() {
            let remark =
                format!("{}.{} has no column to show and is left out", relation.schema, relation.name);
            draft.model.remarks.push(remark);
        }
    }
}

fn is_selectable(relation: &Relation) -> bool {
    relation.kind != RelationKind::CompositeType
}

/// Names for the types of these relations, the best first. One with a namesake in another schema may have its
/// schema's name in front.
fn wanted(relations: &[&Relation], tags: &[Tags]) -> Vec<Vec<String>> {
    let made: Vec<_> = relations
        .iter()
        .zip(tags)
        .map(|(relation, tags)| match &tags.name {
            Some(name) => naming::capitalised(name),
            None if is_selectable(relation) => naming::row_type(&relation.name),
            None => naming::type_name(&relation.name),
        })
        .collect();
    let mut schemas: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (relation, name) in relations.iter().zip(&made) {
        schemas.entry(name).or_default().insert(&relation.schema);
    }
    let wanted = relations.iter().zip(&made).map(|(relation, name)| {
        let namesakes = schemas.get(name.as_str()).is_some_and(|schemas| schemas.len() > 1);
        let long = namesakes.then(|| naming::type_name(&format!("{} {name}", relation.schema)));
        [name.clone()].into_iter().chain(long).collect()
    });
    wanted.collect()
}

fn type_name(draft: &mut Draft<'_>, id: EntityId, wanted: &[String]) -> Option<String> {
    let relation = *draft.relations.get(id)?;
    let suffixes: &[&str] = if is_selectable(relation) {
        &["", "Filter", "Order", "Aggregate", "Sum", "Avg", "Min", "Max"]
    } else {
        &[""]
    };
    let all = |name: &str| suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect();
    let name = draft.type_names.claim_with(wanted, all);
    draft.remark_name(&format!("{}.{}", relation.schema, relation.name), "", wanted, &name);
    Some(name)
}

fn add_entity(draft: &mut Draft<'_>, relation: &Relation, name: String, description: Option<String>) {
    let identifying = identifying(draft.catalog, relation);
    let reads = sources::tables(draft.catalog, draft.names, &relation.reads)
        .map_err(|fault| format!("the view {}.{} {fault}", relation.schema, relation.name));
    let mut entity = Entity {
        name,
        description,
        oid: relation.oid,
        schema: relation.schema.clone(),
        relation: relation.name.clone(),
        kind: relation.kind,
        row_security: relation.row_security,
        selectable: is_selectable(relation),
        columns: Vec::new(),
        key: Vec::new(),
        fields: IndexMap::new(),
        reads,
    };
    let mut shown = Vec::new();
    for column in &relation.columns {
        let tags = draft.names.tags(&of_column(relation, column), column.comment.as_deref());
        let value = if identifying.contains(&column.number) || draft.types.is_id(&column.name, column.kind) {
            draft.types.id(column.kind)
        } else {
            draft.types.value(column.kind)
        };
        if let Some(name) = shown_as(&tags, column).filter(|_| value.is_some()) {
            shown.push((entity.columns.len(), name, column));
        }
        entity.columns.push(Column {
            number: column.number,
            name: column.name.clone(),
            value: value.unwrap_or_else(|| draft.types.hidden(column.kind)),
            not_null: column.not_null && is_selectable(relation),
            description: tags.description,
        });
    }
    entity.key = super::key(&entity, &relation.primary_key).unwrap_or_default();
    let id = draft.model.entities.len();
    draft.model.types.insert(entity.name.clone(), id);
    draft.model.entities.push(entity);
    for (place, name, column) in shown {
        let what = of_column(relation, column).to_string();
        draft.add_field(id, &[name], Field::Column(place), &what);
    }
}

fn shown_as(tags: &Tags, column: &catalog::Column) -> Option<String> {
    (!tags.omit).then(|| tags.name.clone().unwrap_or_else(|| naming::field(&column.name)))
}

/// Columns that identify a row, here or elsewhere.
fn identifying(catalog: &Catalog, relation: &Relation) -> HashSet<i16> {
    let keys = catalog.foreign_keys.iter().filter(|key| key.relation == relation.oid);
    relation.primary_key.iter().chain(keys.flat_map(|key| &key.columns)).copied().collect()
}
