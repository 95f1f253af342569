//! Resource identifiers: `Auction:123`, `Query.auctions`, `Query.auction(id:"123")`.
//!
//! They are how servers of live queries in JavaScript name what a result depends on. Here results depend on what their
//! read-sets say; the names serve who wants to look, and who invalidates from outside.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::row::{self, Known, Tuple};
use super::touch::Sides;
use crate::change::Change;
use crate::graphql::catalog::Oid;
use crate::graphql::model::{ColumnId, Entity, EntityId, Field, Model, RootField};
use crate::graphql::plan::{From, Node, Plan};
use crate::graphql::read_set::{ReadSet, Values};
use apollo_compiler::response::JsonMap;

/// Bytes of an identifier.
pub const LONGEST: usize = 1024;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// A row: the object type and the primary key, whose values are joined by commas.
    Row {
        /// The object type.
        name: String,
        /// The key's text.
        key: String,
    },
    /// A field of `Query`, perhaps with an argument, as it stands.
    Root(String),
}

/// A text that is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "a resource identifier is `Type:id`, `Query.field` or `Query.field(argument:\"value\")`, of at most {LONGEST} bytes"
)]
pub struct IdentifierError;

impl FromStr for Identifier {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let named = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
        };
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(IdentifierError);
        }
        if let Some(rest) = text.strip_prefix("Query.") {
            let (field, arguments) = rest.find('(').map_or((rest, ""), |at| rest.split_at(at));
            let closed = arguments.is_empty() || (arguments.ends_with("\")") && arguments.contains(":\""));
            return if named(field) && closed {
                Ok(Self::Root(text.to_owned()))
            } else {
                Err(IdentifierError)
            };
        }
        match text.split_once(':') {
            Some((name, key)) if named(name) && !key.is_empty() => {
                Ok(Self::Row { name: name.to_owned(), key: key.to_owned() })
            }
            _ => Err(IdentifierError),
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row { name, key } => write!(f, "{name}:{key}"),
            Self::Root(text) => f.write_str(text),
        }
    }
}

/// The primary key's columns by name.
pub(super) fn key_columns(entity: &Entity) -> Vec<String> {
    entity
        .key
        .iter()
        .filter_map(|column| entity.columns.get(*column))
        .map(|column| column.name.clone())
        .collect()
}

/// Where a row with this key's text is looked for.
pub(super) fn place(key: &str, columns: usize) -> Option<String> {
    let values: Values = if columns == 1 {
        vec![Some(key.to_owned())]
    } else {
        key.split(',').map(|part| Some(part.to_owned())).collect()
    };
    if values.len() == columns { row::place(&values) } else { None }
}

fn row_name(entity: &Entity, values: &[&str]) -> String {
    format!("{}:{}", entity.name, values.join(","))
}

/// The identifiers of a plan's root fields: with and without the key that was asked for.
#[must_use]
pub fn of_roots(model: &Model, plan: &Plan, variables: &JsonMap) -> Vec<String> {
    let mut out = Vec::new();
    for root in &plan.roots {
        let (field, key) = match &root.node {
            Node::Rows(rows) => match &rows.from {
                From::Key(key) => {
                    let columns: Vec<ColumnId> = key.iter().map(|(column, _)| *column).collect();
                    (RootField::ByKey(rows.entity, columns), Some((rows.entity, key)))
                }
                From::Function(call) => (RootField::Function(call.function), None),
                _ => (RootField::List(rows.entity), None),
            },
            Node::Aggregate(aggregate) => (RootField::Aggregate(aggregate.entity), None),
            Node::Call(call) => (RootField::Function(call.function), None),
            Node::Known(_) | Node::Column(_) => continue,
        };
        let Some(name) = root_name(model, &field) else { continue };
        out.push(format!("Query.{name}"));
        if let Some((entity, key)) = key {
            let values: Option<Vec<(ColumnId, String)>> = key
                .iter()
                .map(|(column, operand)| Some((*column, operand.bind(variables, &model.enums).ok()??)))
                .collect();
            let entity = model.entities.get(entity);
            out.extend(entity.zip(values).and_then(|(entity, values)| with_key(name, entity, &values)));
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

fn root_name<'a>(model: &'a Model, wanted: &RootField) -> Option<&'a str> {
    model.query.iter().find(|(_, field)| *field == wanted).map(|(name, _)| name.as_str())
}

/// `Query.auction(id:"1")`
fn with_key(name: &str, entity: &Entity, values: &[(ColumnId, String)]) -> Option<String> {
    let arguments: Option<Vec<String>> = values
        .iter()
        .map(|(column, value)| {
            let mut fields = entity.fields.iter();
            let field = fields.find(|(_, field)| matches!(field, Field::Column(of) if of == column))?.0;
            Some(format!("{field}:{}", serde_json::Value::from(value.as_str())))
        })
        .collect();
    Some(format!("Query.{name}({})", arguments?.join(",")))
}

/// The identifiers of a result: its root fields, and every row that it read.
#[must_use]
pub fn of_result(model: &Model, roots: &[String], read: &ReadSet) -> Vec<String> {
    let mut out = roots.to_vec();
    let mut rows: Vec<String> = read
        .watches
        .iter()
        .filter_map(|watch| Some((entity(model, watch.table)?.1, &watch.rows)))
        .flat_map(|(entity, rows)| {
            rows.iter().filter_map(|values| {
                let values: Vec<&str> = values.iter().map(Option::as_deref).collect::<Option<_>>()?;
                (!values.is_empty()).then(|| row_name(entity, &values))
            })
        })
        .collect();
    rows.sort_unstable();
    rows.dedup();
    out.append(&mut rows);
    out
}

fn entity(model: &Model, table: Oid) -> Option<(EntityId, &Entity)> {
    model.entities.iter().enumerate().find(|(_, entity)| entity.oid == table)
}

/// The identifiers of a change of `table`: its row, the fields of `Query` that lead to it, and its parents by foreign key,
/// the old ones too where the log knows them.
#[must_use]
pub fn of_change(model: &Model, table: Oid, change: &Change) -> Vec<String> {
    let Some((id, entity)) = entity(model, table) else { return Vec::new() };
    let sides = Sides::of(change, None);
    let mut out: Vec<String> = Vec::new();
    let rows = || sides.after.iter().chain(&sides.before);
    out.extend(rows().filter_map(|row| Some(row_name(entity, &texts(entity, &entity.key, row)?))));
    for (name, field) in &model.query {
        match field {
            RootField::List(of) if *of == id => out.push(format!("Query.{name}")),
            RootField::ByKey(of, columns) if *of == id && *columns == entity.key => {
                out.push(format!("Query.{name}"));
                out.extend(rows().filter_map(|row| {
                    let values = texts(entity, columns, row)?;
                    let pairs = columns.iter().copied().zip(values.into_iter().map(str::to_owned));
                    with_key(name, entity, &pairs.collect::<Vec<_>>())
                }));
            }
            _ => {}
        }
    }
    for field in entity.fields.values() {
        let Field::One(relationship) = field else { continue };
        let Some(parent) = model.entities.get(relationship.target) else { continue };
        let ours: Option<Vec<ColumnId>> = parent
            .key
            .iter()
            .map(|key| relationship.on.iter().find(|(_, theirs)| theirs == key).map(|(ours, _)| *ours))
            .collect();
        let Some(ours) = ours.filter(|ours| !ours.is_empty()) else { continue };
        out.extend(rows().filter_map(|row| Some(row_name(parent, &texts(entity, &ours, row)?))));
    }
    let mut known = std::collections::HashSet::new();
    out.retain(|one| known.insert(one.clone()));
    out
}

/// The texts of some columns, if there are any and all are known.
fn texts<'a>(entity: &Entity, columns: &[ColumnId], row: &Tuple<'a>) -> Option<Vec<&'a str>> {
    if columns.is_empty() {
        return None;
    }
    let text = |column: &ColumnId| match row.get(&entity.columns.get(*column)?.name) {
        Known::Text(text) => Some(text),
        Known::Null | Known::Unknown => None,
    };
    columns.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_read_back_what_they_print() {
        for text in ["Auction:123", "Query.auctions", "Query.auction(id:\"123\")", "Tag:a:b", "_T:x y"] {
            assert_eq!(
                text.parse::<Identifier>().map(|identifier| identifier.to_string()),
                Ok(text.to_owned())
            );
        }
        let long = format!("Auction:{}", "1".repeat(LONGEST));
        for bad in
            ["", "Auction", "Auction:", ":1", "1a:2", "Query.", "Query.a(", "Query.a(id:1)", "a\n:1", &long]
        {
            assert_eq!(bad.parse::<Identifier>(), Err(IdentifierError), "{bad}");
        }
    }
}
