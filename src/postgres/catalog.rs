//! What the catalog says of tables: does it exist, is it published, which columns.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::PostgresError;

/// A table as a join needs to know it.
#[derive(Clone, Debug)]
pub struct Table {
    /// `pg_class.relkind`.
    pub kind: char,
    /// Changes under this name reach the publication.
    pub published: bool,
    /// The published partitioned root that this partition's changes are told under, if so.
    pub told_as: Option<String>,
    /// For a partitioned table that is published partition by partition.
    pub by_partitions: bool,
    /// `REPLICA IDENTITY FULL`.
    pub full: bool,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// The database's encoding (PostgreSQL manual, 24.3.1), in whose bytes texts have their order under COLLATE "C".
    pub encoding: String,
}

/// A column as a filter needs to know it.
#[derive(Clone, Debug)]
pub struct Column {
    /// Column name.
    pub name: String,
    /// Part of the replica identity.
    pub key: bool,
    /// Left out by the publication's column list when false.
    pub published: bool,
    /// `typname` of the type, or of the type a domain is over.
    pub type_name: String,
    /// That type as SQL may name it.
    pub sql_type: String,
    /// That type's OID.
    pub type_oid: u32,
    /// What decides whether two of its values are equal.
    pub equality: Equality,
    /// A row type, which is also null if all its attributes are (PostgreSQL manual, 9.2).
    pub composite: bool,
}

impl Column {
    /// Whether its values are texts, which patterns match and collations order.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.equality != Equality::Foreign
            && matches!(self.type_name.as_str(), "text" | "varchar" | "bpchar" | "name")
    }
}

/// What decides whether two values of a column are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equality {
    /// A type of Postgres' own.
    BuiltIn,
    /// The labels of an enum.
    Enum,
    /// A nondeterministic collation, which calls texts equal that differ in their bytes (PostgreSQL
    /// manual, 23.2.2.4).
    Collation,
    /// A type of somebody's own, which may be called `money` and compare in its own way.
    Foreign,
}

// Names are joined, and not cast to regclass, which a role without a right to their schemas may not.
const TABLE: &str = "select c.oid, c.relkind::text, c.relreplident::text, \
    exists(select from pg_publication_tables where pubname = $3 and schemaname = $1 and tablename = $2), \
    (select format('%I.%I', pt.schemaname, pt.tablename) from pg_partition_ancestors(c.oid) a \
       join pg_class ac on ac.oid = a.relid and ac.oid <> c.oid join pg_namespace an on an.oid = ac.relnamespace \
       join pg_publication_tables pt on pt.schemaname = an.nspname and pt.tablename = ac.relname \
       where pt.pubname = $3 limit 1), \
    c.relkind = 'p' and exists(select from pg_partition_tree(c.oid) l \
       join pg_class lc on lc.oid = l.relid and lc.oid <> c.oid join pg_namespace ln on ln.oid = lc.relnamespace \
       join pg_publication_tables pt on pt.schemaname = ln.nspname and pt.tablename = lc.relname \
       where pt.pubname = $3), \
    current_setting('server_encoding') \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')";

// A domain may be over a domain; its columns compare as the type at the end. OIDs of objects that are not
// Postgres' own begin at 10000 (`FirstGenbkiObjectId` of access/transam.h).
const COLUMNS: &str = "with recursive base(attnum, oid) as ( \
      select attnum, atttypid from pg_attribute where attrelid = $1 and attnum > 0 and not attisdropped \
      union all \
      select b.attnum, t.typbasetype from base b join pg_type t on t.oid = b.oid where t.typtype = 'd') \
    select a.attname::text, \
      coalesce((select a.attnum = any(i.indkey) from pg_index i where i.indrelid = a.attrelid and \
        case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end limit 1), false), \
      t.typname::text, format('%I.%I', tn.nspname, t.typname), t.oid, \
      case when exists(select from pg_collation l where l.oid = a.attcollation and not l.collisdeterministic) \
          then 'c' when t.typtype = 'e' then 'e' when t.oid < 10000 then 'b' else 'f' end, t.typtype = 'c' \
    from pg_attribute a join pg_class c on c.oid = a.attrelid \
      join base b on b.attnum = a.attnum join pg_type t on t.oid = b.oid and t.typtype <> 'd' \
      join pg_namespace tn on tn.oid = t.typnamespace \
    where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum";

/// Column lists exist since 15; before, the view has no such column.
const PUBLISHED_COLUMNS: &str = "select coalesce(array_agg(distinct a), '{}') from pg_publication_tables p, \
    jsonb_array_elements_text(coalesce(to_jsonb(p) -> 'attnames', '[]')) a where pubname = $3 and schemaname = $1 and tablename = $2";

/// Whether a schema exists.
///
/// # Errors
/// When the session breaks.
pub async fn schema_exists(client: &Client, schema: &str) -> Result<bool, PostgresError> {
    let row =
        client.query_one("select exists(select from pg_namespace where nspname = $1)", &[&schema]).await;
    Ok(row.map_err(PostgresError::Sql)?.get(0))
}

/// Describes one table under one publication; `None` when there is none of that name.
///
/// # Errors
/// When the session breaks.
pub async fn table(
    client: &Client,
    publication: &str,
    schema: &str,
    table: &str,
) -> Result<Option<Table>, PostgresError> {
    let names: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&schema, &table, &publication];
    let Some(row) = client.query_opt(TABLE, &names).await.map_err(PostgresError::Sql)? else {
        return Ok(None);
    };
    let (oid, kind, identity): (u32, String, String) = (row.get(0), row.get(1), row.get(2));
    let listed: Vec<String> =
        client.query_one(PUBLISHED_COLUMNS, &names).await.map_err(PostgresError::Sql)?.get(0);
    let columns = client.query(COLUMNS, &[&oid]).await.map_err(PostgresError::Sql)?;
    let columns = columns.iter().map(|row| {
        let name: String = row.get(0);
        Column {
            published: listed.is_empty() || listed.contains(&name),
            name,
            key: row.get(1),
            type_name: row.get(2),
            sql_type: row.get(3),
            type_oid: row.get(4),
            equality: match row.get(5) {
                "b" => Equality::BuiltIn,
                "e" => Equality::Enum,
                "c" => Equality::Collation,
                _ => Equality::Foreign,
            },
            composite: row.get(6),
        }
    });
    Ok(Some(Table {
        kind: kind.chars().next().unwrap_or('r'),
        published: row.get(3),
        told_as: row.get(4),
        by_partitions: row.get(5),
        full: identity == "f",
        columns: columns.collect(),
        encoding: row.get(6),
    }))
}

/// The canonical texts of values of a type: what its output function prints. `None` when the database does
/// not take one of them.
///
/// # Errors
/// When the session breaks.
pub async fn canonical(
    client: &Client,
    sql_type: &str,
    values: &[String],
) -> Result<Option<Vec<String>>, PostgresError> {
    // `sql_type` was quoted by the database itself; the values travel as a parameter. `format` uses the
    // type's output function, as the log does, where a cast to text may print otherwise (`true` for `t`).
    let sql = format!(
        "select array(select format('%s', value::{sql_type}) \
         from unnest($1::text[]) with ordinality as given(value, place) order by place)"
    );
    match client.query_one(&sql, &[&values]).await {
        // Before 16 a value of type "char" could print as a byte that is no text.
        Ok(row) => Ok(row.try_get(0).ok()),
        Err(error) if is_bad_value(&error) => Ok(None),
        Err(error) => Err(PostgresError::Sql(error)),
    }
}

/// Whether a text is a regular expression (PostgreSQL manual, 9.7.3).
///
/// # Errors
/// When the session breaks.
pub async fn is_expression(client: &Client, text: &str) -> Result<bool, PostgresError> {
    match client.query_one("select '' ~ $1::text", &[&text]).await {
        Ok(_) => Ok(true),
        Err(error) if is_bad_value(&error) => Ok(false),
        Err(error) => Err(PostgresError::Sql(error)),
    }
}

/// Class 22 is data exceptions, among them every invalid input.
fn is_bad_value(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("22") || *code == SqlState::CANNOT_COERCE)
}

/// The labels of an enum in their order.
///
/// # Errors
/// When the session breaks.
pub async fn labels(client: &Client, type_oid: u32) -> Result<Vec<String>, PostgresError> {
    const LABELS: &str = "select enumlabel::text from pg_enum where enumtypid = $1 order by enumsortorder";
    let rows = client.query(LABELS, &[&type_oid]).await.map_err(PostgresError::Sql)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A published table, for listings.
#[derive(Clone, Debug)]
pub struct Published {
    /// Schema name.
    pub schema: String,
    /// Table name.
    pub table: String,
    /// Columns with their types' names and whether they are part of the primary key.
    pub columns: Vec<(String, String, bool)>,
}

const PUBLISHED: &str = "select p.schemaname::text, p.tablename::text, \
      array_agg(a.attname::text order by a.attnum), array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum), \
      array_agg(coalesce(a.attnum = any(i.indkey), false) order by a.attnum) \
    from pg_publication_tables p join pg_namespace n on n.nspname = p.schemaname \
      join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename \
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
      left join pg_index i on i.indrelid = c.oid and i.indisprimary \
    where p.pubname = $1 group by 1, 2 order by 1, 2 limit 1000";

/// The tables of a publication, at most 1,000.
///
/// # Errors
/// When the session breaks.
pub async fn published(client: &Client, publication: &str) -> Result<Vec<Published>, PostgresError> {
    let rows = client.query(PUBLISHED, &[&publication]).await.map_err(PostgresError::Sql)?;
    let table = |row: &tokio_postgres::Row| {
        let (names, types, keys): (Vec<String>, Vec<String>, Vec<bool>) =
            (row.get(2), row.get(3), row.get(4));
        let columns =
            names.into_iter().zip(types).zip(keys).map(|((name, kind), key)| (name, kind, key)).collect();
        Published { schema: row.get(0), table: row.get(1), columns }
    };
    Ok(rows.iter().map(table).collect())
}
