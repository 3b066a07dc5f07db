//! Objects' fields, and their names, which are shared.

use std::fmt;
use std::sync::OnceLock;

use ecow::{EcoString, EcoVec};
use foldhash::HashSet;

use super::Value;

/// A map key. Up to 15 bytes are kept inline.
pub type Key = EcoString;

/// Fields of an object, sorted by name.
#[derive(Clone, Default, PartialEq)]
pub struct Map {
    entries: EcoVec<(Key, Value)>,
}

impl Map {
    pub const fn new() -> Self {
        Self { entries: EcoVec::new() }
    }

    /// Takes entries in any order; the last of duplicate keys wins.
    pub fn from_entries(entries: impl IntoIterator<Item = (Key, Value)>) -> Self {
        let mut map = Self::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }

    /// Takes entries that are sorted by key, without duplicates.
    pub(crate) fn from_sorted(entries: EcoVec<(Key, Value)>) -> Self {
        debug_assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
        Self { entries }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(k, _)| k.as_str().cmp(key))
    }

    /// Where `key` is. Names of fields mostly differ in length, so that looking at each in turn is faster than halving as
    /// long as there are few.
    #[inline]
    fn position(&self, key: &str) -> Option<usize> {
        const FEW: usize = 24;
        if self.entries.len() > FEW {
            return self.find(key).ok();
        }
        self.entries.iter().position(|(other, _)| other.as_str() == key)
    }

    #[inline]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.position(key).map(|i| &self.entries[i].1)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let i = self.position(key)?;
        Some(&mut self.entries.make_mut()[i].1)
    }

    /// The value of `key`, inserted as null when absent.
    pub fn get_or_insert(&mut self, key: &str) -> &mut Value {
        let i = match self.position(key) {
            Some(i) => i,
            None => {
                let i = self.find(key).unwrap_or_else(|place| place);
                self.entries.insert(i, (intern(key), Value::Null));
                i
            }
        };
        &mut self.entries.make_mut()[i].1
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// Writes `value`; answers what was there.
    pub fn insert(&mut self, key: impl Into<Key>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        // Objects are mostly read in order: appending is the common case.
        if self.entries.last().is_none_or(|(last, _)| last.as_str() < key.as_str()) {
            self.entries.push((key, value));
            return None;
        }
        match self.find(&key) {
            Ok(i) => Some(std::mem::replace(&mut self.entries.make_mut()[i].1, value)),
            Err(i) => {
                self.entries.insert(i, (key, value));
                None
            }
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let i = self.position(key)?;
        Some(self.entries.remove(i).1)
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        self.entries.retain(|(key, value)| keep(key, value));
    }

    pub(crate) fn entries(&self) -> &[(Key, Value)] {
        &self.entries
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Value)> + ExactSizeIterator {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Value)> {
        self.entries.make_mut().iter_mut().map(|(key, value)| (&*key, value))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Key> + ExactSizeIterator {
        self.entries.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.entries.iter().map(|(_, value)| value)
    }
}

impl FromIterator<(Key, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(entries: I) -> Self {
        Self::from_entries(entries)
    }
}

/// A key for `name`. Names longer than fit inline share one allocation when they are a known field name.
pub fn intern(name: &str) -> Key {
    if name.len() > EcoString::INLINE_LIMIT
        && let Some(known) = KNOWN.get().and_then(|known| known.get(name))
    {
        return known.clone();
    }
    Key::from(name)
}

/// Tells [`intern`] which field names exist, once per process. Later calls change nothing.
pub(crate) fn intern_known<'a>(names: impl IntoIterator<Item = &'a str>) {
    let _ = KNOWN.get_or_init(|| names.into_iter().map(Key::from).collect());
}

static KNOWN: OnceLock<HashSet<Key>> = OnceLock::new();

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::Object(self.clone()).fmt(f)
    }
}
