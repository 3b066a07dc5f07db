//! A resource's schema as the types of an expression.

use std::collections::BTreeSet;
use std::sync::Arc;

use drydock_cel::env::Types;
use drydock_cel::types::Type;
use drydock_kinds::expression::SchemaTypes;
use drydock_machinery::crd::rules::declare::{Declared, SelfType};
use drydock_machinery::{Catalog, Map, Value, openapi, value};

use crate::resources::Resource;

/// What machinery calls the outermost type of a schema.
const SELF: &str = "selfType";

/// The types of a resource's objects; `prefix` tells them from others' in the same expression. None for what has no
/// schema.
pub(super) fn of(resource: &Resource, prefix: &'static str) -> Option<Arc<dyn SchemaTypes>> {
    let schema = match &resource.custom {
        Some(custom) => custom.version.at(&["schema", "openAPIV3Schema"])?.clone(),
        None => {
            let name = resource.schema.as_ref()?.root().ty().name.clone();
            let definitions = openapi::definition_v3(Catalog::builtin(), &name);
            inlined(definitions.get(&name)?, &definitions, &mut BTreeSet::new())
        }
    };
    let declared = Declared::of(&schema, true)?;
    Some(Arc::new(Prefixed { prefix, types: SelfType(Arc::new(declared)) }))
}

/// A schema without references. A type within itself is an object of which nothing is known.
fn inlined(schema: &Value, definitions: &Map, around: &mut BTreeSet<String>) -> Value {
    if let Some(name) = referred(schema) {
        if !around.insert(name.to_owned()) {
            return value!({"type": "object"});
        }
        let found = definitions.get(name).map(|found| inlined(found, definitions, around));
        around.remove(name);
        return found.unwrap_or_default();
    }
    let mut out = schema.clone();
    if schema.str_at(&["format"]) == "int-or-string" {
        out.set(&["x-kubernetes-int-or-string"], true);
    }
    for field in ["items", "additionalProperties"] {
        if let Some(inner @ Value::Object(_)) = schema.get(field) {
            out.set(&[field], inlined(inner, definitions, around));
        }
    }
    for (name, property) in schema.object_at(&["properties"]).iter() {
        out.set(&["properties", name], inlined(property, definitions, around));
    }
    out
}

/// The definition that a schema refers to, whether or not it says more about the field.
fn referred(schema: &Value) -> Option<&str> {
    let reference = match schema.get("$ref") {
        Some(reference) => reference,
        None => schema.array_at(&["allOf"]).first()?.get("$ref")?,
    };
    reference.as_str()?.rsplit('/').next()
}

/// The types of a schema under names of their own.
struct Prefixed {
    prefix: &'static str,
    types: SelfType,
}

impl Prefixed {
    fn outward(&self, ty: Type) -> Type {
        match ty {
            Type::Named(name, parameters) => match name.strip_prefix(SELF) {
                Some(rest) => Type::named(&format!("{}{rest}", self.name())),
                None => Type::Named(name, parameters),
            },
            Type::List(element) => Type::list(self.outward((*element).clone())),
            Type::Map(of) => Type::map(self.outward(of.0.clone()), self.outward(of.1.clone())),
            other => other,
        }
    }

    fn inward(&self, name: &str) -> Option<String> {
        name.strip_prefix(&self.name()).map(|rest| format!("{SELF}{rest}"))
    }

    /// Nothing that an expression could write.
    fn name(&self) -> String {
        format!("@{}", self.prefix)
    }
}

impl Types for Prefixed {
    fn has_type(&self, name: &str) -> bool {
        self.inward(name).is_some_and(|name| self.types.has_type(&name))
    }

    fn is_nameable(&self, _: &str) -> bool {
        false
    }

    fn field(&self, type_name: &str, field: &str) -> Option<Type> {
        self.types.field(&self.inward(type_name)?, field).map(|ty| self.outward(ty))
    }
}

impl SchemaTypes for Prefixed {
    fn root(&self) -> Type {
        self.outward(self.types.cel_type())
    }
}
