//! Durations on the command line and in tables.

use std::time::Duration;

use jiff::Timestamp;

/// `90s`, `10m`, `1h 30m`; a bare number is seconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    crate::duration::parse(text).ok_or_else(|| "must be a duration such as 90s, 10m or 1h".to_owned())
}

/// How long ago, as kubectl writes it.
pub(super) fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else { return "-".to_owned() };
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_ages_written() {
        assert_eq!(parse("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("10m"), Ok(Duration::from_secs(600)));
        assert!(parse("soon").is_err() && parse("-5s").is_err());
        let now: Timestamp = "2026-01-03T00:00:00Z".parse().unwrap();
        let ages = [
            "2026-01-02T23:59:57Z",
            "2026-01-02T23:55:00.5Z",
            "2026-01-02T20:00:00Z",
            "2025-12-30T00:00:00Z",
        ];
        assert_eq!(ages.map(|since| age(since, now)), ["3s", "4m", "4h", "4d"]);
    }
}
