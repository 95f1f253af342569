//! Fields of `Subscription`: what is sent to a topic, rows under a name of their own, and the changes of each table.

use super::Draft;
use super::names::of_relation;
use super::roots::is_input;
use crate::graphql::catalog::RelationKind;
use crate::graphql::model::{
    ChangeType, ColumnId, Entity, EntityId, Field, Model, RootField, Shape, SubscriptionField, ValueType,
};
use crate::graphql::naming::Taken;
use crate::graphql::tags::Subscription;

/// The field of what is sent to topics.
const LISTEN: &str = "listen";

const UNOFFERED: &str = "it has no rows that are offered";

pub(super) fn add(draft: &mut Draft<'_>) {
    let mut taken = Taken::default();
    taken.take(LISTEN);
    draft.model.subscription.insert(LISTEN.to_owned(), SubscriptionField::Listen);
    add_named(draft, &mut taken);
    add_changes(draft, &mut taken);
}

fn add_named(draft: &mut Draft<'_>, taken: &mut Taken) {
    for relation in draft.relations.clone() {
        let tags = draft.names.tags(&of_relation(relation), relation.comment.as_deref());
        for subscription in tags.subscriptions {
            let what = format!("the subscription {} of {}", subscription.name, of_relation(relation));
            let found = draft.entities.get(&relation.oid).copied();
            match found.ok_or_else(|| UNOFFERED.to_owned()).and_then(|id| named(draft, id, &subscription)) {
                Ok(field) => {
                    let name = taken.claim(std::slice::from_ref(&subscription.name));
                    draft.remark_name(&what, "Subscription.", &[subscription.name], &name);
                    draft.model.subscription.insert(name, field);
                }
                Err(reason) => draft.remark(format!("{what} is not offered: {reason}")),
            }
        }
    }
}

fn named(draft: &Draft<'_>, id: EntityId, subscription: &Subscription) -> Result<SubscriptionField, String> {
    let entity = draft.model.entities.get(id).ok_or(UNOFFERED)?;
    followed(&draft.model, entity)?;
    let mut columns: Vec<ColumnId> = Vec::new();
    for name in &subscription.columns {
        let found = entity.columns.iter().position(|column| column.name == *name);
        let column = found.ok_or("it names a column that is not there, or that the role may not read")?;
        let askable = entity
            .columns
            .get(column)
            .is_some_and(|column| column.value.comparable && is_input(&column.value.shape));
        if !askable || entity.field_of(column).is_none() {
            return Err("it names a column that no argument can be compared with".to_owned());
        }
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Ok(SubscriptionField::Written(id, subscription.events, columns))
}

fn add_changes(draft: &mut Draft<'_>, taken: &mut Taken) {
    let lists: Vec<_> = draft
        .model
        .query
        .iter()
        .filter_map(|(name, field)| match field {
            RootField::List(id) => Some((name.clone(), *id)),
            _ => None,
        })
        .collect();
    for (wanted, id) in lists {
        let Some(entity) = draft.model.entities.get(id) else { continue };
        if followed(&draft.model, entity).is_err() {
            continue;
        }
        let what = format!("{}.{}", entity.schema, entity.relation);
        let has_old = old(entity).next().is_some();
        let (change, old) = (format!("{}Change", entity.name), format!("{}Old", entity.name));
        let mut name_type = |wanted: String| {
            let name = draft.type_names.claim(std::slice::from_ref(&wanted));
            draft.remark_name(&what, "", &[wanted], &name);
            name
        };
        let name = name_type(change);
        let old = has_old.then(|| name_type(old));
        let wanted = [wanted];
        let field = taken.claim(&wanted);
        draft.remark_name(&what, "Subscription.", &wanted, &field);
        let change = ChangeType { entity: id, name, old };
        draft.model.subscription.insert(field, SubscriptionField::Changes(change));
    }
}

/// Why changes of its rows do not come through the slot.
fn followed(model: &Model, entity: &Entity) -> Result<(), String> {
    if entity.kind != RelationKind::Table {
        return Err("only tables have changes of their own".to_owned());
    }
    let coverage = model.coverage.get(&entity.oid);
    let followed = coverage.map_or(Err("it is not known"), |coverage| match &coverage.followed {
        Ok(_) => Ok(()),
        Err(reason) => Err(reason.as_str()),
    });
    followed.map_err(str::to_owned)
}

/// Columns of which the log tells in old rows, by their fields.
pub(in crate::graphql) fn old(entity: &Entity) -> impl Iterator<Item = (&str, ColumnId)> {
    entity.fields.iter().filter_map(|(name, field)| match field {
        Field::Column(column) if !holds_rows(&entity.columns.get(*column)?.value) => {
            Some((name.as_str(), *column))
        }
        _ => None,
    })
}

/// Rows in rows are not written from the log.
fn holds_rows(value: &ValueType) -> bool {
    match &value.shape {
        Shape::Composite(_) => true,
        Shape::List(item) => holds_rows(item),
        Shape::Scalar(_) | Shape::Enum(_) => false,
    }
}
