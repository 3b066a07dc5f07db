//! Whatever expression: evaluating it ends, and its cost stays within its budget.

use drydock_cel::declare::KubernetesVersion;
use drydock_cel::env::Env;
use drydock_cel::library::Library;
use drydock_cel::types::Type;
use drydock_cel::value::Value;
use drydock_cel::{Budget, EvalError, Program, Variables};
use proptest::prelude::*;

struct Given;

impl Variables for Given {
    fn variable(&self, name: &str) -> Option<Result<Value, EvalError>> {
        let list = || Value::list((0..20).map(Value::Int).collect());
        match name {
            "i" => Some(Ok(Value::Int(3))),
            "s" => Some(Ok(Value::from("aé-b"))),
            "l" => Some(Ok(list())),
            "d" => Some(Ok(Value::list(vec![list(), Value::from("x"), Value::Null]))),
            _ => None,
        }
    }
}

fn env() -> Env {
    Env::new(KubernetesVersion::V1_36)
        .variable("i", Type::Int)
        .variable("s", Type::String)
        .variable("l", Type::list(Type::Int))
        .variable("d", Type::Dyn)
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("i".to_owned()),
        Just("s".to_owned()),
        Just("l".to_owned()),
        Just("d".to_owned()),
        Just("null".to_owned()),
        Just("dyn(1u)".to_owned()),
        Just("dyn(1.5)".to_owned()),
        prop_oneof![-3_i64..30, Just(i64::MAX), Just(i64::MIN + 1)].prop_map(|i| format!("dyn({i})")),
        "[a-z%.é]{0,4}".prop_map(|text| format!("dyn('{text}')")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let unary = prop::sample::select(vec![
            "!dyn(#)",
            "-dyn(#)",
            "size(dyn(#))",
            "string(dyn(#))",
            "int(dyn(#))",
            "dyn(#).trim()",
            "dyn(#).sort()",
            "dyn(#).distinct()",
            "dyn(#).reverse()",
            "dyn(#).sum()",
            "dyn(#).max()",
            "has(dyn(#).a)",
            "[#, #]",
            "dyn(#).getHours()",
            "timestamp(dyn(#))",
            "duration(dyn(#))",
            "optional.of(#)",
            "{'k': #}.?k",
            "lists.range(dyn(#))",
            "dyn(#).flatten()",
            "type(#)",
            "'%s %d'.format([#, #])",
            "url(dyn(#))",
            "ip(dyn(#))",
            "cidr(dyn(#))",
            "semver(dyn(#))",
        ]);
        let binary = prop::sample::select(vec![
            "dyn(#) + dyn(@)",
            "dyn(#) - dyn(@)",
            "dyn(#) * dyn(@)",
            "dyn(#) / dyn(@)",
            "dyn(#) % dyn(@)",
            "dyn(#) == dyn(@)",
            "dyn(#) < dyn(@)",
            "dyn(#) in dyn(@)",
            "dyn(#)[dyn(@)]",
            "dyn(#) && dyn(@)",
            "dyn(#) || dyn(@)",
            "dyn(#).all(x, x == @)",
            "dyn(#).map(x, @)",
            "dyn(#).map(x, [x, x] + [x])",
            "dyn(#).filter(x, dyn(@))",
            "dyn(#).replace(dyn(@), 'yy')",
            "dyn(#).split(dyn(@))",
            "dyn(#).matches(dyn(@))",
            "dyn(#).indexOf(dyn(@))",
            "dyn(#).lastIndexOf(dyn(@), 2)",
            "dyn(#).substring(dyn(@))",
            "dyn(#).charAt(dyn(@))",
            "dyn(#).transformMap(k, v, @)",
            "dyn(#).exists_one(x, dyn(@))",
            "dyn(#).findAll(dyn(@))",
            "sets.contains(dyn(#), dyn(@))",
            "dyn(#).join(dyn(@))",
            "dyn(#).sortBy(x, dyn(@))",
            "dyn(#).orValue(@)",
            "dyn(#).slice(0, dyn(@))",
        ]);
        prop_oneof![
            (unary, inner.clone()).prop_map(|(shape, a)| shape.replace('#', &a)),
            (binary, inner.clone(), inner).prop_map(|(shape, a, b)| shape.replace('#', &a).replace('@', &b)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn evaluations_end_within_their_budget(text in expression(), cost in 0_u64..3000) {
        let library = Library::standard();
        if let Ok(checked) = env().compile(&text)
            && let Ok(program) = Program::new(&checked, &library)
        {
            let free = program.evaluate(&Given, Budget::default());
            let tight = program.evaluate(&Given, Budget { cost });
            match tight.result {
                // Steps and memory run out at the same place, whatever the cost may be.
                Err(error) if error.is_fatal() => {
                    let anyway = free.result.is_err_and(|error| error.is_fatal());
                    prop_assert!(anyway || free.cost > cost, "{text}");
                }
                _ => prop_assert!(tight.cost <= cost && tight.cost == free.cost, "{text}"),
            }
        }
    }
}

#[test]
fn growth_that_costs_little_is_stopped() {
    let library = Library::standard();
    let doubled = format!("[l]{}.size() > 0", ".map(x, x + x)".repeat(40));
    let replaced = "['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'].map(x, x.replace('a', x)).map(x, x.replace('a', x)).map(x, x.replace('a', x)).map(x, x.replace('a', x)).size() > 0";
    let looped = "lists.range(100000).exists_one(x, lists.range(100000).exists_one(y, false))";
    let compared = "lists.range(70000).map(x, l) == lists.range(70000).map(x, l)";
    for text in [&doubled, replaced, looped, compared] {
        let checked = env().compile(text).unwrap_or_else(|issues| panic!("{issues}"));
        let program = Program::new(&checked, &library).unwrap();
        let error = program.evaluate(&Given, Budget::default()).result.unwrap_err();
        assert!(error.is_fatal(), "{text}: {error}");
    }
}
