//! What becomes of a recommendation: it is held until it has been steady, and kept within the rates and bounds allowed.

use std::time::Duration;

use drydock_machinery::Value;
use jiff::Timestamp;

/// Without another window, replicas are taken away only when none of the last five minutes' recommendations needs them.
const DOWN_WINDOW: i64 = 300;

/// What an autoscaler recommended and did; bounded by its windows.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    recommendations: Vec<(Timestamp, i64)>,
    ups: Vec<(Timestamp, i64)>,
    downs: Vec<(Timestamp, i64)>,
}

/// A question to [`History::limit`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) autoscaler: &'a Value,
    pub(super) now: Timestamp,
    pub(super) current: i64,
    pub(super) desired: i64,
    pub(super) min: i64,
    pub(super) max: i64,
}

/// Reason and message of a condition.
type Said = (&'static str, &'static str);

/// The replicas to have, with the conditions AbleToScale (always true) and ScalingLimited (true when it is).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limited {
    pub(super) replicas: i64,
    pub(super) able: Said,
    pub(super) limited: (bool, Said),
}

const READY: Said = ("ReadyForNewScale", "recommended size matches current size");
const STABILIZED_UP: Said = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const STABILIZED_DOWN: Said = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const WITHIN: Said = ("DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_MANY: Said =
    ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: Said = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");
const TOO_FAST_UP: Said =
    ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const TOO_FAST_DOWN: Said =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");

fn behavior(autoscaler: &Value) -> Option<&Value> {
    autoscaler.at(&["spec", "behavior"]).filter(|behavior| !behavior.is_null())
}

fn before(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_sub(Duration::from_secs(seconds.unsigned_abs())).unwrap_or(Timestamp::MIN)
}

impl History {
    /// The target's size when it was first looked at is a recommendation, too.
    pub(super) fn begin(&mut self, now: Timestamp, current: i64) {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
    }

    /// Keeps what was done in mind, for the rates of `behavior`.
    pub(super) fn rescaled(&mut self, autoscaler: &Value, now: Timestamp, from: i64, to: i64) {
        let Some(behavior) = behavior(autoscaler) else { return };
        let (events, rules) =
            if to > from { (&mut self.ups, "scaleUp") } else { (&mut self.downs, "scaleDown") };
        let policies = behavior.array_at(&[rules, "policies"]).iter();
        let longest = policies.filter_map(|policy| policy.i64_at(&["periodSeconds"])).max().unwrap_or(0);
        events.retain(|(at, _)| *at >= before(now, longest));
        events.push((now, (to - from).abs()));
    }

    /// Notes the recommendation and answers what may be done of it.
    pub(super) fn limit(&mut self, asked: Asked<'_>) -> Limited {
        match behavior(asked.autoscaler) {
            None => self.limit_by_default(asked),
            Some(behavior) => self.limit_by_behavior(asked, behavior),
        }
    }

    fn limit_by_default(&mut self, asked: Asked<'_>) -> Limited {
        let cutoff = before(asked.now, DOWN_WINDOW);
        self.recommendations.retain(|(at, _)| *at >= cutoff);
        let highest = self.recommendations.iter().map(|(_, replicas)| *replicas).max();
        let stable = highest.unwrap_or(asked.desired).max(asked.desired);
        self.recommendations.push((asked.now, asked.desired));
        let able = if stable == asked.desired { READY } else { STABILIZED_DOWN };
        let rate = (2 * asked.current).max(4);
        let (most, said) = if asked.max > rate { (rate, TOO_FAST_UP) } else { (asked.max, TOO_MANY) };
        let (replicas, said) = if stable < asked.min {
            (asked.min, TOO_FEW)
        } else if stable > most {
            (most, said)
        } else {
            (stable, WITHIN)
        };
        Limited { replicas, able, limited: (replicas != stable, said) }
    }

    fn limit_by_behavior(&mut self, asked: Asked<'_>, behavior: &Value) -> Limited {
        let stable = self.stabilize(asked, behavior);
        let able = if stable == asked.desired {
            READY
        } else if asked.desired >= asked.current {
            STABILIZED_UP
        } else {
            STABILIZED_DOWN
        };
        let (replicas, said) = self.limit_rate(asked, behavior, stable);
        Limited { replicas, able, limited: (replicas != stable, said) }
    }

    fn stabilize(&mut self, asked: Asked<'_>, behavior: &Value) -> i64 {
        let window =
            |rules: &str, default| behavior.i64_at(&[rules, "stabilizationWindowSeconds"]).unwrap_or(default);
        let (up, down) = (window("scaleUp", 0), window("scaleDown", DOWN_WINDOW));
        let (up_cutoff, down_cutoff) = (before(asked.now, up), before(asked.now, down));
        self.recommendations.retain(|(at, _)| *at >= up_cutoff.min(down_cutoff));
        let recent =
            |cutoff| self.recommendations.iter().filter(move |(at, _)| *at > cutoff).map(|(_, n)| *n);
        let lowest = recent(up_cutoff).min().unwrap_or(asked.desired).min(asked.desired);
        let highest = recent(down_cutoff).max().unwrap_or(asked.desired).max(asked.desired);
        self.recommendations.push((asked.now, asked.desired));
        asked.current.max(lowest).min(highest)
    }

    fn limit_rate(&self, asked: Asked<'_>, behavior: &Value, desired: i64) -> (i64, Said) {
        let current = asked.current;
        if desired > current {
            let rate = self.rate(asked, behavior, "scaleUp").max(current);
            let (most, said) = if asked.max > rate { (rate, TOO_FAST_UP) } else { (asked.max, TOO_MANY) };
            if desired > most {
                return (most, said);
            }
        } else if desired < current {
            let rate = self.rate(asked, behavior, "scaleDown").min(current);
            let (least, said) = if asked.min < rate { (rate, TOO_FAST_DOWN) } else { (asked.min, TOO_FEW) };
            if desired < least {
                return (least, said);
            }
        }
        (desired, WITHIN)
    }

    /// How far the policies of `rules` let the replicas go.
    fn rate(&self, asked: Asked<'_>, behavior: &Value, rules: &str) -> i64 {
        let select = behavior.str_at(&[rules, "selectPolicy"]);
        if select == "Disabled" {
            return asked.current;
        }
        let up = rules == "scaleUp";
        let proposals = behavior.array_at(&[rules, "policies"]).iter().map(|policy| {
            let cutoff = before(asked.now, policy.i64_at(&["periodSeconds"]).unwrap_or(0));
            let change = |events: &[(Timestamp, i64)]| -> i64 {
                events.iter().filter(|(at, _)| *at > cutoff).map(|(_, change)| change).sum()
            };
            let start = asked.current - change(&self.ups) + change(&self.downs);
            let value = policy.i64_at(&["value"]).unwrap_or(0);
            match (policy.str_at(&["type"]), up) {
                ("Pods", true) => start + value,
                ("Pods", false) => start - value,
                // Rounded up, or few replicas would never become more.
                (_, true) => (start as f64 * (1.0 + value as f64 / 100.0)).ceil() as i64,
                (_, false) => (start as f64 * (1.0 - value as f64 / 100.0)) as i64,
            }
        });
        // The greatest change: the highest count up, the lowest down. `Min` asks for the smallest.
        let highest = up != (select == "Min");
        let chosen = if highest { proposals.max() } else { proposals.min() };
        chosen.unwrap_or(asked.current)
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn ask(history: &mut History, autoscaler: &Value, seconds: i64, current: i64, desired: i64) -> Limited {
        history.limit(Asked { autoscaler, now: at(seconds), current, desired, min: 1, max: 20 })
    }

    #[test]
    fn growth_is_limited_to_double_and_shrinking_waits() {
        let (mut history, plain) = (History::default(), value!({"spec": {}}));
        history.begin(at(0), 3);
        let up = ask(&mut history, &plain, 0, 3, 10);
        assert_eq!((up.replicas, up.limited), (6, (true, TOO_FAST_UP)));
        let down = ask(&mut history, &plain, 15, 6, 2);
        assert_eq!((down.replicas, down.able), (10, STABILIZED_DOWN));
        let later = ask(&mut history, &plain, 400, 10, 2);
        assert_eq!((later.replicas, later.able, later.limited), (2, READY, (false, WITHIN)));
    }

    #[test]
    fn policies_limit_the_change_per_period() {
        let autoscaler = value!({"spec": {"behavior": {
            "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                {"type": "Pods", "value": 2, "periodSeconds": 60},
                {"type": "Percent", "value": 10, "periodSeconds": 60},
            ]},
            "scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Min", "policies": [
                {"type": "Pods", "value": 1, "periodSeconds": 60},
                {"type": "Percent", "value": 50, "periodSeconds": 60},
            ]},
        }}});
        let mut history = History::default();
        let up = ask(&mut history, &autoscaler, 0, 4, 10);
        assert_eq!((up.replicas, up.limited), (6, (true, TOO_FAST_UP)));
        history.rescaled(&autoscaler, at(0), 4, 6);
        assert_eq!(ask(&mut history, &autoscaler, 30, 6, 10).replicas, 6, "the period is not over");
        assert_eq!(ask(&mut history, &autoscaler, 61, 6, 10).replicas, 8);
        let down = ask(&mut history, &autoscaler, 90, 8, 1);
        assert_eq!((down.replicas, down.limited), (7, (true, TOO_FAST_DOWN)));
    }

    #[test]
    fn a_window_holds_growth_back() {
        let autoscaler = value!({"spec": {"behavior": {
            "scaleUp": {"stabilizationWindowSeconds": 60, "selectPolicy": "Max", "policies": [
                {"type": "Percent", "value": 900, "periodSeconds": 60},
            ]},
        }}});
        let mut history = History::default();
        history.begin(at(0), 2);
        let held = ask(&mut history, &autoscaler, 15, 2, 5);
        assert_eq!((held.replicas, held.able), (2, STABILIZED_UP));
        assert_eq!(ask(&mut history, &autoscaler, 70, 2, 5).replicas, 5);
    }
}
