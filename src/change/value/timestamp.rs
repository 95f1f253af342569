//! Timestamps: from the ISO style of `DateStyle` to ISO 8601, as `to_jsonb` prints them.

use memchr::memchr;

use super::write_string;

/// Appends a `timestamp`: `2024-01-02 03:04:05.1` with a `T` for its space.
///
/// `infinity` and dates before Christ (`... BC`) have no ISO 8601 form and stay as their text.
pub(super) fn write(out: &mut Vec<u8>, text: &[u8]) {
    match date_and_rest(text) {
        Some((date, time)) if is_time(time) => {
            out.push(b'"');
            write_joined(out, date, time);
            out.push(b'"');
        }
        _ => write_string(out, text),
    }
}

/// Appends a `timestamptz`; an offset of whole hours (`+00`) gets its minutes (`+00:00`), without
/// which it is not the ISO 8601 of RFC 3339.
pub(super) fn write_zoned(out: &mut Vec<u8>, text: &[u8]) {
    match date_and_rest(text).and_then(|(date, rest)| Some((date, zoned_time(rest)?))) {
        Some((date, (time, offset))) => {
            out.push(b'"');
            write_joined(out, date, time);
            out.extend_from_slice(offset);
            if offset.len() == "+00".len() {
                out.extend_from_slice(b":00");
            }
            out.push(b'"');
        }
        None => write_string(out, text),
    }
}

fn write_joined(out: &mut Vec<u8>, date: &[u8], time: &[u8]) {
    out.extend_from_slice(date);
    out.push(b'T');
    out.extend_from_slice(time);
}

/// Years may have more than four digits.
fn date_and_rest(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (date, rest) = text.split_at_checked(memchr(b' ', text)?)?;
    let dated = date.first()?.is_ascii_digit() && all(date, |byte| matches!(byte, b'0'..=b'9' | b'-'));
    dated.then_some((date, rest.strip_prefix(b" ")?))
}

fn is_time(time: &[u8]) -> bool {
    !time.is_empty() && all(time, |byte| matches!(byte, b'0'..=b'9' | b':' | b'.'))
}

/// Without a way out in the middle: these texts are short, and nearly always what they should be.
fn all(text: &[u8], fits: impl Fn(u8) -> bool) -> bool {
    text.iter().fold(true, |so_far, &byte| so_far & fits(byte))
}

/// `03:04:05.1+05:30` in two: offsets are `+HH`, `+HH:MM` or, for local mean times, `+HH:MM:SS`.
fn zoned_time(text: &[u8]) -> Option<(&[u8], &[u8])> {
    ["+00".len(), "+00:00".len(), "+00:00:00".len()].into_iter().find_map(|length| {
        let (time, offset) = text.split_at_checked(text.len().checked_sub(length)?)?;
        let (b'+' | b'-', numbers) = offset.split_first()? else { return None };
        let whole = numbers.chunks(3).all(|part| match part {
            [tens, ones] | [tens, ones, b':'] => tens.is_ascii_digit() & ones.is_ascii_digit(),
            _ => false,
        });
        (whole && is_time(time)).then_some((time, offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(writer: fn(&mut Vec<u8>, &[u8]), text: &str, expected: &str) {
        let mut out = Vec::new();
        writer(&mut out, text.as_bytes());
        assert_eq!(String::from_utf8(out).unwrap(), format!("\"{expected}\""));
    }

    #[test]
    fn timestamps_get_their_t() {
        for (text, expected) in [
            ("2024-01-02 03:04:05.1", "2024-01-02T03:04:05.1"),
            ("0001-01-01 00:00:00", "0001-01-01T00:00:00"),
            ("294276-12-31 23:59:59.999999", "294276-12-31T23:59:59.999999"),
        ] {
            check(write, text, expected);
        }
    }

    #[test]
    fn offsets_get_their_minutes() {
        for (text, expected) in [
            ("2024-01-02 03:04:05.1+00", "2024-01-02T03:04:05.1+00:00"),
            ("2024-01-02 03:04:05-08", "2024-01-02T03:04:05-08:00"),
            ("2024-01-02 03:04:05+05:30", "2024-01-02T03:04:05+05:30"),
            ("1850-01-02 03:04:05-00:01:15", "1850-01-02T03:04:05-00:01:15"),
        ] {
            check(write_zoned, text, expected);
        }
    }

    #[test]
    fn what_iso_8601_cannot_say_stays_as_text() {
        for text in ["infinity", "-infinity", "0044-03-15 00:00:00 BC", "now", "", " ", "2024-01-02"] {
            check(write, text, text);
            check(write_zoned, text, text);
        }
        check(write, "2024-01-02 03:04:05+00", "2024-01-02 03:04:05+00");
        for text in ["0044-03-15 00:00:00+00 BC", "2024-01-02 03:04:05", "2024-01-02 03:04:05+0", "1 2+00:0"]
        {
            check(write_zoned, text, text);
        }
    }
}
