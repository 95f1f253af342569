//! GraphQL documents: parsing, validating, planning, writing SQL and binding parameters never panic, and a statement has
//! exactly the parameters that are sent with it.

#![no_main]

#[path = "graphql/fixed.rs"]
mod fixed;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &str| fixed::ask(document, serde_json::Value::Null));
