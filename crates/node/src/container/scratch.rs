//! What processes of simulated containers have written: kept in memory, for as long as the pod is there.
//!
//! A path of a volume belongs to the pod, every other one to a container's run. What one pod and what all together may
//! hold is bounded: beyond that, the device is full.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use drydock_machinery::Key;
use parking_lot::Mutex;

const OF_A_POD: usize = 4 * 1024 * 1024;
const OF_ALL: usize = 64 * 1024 * 1024;
/// What an entry costs besides its content.
const ENTRY: usize = 128;

/// A file or a directory that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File(Arc<Vec<u8>>),
    Directory,
}

/// Of all pods of a tenant.
#[derive(Default)]
pub(crate) struct Scratch(Mutex<State>);

#[derive(Default)]
struct State {
    pods: HashMap<Key, Pod>,
    used: usize,
}

#[derive(Default)]
struct Pod {
    entries: BTreeMap<String, Entry>,
    used: usize,
}

/// There is no room for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Scratch {
    pub(crate) fn get(&self, pod: &str, path: &str) -> Option<Entry> {
        self.0.lock().pods.get(pod)?.entries.get(path).cloned()
    }

    /// The paths below `prefix`, which ends in a slash, without it.
    pub(crate) fn below(&self, pod: &str, prefix: &str) -> Vec<(String, Entry)> {
        let state = self.0.lock();
        let Some(pod) = state.pods.get(pod) else { return Vec::new() };
        let range = pod.entries.range(prefix.to_owned()..).take_while(|(path, _)| path.starts_with(prefix));
        range.map(|(path, entry)| (path[prefix.len()..].to_owned(), entry.clone())).collect()
    }

    pub(crate) fn put(&self, pod: &str, path: &str, entry: Entry) -> Result<(), Full> {
        let mut state = self.0.lock();
        let new = cost(path, &entry);
        let of_pod = state.pods.entry(pod.into()).or_default();
        let old = of_pod.entries.get(path).map_or(0, |old| cost(path, old));
        let used = of_pod.used - old + new;
        if used > OF_A_POD || state.used - old + new > OF_ALL {
            return Err(Full);
        }
        let of_pod = state.pods.entry(pod.into()).or_default();
        of_pod.used = used;
        of_pod.entries.insert(path.to_owned(), entry);
        state.used = state.used - old + new;
        Ok(())
    }

    /// Appends to a file that is kept; answers whether it is one.
    pub(crate) fn append(&self, pod: &str, path: &str, content: &[u8]) -> Result<bool, Full> {
        let mut state = self.0.lock();
        let State { pods, used } = &mut *state;
        let Some(of_pod) = pods.get_mut(pod) else { return Ok(false) };
        let Some(Entry::File(file)) = of_pod.entries.get_mut(path) else { return Ok(false) };
        if of_pod.used + content.len() > OF_A_POD || *used + content.len() > OF_ALL {
            return Err(Full);
        }
        Arc::make_mut(file).extend_from_slice(content);
        of_pod.used += content.len();
        *used += content.len();
        Ok(true)
    }

    /// Removes a path and all below it.
    pub(crate) fn remove(&self, pod: &str, path: &str) {
        let mut state = self.0.lock();
        let Some(of_pod) = state.pods.get_mut(pod) else { return };
        let below = format!("{path}/");
        let mut freed = 0;
        of_pod.entries.retain(|own, entry| {
            let goes = own == path || own.starts_with(&below);
            if goes {
                freed += cost(own, entry);
            }
            !goes
        });
        of_pod.used -= freed;
        state.used -= freed;
    }

    /// The pod is gone.
    pub(crate) fn forget(&self, pod: &str) {
        let mut state = self.0.lock();
        if let Some(gone) = state.pods.remove(pod) {
            state.used -= gone.used;
        }
    }
}

fn cost(path: &str, entry: &Entry) -> usize {
    let content = if let Entry::File(content) = entry { content.len() } else { 0 };
    ENTRY + path.len() + content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(length: usize) -> Entry {
        Entry::File(Arc::new(vec![b'x'; length]))
    }

    #[test]
    fn a_pod_has_so_much_room_and_gives_it_back() {
        let scratch = Scratch::default();
        scratch.put("a", "v/data/x", file(3_000_000)).unwrap();
        assert_eq!(scratch.put("a", "v/data/y", file(3_000_000)), Err(Full));
        scratch.put("a", "v/data/x", file(10)).unwrap();
        scratch.put("a", "v/data/y", file(3_000_000)).unwrap();
        scratch.put("a", "v/data/z/deep", file(10)).unwrap();
        assert_eq!(scratch.below("a", "v/data/").len(), 3);
        scratch.remove("a", "v/data/z");
        assert_eq!(scratch.below("a", "v/data/").len(), 2);
        scratch.forget("a");
        assert_eq!(scratch.get("a", "v/data/x"), None);
        assert_eq!(scratch.0.lock().used, 0);
    }
}
