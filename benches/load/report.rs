//! The table, the part of docs/benchmarks.md that is made of it, and its charts.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::bulk::median;
use crate::contenders::Kind;
use crate::fanout::{Figures, Size};

const BEGIN: &str = "<!-- what `make bench` measures: begin -->";
const END: &str = "<!-- end -->";

/// What all runs came to.
pub struct Report {
    pub postgres: String,
    pub size: Size,
    /// The medians of each server.
    pub fanout: Vec<(Kind, Figures)>,
    /// Lines about what only walcast does.
    pub alone: Vec<[String; 2]>,
}

/// The median of each figure; faults are added up.
pub fn medians(runs: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure).collect());
    Figures {
        memory: of(|run| run.memory),
        join: of(|run| run.join),
        idle: of(|run| run.idle),
        burst: of(|run| run.burst),
        rate: of(|run| run.rate),
        paced: of(|run| run.paced),
        p50: of(|run| run.p50),
        p99: of(|run| run.p99),
        faults: runs.iter().map(|run| run.faults).sum(),
    }
}

impl Report {
    /// The tables as Markdown.
    fn tables(&self) -> String {
        type Row = (&'static str, fn(&Figures) -> String);
        const ROWS: [Row; 8] = [
            ("paced: CPU a delivery", |of| format!("{:.1} us", of.paced)),
            ("paced: p50, p99", |of| format!("{:.1}, {:.1} ms", of.p50, of.p99)),
            ("bursts: CPU a delivery", |of| format!("{:.2} us", of.burst)),
            ("bursts: deliveries a second", |of| format!("{:.2} million", of.rate / 1e6)),
            ("lost, twice or out of order", |of| format!("{}", of.faults)),
            ("memory of an idle connection", |of| format!("{:.1} KiB", of.memory)),
            ("CPU to join", |of| format!("{:.0} us", of.join)),
            ("CPU while all are idle", |of| format!("{:.2} %", of.idle)),
        ];
        let mut text = String::from("| |");
        for (kind, _) in &self.fanout {
            let _ = write!(text, " {} |", kind.name());
        }
        let _ = write!(text, "\n|---|{}", "---|".repeat(self.fanout.len()));
        for (name, figure) in &ROWS {
            let _ = write!(text, "\n| {name} |");
            for (_, figures) in &self.fanout {
                let _ = write!(text, " {} |", figure(figures));
            }
        }
        if !self.alone.is_empty() {
            text.push_str("\n\n| walcast alone | |\n|---|---|");
            for [what, figure] in &self.alone {
                let _ = write!(text, "\n| {what} | {figure} |");
            }
        }
        text
    }

    pub fn print(&self) {
        println!("\n{}\n", self.tables());
    }

    /// Writes the generated part of docs/benchmarks.md, and the charts.
    pub fn write(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = root.join("docs/benchmarks.md");
        let text = std::fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("the page says where its generated part begins");
        let (_, after) = rest.split_once(END).expect("and where it ends");
        let generated = format!(
            "{BEGIN}\n\n{}; walcast {} at {}; Postgres {}. Medians of {} runs, in which the servers take turns.\n\n{}\n\n{END}",
            machine(),
            env!("CARGO_PKG_VERSION"),
            commit(root),
            self.postgres,
            self.size.runs,
            self.tables()
        );
        std::fs::write(&page, format!("{before}{generated}{after}")).unwrap();
        let chart = |file: &str, title: &str, unit: &str, figure: fn(&Figures) -> f64| {
            let bars: Vec<_> = self.fanout.iter().map(|(kind, of)| (kind.name(), figure(of))).collect();
            std::fs::write(root.join("docs/charts").join(file), bar_chart(title, unit, &bars)).unwrap();
        };
        chart("paced.svg", "CPU a delivery, one row at a time to 100 sockets", "us", |of| of.paced);
        chart("bursts.svg", "CPU a delivery, 100 rows at a time to 1,000 sockets", "us", |of| of.burst);
        chart("memory.svg", "Memory of an idle connection", "KiB", |of| of.memory);
        chart("join.svg", "CPU to join", "us", |of| of.join);
        println!("written: docs/benchmarks.md, docs/charts");
    }
}

/// Processor, cores, memory and kernel.
fn machine() -> String {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name.trim());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: f64 =
        memory.split_whitespace().nth(1).and_then(|total| total.parse().ok()).unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{cores} cores of {processor}, {:.0} GiB, Linux {}", kilobytes / 1024.0 / 1024.0, kernel.trim())
}

/// The commit that was measured, and whether anything was changed on top of it.
fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "an unknown commit".to_owned();
    };
    let changed = git(&["status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock"]);
    let changed = changed.is_none_or(|changed| !changed.is_empty());
    format!("{commit}{}", if changed { ", changed" } else { "" })
}

/// Horizontal bars, readable on a light and on a dark page.
fn bar_chart(title: &str, unit: &str, bars: &[(&str, f64)]) -> String {
    const ROW: usize = 30;
    let height = 44 + ROW * bars.len();
    let longest = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 {height}\" width=\"640\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#768390\" role=\"img\">\n\
         <title>{title}</title>\n<text x=\"8\" y=\"22\" font-weight=\"600\">{title} ({unit})</text>\n"
    );
    for (place, (name, value)) in bars.iter().enumerate() {
        let top = 36 + ROW * place;
        let length = (value / longest * 370.0).max(1.0);
        let colour = if place == 0 { "#2f81f7" } else { "#9aa4af" };
        let digits = if *value < 1.0 { 2 } else { 1 };
        let _ = writeln!(
            svg,
            "<text x=\"172\" y=\"{}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"180\" y=\"{top}\" width=\"{length:.1}\" height=\"20\" rx=\"3\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{value:.digits$}</text>",
            top + 15,
            188.0 + length,
            top + 15
        );
    }
    svg.push_str("</svg>\n");
    svg
}
