//! Keys of dates and times, from their texts in the style ISO and in UTC.

use super::{Key, signed};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i128 = 86_400_000_000;

/// The bytes before a moment's key: what is infinite is around all that is not.
const BELOW: u8 = 0;
const FINITE: u8 = 1;
const ABOVE: u8 = 2;

fn infinite(text: &str) -> Option<Key> {
    match text {
        "infinity" => Some(Key::from_slice(&[ABOVE])),
        "-infinity" => Some(Key::from_slice(&[BELOW])),
        _ => None,
    }
}

/// Year, month and day as one number in their order. The year 1 BC is the year 0.
fn day(text: &str, bc: bool) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let mut part = || parts.next().and_then(digits);
    let (year, month, day) = (part()?, part()?, part()?);
    let year = if bc { 1 - year } else { year };
    Some((year * 16 + month) * 32 + day)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Before Christ, as the end of a text says it.
fn era(text: &str) -> (&str, bool) {
    text.strip_suffix(" BC").map_or((text, false), |text| (text, true))
}

fn moment(day: i64, micros: i64) -> Key {
    let mut key = Key::from_slice(&[FINITE]);
    key.extend_from_slice(&(day.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    key.extend_from_slice(&micros.to_be_bytes());
    key
}

pub(super) fn date(text: &str) -> Option<Key> {
    let finite = || {
        let (text, bc) = era(text);
        Some(moment(day(text, bc)?, 0))
    };
    infinite(text).or_else(finite)
}

pub(super) fn timestamp(text: &str) -> Option<Key> {
    let finite = || {
        let (text, bc) = era(text);
        let (date, clock) = text.split_once(' ')?;
        let clock = clock.strip_suffix("+00").unwrap_or(clock);
        Some(moment(day(date, bc)?, time(clock)?))
    };
    infinite(text).or_else(finite)
}

/// `HH:MM:SS` and up to six digits more, as microseconds.
pub(super) fn time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.len() > 6 {
        return None;
    }
    let scale = 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?);
    Some(seconds(clock)? * MICROS_PER_SECOND + digits(fraction)? * scale)
}

/// `HH`, `HH:MM` or `HH:MM:SS`.
fn seconds(clock: &str) -> Option<i64> {
    let mut parts = clock.splitn(3, ':');
    let mut part = || parts.next().map_or(Some(0), digits);
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds)
}

/// The moment in UTC, then the zone, of which the more western one is greater (`timetz_cmp_internal`).
pub(super) fn time_with_zone(text: &str) -> Option<Key> {
    let at = text.rfind(['+', '-'])?;
    let (clock, zone) = text.split_at_checked(at)?;
    let east = match zone.split_at_checked(1)? {
        ("-", zone) => -seconds(zone)?,
        (_, zone) => seconds(zone)?,
    };
    let mut key = signed(i128::from(time(clock)? - east * MICROS_PER_SECOND));
    key.extend_from_slice(&signed(i128::from(-east)));
    Some(key)
}

/// The style `postgres`: `1 year -2 mons +3 days -04:05:06.7`.
pub(super) fn interval(text: &str) -> Option<Key> {
    let finite = || {
        let mut months = 0_i128;
        let mut days = 0_i128;
        let mut micros = 0_i128;
        let mut words = text.split(' ');
        while let Some(word) = words.next() {
            let negative = word.starts_with('-');
            let bare = word.trim_start_matches(['+', '-']);
            if bare.contains(':') {
                let clock = i128::from(time(bare)?);
                micros = if negative { -clock } else { clock };
                continue;
            }
            let number = i128::from(digits(bare)?);
            let number = if negative { -number } else { number };
            match words.next()?.trim_end_matches('s') {
                "year" => months += number * 12,
                "mon" => months += number,
                "day" => days += number,
                _ => return None,
            }
        }
        let mut key = Key::from_slice(&[FINITE]);
        key.extend_from_slice(&signed((months * 30 + days) * MICROS_PER_DAY + micros));
        Some(key)
    };
    infinite(text).or_else(finite)
}
