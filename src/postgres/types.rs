//! Types that only the catalog can explain: enums, domains, composites, ranges, extension types, and
//! arrays of all of these.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Row};

use super::PostgresError;
use crate::change::types::{Attribute, TypeInfo, builtin};
use crate::pgoutput::Oid;
use crate::snapshot::Snapshot;

/// Types nest by definition, and cannot nest in themselves; deeper than this a value is told as its text.
const DEPTH: usize = 16;

/// How long a commit that no snapshot sees is waited for.
const HIDDEN: Duration = Duration::from_secs(2);

/// The types asked for and all that they are made of. The time is the transaction's, which is not after the
/// snapshot that sees the catalog.
///
/// Names are taken as bytes: in a database without an encoding they need not be UTF-8, and a name must not
/// fail a look-up.
const TYPES: &str = "with recursive used(oid) as ( \
      select unnest($1::oid[]) \
      union \
      select part.oid from used join pg_type t on t.oid = used.oid cross join lateral ( \
        select t.typbasetype where t.typtype = 'd' \
        union all select t.typelem where t.typcategory = 'A' \
        union all select attribute.atttypid from pg_attribute attribute \
          where t.typtype = 'c' and attrelid = t.typrelid and attnum > 0 and not attisdropped) part(oid)), \
    text_as(encoding) as ( \
      select case current_setting('server_encoding') when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end) \
    select t.oid, (extract(epoch from transaction_timestamp()) * 1000000)::int8 - 946684800000000, \
      convert_to(t.typname::text, encoding), t.typtype::text, t.typbasetype, t.typelem, t.typdelim::text, \
      t.typcategory::text, \
      exists(select from pg_depend d join pg_extension e on e.oid = d.refobjid \
        where d.classid = 'pg_type'::regclass and d.objid = t.oid \
          and d.refclassid = 'pg_extension'::regclass and e.extname = 'hstore'), \
      array(select convert_to(attname::text, encoding) from pg_attribute \
        where attrelid = t.typrelid and attnum > 0 and not attisdropped order by attnum), \
      array(select atttypid from pg_attribute \
        where attrelid = t.typrelid and attnum > 0 and not attisdropped order by attnum) \
    from used join pg_type t on t.oid = used.oid cross join text_as";

/// What the catalog says of some types.
#[derive(Debug, Default)]
pub struct Explained {
    /// Those that it knows, by OID. A type that was dropped since is missing.
    pub types: HashMap<Oid, Arc<TypeInfo>>,
    /// Every catalog change that was committed before this was seen: microseconds since 2000-01-01 UTC by the
    /// server's clock, as commits are stamped.
    pub at: i64,
}

/// Waits until the catalog shows what the transaction `xid` did to it: the log tells of a commit before any snapshot
/// sees it. One that waits for a synchronous standby may stay hidden for as long as that is away; then this gives up,
/// and what the catalog shows has to do.
///
/// # Errors
/// When the session breaks.
pub async fn wait_for(client: &Client, xid: u32) -> Result<(), PostgresError> {
    let mut pause = Duration::from_millis(1);
    let start = Instant::now();
    while start.elapsed() < HIDDEN {
        let text: String = client
            .query_one("select pg_current_snapshot()::text", &[])
            .await
            .map_err(PostgresError::Sql)?
            .get(0);
        match text.parse::<Snapshot>() {
            Ok(snapshot) if !snapshot.sees(xid) => {}
            Ok(_) | Err(_) => return Ok(()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    tracing::debug!(xid, "a commit is hidden still; its types are told as the catalog shows them");
    Ok(())
}

/// Looks up each of `oids`.
///
/// # Errors
/// When the session breaks.
pub async fn look_up(client: &Client, oids: &[Oid]) -> Result<Explained, PostgresError> {
    let mut explained = Explained::default();
    let mut entries = HashMap::new();
    for row in client.query(TYPES, &[&oids]).await.map_err(PostgresError::Sql)? {
        explained.at = row.get(1);
        entries.insert(row.get(0), Entry::of(&row));
    }
    for &oid in oids {
        if builtin(oid).is_some() || entries.contains_key(&oid) {
            explained.types.insert(oid, resolve(&entries, oid, DEPTH));
        }
    }
    Ok(explained)
}

/// One row of `pg_type`.
struct Entry {
    name: String,
    kind: String,
    base: Oid,
    element: Oid,
    delimiter: u8,
    category: String,
    of_hstore: bool,
    attributes: Vec<(String, Oid)>,
}

impl Entry {
    fn of(row: &Row) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (names, types): (Vec<Vec<u8>>, Vec<Oid>) = (row.get(9), row.get(10));
        Self {
            name: text(row.get(2)),
            kind: row.get(3),
            base: row.get(4),
            element: row.get(5),
            delimiter: row.get::<_, String>(6).bytes().next().unwrap_or(b','),
            category: row.get(7),
            of_hstore: row.get(8),
            attributes: names.iter().map(|name| text(name)).zip(types).collect(),
        }
    }
}

fn resolve(entries: &HashMap<Oid, Entry>, oid: Oid, depth: usize) -> Arc<TypeInfo> {
    if let Some(info) = builtin(oid) {
        return info;
    }
    let (Some(depth), Some(entry)) = (depth.checked_sub(1), entries.get(&oid)) else {
        return TypeInfo::text("unknown");
    };
    let name = &entry.name;
    match entry.kind.as_str() {
        "d" => TypeInfo::domain_over(&resolve(entries, entry.base, depth)),
        "e" => TypeInfo::enumeration(name),
        "c" => {
            let attributes = entry.attributes.iter();
            let attributes =
                attributes.map(|(name, oid)| Attribute::new(name, resolve(entries, *oid, depth)));
            TypeInfo::composite(name, attributes.collect())
        }
        // Category A is that of true arrays; other types with an element print otherwise.
        _ if entry.category == "A" && entry.element != 0 => {
            TypeInfo::array(name, resolve(entries, entry.element, depth), entry.delimiter)
        }
        _ if entry.of_hstore && name == "hstore" => TypeInfo::hstore(),
        _ => TypeInfo::text(name),
    }
}
