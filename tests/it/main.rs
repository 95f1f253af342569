//! A stand-in for the integration suite's own main, to try the cluster.
#![allow(missing_docs, dead_code, unreachable_pub)]

mod cluster;
mod cluster_tests;
mod postgres_binaries;
