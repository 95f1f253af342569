//! What a function's result depends on: what Postgres knows of its body, and what its comment declares.

use super::names::signature;
use super::{Draft, entities};
use crate::graphql::catalog::{Function, Relation, RelationKind, Volatility};
use crate::graphql::model::{ColumnId, Dependency, EntityId, Reads};
use crate::graphql::tags::{Source, TagError, Tags};

/// Never narrower than the truth, if what is declared is true: a declaration adds to what the body shows, one
/// that cannot be followed leaves the function unknown, a pair that cannot be followed leaves the whole table.
pub(super) fn of(draft: &mut Draft<'_>, function: &Function, of: Option<EntityId>, tags: &Tags) -> Reads {
    let declared = declared(draft, function, of, tags);
    let mut dependencies = match declared {
        Err(fault) => {
            let name = signature(draft, function);
            draft.remark(format!("depends_on of {name} is ignored: {fault}"));
            return Reads::Unknown;
        }
        Ok(declared) => declared,
    };
    if tags.faults.iter().any(|fault| matches!(fault, TagError::DependsOn(_))) {
        return Reads::Unknown;
    }
    let body = match &function.reads {
        Some(tables) => tables.as_slice(),
        None if !dependencies.is_empty() => &[],
        None if function.volatility == Volatility::Immutable => return Reads::Nothing,
        None => return Reads::Unknown,
    };
    for relation in body {
        let Some(tables) = entities::tables(draft.catalog, *relation) else { return Reads::Unknown };
        for table in tables {
            if !dependencies.iter().any(|dependency| dependency.table == table) {
                dependencies.push(Dependency { table, on: Vec::new() });
            }
        }
    }
    if dependencies.is_empty() && function.volatility == Volatility::Immutable {
        return Reads::Nothing;
    }
    Reads::Tables(dependencies)
}

fn declared(
    draft: &mut Draft<'_>,
    function: &Function,
    of: Option<EntityId>,
    tags: &Tags,
) -> Result<Vec<Dependency>, String> {
    let mut dependencies = Vec::new();
    for source in &tags.depends_on {
        let relation = find(draft, function, source)?;
        let tables = entities::tables(draft.catalog, relation.oid)
            .ok_or_else(|| format!("what the view {} reads is not known", source.table))?;
        let on = match bound(draft, relation, of, source) {
            Ok(on) => on,
            Err(fault) => {
                let name = signature(draft, function);
                draft.remark(format!("depends_on of {name} counts all rows of {}: {fault}", source.table));
                Vec::new()
            }
        };
        for table in tables {
            let dependency = Dependency { table, on: on.clone() };
            if !dependencies.contains(&dependency) {
                dependencies.push(dependency);
            }
        }
    }
    Ok(dependencies)
}

/// A table without schema is looked for beside the function, then anywhere.
fn find<'a>(draft: &Draft<'a>, function: &Function, source: &Source) -> Result<&'a Relation, String> {
    let named = || {
        let kinds =
            draft.catalog.relations.iter().filter(|relation| relation.kind != RelationKind::CompositeType);
        kinds.filter(|relation| relation.name == source.table)
    };
    let schema = source.schema.as_deref().unwrap_or(&function.schema);
    if let Some(relation) = named().find(|relation| relation.schema == schema) {
        return Ok(relation);
    }
    let mut anywhere = named().filter(|_| source.schema.is_none());
    match (anywhere.next(), anywhere.next()) {
        (Some(relation), None) => Ok(relation),
        (Some(_), Some(_)) => Err(format!("there is more than one {}; write its schema", source.table)),
        (None, _) => Err(format!("there is no {} in the exposed schemas", source.table)),
    }
}

fn bound(
    draft: &Draft<'_>,
    relation: &Relation,
    of: Option<EntityId>,
    source: &Source,
) -> Result<Vec<(String, ColumnId)>, String> {
    if source.on.is_empty() {
        return Ok(Vec::new());
    }
    let row =
        of.and_then(|id| draft.model.entities.get(id)).ok_or("the function takes no row to bind them to")?;
    if relation.kind == RelationKind::View {
        return Err("columns of a view cannot be followed to its tables".to_owned());
    }
    let mut on = Vec::new();
    for (theirs, ours) in &source.on {
        if !relation.columns.iter().any(|column| column.name == *theirs) {
            return Err(format!("it has no column {theirs}"));
        }
        let column = row.columns.iter().position(|column| column.name == *ours);
        on.push((theirs.clone(), column.ok_or_else(|| format!("{} has no column {ours}", row.relation))?));
    }
    Ok(on)
}
