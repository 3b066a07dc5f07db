//! The type checker: gives every node a type, finds the overloads of calls and resolves qualified names.
//!
//! It goes by cel-go's checker, of which it has the rules for type parameters, dynamic values and optional types as
//! well as the messages. Types are looked up in an [`Env`]; there are no containers, since Kubernetes
//! uses none.

mod calls;
#[cfg(test)]
mod tests;
mod unify;
mod validate;

use std::collections::HashMap;
use std::sync::Arc;

use self::unify::{Bindings, more_general};
pub(crate) use self::validate::validate;
use crate::ast::{Comprehension, Expr, ExprKind, Literal, NodeId, Struct};
use crate::env::Env;
use crate::source::Issue;
use crate::types::Type;

/// An expression and what the checker found out about it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Names of several parts are one identifier; calls of functions with such names have no target.
    pub expr: Expr,
    /// The type of the value.
    pub output: Type,
    types: Vec<Option<Type>>,
    overloads: HashMap<NodeId, Vec<Arc<str>>>,
}

impl Checked {
    /// A node's type; dynamic for one that is not of this expression.
    pub fn type_of(&self, node: NodeId) -> &Type {
        self.types.get(node as usize).and_then(Option::as_ref).unwrap_or(&Type::Dyn)
    }

    /// The overloads that a call may mean: one, unless its arguments are dynamic. None for what is no call.
    pub fn overloads(&self, node: NodeId) -> &[Arc<str>] {
        self.overloads.get(&node).map_or(&[], Vec::as_slice)
    }
}

/// Checks an expression, or says what is wrong with it.
pub(crate) fn check(env: &Env, mut expr: Expr) -> Result<Checked, Vec<Issue>> {
    let mut checker = Checker {
        env,
        scopes: Vec::new(),
        bindings: Bindings::default(),
        types: Vec::new(),
        overloads: HashMap::new(),
        issues: Vec::new(),
        variables: 0,
    };
    checker.check(&mut expr);
    if !checker.issues.is_empty() {
        return Err(checker.issues);
    }
    let bindings = checker.bindings;
    let types: Vec<_> =
        checker.types.iter().map(|of| of.as_ref().map(|of| bindings.substitute(of, true))).collect();
    let output = types.get(expr.id as usize).cloned().flatten().unwrap_or(Type::Dyn);
    Ok(Checked { expr, output, types, overloads: checker.overloads })
}

struct Checker<'a> {
    env: &'a Env,
    /// Variables of the comprehensions around, the innermost last.
    scopes: Vec<(Arc<str>, Type)>,
    bindings: Bindings,
    types: Vec<Option<Type>>,
    overloads: HashMap<NodeId, Vec<Arc<str>>>,
    issues: Vec<Issue>,
    variables: usize,
}

impl Checker<'_> {
    fn check(&mut self, expr: &mut Expr) {
        let found = match &mut expr.kind {
            ExprKind::Literal(literal) => literal_type(literal),
            ExprKind::Ident(_) => self.ident(expr),
            ExprKind::Select(_) => self.select(expr),
            ExprKind::Call(_) => self.call(expr),
            ExprKind::List(_) => self.list(expr),
            ExprKind::Map(_) => self.map(expr),
            ExprKind::Struct(object) => self.object(expr.offset, object),
            ExprKind::Comprehension(fold) => self.comprehension(fold),
        };
        let found = if self.bindings.is_too_large(&found) {
            self.report(expr.offset, "type of expression is too large".to_owned());
            Type::Error
        } else {
            found
        };
        let at = expr.id as usize;
        if self.types.len() <= at {
            self.types.resize(at + 1, None);
        }
        self.types[at] = Some(found);
    }

    fn type_of(&self, expr: &Expr) -> Type {
        self.types.get(expr.id as usize).cloned().flatten().unwrap_or(Type::Error)
    }

    fn report(&mut self, offset: u32, message: String) {
        self.issues.push(Issue::at(offset, message));
    }

    fn undeclared(&mut self, offset: u32, name: &str) -> Type {
        self.report(offset, format!("undeclared reference to '{name}' (in container '')"));
        Type::Error
    }

    fn mismatch(&mut self, offset: u32, expected: &Type, found: &Type) {
        self.report(offset, format!("expected type '{}' but found '{}'", shown(expected), shown(found)));
    }

    fn new_variable(&mut self) -> Type {
        self.variables += 1;
        Type::Parameter(format!("_var{}", self.variables - 1).into())
    }

    /// A comprehension's variable.
    fn local(&self, name: &str) -> Option<&Type> {
        self.scopes.iter().rev().find(|(known, _)| **known == *name).map(|(_, of)| of)
    }

    /// What a name means, whose first part may begin with a dot, and how it is written then: a dot remains only if
    /// without it a comprehension's variable were meant.
    fn resolve_name(&self, parts: &[&str]) -> Option<(Type, Arc<str>)> {
        let (first, _) = parts.split_first()?;
        let plain = first.strip_prefix('.');
        let local = self.local(plain.unwrap_or(first));
        let name = parts.join(".");
        match (local, plain, parts) {
            (Some(of), None, [_]) => Some((of.clone(), name.into())),
            // A field of the variable.
            (Some(_), None, _) => None,
            _ => {
                let name = name.strip_prefix('.').unwrap_or(&name);
                let found = self.env.ident(name)?;
                Some((found, if local.is_some() { format!(".{name}").into() } else { name.into() }))
            }
        }
    }

    fn ident(&mut self, expr: &mut Expr) -> Type {
        let ExprKind::Ident(name) = &mut expr.kind else { return Type::Error };
        match self.resolve_name(&[name]) {
            Some((found, resolved)) => {
                *name = resolved;
                found
            }
            None => {
                let name = name.clone();
                self.undeclared(expr.offset, &name)
            }
        }
    }

    fn select(&mut self, expr: &mut Expr) -> Type {
        let name = qualified_name(expr);
        if let Some((found, resolved)) = name.and_then(|parts| self.resolve_name(&parts)) {
            expr.kind = ExprKind::Ident(resolved);
            return found;
        }
        let ExprKind::Select(select) = &mut expr.kind else { return Type::Error };
        let field = select.field.clone();
        let found = self.field(expr.offset, &mut select.operand, &field, false);
        if select.test { Type::Bool } else { self.bindings.substitute(&found, false) }
    }

    fn field(&mut self, offset: u32, operand: &mut Expr, field: &str, optional: bool) -> Type {
        self.check(operand);
        let operand = self.bindings.substitute(&self.type_of(operand), false);
        let (target, was_optional) = unwrap_optional(operand);
        let found = match &target {
            Type::Map(of) => of.1.clone(),
            Type::Named(name, _) if !is_opaque(name) => self.field_of(offset, name, field),
            Type::Parameter(_) => {
                // What it is shows at run time only; that it is dynamic is known from here on.
                self.bindings.assign(&Type::Dyn, &target);
                Type::Dyn
            }
            Type::Dyn | Type::Error => Type::Dyn,
            other => {
                self.report(offset, format!("type '{}' does not support field selection", shown(other)));
                Type::Dyn
            }
        };
        if was_optional || optional { Type::optional(found) } else { found }
    }

    fn field_of(&mut self, offset: u32, name: &str, field: &str) -> Type {
        if !self.env.knows_type(name) {
            self.report(offset, format!("unexpected failed resolution of '{name}'"));
            return Type::Error;
        }
        self.env.field(name, field).unwrap_or_else(|| {
            self.report(offset, format!("undefined field '{field}'"));
            Type::Error
        })
    }

    /// The type that both a list's element and those before it have.
    fn join(&mut self, previous: Option<Type>, current: Type) -> Type {
        match previous {
            None => current,
            Some(previous) if self.bindings.assign(&previous, &current) => more_general(&previous, &current),
            Some(_) => Type::Dyn,
        }
    }

    /// The type of what `?` precedes: what is in the optional value.
    fn optional_value(&mut self, expr: &Expr, is_optional: bool) -> Type {
        let found = self.type_of(expr);
        if !is_optional {
            return found;
        }
        let (inside, was_optional) = unwrap_optional(found);
        if !was_optional && inside != Type::Dyn {
            self.mismatch(expr.offset, &Type::optional(inside.clone()), &inside);
        }
        inside
    }

    fn list(&mut self, expr: &mut Expr) -> Type {
        let ExprKind::List(elements) = &mut expr.kind else { return Type::Error };
        let mut joined = None;
        for element in elements {
            self.check(&mut element.value);
            let found = self.optional_value(&element.value, element.optional);
            joined = Some(self.join(joined, found));
        }
        Type::list(joined.unwrap_or_else(|| self.new_variable()))
    }

    fn map(&mut self, expr: &mut Expr) -> Type {
        let ExprKind::Map(entries) = &mut expr.kind else { return Type::Error };
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            self.check(&mut entry.key);
            let key = self.type_of(&entry.key);
            keys = Some(self.join(keys, key));
            self.check(&mut entry.value);
            let value = self.optional_value(&entry.value, entry.optional);
            values = Some(self.join(values, value));
        }
        let keys = keys.unwrap_or_else(|| self.new_variable());
        Type::map(keys, values.unwrap_or_else(|| self.new_variable()))
    }

    fn object(&mut self, offset: u32, object: &mut Struct) -> Type {
        let name = object.type_name.strip_prefix('.').unwrap_or(&object.type_name).to_owned();
        let result = match self.env.ident(&name) {
            None => return self.undeclared(offset, &object.type_name.clone()),
            Some(Type::Type(of)) if matches!(&*of, Type::Named(name, _) if !is_opaque(name)) => (*of).clone(),
            Some(Type::Type(of)) => {
                self.report(offset, format!("'{of}' is not a message type"));
                Type::Error
            }
            Some(other) => {
                self.report(offset, format!("'{}' is not a type", shown(&other)));
                Type::Error
            }
        };
        object.type_name = name.as_str().into();
        for field in &mut object.fields {
            self.check(&mut field.value);
            let wanted = self.field_of(field.offset, &name, &field.name);
            let value = self.optional_value(&field.value, field.optional);
            if !self.bindings.assign(&wanted, &value) {
                let (name, wanted, value) = (&field.name, shown(&wanted), shown(&value));
                let message =
                    format!("expected type of field '{name}' is '{wanted}' but provided type is '{value}'");
                self.report(field.offset, message);
            }
        }
        result
    }

    fn comprehension(&mut self, fold: &mut Comprehension) -> Type {
        self.check(&mut fold.range);
        self.check(&mut fold.initial);
        let range = self.bindings.substitute(&self.type_of(&fold.range), false);
        let accumulator = self.type_of(&fold.initial);
        let outside = self.scopes.len();
        self.scopes.push((fold.accumulator.clone(), accumulator.clone()));
        let (first, second) = self.elements(&range, fold.range.offset, fold.second.is_some());
        self.scopes.push((fold.variable.clone(), first));
        if let Some(variable) = &fold.second {
            self.scopes.push((variable.clone(), second));
        }
        self.check(&mut fold.condition);
        self.assert(&fold.condition, &Type::Bool);
        self.check(&mut fold.step);
        self.assert(&fold.step, &accumulator);
        self.scopes.truncate(outside + 1);
        self.check(&mut fold.result);
        self.scopes.truncate(outside);
        self.bindings.substitute(&self.type_of(&fold.result), false)
    }

    /// The types of a comprehension's variables.
    fn elements(&mut self, range: &Type, offset: u32, has_second: bool) -> (Type, Type) {
        match range {
            Type::List(element) if has_second => (Type::Int, (**element).clone()),
            Type::List(element) => ((**element).clone(), Type::Error),
            Type::Map(of) => (of.0.clone(), of.1.clone()),
            Type::Dyn | Type::Error | Type::Parameter(_) => {
                self.bindings.assign(&Type::Dyn, range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let other = shown(other);
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.report(offset, message);
                (Type::Error, Type::Error)
            }
        }
    }

    fn assert(&mut self, expr: &Expr, wanted: &Type) {
        let found = self.type_of(expr);
        if !self.bindings.assign(wanted, &found) {
            self.mismatch(expr.offset, wanted, &found);
        }
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

fn unwrap_optional(of: Type) -> (Type, bool) {
    match of {
        Type::Optional(inside) => ((*inside).clone(), true),
        of => (of, false),
    }
}

/// Types of libraries that have no fields, not even unknown ones.
fn is_opaque(name: &str) -> bool {
    matches!(name, "net.IP" | "net.CIDR")
}

/// The parts of `a.b.c` if an expression is nothing else.
fn qualified_name(expr: &Expr) -> Option<Vec<&str>> {
    match &expr.kind {
        ExprKind::Ident(name) => Some(vec![name]),
        ExprKind::Select(select) if !select.test => {
            let mut parts = qualified_name(&select.operand)?;
            parts.push(&select.field);
            Some(parts)
        }
        _ => None,
    }
}

/// A type as messages show it.
pub(crate) fn shown(of: &Type) -> String {
    match of {
        Type::Duration => "duration".to_owned(),
        Type::Timestamp => "timestamp".to_owned(),
        Type::List(inner) => format!("list({})", shown(inner)),
        Type::Optional(inner) => format!("optional_type({})", shown(inner)),
        Type::Type(inner) => format!("type({})", shown(inner)),
        Type::Map(of) => format!("map({}, {})", shown(&of.0), shown(&of.1)),
        other => other.to_string(),
    }
}
