//! Findings for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Finding, Status, is_ready};

/// Where a line of the table is broken.
const WIDTH: usize = 100;

/// One line for each finding, what to do below it, and a sum at the end.
#[must_use]
pub fn table(findings: &[Finding]) -> String {
    let widest = findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let status = match finding.status {
            Status::Ok => "ok",
            Status::Warning => "WARNING",
            Status::Error => "ERROR",
        };
        let indent = 9 + widest + 2;
        let found = wrapped(&finding.found, indent);
        let _ = writeln!(text, "{status:<9}{:<widest$}  {found}", finding.name);
        if let Some(advice) = &finding.advice {
            let _ = writeln!(text, "{:indent$}-> {}", "", wrapped(advice, indent + 3));
        }
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let verdict = if is_ready(findings) { "ready" } else { "not ready" };
    let (errors, warnings) = (count(Status::Error), count(Status::Warning));
    let _ = writeln!(text, "\n{verdict}: {errors} to be mended, {warnings} to be known");
    text
}

/// `{"ready": bool, "findings": [{"name", "status": "ok"|"warning"|"error", "found", "advice"?}]}`.
///
/// # Errors
/// None: nothing in it cannot be written as JSON.
pub fn json(findings: &[Finding]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        ready: bool,
        findings: &'a [Finding],
    }
    serde_json::to_string_pretty(&Report { ready: is_ready(findings), findings })
}

/// Breaks at blanks; what follows is indented.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + word.chars().count() >= WIDTH {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join(&format!("\n{:indent$}", ""))
}

/// A number of bytes as people say it, in powers of 1024.
#[must_use]
pub fn size(bytes: u64) -> String {
    let mut unit = "bytes";
    let (mut whole, mut tenths) = (bytes, 0);
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if whole < 1024 {
            break;
        }
        (tenths, whole, unit) = (whole % 1024 * 10 / 1024, whole / 1024, larger);
    }
    if unit == "bytes" || tenths == 0 {
        format!("{whole} {unit}")
    } else {
        format!("{whole}.{tenths} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_largest_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (16 << 20, "16 MiB"),
            ((1 << 30) + (1 << 29), "1.5 GiB"),
            (3 << 40, "3 TiB"),
            (5 << 50, "5120 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_table_has_what_is_and_what_to_do() {
        let findings = [
            Finding::ok("server", "PostgreSQL 18.1"),
            Finding::warning("slot", "a ".repeat(60).trim(), "SELECT 1;"),
            Finding::error("wal_level", "replica", "ALTER SYSTEM"),
        ];
        let text = table(&findings);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ok       server     PostgreSQL 18.1");
        assert!(
            lines[1].starts_with("WARNING  slot       a a") && lines[2].starts_with("                    a")
        );
        assert_eq!(lines[3], "                    -> SELECT 1;");
        assert_eq!(lines.last(), Some(&"not ready: 1 to be mended, 1 to be known"));
        let json: serde_json::Value = serde_json::from_str(&json(&findings).unwrap()).unwrap();
        assert_eq!((&json["ready"], &json["findings"][2]["status"]), (&false.into(), &"error".into()));
        assert!(json["findings"][0].get("advice").is_none());
    }
}
