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

fn is_number(text: &[u8]) -> bool {
    behind_number(text).is_some_and(<[u8]>::is_empty)
}

/// What follows the number at the start, if there is one by the grammar of RFC 8259, section 6. That
/// is stricter than what SQL reads: no leading zeros, no bare point, no plus sign.
pub(super) fn behind_number(text: &[u8]) -> Option<&[u8]> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let mut rest = match unsigned.strip_prefix(b"0") {
        Some(behind) => behind,
        None => behind_digits(unsigned)?,
    };
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = behind_digits(fraction)?;
    }
    if let Some((b'e' | b'E', exponent)) = rest.split_first() {
        let unsigned = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        rest = behind_digits(unsigned)?;
    }
    Some(rest)
}

/// What follows a run of at least one digit.
fn behind_digits(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.get(count..).filter(|_| count > 0)
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
