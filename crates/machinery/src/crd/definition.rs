//! The CustomResourceDefinition object: its defaults, and everything upstream refuses it for.
//!
//! Upstream validates an internal form in which what all versions share stands at the top: `spec.validation`,
//! `spec.subresources` and so on. Error paths show it, so `Spec` has the same form.
//!
//! Deliberately absent: status conditions, which a controller writes.

mod api_approval;
mod conversion;
mod defaulted;
mod field_path;
mod formats;
mod internal;
mod names;
mod open_api;
mod spec;
mod structural;
mod subresources;

pub(super) use self::field_path::normalized_field_path;
use crate::crd::rules::compile::Stored;
pub use api_approval::approval_condition;
pub use conversion::{webhook_service, webhook_url};
pub use formats::unrecognized_formats;

use crate::names_validation::{NamePart, name_is_dns_subdomain};
use crate::status::{FieldErrors, FieldPath};
use crate::value::Value;

/// Fills in what `SetDefaults_CustomResourceDefinition` does.
pub fn apply_defaults(definition: &mut Value) {
    let kind = definition.str_at(&["spec", "names", "kind"]).to_owned();
    if definition.str_at(&["spec", "names", "singular"]).is_empty() {
        definition.set(&["spec", "names", "singular"], kind.to_lowercase());
    }
    if definition.str_at(&["spec", "names", "listKind"]).is_empty() && !kind.is_empty() {
        definition.set(&["spec", "names", "listKind"], format!("{kind}List"));
    }
    if definition.at(&["spec", "conversion"]).is_none_or(Value::is_null) {
        definition.set(&["spec", "conversion", "strategy"], "None");
    }
    const SERVICE: [&str; 5] = ["spec", "conversion", "webhook", "clientConfig", "service"];
    if definition.at(&SERVICE).is_some_and(|service| service.get("port").is_none_or(Value::is_null)) {
        definition.at_mut(&SERVICE).set(&["port"], 443);
    }
    if definition.array_at(&["status", "storedVersions"]).is_empty() {
        let versions = definition.array_at(&["spec", "versions"]).iter();
        let storage = versions.filter(|version| version.bool_at(&["storage"])).take(1);
        let stored: Vec<Value> = storage.map(|version| version.str_at(&["name"]).into()).collect();
        if !stored.is_empty() {
            definition.set(&["status", "storedVersions"], stored);
        }
    }
}

/// Notes the storage version among the stored ones, before a definition is validated and written.
pub fn add_stored_versions(definition: &mut Value) {
    let mut versions = definition.array_at(&["spec", "versions"]).iter();
    let Some(storage) = versions.find(|version| version.bool_at(&["storage"])) else { return };
    let name = Value::from(storage.str_at(&["name"]));
    let mut stored = definition.array_at(&["status", "storedVersions"]).to_vec();
    if !stored.contains(&name) {
        stored.push(name);
        definition.set(&["status", "storedVersions"], stored);
    }
}

/// What is wrong with a definition's name, for the validation of its metadata.
pub fn name_errors(definition: &Value, name: &str) -> Vec<String> {
    let mut errors = name_is_dns_subdomain(name, NamePart::Whole);
    let plural = definition.str_at(&["spec", "names", "plural"]);
    if name != format!("{plural}.{}", definition.str_at(&["spec", "group"])) {
        errors.push("must be spec.names.plural+\".\"+spec.group".to_owned());
    }
    errors
}

/// Everything wrong with a definition but its metadata, in upstream's order. `old` is what it replaces; the cluster is
/// of Kubernetes 1.`minor_version`.
pub fn validate(definition: &Value, old: Option<&Value>, minor_version: u32) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let path = FieldPath::new("spec");
    spec::validate(&mut errors, &Spec::of(definition), &Ratchet::of(definition, old, minor_version), &path);
    if let Some(old) = old {
        validate_immutable(&mut errors, definition, old, &path);
    }
    validate_status(&mut errors, definition);
    stored_versions(&mut errors, definition);
    api_approval::validate(&mut errors, definition, old);
    let was_preserving = old.is_some_and(|old| old.bool_at(&["spec", "preserveUnknownFields"]));
    if definition.bool_at(&["spec", "preserveUnknownFields"]) && !was_preserving {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.invalid(&path.child("preserveUnknownFields"), true, detail);
    }
    errors
}

/// Everything wrong with a definition's status, for a write to the status subresource.
pub fn validate_status(errors: &mut FieldErrors, definition: &Value) {
    let names = definition.at(&["status", "acceptedNames"]).cloned().unwrap_or_default();
    names::validate(errors, &names, &FieldPath::new("status").child("acceptedNames"));
}

/// Whether a definition has been established: its kind and scope can no longer change.
pub fn is_established(definition: &Value) -> bool {
    definition
        .array_at(&["status", "conditions"])
        .iter()
        .any(|c| c.str_at(&["type"]) == "Established" && c.str_at(&["status"]) == "True")
}

fn validate_immutable(errors: &mut FieldErrors, new: &Value, old: &Value, path: &FieldPath) {
    let mut immutable = |fields: &[&str]| {
        let at = |object: &Value| fields.iter().try_fold(object.get("spec")?, |v, f| v.get(f)).cloned();
        if at(new) != at(old) {
            let path = fields.iter().fold(path.clone(), |path, field| path.child_named(field));
            errors.invalid(&path, at(new).unwrap_or(Value::from("")), "field is immutable");
        }
    };
    if is_established(old) {
        immutable(&["scope"]);
        immutable(&["names", "kind"]);
    }
    immutable(&["group"]);
    immutable(&["names", "plural"]);
}

fn stored_versions(errors: &mut FieldErrors, definition: &Value) {
    let path = FieldPath::new("status").child("storedVersions");
    let stored = definition.array_at(&["status", "storedVersions"]);
    if stored.is_empty() {
        let shown = definition.at(&["status", "storedVersions"]).cloned().unwrap_or_default();
        return errors.invalid(&path, shown, "must have at least one stored version");
    }
    let versions = definition.array_at(&["spec", "versions"]);
    let mut left = stored.to_vec();
    for version in versions {
        // One that is there twice is not found the second time.
        let name = Value::from(version.str_at(&["name"]));
        let known = left.iter().position(|stored| *stored == name).map(|at| left.remove(at)).is_some();
        if version.bool_at(&["storage"]) && !known {
            let detail = format!("must have the storage version {}", name.as_str().unwrap_or(""));
            errors.invalid(&path, stored.to_vec(), detail);
        }
    }
    for (i, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| version.get("name") == Some(name)) {
            let v = name.as_str().unwrap_or("");
            let detail = format!(
                "missing from spec.versions; {v} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {v} and removes {v} from \
                 status.storedVersions"
            );
            errors.invalid(&path.index(i), name.clone(), detail);
        }
    }
}

/// What an update may keep because it was stored already.
struct Ratchet<'a> {
    expressions: Stored<'a>,
    /// Versions whose schemas stay what they were.
    unchanged: Vec<&'a str>,
}

impl<'a> Ratchet<'a> {
    fn of(new: &'a Value, old: Option<&'a Value>, minor_version: u32) -> Self {
        let mut ratchet = Self { expressions: Stored::new(minor_version), unchanged: Vec::new() };
        let Some(old) = old else { return ratchet };
        let stored = old.array_at(&["spec", "versions"]);
        for version in stored {
            if let Some(schema) = version.at(&["schema", "openAPIV3Schema"]) {
                ratchet.expressions.collect(schema);
            }
        }
        for version in new.array_at(&["spec", "versions"]) {
            let name = version.str_at(&["name"]);
            let before = stored.iter().find(|stored| stored.str_at(&["name"]) == name);
            if before.is_some_and(|before| before.get("schema") == version.get("schema")) {
                ratchet.unchanged.push(name);
            }
        }
        ratchet
    }
}

/// A definition's spec in the internal form.
struct Spec<'a> {
    raw: &'a Value,
    versions: Vec<Version<'a>>,
    /// What all versions have in common.
    shared: Version<'a>,
}

/// A version, without what all versions have in common.
#[derive(Clone, Debug, Default)]
struct Version<'a> {
    name: &'a str,
    storage: bool,
    raw: Option<&'a Value>,
    schema: Option<&'a Value>,
    subresources: Option<&'a Value>,
    columns: &'a [Value],
    selectable_fields: &'a [Value],
}

impl<'a> Spec<'a> {
    fn of(definition: &'a Value) -> Self {
        static NULL: Value = Value::Null;
        let raw = definition.get("spec").unwrap_or(&NULL);
        let mut versions: Vec<Version<'a>> = raw.array_at(&["versions"]).iter().map(Version::of).collect();
        let mut shared = Version::default();
        if let Some(first) = versions.first().cloned() {
            shared.name = first.name;
            if versions.iter().all(|version| version.schema == first.schema) {
                shared.schema = first.schema;
                versions.iter_mut().for_each(|version| version.schema = None);
            }
            if versions.iter().all(|version| version.subresources == first.subresources) {
                shared.subresources = first.subresources;
                versions.iter_mut().for_each(|version| version.subresources = None);
            }
            if versions.iter().all(|version| version.columns == first.columns) {
                shared.columns = first.columns;
                versions.iter_mut().for_each(|version| version.columns = &[]);
            }
            if versions.iter().all(|version| version.selectable_fields == first.selectable_fields) {
                shared.selectable_fields = first.selectable_fields;
                versions.iter_mut().for_each(|version| version.selectable_fields = &[]);
            }
        }
        Self { raw, versions, shared }
    }
}

impl<'a> Version<'a> {
    fn of(raw: &'a Value) -> Self {
        let object = |name| raw.get(name).filter(|value| !value.is_null());
        Self {
            name: raw.str_at(&["name"]),
            storage: raw.bool_at(&["storage"]),
            raw: Some(raw),
            schema: object("schema"),
            subresources: object("subresources"),
            columns: raw.array_at(&["additionalPrinterColumns"]),
            selectable_fields: raw.array_at(&["selectableFields"]),
        }
    }

    fn open_api(&self) -> Option<&'a Value> {
        self.schema?.get("openAPIV3Schema").filter(|schema| !schema.is_null())
    }

    fn has_status(&self) -> bool {
        self.subresources.is_some_and(|s| s.get("status").is_some_and(|status| !status.is_null()))
    }
}

/// The schemas directly inside of a schema.
fn subschemas(schema: &Value) -> impl Iterator<Item = &Value> {
    let one = ["items", "additionalProperties", "additionalItems", "not"];
    let listed = ["items", "allOf", "anyOf", "oneOf"];
    let named = ["properties", "patternProperties", "definitions", "dependencies"];
    let one = one.into_iter().filter_map(|field| schema.get(field));
    let listed = listed.into_iter().flat_map(|field| schema.array_at(&[field]));
    let named = named.into_iter().flat_map(|field| schema.object_at(&[field]).values());
    one.chain(listed).chain(named).filter(|inner| matches!(inner, Value::Object(_)))
}

#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;
