//! Types that only the catalog can explain: enums, domains, composites, ranges, extension types, and
//! arrays of all of these.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use tokio_postgres::Client;

use super::PostgresError;
use crate::change::types::{Attribute, TypeInfo, builtin};
use crate::pgoutput::Oid;

/// Types nest by definition, and cannot nest in themselves but through arrays; deeper than this a value is
/// told as its text.
const DEPTH: usize = 16;

const TYPE: &str = "select t.typname::text, t.typtype::text, t.typbasetype, t.typelem, t.typrelid, \
                    t.typdelim::text, t.typcategory::text, \
                    exists(select from pg_depend d join pg_extension e on e.oid = d.refobjid \
                           where d.classid = 'pg_type'::regclass and d.objid = t.oid \
                             and d.refclassid = 'pg_extension'::regclass and e.extname = 'hstore') \
                    from pg_type t where t.oid = $1";

const ATTRIBUTES: &str = "select attname::text, atttypid from pg_attribute \
                          where attrelid = $1 and attnum > 0 and not attisdropped order by attnum";

type Found<'a> = Pin<Box<dyn Future<Output = Result<Arc<TypeInfo>, PostgresError>> + Send + 'a>>;

/// Looks up each of `oids`.
///
/// # Errors
/// When the session breaks. A type that was dropped since is not an error: its values are told as text.
pub async fn look_up(client: &Client, oids: &[Oid]) -> Result<HashMap<Oid, Arc<TypeInfo>>, PostgresError> {
    let mut found = HashMap::new();
    for oid in oids {
        found.insert(*oid, resolve(client, *oid, DEPTH).await?);
    }
    Ok(found)
}

fn resolve(client: &Client, oid: Oid, depth: usize) -> Found<'_> {
    Box::pin(async move {
        if let Some(info) = builtin(oid) {
            return Ok(info);
        }
        let unknown = || Ok(TypeInfo::text("unknown"));
        let Some(depth) = depth.checked_sub(1) else { return unknown() };
        let Some(row) = client.query_opt(TYPE, &[&oid]).await.map_err(PostgresError::Sql)? else {
            return unknown();
        };
        let (name, kind): (String, String) = (row.get(0), row.get(1));
        let (base, element, class): (Oid, Oid, Oid) = (row.get(2), row.get(3), row.get(4));
        let (delimiter, category, hstore): (String, String, bool) = (row.get(5), row.get(6), row.get(7));
        Ok(match kind.as_str() {
            "d" => TypeInfo::domain_over(&resolve(client, base, depth).await?),
            "e" => TypeInfo::enumeration(&name),
            "c" => {
                let mut attributes = Vec::new();
                for row in client.query(ATTRIBUTES, &[&class]).await.map_err(PostgresError::Sql)? {
                    let (name, oid): (String, Oid) = (row.get(0), row.get(1));
                    attributes.push(Attribute::new(&name, resolve(client, oid, depth).await?));
                }
                TypeInfo::composite(&name, attributes)
            }
            // Category A is that of true arrays; other types with an element print otherwise.
            _ if category == "A" && element != 0 => {
                let delimiter = delimiter.bytes().next().unwrap_or(b',');
                TypeInfo::array(&name, resolve(client, element, depth).await?, delimiter)
            }
            _ if hstore && name == "hstore" => TypeInfo::hstore(),
            _ => TypeInfo::text(&name),
        })
    })
}
