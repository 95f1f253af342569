//! The tables that are read: what stands behind views, functions and policies, and what the slot shows of it.

use std::collections::{HashMap, HashSet};

use super::Draft;
use crate::graphql::catalog::{Called, Catalog, Oid, Publication, Reading, RelationKind, Source, SourceKind};
use crate::graphql::model::Coverage;
use crate::graphql::tags::{self, Names, Place};

/// What [`Coverage`] says of every table that may be read.
pub(super) fn add(draft: &mut Draft<'_>) {
    let (catalog, names) = (draft.catalog, draft.names);
    let sources: HashMap<_, _> = catalog.sources.iter().map(|source| (source.oid, source)).collect();
    let coverage = catalog.sources.iter().map(|source| {
        let followed = followed(source, &sources, catalog.publication.as_ref());
        let guards = tables(catalog, names, &source.policies)
            .map_err(|fault| format!("a row-security policy of {} {fault}", name(source)));
        (source.oid, Coverage { name: name(source), followed, secured: source.secured, guards })
    });
    draft.model.coverage = coverage.collect();
}

fn name(source: &Source) -> String {
    format!("{}.{}", source.schema, source.name)
}

/// The relations under which all changes of a table come.
///
/// A column list takes nothing from this: a change to a column outside of it still comes as an update of its row
/// (PostgreSQL manual, 29.5), and who misses a column in what came takes it for unknown.
fn followed(
    source: &Source,
    sources: &HashMap<Oid, &Source>,
    publication: Option<&Publication>,
) -> Result<Vec<Oid>, String> {
    let parts = source.heirs.iter().filter_map(|heir| sources.get(heir).copied());
    for part in std::iter::once(source).chain(parts.clone()) {
        reaches_the_log(part).map_err(|fault| {
            if part.oid == source.oid {
                format!("{} {fault}", name(source))
            } else {
                format!("{} reads {}, which {fault}", name(source), name(part))
            }
        })?;
    }
    let publication = publication.ok_or_else(|| {
        format!("{} cannot be followed: the publication that walcast reads is not there", name(source))
    })?;
    if !publication.lacks.is_empty() {
        return Err(format!(
            "{} cannot be followed: the publication does not publish {}; run ALTER PUBLICATION {} SET (publish = \
             'insert, update, delete, truncate')",
            name(source),
            publication.lacks.join(" and "),
            publication.sql
        ));
    }
    let mut relations = vec![source.oid];
    for part in std::iter::once(source).chain(parts) {
        // A partitioned table has no rows of its own.
        if part.kind == SourceKind::Partitioned {
            continue;
        }
        // Adding a partitioned table adds its partitions, those to come too.
        let whole = if source.kind == SourceKind::Partitioned && part.partition { source } else { part };
        let published = part.published.ok_or_else(|| {
            format!(
                "{} is not in the publication; run ALTER PUBLICATION {} ADD TABLE {}",
                name(part),
                publication.sql,
                whole.sql
            )
        })?;
        if part.filtered {
            let table = sources.get(&published).map_or(&part.sql, |root| &root.sql);
            return Err(format!(
                "the publication leaves out rows of {} by a filter; run ALTER PUBLICATION {} DROP TABLE {table}, then \
                 ALTER PUBLICATION {} ADD TABLE {table}",
                name(part),
                publication.sql,
                publication.sql,
            ));
        }
        if !relations.contains(&published) {
            relations.push(published);
        }
    }
    Ok(relations)
}

fn reaches_the_log(source: &Source) -> Result<(), String> {
    match source.kind {
        SourceKind::MaterializedView => {
            Err("is a materialized view, whose refreshes are not replicated; ask a view instead".to_owned())
        }
        SourceKind::ForeignTable => {
            Err("is a foreign table, whose changes happen on another server".to_owned())
        }
        SourceKind::Sequence => Err("is a sequence, whose changes are not replicated".to_owned()),
        SourceKind::Table | SourceKind::Partitioned if !source.logged => Err(format!(
            "is unlogged, so that its changes are not replicated; run ALTER TABLE {} SET LOGGED",
            source.sql
        )),
        SourceKind::Table | SourceKind::Partitioned => source.loose.as_ref().map_or(Ok(()), |column| {
            Err(format!(
                "cannot be followed: the collation of {column} is not deterministic, so that only Postgres knows which \
                 texts are equal"
            ))
        }),
    }
}

/// The tables behind a reading; or why that is not known, as the end of a sentence.
pub(super) fn tables(catalog: &Catalog, names: &Names, reading: &Reading) -> Result<Vec<Oid>, String> {
    let mut found = Found { catalog, names, seen: HashSet::new(), tables: Vec::new() };
    found.reading(reading)?;
    Ok(found.tables)
}

/// The tables behind a relation.
pub(super) fn behind(catalog: &Catalog, names: &Names, relation: Oid) -> Result<Vec<Oid>, String> {
    tables(catalog, names, &Reading { tables: vec![relation], ..Reading::default() })
}

/// What can be named in a `depends_on`.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) oid: Oid,
    schema: &'a str,
}

/// A table without schema is looked for beside the function, then anywhere.
pub(super) fn find<'a>(
    catalog: &'a Catalog,
    function_schema: &str,
    source: &tags::Source,
) -> Result<Named<'a>, String> {
    let relations = catalog.relations.iter().filter(|one| one.kind != RelationKind::CompositeType);
    let relations = relations.map(|one| (one.oid, &one.schema, &one.name));
    let sources = catalog.sources.iter().map(|one| (one.oid, &one.schema, &one.name));
    let mut named: Vec<Named<'a>> = Vec::new();
    for (oid, schema, name) in relations.chain(sources) {
        if *name == source.table && named.iter().all(|known| known.oid != oid) {
            named.push(Named { oid, schema });
        }
    }
    let schema = source.schema.as_deref().unwrap_or(function_schema);
    if let Some(found) = named.iter().find(|one| one.schema == schema) {
        return Ok(*found);
    }
    match named.as_slice() {
        [one] if source.schema.is_none() => Ok(*one),
        [_, ..] if source.schema.is_none() => {
            Err(format!("there is more than one {}; write its schema", source.table))
        }
        _ => Err(format!("there is no {}", source.table)),
    }
}

/// What was found so far.
struct Found<'a> {
    catalog: &'a Catalog,
    names: &'a Names,
    /// Views and functions, since a function may declare a view that calls it.
    seen: HashSet<Oid>,
    tables: Vec<Oid>,
}

impl Found<'_> {
    fn reading(&mut self, reading: &Reading) -> Result<(), String> {
        if reading.more {
            return Err(
                "depends on what no table holds: the clock, chance, the session or Postgres' own catalog"
                    .to_owned(),
            );
        }
        for table in &reading.tables {
            self.relation(*table)?;
        }
        for call in &reading.calls {
            let called = self.catalog.called.iter().find(|called| called.oid == *call);
            self.called(called.ok_or("calls a function that is not there any more")?)?;
        }
        Ok(())
    }

    fn relation(&mut self, oid: Oid) -> Result<(), String> {
        let views = |kind| kind == RelationKind::View;
        match self.catalog.relations.iter().find(|relation| relation.oid == oid && views(relation.kind)) {
            Some(view) if self.seen.insert(oid) => self.reading(&view.reads),
            Some(_) => Ok(()),
            None => {
                if !self.tables.contains(&oid) {
                    self.tables.push(oid);
                }
                Ok(())
            }
        }
    }

    fn called(&mut self, called: &Called) -> Result<(), String> {
        if !self.seen.insert(called.oid) {
            return Ok(());
        }
        let place = Place::Function(called.schema.clone(), called.name.clone());
        let tags = self.names.tags(&place, called.comment.as_deref());
        if let Some(fault) = tags.faults.iter().find(|fault| matches!(fault, tags::TagError::DependsOn(_))) {
            return Err(format!("calls the function {}, in whose comment {fault}", called.sql));
        }
        let declared = tags.depends_on.ok_or_else(|| format!("calls {}", undeclared(&called.sql)))?;
        for source in &declared {
            let found = find(self.catalog, &called.schema, source)
                .map_err(|fault| format!("calls the function {}, in whose comment {fault}", called.sql))?;
            self.relation(found.oid)?;
        }
        Ok(())
    }
}

/// That a function does not say what it reads, and how it could.
pub(super) fn undeclared(function: &str) -> String {
    format!(
        "the function {function}, of which it is not known what it reads; say it: COMMENT ON FUNCTION {function} IS \
         '@walcast depends_on some_table, other_table', or '@walcast depends_on nothing'"
    )
}
