//! Which number leads to which field, for each built-in type. Made once per process.

use std::sync::OnceLock;

use crate::catalog::Catalog;
use crate::schema::{Shape, TypeRef};

/// The fields of a message by number, sorted.
pub(super) type Slots = Vec<(u32, Slot)>;

#[derive(Debug)]
pub(super) enum Slot {
    /// The field at this place of the struct type.
    Field(usize),
    /// A message that JSON has inlined: its fields are fields of the same JSON object. Always written.
    Inlined(Slots),
}

/// The plan of a struct type; None when it is not in the built-in table.
pub(super) fn plan(ty: TypeRef<'_>) -> Option<&'static Slots> {
    static PLANS: OnceLock<Vec<Slots>> = OnceLock::new();
    let table = Catalog::builtin().table();
    if !std::ptr::eq(ty.table, &raw const **table) {
        return None;
    }
    let plans = PLANS.get_or_init(|| table.types.iter().map(|ty| make(&ty.shape)).collect());
    plans.get(ty.id.0 as usize)
}

fn make(shape: &Shape) -> Slots {
    let mut slots = Slots::new();
    if let Shape::Struct(fields) = shape {
        for (i, field) in fields.fields.iter().enumerate() {
            if let Some(proto) = &field.proto {
                add(&mut slots, &proto.path, i);
            }
        }
    }
    slots
}

fn add(slots: &mut Slots, path: &[u32], field: usize) {
    let Some((&number, rest)) = path.split_first() else { return };
    let place = slots.binary_search_by_key(&number, |(number, _)| *number);
    if rest.is_empty() {
        if let Err(i) = place {
            slots.insert(i, (number, Slot::Field(field)));
        }
        return;
    }
    let i = place.unwrap_or_else(|i| {
        slots.insert(i, (number, Slot::Inlined(Slots::new())));
        i
    });
    if let Slot::Inlined(inner) = &mut slots[i].1 {
        add(inner, rest, field);
    }
}

/// What the well-known definitions look like as messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// `{1: raw JSON}`: RawExtension, JSON, FieldsV1.
    RawJson,
    /// `{1: schema, 2: schemas}`
    SchemaOrArray,
    /// `{1: allows, 2: schema}`
    SchemaOrBool,
    /// `{1: schema, 2: strings}`
    SchemaOrStrings,
}

pub(super) fn known(ty: TypeRef<'_>) -> Known {
    match ty.ty().name.rsplit('.').next() {
        Some("JSONSchemaPropsOrArray") => Known::SchemaOrArray,
        Some("JSONSchemaPropsOrBool") => Known::SchemaOrBool,
        Some("JSONSchemaPropsOrStringArray") => Known::SchemaOrStrings,
        _ => Known::RawJson,
    }
}

/// Lists that are messages of their own, with their elements as field 1.
pub(super) fn is_wrapped_list(ty: TypeRef<'_>) -> bool {
    matches!(ty.ty().name.as_str(), "v1.ExtraValue" | "v1.Verbs")
}

/// The type of schemas inside a CustomResourceDefinition.
pub(super) fn json_schema(ty: TypeRef<'_>) -> Option<TypeRef<'_>> {
    const NAME: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    Catalog::builtin().definition_id(NAME).map(|id| ty.with(id))
}
