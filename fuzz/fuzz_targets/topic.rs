//! The grammar of topics and their filters: no panic on any text, and names and values that lose nothing when they are
//! escaped and read again.

#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use walcast::topic::filter::{Comparison, Filter, Singleton, Test};
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

fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "%{byte:02X}");
        all
    })
}

/// The topic with every byte of its names escaped.
fn spell(topic: &Topic) -> String {
    match topic {
        Topic::All => "realtime:*".to_owned(),
        Topic::Schema(schema) => format!("realtime:{}", escaped(schema)),
        Topic::Table { schema, table } => format!("realtime:{}:{}", escaped(schema), escaped(table)),
        Topic::Filtered { schema, table, filter } => {
            let filter = match filter {
                // In brackets this would be one level deeper.
                Filter::All(filters) if filters.len() > 1 => {
                    filters.iter().map(listed).collect::<Vec<_>>().join(",")
                }
                filter => listed(filter),
            };
            format!("realtime:{}:{}:{filter}", escaped(schema), escaped(table))
        }
    }
}

/// Between commas. Two negations keep a lone equality from being read as it was of old.
fn listed(filter: &Filter) -> String {
    match filter {
        Filter::All(filters) => format!("and=({})", elements(filters)),
        Filter::Any(filters) => format!("or=({})", elements(filters)),
        Filter::Not(filter) => match &**filter {
            Filter::Test { column, test } => format!("{}=not.{}", escaped(column), condition(test)),
            tree => format!("not.{}", listed(tree)),
        },
        Filter::Test { column, test } => format!("{}=not.not.{}", escaped(column), condition(test)),
    }
}

fn elements(filters: &[Filter]) -> String {
    filters.iter().map(element).collect::<Vec<_>>().join(",")
}

fn element(filter: &Filter) -> String {
    match filter {
        Filter::All(filters) => format!("and({})", elements(filters)),
        Filter::Any(filters) => format!("or({})", elements(filters)),
        Filter::Not(filter) => match &**filter {
            Filter::Test { column, test } => format!("{}.not.{}", quoted(column), condition(test)),
            tree => format!("not.{}", element(tree)),
        },
        Filter::Test { column, test } => format!("{}.{}", quoted(column), condition(test)),
    }
}

fn condition(test: &Test) -> String {
    match test {
        Test::Compare(comparison, value) => {
            let name = match comparison {
                Comparison::Eq => "eq",
                Comparison::Neq => "neq",
                Comparison::Lt => "lt",
                Comparison::Lte => "lte",
                Comparison::Gt => "gt",
                Comparison::Gte => "gte",
                Comparison::Distinct => "isdistinct",
            };
            format!("{name}.{}", quoted(value))
        }
        Test::Among(values) => {
            format!("in.({})", values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(","))
        }
        Test::Is(Singleton::Null) => "is.null".to_owned(),
        Test::Is(Singleton::True) => "is.true".to_owned(),
        Test::Is(Singleton::False) => "is.false".to_owned(),
        Test::Is(Singleton::Unknown) => "is.unknown".to_owned(),
        Test::Matches(matching, pattern) => format!("{}.{}", matching.name(), quoted(pattern)),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
