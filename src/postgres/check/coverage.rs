//! What the publication tells and what it does not, table by table, and what to do about it.

use postgres_protocol::escape::escape_identifier;

use super::Finding;
use super::facts::{Publication, Server};
use super::tables::{Identity, Kind, Table};
use crate::postgres::setup::Source;

/// Names that a line repeats before it counts the others.
const NAMED: usize = 8;

pub(super) fn publication(
    server: &Server,
    publication: Option<&Publication>,
    source: &Source,
    tables: &[Table],
) -> Vec<Finding> {
    let name = escape_identifier(&source.publication);
    let Some(publication) = publication else {
        let create = creation(&name, tables);
        let found = format!("there is no publication {name}");
        return vec![if source.create_publication && server.may_create {
            Finding::ok("publication", format!("{found}; walcast creates it:\n{create}"))
        } else {
            Finding::error("publication", found, format!("as a superuser or the tables' owner:\n{create}"))
        }];
    };
    let count = tables.iter().filter(|table| table.published).count();
    let all = if publication.all_tables { "all tables, which are" } else { "" };
    let found = format!("{name} publishes {all} {count}").replace("  ", " ");
    if count == 0 {
        let advice = format!("ALTER PUBLICATION {name} ADD TABLE ..");
        return vec![Finding::warning(
            "publication",
            format!("{name} publishes no table: no change will ever come"),
            advice,
        )];
    }
    let mut findings = vec![Finding::ok("publication", found)];
    if !publication.left_out.is_empty() {
        findings.push(Finding::warning(
            "operations",
            format!("{name} leaves out: {}", publication.left_out.join(", ")),
            format!("ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')"),
        ));
    }
    let partitioned = !publication.via_root && source.create_publication;
    if partitioned && !publication.all_tables {
        findings.push(Finding::ok("partitions", "changes of partitions are told as the partitions' own"));
    }
    findings
}

/// As [`crate::postgres::setup`] would create it: without tables whose writes would fail.
fn creation(name: &str, tables: &[Table]) -> String {
    let with = "WITH (publish_via_partition_root = true)";
    let own: Vec<&Table> = tables.iter().filter(|table| table.kind == Kind::Table).collect();
    if own.iter().all(|table| table.identity != Identity::Nothing) {
        return format!("CREATE PUBLICATION {name} FOR ALL TABLES {with}");
    }
    let named = own.iter().filter(|table| table.identity != Identity::Nothing);
    let named: Vec<&str> = named.map(|table| table.name.as_str()).collect();
    if named.is_empty() {
        return format!("CREATE PUBLICATION {name} {with}");
    }
    format!("CREATE PUBLICATION {name} FOR TABLE {} {with}", named.join(", "))
}

/// What tells which row changed, and what that costs.
pub(super) fn identities(publication: Option<&Publication>, tables: &[Table]) -> Vec<Finding> {
    let of = |identity| -> Vec<&str> {
        let published = tables.iter().filter(|table| table.published && table.identity == identity);
        published.map(|table| table.name.as_str()).collect()
    };
    let mut findings = Vec::new();
    let (nothing, full, key) = (of(Identity::Nothing), of(Identity::Full), of(Identity::Key));
    if let Some(first) =
        nothing.first().filter(|_| publication.is_some_and(|publication| publication.updates_or_deletes))
    {
        findings.push(Finding::error(
            "identity",
            format!(
                "no replica identity: {}. The application's UPDATEs and DELETEs on them fail",
                some(&nothing)
            ),
            format!("give each a primary key, or ALTER TABLE {first} REPLICA IDENTITY FULL"),
        ));
    }
    if !full.is_empty() {
        findings.push(Finding::ok(
            "identity",
            format!(
                "FULL: {}. Every old value is known; each UPDATE and DELETE writes the whole old row to the log",
                some(&full)
            ),
        ));
    }
    if !key.is_empty() {
        findings.push(Finding::ok(
            "identity",
            format!(
                "key: {}. Costs nothing; old_record holds the key alone, and a row that leaves a filter on another \
                 column is not told",
                some(&key)
            ),
        ));
    }
    findings
}

/// What no change of ever arrives, or not whole.
pub(super) fn unseen(
    publication: Option<&Publication>,
    name: &str,
    server: &Server,
    tables: &[Table],
) -> Vec<Finding> {
    let Some(publication) = publication else { return Vec::new() };
    let publication_name = escape_identifier(name);
    let these = |wanted: &dyn Fn(&Table) -> bool| -> Vec<&str> {
        tables.iter().filter(|table| wanted(table)).map(|table| table.name.as_str()).collect()
    };
    let mut findings = Vec::new();
    let mut tell = |found: &[&str], what: &str, advice: String| {
        if !found.is_empty() {
            findings.push(Finding::warning("unseen", format!("{what}: {}", some(found)), advice));
        }
    };
    let outside = these(&|table| table.kind == Kind::Table && !table.published);
    let first = outside.first().copied().unwrap_or_default();
    tell(
        &outside,
        "not published",
        format!("if they are to be followed: ALTER PUBLICATION {publication_name} ADD TABLE {first}"),
    );
    let unlogged = these(&|table| table.kind == Kind::Unlogged);
    let first = unlogged.first().copied().unwrap_or_default();
    tell(
        &unlogged,
        "unlogged, so that the log knows nothing of them",
        format!("if they are to be followed: ALTER TABLE {first} SET LOGGED"),
    );
    tell(
        &these(&|table| table.kind == Kind::Foreign),
        "foreign tables, whose log is another server's",
        "none here; live queries over them are refused".to_owned(),
    );
    tell(
        &these(&|table| table.kind == Kind::MaterializedView),
        "materialized views, whose refresh is not in the log",
        "follow the tables that they are made of; live queries over them are refused".to_owned(),
    );
    tell(
        &these(&|table| table.published && table.column_list),
        "some columns are not published (a column list)",
        format!(
            "if all are to be followed: ALTER PUBLICATION {publication_name} SET TABLE .., without a list"
        ),
    );
    tell(
        &these(&|table| table.published && table.row_filter),
        "some rows are not published (a row filter)",
        format!(
            "if all are to be followed: ALTER PUBLICATION {publication_name} SET TABLE .., without WHERE"
        ),
    );
    let generated: Vec<String> = tables
        .iter()
        .filter(|table| table.published && table.kind == Kind::Table && !table.column_list)
        .flat_map(|table| {
            table
                .generated_columns
                .iter()
                .map(|column| format!("{}.{}", table.name, escape_identifier(column)))
        })
        .collect();
    let generated: Vec<&str> = generated.iter().map(String::as_str).collect();
    let advice = if server.version < 180_000 {
        "none before PostgreSQL 18, which publishes stored ones; clients have to compute them".to_owned()
    } else if publication.generated {
        "these are virtual; only stored ones can be published".to_owned()
    } else {
        format!("stored ones: ALTER PUBLICATION {publication_name} SET (publish_generated_columns = stored)")
    };
    tell(&generated, "generated columns that are not published", advice);
    findings
}

/// The first few names, and how many more there are.
fn some(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..11).map(|number| format!("t{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(some(&names[..2]), "t0, t1");
        assert_eq!(some(&names), "t0, t1, t2, t3, t4, t5, t6, t7 and 3 more");
    }
}
