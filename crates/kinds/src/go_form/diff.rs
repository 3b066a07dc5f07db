//! Unified differences with three lines of context, as go-difflib writes them.

use std::collections::HashMap;
use std::ops::Range;

const CONTEXT: usize = 3;

/// How many pairs of equal lines are looked at before what is left counts as replaced: a tenth of a second or so.
const MOST_STEPS: usize = 4_000_000;

/// One run of lines: `old[a.0..a.1]` became `new[b.0..b.1]`.
#[derive(Clone, Copy)]
struct Change {
    a: (usize, usize),
    b: (usize, usize),
}

pub(crate) fn unified(old: &str, new: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut out = String::new();
    for hunk in hunks(&changes(&a, &b)) {
        write_hunk(&mut out, &a, &b, hunk);
    }
    out
}

/// Changes whose context overlaps stand in one hunk.
fn hunks(changes: &[Change]) -> Vec<&[Change]> {
    let mut out = Vec::new();
    let mut start = 0;
    for i in 1..=changes.len() {
        if i == changes.len() || changes[i].a.0 - changes[i - 1].a.1 > 2 * CONTEXT {
            out.push(&changes[start..i]);
            start = i;
        }
    }
    out
}

fn write_hunk(out: &mut String, a: &[&str], b: &[&str], hunk: &[Change]) {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { return };
    let before = first.a.0.min(CONTEXT);
    let after = (a.len() - last.a.1).min(CONTEXT);
    let range = |start: usize, end: usize| match end - start {
        1 => format!("{}", start + 1),
        0 => format!("{start},0"),
        length => format!("{},{length}", start + 1),
    };
    let from = range(first.a.0 - before, last.a.1 + after);
    let to = range(first.b.0 - before, last.b.1 + after);
    out.push_str(&format!("@@ -{from} +{to} @@\n"));
    let mut write = |sign: char, lines: &[&str]| {
        for line in lines {
            out.push(sign);
            out.push_str(line);
            out.push('\n');
        }
    };
    let mut at = first.a.0 - before;
    for change in hunk {
        write(' ', &a[at..change.a.0]);
        write('-', &a[change.a.0..change.a.1]);
        write('+', &b[change.b.0..change.b.1]);
        at = change.a.1;
    }
    write(' ', &a[at..at + after]);
}

/// Where `old[a..a + length]` is `new[b..b + length]`.
#[derive(Clone, Copy)]
struct Match {
    a: usize,
    b: usize,
    length: usize,
}

/// What is left to compare: a range of the old lines with one of the new.
#[derive(Clone)]
struct Region {
    a: Range<usize>,
    b: Range<usize>,
}

/// What is around the longest common runs of lines, as Python's difflib finds them, of which go-difflib is a port: the
/// longest run first, then what is on either side of it likewise.
fn changes(a: &[&str], b: &[&str]) -> Vec<Change> {
    let mut steps = MOST_STEPS;
    let places = places(b);
    let mut regions = vec![Region { a: 0..a.len(), b: 0..b.len() }];
    let mut matches = Vec::new();
    while let Some(Region { a: in_a, b: in_b }) = regions.pop() {
        let found = longest_match(a, b, &places, &Region { a: in_a.clone(), b: in_b.clone() }, &mut steps);
        if found.length == 0 {
            continue;
        }
        matches.push(found);
        let sides = [
            Region { a: in_a.start..found.a, b: in_b.start..found.b },
            Region { a: found.a + found.length..in_a.end, b: found.b + found.length..in_b.end },
        ];
        regions.extend(sides.into_iter().filter(|side| !side.a.is_empty() && !side.b.is_empty()));
    }
    matches.sort_unstable_by_key(|found| found.a);
    matches.push(Match { a: a.len(), b: b.len(), length: 0 });
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::new();
    for found in matches {
        if i < found.a || j < found.b {
            out.push(Change { a: (i, found.a), b: (j, found.b) });
        }
        (i, j) = (found.a + found.length, found.b + found.length);
    }
    out
}

/// Where each of the new lines stands. Of two hundred lines or more, those that come very often begin no run.
fn places<'a>(b: &[&'a str]) -> HashMap<&'a str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (j, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(j);
    }
    if b.len() >= 200 {
        places.retain(|_, places| places.len() <= b.len() / 100 + 1);
    }
    places
}

/// The longest run of a region; of several that are as long the first in the old lines, and there the first in the new.
fn longest_match(
    a: &[&str],
    b: &[&str],
    places: &HashMap<&str, Vec<usize>>,
    region: &Region,
    steps: &mut usize,
) -> Match {
    let mut best = Match { a: region.a.start, b: region.b.start, length: 0 };
    // By the new line it ends with: how long the run is that ends with the old line at hand.
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for i in region.a.clone() {
        let mut longer = HashMap::new();
        let here = places.get(a[i]).map_or(&[][..], Vec::as_slice);
        let first = here.partition_point(|j| *j < region.b.start);
        for j in here[first..].iter().copied().take_while(|j| *j < region.b.end) {
            let length = j.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0) + 1;
            longer.insert(j, length);
            if length > best.length {
                best = Match { a: i + 1 - length, b: j + 1 - length, length };
            }
            *steps = steps.saturating_sub(1);
        }
        lengths = longer;
        *steps = steps.saturating_sub(1);
        if *steps == 0 {
            return Match { length: 0, ..best };
        }
    }
    while best.a > region.a.start && best.b > region.b.start && a[best.a - 1] == b[best.b - 1] {
        best = Match { a: best.a - 1, b: best.b - 1, length: best.length + 1 };
    }
    let (end_a, end_b) = (best.a + best.length, best.b + best.length);
    let after = a[end_a..region.a.end].iter().zip(&b[end_b..region.b.end]).take_while(|(a, b)| a == b);
    best.length += after.count();
    best
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn the_longest_run_stays_where_it_is() {
        // A shortest difference would keep both lines `x`.
        let (old, new) = ("x\na\nb\nc\nx\n", "a\nb\nc\nx\nx\nx\n");
        assert_eq!(unified(old, new), "@@ -1,5 +1,6 @@\n-x\n a\n b\n c\n x\n+x\n+x\n");
        let (old, new) = ("1\n2\n3\n", "3\n1\n2\n");
        assert_eq!(unified(old, new), "@@ -1,3 +1,3 @@\n+3\n 1\n 2\n-3\n");
        assert_eq!(unified(old, old), "");
        assert_eq!(unified("", "a\n"), "@@ -0,0 +1 @@\n+a\n");
    }

    #[test]
    fn common_lines_of_long_texts_begin_no_run() {
        let lines =
            |names: &[usize]| names.iter().map(|name| format!("{{\n{name}\n}}\n")).collect::<String>();
        let old: Vec<usize> = (0..100).collect();
        let mut new = old.clone();
        new.remove(50);
        let difference = unified(&lines(&old), &lines(&new));
        assert_eq!(difference, "@@ -149,9 +149,6 @@\n 49\n }\n {\n-50\n-}\n-{\n 51\n }\n {\n");
    }

    #[test]
    fn what_takes_too_long_is_replaced() {
        let old: String = (0..60_000).map(|i| format!("{}\n", i % 500)).collect();
        let new: String = (0..60_000).rev().map(|i| format!("{}\n", i % 500)).collect();
        assert!(unified(&old, &new).starts_with("@@ -1,"));
    }
}
