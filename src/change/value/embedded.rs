//! `json` and `jsonb`: already JSON, and embedded as it is.

use std::str;

use serde::de::IgnoredAny;

use super::write_string;

/// Appends the document byte for byte: order, duplicate keys, spaces and digits are the user's.
///
/// Postgres has checked it, but the whole frame is unreadable if a byte is wrong here, so it is
/// checked again; what is not JSON becomes a string.
pub(super) fn write(out: &mut Vec<u8>, text: &[u8]) {
    let document = str::from_utf8(text).ok().filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    match document {
        Some(document) => out.extend_from_slice(document.as_bytes()),
        None => write_string(out, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, text);
        out
    }

    #[test]
    fn documents_are_embedded_byte_for_byte() {
        for text in [
            "null",
            "\"text\"",
            "1.10",
            "{\"a\": 1, \"a\": 1e999}",
            " {\n \"b\" : [ ] }\t",
            "{\"lone\": \"\\ud800\", \"nul\": \"\\u0000\"}",
            "12345678901234567890.12345678901234567890",
        ] {
            assert_eq!(json(text.as_bytes()), text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn depth_has_no_bound_of_ours() {
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(json(&deep), deep);
    }

    #[test]
    fn what_is_not_json_is_a_string() {
        for text in ["", "{", "{x}", "1 2", "'a'", "NaN", "\"a\nb\"", "[1,]"] {
            let value: String = serde_json::from_slice(&json(text.as_bytes())).unwrap();
            assert_eq!(value, text);
        }
        assert_eq!(json(b"\"\xff\""), "\"\\\"\u{FFFD}\\\"\"".as_bytes());
    }
}
