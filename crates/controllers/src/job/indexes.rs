//! Sets of completion indexes, as `0-3,5`.

use std::collections::BTreeSet;

use drydock_machinery::{ObjectMeta, Value};

use super::INDEX;

pub(super) type Indexes = BTreeSet<i64>;

pub(super) fn parse(text: &str, completions: i64) -> Indexes {
    let mut out = Indexes::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.parse::<i64>(), to.parse::<i64>()) {
            out.extend(from.max(0)..=to.min(completions - 1));
        }
    }
    out
}

/// Two in a row are listed, three or more become a range.
pub(super) fn text(indexes: &Indexes) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for index in indexes {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == *index => *end = *index,
            _ => ranges.push((*index, *index)),
        }
    }
    let text = |(from, to): &(i64, i64)| match to - from {
        0 => from.to_string(),
        1 => format!("{from},{to}"),
        _ => format!("{from}-{to}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// The index of a pod.
pub(super) fn of_pod(pod: &Value) -> Option<i64> {
    pod.annotation(INDEX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_written_as_ranges() {
        let set = parse("0-3,5,7,8", 8);
        assert_eq!(set, Indexes::from([0, 1, 2, 3, 5, 7]));
        assert_eq!(text(&set), "0-3,5,7");
        assert_eq!(text(&Indexes::from([0, 1, 3])), "0,1,3");
    }
}
