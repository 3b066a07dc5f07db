//! Custom resources: from `openAPIV3Schema` to the schema form, and everything a custom object is checked for.
//!
//! [`CustomResource::compile`] makes, once per served version, what the API server needs for its objects: the
//! [`Schema`] over which pruning, defaulting and server-side apply run, and compiled value validations.
//! [`definition`] checks the CustomResourceDefinition itself; [`columns`] and [`selectable`] evaluate its JSONPaths.
//!
//! [`rules`] compiles and evaluates `x-kubernetes-validations`.
//!
//! Deliberately absent: what makes a definition established, which is a controller's.

pub mod columns;
mod compile;
pub mod definition;
mod embedded;
mod formats;
mod list_type;
mod node;
pub mod rules;
pub mod selectable;
mod validate;

use std::sync::{Arc, OnceLock};

use crate::schema::Schema;
use crate::status::{FieldErrorKind, FieldErrors, FieldPath};
use crate::value::Value;

pub use drydock_cel::go_regex;
pub use embedded::validate_object_meta_without_name;
pub(crate) use formats::accepts_format;
use formats::parse_duration;
use rules::evaluate::Rules;

/// One served version of a custom resource.
#[derive(Clone, Debug)]
pub struct CustomResource {
    /// What objects of this version look like, `apiVersion`, `kind` and `metadata` included.
    pub schema: Schema,
    validation: node::Node,
    /// What [`CustomResource::rules`] are made from.
    source: Value,
    minor_version: u32,
    rules: Arc<OnceLock<Option<Rules>>>,
}

impl CustomResource {
    /// Compiles a structural schema that [`definition::validate`] has found to be one, for a cluster of Kubernetes
    /// 1.`minor_version`.
    pub fn compile(open_api_v3_schema: &Value, minor_version: u32) -> Self {
        Self {
            schema: compile::schema(open_api_v3_schema),
            validation: node::Node::compile(open_api_v3_schema),
            source: open_api_v3_schema.clone(),
            minor_version,
            rules: Arc::default(),
        }
    }

    /// Adds everything in `new` that the schema does not allow to `errors`, which has what is wrong with the object
    /// beside that; metadata of the object itself excepted. What is the same in `old` is let pass ("ratcheting").
    /// Answers what there is to warn of.
    ///
    /// These are the steps [`CustomResource::validate_values`], [`CustomResource::validate_structure`] and
    /// [`CustomResource::validate_rules`], between which others may have something to say.
    pub fn validate(&self, errors: &mut FieldErrors, new: &Value, old: Option<&Value>) -> Vec<String> {
        self.validate_values(errors, new, old);
        self.validate_structure(errors, new, old, false);
        self.validate_rules(errors, new, old)
    }

    /// What the schema says of values.
    pub fn validate_values(&self, errors: &mut FieldErrors, new: &Value, old: Option<&Value>) {
        errors.append(validate::validate(&self.validation, new, old, &FieldPath::root()));
    }

    /// As [`CustomResource::validate_values`], of a write to the status subresource: in `status` only.
    pub fn validate_status(&self, errors: &mut FieldErrors, new: &Value, old: Option<&Value>) {
        if let (Some(status), Some(node)) = (new.get("status"), self.validation.property("status")) {
            let old = old.map(|old| old.get("status").unwrap_or(&Value::Null));
            errors.append(validate::validate(node, status, old, &FieldPath::new("status")));
        }
    }

    /// Brings the metadata of embedded objects into its type; answers the unknown fields that were dropped from it.
    /// Comes after decoding; then [`crate::decode::prune`], [`crate::defaults::apply_defaults`] and
    /// [`crate::defaults::drop_nulls`] over [`CustomResource::schema`].
    ///
    /// # Errors
    /// The first embedded object whose type or metadata does not decode.
    pub fn coerce(&self, value: &mut Value) -> Result<Vec<String>, FieldErrors> {
        let mut unknown = Vec::new();
        embedded::coerce(value, self.schema.root(), &FieldPath::root(), &mut unknown)?;
        unknown.sort();
        Ok(unknown)
    }

    /// Embedded objects' metadata, unless the write is `of_status`, and the uniqueness that list types promise, unless
    /// it was broken before.
    pub fn validate_structure(
        &self,
        errors: &mut FieldErrors,
        new: &Value,
        old: Option<&Value>,
        of_status: bool,
    ) {
        let root = FieldPath::root();
        if !of_status {
            embedded::validate(errors, new, self.schema.root(), &root);
        }
        let mut found = FieldErrors::new();
        list_type::validate(&mut found, new, self.schema.root(), &root);
        if found.is_empty() {
            return;
        }
        let mut before = FieldErrors::new();
        if let Some(old) = old {
            list_type::validate(&mut before, old, self.schema.root(), &root);
        }
        if before.is_empty() {
            errors.append(found);
        }
    }

    /// The schema's rules, which are not looked at when values are of the wrong type or too many.
    pub fn validate_rules(&self, errors: &mut FieldErrors, new: &Value, old: Option<&Value>) -> Vec<String> {
        let compile = || Rules::compile(&self.source, self.minor_version);
        let Some(rules) = self.rules.get_or_init(compile) else { return Vec::new() };
        let blocks = |kind| {
            matches!(
                kind,
                FieldErrorKind::NotSupported
                    | FieldErrorKind::Required
                    | FieldErrorKind::TooLong
                    | FieldErrorKind::TooMany
                    | FieldErrorKind::TypeInvalid
            )
        };
        if errors.iter().any(|error| blocks(error.kind)) {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            errors.invalid(&FieldPath::root(), Value::Null, detail);
            return Vec::new();
        }
        let findings = rules.evaluate(new, old);
        errors.append(findings.errors);
        findings.warnings
    }
}

#[cfg(test)]
mod tests;
