//! The one integration binary: real Postgres servers, the real program, real clients.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, reason = "nothing outside of this binary sees its items")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a failing run explains itself")]

mod cluster;
mod graphql;
mod graphql_served;
mod postgres_binaries;
mod program;
mod proxy;
mod raw;
mod slot;
mod socket;
mod walcast;

mod admin;
mod channels;
mod cluster_tests;
mod console_page;
mod error_codes;
mod filters;
mod filters_leaving;
mod filters_random;
mod first_light;
mod foreign_clients;
mod frames;
mod graphiql;
mod graphql_catalog;
mod graphql_clients;
mod graphql_ddl;
mod graphql_functions;
mod graphql_fuzzed;
mod graphql_http;
mod graphql_injection;
mod graphql_live_clients;
mod graphql_odd_rows;
mod graphql_oracle;
mod graphql_pool;
mod graphql_queries;
mod graphql_read_sets;
mod graphql_rights;
mod graphql_sees;
mod graphql_stream;
mod graphql_subscriptions;
mod graphql_values;
mod graphql_watch;
mod http;
mod limits;
mod live;
mod live_oracle;
mod live_queries;
mod messages;
mod positions;
mod reader_cursors;
mod reader_ddl;
mod reader_failover;
mod reader_faults;
mod reader_partitions;
mod reader_progress;
mod reader_publications;
mod reader_refusals;
mod reader_start;
mod reader_takeover;
mod reader_timeouts;
mod reader_transactions;
mod refusals;
mod settings;
mod slow_clients;
mod values;
mod values_builtin;
mod values_encoding;
mod values_json;
mod values_large;
mod values_rows;
mod values_types;
mod values_user;
