//! Expressions: checked, estimated, evaluated. Evaluations end within their budget, the same way every time.
#![no_main]

use std::sync::LazyLock;

use drydock_cel::cost::{UnknownSizes, estimate};
use drydock_cel::declare::KubernetesVersion;
use drydock_cel::env::Env;
use drydock_cel::types::Type;
use drydock_cel::value::Value;
use drydock_cel::{Budget, EvalError, Program, Variables};
use drydock_machinery::cel::{from_json, library, to_json};
use libfuzzer_sys::fuzz_target;

static ENV: LazyLock<Env> = LazyLock::new(|| {
    Env::new(KubernetesVersion::V1_36)
        .variable("self", Type::Dyn)
        .variable("i", Type::Int)
        .variable("s", Type::String)
        .variable("l", Type::list(Type::Int))
        .json_patch()
});

static SELF: LazyLock<drydock_machinery::Value> = LazyLock::new(|| {
    drydock_machinery::value!({
        "a": {"b": 1, "c": [1, 2.5, "x", null, true]}, "name": "aé-b", "quantity": "1500m", "time": "2024-01-02T03:04:05Z",
        "url": "https://a.example:80/p?q=1", "ip": "fd00::1", "cidr": "10.0.0.0/8", "version": "1.2.3-rc.1+x",
    })
});

struct Given;

impl Variables for Given {
    fn variable(&self, name: &str) -> Option<Result<Value, EvalError>> {
        match name {
            "self" => Some(Ok(from_json(&SELF))),
            "i" => Some(Ok(Value::Int(3))),
            "s" => Some(Ok(Value::from("aé-b"))),
            "l" => Some(Ok(Value::list((0..20).map(Value::Int).collect()))),
            _ => None,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    // Two bytes say what the evaluation may cost.
    let Some((cost, text)) = data.split_first_chunk() else { return };
    let cost = u64::from(u16::from_le_bytes(*cost));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let checked = match ENV.compile(text) {
        Ok(checked) => checked,
        Err(issues) => return assert!(!issues.to_string().is_empty()),
    };
    let estimated = estimate(&checked, &UnknownSizes);
    assert!(estimated.min <= estimated.max, "{estimated:?}");
    let Ok(program) = Program::new(&checked, library()) else { return };
    let free = program.evaluate(&Given, Budget { cost: 100_000 });
    let tight = program.evaluate(&Given, Budget { cost });
    match tight.result {
        // Steps and memory run out at the same place, whatever the cost may be.
        Err(error) if error.is_fatal() => {
            let anyway = free.result.as_ref().is_err_and(EvalError::is_fatal);
            assert!(anyway || free.cost > cost, "{error}");
        }
        _ => assert!(tight.cost <= cost && tight.cost == free.cost, "{} and {}", tight.cost, free.cost),
    }
    if let Ok(value) = free.result {
        let _ = to_json(&value);
    }
});
