//! Times as Go's `time.Parse` reads them, with its messages, and as apimachinery writes them.

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};

const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
const RFC3339_MICRO: &str = "2006-01-02T15:04:05.000000Z07:00";

/// `metav1.Time`: any RFC 3339 time; the canonical form is in UTC and has whole seconds.
///
/// # Errors
/// Go's message.
pub fn parse_time(text: &str) -> Result<String, String> {
    if is_canonical(text) {
        return Ok(text.to_owned());
    }
    let (seconds, _) = Parser::new(text, RFC3339).parse(false)?;
    Ok(in_utc(seconds, text, RFC3339)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// `metav1.MicroTime`: an RFC 3339 time with exactly six decimals; the canonical form is in UTC.
///
/// # Errors
/// Go's message.
pub fn parse_micro_time(text: &str) -> Result<String, String> {
    let (seconds, micros) = Parser::new(text, RFC3339_MICRO).parse(true)?;
    let at = in_utc(seconds, text, RFC3339_MICRO)?;
    Ok(format!("{}.{micros:06}Z", at.strftime("%Y-%m-%dT%H:%M:%S")))
}

/// Whether this is the canonical form of Go's zero time, which is written as null.
pub(super) fn is_zero(canonical: &str) -> bool {
    matches!(canonical, "0001-01-01T00:00:00Z" | "0001-01-01T00:00:00.000000Z")
}

/// The date and time of seconds since 1970; of all years that can be written, which a `Timestamp` does not have.
fn in_utc(seconds: i64, text: &str, layout: &str) -> Result<DateTime, String> {
    let midnight = Date::constant(1970, 1, 1).at(0, 0, 0, 0);
    let at = midnight
        .checked_add(seconds.div_euclid(86400).days())
        .and_then(|day| day.checked_add(seconds.rem_euclid(86400).seconds()));
    at.map_err(|_| format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""))
}

/// `2024-01-31T00:00:00Z`: nearly every time is written so already.
fn is_canonical(text: &str) -> bool {
    let b = text.as_bytes();
    if b.len() != 20 || b[4] != b'-' || b[7] != b'-' || b[10] != b'T' || b[13] != b':' || b[16] != b':' {
        return false;
    }
    let two = |i: usize| {
        (b[i].is_ascii_digit() && b[i + 1].is_ascii_digit()).then(|| (b[i] - b'0') * 10 + (b[i + 1] - b'0'))
    };
    let (Some(_), Some(_)) = (two(0), two(2)) else { return false };
    let (Some(month), Some(day), Some(hour), Some(minute), Some(second)) =
        (two(5), two(8), two(11), two(14), two(17))
    else {
        return false;
    };
    // Days that not every month has take the long way.
    b[19] == b'Z'
        && (1..=12).contains(&month)
        && (1..=28).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
}

struct Parser<'a> {
    text: &'a str,
    layout: &'static str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, layout: &'static str) -> Self {
        Self { text, layout, rest: text }
    }

    /// Unix seconds, and microseconds when the layout has them.
    fn parse(mut self, micros: bool) -> Result<(i64, u32), String> {
        let year = self.digits(4, "2006")?;
        self.literal("-")?;
        let month = self.digits(2, "01")?;
        if !(1..=12).contains(&month) {
            return Err(self.range("month"));
        }
        self.literal("-")?;
        let day = self.digits(2, "02")?;
        self.literal("T")?;
        let hour = self.digits(2, "15")?;
        if hour > 23 {
            return Err(self.range("hour"));
        }
        self.literal(":")?;
        let minute = self.digits(2, "04")?;
        if minute > 59 {
            return Err(self.range("minute"));
        }
        self.literal(":")?;
        let second = self.digits(2, "05")?;
        if second > 59 {
            return Err(self.range("second"));
        }
        let micros = if micros { self.fraction()? } else { self.skip_fraction() };
        let offset = self.offset()?;
        if !self.rest.is_empty() {
            return Err(format!("parsing time {:?}: extra text: {:?}", self.text, self.rest));
        }
        let date = i8::try_from(day)
            .ok()
            .and_then(|day| Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, day).ok());
        let Some(date) = date else { return Err(self.range("day")) };
        let days = date.since(Date::constant(1970, 1, 1)).map_or(0, |span| i64::from(span.get_days()));
        let seconds = days * 86400 + i64::from(hour * 3600 + minute * 60 + second) - i64::from(offset);
        Ok((seconds, micros))
    }

    fn digits(&mut self, count: usize, element: &str) -> Result<i32, String> {
        let digits = self.rest.get(..count).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else {
            return Err(self.cannot(element));
        };
        self.rest = &self.rest[count..];
        Ok(number)
    }

    fn literal(&mut self, expected: &str) -> Result<(), String> {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(self.cannot(expected)),
        }
    }

    /// Exactly six decimals.
    fn fraction(&mut self) -> Result<u32, String> {
        let digits = self.rest.strip_prefix('.').and_then(|rest| rest.get(..6));
        let Some(micros) =
            digits.filter(|d| d.bytes().all(|b| b.is_ascii_digit())).and_then(|d| d.parse().ok())
        else {
            return Err(self.cannot(".000000"));
        };
        self.rest = &self.rest[7..];
        Ok(micros)
    }

    /// Decimals that the layout does not mention are allowed after the seconds.
    fn skip_fraction(&mut self) -> u32 {
        if let Some(rest) = self.rest.strip_prefix(['.', ',']) {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits > 0 {
                self.rest = &rest[digits..];
            }
        }
        0
    }

    /// Seconds east of UTC.
    fn offset(&mut self) -> Result<i32, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let b = self.rest.as_bytes();
        let digit = |i: usize| b.get(i).filter(|b| b.is_ascii_digit()).map(|b| i32::from(b - b'0'));
        let sign = match b.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.cannot("Z07:00")),
        };
        let (Some(h1), Some(h2), Some(b':'), Some(m1), Some(m2)) =
            (digit(1), digit(2), b.get(3), digit(4), digit(5))
        else {
            return Err(self.cannot("Z07:00"));
        };
        let (hours, minutes) = (h1 * 10 + h2, m1 * 10 + m2);
        if hours > 24 {
            return Err(self.range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(self.range("time zone offset minute"));
        }
        self.rest = &self.rest[6..];
        Ok(sign * (hours * 3600 + minutes * 60))
    }

    fn cannot(&self, element: &str) -> String {
        format!(
            "parsing time {:?} as {:?}: cannot parse {:?} as {element:?}",
            self.text, self.layout, self.rest
        )
    }

    fn range(&self, what: &str) -> String {
        format!("parsing time {:?}: {what} out of range", self.text)
    }
}
