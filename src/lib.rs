//! walcast turns a Postgres database into a realtime backend.
//!
//! The crate is laid out as a house: imports go down only. Rooms on the ground and first floor are
//! pure: no IO, no clock, no tokio. ARCHITECTURE.md holds the map and the invariants.
//!
//! - ground, words: [`lsn`], [`pgoutput`], [`change`]
//! - first floor, decisions: `topic`, `channel`, `access`
//! - second floor, tasks: `hub`, `dispatch`
//! - edges, IO: `postgres`, `http`
//! - roof: `server`, `settings`, `telemetry`, `demo`

pub mod access;
pub mod change;
pub mod lsn;
pub mod pgoutput;
pub mod settings;
