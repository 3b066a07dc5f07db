//! Calls: which function is meant, which of its overloads fit, and the result's type.

use super::unify::Bindings;
use super::{Checker, qualified_name, shown};
use crate::ast::{Call, Expr, ExprKind, Literal, NodeId, functions};
use crate::declare::Overload;
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn call(&mut self, expr: &mut Expr) -> Type {
        let (id, offset) = (expr.id, expr.offset);
        let ExprKind::Call(call) = &mut expr.kind else { return Type::Error };
        if &*call.function == functions::OPT_SELECT {
            return self.optional_select(id, offset, call);
        }
        for argument in &mut call.arguments {
            self.check(argument);
        }
        let env = self.env;
        if call.target.is_none() {
            let function = call.function.clone();
            let plain = function.strip_prefix('.').unwrap_or(&function);
            let Some(overloads) = env.function(plain) else { return self.undeclared(offset, &function) };
            call.function = plain.into();
            return self.resolve(id, offset, call, overloads);
        }
        // `a.b.c(x)` may be the function `a.b.c`.
        if let Some(prefix) = call.target.as_ref().and_then(qualified_name) {
            let prefix = prefix.join(".");
            let name = format!("{}.{}", prefix.strip_prefix('.').unwrap_or(&prefix), call.function);
            if let Some(overloads) = env.function(&name) {
                call.function = name.into();
                call.target = None;
                return self.resolve(id, offset, call, overloads);
            }
        }
        if let Some(target) = &mut call.target {
            self.check(target);
        }
        let function = call.function.clone();
        match env.function(&function) {
            Some(overloads) => self.resolve(id, offset, call, overloads),
            None => self.undeclared(offset, &function),
        }
    }

    fn optional_select(&mut self, id: NodeId, offset: u32, call: &mut Call) -> Type {
        let [operand, field] = call.arguments.as_mut_slice() else { return Type::Error };
        let ExprKind::Literal(Literal::String(field)) = &field.kind else {
            self.report(field.offset, "unsupported optional field selection".to_owned());
            return Type::Error;
        };
        let field = field.clone();
        let found = self.field(offset, operand, &field, true);
        self.overloads.insert(id, vec!["select_optional_field".into()]);
        self.bindings.substitute(&found, false)
    }

    /// Finds the overloads that fit a call's arguments, and the result's type.
    fn resolve(&mut self, id: NodeId, offset: u32, call: &Call, overloads: &[Overload]) -> Type {
        let is_member = call.target.is_some();
        let arguments: Vec<Type> =
            call.target.iter().chain(&call.arguments).map(|argument| self.type_of(argument)).collect();
        if matches!(&*call.function, functions::AND | functions::OR) {
            return self.logical(id, call, &arguments, overloads);
        }
        let mut result: Option<Type> = None;
        let mut found = Vec::new();
        for overload in overloads.iter().filter(|overload| overload.is_member == is_member) {
            let (wanted, returned) = self.instance(overload);
            if !self.bindings.assign_all(&arguments, &wanted) {
                continue;
            }
            found.push(overload.id.clone());
            let returned = self.bindings.substitute(&returned, false);
            result = Some(match result {
                None => returned,
                Some(known) if known == Type::Dyn || known == returned => known,
                Some(_) => Type::Dyn,
            });
        }
        let Some(result) = result else {
            let arguments: Vec<Type> =
                arguments.iter().map(|argument| self.bindings.substitute(argument, true)).collect();
            let signature = signature(&arguments, is_member);
            let function = &call.function;
            self.report(
                offset,
                format!("found no matching overload for '{function}' applied to '{signature}'"),
            );
            return Type::Error;
        };
        self.overloads.insert(id, found);
        result
    }

    /// `&&` and `||`, whose operands are named one by one if they are wrong.
    fn logical(&mut self, id: NodeId, call: &Call, arguments: &[Type], overloads: &[Overload]) -> Type {
        let mut result = Type::Bool;
        for (argument, expr) in arguments.iter().zip(&call.arguments) {
            if !self.bindings.assign(argument, &Type::Bool) {
                self.mismatch(expr.offset, &Type::Bool, argument);
                result = Type::Error;
            }
        }
        self.overloads.insert(id, overloads.iter().map(|overload| overload.id.clone()).collect());
        result
    }

    /// An overload's arguments and result with fresh type parameters.
    fn instance(&mut self, overload: &Overload) -> (Vec<Type>, Type) {
        if overload.parameters.is_empty() {
            return (overload.arguments.clone(), overload.result.clone());
        }
        let mut fresh = Bindings::default();
        for parameter in &overload.parameters {
            let variable = self.new_variable();
            fresh.assign(&variable, &Type::Parameter(parameter.clone()));
        }
        let arguments = overload.arguments.iter().map(|argument| fresh.substitute(argument, false)).collect();
        (arguments, fresh.substitute(&overload.result, false))
    }
}

fn signature(arguments: &[Type], is_member: bool) -> String {
    let all: Vec<String> = arguments.iter().map(shown).collect();
    match all.as_slice() {
        [target, rest @ ..] if is_member => format!("{target}.({})", rest.join(", ")),
        all => format!("({})", all.join(", ")),
    }
}
