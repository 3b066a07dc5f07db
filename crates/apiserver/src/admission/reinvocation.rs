//! Who sees an object again that a webhook or a policy changed: once more all plugins, and of webhooks and policies
//! those that were asked before the change and want to be asked again.

use std::collections::BTreeSet;

use drydock_machinery::Value;

/// What one request knows of it.
#[derive(Clone, Debug, Default)]
pub struct Reinvocation {
    wanted: bool,
    running: bool,
    pub(super) webhooks: Invoked,
    pub(super) policies: Invoked,
}

impl Reinvocation {
    /// The object was changed: all plugins are to see it again.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether this is the second time.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// Begins the second time, if there is to be one.
    pub(super) fn begin(&mut self) -> bool {
        let begins = self.wanted && !self.running;
        self.running |= begins;
        begins
    }
}

/// The webhooks, or the policies, that were asked about one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Invoked {
    /// How the last of them left the object.
    output: Option<Value>,
    /// Those that want to see later changes, and have not seen the last one.
    waiting: BTreeSet<String>,
    again: BTreeSet<String>,
}

impl Invoked {
    /// Whether somebody else changed the object since.
    pub(super) fn is_outdated(&self, object: Option<&Value>) -> bool {
        self.output.as_ref() != object
    }

    pub(super) fn leave(&mut self, object: Option<&Value>) {
        self.output = object.cloned();
    }

    /// The object changed: those that wait are to be asked again.
    pub(super) fn changed(&mut self) {
        self.again.append(&mut self.waiting);
    }

    pub(super) fn wait(&mut self, key: String) {
        self.waiting.insert(key);
    }

    pub(super) fn is_again(&self, key: &str) -> bool {
        self.again.contains(key)
    }
}
