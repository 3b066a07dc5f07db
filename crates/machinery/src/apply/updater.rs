//! What updates and applies do to the managers' sets: structured-merge-diff's `merge.Updater`.

use std::collections::BTreeMap;

use ecow::EcoString;

use super::compare::{Comparison, compare};
use super::conflict::Conflicts;
use super::ensure::with_named_fields;
use super::field_set::field_set;
use super::managed::{ManagerId, Managers, VersionedSet};
use super::merge::merge;
use super::reconcile::reconcile;
use super::remove::remove;
use super::set::FieldSet;
use super::typed::Ty;
use super::versions::Versions;
use crate::object::ObjectMeta as _;
use crate::value::Value;

#[derive(Clone, Copy)]
pub(super) struct Updater<'a> {
    pub(super) versions: &'a dyn Versions,
    /// Fields that this resource or subresource does not let anyone set.
    pub(super) reset_fields: &'a FieldSet,
}

/// Whether an applier may take fields from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Force {
    Yes,
    No,
}

struct Typed<'a> {
    value: Value,
    ty: Ty<'a>,
}

impl Typed<'_> {
    fn field_set(&self) -> FieldSet {
        field_set(&self.value, self.ty)
    }
}

impl<'a> Updater<'a> {
    /// `new` replaces `live`: `manager` gets what differs, everybody else loses it.
    pub(super) fn update(
        self,
        live: &Value,
        new: &Value,
        version: &str,
        managers: &mut Managers,
        manager: &ManagerId,
    ) {
        self.reconcile(live, managers);
        let Ok(comparison) = self.take(live, new, version, managers, manager, Force::Yes) else { return };
        let previous = managers.get(manager).map(|own| own.set.clone()).unwrap_or_default();
        let set =
            previous.difference(&comparison.removed).joined(comparison.modified).joined(comparison.added);
        let set = set.recursive_difference(self.reset_fields);
        if set.is_empty() {
            managers.remove(manager);
        } else {
            let own = VersionedSet { set, api_version: version.into(), applied: false };
            managers.insert(manager.clone(), own);
        }
    }

    /// Lays `config` over `live`. None when that changes nothing.
    pub(super) fn apply(
        self,
        live: &Value,
        config: &Value,
        version: &str,
        managers: &mut Managers,
        manager: &ManagerId,
        force: Force,
    ) -> Result<Option<Value>, Conflicts> {
        let Some(ty) = self.ty(version) else { return Ok(None) };
        self.reconcile(live, managers);
        let merged = merge(live, config, ty);
        let last = managers.get(manager).cloned();
        let set = field_set(config, ty).recursive_difference(self.reset_fields);
        let own = VersionedSet { set, api_version: version.into(), applied: true };
        managers.insert(manager.clone(), own);
        let new = self.prune(merged, version, managers, last.as_ref());
        self.take(live, &new, version, managers, manager, force)?;
        Ok((!super::path::same(live, &new)).then_some(new))
    }

    fn ty(self, version: &str) -> Option<Ty<'a>> {
        self.versions.schema(version).map(Ty::new)
    }

    /// The object in a version; None when there is no such version.
    fn at(self, object: &Value, version: &str) -> Option<Typed<'a>> {
        let ty = self.ty(version)?;
        let value = if object.api_version() == version {
            object.clone()
        } else {
            self.versions.convert(object, version)?
        };
        Some(Typed { value, ty })
    }

    /// Drops managers of versions that are gone, and follows changes of the schema.
    fn reconcile(self, live: &Value, managers: &mut Managers) {
        managers.retain(|_, versioned| {
            if self.at(live, &versioned.api_version).is_none() {
                return false;
            }
            if let Some(set) = self.ty(&versioned.api_version).and_then(|ty| reconcile(&versioned.set, ty)) {
                versioned.set = set;
            }
            true
        });
    }

    /// Takes what differs between `old` and `new` from everybody but `workflow`.
    fn take(
        self,
        old: &Value,
        new: &Value,
        version: &str,
        managers: &mut Managers,
        workflow: &ManagerId,
        force: Force,
    ) -> Result<Comparison, Conflicts> {
        let mut comparisons: BTreeMap<EcoString, Option<Comparison>> = BTreeMap::new();
        let compared = |version: &str| {
            let (old, new) = (self.at(old, version)?, self.at(new, version)?);
            Some(compare(&old.value, &new.value, old.ty).without(self.reset_fields))
        };
        comparisons.insert(version.into(), Some(compared(version).unwrap_or_default()));
        let mut conflicts = Conflicts::default();
        let mut taken: BTreeMap<ManagerId, FieldSet> = BTreeMap::new();
        managers.retain(|manager, versioned| {
            if manager == workflow {
                return true;
            }
            let api_version = versioned.api_version.clone();
            let comparison = comparisons.entry(api_version).or_insert_with_key(|version| compared(version));
            let Some(comparison) = comparison else { return false };
            let set = &versioned.set;
            let wanted = set.intersection(&comparison.modified).joined(set.intersection(&comparison.added));
            conflicts.add(manager, &wanted);
            taken.insert(manager.clone(), wanted.joined(comparison.removed.clone()));
            true
        });
        if force == Force::No && !conflicts.0.is_empty() {
            return Err(conflicts);
        }
        for (manager, fields) in taken {
            if let Some(versioned) = managers.get_mut(&manager) {
                versioned.set = std::mem::take(&mut versioned.set).difference(&fields);
            }
        }
        managers.retain(|_, versioned| !versioned.set.is_empty());
        Ok(comparisons.remove(version).flatten().unwrap_or_default())
    }

    /// Removes what the applier applied last time, does not apply now, and nobody else manages.
    fn prune(self, merged: Value, version: &str, managers: &Managers, last: Option<&VersionedSet>) -> Value {
        let Some(last) = last.filter(|last| !last.set.is_empty()) else { return merged };
        let Some(converted) = self.at(&merged, &last.api_version) else { return merged };
        let last_fields = with_named_fields(&last.set, Some(converted.ty));
        let pruned = remove(&converted.value, &last_fields, converted.ty);
        let pruned = self.with_owned(&converted.value, pruned, &last.api_version, managers);
        let pruned = self.with_dangling(&converted, &pruned, &last.api_version, &last_fields);
        match self.at(&pruned, version) {
            Some(typed) => typed.value,
            None => merged,
        }
    }

    /// Puts back what others, or the applier's new configuration, manage.
    fn with_owned(
        self,
        merged: &Value,
        mut pruned: Value,
        pruned_version: &str,
        managers: &Managers,
    ) -> Value {
        let mut by_version: BTreeMap<&str, FieldSet> = BTreeMap::new();
        for versioned in managers.values() {
            let managed = by_version.entry(&versioned.api_version).or_default();
            *managed = managed.union(&versioned.set);
        }
        // The pruned version first: what conversion may need must be there.
        let first = by_version.remove_entry(pruned_version);
        let mut merged = merged.clone();
        for (version, managed) in first.into_iter().chain(by_version) {
            let (Some(from), Some(kept)) = (self.at(&merged, version), self.at(&pruned, version)) else {
                continue;
            };
            let named = |set: &FieldSet| with_named_fields(set, Some(from.ty));
            let wanted = named(&kept.field_set()).union(&named(&managed));
            pruned = remove(&from.value, &named(&from.field_set()).difference(&wanted), from.ty);
            merged = from.value;
        }
        pruned
    }

    /// Puts back what the applier never managed.
    fn with_dangling(
        self,
        merged: &Typed<'_>,
        pruned: &Value,
        version: &str,
        last_fields: &FieldSet,
    ) -> Value {
        let Some(pruned) = self.at(pruned, version) else { return merged.value.clone() };
        let named = |set: &FieldSet| with_named_fields(set, Some(merged.ty));
        let gone = named(&merged.field_set()).difference(&named(&pruned.field_set()));
        remove(&merged.value, &gone.intersection(last_fields), merged.ty)
    }
}
