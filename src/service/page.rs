//! Lists in pages.

/// How many items, and where to go on.
#[derive(Clone, Debug)]
pub struct PageRequest {
    pub limit: u32,
    /// What the page before answered as `next`.
    pub token: Option<String>,
}

impl PageRequest {
    pub const DEFAULT_LIMIT: u32 = 100;
    pub const MAX_LIMIT: u32 = 500;

    /// A whole list, for callers inside that know it to be short.
    pub const ALL: Self = Self { limit: u32::MAX, token: None };

    /// One more than asked for tells whether there is a next page.
    pub(super) fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// None on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Cuts what was fetched to the limit; `key` names an item for the next page to begin after.
    pub(super) fn cut(mut items: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(key);
        Self { items, next }
    }

    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}
