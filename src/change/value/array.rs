//! Array text (Postgres manual, 8.15.6 Array Input and Output Syntax) to JSON arrays.

use super::quoted::{self, Quoting};
use super::{Context, write_nested};
use crate::change::types::TypeInfo;

/// `MAXDIM` of Postgres.
const MAX_DIMENSIONS: usize = 6;

/// Appends the array, or gives nothing where the text is not what Postgres prints for an array.
///
/// Lower bounds (`[0:2]={..}`) are dropped, as `to_jsonb` does: JSON arrays have none.
pub(super) fn write(
    out: &mut Vec<u8>,
    element: &TypeInfo,
    delimiter: u8,
    text: &[u8],
    context: Context,
) -> Option<()> {
    elements(out, delimiter, text, |out, value| {
        match value {
            Some(value) => write_nested(out, element, value, context),
            None => out.extend_from_slice(b"null"),
        }
        Some(())
    })
}

/// Whether the text is an array's of several dimensions.
pub(super) fn is_nested(text: &[u8]) -> bool {
    behind_bounds(text).is_some_and(|array| array.starts_with(b"{{"))
}

/// The same with somebody else's way to write the elements, `None` for NULL.
pub(super) fn elements(
    out: &mut Vec<u8>,
    delimiter: u8,
    text: &[u8],
    mut write: impl FnMut(&mut Vec<u8>, Option<&[u8]>) -> Option<()>,
) -> Option<()> {
    let mut rest = behind_bounds(text)?;
    if rest == b"{}" {
        out.extend_from_slice(b"[]");
        return Some(());
    }
    let mut scratch = Vec::new();
    let mut level = 0;
    let mut leaves = None;
    loop {
        if let Some(inside) = rest.strip_prefix(b"{") {
            level += 1;
            out.push(b'[');
            rest = inside;
            if level > MAX_DIMENSIONS {
                return None;
            }
            continue;
        }
        // Elements lie at one level only: the clients' array readers know no mixture.
        if level == 0 || *leaves.get_or_insert(level) != level {
            return None;
        }
        if let Some(quote) = rest.strip_prefix(b"\"") {
            let (value, behind) = quoted::read(quote, Quoting::Backslash, &mut scratch)?;
            write(out, Some(value))?;
            rest = behind;
        } else {
            let (value, behind) = bare(rest, delimiter)?;
            write(out, Some(value).filter(|value| !value.eq_ignore_ascii_case(b"NULL")))?;
            rest = behind;
        }
        while let Some(outside) = rest.strip_prefix(b"}") {
            level -= 1;
            out.push(b']');
            rest = outside;
            if level == 0 {
                return rest.is_empty().then_some(());
            }
        }
        let (&separator, next) = rest.split_first()?;
        if separator != delimiter {
            return None;
        }
        out.push(b',');
        rest = next;
    }
}

/// An element without quotes; Postgres quotes every one that is empty or holds a special character.
fn bare(text: &[u8], delimiter: u8) -> Option<(&[u8], &[u8])> {
    let end =
        text.iter().position(|&byte| byte == delimiter || matches!(byte, b'{' | b'}' | b'"' | b'\\'))?;
    text.split_at_checked(end).filter(|(value, _)| !value.is_empty())
}

/// Skips the bounds that are printed when an array does not start at 1: `[0:2]=`, `[1:1][-2:-1]=`.
fn behind_bounds(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    while let Some(bound) = rest.strip_prefix(b"[") {
        let upper = behind_integer(bound)?.strip_prefix(b":")?;
        rest = behind_integer(upper)?.strip_prefix(b"]")?;
    }
    if rest.len() < text.len() { rest.strip_prefix(b"=") } else { Some(rest) }
}

fn behind_integer(text: &[u8]) -> Option<&[u8]> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let digits = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    unsigned.get(digits..).filter(|_| digits > 0)
}

#[cfg(test)]
mod tests {
    use tokio_postgres::types::Type;

    use crate::change::types::{TypeInfo, builtin};
    use crate::change::value::{Profile, write_value};

    fn json(info: &TypeInfo, text: &str) -> String {
        let mut out = Vec::new();
        write_value(&mut out, info, text.as_bytes(), Profile::Default);
        String::from_utf8(out).unwrap()
    }

    fn check(ty: &Type, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(json(&builtin(ty.oid()).unwrap(), text), *expected, "{text}");
        }
    }

    #[test]
    fn elements_are_written_by_their_type() {
        check(&Type::INT4_ARRAY, &[("{1,-2,NULL}", "[1,-2,null]"), ("{}", "[]")]);
        check(&Type::BOOL_ARRAY, &[("{t,f}", "[true,false]")]);
        check(&Type::FLOAT8_ARRAY, &[("{1.5,NaN}", r#"[1.5,"NaN"]"#)]);
        check(&Type::TIMESTAMP_ARRAY, &[(r#"{"2024-01-02 03:04:05"}"#, r#"["2024-01-02T03:04:05"]"#)]);
        check(&Type::JSON_ARRAY, &[(r#"{"{\"a\": [\"\\\\\"]}",1,"null"}"#, r#"[{"a": ["\\"]},1,null]"#)]);
        check(&Type::BOX_ARRAY, &[("{(1,1),(0,0);(2,2),(1,1)}", r#"["(1,1),(0,0)","(2,2),(1,1)"]"#)]);
        check(&Type::INT2_VECTOR_ARRAY, &[(r#"{"1 2","3"}"#, r#"["1 2","3"]"#)]);
    }

    #[test]
    fn only_a_bare_null_is_null() {
        check(&Type::TEXT_ARRAY, &[(r#"{NULL,"NULL","null",""}"#, r#"[null,"NULL","null",""]"#)]);
    }

    #[test]
    fn quotes_and_backslashes_are_read() {
        check(
            &Type::TEXT_ARRAY,
            &[
                (
                    r#"{"a b","c,d","{e}","say \"hi\"","back\\slash"}"#,
                    r#"["a b","c,d","{e}","say \"hi\"","back\\slash"]"#,
                ),
                ("{\"line\nfeed\",gr\u{fc}n}", "[\"line\\nfeed\",\"gr\u{fc}n\"]"),
            ],
        );
    }

    #[test]
    fn dimensions_nest_and_bounds_are_dropped() {
        check(
            &Type::INT4_ARRAY,
            &[
                ("{{1,2},{3,NULL}}", "[[1,2],[3,null]]"),
                ("{{{{{{1}}}}}}", "[[[[[[1]]]]]]"),
                ("[0:2]={1,2,3}", "[1,2,3]"),
                ("[1:1][-2:-1]={{1,2}}", "[[1,2]]"),
            ],
        );
    }

    #[test]
    fn malformed_text_stays_whole() {
        for text in [
            "",
            "1",
            "{",
            "}",
            "{1",
            "{1}x",
            "{1}{2}",
            "{,}",
            "{1,}",
            "{,1}",
            "{1,,2}",
            "{{}}",
            "{{1},2}",
            "{1,{2}}",
            "{1}}",
            "{{1}",
            "{\"a}",
            "{\"a\"b}",
            "{a\"b\"}",
            "{a\\}",
            "{1;2",
            "[0:1]{1}",
            "[0:]={1}",
            "[:1]={1}",
            "[0:1={1}",
            "[]={1}",
            "={1}",
            "{1},{2}",
            "{{{{{{{1}}}}}}}",
        ] {
            let value: String =
                serde_json::from_str(&json(&builtin(Type::TEXT_ARRAY.oid()).unwrap(), text)).unwrap();
            assert_eq!(value, text);
        }
    }

    #[test]
    fn nesting_deeper_than_postgres_allows_does_not_overflow() {
        let deep = "{".repeat(1_000_000);
        let value: String =
            serde_json::from_str(&json(&builtin(Type::INT4_ARRAY.oid()).unwrap(), &deep)).unwrap();
        assert_eq!(value, deep);
    }
}
