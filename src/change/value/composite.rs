//! Row text (Postgres manual, 8.16.6 Composite Type Input and Output Syntax) to JSON objects.

use super::quoted::{self, Quoting};
use super::{Context, write_nested};
use crate::change::types::Attribute;

/// Appends the object, or gives nothing where the text is not a row of exactly these attributes.
///
/// The fields carry no names. If their number is not that of the attributes, the type was altered
/// after the row was written to the log, and names would be guesses.
pub(super) fn write(
    out: &mut Vec<u8>,
    attributes: &[Attribute],
    text: &[u8],
    context: Context,
) -> Option<()> {
    let mut rest = text.strip_prefix(b"(")?;
    let mut scratch = Vec::new();
    out.push(b'{');
    for (position, attribute) in attributes.iter().enumerate() {
        if position > 0 {
            rest = rest.strip_prefix(b",")?;
            out.push(b',');
        }
        out.extend_from_slice(attribute.json_key());
        if let Some(quote) = rest.strip_prefix(b"\"") {
            let (value, behind) = quoted::read(quote, Quoting::Doubled, &mut scratch)?;
            write_nested(out, attribute.info(), value, context);
            rest = behind;
        } else {
            let (value, behind) = bare(rest)?;
            if value.is_empty() {
                out.extend_from_slice(b"null");
            } else {
                write_nested(out, attribute.info(), value, context);
            }
            rest = behind;
        }
    }
    out.push(b'}');
    (rest == b")").then_some(())
}

/// A field without quotes, empty if NULL; Postgres quotes one with a special character in it.
fn bare(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| matches!(byte, b',' | b')' | b'(' | b'"' | b'\\'))?;
    text.split_at_checked(end)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_postgres::types::Type;

    use crate::change::types::{Attribute, TypeInfo, builtin};
    use crate::change::value::{Profile, write_value};

    fn composite(attributes: &[(&str, &Arc<TypeInfo>)]) -> Arc<TypeInfo> {
        let attributes =
            attributes.iter().map(|(name, info)| Attribute::new(name, Arc::clone(info))).collect();
        TypeInfo::composite("pair", attributes)
    }

    fn of(ty: &Type) -> Arc<TypeInfo> {
        builtin(ty.oid()).unwrap()
    }

    fn json(info: &TypeInfo, text: &str) -> String {
        let mut out = Vec::new();
        write_value(&mut out, info, text.as_bytes(), Profile::Default);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_named_and_typed() {
        let info =
            composite(&[("n", &of(&Type::INT4)), ("say \"x\"", &of(&Type::TEXT)), ("b", &of(&Type::BOOL))]);
        for (text, expected) in [
            ("(1,abc,t)", r#"{"n":1,"say \"x\"":"abc","b":true}"#),
            ("(,,)", r#"{"n":null,"say \"x\"":null,"b":null}"#),
            (r#"(1,"",f)"#, r#"{"n":1,"say \"x\"":"","b":false}"#),
            (r#"(1,"b ""q"" \\ \x,",)"#, r#"{"n":1,"say \"x\"":"b \"q\" \\ x,","b":null}"#),
            ("(1, a b ,)", r#"{"n":1,"say \"x\"":" a b ","b":null}"#),
            ("(1,NULL,)", r#"{"n":1,"say \"x\"":"NULL","b":null}"#),
        ] {
            assert_eq!(json(&info, text), expected, "{text}");
        }
    }

    #[test]
    fn the_smallest_rows() {
        assert_eq!(json(&composite(&[]), "()"), "{}");
        assert_eq!(json(&composite(&[("n", &of(&Type::INT4))]), "()"), r#"{"n":null}"#);
        assert_eq!(json(&composite(&[("n", &of(&Type::INT4))]), "(7)"), r#"{"n":7}"#);
    }

    #[test]
    fn rows_and_arrays_nest_either_way() {
        let inner = composite(&[("t", &of(&Type::TEXT)), ("a", &of(&Type::TEXT_ARRAY))]);
        let outer = composite(&[("i", &inner), ("n", &of(&Type::INT8))]);
        assert_eq!(
            json(&outer, r#"("(""x """"y"""""",""{1,""""a \\\\""""b""""}"")",5)"#),
            r#"{"i":{"t":"x \"y\"","a":["1","a \"b"]},"n":5}"#
        );
        let rows = TypeInfo::array("_pair", inner, b',');
        assert_eq!(
            json(&rows, r#"{"(x,\"{1,2}\")",NULL,"(,)"}"#),
            r#"[{"t":"x","a":["1","2"]},null,{"t":null,"a":null}]"#
        );
    }

    #[test]
    fn malformed_text_stays_whole() {
        let pair = composite(&[("a", &of(&Type::TEXT)), ("b", &of(&Type::TEXT))]);
        for text in [
            "",
            "(",
            ")",
            "()",
            "(1)",
            "(1,2",
            "(1,2,3)",
            "1,2",
            "(1,2)x",
            "(1,2))",
            "(1,\"2)",
            "(1,\"2\"x)",
            "(1,x\"2\")",
            "(1,(2)",
            "(1,2\\)",
            "(1 2)",
        ] {
            assert_eq!(serde_json::from_str::<String>(&json(&pair, text)).unwrap(), text);
        }
        assert_eq!(json(&composite(&[]), "(1)"), r#""(1)""#);
    }

    #[test]
    fn a_malformed_field_leaves_the_others_alone() {
        let info = composite(&[("a", &of(&Type::INT4_ARRAY)), ("n", &of(&Type::INT4))]);
        assert_eq!(json(&info, "({1,2)"), r#"{"a":"{1","n":2}"#);
        assert_eq!(json(&info, r#"("{1,",2)"#), r#"{"a":"{1,","n":2}"#);
    }
}
