//! The text of the extension `hstore` (Postgres manual, F.17) to an object of strings and nulls.

use super::quoted::{self, Quoting};
use super::write_string;

/// Appends the object, or gives nothing where the text is not as `hstore_out` prints it.
///
/// Keys and values are always quoted there, and values are strings whatever they look like, as in
/// `to_jsonb`.
pub(super) fn write(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    let mut scratch = Vec::new();
    let mut rest = text;
    out.push(b'{');
    while !rest.is_empty() {
        if rest.len() < text.len() {
            rest = rest.strip_prefix(b", ")?;
            out.push(b',');
        }
        let (key, behind) = quoted::read(rest.strip_prefix(b"\"")?, Quoting::Backslash, &mut scratch)?;
        write_string(out, key);
        out.push(b':');
        let value = behind.strip_prefix(b"=>")?;
        if let Some(behind) = value.strip_prefix(b"NULL") {
            out.extend_from_slice(b"null");
            rest = behind;
        } else {
            let (value, behind) = quoted::read(value.strip_prefix(b"\"")?, Quoting::Backslash, &mut scratch)?;
            write_string(out, value);
            rest = behind;
        }
    }
    out.push(b'}');
    Some(())
}

#[cfg(test)]
mod tests {
    use crate::change::types::TypeInfo;
    use crate::change::value::{Profile, write_value};

    fn json(text: &str) -> String {
        let mut out = Vec::new();
        write_value(&mut out, &TypeInfo::hstore(), text.as_bytes(), Profile::Default);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn pairs_become_an_object_of_strings_and_nulls() {
        for (text, expected) in [
            ("", "{}"),
            (r#""a"=>"1", "b"=>NULL"#, r#"{"a":"1","b":null}"#),
            (r#""a"=>"NULL""#, r#"{"a":"NULL"}"#),
            (r#"""=>"""#, r#"{"":""}"#),
            (r#""k\"\\"=>"a=>b, \"c\"""#, r#"{"k\"\\":"a=>b, \"c\""}"#),
        ] {
            assert_eq!(json(text), expected, "{text}");
        }
    }

    #[test]
    fn malformed_text_stays_whole() {
        for text in [
            "a",
            "\"a\"",
            "\"a\"=>",
            "\"a\"=>b",
            "\"a\"=>\"b",
            "\"a\"=>NULLx",
            "\"a\"=>\"b\",",
            "\"a\"=>\"b\", ",
            "\"a\"=>\"b\",\"c\"=>NULL",
            ", \"a\"=>NULL",
            " ",
            "\"a\" => \"b\"",
        ] {
            assert_eq!(serde_json::from_str::<String>(&json(text)).unwrap(), text);
        }
    }
}
