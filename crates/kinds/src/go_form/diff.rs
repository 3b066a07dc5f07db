//! Unified differences with three lines of context, as go-difflib writes them.

const CONTEXT: usize = 3;

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

/// Longest common subsequence between what differs at all.
fn changes(a: &[&str], b: &[&str]) -> Vec<Change> {
    let prefix = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let suffix = a[prefix..].iter().rev().zip(b[prefix..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (middle_a, middle_b) = (&a[prefix..a.len() - suffix], &b[prefix..b.len() - suffix]);
    let width = middle_b.len() + 1;
    let mut length = vec![0u32; (middle_a.len() + 1) * width];
    for i in (0..middle_a.len()).rev() {
        for j in (0..middle_b.len()).rev() {
            length[i * width + j] = if middle_a[i] == middle_b[j] {
                length[(i + 1) * width + j + 1] + 1
            } else {
                length[(i + 1) * width + j].max(length[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut out: Vec<Change> = Vec::new();
    let mut open: Option<Change> = None;
    while i < middle_a.len() || j < middle_b.len() {
        if i < middle_a.len() && j < middle_b.len() && middle_a[i] == middle_b[j] {
            out.extend(open.take());
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let (at_a, at_b) = (prefix + i, prefix + j);
        let change = open.get_or_insert(Change { a: (at_a, at_a), b: (at_b, at_b) });
        if j == middle_b.len()
            || (i < middle_a.len() && length[(i + 1) * width + j] >= length[i * width + j + 1])
        {
            change.a.1 += 1;
            i += 1;
        } else {
            change.b.1 += 1;
            j += 1;
        }
    }
    out.extend(open);
    out
}
