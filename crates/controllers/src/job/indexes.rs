//! Sets of completion indexes, as `0-3,5`.

use std::collections::BTreeMap;

use drydock_machinery::{ObjectMeta, Value};

use super::INDEX;

/// A set of indexes as ranges: what users write may name any number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes {
    /// First and last; no two ranges touch.
    ranges: BTreeMap<i64, i64>,
}

impl Indexes {
    pub(super) fn contains(&self, index: i64) -> bool {
        self.ranges.range(..=index).next_back().is_some_and(|(_, last)| *last >= index)
    }

    /// Answers whether it was not in the set.
    pub(super) fn insert(&mut self, index: i64) -> bool {
        let is_new = !self.contains(index);
        if is_new {
            self.insert_range(index, index);
        }
        is_new
    }

    fn insert_range(&mut self, mut first: i64, mut last: i64) {
        if first > last {
            return;
        }
        // All that overlap or touch become one.
        while let Some((&own, &end)) = self
            .ranges
            .range(..=last.saturating_add(1))
            .next_back()
            .filter(|(_, end)| **end >= first.saturating_sub(1))
        {
            self.ranges.remove(&own);
            (first, last) = (first.min(own), last.max(end));
        }
        self.ranges.insert(first, last);
    }

    /// Adds all that are in another set.
    pub(super) fn add(&mut self, other: &Self) {
        for (first, last) in &other.ranges {
            self.insert_range(*first, *last);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> i64 {
        self.ranges
            .iter()
            .fold(0, |sum: i64, (first, last)| sum.saturating_add(last - first).saturating_add(1))
    }

    /// How many are in both sets.
    pub(super) fn count_common(&self, other: &Self) -> i64 {
        let (mut own, mut others) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut sum = 0i64;
        while let (Some((a, b)), Some((c, d))) = (own.peek(), others.peek()) {
            sum = sum.saturating_add((*b).min(*d).saturating_sub(**a.max(c)).saturating_add(1).max(0));
            if b < d {
                own.next()
            } else {
                others.next()
            };
        }
        sum
    }

    /// The first `count` indexes below `completions` that are not in the set.
    pub(super) fn free(&self, completions: i64, count: usize) -> Vec<i64> {
        let mut free = Vec::new();
        let mut at = 0;
        for (&first, &last) in &self.ranges {
            free.extend((at..first.min(completions)).take(count - free.len()));
            at = at.max(last.saturating_add(1));
        }
        free.extend((at..completions).take(count - free.len()));
        free
    }
}

impl FromIterator<i64> for Indexes {
    fn from_iter<T: IntoIterator<Item = i64>>(indexes: T) -> Self {
        let mut set = Self::default();
        for index in indexes {
            set.insert(index);
        }
        set
    }
}

/// Those below `completions`.
pub(super) fn parse(text: &str, completions: i64) -> Indexes {
    let mut out = Indexes::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.parse::<i64>(), to.parse::<i64>()) {
            out.insert_range(from.max(0), to.min(completions - 1));
        }
    }
    out
}

/// Two in a row are listed, three or more become a range.
pub(super) fn text(indexes: &Indexes) -> String {
    let text = |(from, to): (&i64, &i64)| match to - from {
        0 => from.to_string(),
        1 => format!("{from},{to}"),
        _ => format!("{from}-{to}"),
    };
    indexes.ranges.iter().map(text).collect::<Vec<_>>().join(",")
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
        assert_eq!(set, Indexes::from_iter([0, 1, 2, 3, 5, 7]));
        assert_eq!(text(&set), "0-3,5,7");
        assert_eq!(text(&Indexes::from_iter([3, 1, 0])), "0,1,3");
        assert_eq!(text(&Indexes::from_iter([4, 2, 3, 9])), "2-4,9");
    }

    #[test]
    fn sets_of_any_size_are_small() {
        let mut all = parse("0-2147483646", i64::MAX);
        assert_eq!(
            (all.count(), all.contains(2_147_483_646), all.contains(-1)),
            (2_147_483_647, true, false)
        );
        let some = parse("5-9,20,2147483646-2147483650", i64::MAX);
        assert_eq!(all.count_common(&some), 7);
        assert_eq!(some.count_common(&all), 7);
        assert_eq!(all.free(i64::MAX, 2), [2_147_483_647, 2_147_483_648]);
        assert_eq!(some.free(12, 6), [0, 1, 2, 3, 4, 10]);
        assert_eq!(some.free(2, 6), [0, 1]);
        all.add(&some);
        assert_eq!(text(&all), "0-2147483650");
        assert!(!all.insert(7) && all.insert(i64::MAX));
        assert_eq!(parse("0-9223372036854775807", i64::MAX).count(), i64::MAX);
    }
}
