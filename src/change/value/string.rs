//! JSON strings (RFC 8259, section 7).

use std::str;

/// Appends `text` as one JSON string; what is not UTF-8 in it becomes U+FFFD.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if all(text, is_plain) {
        out.extend_from_slice(text);
    } else if str::from_utf8(text).is_ok() {
        write_escaped(out, text);
    } else {
        for chunk in text.utf8_chunks() {
            write_escaped(out, chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{FFFD}".as_bytes());
            }
        }
    }
    out.push(b'"');
}

/// ASCII that stands for itself: most text is nothing else, and needs no UTF-8 check either.
fn is_plain(byte: u8) -> bool {
    byte < 0x80 && is_literal(byte)
}

fn is_literal(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Sixteen bytes at a time without a branch between them, which the compiler turns into vector code.
const LANE: usize = 16;

fn all(text: &[u8], is_clean: impl Fn(u8) -> bool + Copy) -> bool {
    let (lanes, rest) = text.as_chunks::<LANE>();
    lanes.iter().all(|lane| lane_all(lane, is_clean)) && lane_all(rest, is_clean)
}

fn lane_all(lane: &[u8], is_clean: impl Fn(u8) -> bool + Copy) -> bool {
    lane.iter().fold(true, |so_far, &byte| so_far & is_clean(byte))
}

/// How many bytes at the start stand for themselves.
fn literal_run(text: &[u8]) -> usize {
    let (lanes, _) = text.as_chunks::<LANE>();
    let clean = lanes.iter().take_while(|lane| lane_all(*lane, is_literal)).count() * LANE;
    clean + text.iter().skip(clean).take_while(|&&byte| is_literal(byte)).count()
}

fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some((literal, from_special)) = rest.split_at_checked(literal_run(rest)) {
        out.extend_from_slice(literal);
        let Some((&special, behind)) = from_special.split_first() else { return };
        write_escape(out, special);
        rest = behind;
    }
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend(
                [byte >> 4, byte & 0xF].map(|digit| digit + if digit < 10 { b'0' } else { b'a' - 10 }),
            );
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_json_reserves_is_escaped() {
        for (text, expected) in [
            (&b""[..], r#""""#),
            (b"plain", r#""plain""#),
            (br#"a "b" \c"#, r#""a \"b\" \\c""#),
            (b"\x08\x0C\n\r\t", r#""\b\f\n\r\t""#),
            (b"\0\x01\x1f", r#""\u0000\u0001\u001f""#),
            (b"\x7f/", "\"\x7f/\""),
            ("gr\u{fc}n \u{1F600}\u{2028}".as_bytes(), "\"gr\u{fc}n \u{1F600}\u{2028}\""),
        ] {
            assert_eq!(string(text), expected);
        }
    }

    #[test]
    fn every_position_of_a_special_byte_is_found() {
        for length in 0..50 {
            for at in 0..length {
                let mut text = vec![b'x'; length];
                text[at] = b'"';
                assert_eq!(
                    string(&text),
                    format!("\"{}\\\"{}\"", "x".repeat(at), "x".repeat(length - at - 1))
                );
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(string(b"a\xffb\""), "\"a\u{FFFD}b\\\"\"");
        assert_eq!(string(b"\xed\xa0\x80"), "\"\u{FFFD}\u{FFFD}\u{FFFD}\"");
        assert_eq!(string(b"cut \xf0\x9f\x98"), "\"cut \u{FFFD}\"");
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&string(text.as_bytes())).unwrap(), text);
        }

        #[test]
        fn any_bytes_read_back_lossily(bytes in any::<Vec<u8>>()) {
            let expected = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(serde_json::from_str::<String>(&string(&bytes)).unwrap(), expected);
        }
    }
}
