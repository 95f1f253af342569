//! The demo: everything that `walcast demo` needs beyond a server.
//!
//! - [`cluster`]: a throw-away Postgres of our own, which never touches one that is already there

pub mod cluster;
