//! Messages to transactions, and transactions to the JSON a client sees.

pub mod types;
pub mod value;
