//! Walks an expression and adds up.

use std::collections::HashMap;
use std::sync::Arc;

use super::{CostEstimate, SizeEstimate, Sizes};
use crate::ast::{Call, Comprehension, Expr, ExprKind, Literal, NodeId, Select};
use crate::check::Checked;
use crate::parse::ACCUMULATOR;
use crate::types::Type;

pub(super) type Path = Vec<Arc<str>>;

pub(super) const ACCESS: u64 = 1;
const NEW_LIST: u64 = 10;
const NEW_MAP: u64 = 30;
const NEW_OBJECT: u64 = 40;
/// A test of presence costs nothing, as it always did in Kubernetes.
const PRESENCE: u64 = 0;

/// An argument of a call, as estimates see it.
pub(super) struct Argument<'a> {
    pub path: Path,
    pub of: Type,
    pub expr: Option<&'a Expr>,
    pub size: Option<SizeEstimate>,
}

/// The sizes of what a list or a map holds.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    is_list: bool,
    pub key: SizeEstimate,
    pub value: SizeEstimate,
}

impl Inside {
    pub(super) fn union(self, other: Self) -> Self {
        Self { is_list: self.is_list, key: self.key.union(other.key), value: self.value.union(other.value) }
    }
}

/// A comprehension's variable.
#[derive(Clone)]
struct Variable {
    path: Path,
    size: Option<SizeEstimate>,
    inside: Option<Inside>,
}

/// What of a range a variable stands for.
enum Part {
    Key,
    Value,
    /// A list's elements, a map's keys.
    Single,
}

pub(super) struct Estimator<'a> {
    checked: &'a Checked,
    sizes: &'a dyn Sizes,
    paths: HashMap<NodeId, Path>,
    variables: HashMap<Arc<str>, Vec<Variable>>,
    known: HashMap<NodeId, SizeEstimate>,
    insides: HashMap<NodeId, Inside>,
}

impl<'a> Estimator<'a> {
    pub(super) fn new(checked: &'a Checked, sizes: &'a dyn Sizes) -> Self {
        Self {
            checked,
            sizes,
            paths: HashMap::new(),
            variables: HashMap::new(),
            known: HashMap::new(),
            insides: HashMap::new(),
        }
    }

    pub(super) fn cost(&mut self, expr: &'a Expr) -> CostEstimate {
        match &expr.kind {
            ExprKind::Literal(_) => CostEstimate::fixed(0),
            ExprKind::Ident(name) => {
                let path =
                    self.variable(name).map_or_else(|| vec![name.clone()], |variable| variable.path.clone());
                self.paths.insert(expr.id, path);
                CostEstimate::fixed(ACCESS)
            }
            ExprKind::Select(select) => self.select(expr.id, select),
            ExprKind::Call(call) => self.call(expr, call),
            ExprKind::List(elements) => {
                let mut sum = CostEstimate::fixed(0);
                let mut value = nothing(elements.is_empty());
                for element in elements {
                    sum = sum.plus(self.cost(&element.value));
                    value = value.union(self.size_or_unknown(&element.value));
                }
                self.insides.insert(expr.id, Inside { is_list: true, key: SizeEstimate::fixed(1), value });
                sum.plus(CostEstimate::fixed(NEW_LIST))
            }
            ExprKind::Map(entries) => {
                let mut sum = CostEstimate::fixed(0);
                let (mut key, mut value) = (nothing(entries.is_empty()), nothing(entries.is_empty()));
                for entry in entries {
                    sum = sum.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
                    key = key.union(self.size_or_unknown(&entry.key));
                    value = value.union(self.size_or_unknown(&entry.value));
                }
                self.insides.insert(expr.id, Inside { is_list: false, key, value });
                sum.plus(CostEstimate::fixed(NEW_MAP))
            }
            ExprKind::Struct(object) => {
                let fields = object.fields.iter().map(|field| self.cost(&field.value));
                fields.fold(CostEstimate::fixed(NEW_OBJECT), CostEstimate::plus)
            }
            ExprKind::Comprehension(fold) if is_binding(fold) => self.binding(expr.id, fold),
            ExprKind::Comprehension(fold) => self.comprehension(expr.id, fold),
        }
    }

    fn select(&mut self, id: NodeId, select: &'a Select) -> CostEstimate {
        let operand = self.cost(&select.operand);
        if select.test {
            return operand.plus(CostEstimate::fixed(PRESENCE));
        }
        let mut path = self.path(&select.operand);
        path.push(select.field.clone());
        self.paths.insert(id, path);
        match self.checked.type_of(select.operand.id) {
            Type::Map(_) | Type::Named(..) | Type::Parameter(_) => operand.plus(CostEstimate::fixed(ACCESS)),
            _ => operand,
        }
    }

    fn call(&mut self, expr: &'a Expr, call: &'a Call) -> CostEstimate {
        if let ("dyn", [argument]) = (&*call.function, call.arguments.as_slice()) {
            let cost = self.cost(argument).plus(CostEstimate::fixed(1));
            self.copy_sizes(expr.id, argument);
            return cost;
        }
        let mut costs = Vec::new();
        let mut arguments = Vec::new();
        for argument in &call.arguments {
            costs.push(self.cost(argument));
            arguments.push(self.argument(argument));
        }
        let checked = self.checked;
        let overloads = checked.overloads(expr.id);
        if overloads.is_empty() {
            return CostEstimate::fixed(0);
        }
        let mut sum = CostEstimate::fixed(0);
        let mut target = None;
        if let Some(of) = &call.target {
            sum = self.cost(of);
            target = Some(self.argument(of));
        }
        let mut cost = CostEstimate::NONE;
        let mut size: Option<SizeEstimate> = None;
        for overload in overloads {
            let estimate = self.overload(expr, &call.function, overload, target.as_ref(), &arguments, &costs);
            cost = cost.union(estimate.cost);
            if let Some(found) = estimate.size {
                size = Some(size.map_or(found, |size| size.union(found)));
            }
            let part = match &**overload {
                "index_list" => Some("@items"),
                "index_map" => Some("@values"),
                _ => None,
            };
            if let (Some(part), Some(container)) = (part, call.arguments.first()) {
                size = self.inside(container).map(|inside| inside.value);
                let mut path = self.path(container);
                path.push(part.into());
                self.paths.insert(expr.id, path);
            }
            size = size.or_else(|| self.size(expr));
        }
        if let Some(size) = size {
            self.known.insert(expr.id, size);
        }
        sum.plus(cost)
    }

    fn comprehension(&mut self, id: NodeId, fold: &'a Comprehension) -> CostEstimate {
        let mut sum = self.cost(&fold.range).plus(self.cost(&fold.initial));
        self.declare(&fold.accumulator, &fold.initial);
        if let Some(second) = &fold.second {
            self.iterate(&fold.variable, &fold.range, Part::Key);
            self.iterate(second, &fold.range, Part::Value);
            self.share_path(&fold.variable, second);
        } else {
            self.iterate(&fold.variable, &fold.range, Part::Single);
        }
        let condition = self.cost(&fold.condition);
        let step = self.cost(&fold.step);
        self.forget(&fold.variable);
        if let Some(second) = &fold.second {
            self.forget(second);
        }
        sum = sum.plus(self.cost(&fold.result));
        self.forget(&fold.accumulator);
        let count = self.size_or_unknown(&fold.range);
        match &fold.initial.kind {
            ExprKind::Literal(_) => {
                if let Some(size) = self.size(&fold.initial) {
                    self.known.insert(id, size);
                }
            }
            ExprKind::List(_) | ExprKind::Map(_) => {
                self.known.insert(id, count);
                if let Some(inside) = self.inside(&fold.step) {
                    self.insides.insert(id, inside);
                }
            }
            _ => {}
        }
        sum.plus(count.times(step.plus(condition)))
    }

    fn binding(&mut self, id: NodeId, fold: &'a Comprehension) -> CostEstimate {
        let sum = self.cost(&fold.range).plus(self.cost(&fold.initial));
        self.declare(&fold.accumulator, &fold.initial);
        let sum = sum.plus(self.cost(&fold.result));
        self.forget(&fold.accumulator);
        self.copy_sizes(id, &fold.result);
        sum
    }

    fn declare(&mut self, name: &Arc<str>, value: &'a Expr) {
        let variable =
            Variable { path: self.path(value), inside: self.inside(value), size: self.size(value) };
        self.variables.entry(name.clone()).or_default().push(variable);
    }

    fn iterate(&mut self, name: &Arc<str>, range: &'a Expr, part: Part) {
        let inside = self.inside(range);
        let is_list = match inside {
            Some(inside) => inside.is_list,
            None => matches!(self.checked.type_of(range.id), Type::List(_)),
        };
        let (step, takes_value) = match (part, is_list) {
            (Part::Key, true) => ("@indices", false),
            (Part::Key | Part::Single, false) => ("@keys", false),
            (Part::Value, false) => ("@values", true),
            (Part::Value | Part::Single, true) => ("@items", true),
        };
        let size = inside.map(|inside| if takes_value { inside.value } else { inside.key });
        let mut path = self.path(range);
        path.push(step.into());
        self.variables.entry(name.clone()).or_default().push(Variable { path, size, inside: None });
    }

    /// Upstream, both variables' paths share storage unless the range's path fills its own, which doubles as it grows; the
    /// key then has the value's path. Costs, which are part of the API, show it.
    fn share_path(&mut self, key: &Arc<str>, value: &Arc<str>) {
        let Some(path) = self.variable(value).map(|variable| variable.path.clone()) else { return };
        let range = path.len() - 1;
        if range > 0
            && !range.is_power_of_two()
            && let Some(key) = self.variables.get_mut(key).and_then(|stack| stack.last_mut())
        {
            key.path = path;
        }
    }

    fn forget(&mut self, name: &Arc<str>) {
        if let Some(stack) = self.variables.get_mut(name) {
            stack.pop();
        }
    }

    fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)?.last()
    }

    fn path(&self, expr: &Expr) -> Path {
        if let ExprKind::Ident(name) = &expr.kind
            && let Some(variable) = self.variable(name)
        {
            return variable.path.clone();
        }
        self.paths.get(&expr.id).cloned().unwrap_or_default()
    }

    fn argument(&mut self, expr: &'a Expr) -> Argument<'a> {
        let mut path = self.path(expr);
        if path.first().is_some_and(|first| &**first == ACCUMULATOR) {
            path.clear();
        }
        Argument { path, of: self.checked.type_of(expr.id).clone(), expr: Some(expr), size: self.size(expr) }
    }

    /// The size of what is at an argument's path, as far as the caller knows.
    pub(super) fn asked(&self, argument: &Argument<'_>) -> SizeEstimate {
        let found = argument.size.or_else(|| self.sizes.size(&argument.path, &argument.of));
        found.unwrap_or(SizeEstimate::UNKNOWN)
    }

    fn size(&mut self, expr: &Expr) -> Option<SizeEstimate> {
        if let Some(known) = self.known.get(&expr.id) {
            return Some(*known);
        }
        if let Some(written) = written_size(expr) {
            return Some(SizeEstimate::fixed(written));
        }
        let of = self.checked.type_of(expr.id);
        if let Some(found) = self.sizes.size(&self.path(expr), of) {
            self.known.insert(expr.id, found);
            return Some(found);
        }
        if is_scalar(of) {
            return Some(SizeEstimate::fixed(1));
        }
        match &expr.kind {
            ExprKind::Ident(name) => self.variable(name)?.size,
            _ => None,
        }
    }

    pub(super) fn size_or_unknown(&mut self, expr: &Expr) -> SizeEstimate {
        self.size(expr).unwrap_or(SizeEstimate::UNKNOWN)
    }

    pub(super) fn inside(&self, expr: &Expr) -> Option<Inside> {
        if let Some(found) = self.insides.get(&expr.id) {
            return Some(*found);
        }
        match &expr.kind {
            ExprKind::Ident(name) => self.variable(name)?.inside,
            _ => None,
        }
    }

    pub(super) fn set_inside(&mut self, id: NodeId, inside: Inside) {
        self.insides.insert(id, inside);
    }

    fn copy_sizes(&mut self, to: NodeId, from: &Expr) {
        if let Some(size) = self.size(from) {
            self.known.insert(to, size);
        }
        if let Some(inside) = self.inside(from) {
            self.insides.insert(to, inside);
        }
    }
}

/// What unions of sizes begin with.
fn nothing(is_empty: bool) -> SizeEstimate {
    if is_empty { SizeEstimate::fixed(0) } else { SizeEstimate::NONE }
}

/// A fold over nothing, which only gives a value a name.
fn is_binding(fold: &Comprehension) -> bool {
    let over_nothing = matches!(&fold.range.kind, ExprKind::List(elements) if elements.is_empty());
    over_nothing && fold.condition.kind == ExprKind::Literal(Literal::Bool(false))
}

/// The size of what is written out.
fn written_size(expr: &Expr) -> Option<u64> {
    Some(match &expr.kind {
        ExprKind::Literal(Literal::String(text)) => text.chars().count() as u64,
        ExprKind::Literal(Literal::Bytes(bytes)) => bytes.len() as u64,
        ExprKind::Literal(_) => 1,
        ExprKind::List(elements) => elements.len() as u64,
        ExprKind::Map(entries) => entries.len() as u64,
        _ => return None,
    })
}

fn is_scalar(of: &Type) -> bool {
    match of {
        Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
        Type::Optional(inside) => is_scalar(inside),
        _ => false,
    }
}
