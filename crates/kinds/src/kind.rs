//! A [`Strategy`] put together from plain functions: what most kinds differ in is small.

use std::borrow::Cow;
use std::sync::LazyLock;

use drydock_machinery::apply::FieldSet;
use drydock_machinery::{FieldErrors, Value};
use jiff::Timestamp;

use crate::meta::{
    validate_any_object_meta, validate_any_object_meta_update, validate_names, validate_object_meta,
    validate_object_meta_update,
};
use crate::pod::drop_disabled;
use crate::shape::{keep, same_at};
use crate::{Column, Context, NameRule, Propagation, Strategy, table};

/// Finds what is wrong with an object, besides its metadata. On update the old object is given: what was let pass once
/// may stay.
pub(crate) type Validate = fn(&mut FieldErrors, &Context<'_>, &Value, Option<&Value>);

/// Finds what may not change in an object, besides its metadata.
pub(crate) type ValidateChange = fn(&mut FieldErrors, &Value, &Value);

/// Finds what is wrong with a write to a subresource, besides the metadata.
pub(crate) type ValidateSubresource = fn(&mut FieldErrors, &Context<'_>, &Value, &Value);

/// Values of field selectors.
pub(crate) type FieldValues = for<'a> fn(&'a Value) -> Vec<(&'static str, Cow<'a, str>)>;

/// One look at an object that is written. Clients see what each of them finds, in their order, so a kind's steps are
/// those that upstream's `ValidateX` and `ValidateXUpdate` take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// All of its metadata as if it were new: `ValidateObjectMeta`.
    Meta,
    /// What may not change in its metadata: `ValidateObjectMetaUpdate`.
    MetaChange,
    /// [`Kind::validate`].
    Body,
    /// [`Kind::validate_change`]; of a subresource [`Kind::validate_status`].
    Change,
}

use Step::{Body, Change, Meta, MetaChange};

/// The steps of `ValidateX`.
pub(crate) const NEW: &[Step] = &[Meta, Body];
/// The steps of a `ValidateXUpdate` that looks at the spec again.
pub(crate) const CHANGED: &[Step] = &[MetaChange, Body, Change];
/// `ValidateX`, then `ValidateXUpdate`.
pub(crate) const NEW_THEN_CHANGED: &[Step] = &[Meta, Body, MetaChange, Change];
/// A `ValidateXUpdate` that ends with `ValidateX`.
pub(crate) const CHANGED_THEN_NEW: &[Step] = &[MetaChange, Change, Meta, Body];
/// A `ValidateXUpdate` that has `ValidateX` look at the metadata.
pub(crate) const NEW_AND_CHANGED: &[Step] = &[Meta, Body, Change];
/// The steps of most writes to a subresource.
pub(crate) const STATUS: &[Step] = &[MetaChange, Change];

/// What finalizers without a domain a kind's own validation lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finalizers {
    /// Those that Kubernetes has.
    Standard,
    Any,
}

/// What of its metadata a write of an object's status leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusMeta {
    Written,
    LabelsKept,
    /// As [`StatusMeta::Written`], but for what else a pod's own preparation keeps.
    OwnersKept,
    /// `ResetObjectMetaForStatus`.
    Kept,
}

impl StatusMeta {
    fn kept(self) -> &'static [&'static str] {
        match self {
            Self::Written => &[],
            Self::LabelsKept => &["labels"],
            Self::OwnersKept => &["deletionTimestamp", "ownerReferences"],
            Self::Kept => &["labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp"],
        }
    }

    /// `GetResetFields` of the status: what nobody comes to own by writing it.
    pub(crate) fn reset_fields(self) -> &'static FieldSet {
        static SPEC: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of_fields(&[&["spec"]]));
        static LABELS: LazyLock<FieldSet> =
            LazyLock::new(|| FieldSet::of_fields(&[&["spec"], &["metadata", "labels"]]));
        static OWNERS: LazyLock<FieldSet> = LazyLock::new(|| {
            FieldSet::of_fields(&[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
            ])
        });
        static METADATA: LazyLock<FieldSet> =
            LazyLock::new(|| FieldSet::of_fields(&[&["spec"], &["metadata"]]));
        match self {
            Self::Written => &SPEC,
            Self::LabelsKept => &LABELS,
            Self::OwnersKept => &OWNERS,
            Self::Kept => &METADATA,
        }
    }
}

/// A built-in kind. Write `Kind { ..Kind::new(group, resource) }`.
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) name: NameRule,
    pub(crate) status: bool,
    /// A create keeps the status that it brings: kubelets register Nodes with theirs.
    pub(crate) status_on_create: bool,
    pub(crate) generation: bool,
    pub(crate) spec_changed: Option<fn(&Value, &Value) -> bool>,
    /// To `reflect.DeepEqual`, an empty list that is given is a change of the spec each time: none is stored.
    pub(crate) empty_is_changed: bool,
    pub(crate) put_creates: bool,
    pub(crate) unconditional_update: bool,
    pub(crate) propagation: Propagation,
    pub(crate) finalizers: Finalizers,
    pub(crate) status_meta: StatusMeta,
    /// Where the kind has the spec of a pod.
    pub(crate) pod_spec: Option<&'static [&'static str]>,
    pub(crate) defaults: fn(&mut Value),
    /// What is filled in before a create has defaults, too, which come when it is stored.
    pub(crate) defaults_of_prepared: bool,
    pub(crate) prepare_create: fn(&Context<'_>, &mut Value),
    pub(crate) prepare_update: fn(&Context<'_>, &mut Value, &Value),
    pub(crate) validate: Validate,
    pub(crate) validate_change: ValidateChange,
    /// For every subresource.
    pub(crate) validate_status: ValidateSubresource,
    pub(crate) create: &'static [Step],
    pub(crate) update: &'static [Step],
    pub(crate) update_status: &'static [Step],
    /// Of what is to be made, before [`Kind::prepare_create`] changes it.
    pub(crate) early_warnings: fn(&Value) -> Vec<String>,
    /// The old object is given on update.
    pub(crate) warnings: fn(&Value, Option<&Value>) -> Vec<String>,
    /// Of what was written to `status`.
    pub(crate) status_warnings: fn(&Value) -> Vec<String>,
    pub(crate) warnings_on_delete: fn() -> Vec<String>,
    pub(crate) grace: fn(&Value, Option<i64>) -> Option<i64>,
    pub(crate) field_names: &'static [&'static str],
    pub(crate) field_values: FieldValues,
    pub(crate) cells: fn(&Value, Timestamp) -> Vec<Value>,
    pub(crate) row_conditions: fn(&Value) -> Vec<Value>,
}

impl Kind {
    pub(crate) const fn new(group: &'static str, resource: &'static str) -> Self {
        Self {
            group,
            resource,
            name: NameRule::DnsSubdomain,
            status: false,
            status_on_create: false,
            generation: false,
            empty_is_changed: false,
            defaults_of_prepared: false,
            spec_changed: None,
            put_creates: false,
            unconditional_update: true,
            propagation: Propagation::Background,
            finalizers: Finalizers::Standard,
            status_meta: StatusMeta::Written,
            pod_spec: None,
            defaults: |_| {},
            prepare_create: |_, _| {},
            prepare_update: |_, _, _| {},
            validate: |_, _, _, _| {},
            validate_change: |_, _, _| {},
            validate_status: |_, _, _, _| {},
            create: NEW,
            update: CHANGED,
            update_status: STATUS,
            early_warnings: |_| Vec::new(),
            warnings: |_, _| Vec::new(),
            status_warnings: |_| Vec::new(),
            warnings_on_delete: Vec::new,
            grace: |_, _| None,
            field_names: &[],
            field_values: |_| Vec::new(),
            cells: |object, _| table::default_cells(object),
            row_conditions: |_| Vec::new(),
        }
    }
}

impl Kind {
    fn whole_meta(&self, errors: &mut FieldErrors, object: &Value) {
        match self.finalizers {
            Finalizers::Standard => validate_object_meta(errors, object, self.name),
            Finalizers::Any => validate_any_object_meta(errors, object, self.name),
        }
    }

    fn changed_meta(&self, errors: &mut FieldErrors, object: &Value, old: &Value) {
        match self.finalizers {
            Finalizers::Standard => validate_object_meta_update(errors, object, old),
            Finalizers::Any => validate_any_object_meta_update(errors, object, old),
        }
    }
}

impl Strategy for Kind {
    fn set_defaults(&self, object: &mut Value) {
        (self.defaults)(object);
    }

    fn has_defaults_of_prepared(&self) -> bool {
        self.defaults_of_prepared
    }

    fn warnings_before_create(&self, object: &Value) -> Vec<String> {
        (self.early_warnings)(object)
    }

    fn prepare_for_create(&self, context: &Context<'_>, object: &mut Value) {
        if self.status
            && !self.status_on_create
            && object.get("status").is_some_and(|status| *status != Value::object())
        {
            object.set(&["status"], Value::object());
        }
        if let Some(at) = self.pod_spec {
            drop_disabled(object, None, at);
        }
        (self.prepare_create)(context, object);
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> FieldErrors {
        let mut errors = FieldErrors::new();
        for step in self.create {
            match step {
                Meta => self.whole_meta(&mut errors, object),
                Body => (self.validate)(&mut errors, context, object, None),
                // Nothing has changed yet.
                MetaChange | Change => {}
            }
        }
        // Upstream looks at all metadata again; only of the name is another thing asked then.
        if errors.is_empty() && self.create.contains(&Meta) {
            validate_names(&mut errors, object, NameRule::PathSegment);
        } else if errors.is_empty() {
            validate_any_object_meta(&mut errors, object, NameRule::PathSegment);
        }
        errors
    }

    fn warnings_on_create(&self, _: &Context<'_>, object: &Value) -> Vec<String> {
        (self.warnings)(object, None)
    }

    fn prepare_for_update(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        if let Some(at) = self.pod_spec {
            drop_disabled(object, Some(old), at);
        }
        (self.prepare_update)(context, object, old);
        if context.subresource == "status" {
            for field in self.status_meta.kept() {
                keep(object, old, &["metadata", field]);
            }
        }
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> FieldErrors {
        let mut errors = FieldErrors::new();
        validate_any_object_meta(&mut errors, object, NameRule::PathSegment);
        validate_any_object_meta_update(&mut errors, object, old);
        let of_whole = context.subresource.is_empty();
        for step in if of_whole { self.update } else { self.update_status } {
            match step {
                Meta => self.whole_meta(&mut errors, object),
                MetaChange => self.changed_meta(&mut errors, object, old),
                Body => (self.validate)(&mut errors, context, object, Some(old)),
                Change if of_whole => (self.validate_change)(&mut errors, object, old),
                Change => (self.validate_status)(&mut errors, context, object, old),
            }
        }
        errors
    }

    fn warnings_on_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<String> {
        match context.subresource {
            "" => (self.warnings)(object, Some(old)),
            "status" => (self.status_warnings)(object),
            _ => Vec::new(),
        }
    }

    fn warnings_on_delete(&self) -> Vec<String> {
        (self.warnings_on_delete)()
    }

    fn has_status(&self) -> bool {
        self.status
    }

    fn has_generation(&self) -> bool {
        self.generation
    }

    fn spec_changed(&self, object: &Value, old: &Value) -> bool {
        match self.spec_changed {
            Some(changed) => changed(object, old),
            None => {
                let (Some(new), Some(before)) = (object.as_object(), old.as_object()) else { return true };
                let fields = new.keys().chain(before.keys());
                fields
                    .filter(|key| !["metadata", "status", "apiVersion", "kind"].contains(&key.as_str()))
                    .any(|key| !same_at(object, old, &[key]))
            }
        }
    }

    fn empty_is_changed(&self) -> bool {
        self.empty_is_changed
    }

    fn status_reset_fields(&self) -> &'static FieldSet {
        self.status_meta.reset_fields()
    }

    fn allow_create_on_update(&self) -> bool {
        self.put_creates
    }

    fn allow_unconditional_update(&self) -> bool {
        self.unconditional_update
    }

    fn name_rule(&self) -> NameRule {
        self.name
    }

    fn grace_period_seconds(&self, object: &Value, requested: Option<i64>) -> Option<i64> {
        (self.grace)(object, requested)
    }

    fn default_propagation(&self) -> Propagation {
        self.propagation
    }

    fn selectable_fields<'a>(&self, object: &'a Value) -> Vec<(&'static str, Cow<'a, str>)> {
        (self.field_values)(object)
    }

    fn selectable_field_names(&self) -> &'static [&'static str] {
        self.field_names
    }

    fn columns(&self) -> &'static [Column] {
        table::columns(self.group, self.resource)
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        (self.cells)(object, now)
    }

    fn row_conditions(&self, object: &Value) -> Vec<Value> {
        (self.row_conditions)(object)
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.group, self.resource)
    }
}
