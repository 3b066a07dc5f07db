//! What the processes of one exec may hold in memory. Who holds more is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes of variables, words, scripts and texts that are held at one time.
const MOST: usize = 8 * 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Budget {
    used: AtomicUsize,
    spent: AtomicBool,
}

impl Budget {
    /// Whether more was asked for than there is. It stays so: all that runs is to end.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// Something is too large to be held at all.
    pub(crate) fn exhaust(&self) {
        self.spent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        let mut held = Held { budget: self.clone(), bytes: 0 };
        held.grow(bytes);
        held
    }
}

/// A part of the budget, given back when it is dropped. A clone takes as much again.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    /// False when the budget is spent.
    pub(crate) fn grow(&mut self, by: usize) -> bool {
        self.bytes = self.bytes.saturating_add(by);
        let before = self.budget.used.fetch_add(by, Ordering::Relaxed);
        if before.saturating_add(by) > MOST {
            self.budget.exhaust();
        }
        !self.budget.is_spent()
    }

    pub(crate) fn shrink(&mut self, by: usize) {
        let by = by.min(self.bytes);
        self.bytes -= by;
        self.budget.used.fetch_sub(by, Ordering::Relaxed);
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        self.budget.hold(self.bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back_and_too_much_is_remembered() {
        let budget = Arc::new(Budget::default());
        let mut half = budget.hold(MOST / 2);
        drop(half.clone());
        half.shrink(10);
        assert!(half.grow(10) && !budget.is_spent());
        let more = budget.hold(MOST / 2 + 1);
        assert!(budget.is_spent());
        drop((half, more));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
        assert!(budget.is_spent());
    }
}
