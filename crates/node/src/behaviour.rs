//! How a simulated container behaves: how long its image takes, how long it runs, how it ends.
//!
//! Annotations on the pod decide where a user cares: `simulate.drydock.dev/run-time: 30s`, `…/exit-code: "1"`,
//! `…/ready: "false"`, `…/pull-error: "true"`. Otherwise a container whose command sleeps or exits does that, a Job's
//! containers end well after a few seconds, and everything else runs until it is stopped.

use std::time::Duration;

use drydock_machinery::{ObjectMeta, Value};

use crate::seed;

const RUN_TIME: &str = "simulate.drydock.dev/run-time";
const EXIT_CODE: &str = "simulate.drydock.dev/exit-code";
const READY: &str = "simulate.drydock.dev/ready";
const PULL_ERROR: &str = "simulate.drydock.dev/pull-error";

/// How a container's run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) after: Duration,
    pub(crate) exit_code: i64,
}

/// None when it runs until it is stopped.
pub(crate) fn ending(pod: &Value, container: &Value) -> Option<Ending> {
    let exit_code = pod.annotation(EXIT_CODE).and_then(|text| text.parse().ok());
    if let Some(after) = pod.annotation(RUN_TIME).and_then(parse_duration) {
        return Some(Ending { after, exit_code: exit_code.unwrap_or(0) });
    }
    let name = container.str_at(&["name"]);
    let short = seed::millis(2_000, 5_000, &[pod.uid(), name, "run"]);
    if let Some(exit_code) = exit_code {
        return Some(Ending { after: short, exit_code });
    }
    if let Some(ending) = of_command(container, short) {
        return ending;
    }
    let of_job = pod.controller_ref().is_some_and(|owner| owner.str_at(&["kind"]) == "Job");
    of_job.then_some(Ending { after: short, exit_code: 0 })
}

/// How long an init container runs.
pub(crate) fn init_ending(pod: &Value, container: &Value) -> Ending {
    let short = seed::millis(300, 1_500, &[pod.uid(), container.str_at(&["name"]), "init"]);
    of_command(container, short).flatten().unwrap_or(Ending { after: short, exit_code: 0 })
}

/// What the command says: Some(None) when it says that it never ends.
fn of_command(container: &Value, short: Duration) -> Option<Option<Ending>> {
    let words: Vec<&str> = ["command", "args"]
        .iter()
        .flat_map(|list| container.array_at(&[list]))
        .filter_map(Value::as_str)
        .flat_map(|text| text.split([' ', ';', '&', '\n', '|']))
        .filter(|word| !word.is_empty())
        .collect();
    if words.iter().any(|word| *word == "while" || word.ends_with("infinity")) {
        return Some(None);
    }
    let after = |command: &str| words.iter().position(|word| *word == command).map(|i| words.get(i + 1));
    let slept = after("sleep").flatten().and_then(|text| parse_duration(text));
    let exit = match after("exit") {
        Some(code) => Some(code.and_then(|code| code.parse().ok()).unwrap_or(0)),
        None if words.last().is_some_and(|word| word.ends_with("false")) => Some(1),
        None if words.first().is_some_and(|word| matches!(*word, "echo" | "true" | "date" | "/bin/true")) => {
            Some(0)
        }
        None => None,
    };
    if slept.is_none() && exit.is_none() {
        return None;
    }
    Some(Some(Ending { after: slept.unwrap_or(short), exit_code: exit.unwrap_or(0) }))
}

/// `30`, `30s`, `500ms`, `5m`, `1h`.
fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let factor = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * factor).ok()
}

/// Readiness never comes.
pub(crate) fn never_ready(pod: &Value) -> bool {
    pod.annotation(READY) == Some("false")
}

/// The image cannot be pulled: said by annotation, or by an image that names it.
pub(crate) fn pull_fails(pod: &Value, image: &str) -> bool {
    pod.annotation(PULL_ERROR) == Some("true") || image.contains("does-not-exist")
}

/// How long the sandbox and its network take.
pub(crate) fn sandbox_time(pod: &Value) -> Duration {
    seed::millis(150, 450, &[pod.uid(), "sandbox"])
}

/// How long pulling takes. The same image takes about as long everywhere.
pub(crate) fn pull_time(pod: &Value, image: &str) -> Duration {
    seed::millis(300, 1_500, &[image]) + seed::millis(0, 200, &[pod.uid(), image])
}

pub(crate) fn image_size(image: &str) -> u64 {
    3_000_000 + seed::number(&[image, "size"]) % 120_000_000
}

/// How long containers take to stop when asked. Those that ignore the signal do not exist here; a preStop sleep counts.
pub(crate) fn stop_time(pod: &Value) -> Duration {
    let hooks = pod.array_at(&["spec", "containers"]).iter();
    let slept =
        hooks.filter_map(|container| container.i64_at(&["lifecycle", "preStop", "sleep", "seconds"])).max();
    let slept = Duration::from_secs(u64::try_from(slept.unwrap_or(0)).unwrap_or(0));
    let grace = pod.i64_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(30);
    let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    (slept + seed::millis(200, 900, &[pod.uid(), "stop"])).min(grace)
}

/// From a container's start until its probes let it be ready.
pub(crate) fn readiness_delay(pod: &Value, container: &Value) -> Duration {
    let delay = |probe: &str| {
        let probe = container.get(probe).filter(|probe| !probe.is_null())?;
        let seconds = u64::try_from(probe.i64_at(&["initialDelaySeconds"]).unwrap_or(0)).unwrap_or(0);
        Some(Duration::from_secs(seconds))
    };
    let first = |probe: &str| seed::millis(300, 1_000, &[pod.uid(), container.str_at(&["name"]), probe]);
    let waits =
        ["startupProbe", "readinessProbe"].map(|probe| delay(probe).map(|delay| delay + first(probe)));
    waits.into_iter().flatten().sum()
}

/// Whether anything must be probed before the container is ready.
pub(crate) fn is_probed(container: &Value) -> bool {
    ["startupProbe", "readinessProbe"].iter().any(|probe| container.get(probe).is_some_and(|p| !p.is_null()))
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[track_caller]
    fn check(command: Value, expected: Option<(u64, i64)>) {
        let pod = value!({"metadata": {"name": "p", "uid": "u"}});
        let mut container = value!({"name": "c"});
        container.set(&["command"], command);
        let ending = ending(&pod, &container).map(|ending| (ending.after.as_secs(), ending.exit_code));
        assert_eq!(ending, expected);
    }

    #[test]
    fn commands_that_sleep_or_exit_do_that() {
        check(value!(["sleep", "30"]), Some((30, 0)));
        check(value!(["sh", "-c", "sleep 5; exit 3"]), Some((5, 3)));
        check(value!(["sleep", "infinity"]), None);
        check(value!(["sh", "-c", "while true; do sleep 1; done"]), None);
        check(value!(["nginx"]), None);
    }
}
