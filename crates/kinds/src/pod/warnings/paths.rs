//! Files in one volume, of which none may be, or be below, another.

/// Paths in the order they were given, and what is wrong with them.
#[derive(Default)]
pub(super) struct Paths {
    seen: Vec<(String, String)>,
    overlaps: Vec<String>,
}

impl Paths {
    /// Notes a path, and which source it comes from ("" when there is but one).
    pub(super) fn add(&mut self, path: &str, source: &str) {
        let path = path.trim_end_matches('/');
        for (other, of) in &self.seen {
            if !path.is_empty() && (path == other || below(path, other) || below(other, path)) {
                self.overlaps.push(format!("{} with {}", named(path, source), named(other, of)));
            }
        }
        self.seen.push((path.to_owned(), source.to_owned()));
    }

    pub(super) fn warn(self, out: &mut Vec<String>, volume: &str, what: &str) {
        for overlap in self.overlaps {
            out.push(format!("volume {volume:?} ({what}): overlapping paths: {overlap}"));
        }
    }
}

fn below(path: &str, directory: &str) -> bool {
    !directory.is_empty() && path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn named(path: &str, source: &str) -> String {
    if source.is_empty() { format!("{path:?}") } else { format!("{path:?} ({source})") }
}

#[cfg(test)]
mod tests {
    use super::Paths;

    fn overlaps(paths: &[&str]) -> Vec<String> {
        let mut all = Paths::default();
        paths.iter().for_each(|path| all.add(path, ""));
        all.overlaps
    }

    #[test]
    fn a_file_is_neither_another_nor_its_directory() {
        assert_eq!(overlaps(&["a", "ab", "b/a"]), [""; 0]);
        assert_eq!(overlaps(&["a/b", "a/"]), ["\"a\" with \"a/b\""]);
        assert_eq!(overlaps(&["a", "a"]), ["\"a\" with \"a\""]);
    }
}
