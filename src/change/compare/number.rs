//! Keys of numbers.

use super::{Key, signed};

/// The places of what is not an ordinary number around those that are (PostgreSQL manual, 8.1.2: NaN is
/// above infinity).
const BELOW: u8 = 0;
const NEGATIVE: u8 = 1;
const ZERO: u8 = 2;
const POSITIVE: u8 = 3;
const ABOVE: u8 = 4;
const NAN: u8 = 5;

/// `numeric`: a sign, how many digits stand before the point, and the digits without zeros around them.
/// Those of a negative number are inverted, and end with what is above every digit.
pub(super) fn numeric(text: &str) -> Option<Key> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    match (digits, negative) {
        ("NaN", false) => return Some(Key::from_slice(&[NAN])),
        ("Infinity", false) => return Some(Key::from_slice(&[ABOVE])),
        ("Infinity", true) => return Some(Key::from_slice(&[BELOW])),
        _ => {}
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let leading = fraction.len() - fraction.trim_start_matches('0').len();
    let (before_point, whole, fraction) = if whole.is_empty() {
        (-i32::try_from(leading).ok()?, "", fraction.get(leading..)?)
    } else {
        let trimmed = if fraction.is_empty() { whole.trim_end_matches('0') } else { whole };
        (i32::try_from(whole.len()).ok()?, trimmed, fraction)
    };
    if whole.is_empty() && fraction.is_empty() {
        return Some(Key::from_slice(&[ZERO]));
    }
    let mut key = Key::new();
    key.push(if negative { NEGATIVE } else { POSITIVE });
    key.extend_from_slice(&(before_point.cast_unsigned() ^ (1 << 31)).to_be_bytes());
    key.extend(whole.bytes().chain(fraction.bytes()));
    if negative {
        for byte in key.iter_mut().skip(1) {
            *byte = !*byte;
        }
        key.push(u8::MAX);
    }
    Some(key)
}

/// `float4` and `float8`, which print so that reading gives the same bits.
pub(super) fn float(text: &str) -> Option<Key> {
    let number: f64 = text.parse().ok()?;
    let bits = if number.is_nan() {
        u64::MAX
    } else if number == 0.0 {
        1 << 63
    } else if number.is_sign_negative() {
        !number.to_bits()
    } else {
        number.to_bits() | 1 << 63
    };
    Some(Key::from_slice(&bits.to_be_bytes()))
}

/// `pg_lsn`.
pub(super) fn lsn(text: &str) -> Option<Key> {
    let (high, low) = text.split_once('/')?;
    let half = |digits: &str| u32::from_str_radix(digits, 16).ok();
    Some(signed(i128::from(half(high)?) << 32 | i128::from(half(low)?)))
}
