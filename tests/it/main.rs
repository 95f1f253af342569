//! A stand-in for the integration suite's own main, to try the cluster.
#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cluster;
mod cluster_tests;
mod postgres_binaries;
