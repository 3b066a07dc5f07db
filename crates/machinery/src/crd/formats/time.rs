//! Dates and durations.

use jiff::civil::Date;

use crate::go_duration;

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
    go_duration::parse(text).is_ok() || has_worded_duration(text)
}

/// Units by their names; a text may also begin with the last of them.
fn has_worded_duration(text: &str) -> bool {
    const UNITS: [&[&str]; 8] = [
        &["ns", "nano"],
        &["us", "\u{b5}s", "micro"],
        &["ms", "milli"],
        &["s", "sec"],
        &["m", "min"],
        &["h", "hr", "hour"],
        &["d", "day"],
        &["w", "wk", "week"],
    ];
    let known = |word: &str| {
        UNITS
            .iter()
            .any(|names| names.contains(&word) || names.last().is_some_and(|last| word.starts_with(last)))
    };
    let text = text.to_lowercase();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let after = rest[start..].trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let end = after.find(|c: char| !(c.is_ascii_alphabetic() || c == '\u{b5}')).unwrap_or(after.len());
        if known(&after[..end]) {
            return true;
        }
        rest = &after[end..];
    }
    false
}
