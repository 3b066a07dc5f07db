//! From the catalog's text to the type table.

use std::collections::HashMap;

use ecow::EcoString;

use super::CatalogError;
use super::text::{Definition, FieldLine, Text};
use crate::names::{GroupVersionKind, split_api_version};
use crate::schema::{
    Field, ListType, PatchStrategy, Presence, Proto, Shape, StringFormat, Struct, Type, TypeId, TypeTable,
};
use crate::value::{Key, Value};

pub(super) struct Types {
    pub(super) table: TypeTable,
    /// By OpenAPI name.
    pub(super) definitions: HashMap<EcoString, TypeId>,
    pub(super) kinds: HashMap<GroupVersionKind, TypeId, foldhash::fast::FixedState>,
}

pub(super) fn build(text: &Text<'static>) -> Result<Types, CatalogError> {
    let mut builder = Builder {
        text,
        table: TypeTable::default(),
        known: HashMap::new(),
        names: HashMap::new(),
        granular: Vec::new(),
    };
    let mut definitions = HashMap::new();
    let mut kinds = HashMap::default();
    for (i, definition) in text.definitions.iter().enumerate() {
        let id = TypeId(u32::try_from(i).map_err(|_| bad("too many types"))?);
        builder.known.insert(definition.reference, id);
        let name = text.full_name(definition.reference).ok_or(bad("unknown package"))?;
        let group_versions = if definition.absent { &[] } else { definition.group_versions(text) };
        for group_version in group_versions {
            let (group, version) = split_api_version(group_version);
            kinds.insert(GroupVersionKind::new(group, version, definition.name()), id);
        }
        let name = EcoString::from(name);
        builder.table.types.push(Type { name: name.clone(), shape: Shape::Any, source: None });
        if !definition.absent {
            definitions.insert(name, id);
        }
    }
    for (i, definition) in text.definitions.iter().enumerate() {
        let shape = builder.definition(definition)?;
        builder.table.types[i].shape = shape;
    }
    for (id, of) in std::mem::take(&mut builder.granular) {
        let mut shape = builder.table.types[of.0 as usize].shape.clone();
        if let Shape::Struct(fields) = &mut shape {
            fields.atomic = false;
        }
        builder.table.types[id.0 as usize].shape = shape;
    }
    Ok(Types { table: builder.table, definitions, kinds })
}

const fn bad(problem: &'static str) -> CatalogError {
    CatalogError { line: 0, problem }
}

impl Definition<'static> {
    /// Where the definition is a kind.
    pub(crate) fn group_versions<'a>(&'a self, text: &'a Text<'static>) -> &'a [&'static str] {
        if self.everywhere { &text.everywhere } else { self.group_version.as_slice() }
    }
}

struct Builder<'a> {
    text: &'a Text<'static>,
    table: TypeTable,
    /// Type expressions that have a type already.
    known: HashMap<&'static str, TypeId>,
    /// Field names, so that equal ones share their text.
    names: HashMap<&'static str, Key>,
    /// Types whose values are owned field by field, and the struct types that they otherwise are.
    granular: Vec<(TypeId, TypeId)>,
}

impl Builder<'_> {
    fn definition(&mut self, definition: &Definition<'static>) -> Result<Shape, CatalogError> {
        if let Some(shape) = well_known(definition.name()) {
            return Ok(shape);
        }
        let mut fields = Vec::with_capacity(definition.fields.len());
        for (position, line) in (0..).zip(&definition.fields) {
            fields.push(Field { position, ..self.field(line)? });
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Shape::Struct(Struct { fields, atomic: definition.atomic, ..Struct::default() }))
    }

    fn field(&mut self, line: &FieldLine<'static>) -> Result<Field, CatalogError> {
        let ty = self.ty(line.ty)?;
        let shape = &self.table.types[ty.0 as usize].shape;
        // Forward references to structs have no shape yet: what is no scalar, list or map is a struct in Go.
        let plain = !self.is_definition(ty) && !matches!(shape, Shape::Any | Shape::Struct(_));
        let presence = presence(line, plain);
        let listed =
            matches!(shape, Shape::List { .. } | Shape::Map { .. } | Shape::String(StringFormat::Bytes));
        let enumeration = enumeration(line.ty);
        Ok(Field {
            name: self.key(line.name),
            position: 0,
            ty,
            required: line.required,
            nullable: false,
            default: match line.default {
                Some(json) => Some(Value::from_json(json.as_bytes()).map_err(|_| bad("default is no JSON"))?),
                None => None,
            },
            zero_default: line.zero_default,
            enumeration,
            patch: PatchStrategy {
                merge: line.patch_strategy.split(',').any(|word| word == "merge"),
                replace: line.patch_strategy.split(',').any(|word| word == "replace"),
                retain_keys: line.patch_strategy.split(',').any(|word| word == "retainKeys"),
                merge_key: Some(line.patch_merge_key).filter(|key| !key.is_empty()).map(|key| self.key(key)),
            },
            presence,
            proto: proto(line, line.pointer || listed)?,
        })
    }

    fn is_definition(&self, ty: TypeId) -> bool {
        (ty.0 as usize) < self.text.definitions.len()
    }

    fn ty(&mut self, expression: &'static str) -> Result<TypeId, CatalogError> {
        // Whether a pointer is in a list makes no other type here.
        let expression = expression.trim_start_matches('*');
        if let Some(of) = expression.strip_prefix('~').filter(|of| !of.starts_with("{}")) {
            return self.granular(expression, of);
        }
        // Maps are granular anyway.
        let expression = expression.trim_start_matches('~');
        if let Some(&id) = self.known.get(expression) {
            return Ok(id);
        }
        let (atomic, body) = match expression.strip_prefix('@') {
            Some(body) => (true, body),
            None => (false, expression),
        };
        let (shape, name) = if let Some(rest) = body.strip_prefix("{}") {
            let (value, name) = named(rest);
            (Shape::Map { value: self.ty(value)?, atomic }, name)
        } else if let Some(rest) = body.strip_prefix('[') {
            let (kind, rest) = rest.split_once(']').ok_or(bad("list without ]"))?;
            let (item, name) = named(rest);
            (Shape::List { item: self.ty(item)?, list_type: self.list_type(kind)? }, name)
        } else {
            let (body, _) = body.split_once('(').unwrap_or((body, ""));
            let (scalar, name) = body.split_once('=').unwrap_or((body, ""));
            (scalar_shape(scalar).ok_or(bad("unknown type"))?, name)
        };
        let id = TypeId(u32::try_from(self.table.types.len()).map_err(|_| bad("too many types"))?);
        self.table.types.push(Type { name: EcoString::from(name), shape, source: None });
        self.known.insert(expression, id);
        Ok(id)
    }

    /// The type of a field that says of a struct that it is no atomic one.
    fn granular(&mut self, expression: &'static str, of: &'static str) -> Result<TypeId, CatalogError> {
        if let Some(&id) = self.known.get(expression) {
            return Ok(id);
        }
        let of = self.ty(of)?;
        let id = TypeId(u32::try_from(self.table.types.len()).map_err(|_| bad("too many types"))?);
        let name = self.table.types[of.0 as usize].name.clone();
        self.table.types.push(Type { name, shape: Shape::Any, source: None });
        self.known.insert(expression, id);
        self.granular.push((id, of));
        Ok(id)
    }

    fn list_type(&mut self, kind: &'static str) -> Result<ListType, CatalogError> {
        Ok(match kind {
            "" | "a" => ListType::Atomic,
            "s" => ListType::Set,
            _ => {
                let keys = kind.strip_prefix("m:").ok_or(bad("unknown list type"))?;
                ListType::Map { keys: keys.split(',').map(|key| self.key(key)).collect() }
            }
        })
    }

    fn key(&mut self, name: &'static str) -> Key {
        self.names.entry(name).or_insert_with(|| Key::from(name)).clone()
    }
}

/// Splits the element type of a list or map from the collection's own Go name, which follows a colon.
///
/// In `{}[]s:v1.ExtraValue` the name is the inner list's: a nested collection takes the first.
fn named(rest: &'static str) -> (&'static str, &'static str) {
    let nested = rest.starts_with(['[', '{']);
    match rest.rsplit_once(':') {
        Some((element, name)) if !nested || element.contains(':') => (element, name),
        _ => (rest, ""),
    }
}

/// Definitions that are no structs in JSON.
fn well_known(name: &str) -> Option<Shape> {
    Some(match name {
        "Quantity" => Shape::Quantity,
        "IntOrString" => Shape::IntOrString,
        "Time" => Shape::String(StringFormat::Time),
        "MicroTime" => Shape::String(StringFormat::MicroTime),
        "FieldsV1" | "Patch" | "RawExtension" | "JSON" => Shape::Any,
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => Shape::Any,
        _ => return None,
    })
}

fn scalar_shape(scalar: &str) -> Option<Shape> {
    Some(match scalar {
        "s" => Shape::String(StringFormat::Plain),
        "y" | "Y" => Shape::String(StringFormat::Bytes),
        "b" => Shape::Bool,
        "i" => Shape::Integer { bits: 32 },
        "l" => Shape::Integer { bits: 64 },
        "d" => Shape::Number,
        "o" => Shape::Any,
        _ => return None,
    })
}

/// `plain` is whether Go knows the type's emptiness: scalars, lists and maps.
fn presence(line: &FieldLine<'_>, plain: bool) -> Presence {
    match (line.pointer, line.omitempty) {
        (true, true) => Presence::Pointer,
        (true, false) => Presence::AlwaysPointer,
        (false, true) if plain => Presence::OmitEmpty,
        _ if line.omitzero => Presence::OmitEmpty,
        _ => Presence::Always,
    }
}

fn proto(line: &FieldLine<'_>, optional: bool) -> Result<Option<Proto>, CatalogError> {
    if line.proto.is_empty() {
        return Ok(None);
    }
    let path: Result<Vec<u32>, _> = line.proto.split('/').map(str::parse).collect();
    Ok(Some(Proto { path: path.map_err(|_| bad("bad field number"))?, optional }))
}

/// The values of an enumerated string type; "" when it has none of its own.
fn enumeration(expression: &'static str) -> Vec<EcoString> {
    match expression.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        Some((scalar, values)) if !scalar.starts_with(['[', '{', '@', '~']) => {
            values.split(',').map(|value| value.replace('_', " ").into()).collect()
        }
        _ => Vec::new(),
    }
}
