//! Rows as `COPY .. TO STDOUT` writes them in its text format (PostgreSQL manual, `COPY`, File Formats).

use std::borrow::Cow;

/// The columns of one row, without its line's end; `None` is NULL.
pub fn columns(line: &[u8]) -> impl Iterator<Item = Option<Cow<'_, [u8]>>> {
    line.split(|byte| *byte == b'\t').map(|column| match column {
        b"\\N" => None,
        plain if memchr::memchr(b'\\', plain).is_none() => Some(Cow::Borrowed(plain)),
        escaped => Some(Cow::Owned(unescaped(escaped))),
    })
}

/// Only these escapes are written; any other character behind a backslash stands for itself.
fn unescaped(column: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(column.len());
    let mut bytes = column.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.extend(bytes.next().map(|escaped| match escaped {
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0B,
            other => other,
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &[u8]) -> Vec<Option<Vec<u8>>> {
        columns(line).map(|column| column.map(Cow::into_owned)).collect()
    }

    #[test]
    fn a_line_is_read_as_copy_writes_it() {
        let some = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(
            read(b"1\t\\N\t\t\\\\N\ta\\tb\\nc"),
            [some("1"), None, some(""), some("\\N"), some("a\tb\nc")]
        );
        assert_eq!(read(b"\\b\\f\\r\\v\\x\\"), [some("\x08\x0c\r\x0bx")]);
        assert_eq!(read(b""), [some("")]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec(prop::option::of(any::<Vec<u8>>()), 1..5)) {
            let mut line = Vec::new();
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    line.push(b'\t');
                }
                let Some(value) = value else { line.extend(b"\\N"); continue };
                for byte in value {
                    match byte {
                        b'\\' => line.extend(b"\\\\"),
                        b'\t' => line.extend(b"\\t"),
                        b'\n' => line.extend(b"\\n"),
                        b'\r' => line.extend(b"\\r"),
                        0x08 => line.extend(b"\\b"),
                        0x0B => line.extend(b"\\v"),
                        0x0C => line.extend(b"\\f"),
                        other => line.push(*other),
                    }
                }
            }
            prop_assert_eq!(read(&line), values);
        }
    }
}
