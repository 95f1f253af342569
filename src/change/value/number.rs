//! Numbers: the token Postgres printed, never a conversion of it.

use super::write_string;

/// Appends the number as printed, or a string where JSON has no such number (`NaN`, `-Infinity`).
pub(super) fn write(out: &mut Vec<u8>, text: &[u8]) {
    if is_number(text) {
        out.extend_from_slice(text);
    } else {
        write_string(out, text);
    }
}

/// The grammar of RFC 8259, section 6, which is stricter than what SQL reads: no leading zeros, no
/// bare point, no plus sign.
fn is_number(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let Some((integer, mut rest)) = digits(unsigned) else { return false };
    if integer.len() > 1 && integer.starts_with(b"0") {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let Some((_, behind)) = digits(fraction) else { return false };
        rest = behind;
    }
    if let Some((b'e' | b'E', exponent)) = rest.split_first() {
        let unsigned = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        let Some((_, behind)) = digits(unsigned) else { return false };
        rest = behind;
    }
    rest.is_empty()
}

/// A run of at least one digit, and what follows it.
fn digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(count).filter(|(run, _)| !run.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_json_tokens_are_numbers() {
        for good in ["0", "-0", "10", "0.10", "-1.5e-7", "1e+20", "1E5", "9223372036854775808"] {
            assert!(is_number(good.as_bytes()), "{good}");
        }
        for bad in
            ["", "-", "+1", "01", "-01", ".5", "1.", "1e", "1e+", "NaN", "1 ", " 1", "1,5", "0x1", "--1"]
        {
            assert!(!is_number(bad.as_bytes()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_grammar_agrees_with_serde_json(text in "[-+]?[0-9]{0,3}[.]?[0-9]{0,2}([eE][-+]?[0-9]{0,2})?") {
            prop_assert_eq!(is_number(text.as_bytes()), serde_json::from_str::<f64>(&text).is_ok());
        }
    }
}
