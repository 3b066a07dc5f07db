//! The tree of an expression: the six forms that CEL's specification knows, macros already expanded.

use std::sync::Arc;

/// Numbers the nodes of one expression, from 1, as an index into what the checker found out about them.
pub type NodeId = u32;

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub id: NodeId,
    /// Where it begins in the source, in characters (not bytes). Of a call by operator: where the operator stands.
    pub offset: u32,
    pub kind: ExprKind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    Literal(Literal),
    /// A variable, or after checking a qualified name in one piece: `google.protobuf.Timestamp`. If it still begins with
    /// a dot then, it is not the variable that a comprehension calls so.
    Ident(Arc<str>),
    Select(Box<Select>),
    Call(Box<Call>),
    List(Vec<Element>),
    Map(Vec<Entry>),
    /// `Object.spec{replicas: 1}`.
    Struct(Box<Struct>),
    Comprehension(Box<Comprehension>),
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// `operand.field`; with `test`, the `has(operand.field)` macro. `operand.?field` is a call of [`functions::OPT_SELECT`].
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    pub operand: Expr,
    pub field: Arc<str>,
    pub test: bool,
}

/// `target.function(arguments)`, `function(arguments)`, and every operator under its name in [`functions`].
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub target: Option<Expr>,
    pub function: Arc<str>,
    pub arguments: Vec<Expr>,
}

/// An element of a list; `?element` is left out where it is `optional.none()`.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    pub optional: bool,
    pub value: Expr,
}

/// An entry of a map; `?key: value` is left out where the value is `optional.none()`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub id: NodeId,
    pub optional: bool,
    pub key: Expr,
    pub value: Expr,
}

/// An object made from a type's name and fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    pub type_name: Arc<str>,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub id: NodeId,
    /// Where its colon stands.
    pub offset: u32,
    pub optional: bool,
    pub name: Arc<str>,
    pub value: Expr,
}

/// What `all`, `exists`, `map`, `filter` and their kin expand to: a fold over a list's elements or a map's keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Comprehension {
    pub range: Expr,
    /// The element, or the map's key. With `second`: the list's index or the map's key.
    pub variable: Arc<str>,
    /// The element or the map's value, for macros of two variables.
    pub second: Option<Arc<str>>,
    pub accumulator: Arc<str>,
    pub initial: Expr,
    /// Goes on while this is true.
    pub condition: Expr,
    pub step: Expr,
    pub result: Expr,
}

/// The function names that operators have, as in CEL's own implementations.
pub mod functions {
    pub const CONDITIONAL: &str = "_?_:_";
    pub const AND: &str = "_&&_";
    pub const OR: &str = "_||_";
    pub const NOT: &str = "!_";
    pub const EQUALS: &str = "_==_";
    pub const NOT_EQUALS: &str = "_!=_";
    pub const LESS: &str = "_<_";
    pub const LESS_EQUALS: &str = "_<=_";
    pub const GREATER: &str = "_>_";
    pub const GREATER_EQUALS: &str = "_>=_";
    pub const ADD: &str = "_+_";
    pub const SUBTRACT: &str = "_-_";
    pub const MULTIPLY: &str = "_*_";
    pub const DIVIDE: &str = "_/_";
    pub const MODULO: &str = "_%_";
    pub const NEGATE: &str = "-_";
    pub const INDEX: &str = "_[_]";
    pub const OPT_INDEX: &str = "_[?_]";
    pub const OPT_SELECT: &str = "_?._";
    pub const IN: &str = "@in";
    /// Of comprehensions: false ends the loop; errors and unknowns do not.
    pub const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";
}
