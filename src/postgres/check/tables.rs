//! The relations of the database, and what the log tells of each.

use tokio_postgres::Client;

use crate::postgres::PostgresError;

/// What a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    Unlogged,
    Foreign,
    MaterializedView,
}

/// What tells which row an update or a delete was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The primary key, or a unique index.
    Key,
    /// The whole old row.
    Full,
    /// Nothing: where they are published, Postgres refuses them.
    Nothing,
}

/// A relation, or for a partitioned table all of it.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Quoted and qualified.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) published: bool,
    /// Of a partitioned table, the worst of its partitions'.
    pub(super) identity: Identity,
    /// Some columns are not published, by a list.
    pub(super) column_list: bool,
    /// The condition under which rows are published.
    pub(super) row_filter: bool,
    pub(super) generated_columns: Vec<String>,
}

// Before 18 generated columns are never published, though 15 lists them. A partition is seen as a part of its root, unless it is published by itself. Deferrable keys are no identity
// (Postgres source, RelationGetIndexList).
const TABLES: &str = "with identity(relid, level) as ( \
      select c.oid, case when c.relreplident = 'f' then 1 when exists(select from pg_index i where i.indrelid = c.oid \
          and i.indimmediate and i.indisvalid and case c.relreplident when 'd' then i.indisprimary \
          when 'i' then i.indisreplident else false end) then 0 else 2 end \
      from pg_class c where c.relkind in ('r', 'p')), \
    published as (select format('%I.%I', schemaname, tablename)::regclass::oid as relid, to_jsonb(t) as row \
      from pg_publication_tables t where pubname = $1) \
    select format('%I.%I', n.nspname, c.relname), c.relkind::text, c.relpersistence = 'u', p.relid is not null \
        or c.relkind = 'p' and exists(select from pg_partition_tree(c.oid) t join published on published.relid = t.relid), \
      coalesce((select max(leaf.level) from pg_partition_tree(c.oid) t join identity leaf on leaf.relid = t.relid \
        where c.relkind = 'p' and t.isleaf), own.level, 0)::int, \
      coalesce(not p.row -> 'attnames' @> (select jsonb_agg(a.attname) from pg_attribute a \
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''), false), \
      coalesce(p.row ->> 'rowfilter' is not null, false), \
      array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 \
        and not a.attisdropped and a.attgenerated <> '' \
        and not (current_setting('server_version_num')::int >= 180000 and coalesce(p.row -> 'attnames' ? a.attname, false)) \
        order by a.attnum) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace left join published p on p.relid = c.oid \
      left join identity own on own.relid = c.oid \
    where c.relkind in ('r', 'p', 'f', 'm') and c.relpersistence <> 't' \
      and (not c.relispartition or p.relid is not null and not exists(select from pg_partition_ancestors(c.oid) a \
        join published q on q.relid = a.relid and a.relid <> c.oid)) \
      and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_' order by 1";

pub(super) async fn tables(client: &Client, publication: &str) -> Result<Vec<Table>, PostgresError> {
    let rows = client.query(TABLES, &[&publication]).await.map_err(PostgresError::Sql)?;
    let table = |row: &tokio_postgres::Row| {
        let (kind, unlogged): (String, bool) = (row.get(1), row.get(2));
        Table {
            name: row.get(0),
            kind: match kind.as_str() {
                "f" => Kind::Foreign,
                "m" => Kind::MaterializedView,
                _ if unlogged => Kind::Unlogged,
                _ => Kind::Table,
            },
            published: row.get(3),
            identity: match row.get::<_, i32>(4) {
                0 => Identity::Key,
                1 => Identity::Full,
                _ => Identity::Nothing,
            },
            column_list: row.get::<_, Option<bool>>(5).unwrap_or_default(),
            row_filter: row.get(6),
            generated_columns: row.get(7),
        }
    };
    Ok(rows.iter().map(table).collect())
}
