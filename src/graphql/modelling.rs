//! From the catalog to the model: what is offered, and under which names.
//!
//! Everything goes by schema and name, so that the same database always gives the same schema. Names are given
//! in the order columns, foreign keys, keys from elsewhere, functions, aggregates; one that comes to a taken
//! name gets `By..` or a number, and a remark.

mod entities;
pub(super) mod functions;
mod names;
mod reads;
mod relations;
mod roots;
mod sources;
pub(super) mod subscriptions;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{HashMap, HashSet};

use super::catalog::{Catalog, Oid, Relation};
use super::model::{ColumnId, Entity, EntityId, Field, Model};
use super::naming::Taken;
use super::tags::Names;
use types::Types;

/// The model of a catalog.
#[must_use]
pub fn model(catalog: &Catalog, names: &Names) -> Model {
    let mut draft = Draft::new(catalog, names);
    names::check(&mut draft);
    entities::add(&mut draft);
    relations::add(&mut draft);
    roots::add_rows(&mut draft);
    functions::add(&mut draft);
    relations::add_aggregates(&mut draft);
    roots::add_aggregates(&mut draft);
    sources::add(&mut draft);
    subscriptions::add(&mut draft);
    draft.model
}

/// A model that is being made.
struct Draft<'a> {
    catalog: &'a Catalog,
    names: &'a Names,
    types: Types<'a>,
    /// The relation of each entity.
    relations: Vec<&'a Relation>,
    /// Entities by their relation.
    entities: HashMap<Oid, EntityId>,
    /// Names of each entity's fields.
    fields: Vec<Taken>,
    /// Names of `Query`'s fields.
    query: Taken,
    /// Names of types.
    type_names: Taken,
    model: Model,
}

impl<'a> Draft<'a> {
    fn new(catalog: &'a Catalog, names: &'a Names) -> Self {
        let mut types = Types::new(catalog, names);
        let relations = entities::offered(catalog, names, &mut types);
        let entities = relations.iter().enumerate().map(|(id, relation)| (relation.oid, id)).collect();
        Self {
            catalog,
            names,
            types,
            fields: relations.iter().map(|_| Taken::default()).collect(),
            relations,
            entities,
            query: Taken::default(),
            type_names: Taken::default(),
            model: Model::default(),
        }
    }

    fn remark(&mut self, remark: String) {
        self.model.remarks.push(remark);
    }

    /// Gives `field` the first of the names `wanted` that is free in its type. `what` is for the remark.
    fn add_field(&mut self, entity: EntityId, wanted: &[String], field: Field, what: &str) -> Option<String> {
        // Filters have a field for each of these, beside the words of their own.
        let spelled: Vec<_> = wanted
            .iter()
            .map(|name| {
                if ["and", "or", "not"].contains(&name.as_str()) { format!("{name}_") } else { name.clone() }
            })
            .collect();
        let name = self.fields.get_mut(entity)?.claim(&spelled);
        let holder = self.model.entities.get_mut(entity)?;
        let type_name = holder.name.clone();
        holder.fields.insert(name.clone(), field);
        self.remark_name(what, &format!("{type_name}."), wanted, &name);
        Some(name)
    }

    /// The first of the names `wanted` that is free in `Query`.
    fn claim_query(&mut self, wanted: &[String], what: &str) -> String {
        let name = self.query.claim(wanted);
        self.remark_name(what, "Query.", wanted, &name);
        name
    }

    fn remark_name(&mut self, what: &str, of: &str, wanted: &[String], name: &str) {
        if let Some(first) = wanted.first().filter(|first| *first != name) {
            self.remark(format!("{what} is {of}{name}, since {of}{first} is taken"));
        }
    }
}

/// Columns by their numbers; `None` where one of them cannot be read.
fn columns(entity: &Entity, numbers: &[i16]) -> Option<Vec<ColumnId>> {
    numbers.iter().map(|number| entity.columns.iter().position(|column| column.number == *number)).collect()
}

/// The columns of a key. An index may name one twice.
fn key(entity: &Entity, numbers: &[i16]) -> Option<Vec<ColumnId>> {
    let mut seen = HashSet::new();
    Some(columns(entity, numbers)?.into_iter().filter(|column| seen.insert(*column)).collect())
}
