//! What a function's result depends on: what Postgres knows of its body, and what its comment declares.

use super::names::signature;
use super::{Draft, sources};
use crate::graphql::catalog::{Function, Oid, Reading, RelationKind};
use crate::graphql::model::{ColumnId, Dependency, EntityId, Reads};
use crate::graphql::tags::{Source, TagError, Tags};

/// Never narrower than the truth, if what is declared is true: a declaration adds to what the body shows, one
/// that cannot be followed leaves the function unknown, a pair that cannot be followed leaves the whole table.
pub(super) fn of(draft: &mut Draft<'_>, function: &Function, of: Option<EntityId>, tags: &Tags) -> Reads {
    let name = signature(draft, function);
    let mut dependencies = match declared(draft, function, of, tags) {
        Err(fault) => {
            draft.remark(format!("depends_on of {name} is ignored: {fault}"));
            return Reads::Unknown(format!("the function {name} cannot be followed: {fault}"));
        }
        Ok(declared) => declared,
    };
    if let Some(fault) = tags.faults.iter().find(|fault| matches!(fault, TagError::DependsOn(_))) {
        return Reads::Unknown(format!("the function {name} cannot be followed: {fault}"));
    }
    // A declaration stands for all that Postgres does not know of.
    let known = Reading { tables: function.reads.tables.clone(), ..Reading::default() };
    let body = if tags.depends_on.is_some() { &known } else { &function.reads };
    // Its own fault names the function itself.
    let of_itself = body.calls.contains(&function.oid);
    let whole = |fault: String| {
        if of_itself {
            fault.trim_start_matches("calls ").to_owned()
        } else {
            format!("the function {name} {fault}")
        }
    };
    match sources::tables(draft.catalog, draft.names, body) {
        Err(fault) => return Reads::Unknown(whole(fault)),
        Ok(tables) => {
            for table in tables {
                if !dependencies.iter().any(|dependency| dependency.table == table) {
                    dependencies.push(Dependency { table, on: Vec::new() });
                }
            }
        }
    }
    if dependencies.is_empty() { Reads::Nothing } else { Reads::Tables(dependencies) }
}

fn declared(
    draft: &mut Draft<'_>,
    function: &Function,
    of: Option<EntityId>,
    tags: &Tags,
) -> Result<Vec<Dependency>, String> {
    let mut dependencies = Vec::new();
    for source in tags.depends_on.iter().flatten() {
        let found = sources::find(draft.catalog, &function.schema, source)?;
        let tables = sources::behind(draft.catalog, draft.names, found.oid)
            .map_err(|fault| format!("what the view {} reads is not known: it {fault}", source.table))?;
        let on = match bound(draft, found.oid, of, source) {
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

fn bound(
    draft: &Draft<'_>,
    relation: Oid,
    of: Option<EntityId>,
    source: &Source,
) -> Result<Vec<(String, ColumnId)>, String> {
    if source.on.is_empty() {
        return Ok(Vec::new());
    }
    let row =
        of.and_then(|id| draft.model.entities.get(id)).ok_or("the function takes no row to bind them to")?;
    let view = |kind| kind == RelationKind::View;
    if draft.catalog.relations.iter().any(|one| one.oid == relation && view(one.kind)) {
        return Err("columns of a view cannot be followed to its tables".to_owned());
    }
    let table = draft.catalog.sources.iter().find(|source| source.oid == relation);
    let mut on = Vec::new();
    for (theirs, ours) in &source.on {
        if !table.is_some_and(|table| table.columns.contains(theirs)) {
            return Err(format!("it has no column {theirs}"));
        }
        let column = row.columns.iter().position(|column| column.name == *ours);
        on.push((theirs.clone(), column.ok_or_else(|| format!("{} has no column {ours}", row.relation))?));
    }
    Ok(on)
}
