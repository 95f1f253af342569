//! The wiring of GraphQL: connections, the watched schema, operations, and the endpoint.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::ServerError;
use crate::feeds::{Feeds, LiveOptions};
use crate::graphql::catalog::Catalog;
use crate::graphql::plan::Limits;
use crate::graphql::schema::Schema;
use crate::graphql::tags::Names;
use crate::http::{Documents, GraphQl};
use crate::operations::{Fault, Identity, Operations, Served};
use crate::postgres::pool::{Pool, PoolOptions};
use crate::postgres::schema_watch::{SchemaWatch, Sight};
use crate::postgres::session::Session;
use crate::postgres::{Login, introspection};
use crate::readiness::Readiness;
use crate::settings::{self, Settings};

/// What clients are told where an operator has to mend something.
const OFF: &str = "GraphQL is off on this server; its log says why";

/// What serves GraphQL.
pub(super) struct Serving {
    pub(super) endpoint: Arc<GraphQl>,
    pub(super) pool: Pool,
    pub(super) feeds: Feeds,
}

/// Starts the endpoint; it has a schema once the catalog was read. `followed` is the database whose changes are read.
pub(super) fn start(
    settings: &Settings,
    database: &Login,
    followed: Session,
    readiness: watch::Receiver<Readiness>,
    stopped: watch::Receiver<bool>,
) -> Result<Option<Serving>, ServerError> {
    let own = &settings.graphql;
    if !own.enabled {
        return Ok(None);
    }
    let names = names(own)?;
    let documents = match &own.documents {
        Some(path) => Documents::load(path, own.documents_only)?,
        None => Documents::default(),
    };
    // The demo's database has no setting.
    let asked = own.database.as_ref().map_or_else(|| database.clone(), settings::Database::login);
    let pool = Pool::new(
        &asked,
        PoolOptions {
            role: own.role.clone(),
            connections: own.connections,
            wait: own.wait,
            statement: own.statement,
        },
    )
    .map_err(ServerError::Pool)?;
    let limits = Limits {
        depth: own.depth,
        cost: own.cost,
        rows: u32::try_from(own.rows).unwrap_or(u32::MAX),
        introspection: own.introspection,
    };
    let stale = Arc::new(Notify::new());
    let operations = Operations::new(Arc::new(pool.clone()), limits, Arc::clone(&stale));
    operations.follow(false);
    let loopback = settings.listen.ip().to_canonical().is_loopback();
    let watch = SchemaWatch::new(
        &asked,
        own.role.as_deref(),
        followed,
        own.schemas.clone(),
        &settings.replication.publication,
        loopback,
        stale,
    );
    let options = LiveOptions {
        // Half of the connections are left to those who ask.
        runs: own.connections.div_ceil(2),
        streams: own.live_streams,
        explains: own.live_extensions,
    };
    let feeds = Feeds::new(&operations, options);
    let (serving, fed) = (operations.clone(), feeds.clone());
    tokio::spawn(watch.run(readiness, move |sight| tell(&serving, &fed, &names, sight)));
    let endpoint = GraphQl::new(operations, feeds.clone(), Identity::default(), documents, stopped);
    Ok(Some(Serving { endpoint: Arc::new(endpoint), pool, feeds }))
}

/// The schema that would be served, read once.
///
/// # Errors
/// When the database cannot be asked, or has nothing to serve.
pub async fn schema(settings: &Settings, database: &Login) -> Result<Schema, ServerError> {
    let own = &settings.graphql;
    let asked = own.database.as_ref().map_or_else(|| database.clone(), settings::Database::login);
    let session = Session::new(&asked.as_role(own.role.as_deref()), "walcast-schema");
    let client = session.client().await.map_err(ServerError::Catalog)?;
    let catalog = introspection::catalog(&client, &own.schemas, &settings.replication.publication)
        .await
        .map_err(ServerError::Catalog)?;
    let schema = Schema::of(&catalog, &names(own)?)?;
    for remark in &schema.model.remarks {
        tracing::warn!("{remark}");
    }
    Ok(schema)
}

fn names(settings: &settings::GraphQl) -> Result<Names, ServerError> {
    let names: Vec<_> =
        settings.names.iter().map(|renaming| format!("{}={}", renaming.object, renaming.name)).collect();
    let parsed = Names::parse(&names, &settings.omit)
        .and_then(|names| names.with_subscriptions(&settings.subscriptions));
    parsed.map_err(|errors| {
        let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
        ServerError::Names(all.join("; "))
    })
}

fn tell(operations: &Operations, feeds: &Feeds, names: &Names, sight: Sight) {
    match sight {
        Sight::Catalog { catalog, live, followed, .. } => {
            if let (Err(reason), true) = (&live, followed) {
                tracing::warn!(%reason, "live queries are refused");
            }
            operations.serve(served(&catalog, names), live);
            feeds.schema();
            // Who waits for it begins with this schema, and need not run again for it.
            operations.follow(followed);
        }
        Sight::Forbidden(reason) => {
            tracing::error!("{reason}");
            // The reason names roles: for the operator.
            operations.serve(Err((Fault::Off, OFF.to_owned())), Ok(()));
            feeds.schema();
        }
        // A schema that was read before may hold still; without one, who asks is told so.
        Sight::Unreachable(_) => {
            if operations.served().is_err() {
                let message = "the schema cannot be read from the database; the server's log says why";
                operations.serve(Err((Fault::Unavailable, message.to_owned())), Ok(()));
            }
        }
    }
}

fn served(catalog: &Catalog, names: &Names) -> Served {
    match Schema::of(catalog, names) {
        Ok(schema) => {
            for remark in &schema.model.remarks {
                tracing::warn!("{remark}");
            }
            let fields = schema.model.query.len() + schema.model.mutation.len();
            tracing::info!(types = schema.model.entities.len(), fields, "the GraphQL schema was read");
            Ok(Arc::new(schema))
        }
        Err(error) => {
            tracing::error!(%error, "there is no GraphQL schema");
            Err((Fault::Off, error.to_string()))
        }
    }
}
