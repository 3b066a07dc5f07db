//! Macros: calls that stand for other expressions, mostly folds over lists and maps.

use std::sync::Arc;

use super::build::{Builder, Halt};
use crate::ast::{Call, Comprehension, Element, Expr, ExprKind, Literal, Select, functions};

/// The variable in which a fold keeps its result. No text can name it.
pub const ACCUMULATOR: &str = "@result";
/// What it was called once; still nobody may iterate with it.
const OLD_ACCUMULATOR: &str = "__result__";
/// The variable of a fold that only binds a name.
const UNUSED: &str = "#unused";
/// The list that is sorted.
const SORTED: &str = "@__sortBy_input__";
/// Adds to a map that is being built.
const MAP_INSERT: &str = "cel.@mapInsert";

/// What a macro expands to, or where it is wrong and why.
type Expansion = Result<Expr, (u32, String)>;

/// Which macros there are beyond the standard ones.
#[derive(Clone, Copy, Debug)]
pub struct Macros {
    /// `all`, `exists` and the like with two variables, `transformList` and its kin.
    pub two_variables: bool,
    /// `sortBy`.
    pub sort_by: bool,
    /// `cel.bind`.
    pub bind: bool,
}

/// Expands a call if it is a macro's, else hands its parts back.
pub(super) fn expand(
    builder: &mut Builder<'_>,
    offset: u32,
    function: &str,
    target: Option<Expr>,
    arguments: Vec<Expr>,
) -> Result<Expr, Halt> {
    let mut factory = Factory { builder, offset };
    let expansion = match (target, function, arguments.len()) {
        (None, "has", 1) => factory.has(arguments),
        (Some(target), _, 2 | 3) if is_fold(function, arguments.len()) => {
            factory.fold(function, target, arguments)
        }
        (Some(target), "optMap" | "optFlatMap", 2) => factory.opt_map(function, target, arguments)?,
        (Some(target), "sortBy", 2) if factory.builder.macros.sort_by => factory.sort_by(target, arguments),
        (Some(target), "bind", 3) if factory.builder.macros.bind && is_cel(&target) => {
            factory.bind(arguments)
        }
        (Some(target), _, 3 | 4)
            if factory.builder.macros.two_variables && is_pair(function, arguments.len()) =>
        {
            factory.pairs(function, target, arguments)
        }
        (target, ..) => {
            let function = Arc::from(function);
            let call = Call { target, function, arguments };
            return Ok(factory.new_expr(ExprKind::Call(Box::new(call))));
        }
    };
    let expanded = expansion.or_else(|(offset, message)| Ok(factory.builder.report(offset, message)));
    factory.builder.check_size()?;
    expanded
}

fn is_fold(function: &str, arguments: usize) -> bool {
    match arguments {
        2 => matches!(function, "all" | "exists" | "exists_one" | "existsOne" | "map" | "filter"),
        _ => function == "map",
    }
}

/// Whether a call's target is the namespace of CEL's own macros.
fn is_cel(target: &Expr) -> bool {
    matches!(&target.kind, ExprKind::Ident(name) if **name == *"cel")
}

fn is_pair(function: &str, arguments: usize) -> bool {
    let transforms = matches!(function, "transformList" | "transformMap" | "transformMapEntry");
    transforms || arguments == 3 && matches!(function, "all" | "exists" | "existsOne" | "exists_one")
}

/// Makes nodes that stand where the macro's call stood.
struct Factory<'a, 'b> {
    builder: &'a mut Builder<'b>,
    offset: u32,
}

/// A fold's parts but its range and variables.
struct Fold {
    initial: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

impl Factory<'_, '_> {
    fn new_expr(&mut self, kind: ExprKind) -> Expr {
        self.builder.expr(self.offset, kind)
    }

    fn literal(&mut self, literal: Literal) -> Expr {
        self.new_expr(ExprKind::Literal(literal))
    }

    fn ident(&mut self, name: &str) -> Expr {
        self.new_expr(ExprKind::Ident(name.into()))
    }

    fn accumulator(&mut self) -> Expr {
        self.ident(ACCUMULATOR)
    }

    fn call(&mut self, function: &str, arguments: Vec<Expr>) -> Expr {
        let call = Call { target: None, function: function.into(), arguments };
        self.new_expr(ExprKind::Call(Box::new(call)))
    }

    fn member_call(&mut self, function: &str, target: Expr) -> Expr {
        let call = Call { target: Some(target), function: function.into(), arguments: Vec::new() };
        self.new_expr(ExprKind::Call(Box::new(call)))
    }

    fn list(&mut self, values: Vec<Expr>) -> Expr {
        let elements = values.into_iter().map(|value| Element { optional: false, value }).collect();
        self.new_expr(ExprKind::List(elements))
    }

    fn comprehension(
        &mut self,
        range: Expr,
        variable: &str,
        second: Option<&str>,
        accumulator: &str,
        fold: Fold,
    ) -> Expr {
        let Fold { initial, condition, step, result } = fold;
        self.new_expr(ExprKind::Comprehension(Box::new(Comprehension {
            range,
            variable: variable.into(),
            second: second.map(Arc::from),
            accumulator: accumulator.into(),
            initial,
            condition,
            step,
            result,
        })))
    }

    fn has(&mut self, mut arguments: Vec<Expr>) -> Expansion {
        let argument = arguments.remove(0);
        let ExprKind::Select(select) = argument.kind else {
            return Err((argument.offset, "invalid argument to has() macro".to_owned()));
        };
        Ok(self.new_expr(ExprKind::Select(Box::new(Select { test: true, ..*select }))))
    }

    fn fold(&mut self, function: &str, target: Expr, arguments: Vec<Expr>) -> Expansion {
        let mut arguments = arguments.into_iter();
        // Callers hand over two or three arguments.
        let (Some(variable), Some(body)) = (arguments.next(), arguments.next()) else {
            return Err((self.offset, "argument is not an identifier".to_owned()));
        };
        let is_list = matches!(function, "map" | "filter");
        let wanted = if is_list { "argument is not an identifier" } else { "argument must be a simple name" };
        let ExprKind::Ident(name) = &variable.kind else { return Err((variable.offset, wanted.to_owned())) };
        let name = name.clone();
        not_accumulator(&name, variable.offset)?;
        let fold = match (function, arguments.next()) {
            ("map", None) => self.collect(None, body),
            ("map", Some(transform)) => self.collect(Some(body), transform),
            ("filter", _) => self.collect(Some(body), variable),
            _ => self.quantifier(function, body),
        };
        Ok(self.comprehension(target, &name, None, ACCUMULATOR, fold))
    }

    /// Gathers values into a list, those for which the filter holds.
    fn collect(&mut self, filter: Option<Expr>, value: Expr) -> Fold {
        let initial = self.list(Vec::new());
        let condition = self.literal(Literal::Bool(true));
        let before = self.accumulator();
        let added = self.list(vec![value]);
        let step = self.call(functions::ADD, vec![before, added]);
        let step = self.only_if(filter, step);
        Fold { initial, condition, step, result: self.accumulator() }
    }

    /// A step that leaves the result alone where the filter does not hold.
    fn only_if(&mut self, filter: Option<Expr>, step: Expr) -> Expr {
        let Some(filter) = filter else { return step };
        let unchanged = self.accumulator();
        self.call(functions::CONDITIONAL, vec![filter, step, unchanged])
    }

    fn quantifier(&mut self, function: &str, body: Expr) -> Fold {
        let accumulator = self.accumulator();
        match function {
            "all" => Fold {
                initial: self.literal(Literal::Bool(true)),
                condition: self.call(functions::NOT_STRICTLY_FALSE, vec![accumulator]),
                step: self.join(functions::AND, body),
                result: self.accumulator(),
            },
            "exists" => {
                let not = self.call(functions::NOT, vec![accumulator]);
                Fold {
                    initial: self.literal(Literal::Bool(false)),
                    condition: self.call(functions::NOT_STRICTLY_FALSE, vec![not]),
                    step: self.join(functions::OR, body),
                    result: self.accumulator(),
                }
            }
            _ => {
                let one = self.literal(Literal::Int(1));
                let more = self.call(functions::ADD, vec![accumulator, one]);
                let step = self.only_if(Some(body), more);
                let (count, one) = (self.accumulator(), self.literal(Literal::Int(1)));
                Fold {
                    initial: self.literal(Literal::Int(0)),
                    condition: self.literal(Literal::Bool(true)),
                    step,
                    result: self.call(functions::EQUALS, vec![count, one]),
                }
            }
        }
    }

    fn join(&mut self, operator: &str, body: Expr) -> Expr {
        let accumulator = self.accumulator();
        self.call(operator, vec![accumulator, body])
    }

    fn opt_map(&mut self, function: &str, target: Expr, arguments: Vec<Expr>) -> Result<Expansion, Halt> {
        let mut arguments = arguments.into_iter();
        let wrong = if function == "optMap" {
            "optMap() variable name must be a simple identifier"
        } else {
            "optFlatMap() variable name must be a simple identifier"
        };
        // Callers hand over two arguments.
        let (Some(variable), Some(body)) = (arguments.next(), arguments.next()) else {
            return Ok(Err((self.offset, wrong.to_owned())));
        };
        let ExprKind::Ident(name) = variable.kind else {
            return Ok(Err((variable.offset, wrong.to_owned())));
        };
        let again = self.builder.copy(&target)?;
        let has_value = self.member_call("hasValue", target);
        let nothing = self.list(Vec::new());
        let fold = Fold {
            initial: self.member_call("value", again),
            condition: self.literal(Literal::Bool(false)),
            step: self.ident(&name),
            result: body,
        };
        let mut mapped = self.comprehension(nothing, UNUSED, None, &name, fold);
        if function == "optMap" {
            mapped = self.call("optional.of", vec![mapped]);
        }
        let none = self.call("optional.none", Vec::new());
        Ok(Ok(self.call(functions::CONDITIONAL, vec![has_value, mapped, none])))
    }

    /// `cel.bind(name, value, result)`: the result, in which the name stands for the value.
    fn bind(&mut self, arguments: Vec<Expr>) -> Expansion {
        let mut arguments = arguments.into_iter();
        let wrong = || "cel.bind() variable names must be simple identifiers".to_owned();
        // Callers hand over three arguments.
        let (Some(variable), Some(initial), Some(result)) =
            (arguments.next(), arguments.next(), arguments.next())
        else {
            return Err((self.offset, wrong()));
        };
        let ExprKind::Ident(name) = variable.kind else { return Err((variable.offset, wrong())) };
        let nothing = self.list(Vec::new());
        let fold =
            Fold { initial, condition: self.literal(Literal::Bool(false)), step: self.ident(&name), result };
        Ok(self.comprehension(nothing, UNUSED, None, &name, fold))
    }

    /// Binds the list to a name, makes its keys, and sorts by them.
    fn sort_by(&mut self, target: Expr, arguments: Vec<Expr>) -> Expansion {
        if matches!(target.kind, ExprKind::Literal(_) | ExprKind::Map(_) | ExprKind::Struct(_)) {
            let message =
                "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
            return Err((target.offset, message.to_owned()));
        }
        let bound = self.ident(SORTED);
        let keys = self.fold("map", bound, arguments)?;
        let sorted = Some(self.ident(SORTED));
        let call = Call { target: sorted, function: "@sortByAssociatedKeys".into(), arguments: vec![keys] };
        let fold = Fold {
            initial: target,
            condition: self.literal(Literal::Bool(false)),
            step: self.ident(SORTED),
            result: self.new_expr(ExprKind::Call(Box::new(call))),
        };
        let nothing = self.list(Vec::new());
        Ok(self.comprehension(nothing, UNUSED, None, SORTED, fold))
    }

    fn pairs(&mut self, function: &str, target: Expr, arguments: Vec<Expr>) -> Expansion {
        let mut arguments = arguments.into_iter();
        // Callers hand over three or four arguments.
        let (Some(first), Some(second), Some(body)) = (arguments.next(), arguments.next(), arguments.next())
        else {
            return Err((self.offset, "argument must be a simple name".to_owned()));
        };
        let simple = |variable: &Expr| match &variable.kind {
            ExprKind::Ident(name) => Ok(name.clone()),
            _ => Err((variable.offset, "argument must be a simple name".to_owned())),
        };
        let (key, value) = (simple(&first)?, simple(&second)?);
        if key == value {
            return Err((second.offset, format!("duplicate variable name: {key}")));
        }
        not_accumulator(&key, first.offset)?;
        not_accumulator(&value, second.offset)?;
        let (filter, body) = match arguments.next() {
            Some(transform) => (Some(body), transform),
            None => (None, body),
        };
        let fold = match function {
            "transformList" => self.collect(filter, body),
            "transformMap" | "transformMapEntry" => {
                let mut inserted = vec![self.accumulator()];
                if function == "transformMap" {
                    inserted.push(self.ident(&key));
                }
                inserted.push(body);
                let step = self.call(MAP_INSERT, inserted);
                Fold {
                    initial: self.new_expr(ExprKind::Map(Vec::new())),
                    condition: self.literal(Literal::Bool(true)),
                    step: self.only_if(filter, step),
                    result: self.accumulator(),
                }
            }
            _ => self.quantifier(function, body),
        };
        Ok(self.comprehension(target, &key, Some(&value), ACCUMULATOR, fold))
    }
}

fn not_accumulator(name: &str, offset: u32) -> Result<(), (u32, String)> {
    if name == ACCUMULATOR || name == OLD_ACCUMULATOR {
        return Err((offset, "iteration variable overwrites accumulator variable".to_owned()));
    }
    Ok(())
}
