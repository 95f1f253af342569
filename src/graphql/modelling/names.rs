//! Remarks on what the database's owner wrote: tags that cannot be followed, settings that name nothing.

use std::collections::HashSet;

use super::Draft;
use crate::graphql::catalog::{Argument, Catalog, Column, ForeignKey, Function, Relation, Type};
use crate::graphql::tags::{Place, Tags};

/// How settings name a relation.
pub(super) fn of_relation(relation: &Relation) -> Place {
    Place::Relation(relation.schema.clone(), relation.name.clone())
}

/// How settings name a type.
pub(super) fn of_type(kind: &Type) -> Place {
    Place::Relation(kind.schema.clone(), kind.name.clone())
}

/// How settings name a column.
pub(super) fn of_column(relation: &Relation, column: &Column) -> Place {
    Place::Column(relation.schema.clone(), relation.name.clone(), column.name.clone())
}

/// How settings name a foreign key.
pub(super) fn of_key(relation: &Relation, key: &ForeignKey) -> Place {
    Place::Column(relation.schema.clone(), relation.name.clone(), key.name.clone())
}

/// How settings name a function.
pub(super) fn of_function(function: &Function) -> Place {
    Place::Function(function.schema.clone(), function.name.clone())
}

/// A function as remarks name it, with what tells overloads apart.
pub(super) fn signature(draft: &Draft<'_>, function: &Function) -> String {
    let kinds: Vec<_> = function
        .arguments
        .iter()
        .map(|Argument { kind, .. }| draft.types.sql(*kind).unwrap_or("?"))
        .collect();
    format!("{}.{}({})", function.schema, function.name, kinds.join(", "))
}

/// Everything that can be named, with its comment.
fn places(catalog: &Catalog) -> Vec<(Place, Option<&str>)> {
    let mut places = Vec::new();
    for relation in &catalog.relations {
        places.push((of_relation(relation), relation.comment.as_deref()));
        for column in &relation.columns {
            places.push((of_column(relation, column), column.comment.as_deref()));
        }
        for key in catalog.foreign_keys.iter().filter(|key| key.relation == relation.oid) {
            places.push((of_key(relation, key), key.comment.as_deref()));
        }
    }
    places.extend(catalog.types.iter().map(|kind| (of_type(kind), kind.comment.as_deref())));
    places.extend(
        catalog.functions.iter().map(|function| (of_function(function), function.comment.as_deref())),
    );
    places
}

pub(super) fn check(draft: &mut Draft<'_>) {
    let places = places(draft.catalog);
    for (place, comment) in &places {
        let Some(comment) = comment else { continue };
        let tags = Tags::parse(comment);
        for fault in tags.faults {
            draft.remark(format!("a tag in the comment on {place} is ignored: {fault}"));
        }
        if tags.depends_on.is_some() && !matches!(place, Place::Function(..)) {
            draft.remark(format!("a tag in the comment on {place} is ignored: depends_on is for functions"));
        }
        if !tags.subscriptions.is_empty() && !matches!(place, Place::Relation(..)) {
            draft.remark(format!("a tag in the comment on {place} is ignored: subscription is for tables"));
        }
    }
    let known: HashSet<_> = places.iter().map(|(place, _)| place).collect();
    let mut unknown: Vec<_> = draft.names.places().filter(|place| !known.contains(place)).collect();
    unknown.sort();
    for place in unknown {
        draft.remark(format!("the settings name {place}, which is not there, or which the role may not use"));
    }
}
