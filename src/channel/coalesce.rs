//! Which topics' changes may wait for more of them, and how long.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

/// The longest wait, in milliseconds.
pub const MOST_MS: u64 = 10_000;

/// Patterns of topics, each with how long changes may wait; the first that matches counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coalescing(Arc<[(Box<str>, Duration)]>);

/// An entry that says neither which topics nor how long.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("found the entry {0:?}")]
pub struct EntryInvalid(pub String);

impl Coalescing {
    /// Reads entries such as `realtime:public:prices*=50`: a topic, in which `*` stands for any characters, and
    /// milliseconds.
    ///
    /// # Errors
    /// The first entry that is none.
    pub fn parse(entries: &[String]) -> Result<Self, EntryInvalid> {
        let entry = |text: &String| {
            // Topics have equals signs of their own.
            let (pattern, wait) = text.rsplit_once('=')?;
            let wait = wait.trim().parse().ok().filter(|wait| (1..=MOST_MS).contains(wait))?;
            let pattern = pattern.trim();
            pattern.starts_with("realtime:").then(|| (pattern.into(), Duration::from_millis(wait)))
        };
        let entries = entries.iter().map(|text| entry(text).ok_or_else(|| EntryInvalid(text.clone())));
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }

    /// How long a change of the topic may wait.
    #[must_use]
    pub fn wait(&self, topic: &str) -> Duration {
        let entry = self.0.iter().find(|(pattern, _)| matches(pattern, topic));
        entry.map_or(Duration::ZERO, |(_, wait)| *wait)
    }
}

/// Whether the pattern is the topic, any `*` in it standing for any characters.
fn matches(pattern: &str, topic: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == topic };
    let Some(mut rest) = topic.strip_prefix(head) else { return false };
    let mut parts = tail.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coalescing(entries: &[&str]) -> Result<Coalescing, EntryInvalid> {
        Coalescing::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_first_pattern_that_matches_counts() {
        let known = coalescing(&[
            "realtime:public:prices:id=eq.1=7",
            "realtime:public:prices*=50",
            "realtime:*:ticks:*=gt.* = 100",
            "realtime:public:exact=9",
        ])
        .unwrap();
        for (topic, milliseconds) in [
            ("realtime:public:prices", 50),
            ("realtime:public:prices:id=eq.1", 7),
            ("realtime:public:prices_of_old", 50),
            ("realtime:any:ticks:price=gt.5", 100),
            ("realtime:any:ticks", 0),
            ("realtime:public:exact", 9),
            ("realtime:public:exact:id=eq.1", 0),
            ("realtime:public:price", 0),
        ] {
            assert_eq!(known.wait(topic), Duration::from_millis(milliseconds), "{topic}");
        }
        assert_eq!(Coalescing::default().wait("realtime:*"), Duration::ZERO);
    }

    #[test]
    fn entries_without_a_topic_or_a_time_are_refused() {
        for entry in
            ["realtime:public:a", "prices=5", "realtime:a=0", "realtime:a=10001", "realtime:a=", "=5"]
        {
            assert_eq!(coalescing(&["realtime:b=1", entry]), Err(EntryInvalid(entry.to_owned())), "{entry}");
        }
    }
}
