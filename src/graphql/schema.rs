//! A schema that is served: the model, its text, and apollo's validated form of it.

use apollo_compiler::collections::HashMap as ApolloMap;
use apollo_compiler::schema::Implementers;
use apollo_compiler::validation::Valid;
use apollo_compiler::{Name, Schema as Definitions};
use thiserror::Error;

use super::model::Model;

/// The catalog gave a schema that GraphQL does not allow: a fault of ours.
#[derive(Debug, Error)]
#[error("the schema that was made from the catalog is not valid: {0}")]
pub struct SchemaError(String);

/// One schema.
#[derive(Debug)]
pub struct Schema {
    /// What the fields mean.
    pub model: Model,
    /// The schema in its definition language.
    pub sdl: String,
    /// The same, for validation and introspection.
    pub definitions: Valid<Definitions>,
    /// Who implements which interface; introspection asks for it.
    pub implementers: ApolloMap<Name, Implementers>,
}

impl Schema {
    /// Checks `sdl`, which was made of `model`.
    ///
    /// # Errors
    /// When it is not a valid schema.
    pub fn new(model: Model, sdl: String) -> Result<Self, SchemaError> {
        let definitions = Definitions::parse_and_validate(&sdl, "schema.graphql")
            .map_err(|invalid| SchemaError(invalid.errors.to_string()))?;
        let implementers = definitions.implementers_map();
        Ok(Self { model, sdl, definitions, implementers })
    }
}
