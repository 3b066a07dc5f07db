//! The compiled policies of a cluster, as they are now.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_cel::declare::KubernetesVersion;
use drydock_machinery::{Object, ObjectMeta, Value};
use parking_lot::Mutex;

use super::GROUP;
use crate::admission::{AdmissionContext, Reader};

/// A kind of policy, compiled.
pub(super) trait Compile: Send + Sync + 'static {
    const POLICIES: &'static str;
    const BINDINGS: &'static str;

    fn compile(policy: &Value, version: KubernetesVersion) -> Self;
}

/// A policy that has bindings.
pub(super) struct Hook<P> {
    pub(super) policy: Arc<Object>,
    pub(super) compiled: Arc<P>,
    /// In the order of their names.
    pub(super) bindings: Vec<Arc<Object>>,
}

/// Bound policies in the order of their names.
pub(super) type Hooks<P> = Arc<[Hook<P>]>;

/// Keeps what was compiled as long as nothing changes.
pub(super) struct Snapshots<P>(Mutex<Kept<P>>);

struct Kept<P> {
    /// Of the policies and of the bindings.
    versions: Option<(u64, u64)>,
    hooks: Hooks<P>,
}

impl<P> Default for Snapshots<P> {
    fn default() -> Self {
        Self(Mutex::new(Kept { versions: None, hooks: Arc::new([]) }))
    }
}

impl<P: Compile> Snapshots<P> {
    /// The policies as they are now. Compiles those that are new or were changed.
    pub(super) fn now(&self, context: &AdmissionContext<'_>) -> Hooks<P> {
        let reader = context.reader;
        let versions = (reader.version(GROUP, P::POLICIES), reader.version(GROUP, P::BINDINGS));
        let mut kept = self.0.lock();
        if kept.versions != Some(versions) {
            kept.hooks = hooks(reader, KubernetesVersion::of_minor(context.minor_version), &kept.hooks);
            kept.versions = Some(versions);
        }
        kept.hooks.clone()
    }
}

fn hooks<P: Compile>(reader: &dyn Reader, version: KubernetesVersion, before: &[Hook<P>]) -> Hooks<P> {
    let mut bindings: BTreeMap<String, Vec<Arc<Object>>> = BTreeMap::new();
    for binding in reader.list(GROUP, P::BINDINGS, "") {
        bindings.entry(binding.str_at(&["spec", "policyName"]).to_owned()).or_default().push(binding);
    }
    let bound = bindings.into_iter().filter_map(|(name, bindings)| {
        let policy = reader.get(GROUP, P::POLICIES, "", &name)?;
        let same = |hook: &&Hook<P>| {
            hook.policy.uid() == policy.uid() && hook.policy.get("spec") == policy.get("spec")
        };
        let compiled = match before.iter().find(same) {
            Some(known) => known.compiled.clone(),
            None => Arc::new(P::compile(policy.value(), version)),
        };
        Some(Hook { policy, compiled, bindings })
    });
    bound.collect()
}
