//! GraphQL from the database: catalog to schema, operation to one SQL statement.
//!
//! [`catalog`] is what the database says of itself; [`modelling`] makes a [`model`] of it, with GraphQL's names, and
//! [`sdl`] the schema's text. An operation becomes a [`plan`], a plan [`sql`] and a [`read_set`]; [`response`] does what
//! the specification asks of results, [`negotiation`] chooses their form. Nothing here talks to a database or a client.

pub mod catalog;
pub mod code;
pub mod model;
pub mod modelling;
pub mod naming;
pub mod negotiation;
pub mod plan;
pub mod read_set;
pub mod response;
#[cfg(test)]
pub(crate) mod sample;
pub mod schema;
pub mod sdl;
pub mod sql;
pub mod subscription;
pub mod tags;
mod text;
pub mod typescript;
