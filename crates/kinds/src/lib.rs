//! What a built-in kind does beyond its schema: strategies, validation, printer columns.
//!
//! CRUD is written once, in `drydock-apiserver`'s registry; a kind adds a [`Strategy`], found by [`strategy()`].
//! Everything here is pure: a strategy sees the object, the object before, and the time.
//!
//! # Where things are
//!
//! * A kind is a `static Kind` (`kind.rs`) in the module of its group, listed in the group's `KINDS`; groups are listed
//!   in [`strategy()`]. Its columns are in `columns.tsv`, its cells in `table`.
//! * A rule about a kind's fields goes into its `validate`, which is run for new objects and, as the kind's `update`
//!   says, for changed ones. What may not change goes into `validate_change`, writes of subresources into
//!   `validate_status`, fields that a write leaves alone into `prepare_update`, warnings into `warnings`.
//! * Rules that several kinds share are in `check`; what is said of pods and of their templates is in `pod`.
//! * `shape` reads and fills objects, `go_form` shows values as Go prints them in messages, `convert` goes between
//!   versions, `meta` checks metadata, `expression` checks CEL.
//! * Clients see all causes of a refusal, so their order is upstream's, as are texts and paths.
//! * Tests of rules are in `tests/strategies`: what a new object may not be is a line of `data/invalid.jsonl`.
//!
//! Deliberately absent: what needs other objects (admission, allocation of addresses); that is in the API server.

mod admissionregistration;
mod apps;
mod authorization;
mod autoscaling;
mod batch;
mod certificates;
mod check;
mod convert;
mod core;
mod discovery;
mod events;
pub mod expression;
mod extensions;
mod flowcontrol;
mod go_form;
mod kind;
mod meta;
mod networking;
mod pod;
mod policy;
mod rbac;
mod resource;
mod scheduling;
mod shape;
mod storage;
mod table;

use std::borrow::Cow;
use std::sync::LazyLock;

use drydock_machinery::apply::FieldSet;
use drydock_machinery::{FieldErrors, Value};
use foldhash::HashMap;
use jiff::Timestamp;

pub use apps::TEMPLATE_GENERATION;
pub use authorization::{validate_subject_access_review, validate_token_request};
pub use autoscaling::validate_scale;
pub use convert::convert;
pub use core::validate_service_addresses;
pub use meta::{validate_object_meta, validate_object_meta_update};
pub use pod::{assign_pod, is_pod_level, validate_binding};

/// What a strategy may know of the request besides the objects.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub now: Timestamp,
    /// "" for the main resource, else `status`, `scale`, `ephemeralcontainers`, `resize`, `approval`, …
    pub subresource: &'a str,
    /// The cluster's Kubernetes minor version: 33 to 36.
    pub minor_version: u32,
}

/// How the registry treats objects of one kind. The order of calls is upstream's `registry/generic` store:
/// decode, schema defaults, [`Strategy::set_defaults`], prepare, admission, validate, write.
///
/// Objects are in the kind's storage version, complete with apiVersion and kind.
pub trait Strategy: Send + Sync {
    /// Defaults that the schema alone cannot say: those that depend on other fields, or on absent parents. Also
    /// called on objects read from storage, so it must be idempotent.
    fn set_defaults(&self, _object: &mut Value) {}

    /// Whether what [`Strategy::prepare_for_create`] fills in has defaults of its own, which validation does not see.
    fn has_defaults_of_prepared(&self) -> bool {
        false
    }

    /// What [`Strategy::prepare_for_create`] is about to hide: warning headers, without code and agent, also of an object
    /// that is then found invalid.
    fn warnings_before_create(&self, _object: &Value) -> Vec<String> {
        Vec::new()
    }

    /// Clears what clients may not set (status) and sets what the server sets. Generation is the registry's: 1 on
    /// create for kinds with [`Strategy::has_generation`].
    fn prepare_for_create(&self, _context: &Context<'_>, _object: &mut Value) {}

    /// Everything wrong with a new object, its metadata included. The registry adds nothing but its own checks of
    /// namespaces.
    fn validate_create(&self, _context: &Context<'_>, object: &Value) -> FieldErrors {
        let mut errors = FieldErrors::new();
        validate_object_meta(&mut errors, object, self.name_rule());
        errors
    }

    /// Warning headers, without code and agent.
    fn warnings_on_create(&self, _context: &Context<'_>, _object: &Value) -> Vec<String> {
        Vec::new()
    }

    /// For the main resource keeps the old status; for `status` keeps everything but the status (the registry has
    /// done the usual part of that already when [`Strategy::has_status`]).
    fn prepare_for_update(&self, _context: &Context<'_>, _object: &mut Value, _old: &Value) {}

    /// Everything wrong with a changed object, its metadata included: upstream's `rest.ValidateUpdate`.
    fn validate_update(&self, _context: &Context<'_>, object: &Value, old: &Value) -> FieldErrors {
        let mut errors = FieldErrors::new();
        validate_object_meta_update(&mut errors, object, old);
        errors
    }

    fn warnings_on_update(&self, context: &Context<'_>, object: &Value, _old: &Value) -> Vec<String> {
        self.warnings_on_create(context, object)
    }

    /// Said with a deletion whose options name no propagation policy.
    fn warnings_on_delete(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the kind has a `status` that only its subresource writes.
    fn has_status(&self) -> bool {
        true
    }

    /// Whether `metadata.generation` counts changes of the spec.
    fn has_generation(&self) -> bool {
        false
    }

    /// What counts as a change of the spec when [`Strategy::has_generation`]: by default everything but metadata
    /// and status.
    fn spec_changed(&self, object: &Value, old: &Value) -> bool {
        let differs = |a: &Value, b: &Value| {
            let mut fields = a.object_at(&[]).iter();
            fields.any(|(key, value)| {
                !["metadata", "status"].contains(&key.as_str()) && b.get(key) != Some(value)
            })
        };
        differs(object, old) || differs(old, object)
    }

    /// Whether an empty list that is given counts as a change of the spec, though none is what is stored of it.
    fn empty_is_changed(&self) -> bool {
        false
    }

    /// What of an object nobody comes to own by writing its status.
    fn status_reset_fields(&self) -> &'static FieldSet {
        kind::StatusMeta::Written.reset_fields()
    }

    /// Whether PUT of an absent object creates it.
    fn allow_create_on_update(&self) -> bool {
        false
    }

    /// Whether PUT without a resourceVersion overwrites.
    fn allow_unconditional_update(&self) -> bool {
        true
    }

    /// How names are checked.
    fn name_rule(&self) -> NameRule {
        NameRule::DnsSubdomain
    }

    /// The grace period, when deleting this object is not immediate. `requested` is from the delete options.
    fn grace_period_seconds(&self, _object: &Value, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// The finalizer-like default when delete options name no propagation policy.
    fn default_propagation(&self) -> Propagation {
        Propagation::Background
    }

    /// Values of the field selectors this kind supports beyond `metadata.name` and `metadata.namespace`.
    fn selectable_fields<'a>(&self, _object: &'a Value) -> Vec<(&'static str, Cow<'a, str>)> {
        Vec::new()
    }

    /// Names of what [`Strategy::selectable_fields`] answers.
    fn selectable_field_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// Table columns after upstream's printers; by default Name and Created At.
    fn columns(&self) -> &'static [Column] {
        default_columns()
    }

    /// The cells of one row, one per column.
    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        table::default_cells(object)
    }

    /// The `conditions` of one row: whether a pod or job has completed.
    fn row_conditions(&self, _object: &Value) -> Vec<Value> {
        Vec::new()
    }
}

/// `metav1.TableColumnDefinition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `date`, …
    pub column_type: &'static str,
    /// `name` for the first column, else mostly "".
    pub format: &'static str,
    pub description: &'static str,
    /// 0 is always shown, 1 in wide output.
    pub priority: i32,
}

/// Which check a name must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    DnsSubdomain,
    /// RFC 1123 label.
    DnsLabel,
    /// RFC 1035 label: starts with a letter.
    Dns1035Label,
    /// Any path segment: RBAC names.
    PathSegment,
    /// An address in its canonical form.
    IpAddress,
    /// A DNS subdomain, of which too long a one is told apart by its bytes and no prefix is looked at.
    Long,
    /// Anything at all (checked by the strategy).
    Any,
}

/// `metav1.DeletionPropagation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// Columns of a kind that has no printer of its own.
pub fn default_columns() -> &'static [Column] {
    table::columns("", "limitranges")
}

/// A kind with nothing of its own.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Strategy for Plain {}

/// The strategy of a built-in resource. Resources without one of their own, and custom resources, are [`Plain`].
pub fn strategy(group: &str, resource: &str) -> &'static dyn Strategy {
    static BY_RESOURCE: LazyLock<HashMap<(&str, &str), &'static kind::Kind>> = LazyLock::new(|| {
        let groups = [
            admissionregistration::KINDS,
            apps::KINDS,
            autoscaling::KINDS,
            batch::KINDS,
            certificates::KINDS,
            core::KINDS,
            discovery::KINDS,
            events::KINDS,
            extensions::KINDS,
            flowcontrol::KINDS,
            networking::KINDS,
            pod::KINDS,
            policy::KINDS,
            rbac::KINDS,
            resource::KINDS,
            scheduling::KINDS,
            storage::KINDS,
        ];
        groups.into_iter().flatten().map(|kind| ((kind.group, kind.resource), *kind)).collect()
    });
    match BY_RESOURCE.get(&(group, resource)) {
        Some(kind) => *kind,
        None => &Plain,
    }
}
