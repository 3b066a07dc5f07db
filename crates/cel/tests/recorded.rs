//! Expressions with the values, errors and costs that Kubernetes 1.36 gives them, recorded from its own libraries.

use std::collections::BTreeMap;

use drydock_cel::declare::KubernetesVersion;
use drydock_cel::env::Env;
use drydock_cel::library::Library;
use drydock_cel::types::Type;
use drydock_cel::value::{BuiltMap, Value};
use drydock_cel::{Budget, EvalError, Program, Variables};

struct Given<'a>(&'a serde_json::Value);

impl Variables for Given<'_> {
    fn variable(&self, name: &str) -> Option<Result<Value, EvalError>> {
        self.0.get(name).map(|value| Ok(from_json(value)))
    }
}

fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => {
            n.as_i64().map_or_else(|| Value::Double(n.as_f64().unwrap()), Value::Int)
        }
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::list(items.iter().map(from_json).collect()),
        serde_json::Value::Object(fields) => {
            let mut map = BuiltMap::new();
            for (key, value) in fields {
                map.insert(Value::from(key.as_str()), from_json(value)).unwrap();
            }
            map.into()
        }
    }
}

/// What became of an expression, in the recording's form.
fn outcome(
    env: &Env,
    library: &Library,
    case: &serde_json::Value,
) -> BTreeMap<&'static str, serde_json::Value> {
    let expr = case["expr"].as_str().unwrap();
    let mut got = BTreeMap::new();
    let checked = match env.compile(expr) {
        Ok(checked) => checked,
        Err(issues) => return BTreeMap::from([("issues", issues.to_string().into())]),
    };
    let program = match Program::new(&checked, library) {
        Ok(program) => program,
        Err(error) => return BTreeMap::from([("program", error.to_string().into())]),
    };
    let none = serde_json::json!({});
    let evaluation = program.evaluate(&Given(case.get("vars").unwrap_or(&none)), Budget::default());
    got.insert("cost", evaluation.cost.into());
    match evaluation.result {
        // A text alone is shown bare; the recording quotes it.
        Ok(Value::String(text)) => {
            let quoted = Value::list(vec![Value::String(text)]).to_string();
            got.insert("value", quoted[1..quoted.len() - 1].into());
        }
        Ok(value) => drop(got.insert("value", value.to_string().into())),
        Err(error) => drop(got.insert("error", error.to_string().into())),
    }
    got
}

#[test]
fn expressions_have_upstreams_values_errors_and_costs() {
    let env = Env::new(KubernetesVersion::V1_36).variable("self", Type::Dyn).variable("oldSelf", Type::Dyn);
    let library = Library::standard();
    let cases: Vec<serde_json::Value> = serde_json::from_str(include_str!("recorded.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let got = outcome(&env, &library, case);
        let expected: BTreeMap<&str, serde_json::Value> = ["cost", "value", "error", "program"]
            .into_iter()
            .filter_map(|name| Some((name, case.get(name)?.clone())))
            .collect();
        if got != expected {
            wrong.push(format!("{}\n  expected {expected:?}\n  got      {got:?}", case["expr"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
