//! The one form of a type's schema, for built-in kinds and custom resources alike.
//!
//! A [`Schema`] is a root in a shared, immutable [`TypeTable`]; types refer to each other by [`TypeId`], so recursive
//! types need no cycles of `Arc`. Decoding, strict validation, defaulting, pruning, strategic merge, server-side
//! apply, protobuf and OpenAPI all walk it through [`TypeRef`], which is two words and `Copy`.
//!
//! The built-in table is made once per process from the catalog and shared by all tenants. A custom resource has a
//! table of its own per served version.
//!
//! Deliberately absent: what a kind does across its fields. That is the kind's strategy in `drydock-kinds`.

use std::sync::{Arc, OnceLock};

use ecow::EcoString;

use crate::value::{Key, Value};

/// A type in a [`TypeTable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// Types that refer to each other.
#[derive(Debug, Default)]
pub struct TypeTable {
    pub types: Vec<Type>,
    /// Whether there is a default at or below each type; made on first use.
    defaulted: OnceLock<Box<[bool]>>,
    /// Whether there is a list or map that is written also when empty, at or below each type.
    nilable: OnceLock<Box<[bool]>>,
    /// Whether there is a list whose elements are told apart by what they hold, at or below each type.
    associative: OnceLock<Box<[bool]>>,
    /// What Go writes of each struct that nothing was given of.
    zeros: OnceLock<Box<[OnceLock<Value>]>>,
}

/// The schema of one kind: a root in a table.
#[derive(Clone, Debug)]
pub struct Schema {
    pub table: Arc<TypeTable>,
    pub root: TypeId,
}

/// A type, and the table to look its parts up in.
#[derive(Clone, Copy, Debug)]
pub struct TypeRef<'a> {
    pub table: &'a TypeTable,
    pub id: TypeId,
}

#[derive(Clone, Debug)]
pub struct Type {
    /// What upstream's OpenAPI calls it, such as `io.k8s.api.core.v1.Container`. For lists, maps and scalars Go's
    /// name, such as `v1.PullPolicy`, or "" when it has none of its own.
    pub name: EcoString,
    pub shape: Shape,
    /// For custom resources: the JSON schema of this node, for value validation. None for built-in types.
    pub source: Option<Arc<Value>>,
}

/// What a value of a type looks like.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Anything at all, kept as it is: RawExtension, JSON, preserved unknown fields.
    Any,
    Bool,
    /// 32 or 64 bits.
    Integer {
        bits: u8,
    },
    Number,
    String(StringFormat),
    /// Integer or string; `IntOrString` of apimachinery.
    IntOrString,
    /// A decimal with suffix, given as string or number and kept as the canonical string.
    Quantity,
    List {
        item: TypeId,
        list_type: ListType,
    },
    /// String keys to values of one type.
    Map {
        value: TypeId,
        /// `x-kubernetes-map-type: atomic`.
        atomic: bool,
    },
    Struct(Struct),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringFormat {
    Plain,
    /// Base64 in JSON, raw bytes in protobuf.
    Bytes,
    /// RFC 3339 with seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// Go's notation: `1h30m`.
    Duration,
}

/// `x-kubernetes-list-type` and `x-kubernetes-list-map-keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListType {
    Atomic,
    Set,
    Map { keys: Vec<Key> },
}

#[derive(Clone, Debug, Default)]
pub struct Struct {
    /// Sorted by name.
    pub fields: Vec<Field>,
    /// `x-kubernetes-map-type: atomic`: owned as a whole by one manager.
    pub atomic: bool,
    /// Unknown fields are kept (`x-kubernetes-preserve-unknown-fields`) rather than pruned.
    pub preserve_unknown: bool,
    /// What is around it preserves unknown fields: whoever applies some here comes to own them, and they are pruned all
    /// the same.
    pub in_preserving: bool,
    /// `x-kubernetes-embedded-resource`: apiVersion, kind and metadata are understood inside.
    pub embedded_resource: bool,
    pub(crate) by_name: NameIndex,
}

/// Where a struct's fields are, by name; made on first use. Slots of a hash table, each with a field's place.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameIndex(OnceLock<Box<[u32]>>);

#[derive(Clone, Debug, Default)]
pub struct Field {
    pub name: Key,
    /// Its place among the fields of the Go struct, which is the order of JSON. Custom resources' fields have none.
    pub position: u16,
    pub ty: TypeId,
    /// In the schema's `required` list.
    pub required: bool,
    /// Null is a value of its own (custom resources' `nullable`); otherwise null means absent.
    pub nullable: bool,
    /// What the schema says an absent field is. Defaults that depend on other fields are the kind's strategy.
    pub default: Option<Value>,
    /// The schema says that an absent field is its type's zero value, which is no difference but to who looks for it
    /// as the key of a list's element.
    pub zero_default: bool,
    /// Values of an enumerated string type; empty when any.
    pub enumeration: Vec<EcoString>,
    pub patch: PatchStrategy,
    /// What becomes of zero values and absence.
    pub presence: Presence,
    /// Protobuf field number and nesting; None for custom resources.
    pub proto: Option<Proto>,
}

/// What Go's decoding and encoding make of a field that is absent or has its zero value (`false`, 0, "", empty). It
/// shows in every answer: `resources: {}` is always there, `hostNetwork: false` never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// Kept as it was given: custom resources.
    #[default]
    AsGiven,
    /// A pointer with `omitempty`: absent stays absent, a zero value that was given stays.
    Pointer,
    /// `omitempty` on a scalar, list or map, or `omitzero`: zero values are dropped.
    OmitEmpty,
    /// Neither pointer nor `omitempty`, or a struct by value, which Go never takes for empty: when absent its zero
    /// value is written, which for lists, maps and times is null.
    Always,
    /// A pointer without `omitempty`: null is written when absent.
    AlwaysPointer,
}

/// `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    pub merge: bool,
    /// Of a struct: it is replaced whole, where others are merged.
    pub replace: bool,
    pub retain_keys: bool,
    pub merge_key: Option<Key>,
}

/// How a field is written in protobuf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proto {
    /// The numbers to follow: one, or several where JSON inlines a struct that protobuf nests.
    pub path: Vec<u32>,
    /// Go has a pointer, slice or map here: zero values are written only if set, and a decoder keeps them.
    pub optional: bool,
}

impl Schema {
    pub fn root(&self) -> TypeRef<'_> {
        TypeRef { table: &self.table, id: self.root }
    }
}

impl TypeTable {
    pub fn new(types: Vec<Type>) -> Self {
        Self { types, ..Self::default() }
    }

    /// Whether values of this type, or anything in them, can have a default. The table must be complete by now.
    pub(crate) fn has_defaults(&self, id: TypeId) -> bool {
        let defaulted = self.defaulted.get_or_init(|| {
            self.spread(|ty| match &ty.shape {
                Shape::Struct(fields) => fields.fields.iter().any(|field| field.default.is_some()),
                _ => ty.source.as_ref().is_some_and(|source| source.get("default").is_some()),
            })
        });
        defaulted.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// Whether values of this type have, somewhere in them, a list or map that is written also when empty.
    pub(crate) fn has_nilable(&self, id: TypeId) -> bool {
        let nilable = self.nilable.get_or_init(|| {
            self.spread(|ty| match &ty.shape {
                Shape::Struct(fields) => fields.fields.iter().any(|field| self.is_nilable(field)),
                _ => false,
            })
        });
        nilable.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// Whether there is a list of type `set` or `map` somewhere in values of this type.
    pub(crate) fn has_associative(&self, id: TypeId) -> bool {
        let is_associative = |ty: &Type| match &ty.shape {
            Shape::List { list_type, .. } => *list_type != ListType::Atomic,
            _ => false,
        };
        let associative = self.associative.get_or_init(|| self.spread(is_associative));
        associative.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// The zero value of a type, as `make` makes it the first time.
    pub(crate) fn zero(&self, id: TypeId, make: impl FnOnce() -> Value) -> Value {
        let zeros = self.zeros.get_or_init(|| self.types.iter().map(|_| OnceLock::new()).collect());
        match zeros.get(id.0 as usize) {
            Some(zero) => zero.get_or_init(make).clone(),
            None => make(),
        }
    }

    /// Whether a field is a list, map or bytes that Go writes also when empty.
    pub(crate) fn is_nilable(&self, field: &Field) -> bool {
        let shape = self.types.get(field.ty.0 as usize).map(|ty| &ty.shape);
        field.presence == Presence::Always
            && matches!(
                shape,
                Some(Shape::List { .. } | Shape::Map { .. } | Shape::String(StringFormat::Bytes))
            )
    }

    /// Which types are marked, or have a part that is.
    fn spread(&self, marks: impl Fn(&Type) -> bool) -> Box<[bool]> {
        let mut known: Box<[bool]> = self.types.iter().map(marks).collect();
        // Types refer to each other in circles: repeat until nothing changes.
        loop {
            let before = known.iter().filter(|known| **known).count();
            for i in 0..known.len() {
                known[i] = known[i] || self.types[i].has_part(&known);
            }
            if known.iter().filter(|known| **known).count() == before {
                return known;
            }
        }
    }
}

impl Type {
    /// Whether a part of the type is known.
    fn has_part(&self, known: &[bool]) -> bool {
        let is_known = |id: &TypeId| known[id.0 as usize];
        match &self.shape {
            Shape::Struct(fields) => fields.fields.iter().any(|field| is_known(&field.ty)),
            Shape::Map { value: inner, .. } | Shape::List { item: inner, .. } => is_known(inner),
            _ => false,
        }
    }
}

impl<'a> TypeRef<'a> {
    pub fn ty(self) -> &'a Type {
        &self.table.types[self.id.0 as usize]
    }

    pub fn shape(self) -> &'a Shape {
        &self.ty().shape
    }

    pub fn with(self, id: TypeId) -> Self {
        Self { id, ..self }
    }

    /// The field `name` of a struct type.
    pub fn field(self, name: &str) -> Option<&'a Field> {
        let Shape::Struct(fields) = self.shape() else { return None };
        fields.field(name)
    }

    /// The type of the value under key `name`: a struct's field, or a map's value type.
    pub fn child(self, name: &str) -> Option<Self> {
        match self.shape() {
            Shape::Struct(fields) => fields.field(name).map(|field| self.with(field.ty)),
            Shape::Map { value, .. } => Some(self.with(*value)),
            _ => None,
        }
    }

    /// The type of a list's elements.
    pub fn item(self) -> Option<Self> {
        if let Shape::List { item, .. } = self.shape() { Some(self.with(*item)) } else { None }
    }

    /// The type at a path of field names, through lists' elements where a list is in the way.
    pub fn at(self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self, |here, name| here.item().unwrap_or(here).child(name))
    }
}

impl Struct {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.place(name).map(|i| &self.fields[i])
    }

    /// Which of the fields has this name.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        let slots = self.by_name.0.get_or_init(|| NameIndex::of(&self.fields));
        let mut at = slot(name, slots.len());
        loop {
            let i = slots[at] as usize;
            // An empty slot's place is beyond all fields.
            if self.fields.get(i)?.name.as_str() == name {
                return Some(i);
            }
            at = (at + 1) & (slots.len() - 1);
        }
    }
}

impl NameIndex {
    const EMPTY: u32 = u32::MAX;

    fn of(fields: &[Field]) -> Box<[u32]> {
        let mut slots = vec![Self::EMPTY; (fields.len() * 2).next_power_of_two()].into_boxed_slice();
        for (i, field) in (0..).zip(fields) {
            let mut at = slot(&field.name, slots.len());
            while slots[at] != Self::EMPTY {
                at = (at + 1) % slots.len();
            }
            slots[at] = i;
        }
        slots
    }
}

/// The first slot to look for `name` in. Of `slots`, a power of two, at least half are empty.
fn slot(name: &str, slots: usize) -> usize {
    let bytes = name.as_bytes();
    let byte = |i: usize| bytes.get(i).copied().unwrap_or(0);
    let mixed = u32::from_le_bytes([
        byte(0),
        byte(bytes.len() / 2),
        byte(bytes.len().wrapping_sub(1)),
        bytes.len() as u8,
    ]);
    (mixed.wrapping_mul(0x9e37_79b1) >> 16) as usize & (slots - 1)
}
