//! Files in one volume, of which none may be, or be below, another.

use std::fmt;

/// Which part of a volume a file comes from.
#[derive(Clone, Copy, Default)]
pub(super) struct Source<'a> {
    /// "" when the volume has but one.
    pub(super) kind: &'a str,
    pub(super) name: Option<&'a str>,
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{} {name:?}", self.kind),
            None => f.write_str(self.kind),
        }
    }
}

/// Paths in the order they were given, and what is wrong with them.
#[derive(Default)]
pub(super) struct Paths<'a> {
    seen: Vec<(&'a str, Source<'a>)>,
    overlaps: Vec<String>,
}

impl<'a> Paths<'a> {
    /// Notes a path, and which source it comes from.
    pub(super) fn add(&mut self, path: &'a str, source: Source<'a>) {
        let path = path.trim_end_matches('/');
        for (other, of) in &self.seen {
            if !path.is_empty() && (path == *other || below(path, other) || below(other, path)) {
                self.overlaps.push(format!("{} with {}", named(path, source), named(other, *of)));
            }
        }
        self.seen.push((path, source));
    }

    pub(super) fn warn(self, out: &mut Vec<String>, volume: &str, what: Source<'_>) {
        for overlap in self.overlaps {
            out.push(format!("volume {volume:?} ({what}): overlapping paths: {overlap}"));
        }
    }
}

fn below(path: &str, directory: &str) -> bool {
    !directory.is_empty() && path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn named(path: &str, source: Source<'_>) -> String {
    if source.kind.is_empty() { format!("{path:?}") } else { format!("{path:?} ({source})") }
}

#[cfg(test)]
mod tests {
    use super::{Paths, Source};

    fn overlaps(paths: &[&str]) -> Vec<String> {
        let mut all = Paths::default();
        paths.iter().for_each(|path| all.add(path, Source::default()));
        all.overlaps
    }

    #[test]
    fn a_file_is_neither_another_nor_its_directory() {
        assert_eq!(overlaps(&["a", "ab", "b/a"]), [""; 0]);
        assert_eq!(overlaps(&["a/b", "a/"]), ["\"a\" with \"a/b\""]);
        assert_eq!(overlaps(&["a", "a"]), ["\"a\" with \"a\""]);
    }
}
