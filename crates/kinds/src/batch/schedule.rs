//! The syntax of cron schedules, and what robfig/cron says of a wrong one. Reading of schedules to act on is the
//! CronJob controller's.

use drydock_machinery::go_duration;

const FIELDS: [(&str, u32, u32, &[&str]); 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day-of-month", 1, 31, &[]),
    ("month", 1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    ("day-of-week", 0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// # Errors
/// Why the text is no schedule.
pub(super) fn parse(text: &str) -> Result<(), String> {
    let text = match text.split_once(' ') {
        Some((zone, rest)) if zone.starts_with("TZ=") || zone.starts_with("CRON_TZ=") => rest.trim(),
        _ => text,
    };
    if let Some(descriptor) = text.strip_prefix('@') {
        return descriptor_ok(text, descriptor);
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, bounds) in fields.iter().zip(FIELDS) {
        for part in field.split(',') {
            range(part, bounds)?;
        }
    }
    Ok(())
}

fn descriptor_ok(text: &str, descriptor: &str) -> Result<(), String> {
    const KNOWN: [&str; 7] = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
    match descriptor.strip_prefix("every ") {
        Some(duration) => go_duration::parse(duration)
            .map(drop)
            .map_err(|error| format!("failed to parse duration {text}: {error}")),
        None if KNOWN.contains(&descriptor) => Ok(()),
        None => Err(format!("unrecognized descriptor: {text}")),
    }
}

fn range(expression: &str, (_, min, max, words): (&str, u32, u32, &[&str])) -> Result<(), String> {
    let (range, step) = match expression.split('/').collect::<Vec<_>>()[..] {
        [range] => (range, None),
        [range, step] => (range, Some(step)),
        _ => return Err(format!("too many slashes: {expression}")),
    };
    let bounds: Vec<&str> = range.split('-').collect();
    let number = |text: &str| -> Result<u32, String> {
        if let Some(i) = words.iter().position(|word| *word == text.to_lowercase()) {
            return Ok(i as u32 + if words.len() == 12 { 1 } else { 0 });
        }
        text.parse::<u32>().map_err(|_| {
            format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
        })
    };
    let (start, end) = match bounds[..] {
        ["*"] | ["?"] => (min, max),
        [one] => {
            let one = number(one)?;
            (one, if step.is_some() { max } else { one })
        }
        [start, end] => (number(start)?, number(end)?),
        _ => return Err(format!("too many hyphens: {expression}")),
    };
    let step = step.map(number).transpose()?.unwrap_or(1);
    if start < min {
        return Err(format!("beginning of range ({start}) below minimum ({min}): {expression}"));
    }
    if end > max {
        return Err(format!("end of range ({end}) above maximum ({max}): {expression}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {expression}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn schedules_are_checked() {
        for (text, wrong) in [
            ("*/5 0-4 1,15 jan mon-fri", None),
            ("@hourly", None),
            ("nope", Some("expected exactly 5 fields, found 1: [nope]")),
            ("60 * * * *", Some("end of range (60) above maximum (59): 60")),
            ("* * 0 * *", Some("beginning of range (0) below minimum (1): 0")),
            ("@every 1h30m", None),
            (
                "@every 1x",
                Some("failed to parse duration @every 1x: time: unknown unit \"x\" in duration \"1x\""),
            ),
            ("@often", Some("unrecognized descriptor: @often")),
        ] {
            assert_eq!(parse(text).err().as_deref(), wrong, "{text}");
        }
    }
}
