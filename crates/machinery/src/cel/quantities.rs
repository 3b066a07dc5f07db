//! Kubernetes' `library/quantity.go`. Comparisons are the standard library's.

use std::any::Any;
use std::cmp::Ordering;

use drydock_cel::EvalError;
use drydock_cel::library::{Implementation, no_overload};
use drydock_cel::value::{Opaque, Value};

use crate::quantity::{Format, Quantity};

/// A quantity in expressions.
#[derive(Clone, Debug)]
struct Amount {
    quantity: Quantity,
    /// Made by adding. Upstream has such in another form, to which it finds nothing equal.
    is_sum: bool,
}

impl Opaque for Amount {
    fn type_name(&self) -> &str {
        "kubernetes.Quantity"
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, EvalError> {
        let other: Option<&Self> = other.as_any().downcast_ref();
        let other = other.filter(|other| !other.is_sum).ok_or_else(EvalError::no_such_overload)?;
        Ok(self.quantity == other.quantity)
    }

    fn compare(&self, other: &dyn Opaque) -> Option<Ordering> {
        other.as_any().downcast_ref::<Self>().map(|other| self.quantity.cmp(&other.quantity))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("quantity", |_, args| match args {
        [Value::String(text)] => Quantity::parse(text)
            .map(|quantity| Value::opaque(Amount { quantity, is_sum: false }))
            .map_err(|error| EvalError::new(error.to_string())),
        _ => Err(no_overload("quantity", args)),
    }),
    ("isQuantity", |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(Quantity::parse(text).is_ok())),
        _ => Err(no_overload("isQuantity", args)),
    }),
    ("sign", |_, args| {
        let quantity = of("sign", args)?;
        Ok(Value::Int(quantity.cmp(&Quantity::ZERO) as i64))
    }),
    ("isInteger", |_, args| of("isInteger", args).map(|quantity| Value::Bool(quantity.as_i64().is_some()))),
    ("asInteger", |_, args| match of("asInteger", args)?.as_i64() {
        Some(integer) => Ok(Value::Int(integer)),
        None => Err(EvalError::new("cannot convert value to integer")),
    }),
    ("asApproximateFloat", |_, args| {
        of("asApproximateFloat", args).map(|quantity| Value::Double(quantity.as_f64()))
    }),
    ("add", |_, args| combined("add", args, |a, b| a + b)),
    ("sub", |_, args| combined("sub", args, |a, b| a - b)),
];

fn of<'a>(function: &str, args: &'a [Value]) -> Result<&'a Quantity, EvalError> {
    let amount = args.first().and_then(|value| value.downcast::<Amount>());
    amount.map(|amount| &amount.quantity).ok_or_else(|| no_overload(function, args))
}

fn combined(
    function: &str,
    args: &[Value],
    combine: fn(Quantity, Quantity) -> Quantity,
) -> Result<Value, EvalError> {
    let own = of(function, args)?.clone();
    let other = match args.get(1) {
        Some(Value::Int(integer)) => Quantity::new(*integer, Format::DecimalExponent),
        _ => of(function, args.get(1..).unwrap_or_default())?.clone(),
    };
    Ok(Value::opaque(Amount { quantity: combine(own, other), is_sum: true }))
}
