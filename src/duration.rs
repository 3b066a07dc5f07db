//! Durations as people write them, on the command line and in requests.

use std::time::Duration;

use jiff::SignedDuration;

/// `90s`, `10m`, `1h30m`. None for anything else, and for what is less than nothing.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let parsed: SignedDuration = text.parse().ok()?;
    Duration::try_from(parsed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h 30m", 5400), ("PT5M", 300)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["soon", "-5s", "5", "", "5 bananas"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
