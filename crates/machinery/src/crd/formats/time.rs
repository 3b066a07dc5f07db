//! Dates and durations.

use drydock_cel::value::Duration;
use jiff::civil::Date;

/// `2006-01-02`
pub(super) fn is_date(text: &str) -> bool {
    let shape = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    shape && text.parse::<Date>().is_ok()
}

/// RFC 3339 with seconds and a zone, in either case.
pub(super) fn is_date_time(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut parts = text.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    is_date(date) && is_time(time)
}

fn is_time(text: &str) -> bool {
    let Some((clock, rest)) = text.split_at_checked(8) else { return false };
    let numbers: Vec<&str> = clock.split(':').collect();
    let limits = ["23", "59", "59"];
    let two_digits = |number: &str| number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit());
    let clock_ok = numbers.len() == 3
        && numbers.iter().zip(limits).all(|(number, limit)| two_digits(number) && *number <= limit);
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == fraction.len() {
                return false;
            }
            zone
        }
        None => rest,
    };
    let offset = zone.strip_prefix(['+', '-']).and_then(|offset| offset.split_once(':'));
    clock_ok
        && (zone == "z" || offset.is_some_and(|(hours, minutes)| two_digits(hours) && two_digits(minutes)))
}

/// Go's `1h30m`, or numbers with units in words anywhere in the text: `3 days`.
pub(super) fn is_duration(text: &str) -> bool {
    parse_duration(text).is_some()
}

/// What [`is_duration`] accepts, as a length of time.
pub(in crate::crd) fn parse_duration(text: &str) -> Option<Duration> {
    Duration::parse(text).or_else(|| worded_duration(text))
}

/// Units by their names, in nanoseconds; a word may also begin with the last of them.
const UNITS: [(&[&str], i64); 8] = [
    (&["ns", "nano"], 1),
    (&["us", "\u{b5}s", "micro"], 1_000),
    (&["ms", "milli"], 1_000_000),
    (&["s", "sec"], 1_000_000_000),
    (&["m", "min"], 60_000_000_000),
    (&["h", "hr", "hour"], 3_600_000_000_000),
    (&["d", "day"], 86_400_000_000_000),
    (&["w", "wk", "week"], 604_800_000_000_000),
];

/// The sum of all amounts in the text. It wraps around as Go's does.
fn worded_duration(text: &str) -> Option<Duration> {
    let text = text.to_lowercase();
    let mut rest = text.as_str();
    let mut total = None;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let number = &rest[start..];
        let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let after = number[digits..].trim_start();
        let end = after.find(|c: char| !(c.is_ascii_alphabetic() || c == '\u{b5}')).unwrap_or(after.len());
        let word = &after[..end];
        for (names, unit) in UNITS {
            let begins = names.last().is_some_and(|last| word.starts_with(last));
            if names.contains(&word) || begins {
                let amount: i64 = number[..digits].parse().ok()?;
                total = Some(total.unwrap_or(0_i64).wrapping_add(amount.wrapping_mul(unit)));
            }
        }
        rest = &after[end..];
    }
    total.map(Duration::from_nanoseconds)
}
