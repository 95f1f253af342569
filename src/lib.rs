//! walcast turns a Postgres database into a realtime backend.
//!
//! The crate is laid out as a house: imports go down only. Rooms on the ground and first floor are
//! pure: no IO, no clock, no tokio. ARCHITECTURE.md holds the map and the invariants.
//!
//! - ground, words: [`lsn`], [`snapshot`], [`pgoutput`], [`change`], [`metrics`], [`traces`]
//! - first floor, decisions: [`topic`], [`channel`], [`history`], [`graphql`], [`live`], [`access`]
//! - second floor, tasks: [`hub`], [`dispatch`], [`operations`], [`feeds`], [`replay`], [`readiness`]
//! - edges, IO: [`postgres`], [`http`]
//! - roof: [`server`], [`settings`], [`telemetry`], [`demo`]

pub mod access;
pub mod change;
pub mod channel;
pub mod dispatch;
pub mod feeds;
pub mod graphql;
pub mod history;
pub mod hub;
pub mod live;
pub mod lsn;
pub mod metrics;
pub mod operations;
pub mod pgoutput;
pub mod readiness;
pub mod replay;
pub mod snapshot;
pub mod topic;
pub mod traces;

pub mod http;
pub mod postgres;

pub mod demo;
pub mod server;
pub mod settings;
pub mod telemetry;
