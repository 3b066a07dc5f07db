//! A [`Strategy`] put together from plain functions: what most kinds differ in is small.

use std::borrow::Cow;

use drydock_machinery::{FieldErrors, Value};
use jiff::Timestamp;

use crate::meta::{
    validate_any_object_meta, validate_any_object_meta_update, validate_object_meta,
    validate_object_meta_update,
};
use crate::pod::drop_disabled;
use crate::shape::keep;
use crate::{Column, Context, NameRule, Propagation, Strategy, table};

/// Finds what is wrong with a new object, besides its metadata.
pub(crate) type Validate = fn(&mut FieldErrors, &Context<'_>, &Value);

/// Finds what is wrong with a changed object, besides its metadata.
pub(crate) type ValidateUpdate = fn(&mut FieldErrors, &Context<'_>, &Value, &Value);

/// Values of field selectors.
pub(crate) type FieldValues = for<'a> fn(&'a Value) -> Vec<(&'static str, Cow<'a, str>)>;

/// A look at an object's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaCheck {
    /// What may not change: `ValidateObjectMetaUpdate`.
    Changes,
    /// That, as the core group has it: it knows what finalizers are called.
    CoreChanges,
    /// All of it as if it were new: `ValidateObjectMeta`.
    Whole,
    /// That, as the core group has it.
    CoreWhole,
}

use MetaCheck::{Changes, CoreChanges, CoreWhole, Whole};

/// What kinds' own validation looks at in the metadata: of a new object, and, in order, of a changed one. Clients
/// see all of it among the causes, besides what is done for every kind.
pub(crate) struct MetaChecks {
    pub(crate) create: Option<MetaCheck>,
    pub(crate) update: &'static [MetaCheck],
}

impl MetaChecks {
    pub(crate) const CORE: Self = Self { create: Some(CoreWhole), update: &[CoreChanges] };
    pub(crate) const CORE_WHOLE: Self = Self { create: Some(CoreWhole), update: &[CoreWhole] };
    pub(crate) const CORE_WHOLE_TWICE: Self =
        Self { create: Some(CoreWhole), update: &[CoreWhole, CoreWhole] };
    pub(crate) const CORE_WHOLE_FIRST: Self =
        Self { create: Some(CoreWhole), update: &[CoreWhole, CoreChanges] };
    pub(crate) const CORE_WHOLE_LAST: Self =
        Self { create: Some(CoreWhole), update: &[CoreChanges, CoreWhole] };
    pub(crate) const PLAIN: Self = Self { create: Some(Whole), update: &[Changes] };
    pub(crate) const PLAIN_WHOLE: Self = Self { create: Some(Whole), update: &[Whole] };
    pub(crate) const PLAIN_WHOLE_FIRST: Self = Self { create: Some(Whole), update: &[Whole, Changes] };
    pub(crate) const PLAIN_WHOLE_LAST: Self = Self { create: Some(Whole), update: &[Changes, Whole] };
    pub(crate) const NONE: Self = Self { create: None, update: &[] };

    /// Of a changed status.
    fn status(&self) -> Option<MetaCheck> {
        let core = self.update.iter().any(|check| matches!(check, CoreChanges | CoreWhole));
        (!self.update.is_empty()).then_some(if core { CoreChanges } else { Changes })
    }
}

/// What of its metadata a write of an object's status leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusMeta {
    Written,
    LabelsKept,
    LabelsAndAnnotationsKept,
    /// `ResetObjectMetaForStatus`.
    Kept,
}

impl StatusMeta {
    fn kept(self) -> &'static [&'static str] {
        match self {
            Self::Written => &[],
            Self::LabelsKept => &["labels"],
            Self::LabelsAndAnnotationsKept => &["labels", "annotations"],
            Self::Kept => &["labels", "annotations", "finalizers", "ownerReferences"],
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
    pub(crate) put_creates: bool,
    pub(crate) unconditional_update: bool,
    pub(crate) propagation: Propagation,
    pub(crate) meta: MetaChecks,
    pub(crate) status_meta: StatusMeta,
    /// Where the kind has the spec of a pod.
    pub(crate) pod_spec: Option<&'static [&'static str]>,
    pub(crate) defaults: fn(&mut Value),
    pub(crate) prepare_create: fn(&Context<'_>, &mut Value),
    pub(crate) prepare_update: fn(&Context<'_>, &mut Value, &Value),
    pub(crate) validate: Validate,
    /// None: [`Kind::validate`] again.
    pub(crate) validate_update: Option<ValidateUpdate>,
    /// For every subresource.
    pub(crate) validate_status: ValidateUpdate,
    /// The old object is given on update.
    pub(crate) warnings: fn(&Context<'_>, &Value, Option<&Value>) -> Vec<String>,
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
            status_on_create: false,
            status: false,
            generation: false,
            spec_changed: None,
            put_creates: false,
            unconditional_update: true,
            propagation: Propagation::Background,
            meta: MetaChecks::CORE,
            status_meta: StatusMeta::Written,
            pod_spec: None,
            defaults: |_| {},
            prepare_create: |_, _| {},
            prepare_update: |_, _, _| {},
            validate: |_, _, _| {},
            validate_update: None,
            validate_status: |_, _, _, _| {},
            warnings: |_, _, _| Vec::new(),
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
    fn check_meta(&self, errors: &mut FieldErrors, check: MetaCheck, object: &Value, old: &Value) {
        match check {
            Changes => validate_any_object_meta_update(errors, object, old),
            CoreChanges => validate_object_meta_update(errors, object, old),
            Whole => validate_any_object_meta(errors, object, self.name),
            CoreWhole => validate_object_meta(errors, object, self.name),
        }
    }
}

impl Strategy for Kind {
    fn set_defaults(&self, object: &mut Value) {
        (self.defaults)(object);
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
        if let Some(check) = self.meta.create {
            self.check_meta(&mut errors, check, object, object);
        }
        (self.validate)(&mut errors, context, object);
        if errors.is_empty() {
            validate_any_object_meta(&mut errors, object, NameRule::PathSegment);
        }
        errors
    }

    fn warnings_on_create(&self, context: &Context<'_>, object: &Value) -> Vec<String> {
        (self.warnings)(context, object, None)
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
        let of_status = self.meta.status();
        let checks = if context.subresource.is_empty() { self.meta.update } else { of_status.as_slice() };
        for check in checks {
            self.check_meta(&mut errors, *check, object, old);
        }
        if context.subresource.is_empty() {
            match self.validate_update {
                Some(validate) => validate(&mut errors, context, object, old),
                None => (self.validate)(&mut errors, context, object),
            }
        } else {
            (self.validate_status)(&mut errors, context, object, old);
        }
        errors
    }

    fn warnings_on_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<String> {
        (self.warnings)(context, object, Some(old))
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
                let (Some(new), Some(old)) = (object.as_object(), old.as_object()) else { return true };
                let fields = new.keys().chain(old.keys());
                fields
                    .filter(|key| !["metadata", "status", "apiVersion", "kind"].contains(&key.as_str()))
                    .any(|key| !crate::shape::same(new.get(key), old.get(key)))
            }
        }
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
