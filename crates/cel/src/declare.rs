//! Which functions there are: CEL's own and those of the libraries that Kubernetes turns on, by version.
//!
//! Names, overloads and their ids are upstream's: costs and implementations hang on the ids.

mod libraries;
mod notation;
mod standard;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::types::Type;

/// One signature of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Overload {
    pub id: Arc<str>,
    /// Whether the first argument stands before the function: `'a'.size()`.
    pub is_member: bool,
    pub arguments: Vec<Type>,
    pub result: Type,
    /// The names of the type parameters.
    pub parameters: Vec<Arc<str>>,
}

/// Functions and their overloads by name.
pub type Functions = HashMap<Arc<str>, Vec<Overload>>;

/// A version of Kubernetes, as far as it changes what expressions may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KubernetesVersion {
    V1_33,
    /// With CEL's own list library: `slice`, `sort`, `lists.range`.
    V1_34,
    V1_35,
    V1_36,
}

impl KubernetesVersion {
    /// 1.`minor`, or the nearest that is known.
    pub fn of_minor(minor: u32) -> Self {
        match minor {
            ..=33 => Self::V1_33,
            34 => Self::V1_34,
            35 => Self::V1_35,
            36.. => Self::V1_36,
        }
    }
}

/// Types that can be named in an expression, beyond those of variables and fields.
const NAMED: [(&str, Type); 9] = [
    ("bool", Type::Bool),
    ("bytes", Type::Bytes),
    ("double", Type::Double),
    ("google.protobuf.Duration", Type::Duration),
    ("int", Type::Int),
    ("null_type", Type::Null),
    ("string", Type::String),
    ("google.protobuf.Timestamp", Type::Timestamp),
    ("uint", Type::Uint),
];

/// The type that a name stands for.
pub(crate) fn named_type(name: &str) -> Option<Type> {
    if let Some((_, found)) = NAMED.iter().find(|(known, _)| *known == name) {
        return Some(found.clone());
    }
    match name {
        "list" => Some(Type::list(Type::Parameter("A".into()))),
        "map" => Some(Type::map(Type::Parameter("A".into()), Type::Parameter("B".into()))),
        "optional_type" => Some(Type::optional(Type::Parameter("V".into()))),
        "net.IP" | "net.CIDR" | "type" => Some(Type::named(name)),
        _ => None,
    }
}

/// The functions of a version.
pub fn functions(version: KubernetesVersion) -> Arc<Functions> {
    static OLD: OnceLock<Arc<Functions>> = OnceLock::new();
    static NEW: OnceLock<Arc<Functions>> = OnceLock::new();
    let mut libraries = vec![
        standard::STANDARD,
        libraries::URLS,
        libraries::REGEX,
        libraries::LISTS,
        libraries::AUTHORIZER,
        libraries::OPTIONALS,
        libraries::QUANTITY,
        libraries::STRINGS,
        libraries::SETS,
        libraries::IP,
        libraries::CIDR,
        libraries::FORMAT,
        libraries::TWO_VARIABLES,
        libraries::SEMVER,
    ];
    if version < KubernetesVersion::V1_34 {
        return OLD.get_or_init(|| Arc::new(collect(&libraries))).clone();
    }
    libraries.push(libraries::LISTS_EXTENDED);
    NEW.get_or_init(|| Arc::new(collect(&libraries))).clone()
}

/// What patches of mutating policies may use beyond that.
pub(crate) fn json_patch() -> Functions {
    collect(&[libraries::JSON_PATCH])
}

fn collect(libraries: &[&str]) -> Functions {
    let mut functions = Functions::new();
    for (name, overload) in libraries.iter().flat_map(|library| notation::functions(library)) {
        functions.entry(name.into()).or_default().push(overload);
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_in_the_notation() {
        for library in
            [standard::STANDARD, libraries::LISTS_EXTENDED, libraries::FORMAT, libraries::AUTHORIZER]
        {
            let lines = library.lines().filter(|line| line.starts_with("  ")).count();
            assert_eq!(notation::functions(library).len(), lines);
        }
        let functions = functions(KubernetesVersion::V1_36);
        let ids: Vec<&str> = functions["indexOf"].iter().map(|overload| &*overload.id).collect();
        assert_eq!(ids, ["list_a_index_of_int", "string_index_of_string", "string_index_of_string_int"]);
        assert_eq!(functions["_[?_]"][2].parameters, ["K".into(), "V".into()]);
        assert_eq!(functions["getQuery"][0].result.to_string(), "map(string, list(string))");
    }

    #[test]
    fn libraries_come_with_versions() {
        assert!(!functions(KubernetesVersion::V1_33).contains_key("lists.range"));
        assert!(functions(KubernetesVersion::V1_35).contains_key("lists.range"));
        assert!(functions(KubernetesVersion::V1_33).contains_key("semver"));
        assert!(json_patch().contains_key("jsonpatch.escapeKey"));
    }
}
