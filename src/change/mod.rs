//! Messages to transactions, and transactions to the JSON a client sees.
