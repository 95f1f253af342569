//! What is said about settings that are wrong.

use std::fmt;

use thiserror::Error;

/// The most characters of a value that are repeated in a text.
const SHOWN: usize = 80;

/// One thing that is wrong, told so that whoever wrote it finds it and knows what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting as its writer called it: an environment variable, or a key and its file.
    pub name: String,
    /// What was found; never the value of a secret.
    pub found: String,
    /// What would be right.
    pub right: String,
}

impl Problem {
    pub(super) fn new(name: impl Into<String>, found: impl Into<String>, right: impl Into<String>) -> Self {
        Self { name: name.into(), found: found.into(), right: right.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.name, self.found, self.right)
    }
}

/// Everything that is wrong with the settings, one line each.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}", listing(.problems))]
pub struct SettingsError {
    /// At least one problem: unknown names first, then the settings in their documented order.
    pub problems: Vec<Problem>,
}

fn listing(problems: &[Problem]) -> String {
    let title = match problems.len() {
        1 => "1 setting is wrong".to_owned(),
        count => format!("{count} settings are wrong"),
    };
    problems.iter().fold(title, |text, problem| format!("{text}\n  {problem}"))
}

/// A value as it may be repeated: quoted, on one line, of bounded length.
pub(super) fn shown(value: &str) -> String {
    let short: String = value.chars().take(SHOWN).collect();
    let dots = if short.len() < value.len() { "..." } else { "" };
    format!("{short:?}{dots}")
}

/// The name that takes the fewest edits to reach from `unknown`. A name whose last part is right counts
/// as one edit away: most often its section is missing.
pub(super) fn nearest(unknown: &str, known: &[String]) -> Option<String> {
    let unknown: String = unknown.chars().take(SHOWN).collect();
    let edits = |name: &String| {
        let section = name.strip_suffix(&unknown);
        if section.is_some_and(|rest| rest.ends_with('.')) { 1 } else { distance(&unknown, name) }
    };
    known.iter().min_by_key(|name| edits(name)).cloned()
}

/// Levenshtein distance, row by row.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let (mut diagonal, mut left) = (index, index + 1);
        let mut next = vec![left];
        for (other, above) in to.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(letter != *other)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_edits() {
        for (from, to, edits) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("slot", "solt", 2)]
        {
            assert_eq!((distance(from, to), distance(to, from)), (edits, edits), "{from} {to}");
        }
    }

    #[test]
    fn the_nearest_name_is_a_slip_or_a_lost_section_away() {
        let known: Vec<String> =
            ["listen", "limits.sockets", "limits.frame_bytes", "outbox.bytes"].map(String::from).into();
        for (unknown, right) in [
            ("lisen", "listen"),
            ("limits.socket", "limits.sockets"),
            ("frame_bytes", "limits.frame_bytes"),
            ("limit.frame-bytes", "limits.frame_bytes"),
            ("sockets", "limits.sockets"),
        ] {
            assert_eq!(nearest(unknown, &known).as_deref(), Some(right), "{unknown}");
        }
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn a_listing_has_a_line_for_each_problem() {
        let problem = |name: &str| Problem::new(name, "found this", "write that");
        let error = SettingsError { problems: vec![problem("A"), problem("b in file.toml")] };
        assert_eq!(
            error.to_string(),
            "2 settings are wrong\n  A: found this; write that\n  b in file.toml: found this; write that"
        );
    }

    #[test]
    fn a_shown_value_stays_on_one_line_and_short() {
        assert_eq!(shown("a\nb"), r#""a\nb""#);
        assert!(shown(&"x".repeat(1000)).len() < 100);
    }
}
