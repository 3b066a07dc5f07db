//! Where the decoder is, and what Go's decoding says of a value that does not fit there.

use crate::schema::{Shape, StringFormat, TypeRef};
use crate::value::Key;

/// One step of the path to where the decoder is.
pub(super) enum Step<'s> {
    /// A field of a struct type.
    Field(TypeRef<'s>, &'s Key),
    Index(usize),
    MapKey(Key),
}

/// What Go says of a value of the wrong type in the field that is being read.
pub(super) fn misfit(steps: &[Step<'_>], what: &str, go_type: &str) -> String {
    let mut path = String::new();
    let mut owner = None;
    for step in steps {
        if let Step::Field(ty, name) = step {
            owner = Some(ty);
            if let Some(embedded) = embedded_in(*ty, name) {
                path.push('.');
                path.push_str(embedded);
            }
            path.push('.');
            path.push_str(name);
        }
    }
    match owner {
        Some(owner) => {
            let owner = owner.ty().name.rsplit('.').next().unwrap_or_default();
            format!("json: cannot unmarshal {what} into Go struct field {owner}{path} of type {go_type}")
        }
        None => format!("json: cannot unmarshal {what} into Go value of type {go_type}"),
    }
}

/// The path of the field `name` of what is being read, as strict decoding shows it: `spec.containers[0].name`.
pub(super) fn path_to(steps: &[Step<'_>], name: &str) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Index(i) => path.push_str(&format!("[{i}]")),
            Step::Field(_, name) => push_name(&mut path, name),
            Step::MapKey(name) => push_name(&mut path, name),
        }
    }
    push_name(&mut path, name);
    path
}

fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// The struct that Go embeds for a field, if it does: JSON shows the field as the outer struct's own, while protobuf
/// nests it.
fn embedded_in(ty: TypeRef<'_>, field: &str) -> Option<&'static str> {
    let Shape::Struct(fields) = ty.shape() else { return None };
    let nesting = fields.field(field)?.proto.as_ref()?.path.len();
    if nesting < 2 {
        return None;
    }
    Some(match ty.ty().name.rsplit('.').next().unwrap_or_default() {
        "Probe" => "ProbeHandler",
        "Volume" => "VolumeSource",
        "PersistentVolumeSpec" => "PersistentVolumeSource",
        "EphemeralContainer" => "EphemeralContainerCommon",
        "IngressRule" => "IngressRuleValue",
        "RuleWithOperations" => "Rule",
        "NamedRuleWithOperations" if nesting > 2 => "RuleWithOperations.Rule",
        "NamedRuleWithOperations" => "RuleWithOperations",
        "DeviceClassConfiguration" | "DeviceClaimConfiguration" | "DeviceAllocationConfiguration" => {
            "DeviceConfiguration"
        }
        _ => "LocalObjectReference",
    })
}

/// A type as Go's reflection prints it: `[]v1.Container`, `map[string]string`, `v1.PullPolicy`.
pub(super) fn go_type_name(ty: TypeRef<'_>) -> String {
    let name = ty.ty().name.as_str();
    if name.starts_with("io.k8s.") {
        let mut parts = name.rsplitn(3, '.');
        let (kind, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        return format!("{package}.{kind}");
    }
    if !name.is_empty() {
        return name.to_owned();
    }
    match ty.shape() {
        Shape::Bool => "bool".into(),
        Shape::Integer { bits: 32 } => "int32".into(),
        Shape::Integer { .. } => "int64".into(),
        Shape::Number => "float64".into(),
        Shape::String(StringFormat::Bytes) => "[]uint8".into(),
        Shape::String(_) => "string".into(),
        Shape::List { item, .. } => format!("[]{}", go_type_name(ty.with(*item))),
        Shape::Map { value, .. } => {
            let value = go_type_name(ty.with(*value));
            // Maps whose keys have a type of their own, unless the whole map has.
            let key = match value.as_str() {
                "v1.DeviceAttribute" | "v1.DeviceCapacity" | "resource.Quantity" => "v1.QualifiedName",
                "v1.ClaimResourceStatus" => "v1.ResourceName",
                _ => "string",
            };
            format!("map[{key}]{value}")
        }
        Shape::Any | Shape::Struct(_) | Shape::Quantity | Shape::IntOrString => "interface {}".into(),
    }
}
