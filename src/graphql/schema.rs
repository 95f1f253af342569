//! A schema that is served: the model, its text, and apollo's validated form of it.

use std::sync::Arc;

use apollo_compiler::collections::HashMap as ApolloMap;
use apollo_compiler::schema::Implementers;
use apollo_compiler::validation::Valid;
use apollo_compiler::{Name, Schema as Definitions};
use thiserror::Error;

use super::catalog::Catalog;
use super::model::Model;
use super::modelling::model;
use super::sdl::sdl;
use super::tags::Names;

/// Why there is no schema.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// The catalog gave a schema that GraphQL does not allow: a fault of ours.
    #[error("the schema that was made from the catalog is not valid: {0}")]
    Invalid(String),
    /// GraphQL has no empty schemas.
    #[error(
        "there is nothing to query: no table, view or STABLE function in the exposed schemas that the role may \
         use. Either the setting graphql.schemas names other schemas than the ones they are in, or the role \
         lacks grants (GRANT USAGE ON SCHEMA .. TO .., GRANT SELECT ON .. TO ..), or all of it is omitted"
    )]
    Empty,
}

/// One schema.
#[derive(Debug)]
pub struct Schema {
    /// What the fields mean.
    pub model: Arc<Model>,
    /// The schema in its definition language.
    pub sdl: String,
    /// The same, for validation and introspection.
    pub definitions: Valid<Definitions>,
    /// Who implements which interface; introspection asks for it.
    pub implementers: ApolloMap<Name, Implementers>,
}

impl Schema {
    /// The schema of a catalog. `names` are the owner's wishes beside those in comments.
    ///
    /// # Errors
    /// When nothing in the catalog can be queried.
    pub fn of(catalog: &Catalog, names: &Names) -> Result<Self, SchemaError> {
        let model = model(catalog, names);
        if model.query.is_empty() {
            return Err(SchemaError::Empty);
        }
        let sdl = sdl(&model);
        Self::new(model, sdl)
    }

    /// Checks `sdl`, which was made of `model`.
    ///
    /// # Errors
    /// When it is not a valid schema.
    pub fn new(model: Model, sdl: String) -> Result<Self, SchemaError> {
        let definitions = Definitions::parse_and_validate(&sdl, "schema.graphql")
            .map_err(|invalid| SchemaError::Invalid(invalid.errors.to_string()))?;
        let implementers = definitions.implementers_map();
        Ok(Self { model: Arc::new(model), sdl, definitions, implementers })
    }
}
