//! The database: the slot's reader, the preparation it needs, and what the catalog knows.
//!
//! `pgwire-replication` streams, `tokio-postgres` does all ordinary SQL.

mod backoff;

pub mod catalog;
pub mod check;
pub mod error;
pub mod gate;
pub mod introspection;
pub mod lag;
pub mod login;
pub mod pool;
pub mod remove;
pub mod replication;
pub mod schema_watch;
pub mod session;
pub mod setup;
pub mod snapshot;
pub mod tls;
pub mod types;

pub use error::{Class, PostgresError};
pub use login::Login;
