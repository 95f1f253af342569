//! The quoting that arrays, composites and hstores have in common.

use memchr::memchr2;

/// How a quote inside quotes is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// Only by a backslash: a second quote ends the text (arrays and hstore).
    Backslash,
    /// By a backslash or by a second quote (composites; Postgres manual, 8.16.6).
    Doubled,
}

/// Reads up to the closing quote; `text` starts behind the opening one.
///
/// Gives what the quotes meant and what follows them, or nothing if the quote is never closed.
/// `scratch` is written to only if there is something to unescape.
pub(super) fn read<'text: 'out, 'out>(
    text: &'text [u8],
    quoting: Quoting,
    scratch: &'out mut Vec<u8>,
) -> Option<(&'out [u8], &'text [u8])> {
    let (run, special, mut rest) = to_special(text)?;
    if special == b'"' && !continues(quoting, rest) {
        return Some((run, rest));
    }
    scratch.clear();
    scratch.extend_from_slice(run);
    let mut special = special;
    loop {
        // A backslash gives the byte behind it, and so does the first of two quotes.
        if special == b'"' && !continues(quoting, rest) {
            return Some((scratch, rest));
        }
        let (&escaped, behind) = rest.split_first()?;
        scratch.push(escaped);
        let (run, next, behind) = to_special(behind)?;
        scratch.extend_from_slice(run);
        (special, rest) = (next, behind);
    }
}

fn continues(quoting: Quoting, behind: &[u8]) -> bool {
    quoting == Quoting::Doubled && behind.starts_with(b"\"")
}

fn to_special(text: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (run, from_special) = text.split_at_checked(memchr2(b'"', b'\\', text)?)?;
    let (&special, rest) = from_special.split_first()?;
    Some((run, special, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_end_where_their_dialect_says() {
        use Quoting::{Backslash, Doubled};
        for (text, quoting, expected) in [
            (r#"a",b"#, Backslash, Some(("a", ",b"))),
            (r#"""#, Backslash, Some(("", ""))),
            (r#"a\"b\\c"}"#, Backslash, Some((r#"a"b\c"#, "}"))),
            (r#"a""b"#, Backslash, Some(("a", "\"b"))),
            (r#"a""b")"#, Doubled, Some((r#"a"b"#, ")"))),
            ("\"\"\"\"\"", Doubled, Some(("\"\"", ""))),
            (r#"a\"b\\")"#, Doubled, Some((r#"a"b\"#, ")"))),
            (r#"\n""#, Backslash, Some(("n", ""))),
            ("open", Backslash, None),
            (r#"open\""#, Backslash, None),
            (r"open\", Backslash, None),
            (r#"open"""#, Doubled, None),
        ] {
            let mut scratch = b"left over".to_vec();
            let read = read(text.as_bytes(), quoting, &mut scratch);
            assert_eq!(read, expected.map(|(value, rest)| (value.as_bytes(), rest.as_bytes())), "{text}");
        }
    }
}
