//! The text in which Prometheus reads metrics (Prometheus documentation, "Exposition formats", text format 0.0.4).

use std::fmt::{Display, Write};

use super::Histogram;

/// The value of `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text so far.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// One metric, whose samples are to follow.
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// A number that only grows while the process lives.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// A number that comes and goes.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Times in buckets.
    pub fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) {
        let held = histogram.get();
        let Family { text, name } = self.family(name, "histogram", help);
        for (bound, count) in &held.buckets {
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let count = held.count;
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{name}_sum {}\n{name}_count {count}", held.sum);
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: &mut self.0, name }
    }

    /// The whole text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// A sample without labels; none where the value is not known.
    pub fn value(self, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            let _ = writeln!(self.text, "{} {value}", self.name);
        }
    }

    /// A sample without labels that is a whole number.
    pub fn whole(self, value: u64) {
        let _ = writeln!(self.text, "{} {value}", self.name);
    }

    /// Samples with labels: `name="value"`, with commas between them.
    pub fn samples<Labels: Display>(self, samples: impl IntoIterator<Item = (Labels, u64)>) {
        for (labels, value) in samples {
            let _ = writeln!(self.text, "{}{{{labels}}} {value}", self.name);
        }
    }
}

/// A name as the value of a label: the three characters that the format escapes are escaped.
#[must_use]
pub fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_text_is_that_of_the_format() {
        let mut exposition = Exposition::default();
        exposition.counter("a_total", "Of a.").samples([(format!("x=\"{}\"", escaped("q\"\\\n")), 1)]);
        exposition.gauge("b", "Of b.").value(0.5);
        exposition.gauge("c", "Not known.").value(None);
        exposition.gauge("d", "Of d.").whole(u64::MAX);
        let expected = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{x=\"q\\\"\\\\\\n\"} 1\n\
             # HELP b Of b.\n# TYPE b gauge\nb 0.5\n# HELP c Not known.\n# TYPE c gauge\n\
             # HELP d Of d.\n# TYPE d gauge\nd 18446744073709551615\n";
        assert_eq!(exposition.into_text(), expected);
    }

    #[test]
    fn a_histogram_ends_with_all_of_it() {
        let histogram = Histogram::new();
        histogram.observe(Duration::from_millis(2));
        let mut exposition = Exposition::default();
        exposition.histogram("t_seconds", "Of t.", &histogram);
        let text = exposition.into_text();
        assert!(
            text.contains("t_seconds_bucket{le=\"0.001\"} 0\nt_seconds_bucket{le=\"0.0025\"} 1\n"),
            "{text}"
        );
        assert!(
            text.ends_with("t_seconds_bucket{le=\"+Inf\"} 1\nt_seconds_sum 0.002\nt_seconds_count 1\n"),
            "{text}"
        );
    }
}
