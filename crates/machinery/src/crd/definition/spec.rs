//! `spec` as a whole.

use super::{
    Ratchet, Spec, Version, conversion, defaulted, internal, names, open_api, structural, subresources,
};
use crate::crd::rules::limits::Budget;
use crate::names_validation::{is_dns1035_label, is_dns1123_subdomain};
use crate::status::{FieldErrors, FieldPath};
use crate::value::Value;

pub(super) fn validate(errors: &mut FieldErrors, spec: &Spec<'_>, ratchet: &Ratchet<'_>, path: &FieldPath) {
    group_and_scope(errors, spec.raw, path);
    if spec.shared.open_api().is_none() {
        for (i, version) in spec.versions.iter().enumerate().filter(|(_, v)| v.open_api().is_none()) {
            let path = path.child("versions").index(i).child("schema").child("openAPIV3Schema");
            if version.raw.is_some() {
                errors.required(&path, "");
            }
        }
    }
    let mut schemas = spec.versions.iter().chain([&spec.shared]).filter_map(Version::open_api);
    if spec.raw.bool_at(&["preserveUnknownFields"]) && schemas.any(defaulted::has_defaults) {
        let detail = "must be false in order to use defaults in the schema";
        errors.invalid(&path.child("preserveUnknownFields"), true, detail);
    }
    for (i, version) in spec.versions.iter().enumerate() {
        let path = path.child("versions").index(i);
        label(errors, version.name, &path.child("name"));
        let per_version = spec.versions.iter().any(|version| version.subresources.is_some());
        let has_status = if per_version { version.has_status() } else { spec.shared.has_status() };
        validate_version(errors, version, has_status, ratchet, &path);
    }
    versions_together(errors, spec, path);
    let names_path = path.child("names");
    let given = spec.raw.get("names").cloned().unwrap_or_default();
    for field in ["plural", "singular", "kind", "listKind"] {
        if given.str_at(&[field]).is_empty() {
            errors.required(&names_path.child(field), "");
        }
    }
    names::validate(errors, &given, &names_path);
    let has_status = spec.shared.has_status() || spec.versions.iter().any(Version::has_status);
    if let Some(schema) = spec.shared.open_api() {
        let budget = Budget::new(&ratchet.expressions, ratchet.unchanged.contains(&spec.shared.name));
        open_api_schema(errors, schema, has_status, budget, &path.child("validation"));
    }
    subresources::subresources(errors, spec.shared.subresources, &path.child("subresources"));
    subresources::columns(errors, spec.shared.columns, &path.child("additionalPrinterColumns"));
    if !spec.shared.selectable_fields.is_empty() {
        let path = path.child("selectableFields");
        match spec.shared.open_api() {
            None => errors.invalid(&path, "", "may only be set when validations.schema is included"),
            Some(schema) => {
                subresources::selectable_fields(errors, spec.shared.selectable_fields, schema, &path);
            }
        }
    }
    if let Some(given) = spec.raw.get("conversion").filter(|conversion| !conversion.is_null()) {
        let strategy = given.str_at(&["strategy"]);
        if strategy != "None" && spec.raw.bool_at(&["preserveUnknownFields"]) {
            let path = path.child("conversion").child("strategy");
            errors.invalid(&path, strategy, "must be None if spec.preserveUnknownFields is true");
        }
        conversion::validate(errors, given, &path.child("conversion"));
    }
}

fn group_and_scope(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let group = spec.str_at(&["group"]);
    let wrong = is_dns1123_subdomain(group);
    if group.is_empty() {
        errors.required(&path.child("group"), "");
    } else if !wrong.is_empty() {
        errors.invalid(&path.child("group"), group, wrong.join(","));
    } else if !group.contains('.') {
        errors.invalid(&path.child("group"), group, "should be a domain with at least one dot");
    }
    match spec.str_at(&["scope"]) {
        "" => errors.required(&path.child("scope"), ""),
        "Cluster" | "Namespaced" => {}
        other => errors.not_supported(&path.child("scope"), other, &["Cluster", "Namespaced"]),
    }
}

fn label(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let wrong = is_dns1035_label(name);
    if !wrong.is_empty() {
        errors.invalid(path, name, wrong.join(","));
    }
}

fn validate_version(
    errors: &mut FieldErrors,
    version: &Version<'_>,
    has_status: bool,
    ratchet: &Ratchet<'_>,
    path: &FieldPath,
) {
    deprecation(errors, version, &path.child("deprecationWarning"));
    if let Some(schema) = version.open_api() {
        let budget = Budget::new(&ratchet.expressions, ratchet.unchanged.contains(&version.name));
        open_api_schema(errors, schema, has_status, budget, &path.child("schema"));
    }
    subresources::subresources(errors, version.subresources, &path.child("subresources"));
    subresources::columns(errors, version.columns, &path.child("additionalPrinterColumns"));
    if !version.selectable_fields.is_empty() {
        let path = path.child("selectableFields");
        match version.open_api() {
            // The text says the opposite of what it means; it is upstream's.
            None => errors.invalid(
                &path,
                "",
                "may only be set when `version.schema.openAPIV3Schema` is not included",
            ),
            Some(schema) => {
                subresources::selectable_fields(errors, version.selectable_fields, schema, &path);
            }
        }
    }
}

fn deprecation(errors: &mut FieldErrors, version: &Version<'_>, path: &FieldPath) {
    let Some(raw) = version.raw else { return };
    let Some(warning) = raw.get("deprecationWarning").and_then(Value::as_str) else { return };
    if !raw.bool_at(&["deprecated"]) {
        return errors.invalid(path, warning, "can only be set for deprecated versions");
    }
    if warning.len() > 256 {
        errors.invalid(path, warning, "must be <= 256 characters long");
    }
    if warning.is_empty() {
        errors.invalid(path, warning, "must not be an empty string");
    }
    if let Some((i, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        let detail = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {i}"
        );
        errors.invalid(path, warning, detail);
    }
}

/// Names are unique, and one version is stored. What all versions share has already been taken out of them.
fn versions_together(errors: &mut FieldErrors, spec: &Spec<'_>, path: &FieldPath) {
    let shown = || match spec.raw.get("versions").filter(|versions| !versions.is_null()) {
        None => "null".to_owned(),
        Some(_) => {
            let versions: Vec<String> = spec.versions.iter().map(internal::version).collect();
            format!("[{}]", versions.join(","))
        }
    };
    let names: Vec<&str> = spec.versions.iter().map(|version| version.name).collect();
    if names.iter().enumerate().any(|(i, name)| names[..i].contains(name)) {
        errors.invalid_shown(&path.child("versions"), shown(), "must contain unique version names");
    }
    if spec.versions.iter().filter(|version| version.storage).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.invalid_shown(&path.child("versions"), shown(), detail);
    }
    if !spec.shared.name.is_empty() {
        label(errors, spec.shared.name, &path.child("version"));
    }
}

/// `validateCustomResourceDefinitionValidation`
fn open_api_schema(
    all: &mut FieldErrors,
    schema: &Value,
    has_status: bool,
    budget: Budget<'_>,
    path: &FieldPath,
) {
    let path = path.child("openAPIV3Schema");
    let mut found = FieldErrors::new();
    let errors = &mut found;
    if has_status {
        root_with_status(errors, schema, &path);
    }
    if schema.bool_at(&["nullable"]) {
        errors.forbidden(&path.child("nullable"), "nullable cannot be true at the root");
    }
    if let Some(why) = structural::unsupported(schema) {
        open_api::validate(errors, schema, None, &path);
        if errors.is_empty() {
            errors.invalid(&path, "", why);
        }
        return all.append(found);
    }
    let mut wrong = structural::validate(schema, &path);
    if wrong.is_empty() {
        defaulted::validate(&mut wrong, schema, budget.minor_version(), &path);
    }
    // Only a structural schema has types that rules can be compiled over.
    let budget = wrong.is_empty().then_some(budget);
    errors.append(wrong);
    open_api::validate(errors, schema, budget, &path);
    all.append(found);
}

/// With a status subresource the root may only have what makes sense for `status` alone.
fn root_with_status(errors: &mut FieldErrors, schema: &Value, path: &FieldPath) {
    const REFUSED: [&str; 22] = [
        "id",
        "$schema",
        "$ref",
        "nullable",
        "default",
        "enum",
        "maxProperties",
        "minProperties",
        "allOf",
        "oneOf",
        "anyOf",
        "not",
        "additionalProperties",
        "patternProperties",
        "dependencies",
        "additionalItems",
        "definitions",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
    ];
    const ALLOWED: &str = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength \
                           MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties \
                           ExternalDocs Example XPreserveUnknownFields XValidations]";
    let ty = schema.str_at(&["type"]);
    if !ty.is_empty() && ty != "object" {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        return errors.invalid(&path.child("type"), ty, detail);
    }
    let set = |name: &str| match schema.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    };
    if REFUSED.iter().any(|name| set(name)) {
        let detail = format!(
            "only {ALLOWED} fields are allowed at the root of the schema if the status subresource is enabled"
        );
        errors.invalid_shown(path, internal::schema(schema), detail);
    }
}
