//! The load benchmark: a real Postgres, the release build of walcast, its peers, real sockets, all on loopback.
//!
//! ```text
//! cargo bench --bench load                 everything, medians of 5 runs; writes docs/benchmarks.md and its charts
//! cargo bench --bench load -- quick        the same in seconds, with sizes that prove nothing; writes nothing
//! cargo bench --bench load -- fanout       one of: fanout, filters, stuck, compress, coalesce,
//!                                          window, bulk, slow; writes nothing
//! cargo bench --bench load -- fanout 1     with another number of runs
//! cargo bench --bench load -- fanout walcast tuned    of some of: walcast, tuned, ws, socket.io, bare
//! ```
//!
//! docs/benchmarks.md says what each figure means.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]
#![allow(unreachable_pub, reason = "nothing outside of this program sees its items")]

#[path = "../peers/bare/mod.rs"]
mod bare;
mod bulk;
#[allow(dead_code, reason = "another benchmark uses the rest")]
mod client;
mod contenders;
mod crowd;
mod fanout;
mod filters;
mod report;
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod server;
mod stuck;
mod trades;
#[path = "../peers/tuned/mod.rs"]
mod tuned;

use contenders::Kind;
use fanout::Size;
use report::Report;
use tokio::runtime::Runtime;

fn main() {
    let mut scenario = None;
    let mut kinds = Vec::new();
    let mut size = Size::FULL;
    let mut quick = false;
    for argument in std::env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        match (argument.as_str(), argument.parse()) {
            (contenders::TUNED, _) => {
                return tuned::serve(&std::env::var("DATABASE_URL").expect("DATABASE_URL"));
            }
            (contenders::BARE, _) => {
                return bare::serve(&std::env::var("DATABASE_URL").expect("DATABASE_URL"));
            }
            (_, Ok(number)) => size.runs = number,
            ("quick", _) => (quick, size) = (true, Size::QUICK),
            ("walcast", _) => kinds.push(Kind::Walcast),
            ("tuned", _) => kinds.push(Kind::Tuned),
            ("bare", _) => kinds.push(Kind::Bare),
            ("ws", _) => kinds.push(Kind::Ws),
            ("socket.io", _) => kinds.push(Kind::SocketIo),
            _ => scenario = Some(argument),
        }
    }
    if kinds.is_empty() {
        kinds = Kind::ALL.to_vec();
    }
    let wanted = |name: &str| scenario.as_deref().is_none_or(|scenario| scenario == name);
    let runtime = Runtime::new().expect("a runtime");
    let postgres = server::Postgres::start();
    let version = postgres.version().to_owned();
    println!("walcast {} on Postgres {version}, {} runs, medians", env!("CARGO_PKG_VERSION"), size.runs);
    let mut report = Report { postgres: version, size, fanout: Vec::new(), alone: Vec::new() };
    if wanted("fanout") {
        let mut runs: Vec<(Kind, Vec<_>)> = kinds.iter().map(|kind| (*kind, Vec::new())).collect();
        for _ in 0..size.runs {
            for (kind, figures) in &mut runs {
                figures.push(runtime.block_on(fanout::measure(&postgres, *kind, &size)));
            }
        }
        report.fanout = runs.iter().map(|(kind, runs)| (*kind, report::medians(runs))).collect();
    }
    let mut tell = |what: String, figure: String| report.alone.push([what, figure]);
    if wanted("filters") {
        let (own, rounds, ranges) = if quick { (500, 10, 200) } else { (10_000, 100, 5000) };
        let (few, many) = runtime.block_on(filters::own(&postgres, size.runs, own, rounds));
        tell(
            format!("CPU a change, each socket with an `id=eq.N` of its own: 10 sockets; {own}"),
            format!("{few:.0} us; {many:.0} us, {:.2} times that", many / few),
        );
        let what = format!("CPU a change of {ranges} distinct ranges that it is not in");
        match runtime.block_on(filters::ranges(&postgres, size.runs, ranges)) {
            Ok(cost) => tell(what, format!("{cost:.1} us")),
            Err(refusal) => println!("no ranges: {refusal}"),
        }
    }
    if wanted("stuck") {
        let (sockets, seconds) = if quick { (100, 1) } else { (1000, 5) };
        let runs: Vec<_> =
            (0..size.runs).map(|_| runtime.block_on(stuck::stuck(&postgres, sockets, seconds))).collect();
        let of = |figure: fn(&stuck::Outcome) -> f64| bulk::median(runs.iter().map(figure).collect());
        tell(
            format!("p99 of {sockets} sockets; beside one that never reads"),
            format!(
                "{:.1} ms; {:.1} ms, {:.2} times that; it is closed after {:.0} s and {:.1} MiB, no other is",
                of(|run| run.before),
                of(|run| run.beside),
                of(|run| run.beside / run.before),
                of(|run| run.closed_after),
                of(|run| run.memory)
            ),
        );
    }
    runtime.block_on(trade(&postgres, size.runs, quick, wanted, tell));
    report.print();
    if scenario.is_none() && !quick && kinds.len() == Kind::ALL.len() {
        report.write();
    }
    if scenario.as_deref() == Some("bulk") || (scenario.is_none() && !quick) {
        runtime.block_on(bulk::bulk(&postgres, size.runs));
    }
    if scenario.as_deref() == Some("slow") || (scenario.is_none() && !quick) {
        runtime.block_on(bulk::slow(&postgres, size.runs));
    }
}

/// What settings cost and bring.
async fn trade(
    postgres: &server::Postgres,
    runs: usize,
    quick: bool,
    wanted: impl Fn(&str) -> bool,
    mut tell: impl FnMut(String, String),
) {
    if wanted("compress") {
        let (sockets, bursts) = if quick { (100, 3) } else { (1000, 10) };
        let [off, on] = trades::compress(postgres, runs, sockets, bursts).await;
        tell(
            format!("bytes and CPU a delivery, bursts of 100 rows x {sockets} sockets: plain; compressed"),
            format!("{:.0} B, {:.2} us; {:.0} B, {:.2} us", off.bytes, off.cpu, on.bytes, on.cpu),
        );
    }
    if wanted("coalesce") {
        let (sockets, rows) = if quick { (100, 100) } else { (100, 1000) };
        let [off, on] = trades::coalesce(postgres, runs, sockets, rows).await;
        tell(
            format!("CPU a delivery, 200 rows/s x {sockets} sockets: at once; waiting for 50 ms"),
            format!("{:.2} us; {:.2} us", off.cpu, on.cpu),
        );
    }
    if wanted("window") {
        let (sockets, rows) = (100, if quick { 100 } else { 1000 });
        let [off, on] = trades::window(postgres, runs, sockets, rows).await;
        let ((p50, p99), (beside50, beside99)) = (off.latency, on.latency);
        tell(
            format!(
                "CPU a delivery, p50, p99, 200 rows/s x {sockets} sockets: without a replay window; with it"
            ),
            format!(
                "{:.2} us, {p50:.1}, {p99:.1} ms; {:.2} us, {beside50:.1}, {beside99:.1} ms",
                off.cpu, on.cpu
            ),
        );
    }
}
