//! `json` and `jsonb`: already JSON, and embedded as it is.

use std::str;

use smallvec::SmallVec;

use super::number::behind_number;
use super::string::{literal_run, write_string};

/// Appends the document byte for byte: order, duplicate keys, spaces and digits are the user's.
///
/// Postgres has checked it, but the whole frame is unreadable if a byte is wrong here, so it is
/// checked again; what is not JSON becomes a string.
pub(super) fn write(out: &mut Vec<u8>, text: &[u8]) {
    if is_document(text) && str::from_utf8(text).is_ok() {
        out.extend_from_slice(text);
    } else {
        write_string(out, text);
    }
}

/// The grammar of RFC 8259, to any depth and so without recursion.
///
/// As in the input of `json`, any four hexadecimal digits may follow `\u`: half a surrogate pair too.
fn is_document(text: &[u8]) -> bool {
    behind_value(behind_space(text)).is_some_and(|rest| behind_space(rest).is_empty())
}

/// What follows the value at the start, with all that is nested in it.
fn behind_value(text: &[u8]) -> Option<&[u8]> {
    // The closing brackets still awaited, the innermost last.
    let mut open = SmallVec::<[u8; 64]>::new();
    let mut rest = text;
    loop {
        let (closing, inside) = match rest.split_first()? {
            (b'{', inside) => (Some(b'}'), behind_space(inside)),
            (b'[', inside) => (Some(b']'), behind_space(inside)),
            _ => (None, behind_scalar(rest)?),
        };
        rest = inside;
        if let Some(closing) = closing {
            open.push(closing);
            if !rest.starts_with(&[closing]) {
                rest = behind_separator(closing, rest)?;
                continue;
            }
        }
        loop {
            let Some(&closing) = open.last() else { return Some(rest) };
            let (&next, behind) = behind_space(rest).split_first()?;
            if next == closing {
                open.pop();
                rest = behind;
            } else if next == b',' {
                rest = behind_separator(closing, behind_space(behind))?;
                break;
            } else {
                return None;
            }
        }
    }
}

/// What follows the key, its colon and the spaces around it; nothing but a value stands in an array.
fn behind_separator(closing: u8, text: &[u8]) -> Option<&[u8]> {
    if closing == b']' {
        return Some(text);
    }
    let behind = behind_string(text.strip_prefix(b"\"")?)?;
    Some(behind_space(behind_space(behind).strip_prefix(b":")?))
}

fn behind_scalar(text: &[u8]) -> Option<&[u8]> {
    match text.split_first()? {
        (b'"', behind) => behind_string(behind),
        (b't', behind) => behind.strip_prefix(b"rue"),
        (b'f', behind) => behind.strip_prefix(b"alse"),
        (b'n', behind) => behind.strip_prefix(b"ull"),
        _ => behind_number(text),
    }
}

/// What follows the closing quote; `text` starts behind the opening one.
fn behind_string(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        let escape = match rest.get(literal_run(rest)..)?.split_first()? {
            (b'"', behind) => return Some(behind),
            (b'\\', escape) => escape,
            _ => return None,
        };
        rest = match escape.split_first()? {
            (b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind) => behind,
            (b'u', hex) => {
                let (digits, behind) = hex.split_first_chunk::<4>()?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(behind)?
            }
            _ => return None,
        };
    }
}

fn behind_space(text: &[u8]) -> &[u8] {
    let count = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    text.get(count..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

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
        for text in [
            "",
            " ",
            "{",
            "[",
            "{x}",
            "1 2",
            "'a'",
            "NaN",
            "\"a\nb\"",
            "\"a",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{\"a\":1]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{\"a\":}",
            "{1:2}",
            "[]]",
            "\"\\x\"",
            "\"\\u12g4\"",
            "tru",
            "nul",
            "01",
            "-",
        ] {
            let value: String = serde_json::from_slice(&json(text.as_bytes())).unwrap();
            assert_eq!(value, text);
        }
        assert_eq!(json(b"\"\xff\""), "\"\\\"\u{FFFD}\\\"\"".as_bytes());
    }
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn the_grammar_agrees_with_serde_json(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\u00e9\\n\"", "\"", "\\", "1", "-0.5e3", "true", "null",
                    "false", " ", "\n", "{\"k\":", "[1,", "\u{fc}",
                ]),
                0..9,
            )
        ) {
            let text = pieces.concat();
            let reference = serde_json::from_str::<&RawValue>(&text).is_ok();
            prop_assert_eq!(is_document(text.as_bytes()), reference, "{}", text);
        }
    }
}
