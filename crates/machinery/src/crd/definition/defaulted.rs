//! Whether a schema's defaults are values that the schema allows.

use super::subschemas;
use crate::crd::rules::evaluate::{REQUEST_BUDGET, Rules};
use crate::crd::{compile, embedded, node::Node, validate as validate_value};
use crate::decode::prune;
use crate::schema::Shape;
use crate::status::{FieldErrors, FieldPath};
use crate::value::{Map, Value};

pub(super) fn validate(errors: &mut FieldErrors, schema: &Value, minor_version: u32, path: &FieldPath) {
    // A default at the root has to be a whole object.
    let mut root = schema.clone();
    root.set(&[EMBEDDED], true);
    let mut walk = Walk { errors: FieldErrors::new(), budget: REQUEST_BUDGET, minor_version };
    // Out of budget: what is left is not looked at.
    let _ = walk.schema(&root, Place::Root, path);
    errors.append(walk.errors);
}

/// Whether a schema, or one inside of it, has a default.
pub(super) fn has_defaults(schema: &Value) -> bool {
    schema.get("default").is_some_and(|default| !default.is_null()) || subschemas(schema).any(has_defaults)
}

const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The object itself, or one embedded in it.
    Root,
    /// In an object's own `apiVersion`, `kind` or `metadata`.
    Meta,
    Elsewhere,
}

struct Walk {
    errors: FieldErrors,
    /// What rules may still cost, over all defaults of the schema.
    budget: i64,
    minor_version: u32,
}

/// That the budget is used up.
struct Stop;

impl Walk {
    fn schema(&mut self, s: &Value, place: Place, path: &FieldPath) -> Result<(), Stop> {
        let place = if s.bool_at(&[EMBEDDED]) { Place::Root } else { place };
        if let Some(default) = s.get("default").filter(|default| !default.is_null()) {
            self.check(s, default, place, &path.child("default"))?;
        }
        // Defaults under additional properties are forbidden, so there is no need to go there.
        let below = if place == Place::Meta { Place::Meta } else { Place::Elsewhere };
        if let Some(items) = s.get("items").filter(|items| matches!(items, Value::Object(_))) {
            self.schema(items, below, &path.child("items"))?;
        }
        for (name, property) in s.object_at(&["properties"]).iter() {
            let meta = place == Place::Root && matches!(name.as_str(), "metadata" | "apiVersion" | "kind");
            let place = if meta { Place::Meta } else { below };
            self.schema(property, place, &path.child("properties").key(name))?;
        }
        Ok(())
    }

    fn check(&mut self, s: &Value, default: &Value, place: Place, path: &FieldPath) -> Result<(), Stop> {
        if place != Place::Meta {
            let compiled = compile::schema_below(s);
            let mut pruned = default.clone();
            if !prune(&mut pruned, compiled.root()).is_empty() {
                self.errors.invalid(path, default.clone(), "must not have unknown fields");
            }
            let mut coerced = default.clone();
            if let Err(wrong) = embedded::coerce(&mut coerced, compiled.root(), path, &mut Vec::new()) {
                self.errors.append(wrong);
                return Ok(());
            }
            let mut wrong = FieldErrors::new();
            if matches!(compiled.root().shape(), Shape::Struct(_) | Shape::Map { .. } | Shape::List { .. }) {
                embedded::validate(&mut wrong, default, compiled.root(), path);
            }
            if !wrong.is_empty() {
                self.errors.append(wrong);
                return Ok(());
            }
        }
        let wrong = validate_value::validate(&Node::compile(&any_or_string(s)), default, None, path);
        if !wrong.is_empty() {
            self.errors.append(wrong);
            return Ok(());
        }
        let Some(rules) = Rules::compile_part(s, place == Place::Root, self.minor_version) else {
            return Ok(());
        };
        self.errors.append(rules.check_default(default, path, &mut self.budget));
        if self.budget < 0 { Err(Stop) } else { Ok(()) }
    }
}

/// The schema without what integers or strings are known by: upstream lets their defaults be anything.
fn any_or_string(s: &Value) -> Value {
    match s {
        Value::Object(map) => {
            let kept = map
                .iter()
                .filter(|(name, value)| name.as_str() != INT_OR_STRING || !matches!(value, Value::Bool(_)));
            Value::Object(kept.map(|(name, value)| (name.clone(), any_or_string(value))).collect::<Map>())
        }
        Value::Array(items) => Value::Array(items.iter().map(any_or_string).collect()),
        other => other.clone(),
    }
}
