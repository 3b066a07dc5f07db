//! Costs of expressions; most inputs and figures are those of the tests of cel-go and Kubernetes.

use std::sync::Arc;

use super::{Estimate, Sizes, estimate};
use crate::declare::KubernetesVersion;
use crate::env::Env;
use crate::types::Type;

/// Greatest sizes by path.
struct Hints(&'static [(&'static str, u64)]);

impl Sizes for Hints {
    fn size(&self, path: &[Arc<str>], _: &Type) -> Option<Estimate> {
        let path = path.join(".");
        let (_, max) = self.0.iter().find(|(known, _)| *known == path)?;
        Some(Estimate { min: 0, max: *max })
    }
}

fn check(text: &str, variables: &[(&str, Type)], hints: &'static [(&'static str, u64)], min: u64, max: u64) {
    let base = Env::new(KubernetesVersion::V1_36);
    let env = variables.iter().fold(base, |env, (name, of)| env.variable(name, of.clone()));
    let checked = env.compile(text).unwrap_or_else(|issues| panic!("{text}: {issues}"));
    assert_eq!(estimate(&checked, &Hints(hints)), Estimate { min, max }, "{text}");
}

fn map_of(value: Type) -> Type {
    Type::map(Type::String, value)
}

#[test]
fn accesses_and_literals() {
    check("'Hello World!'", &[], &[], 0, 0);
    check("input", &[("input", Type::list(Type::Int))], &[], 1, 1);
    check("input['key']", &[("input", map_of(Type::String))], &[], 2, 2);
    check("has(input.a.b)", &[("input", map_of(map_of(Type::Int)))], &[], 2, 2);
    check("[1, 2, 3]", &[], &[], 10, 10);
    check("{'a': 1, 'b': 2}", &[], &[], 30, 30);
    check("input.getFullYear()", &[("input", Type::Timestamp)], &[], 2, 2);
}

#[test]
fn operators() {
    check("2 in [1, 2, 3]", &[], &[], 13, 13);
    check("true ? 1 : 2", &[], &[], 0, 0);
    let bools = ["a", "b", "c", "d"].map(|name| (name, Type::Bool));
    check("a || b || c || d", &bools, &[], 1, 4);
    check("1 == 2", &[], &[], 1, 1);
    let lists = [("list1", Type::list(Type::Int)), ("list2", Type::list(Type::Int))];
    check("list1.size() == list2.size()", &lists, &[], 5, 5);
    check("(list1 + list2).all(x, true)", &lists, &[("list1", 10), ("list2", 10)], 4, 64);
}

#[test]
fn strings() {
    let texts = [("input", Type::String), ("arg1", Type::String)];
    check("input.contains(arg1)", &texts, &[("input", 500), ("arg1", 500)], 2, 2502);
    check("input.startsWith(arg1)", &texts, &[("arg1", 500)], 2, 52);
    check("input.matches('[0-9]')", &texts, &[("input", 500)], 3, 103);
    check("'abcdefg'.contains(input + arg1)", &texts, &[("input", 10), ("arg1", 10)], 2, 6);
    check("string(input)", &[("input", Type::Bytes)], &[("input", 500)], 1, 51);
    check("bytes(input) == bytes(input)", &texts, &[("input", 500)], 3, 302);
}

#[test]
fn comprehensions() {
    let nested_list = [("input", Type::list(Type::list(Type::Int)))];
    check("input.all(x, x.all(y, true))", &nested_list, &[("input", 50), ("input.@items", 10)], 2, 1752);
    check("[1, 2, 3].all(x, true)", &[], &[], 20, 20);
    let nested_map = [("input", map_of(map_of(Type::Int)))];
    check("input.all(k, input[k].all(x, true))", &nested_map, &[("input", 5), ("input.@values", 10)], 2, 187);
    check("input.all(k, k.contains(k))", &nested_map, &[("input", 5), ("input.@keys", 10)], 2, 32);
    let shadowing = "input.all(k, input[k].all(k, true) && k.contains(k))";
    check(shadowing, &nested_map, &[("input", 2), ("input.@values", 2), ("input.@keys", 5)], 2, 34);
    let lists = [("list1", Type::list(Type::String)), ("list2", Type::list(Type::String))];
    let hints = &[("list1", 10), ("list1.@items", 64), ("list2", 20), ("list2.@items", 128)];
    check("[list1, list2].exists(l, l.exists(v, v.startsWith('hi')))", &lists, hints, 21, 265);
    check("input.all(x, true)", &nested_list, &[], 2, u64::MAX);
    // Where the range's path has one step or two, the key's size is its own; with three it is the value's.
    let labels = [("a", map_of(map_of(map_of(Type::String))))];
    let hints = &[
        ("a.b", 5),
        ("a.b.@values", 100),
        ("a.b.@keys", 0),
        ("a.b.c", 5),
        ("a.b.c.@values", 100),
        ("a.b.c.@keys", 0),
    ];
    check("a.b.c.all(k, v, k == 'x')", &labels, hints, 4, 29);
    check("a.b.all(k, v, k == 'x')", &labels, hints, 3, 23);
}

#[test]
fn libraries() {
    check("'abc'.lowerAscii()", &[], &[], 1, 1);
    check("['a', 'b'].join(',')", &[], &[], 11, 1_844_674_407_370_955_274);
    check("[1, 2].isSorted()", &[], &[], 12, 12);
    check("quantity('200M') == quantity('0.2G') && quantity('0.2G') == quantity('200M')", &[], &[], 3, 6);
    check("quantity('50k').add(20).sub(quantity('100k')).asInteger() > 0", &[], &[], 6, 6);
    check("format.named('dns1123Label').value().validate('my-name')", &[], &[], 34, 34);
    let same = "format.named('dns1123Label').value() == format.named('dns1123Label').value()";
    check(same, &[], &[], 5, 11);
    check("sets.contains([1, 2, 3, 4], [2, 3])", &[], &[], 29, 29);
    check("sets.equivalent([1, 2, 3], [3, 2, 1])", &[], &[], 39, 39);
    check("[1, 2].reverse()", &[], &[], 23, 23);
    let authorizer = [("authorizer", Type::named("kubernetes.authorization.Authorizer"))];
    check("authorizer.path('/healthz').check('get').allowed()", &authorizer, &[], 350_003, 350_003);
    let selector = "authorizer.group('').resource('pods')\
                    .fieldSelector('spec.nodeName=example-node-name.fully.qualified.domain.name.example.com')";
    check(selector, &authorizer, &[], 1821, 1821);
}
