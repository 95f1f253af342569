//! Live queries without IO: which results a change makes stale, and which query runs when.
//!
//! - `window`: what a run may not have seen
//! - `watching`, `touch`, `index`, `rows`: from a change to the results that it concerns
//! - [`machine`]: idle, waiting, running; one run of a live query at a time
//! - [`identifier`]: the names by which the ecosystem calls what a result depends on
//!
//! The rule: a transaction makes a result stale if it touches the result's read-set and is not visible in the
//! result's snapshot. What cannot be told counts as touching.

pub mod identifier;
mod index;
pub mod machine;
mod predicate;
mod row;
mod rows;
mod touch;
mod watching;
mod window;

pub use machine::{Live, QueryId};
