//! Foreign keys as fields, in both directions.

use std::collections::{HashMap, HashSet};

use super::names::of_key;
use super::{Draft, columns};
use crate::graphql::catalog::ForeignKey;
use crate::graphql::model::{ColumnId, EntityId, Field, Relationship};
use crate::graphql::naming::{capitalised, many, one, snake};

/// A foreign key between two entities.
struct Key {
    from: EntityId,
    to: EntityId,
    on: Vec<(ColumnId, ColumnId)>,
    required: bool,
    /// At most one row refers to a row.
    unique: bool,
    constraint: String,
    /// The name that was asked for.
    name: Option<String>,
}

pub(super) fn add(draft: &mut Draft<'_>) {
    let mut sorted: Vec<_> = draft.catalog.foreign_keys.iter().collect();
    sorted.sort_by_key(|key| (draft.entities.get(&key.relation), &key.name));
    let keys: Vec<_> = sorted.into_iter().filter_map(|key| resolve(draft, key)).collect();
    let mut between: HashMap<(EntityId, EntityId), usize> = HashMap::new();
    let mut wide: HashMap<(EntityId, EntityId), usize> = HashMap::new();
    for key in &keys {
        *between.entry((key.from, key.to)).or_default() += 1;
        if key.on.len() > 1 {
            *wide.entry((key.from, key.to)).or_default() += 1;
        }
    }
    let several =
        |counts: &HashMap<_, usize>, key: &Key| counts.get(&(key.from, key.to)).is_some_and(|n| *n > 1);
    let forward: Vec<_> = keys.iter().map(|key| add_forward(draft, key, several(&wide, key))).collect();
    for (key, ending) in keys.iter().zip(forward) {
        let Some(ending) = ending else { continue };
        add_backward(draft, key, several(&between, key) || key.from == key.to, &ending);
    }
}

fn resolve(draft: &Draft<'_>, key: &ForeignKey) -> Option<Key> {
    let from = *draft.entities.get(&key.relation)?;
    let to = *draft.entities.get(&key.target)?;
    let relation = draft.relations.get(from)?;
    let tags = draft.names.tags(&of_key(relation, key), key.comment.as_deref());
    if tags.omit || key.columns.is_empty() || key.columns.len() != key.target_columns.len() {
        return None;
    }
    let entity = draft.model.entities.get(from)?;
    let target = draft.model.entities.get(to)?;
    if !entity.selectable || !target.selectable {
        return None;
    }
    let ours = columns(entity, &key.columns)?;
    let theirs = columns(target, &key.target_columns)?;
    let referring: HashSet<_> = key.columns.iter().collect();
    let mut unique = relation.unique_keys.iter().chain([&relation.primary_key]);
    Some(Key {
        from,
        to,
        required: ours.iter().all(|id| entity.columns.get(*id).is_some_and(|column| column.not_null)),
        on: ours.into_iter().zip(theirs).collect(),
        unique: unique
            .any(|unique| !unique.is_empty() && unique.iter().all(|column| referring.contains(column))),
        constraint: key.name.clone(),
        name: tags.name,
    })
}

/// Adds the field for the row that is referred to, and gives what tells this key from others in the names of
/// fields that go the other way.
fn add_forward(draft: &mut Draft<'_>, key: &Key, several: bool) -> Option<String> {
    let entity = draft.model.entities.get(key.from)?;
    let target = one(&draft.model.entities.get(key.to)?.name);
    let names: Vec<_> = key
        .on
        .iter()
        .filter_map(|(ours, _)| entity.columns.get(*ours))
        .map(|column| snake(&column.name))
        .collect();
    let columns =
        names.iter().map(|name| crate::graphql::naming::type_name(name)).collect::<Vec<_>>().join("And");
    let long = format!("{target}By{columns}");
    let short = match names.as_slice() {
        [name] => name.strip_suffix("_id").filter(|rest| !rest.is_empty()).map(crate::graphql::naming::field),
        _ => (!several).then_some(target),
    };
    let wanted: Vec<_> = match &key.name {
        Some(name) => vec![name.clone()],
        None => short.into_iter().chain([long.clone()]).collect(),
    };
    let what = format!("the foreign key {}", key.constraint);
    let field = Field::One(Relationship {
        target: key.to,
        on: key.on.clone(),
        required: key.required,
        constraint: key.constraint.clone(),
    });
    let name = draft.add_field(key.from, &wanted, field, &what)?;
    Some(if name == long { columns } else { capitalised(&name) })
}

fn add_backward(draft: &mut Draft<'_>, key: &Key, several: bool, ending: &str) {
    let Some(referring) = draft.model.entities.get(key.from) else { return };
    let name = if key.unique { one(&referring.name) } else { many(&referring.name) };
    let long = format!("{name}By{ending}");
    let wanted = if several { vec![long] } else { vec![name, long] };
    let relationship = Relationship {
        target: key.from,
        on: key.on.iter().map(|(ours, theirs)| (*theirs, *ours)).collect(),
        required: false,
        constraint: key.constraint.clone(),
    };
    let field = if key.unique { Field::One(relationship) } else { Field::Many(relationship) };
    draft.add_field(
        key.to,
        &wanted,
        field,
        &format!("the foreign key {}, from the other side,", key.constraint),
    );
}

/// Beside each list its aggregate, after all other fields have their names.
pub(super) fn add_aggregates(draft: &mut Draft<'_>) {
    let lists: Vec<_> = draft
        .model
        .entities
        .iter()
        .enumerate()
        .flat_map(|(id, entity)| {
            entity.fields.iter().filter_map(move |(name, field)| match field {
                Field::Many(relationship) => Some((id, name.clone(), relationship.clone())),
                _ => None,
            })
        })
        .collect();
    for (id, name, relationship) in lists {
        let wanted = [format!("{name}Aggregate")];
        let what = format!("the aggregate of {name}");
        draft.add_field(id, &wanted, Field::Aggregate(relationship), &what);
    }
}
