//! JSON strings (RFC 8259, section 7).

use std::str;

/// Appends `text` as one JSON string; what is not UTF-8 in it becomes U+FFFD.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if is_plain(text) {
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

/// Sixteen bytes at a time, without a branch between them, is what the compiler makes one vector of.
const LANE: usize = 16;

/// Not zero for a byte that cannot stand for itself.
fn special(byte: u8) -> u8 {
    u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
}

/// ASCII that stands for itself: most text is nothing else, and then needs no UTF-8 check either.
///
/// The last lane overlaps the one before: bytes checked twice cost less than a remainder one by one.
fn is_plain(text: &[u8]) -> bool {
    if let Some(end) = text.last_chunk::<LANE>() {
        let (lanes, _) = text.as_chunks::<LANE>();
        lanes.iter().all(is_plain_lane) && is_plain_lane(end)
    } else if let (Some(start), Some(end)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        is_plain_lane(start) && is_plain_lane(end)
    } else {
        text.iter().all(|&byte| is_plain_lane(&[byte]))
    }
}

fn is_plain_lane<const N: usize>(lane: &[u8; N]) -> bool {
    lane.iter().fold(0, |found, &byte| found | special(byte) | (byte & 0x80)) == 0
}

/// How many bytes at the start stand for themselves.
pub(super) fn literal_run(text: &[u8]) -> usize {
    let (lanes, _) = text.as_chunks::<LANE>();
    let literal = |lane: &&[u8; LANE]| lane.iter().fold(0, |found, &byte| found | special(byte)) == 0;
    let clean = lanes.iter().take_while(literal).count() * LANE;
    clean + text.iter().skip(clean).take_while(|&&byte| special(byte) == 0).count()
}

fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some((literal, from_special)) = rest.split_at_checked(literal_run(rest)) {
        out.extend_from_slice(literal);
        let Some((&reserved, behind)) = from_special.split_first() else { return };
        write_escape(out, reserved);
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
