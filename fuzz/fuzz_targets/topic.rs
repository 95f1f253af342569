//! The topic grammar: no panic on any text, and names that lose nothing when they are escaped and read again.

#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use walcast::topic::{TOPIC_BYTES, Topic};

fuzz_target!(|text: &str| {
    match Topic::parse(text) {
        Ok(topic) => {
            assert!(text.len() <= TOPIC_BYTES);
            let spelled = spell(&topic);
            // Escapes take three bytes for one, so that the longest names no longer fit.
            if spelled.len() <= TOPIC_BYTES {
                assert_eq!(Topic::parse(&spelled), Ok(topic));
            }
        }
        // The text is a client's to read: it names what would be right, and does not repeat what was sent.
        Err(error) => assert!(error.to_string().len() < 200),
    }
});

/// The topic with every byte of its names escaped.
fn spell(topic: &Topic) -> String {
    let escaped = |name: &str| {
        name.bytes().fold(String::new(), |mut all, byte| {
            let _ = write!(all, "%{byte:02X}");
            all
        })
    };
    match topic {
        Topic::All => "realtime:*".to_owned(),
        Topic::Schema(schema) => format!("realtime:{}", escaped(schema)),
        Topic::Table { schema, table } => format!("realtime:{}:{}", escaped(schema), escaped(table)),
        Topic::Filtered { schema, table, column, value } => {
            format!("realtime:{}:{}:{}=eq.{value}", escaped(schema), escaped(table), escaped(column))
        }
    }
}
