//! Whether a type can stand where another is wanted, and what type parameters become so that it can.

use std::collections::HashMap;
use std::sync::Arc;

use crate::types::Type;

/// What type parameters were found to be. Attempts that fail leave no trace.
#[derive(Default)]
pub(super) struct Bindings {
    bound: HashMap<Arc<str>, Type>,
    /// What every binding since the attempt began replaced.
    trail: Vec<(Arc<str>, Option<Type>)>,
}

/// How many parts a type may have that is looked at.
const LARGEST: usize = 2_000;

impl Bindings {
    /// Makes two types agree if they can, `value` in the place of `wanted`.
    pub(super) fn assign(&mut self, wanted: &Type, value: &Type) -> bool {
        self.attempt(|bindings| bindings.unify(wanted, value))
    }

    pub(super) fn assign_all(&mut self, wanted: &[Type], values: &[Type]) -> bool {
        self.attempt(|bindings| bindings.unify_all(wanted, values))
    }

    fn attempt(&mut self, unify: impl FnOnce(&mut Self) -> bool) -> bool {
        self.trail.clear();
        if unify(self) {
            return true;
        }
        while let Some((name, before)) = self.trail.pop() {
            match before {
                Some(before) => self.bound.insert(name, before),
                None => self.bound.remove(&name),
            };
        }
        false
    }

    fn bind(&mut self, name: &Arc<str>, to: Type) {
        let before = self.bound.insert(name.clone(), to);
        self.trail.push((name.clone(), before));
    }

    fn unify_all(&mut self, first: &[Type], second: &[Type]) -> bool {
        first.len() == second.len()
            && first.iter().zip(second).all(|(first, second)| self.unify(first, second))
    }

    fn unify(&mut self, first: &Type, second: &Type) -> bool {
        if let Type::Parameter(name) = second {
            match self.substitution(first, second, name) {
                (true, _) => return true,
                (false, true) => return false,
                (false, false) => {}
            }
        }
        if let Type::Parameter(name) = first {
            return self.substitution(second, first, name).0;
        }
        match (first, second) {
            (Type::Dyn | Type::Error, _) | (_, Type::Dyn | Type::Error) => true,
            (Type::Null, other) | (other, Type::Null) => is_nullable(other),
            (Type::Type(_), other) => matches!(other, Type::Type(_)),
            (Type::List(first), Type::List(second)) | (Type::Optional(first), Type::Optional(second)) => {
                self.unify(first, second)
            }
            (Type::Map(first), Type::Map(second)) => {
                self.unify(&first.0, &second.0) && self.unify(&first.1, &second.1)
            }
            (Type::Named(first, ours), Type::Named(second, theirs)) => {
                first == second && self.unify_all(ours, theirs)
            }
            // A wrapper takes what it wraps, and gives it.
            (Type::Nullable(inside), other) | (other, Type::Nullable(inside)) => {
                first == second || *other == **inside
            }
            (first, second) => first == second,
        }
    }

    /// Whether a parameter can be another type, and whether it is bound already.
    fn substitution(&mut self, to: &Type, parameter: &Type, name: &Arc<str>) -> (bool, bool) {
        if to == parameter {
            return (true, true);
        }
        if let Some(bound) = self.bound.get(name).cloned() {
            if *to == bound {
                return (true, true);
            }
            if !self.unify(to, &bound) {
                return (false, true);
            }
            let general = more_general(to, &bound);
            if self.not_within(parameter, &general) {
                self.bind(name, general);
            }
            return (true, true);
        }
        if self.not_within(parameter, to) {
            self.bind(name, to.clone());
            return (true, false);
        }
        (false, false)
    }

    /// Whether a parameter does not occur in a type.
    fn not_within(&self, parameter: &Type, within: &Type) -> bool {
        if parameter == within {
            return false;
        }
        match within {
            Type::Parameter(name) => {
                self.bound.get(name).is_none_or(|bound| self.not_within(parameter, bound))
            }
            Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => {
                self.not_within(parameter, inner)
            }
            Type::Map(of) => self.not_within(parameter, &of.0) && self.not_within(parameter, &of.1),
            Type::Named(_, parts) => parts.iter().all(|part| self.not_within(parameter, part)),
            _ => true,
        }
    }

    /// A type with its bound parameters replaced; the others stay or, with `to_dyn`, become dynamic.
    pub(super) fn substitute(&self, of: &Type, to_dyn: bool) -> Type {
        match of {
            Type::Parameter(name) => match self.bound.get(name) {
                Some(bound) => self.substitute(bound, to_dyn),
                None if to_dyn => Type::Dyn,
                None => of.clone(),
            },
            Type::List(inner) => Type::list(self.substitute(inner, to_dyn)),
            Type::Optional(inner) => Type::optional(self.substitute(inner, to_dyn)),
            Type::Type(inner) => Type::Type(Arc::new(self.substitute(inner, to_dyn))),
            Type::Map(of) => Type::map(self.substitute(&of.0, to_dyn), self.substitute(&of.1, to_dyn)),
            Type::Named(name, parts) if !parts.is_empty() => {
                Type::Named(name.clone(), parts.iter().map(|part| self.substitute(part, to_dyn)).collect())
            }
            _ => of.clone(),
        }
    }

    /// Whether a type, parameters replaced, has more parts than are looked at: some macros double types with every use.
    pub(super) fn is_too_large(&self, of: &Type) -> bool {
        let mut left = LARGEST;
        let mut open = vec![of];
        while let Some(of) = open.pop() {
            left -= 1;
            if left == 0 {
                return true;
            }
            match of {
                Type::Parameter(name) => open.extend(self.bound.get(name)),
                Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => open.push(inner),
                Type::Map(of) => open.extend([&of.0, &of.1]),
                Type::Named(_, parts) => open.extend(parts.iter()),
                _ => {}
            }
        }
        false
    }
}

fn is_nullable(of: &Type) -> bool {
    matches!(
        of,
        Type::Null
            | Type::Nullable(_)
            | Type::Optional(_)
            | Type::Named(..)
            | Type::Duration
            | Type::Timestamp
    )
}

/// Of two types that agree, the one that says less.
pub(super) fn more_general(first: &Type, second: &Type) -> Type {
    if is_no_more_specific(first, second) { first.clone() } else { second.clone() }
}

fn is_no_more_specific(first: &Type, second: &Type) -> bool {
    match (first, second) {
        (Type::Dyn | Type::Parameter(_), _) => true,
        (_, Type::Dyn | Type::Parameter(_)) => false,
        (Type::List(first), Type::List(second)) | (Type::Optional(first), Type::Optional(second)) => {
            is_no_more_specific(first, second)
        }
        (Type::Map(first), Type::Map(second)) => {
            is_no_more_specific(&first.0, &second.0) && is_no_more_specific(&first.1, &second.1)
        }
        (Type::Named(first, ours), Type::Named(second, theirs)) => {
            let same = first == second && ours.len() == theirs.len();
            same && ours.iter().zip(theirs.iter()).all(|(ours, theirs)| is_no_more_specific(ours, theirs))
        }
        (Type::Type(_), Type::Type(_)) => true,
        _ => first == second,
    }
}
