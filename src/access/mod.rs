//! Who may come in: the rules that decide before anything is heard or told.
//!
//! A pure room: no IO, no clock; it knows requests by their header texts only.

pub mod admin;
pub mod origin;

pub use admin::AdminRule;
pub use origin::{OriginRule, Refusal};
