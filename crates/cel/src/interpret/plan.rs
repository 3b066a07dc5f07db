//! From the checked tree to what is evaluated.
//!
//! Mirrors cel-go's planner, since what an evaluation costs depends on it: fields and indices are qualifiers of the
//! variable before them, constants are folded, and `in` over a constant list looks up a set.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ::regex::Regex;
use ecow::EcoString;

use crate::ast::{self, Expr, ExprKind, Literal, NodeId, functions};
use crate::check::Checked;
use crate::error::EvalError;
use crate::interpret::context::{Context, Limits};
use crate::library::{Implementation, Library};
use crate::parse::ACCUMULATOR;
use crate::types::Type;
use crate::value::{BuiltMap, Key, List, Value, runtime_type_name};

/// A node, and how it is evaluated.
#[derive(Debug)]
pub(crate) enum Plan {
    Constant(Value),
    Attribute(Box<Attribute>),
    And(Box<[Plan; 2]>),
    Or(Box<[Plan; 2]>),
    Equal {
        operands: Box<[Plan; 2]>,
        negated: bool,
    },
    Call(Box<Call>),
    /// False only when the operand is; errors are true.
    NotStrictlyFalse(Box<Plan>),
    /// `a.or(b)` and `a.orValue(b)`, whose second part is evaluated only when it is needed.
    OptionalOr {
        operands: Box<[Plan; 2]>,
        unwrap: bool,
    },
    /// `x in [1, 2, 3]`.
    InSet {
        operand: Box<Plan>,
        set: HashSet<Key>,
    },
    /// Adds elements to a comprehension's accumulator in place.
    Append(Box<Append>),
    /// Adds entries to a comprehension's accumulator in place.
    Insert {
        slot: usize,
        arguments: Box<[Plan]>,
    },
    List(Box<[Item]>),
    Map(Box<[(Plan, Item)]>),
    Struct(Box<Struct>),
    Fold(Box<Fold>),
}

/// A part of a literal, left out where it is `optional.none()`.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) value: Plan,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) type_name: EcoString,
    pub(crate) fields: Vec<(EcoString, Item)>,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) function: Arc<str>,
    /// Empty when the checker left several.
    pub(crate) overload: Arc<str>,
    pub(crate) implementation: Implementation,
    pub(crate) arguments: Box<[Plan]>,
    /// An error among the arguments but the last ends the call then and there, before it costs anything.
    pub(crate) stops: bool,
}

#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) slot: usize,
    pub(crate) items: Plan,
    pub(crate) overload: Arc<str>,
    pub(crate) implementation: Implementation,
}

/// A variable, or the value of another node, and the fields and indices applied to it.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) base: Base,
    pub(crate) qualifiers: Vec<Qualifier>,
    /// `has()`: the last qualifier is tested, not read.
    pub(crate) test: bool,
}

#[derive(Debug)]
pub(crate) enum Base {
    Variable(EcoString),
    Slot(usize),
    Value(Plan),
    Conditional { condition: Plan, branches: Box<[Attribute; 2]> },
}

#[derive(Debug)]
pub(crate) struct Qualifier {
    pub(crate) key: QualifierKey,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) enum QualifierKey {
    Constant(Value),
    /// Costs nothing itself.
    Attribute(Attribute),
    Computed(Plan),
}

/// A comprehension. Its variables live in slots.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) range: Plan,
    pub(crate) variable: usize,
    pub(crate) second: Option<usize>,
    pub(crate) accumulator: usize,
    pub(crate) initial: Plan,
    pub(crate) condition: Plan,
    pub(crate) step: Plan,
    pub(crate) result: Plan,
}

/// A whole expression, planned.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) root: Plan,
    pub(crate) slots: usize,
    pub(crate) regexes: HashMap<EcoString, Regex>,
}

/// # Errors
/// A constant that does not convert, a malformed pattern, a function without implementation.
pub(crate) fn plan(checked: &Checked, library: &Library, limits: Limits) -> Result<Planned, EvalError> {
    let mut planner =
        Planner { checked, library, limits, scope: Vec::new(), slots: 0, regexes: HashMap::new() };
    let root = planner.node(&checked.expr)?;
    Ok(Planned { root, slots: planner.slots, regexes: planner.regexes })
}

struct Planner<'a> {
    checked: &'a Checked,
    library: &'a Library,
    limits: Limits,
    /// The variables of the comprehensions around, outermost first; a name's place is its slot.
    scope: Vec<Option<Arc<str>>>,
    slots: usize,
    regexes: HashMap<EcoString, Regex>,
}

/// Functions whose call with a constant is a constant.
const CONVERSIONS: [&str; 10] =
    ["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"];

/// Functions of several overloads that upstream evaluates all in one way; others are told apart by all arguments.
const SINGLE: [&str; 12] = [
    "_+_",
    "_-_",
    "_*_",
    "_/_",
    "_%_",
    "_<_",
    "_<=_",
    "_>_",
    "_>=_",
    "@in",
    "matches",
    "@sortByAssociatedKeys",
];

impl Planner<'_> {
    fn node(&mut self, expr: &Expr) -> Result<Plan, EvalError> {
        match &expr.kind {
            ExprKind::Literal(literal) => Ok(Plan::Constant(constant(literal))),
            ExprKind::Ident(name) => Ok(self.ident(expr.id, name)),
            ExprKind::Select(select) => self.select(select),
            ExprKind::Call(call) => self.call(expr.id, call),
            ExprKind::List(elements) => self.list(elements),
            ExprKind::Map(entries) => self.map(entries),
            ExprKind::Struct(literal) => self.object(literal),
            ExprKind::Comprehension(fold) => self.fold(fold),
        }
    }

    fn ident(&self, id: NodeId, name: &Arc<str>) -> Plan {
        let base = match self.slot(name) {
            Some(slot) => Base::Slot(slot),
            None => match self.checked.type_of(id) {
                Type::Type(of) => return Plan::Constant(Value::Type(runtime_type_name(of))),
                _ => Base::Variable(EcoString::from(name.trim_start_matches('.'))),
            },
        };
        Plan::Attribute(Box::new(Attribute { base, qualifiers: Vec::new(), test: false }))
    }

    fn slot(&self, name: &str) -> Option<usize> {
        self.scope.iter().rposition(|bound| bound.as_deref() == Some(name))
    }

    fn select(&mut self, select: &ast::Select) -> Result<Plan, EvalError> {
        let mut attribute = into_attribute(self.node(&select.operand)?);
        let key = QualifierKey::Constant(Value::String(EcoString::from(&*select.field)));
        attribute.qualifiers.push(Qualifier { key, optional: false });
        attribute.test = select.test;
        Ok(Plan::Attribute(Box::new(attribute)))
    }

    fn call(&mut self, id: NodeId, call: &ast::Call) -> Result<Plan, EvalError> {
        let operands = call.target.iter().chain(&call.arguments);
        let arguments = operands.map(|operand| self.node(operand)).collect::<Result<Vec<_>, _>>()?;
        let overload = match self.checked.overloads(id) {
            [only] => only.clone(),
            _ => "".into(),
        };
        if let (functions::INDEX | functions::OPT_INDEX, [_, Plan::Constant(key)]) =
            (&*call.function, arguments.as_slice())
            && Key::of(key).is_none()
        {
            return Err(EvalError::new(format!("invalid qualifier type: {}", super::machine::go_type(key))));
        }
        let arguments = match special(&call.function, arguments) {
            Ok(plan) => return Ok(plan),
            Err(arguments) => arguments,
        };
        let Some(implementation) = self.library.find(&call.function) else {
            return Err(EvalError::new(format!("no such overload: {}", call.function)));
        };
        let has_pattern = self.pattern(&call.function, &arguments)?;
        let told_apart = has_pattern || overload.is_empty() && !SINGLE.contains(&&*call.function);
        let stops = arguments.len() > 2 || arguments.len() == 2 && told_apart;
        let function = call.function.clone();
        let call = Call { function, overload, implementation, arguments: arguments.into(), stops };
        self.optimized(call)
    }

    /// Compiles a pattern that is a constant; answers whether there is one.
    fn pattern(&mut self, function: &str, arguments: &[Plan]) -> Result<bool, EvalError> {
        if let ("matches" | "find" | "findAll", [_, Plan::Constant(Value::String(pattern)), ..]) =
            (function, arguments)
        {
            if !self.regexes.contains_key(pattern) {
                let compiled = crate::regex::go_regex(pattern).map_err(EvalError::new)?;
                self.regexes.insert(pattern.clone(), compiled);
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn optimized(&self, mut call: Call) -> Result<Plan, EvalError> {
        match &mut *call.arguments {
            [Plan::Constant(value)] if CONVERSIONS.contains(&&*call.function) => {
                let literals = HashMap::new();
                let mut context = Context::new(self.limits, &literals);
                return (call.implementation)(&mut context, std::slice::from_ref(value)).map(Plan::Constant);
            }
            [operand, Plan::Constant(Value::List(list))] if &*call.overload == "in_list" => {
                if list.is_empty() {
                    return Ok(Plan::Constant(Value::Bool(false)));
                }
                if let Some(set) = constant_set(list) {
                    let operand = std::mem::replace(operand, Plan::Constant(Value::Null));
                    return Ok(Plan::InSet { operand: Box::new(operand), set });
                }
            }
            [first, items] if &*call.function == functions::ADD => {
                if let Some(slot) = self.accumulator(first) {
                    let items = std::mem::replace(items, Plan::Constant(Value::Null));
                    let Call { overload, implementation, .. } = call;
                    return Ok(Plan::Append(Box::new(Append { slot, items, overload, implementation })));
                }
            }
            [first, ..] if &*call.function == "cel.@mapInsert" => {
                if let Some(slot) = self.accumulator(first) {
                    let arguments = call.arguments.into_vec().into_iter().skip(1).collect();
                    return Ok(Plan::Insert { slot, arguments });
                }
            }
            _ => {}
        }
        Ok(Plan::Call(Box::new(call)))
    }

    /// The slot, if `plan` is the accumulator of the comprehension that is being planned. Only macros name it.
    fn accumulator(&self, plan: &Plan) -> Option<usize> {
        let Plan::Attribute(attribute) = plan else { return None };
        match attribute.base {
            Base::Slot(slot) if attribute.qualifiers.is_empty() => {
                let name = self.scope.get(slot)?.as_deref()?;
                (name == ACCUMULATOR).then_some(slot)
            }
            _ => None,
        }
    }

    fn list(&mut self, elements: &[ast::Element]) -> Result<Plan, EvalError> {
        let items = elements
            .iter()
            .map(|element| Ok(Item { value: self.node(&element.value)?, optional: element.optional }))
            .collect::<Result<Vec<_>, EvalError>>()?;
        let constants: Option<Vec<Value>> = items.iter().map(plain_constant).collect();
        Ok(match constants {
            Some(values) => Plan::Constant(Value::list(values)),
            None => Plan::List(items.into()),
        })
    }

    fn map(&mut self, entries: &[ast::Entry]) -> Result<Plan, EvalError> {
        let items = entries
            .iter()
            .map(|entry| {
                let item = Item { value: self.node(&entry.value)?, optional: entry.optional };
                Ok((self.node(&entry.key)?, item))
            })
            .collect::<Result<Vec<_>, EvalError>>()?;
        let mut constant = BuiltMap::new();
        for (key, item) in &items {
            match (key, plain_constant(item)) {
                (Plan::Constant(key), Some(value)) => constant.insert(key.clone(), value)?,
                _ => return Ok(Plan::Map(items.into())),
            };
        }
        Ok(Plan::Constant(constant.into()))
    }

    fn object(&mut self, literal: &ast::Struct) -> Result<Plan, EvalError> {
        let fields = literal
            .fields
            .iter()
            .map(|field| {
                let item = Item { value: self.node(&field.value)?, optional: field.optional };
                Ok((EcoString::from(&*field.name), item))
            })
            .collect::<Result<Vec<_>, EvalError>>()?;
        let type_name = EcoString::from(literal.type_name.trim_start_matches('.'));
        Ok(Plan::Struct(Box::new(Struct { type_name, fields })))
    }

    fn fold(&mut self, fold: &ast::Comprehension) -> Result<Plan, EvalError> {
        let initial = self.node(&fold.initial)?;
        let range = self.node(&fold.range)?;
        let accumulator = self.bind(&fold.accumulator);
        let variable = self.bind(&fold.variable);
        let second = fold.second.as_ref().map(|second| self.bind(second));
        let condition = self.node(&fold.condition)?;
        let step = self.node(&fold.step)?;
        // The result sees the accumulator only.
        for name in &mut self.scope[variable..] {
            *name = None;
        }
        let result = self.node(&fold.result)?;
        self.scope.truncate(accumulator);
        Ok(Plan::Fold(Box::new(Fold {
            range,
            variable,
            second,
            accumulator,
            initial,
            condition,
            step,
            result,
        })))
    }

    fn bind(&mut self, name: &Arc<str>) -> usize {
        self.scope.push(Some(name.clone()));
        self.slots = self.slots.max(self.scope.len());
        self.scope.len() - 1
    }
}

/// Operators that are evaluated in a way of their own; others give the arguments back.
fn special(function: &str, mut arguments: Vec<Plan>) -> Result<Plan, Vec<Plan>> {
    match (function, arguments.len()) {
        (functions::CONDITIONAL, 3) => {
            let (no, yes) = (arguments.pop(), arguments.pop());
            let (Some(condition), Some(yes), Some(no)) = (arguments.pop(), yes, no) else {
                return Err(arguments);
            };
            let base =
                Base::Conditional { condition, branches: Box::new([into_branch(yes), into_branch(no)]) };
            return Ok(Plan::Attribute(Box::new(Attribute { base, qualifiers: Vec::new(), test: false })));
        }
        (functions::NOT_STRICTLY_FALSE, 1) => {
            return arguments.pop().map(|operand| Plan::NotStrictlyFalse(Box::new(operand))).ok_or(arguments);
        }
        (_, 2) => {}
        _ => return Err(arguments),
    }
    let operands: Box<[Plan; 2]> = match arguments.try_into() {
        Ok(operands) => Box::new(operands),
        Err(arguments) => return Err(arguments),
    };
    Ok(match function {
        functions::AND => Plan::And(operands),
        functions::OR => Plan::Or(operands),
        functions::EQUALS => Plan::Equal { operands, negated: false },
        functions::NOT_EQUALS => Plan::Equal { operands, negated: true },
        "or" => Plan::OptionalOr { operands, unwrap: false },
        "orValue" => Plan::OptionalOr { operands, unwrap: true },
        functions::INDEX => index(*operands, false),
        functions::OPT_INDEX | functions::OPT_SELECT => index(*operands, true),
        _ => return Err(Vec::from(*operands)),
    })
}

fn index([operand, key]: [Plan; 2], optional: bool) -> Plan {
    let mut attribute = into_attribute(operand);
    let key = match key {
        Plan::Constant(value) => QualifierKey::Constant(value),
        Plan::Attribute(key) => QualifierKey::Attribute(*key),
        other => QualifierKey::Computed(other),
    };
    attribute.qualifiers.push(Qualifier { key, optional });
    Plan::Attribute(Box::new(attribute))
}

fn into_attribute(plan: Plan) -> Attribute {
    match plan {
        // The answer of a `has()` has no fields of its own to add to.
        Plan::Attribute(attribute) if !attribute.test => *attribute,
        other => Attribute { base: Base::Value(other), qualifiers: Vec::new(), test: false },
    }
}

fn into_branch(plan: Plan) -> Attribute {
    match plan {
        Plan::Attribute(attribute) => *attribute,
        other => into_attribute(other),
    }
}

fn plain_constant(item: &Item) -> Option<Value> {
    match (&item.value, item.optional) {
        (Plan::Constant(value), false) => Some(value.clone()),
        _ => None,
    }
}

/// The elements as a set, if all are of types that have one.
fn constant_set(list: &List) -> Option<HashSet<Key>> {
    list.iter().map(|item| Key::of(&item.ok()?)).collect()
}

fn constant(literal: &Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Int(i) => Value::Int(*i),
        Literal::Uint(u) => Value::Uint(*u),
        Literal::Double(d) => Value::Double(*d),
        Literal::String(text) => Value::String(EcoString::from(&**text)),
        Literal::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}
