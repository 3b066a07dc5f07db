//! A believable log of a container that never was: pure functions of the container and its run.

use std::time::Duration;

use drydock_machinery::{ObjectMeta, Value};
use jiff::Timestamp;

use crate::seed;

/// One run of a container.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) started: Timestamp,
    /// None while it runs.
    pub(crate) finished: Option<Timestamp>,
    /// What it says first, in the first moments.
    opening: Vec<String>,
    /// How often it says something afterwards; None when it falls silent.
    period: Option<Duration>,
    seed: String,
}

/// Between the lines of the opening.
const OPENING_STEP: Duration = Duration::from_millis(40);

impl Run {
    /// The present run of a container with this status, or the one before.
    pub(crate) fn of(pod: &Value, container: &Value, status: &Value, previous: bool) -> Option<Self> {
        let state = if previous { status.at(&["lastState"])? } else { status.at(&["state"])? };
        let run = state.get("running").or_else(|| state.get("terminated")).or_else(|| {
            // While it waits to be restarted, the last run is what there is.
            (!previous).then(|| status.at(&["lastState", "terminated"])).flatten()
        })?;
        let name = container.str_at(&["name"]);
        let restarts = status.i64_at(&["restartCount"]).unwrap_or(0).to_string();
        let echoed = echoed(container);
        let period = Duration::from_secs(5 + seed::number(&[pod.uid(), name, "log"]) % 11);
        Some(Self {
            started: run.str_at(&["startedAt"]).parse().ok()?,
            finished: run.str_at(&["finishedAt"]).parse().ok(),
            period: echoed.is_none().then_some(period),
            opening: echoed.unwrap_or_else(|| opening(container)),
            seed: format!("{}/{name}/{restarts}", pod.uid()),
        })
    }

    /// The time of line number `n`.
    pub(crate) fn time_of(&self, n: usize) -> Option<Timestamp> {
        let opened = u32::try_from(self.opening.len()).unwrap_or(u32::MAX);
        let number = u32::try_from(n).unwrap_or(u32::MAX);
        let offset = if number < opened {
            OPENING_STEP * number
        } else {
            OPENING_STEP * opened + self.period? * (number - opened + 1)
        };
        let time = self.started.saturating_add(offset).ok()?;
        self.finished.is_none_or(|end| time <= end).then_some(time)
    }

    pub(crate) fn line(&self, n: usize) -> String {
        match self.opening.get(n) {
            Some(line) => line.clone(),
            None => routine(&self.seed, n),
        }
    }

    /// How many lines there are up to `now`.
    pub(crate) fn count(&self, now: Timestamp) -> usize {
        let opened =
            (0..self.opening.len()).take_while(|n| self.time_of(*n).is_some_and(|time| time <= now)).count();
        let Some(period) = self.period.filter(|_| opened == self.opening.len()) else { return opened };
        let end = self.finished.map_or(now, |finished| finished.min(now));
        let opening = OPENING_STEP * u32::try_from(opened).unwrap_or(0);
        let ran = Duration::try_from(end.duration_since(self.started)).unwrap_or_default();
        let rest = ran.saturating_sub(opening);
        opened + usize::try_from(rest.as_millis() / period.as_millis()).unwrap_or(0)
    }
}

/// What a container says whose command is to say it.
fn echoed(container: &Value) -> Option<Vec<String>> {
    let lists = ["command", "args"].iter().flat_map(|list| container.array_at(&[list]));
    let words: Vec<&str> = lists.filter_map(Value::as_str).collect();
    if words.first() == Some(&"echo") {
        return Some(vec![words[1..].join(" ")]);
    }
    let script = words.iter().find(|word| word.contains("echo "))?;
    if script.contains("while") {
        return None;
    }
    let parts = script.split([';', '\n', '&']).filter_map(|part| part.trim().strip_prefix("echo "));
    Some(parts.map(|text| text.trim().trim_matches(['"', '\'']).to_owned()).collect())
}

fn opening(container: &Value) -> Vec<String> {
    let name = container.str_at(&["name"]);
    let image = container.str_at(&["image"]);
    let mut lines = vec![
        format!("level=info msg=\"starting\" app={name} image={image}"),
        format!(
            "level=info msg=\"configuration loaded\" app={name} environment={}",
            container.array_at(&["env"]).len()
        ),
    ];
    for port in container.array_at(&["ports"]) {
        let number = port.i64_at(&["containerPort"]).unwrap_or(0);
        lines.push(format!("level=info msg=\"listening\" app={name} address=0.0.0.0:{number}"));
    }
    lines.push(format!("level=info msg=\"ready\" app={name}"));
    lines
}

fn routine(seed: &str, n: usize) -> String {
    const PATHS: [&str; 6] = ["/", "/healthz", "/api/items", "/api/orders", "/static/app.js", "/metrics"];
    let number = seed::number(&[seed, &n.to_string()]);
    let path = PATHS[(number % 6) as usize];
    let code = if number.is_multiple_of(97) { 503 } else { 200 };
    let (millis, bytes) = (1 + number / 7 % 80, 120 + number / 11 % 9000);
    format!(
        "level=info msg=\"request\" method=GET path={path} status={code} duration={millis}ms bytes={bytes}"
    )
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn a_log_grows_with_time_and_stays_what_it_was() {
        let pod = value!({"metadata": {"uid": "u"}});
        let container = value!({"name": "c", "image": "a:1", "ports": [{"containerPort": 80}]});
        let status = value!({"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "restartCount": 0});
        let run = Run::of(&pod, &container, &status, false).unwrap();
        let at = |seconds: i64| run.started + jiff::SignedDuration::from_secs(seconds);
        assert_eq!(run.count(at(1)), 4);
        let later = run.count(at(600));
        assert!(later > 40, "{later}");
        assert!(run.time_of(later - 1).unwrap() <= at(600) && run.time_of(later).unwrap() > at(600));
        let said = value!({"name": "c", "command": ["sh", "-c", "echo hello; sleep 1"]});
        let run = Run::of(&pod, &said, &status, false).unwrap();
        assert_eq!((run.count(at(600)), run.line(0).as_str()), (1, "hello"));
    }
}
