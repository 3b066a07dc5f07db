//! Expressions, their types, and what is wrong with some.

use std::sync::Arc;

use crate::ast::{ExprKind, functions};
use crate::declare::KubernetesVersion;
use crate::env::{Env, Types};
use crate::types::Type;

struct Pods;

impl Types for Pods {
    fn has_type(&self, name: &str) -> bool {
        name == "Pod"
    }

    fn field(&self, _: &str, field: &str) -> Option<Type> {
        match field {
            "name" => Some(Type::String),
            "count" => Some(Type::Int),
            "labels" => Some(Type::map(Type::String, Type::String)),
            _ => None,
        }
    }
}

fn env() -> Env {
    Env::new(KubernetesVersion::V1_36)
        .types(Arc::new(Pods))
        .variable("self", Type::named("Pod"))
        .variable("any", Type::Dyn)
        .variable("ints", Type::list(Type::Int))
        .variable("request.user", Type::String)
}

fn output(text: &str) -> String {
    match env().compile(text) {
        Ok(checked) => super::shown(&checked.output),
        Err(issues) => panic!("{text}: {issues}"),
    }
}

/// The first issue's column and message.
fn wrong(text: &str, column: usize, message: &str) {
    let shown = env().compile(text).expect_err(text).to_string();
    let expected = format!("ERROR: <input>:1:{column}: {message}\n | {text}\n | {}^", ".".repeat(column - 1));
    assert!(shown.starts_with(&expected), "{shown}\nis not\n{expected}");
}

#[test]
fn types_of_expressions() {
    for (text, expected) in [
        ("1 + 2", "int"),
        ("[]", "list(dyn)"),
        ("[1, 2].map(x, string(x))", "list(string)"),
        ("{'a': ints}", "map(string, list(int))"),
        ("self.labels['x'] + self.name", "string"),
        ("any.x.y", "dyn"),
        ("any + 1", "int"),
        ("any + any", "dyn"),
        ("has(self.name) && self.?name.orValue('x') == 'x'", "bool"),
        ("self.?labels", "optional_type(map(string, string))"),
        ("self.labels[?'a'].optMap(a, a.size())", "optional_type(int)"),
        ("ints.all(i, i > 0) ? 1.0 : 2.0", "double"),
        ("ints.transformMap(i, v, string(v))", "map(int, string)"),
        ("ints.sortBy(i, -i)", "list(int)"),
        ("type(1) == int", "bool"),
        ("type(ints)", "type(list(int))"),
        ("request.user.startsWith('a')", "bool"),
        ("timestamp('2024-01-01T00:00:00Z') - duration('1h')", "timestamp"),
        ("1 < 2.0 || 1u >= 1", "bool"),
        ("quantity('1').add(2)", "kubernetes.Quantity"),
        ("format.named('uuid').value().validate('x')", "optional_type(list(string))"),
        ("cidr('10.0.0.0/8').ip() == ip('10.0.0.0')", "bool"),
        ("null == self", "bool"),
        ("[1].map(x, [2].map(y, x + y))", "list(list(int))"),
    ] {
        assert_eq!(output(text), expected, "{text}");
    }
}

#[test]
fn what_types_forbid() {
    wrong("self.missing > 1", 5, "undefined field 'missing'");
    wrong("self.count == 'thick'", 12, "found no matching overload for '_==_' applied to '(int, string)'");
    wrong("nobody", 1, "undeclared reference to 'nobody' (in container '')");
    wrong("nothing(1)", 8, "undeclared reference to 'nothing' (in container '')");
    wrong("self.name.size(1)", 15, "found no matching overload for 'size' applied to 'string.(int)'");
    wrong("1.x", 2, "type 'int' does not support field selection");
    wrong("self.name.x", 10, "type 'string' does not support field selection");
    wrong("1 && true", 1, "expected type 'bool' but found 'int'");
    let range = "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)";
    wrong("self.count.all(x, true)", 5, range);
    wrong("ints.all(x, x)", 13, "expected type 'bool' but found 'int'");
    wrong("url('a').x", 9, "unexpected failed resolution of 'kubernetes.URL'");
    wrong("ip('::1').x", 10, "type 'net.IP' does not support field selection");
    wrong("1 ? 2 : 3", 3, "found no matching overload for '_?_:_' applied to '(int, int, int)'");
    wrong("timestamp(1) + 1", 14, "found no matching overload for '_+_' applied to '(timestamp, int)'");
    wrong("Pod{nothing: 1}", 12, "undefined field 'nothing'");
    wrong("Pod{count: 'a'}", 10, "expected type of field 'count' is 'int' but provided type is 'string'");
}

#[test]
fn what_kubernetes_forbids() {
    wrong("[1, 'a']", 5, "expected type 'int' but found 'string'");
    wrong("{'a': 1, 'b': 2.0}", 15, "expected type 'int' but found 'double'");
    wrong("duration('1 hour') == duration('1h')", 10, "invalid duration argument");
    wrong("timestamp('yesterday') == any", 11, "invalid timestamp argument");
    wrong("self.name.matches('(')", 19, "invalid matches argument");
}

#[test]
fn versions_gate_libraries() {
    assert!(Env::new(KubernetesVersion::V1_33).compile("[1].sort()").is_err());
    assert!(Env::new(KubernetesVersion::V1_34).compile("[1].sort()").is_ok());
    assert!(Env::new(KubernetesVersion::V1_36).compile("jsonpatch.escapeKey('a')").is_err());
    assert!(Env::new(KubernetesVersion::V1_36).json_patch().compile("jsonpatch.escapeKey('a')").is_ok());
}

#[test]
fn qualified_names_become_one() {
    let checked = env().compile("request.user + optional.of('x').value()").expect("valid");
    let ExprKind::Call(add) = &checked.expr.kind else { panic!("{checked:?}") };
    assert_eq!(&*add.function, functions::ADD);
    assert_eq!(add.arguments[0].kind, ExprKind::Ident("request.user".into()));
    assert_eq!(checked.overloads(checked.expr.id), ["add_string".into()]);
    let ExprKind::Call(value) = &add.arguments[1].kind else { panic!("{checked:?}") };
    let Some(ExprKind::Call(of)) = value.target.as_ref().map(|target| &target.kind) else {
        panic!("{checked:?}")
    };
    assert_eq!((&*of.function, of.target.is_none()), ("optional.of", true));
}

#[test]
fn a_comprehensions_variable_hides_names_that_begin_with_it() {
    wrong("[1].all(request, request.user == '')", 25, "type 'int' does not support field selection");
    assert_eq!(output("[1].all(request, .request.user == '')"), "bool");
    assert_eq!(output("[1].map(self, .self.name)"), "list(string)");
    wrong("[1].all(o, .o > 0)", 13, "undeclared reference to '.o' (in container '')");
    wrong(".nothing(1)", 9, "undeclared reference to '.nothing' (in container '')");
    let checked = env().compile("[1].map(self, .self.name)").expect("valid");
    assert!(format!("{:?}", checked.expr).contains("Ident(\".self\")"));
}

#[test]
fn dynamic_arguments_leave_overloads_open() {
    let checked = env().compile("size(any)").expect("valid");
    let expected = ["size_bytes", "size_list", "size_map", "size_string"].map(Arc::from);
    assert_eq!(checked.overloads(checked.expr.id), expected);
}

#[test]
fn types_that_double_are_refused() {
    let folds: String = (0..40).map(|at| format!(".map(a{at}, {{a{at}: a{at}}})")).collect();
    let issues = env().compile(&format!("[1]{folds}")).expect_err("too large");
    assert!(issues.to_string().contains("type of expression is too large"), "{issues}");
}

#[test]
fn literal_formats_and_their_literal_arguments_fit_each_other() {
    for text in ["'%s %d %x'.format(['a', 1, b'x'])", "'%f'.format([any])", "self.name.format([1])"] {
        output(text);
    }
    wrong(
        "'%d'.format(['a'])",
        14,
        "error during formatting: decimal clause can only be used on integers, was given string",
    );
    wrong("'%s'.format([])", 12, "index 0 out of range");
    wrong("'%z'.format([1])", 12, "could not parse formatting clause: unrecognized formatting clause \"z\"");
    wrong("'%s'.format([1, 2])", 12, "too many arguments supplied to string.format (expected 1, got 2)");
    wrong("'%'.format([1])", 11, "unexpected end of string");
}
