//! Reads the catalog as a schema is made of it, and tells cheaply whether it may have changed.

use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::PostgresError;
use crate::graphql::catalog::Catalog;

const CATALOG: &str = include_str!("introspection.sql");
const FINGERPRINT: &str = include_str!("fingerprint.sql");

/// The catalog of `schemas`, in the rights of the client's current role and from one snapshot, and what `publication`
/// publishes of it.
///
/// # Errors
/// When the session breaks, or an object vanishes while its rights are looked up: reading again will do.
pub async fn catalog(
    client: &Client,
    schemas: &[String],
    publication: &str,
) -> Result<Catalog, PostgresError> {
    let text = one(client, CATALOG, schemas, publication).await?;
    serde_json::from_str(&text).map_err(PostgresError::Catalog)
}

/// A text that changes whenever [`catalog`] may answer otherwise. Taken before it, so that a change between the
/// two is seen the next time.
///
/// # Errors
/// When the session breaks.
pub async fn fingerprint(
    client: &Client,
    schemas: &[String],
    publication: &str,
) -> Result<String, PostgresError> {
    one(client, FINGERPRINT, schemas, publication).await
}

async fn one(
    client: &Client,
    sql: &str,
    schemas: &[String],
    publication: &str,
) -> Result<String, PostgresError> {
    let parameters: [&(dyn ToSql + Sync); 2] = [&schemas, &publication];
    Ok(client.query_one(sql, &parameters).await.map_err(PostgresError::Sql)?.get(0))
}
