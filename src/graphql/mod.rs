//! GraphQL from the database: catalog to schema, operation to one SQL statement.
//!
//! [`catalog`] is what the database says of itself; [`model`] gives it GraphQL names. Nothing here talks to
//! a database or a client.

pub mod catalog;
pub mod model;
pub mod negotiation;
pub mod plan;
pub mod read_set;
pub mod response;
pub mod schema;
pub mod sql;
