//! Reads the catalog as a schema is made of it, and tells cheaply whether it may have changed.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement, ToStatement};

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
    let row = one(client, CATALOG, schemas, publication).await?;
    serde_json::from_str(row.get(0)).map_err(PostgresError::Catalog)
}

/// What differs when something has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// Another one whenever [`catalog`] may answer otherwise, or a query may without a row having changed: a function's
    /// body, a policy, a grant.
    pub all: String,
    /// Another one whenever the publication has changed.
    pub publication: String,
}

/// The statement of [`fingerprint`]: planning it takes the server longer than answering it.
///
/// # Errors
/// When the session breaks.
pub async fn prepared_fingerprint(client: &Client) -> Result<Statement, PostgresError> {
    client.prepare(FINGERPRINT).await.map_err(PostgresError::Sql)
}

/// Looks whether something has changed. Taken before [`catalog`], so that a change between the two is seen the next time.
///
/// # Errors
/// When the session breaks.
pub async fn fingerprint(
    client: &Client,
    prepared: &Statement,
    schemas: &[String],
    publication: &str,
) -> Result<Fingerprint, PostgresError> {
    let row = one(client, prepared, schemas, publication).await?;
    Ok(Fingerprint { all: row.get(0), publication: row.get(1) })
}

async fn one<S: ToStatement + ?Sized + Sync>(
    client: &Client,
    sql: &S,
    schemas: &[String],
    publication: &str,
) -> Result<Row, PostgresError> {
    let parameters: [&(dyn ToSql + Sync); 2] = [&schemas, &publication];
    client.query_one(sql, &parameters).await.map_err(PostgresError::Sql)
}
