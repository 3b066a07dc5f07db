//! Every function that can be declared is there and takes what it is declared to take.

use std::sync::Arc;

use drydock_cel::declare::{KubernetesVersion, Overload, functions};
use drydock_cel::env::Env;
use drydock_cel::library::{Authorizer, AuthorizerValue, Check, Decision, Subject};
use drydock_cel::types::Type;
use drydock_cel::value::Value as CelValue;
use drydock_cel::{Budget, EvalError, Evaluation, Program, Variables};

use super::*;
use crate::value;

#[derive(Debug)]
struct Nobody;

impl Authorizer for Nobody {
    fn authorize(&self, _: &Subject, _: &Check) -> Decision {
        Decision::default()
    }
}

struct Given(crate::Value);

impl Variables for Given {
    fn variable(&self, name: &str) -> Option<Result<CelValue, EvalError>> {
        match name {
            "authorizer" => Some(Ok(CelValue::opaque(AuthorizerValue::new(Arc::new(Nobody))))),
            name => self.0.get(name).map(|value| Ok(from_json(value))),
        }
    }
}

fn env() -> Env {
    let authorizer = Type::named("kubernetes.authorization.Authorizer");
    Env::new(KubernetesVersion::V1_36)
        .variable("authorizer", authorizer)
        .variable("self", Type::Dyn)
        .json_patch()
}

fn evaluate(text: &str, given: &crate::Value) -> Evaluation {
    let checked = env().compile(text).unwrap_or_else(|issues| panic!("{text}: {issues}"));
    let program = Program::new(&checked, library());
    let program = program.unwrap_or_else(|error| panic!("{text}: {error}"));
    program.evaluate(&Given(given.clone()), Budget::default())
}

/// An expression of a type.
fn sample(of: &Type) -> String {
    match of {
        Type::Dyn => "dyn(1)".to_owned(),
        Type::Null => "null".to_owned(),
        Type::Bool => "true".to_owned(),
        Type::Uint => "1u".to_owned(),
        Type::Double => "1.5".to_owned(),
        Type::String => "'1'".to_owned(),
        Type::Bytes => "b'a'".to_owned(),
        Type::Duration => "duration('1s')".to_owned(),
        Type::Timestamp => "timestamp('2020-01-01T00:00:00Z')".to_owned(),
        Type::Type(_) => "type(1)".to_owned(),
        Type::List(inner) => format!("[{}]", sample(inner)),
        Type::Map(of) => format!("{{{}: {}}}", sample(&of.0), sample(&of.1)),
        Type::Optional(inner) => format!("optional.of({})", sample(inner)),
        Type::Named(name, _) => match &**name {
            "kubernetes.Quantity" => "quantity('1')",
            "kubernetes.URL" => "url('https://a/')",
            "kubernetes.Semver" => "semver('1.0.0')",
            "kubernetes.NamedFormat" => "format.uri()",
            "net.IP" => "ip('::1')",
            "net.CIDR" => "cidr('::/0')",
            "kubernetes.authorization.Authorizer" => "authorizer",
            "kubernetes.authorization.PathCheck" => "authorizer.path('/x')",
            "kubernetes.authorization.GroupCheck" => "authorizer.group('')",
            "kubernetes.authorization.ResourceCheck" => "authorizer.group('').resource('r')",
            "kubernetes.authorization.Decision" => "authorizer.path('/x').check('get')",
            other => panic!("no sample of {other}"),
        }
        .to_owned(),
        _ => "1".to_owned(),
    }
}

/// A call as it is written; None for functions that only macros call.
fn call(name: &str, overload: &Overload) -> Option<String> {
    let arguments: Vec<String> = overload.arguments.iter().map(sample).collect();
    let operator = name.strip_prefix('_').and_then(|rest| rest.strip_suffix('_'));
    Some(match (name, arguments.as_slice()) {
        ("@in", [a, b]) => format!("{a} in {b}"),
        ("_?_:_", [a, b, c]) => format!("{a} ? {b} : {c}"),
        ("_[_]", [a, b]) => format!("{a}[{b}]"),
        ("_[?_]", [a, b]) => format!("{a}[?{b}]"),
        ("!_" | "-_", [a]) => format!("{}{a}", &name[..1]),
        ("_?._", _) => return None,
        (name, _) if name.contains('@') => return None,
        (_, [a, b]) if operator.is_some() => format!("{a} {} {b}", operator.unwrap_or_default()),
        (_, [target, rest @ ..]) if overload.is_member => format!("{target}.{name}({})", rest.join(", ")),
        (_, all) => format!("{name}({})", all.join(", ")),
    })
}

fn is_of_literals(issue: &str) -> bool {
    issue.starts_with("invalid ") || issue.starts_with("too many arguments supplied to string.format")
}

#[test]
fn every_declared_overload_is_implemented() {
    let mut calls = 0;
    for (name, overloads) in functions(KubernetesVersion::V1_36).iter() {
        for overload in overloads {
            let Some(text) = call(name, overload) else { continue };
            let checked = match env().compile(&text) {
                Ok(checked) => checked,
                // A literal that can only fail is refused before.
                Err(issues) if issues.list.iter().all(|issue| is_of_literals(&issue.message)) => continue,
                Err(issues) => panic!("{text}: {issues}"),
            };
            // Conversions of constants happen before evaluation; that they fail is an answer.
            let result = match Program::new(&checked, library()) {
                Ok(program) => program.evaluate(&Given(value!({})), Budget::default()).result.map(drop),
                Err(error) => Err(error),
            };
            let missing = result.is_err_and(|error| error.message().starts_with("no such overload: "));
            let never_equal = matches!(&**name, "_==_" | "_!=_");
            assert!(!missing || never_equal, "{text} ({})", overload.id);
            calls += 1;
        }
    }
    assert!(calls > 250, "{calls}");
}

fn shown(text: &str, given: &crate::Value) -> String {
    let evaluation = evaluate(text, given);
    match evaluation.result {
        Ok(value) => format!("{value} {}", evaluation.cost),
        Err(error) => format!("error: {error} {}", evaluation.cost),
    }
}

#[test]
fn quantities_and_formats_have_upstreams_values_and_costs() {
    for (text, expect) in [
        ("quantity('1.5Gi').isGreaterThan(quantity('1Gi'))", "true 3"),
        ("quantity('50k').isLessThan(quantity('50000'))", "false 3"),
        ("quantity('200M').compareTo(quantity('0.2G'))", "0 3"),
        ("quantity('50000000G').asInteger()", "50000000000000000 2"),
        ("quantity('50.5').asInteger()", "error: cannot convert value to integer 2"),
        ("quantity('9999999999999999999999999999999999999G').isInteger()", "false 5"),
        ("quantity('50.5').isInteger()", "false 2"),
        ("quantity('50.703k').asApproximateFloat()", "50703.0 2"),
        (
            "quantity('50k').add(quantity('20k')).sub(quantity('100k')).sub(-50000) == quantity('20k')",
            "true 8",
        ),
        ("quantity('50k').add(20) == quantity('50020')", "true 4"),
        ("sign(quantity('-1'))", "-1 2"),
        ("isQuantity('1.3Gi') && !isQuantity('200K') && isQuantity('Three')", "false 4"),
        (
            "quantity('Three')",
            "error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$' 1",
        ),
        ("quantity('1mi')", "error: unable to parse quantity's suffix 1"),
        ("quantity('1') == quantity('1000m')", "true 3"),
        ("format.dns1123Label().validate('my-label-name').hasValue()", "false 18"),
        (
            "format.dns1123Label().validate('My-Label').value()",
            "[\"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')\"] 10",
        ),
        ("format.dns1123Subdomain().validate('apiextensions.k8s.io').hasValue()", "false 47"),
        (
            "format.named('qualifiedName').value().validate('a/b/c').value()",
            "[\"a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')\"] 18",
        ),
        ("format.named('nope').hasValue()", "false 2"),
        (
            "format.uri().validate('no url').value()",
            "[\"parse \\\"no url\\\": invalid URI for request\"] 278",
        ),
        ("format.uuid().validate('123').value()", "[\"does not match the UUID format\"] 20"),
        ("format.byte().validate('aGVsbG8=').hasValue()", "false 23"),
        ("format.byte().validate('x').value()", "[\"invalid base64\"] 23"),
        ("format.date().validate('2021-13-01').value()", "[\"invalid date\"] 38"),
        ("format.datetime().validate('2021-01-01T00:00:00.000Z').hasValue()", "false 56"),
        ("format.datetime().validate('x').value()", "[\"invalid datetime\"] 20"),
        (
            "format.labelValue().validate('-bad').value()",
            "[\"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')\"] 12",
        ),
        ("format.dns1035LabelPrefix().validate('abc-').hasValue()", "false 10"),
        (
            "format.dns1035Label().validate('1abc').value()",
            "[\"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')\"] 10",
        ),
        ("format.uri() == format.named('uri').value()", "true 4"),
    ] {
        assert_eq!(shown(text, &value!({})), expect, "{text}");
    }
}

#[test]
fn json_is_seen_without_schema_and_comes_back() {
    let given = value!({"self": {"list": [1, 2.5, "x", null], "map": {"a": {"b": true}}}});
    for (text, expect) in [
        ("self.list[1] + 1.0", "3.5 3"),
        ("self.list == [dyn(1), dyn(2.5), dyn('x'), dyn(null)]", "true 3"),
        ("self.map.a.b && has(self.map.a) && !has(self.map.c)", "true 9"),
        ("self.list.exists(x, x == null)", "true 31"),
        ("self.map.c", "error: no such key: c 3"),
    ] {
        let got = shown(text, &given);
        assert_eq!(
            got.rsplit_once(' ').map(|(value, _)| value),
            expect.rsplit_once(' ').map(|(v, _)| v),
            "{text}"
        );
    }
    let tree = given.get("self").unwrap();
    assert_eq!(&to_json(&from_json(tree)).unwrap(), tree);
    let built = evaluate(
        "{'a': dyn([dyn(1), dyn('x')]), 'b': dyn(duration('1s')), 'c': dyn(optional.of(b'hi'))}",
        &value!({}),
    );
    assert_eq!(to_json(&built.result.unwrap()).unwrap(), value!({"a": [1, "x"], "b": "1s", "c": "aGk="}));
    assert!(to_json(&evaluate("type(1)", &value!({})).result.unwrap()).is_err());
}
