//! The object types that policies' expressions know whatever they are about: of the request, the namespace and the
//! variables, and those that mutations make.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_cel::env::Types;
use drydock_cel::types::Type;

use super::SchemaTypes;

pub(super) const REQUEST: &str = "kubernetes.AdmissionRequest";
pub(super) const NAMESPACE: &str = "kubernetes.Namespace";
pub(super) const VARIABLES: &str = "kubernetes.variables";
pub(super) const OBJECT: &str = "Object";
pub(super) const JSON_PATCH: &str = "JSONPatch";

/// Fields by type. A type in brackets is a list's; `labels` is a map of strings; a name with a dot is another type.
const FIELDS: &[(&str, &[(&str, &str)])] = &[
    (
        REQUEST,
        &[
            ("kind", "kubernetes.GroupVersionKind"),
            ("resource", "kubernetes.GroupVersionResource"),
            ("subResource", "string"),
            ("requestKind", "kubernetes.GroupVersionKind"),
            ("requestResource", "kubernetes.GroupVersionResource"),
            ("requestSubResource", "string"),
            ("name", "string"),
            ("namespace", "string"),
            ("operation", "string"),
            ("userInfo", "kubernetes.UserInfo"),
            ("dryRun", "bool"),
            ("options", "dyn"),
        ],
    ),
    ("kubernetes.GroupVersionKind", &[("group", "string"), ("version", "string"), ("kind", "string")]),
    (
        "kubernetes.GroupVersionResource",
        &[("group", "string"), ("version", "string"), ("resource", "string")],
    ),
    (
        "kubernetes.UserInfo",
        &[("username", "string"), ("uid", "string"), ("groups", "[string]"), ("extra", "lists")],
    ),
    (
        NAMESPACE,
        &[
            ("metadata", "kubernetes.NamespaceMetadata"),
            ("spec", "kubernetes.NamespaceSpec"),
            ("status", "kubernetes.NamespaceStatus"),
        ],
    ),
    (
        "kubernetes.NamespaceMetadata",
        &[
            ("name", "string"),
            ("generateName", "string"),
            ("namespace", "string"),
            ("labels", "strings"),
            ("annotations", "strings"),
            ("UID", "string"),
            ("creationTimestamp", "time"),
            ("deletionGracePeriodSeconds", "int"),
            ("deletionTimestamp", "time"),
            ("generation", "int"),
            ("resourceVersion", "string"),
            ("finalizers", "[string]"),
        ],
    ),
    ("kubernetes.NamespaceSpec", &[("finalizers", "[string]")]),
    ("kubernetes.NamespaceStatus", &[("conditions", "[kubernetes.NamespaceCondition]"), ("phase", "string")]),
    (
        "kubernetes.NamespaceCondition",
        &[
            ("status", "string"),
            ("type", "string"),
            ("lastTransitionTime", "time"),
            ("message", "string"),
            ("reason", "string"),
        ],
    ),
];

fn named(text: &str) -> Type {
    if let Some(element) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return Type::list(named(element));
    }
    match text {
        "string" => Type::String,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "time" => Type::Timestamp,
        "dyn" => Type::Dyn,
        "strings" => Type::map(Type::String, Type::String),
        "lists" => Type::map(Type::String, Type::list(Type::String)),
        other => Type::named(other),
    }
}

/// The types of one policy.
#[derive(Clone, Default)]
pub(super) struct PolicyTypes {
    variables: BTreeMap<String, Type>,
    /// Whether there are `Object` and `JSONPatch`.
    pub(super) patches: bool,
    pub(super) schemas: Vec<Arc<dyn SchemaTypes>>,
}

impl PolicyTypes {
    /// A variable of `kubernetes.variables`. Of types that are nobody's to name it is dynamic.
    pub(super) fn declare(&mut self, name: &str, output: Type) {
        self.variables.insert(name.to_owned(), declared(output));
    }
}

/// Upstream's `convertCelTypeToDeclType`: scalars, lists and maps stay what they are.
fn declared(output: Type) -> Type {
    match output {
        Type::Bool
        | Type::Bytes
        | Type::Double
        | Type::Duration
        | Type::Int
        | Type::Null
        | Type::String
        | Type::Timestamp
        | Type::Uint => output,
        Type::List(element) => Type::list(declared((*element).clone())),
        Type::Map(of) => Type::map(declared(of.0.clone()), declared(of.1.clone())),
        _ => Type::Dyn,
    }
}

fn is_object(name: &str) -> bool {
    name == OBJECT || name.strip_prefix(OBJECT).is_some_and(|rest| rest.starts_with('.'))
}

impl Types for PolicyTypes {
    fn has_type(&self, name: &str) -> bool {
        name == VARIABLES
            || FIELDS.iter().any(|(known, _)| *known == name)
            || self.patches && (name == JSON_PATCH || is_object(name))
            || self.schemas.iter().any(|schema| schema.has_type(name))
    }

    fn is_nameable(&self, name: &str) -> bool {
        self.has_type(name) && !self.schemas.iter().any(|schema| schema.has_type(name))
    }

    fn field(&self, type_name: &str, field: &str) -> Option<Type> {
        if type_name == VARIABLES {
            return self.variables.get(field).cloned();
        }
        if let Some((_, fields)) = FIELDS.iter().find(|(known, _)| *known == type_name) {
            return fields.iter().find(|(name, _)| *name == field).map(|(_, text)| named(text));
        }
        if self.patches && type_name == JSON_PATCH {
            return match field {
                "op" | "path" | "from" => Some(Type::String),
                "value" => Some(Type::Dyn),
                // Upstream knows no type of any other field, but does not say that there is none.
                _ => Some(Type::named("")),
            };
        }
        if self.patches && is_object(type_name) {
            return Some(Type::Dyn);
        }
        self.schemas.iter().find(|schema| schema.has_type(type_name))?.field(type_name, field)
    }
}
