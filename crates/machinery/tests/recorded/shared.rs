//! Recorded answers of real servers, when they lie beside the repository.

use std::path::{Path, PathBuf};

use drydock_machinery::Value;

/// `shared/NAME` in a folder above this crate.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found = above.map(|dir| dir.join("shared").join(name)).find(|dir| dir.is_dir());
    if found.is_none() {
        eprintln!("no shared/{name} beside the repository: nothing was compared");
    }
    found
}

/// All files below `dir` whose names end so.
pub(crate) fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path, suffix));
        } else if path.to_string_lossy().ends_with(suffix) {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// The first few places where two trees differ.
pub(crate) fn difference(got: &Value, want: &Value) -> String {
    let mut out = Vec::new();
    compare(got, want, "", &mut out);
    out.truncate(4);
    out.join("; ")
}

fn compare(got: &Value, want: &Value, path: &str, out: &mut Vec<String>) {
    match (got, want) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a.iter() {
                match b.get(key) {
                    Some(other) => compare(value, other, &format!("{path}.{key}"), out),
                    None => out.push(format!("{path}.{key} is extra: {value:?}")),
                }
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(key)) {
                out.push(format!("{path}.{key} is missing: {value:?}"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(a, b, &format!("{path}[{i}]"), out);
            }
        }
        _ if got == want => {}
        _ => out.push(format!("{path}: {got:?} instead of {want:?}")),
    }
}
