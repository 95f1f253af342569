//! The load benchmark: a real Postgres, the release build of walcast, real sockets, all on loopback.
//!
//! ```text
//! cargo bench --bench load                 every scenario, medians of 5 runs
//! cargo bench --bench load -- bulk         one of: bulk, slow, paced, idle
//! cargo bench --bench load -- paced 1      with another number of runs
//! ```
//!
//! docs/benchmarks.md says what each figure means.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]
#![allow(unreachable_pub, reason = "nothing outside of this program sees its items")]

mod client;
mod scenarios;
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod server;

use tokio::runtime::Runtime;

fn main() {
    let mut scenario = None;
    let mut runs = 5;
    for argument in std::env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        match argument.parse() {
            Ok(number) => runs = number,
            Err(_) => scenario = Some(argument),
        }
    }
    let wanted = |name: &str| scenario.as_deref().is_none_or(|scenario| scenario == name);
    let runtime = Runtime::new().expect("a runtime");
    let postgres = server::Postgres::start();
    println!(
        "walcast {} on Postgres {}, {runs} runs, medians",
        env!("CARGO_PKG_VERSION"),
        postgres.version()
    );
    if wanted("bulk") {
        runtime.block_on(scenarios::bulk(&postgres, runs));
    }
    if wanted("slow") {
        runtime.block_on(scenarios::slow(&postgres, runs));
    }
    if wanted("paced") {
        runtime.block_on(scenarios::paced(&postgres, runs));
    }
    if wanted("idle") {
        runtime.block_on(scenarios::idle(&postgres, runs.min(3)));
    }
}
