//! Durations and points in time, as Go reads and writes them.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error::EvalError;

/// A length of time in nanoseconds, at most some 292 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

/// A point in time from year 1 to 9999, with the offset from UTC that it was written with.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    /// Since 1970; negative before.
    nanoseconds: i128,
    /// In seconds, east of UTC.
    offset: i32,
}

const SECOND: i128 = 1_000_000_000;
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The years 1 to 9999, in seconds.
const MIN_SECONDS: i64 = -62_135_596_800;
const MAX_SECONDS: i64 = 253_402_300_799;

/// Units of `time.ParseDuration`, longest first where one begins another.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl Duration {
    pub fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    pub fn nanoseconds(self) -> i64 {
        self.0
    }

    /// `time.ParseDuration`: `1h30m`, `-1.5s`. None when it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if unsigned == "0" {
            return Some(Self(0));
        }
        let mut rest = unsigned;
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let (amount, after) = Self::parse_part(rest)?;
            total = total.checked_add(amount).filter(|total| *total <= 1 << 63)?;
            rest = after;
        }
        if unsigned.is_empty() {
            return None;
        }
        let signed = if text.starts_with('-') { -total } else { total };
        i64::try_from(signed).ok().map(Self)
    }

    fn parse_part(text: &str) -> Option<(i128, &str)> {
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (whole, rest) = text.split_at(digits(text));
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == name)?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        // More digits than this are beneath a nanosecond.
        let fraction = &fraction[..fraction.len().min(18)];
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        Some((whole.checked_mul(*unit)?.checked_add(part * unit / scale)?, rest))
    }

    /// As a fraction of seconds.
    pub fn seconds(self) -> f64 {
        (self.0 / 1_000_000_000) as f64 + (self.0 % 1_000_000_000) as f64 / 1e9
    }

    pub(crate) fn checked_add(self, other: Self) -> Result<Self, EvalError> {
        self.0.checked_add(other.0).map(Self).ok_or_else(|| EvalError::new("integer overflow"))
    }

    pub(crate) fn checked_sub(self, other: Self) -> Result<Self, EvalError> {
        self.0.checked_sub(other.0).map(Self).ok_or_else(|| EvalError::new("integer overflow"))
    }
}

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}s", self.seconds())
    }
}

impl Timestamp {
    /// Seconds from 1970.
    ///
    /// # Errors
    /// `timestamp overflow` outside of the years 1 to 9999.
    pub fn from_seconds(seconds: i64) -> Result<Self, EvalError> {
        Self { nanoseconds: i128::from(seconds) * SECOND, offset: 0 }.in_range()
    }

    /// The point in time, whatever the offset.
    pub fn nanoseconds(&self) -> i128 {
        self.nanoseconds
    }

    /// Whole seconds since 1970, rounded down.
    pub fn seconds(&self) -> i64 {
        i64::try_from(self.nanoseconds.div_euclid(SECOND)).unwrap_or(i64::MAX)
    }

    fn in_range(self) -> Result<Self, EvalError> {
        let fits = (MIN_SECONDS..=MAX_SECONDS).contains(&self.seconds());
        fits.then_some(self).ok_or_else(|| EvalError::new("timestamp overflow"))
    }

    /// RFC 3339 as Go's `time.Parse` takes it. None when it is malformed.
    ///
    /// # Errors
    /// `timestamp overflow` outside of the years 1 to 9999.
    pub fn parse(text: &str) -> Result<Option<Self>, EvalError> {
        Self::parse_unchecked(text).map(Self::in_range).transpose()
    }

    fn parse_unchecked(text: &str) -> Option<Self> {
        if !text.is_ascii() || text.len() < 20 {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<i16> {
            let digits = text.get(from..to)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        let bytes = text.as_bytes();
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if separators.into_iter().any(|(at, expected)| bytes[at] != expected) {
            return None;
        }
        let date = jiff::civil::Date::new(
            number(0, 4)?,
            i8::try_from(number(5, 7)?).ok()?,
            i8::try_from(number(8, 10)?).ok()?,
        );
        let small = |from: usize| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
        let rest = &text[19..];
        let (nanoseconds, zone) = fraction(rest)?;
        let time = jiff::civil::Time::new(small(11)?, small(14)?, small(17)?, nanoseconds);
        let offset = offset(zone)?;
        let civil = date.ok()?.to_datetime(time.ok()?);
        let since = civil.duration_since(EPOCH).as_nanos();
        Some(Self { nanoseconds: since - i128::from(offset) * SECOND, offset })
    }

    pub(crate) fn plus(self, duration: Duration) -> Result<Self, EvalError> {
        Self { nanoseconds: self.nanoseconds + i128::from(duration.0), ..self }.in_range()
    }

    pub(crate) fn minus(self, duration: Duration) -> Result<Self, EvalError> {
        Self { nanoseconds: self.nanoseconds - i128::from(duration.0), ..self }.in_range()
    }

    pub(crate) fn since(self, other: Self) -> Result<Duration, EvalError> {
        let nanoseconds = self.nanoseconds - other.nanoseconds;
        i64::try_from(nanoseconds).map(Duration).map_err(|_| EvalError::new("integer overflow"))
    }

    /// The date and time in a zone: an IANA name, or an offset as `-08:00`. None is UTC.
    pub(crate) fn civil(self, zone: Option<&str>) -> Result<DateTime, EvalError> {
        let offset = match zone {
            None | Some("" | "UTC") => 0,
            Some(name) if name.contains(':') => numeric_zone(name)?,
            Some(name) => {
                let zone =
                    TimeZone::get(name).map_err(|_| EvalError::new(format!("unknown time zone {name}")))?;
                // Zones know nothing of the very last day.
                let at = jiff::Timestamp::from_nanosecond(self.nanoseconds).unwrap_or(jiff::Timestamp::MAX);
                zone.to_offset(at).seconds()
            }
        };
        self.at_offset(offset).ok_or_else(|| EvalError::new("timestamp overflow"))
    }

    fn at_offset(self, offset: i32) -> Option<DateTime> {
        let since = self.nanoseconds + i128::from(offset) * SECOND;
        let seconds = i64::try_from(since.div_euclid(SECOND)).ok()?;
        let rest = i32::try_from(since.rem_euclid(SECOND)).ok()?;
        EPOCH.checked_add(SignedDuration::new(seconds, rest)).ok()
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339 with as many digits of a second as there are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let civil = self.at_offset(self.offset).unwrap_or(EPOCH);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second()
        )?;
        if civil.subsec_nanosecond() != 0 {
            let digits = format!("{:09}", civil.subsec_nanosecond());
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        let minutes = self.offset / 60;
        if minutes == 0 {
            return f.write_str("Z");
        }
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

/// `.123` in nanoseconds, and what follows it.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let Some(rest) = text.strip_prefix(['.', ',']) else { return Some((0, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if end == 0 {
        return None;
    }
    let digits = &rest[..end.min(9)];
    let value: i32 = digits.parse().ok()?;
    let missing = u32::try_from(9 - digits.len()).ok()?;
    Some((value * 10_i32.pow(missing), &rest[end..]))
}

/// `Z` or `+hh:mm`, in seconds.
fn offset(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let bytes = text.as_bytes();
    if bytes.len() != 6 || !matches!(bytes[0], b'+' | b'-') || bytes[3] != b':' {
        return None;
    }
    let number = |from: usize| {
        let digits = text.get(from..from + 2)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = (number(1)?, number(4)?);
    if hours > 24 || minutes > 59 {
        return None;
    }
    let seconds = (hours * 60 + minutes) * 60;
    Some(if bytes[0] == b'-' { -seconds } else { seconds })
}

fn numeric_zone(text: &str) -> Result<i32, EvalError> {
    let number = |part: &str| {
        part.parse::<i32>()
            .map_err(|_| EvalError::new(format!("strconv.Atoi: parsing {part:?}: invalid syntax")))
    };
    let (hours, minutes) = text.split_once(':').unwrap_or((text, "0"));
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let minutes = if text.starts_with('-') { -minutes } else { minutes };
    hours
        .checked_mul(60)
        .and_then(|total| total.checked_add(minutes)?.checked_mul(60))
        .ok_or_else(|| EvalError::new(format!("unknown time zone {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_does() {
        for (text, expect) in [
            ("1h30m", Some("5400s")),
            ("-1.5s", Some("-1.5s")),
            ("0", Some("0s")),
            ("1ms1us", Some("0.001001s")),
            (".5m", Some("30s")),
            ("1", None),
            ("", None),
            ("-", None),
            ("1d", None),
            ("9223372036s", Some("9223372036s")),
            ("9223372037s", None),
        ] {
            assert_eq!(Duration::parse(text).map(|d| d.to_string()).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn timestamps_are_read_as_go_does_and_keep_their_offset() {
        for (text, expect) in [
            ("2020-02-29T01:02:03Z", Some("2020-02-29T01:02:03Z")),
            ("2020-02-29T01:02:03.500+01:00", Some("2020-02-29T01:02:03.5+01:00")),
            ("2020-02-29T01:02:03.123456789-00:30", Some("2020-02-29T01:02:03.123456789-00:30")),
            ("2020-02-29T01:02:03+00:00", Some("2020-02-29T01:02:03Z")),
            ("2021-02-29T01:02:03Z", None),
            ("2020-02-29 01:02:03Z", None),
            ("2020-02-29t01:02:03z", None),
            ("2020-02-29T01:02:03", None),
        ] {
            let read = Timestamp::parse(text).unwrap().map(|t| t.to_string());
            assert_eq!(read.as_deref(), expect, "{text}");
        }
        assert_eq!(Timestamp::from_seconds(1 << 50).unwrap_err().message(), "timestamp overflow");
    }

    #[test]
    fn zones_are_names_or_offsets() {
        let at = Timestamp::parse("2023-01-01T05:30:00Z").unwrap().unwrap();
        assert_eq!(at.civil(Some("-08:00")).unwrap().year(), 2022);
        assert_eq!(at.civil(Some("America/Los_Angeles")).unwrap().hour(), 21);
        assert_eq!(at.civil(Some("02:30")).unwrap().hour(), 8);
        assert_eq!(at.civil(Some("Nowhere")).unwrap_err().message(), "unknown time zone Nowhere");
    }
}
