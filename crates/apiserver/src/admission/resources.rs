//! What a pod asks for in all, as upstream's `component-helpers/resource` adds it up.

use std::collections::BTreeMap;

use drydock_machinery::Value;
use drydock_machinery::quantity::Quantity;

/// Amounts by resource name.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// Reads a ResourceList. What is malformed was refused before, or will be.
pub(super) fn amounts(list: Option<&Value>) -> Amounts {
    let Some(list) = list.and_then(Value::as_object) else { return Amounts::new() };
    list.iter().map(|(name, amount)| (name.to_string(), Quantity::of(Some(amount)))).collect()
}

/// `requests` or `limits`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Requests,
    Limits,
}

impl Side {
    fn field(self) -> &'static str {
        if self == Self::Requests { "requests" } else { "limits" }
    }
}

pub(super) fn of_container(container: &Value, side: Side) -> Amounts {
    amounts(container.at(&["resources", side.field()]))
}

/// The sum over containers, or what the init containers need at their peak if that is more; sidecars count in both.
/// Amounts given for the pod as a whole stand for themselves, and the overhead comes on top.
pub(super) fn of_pod(pod: &Value, side: Side) -> Amounts {
    let mut sum = Amounts::new();
    for container in pod.array_at(&["spec", "containers"]) {
        add(&mut sum, &of_container(container, side));
    }
    let mut sidecars = Amounts::new();
    let mut peak = Amounts::new();
    for container in pod.array_at(&["spec", "initContainers"]) {
        let own = of_container(container, side);
        if container.str_at(&["restartPolicy"]) == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            raise(&mut peak, &sidecars);
        } else {
            let mut with_sidecars = sidecars.clone();
            add(&mut with_sidecars, &own);
            raise(&mut peak, &with_sidecars);
        }
    }
    raise(&mut sum, &peak);
    for (name, amount) in amounts(pod.at(&["spec", "resources", side.field()])) {
        sum.insert(name, amount);
    }
    for (name, amount) in amounts(pod.at(&["spec", "overhead"])) {
        // Overhead makes no limit where there is none.
        if side == Side::Requests || sum.contains_key(&name) {
            add(&mut sum, &Amounts::from([(name, amount)]));
        }
    }
    sum
}

pub(super) fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        match sum.get_mut(name) {
            Some(own) => *own += amount,
            None => {
                sum.insert(name.clone(), amount.clone());
            }
        }
    }
}

fn raise(to: &mut Amounts, at_least: &Amounts) {
    for (name, amount) in at_least {
        if to.get(name).is_none_or(|own| own < amount) {
            to.insert(name.clone(), amount.clone());
        }
    }
}

/// Whether no container asks for or is limited in CPU or memory: `BestEffort`.
pub(super) fn is_best_effort(pod: &Value) -> bool {
    let containers = ["containers", "initContainers"];
    let none = |holder: &Value| {
        [Side::Requests, Side::Limits].into_iter().all(|side| {
            let own = of_container(holder, side);
            ["cpu", "memory"].iter().all(|name| own.get(*name).is_none_or(Quantity::is_zero))
        })
    };
    containers.iter().flat_map(|list| pod.array_at(&["spec", list])).all(none)
        && pod.get("spec").is_none_or(none)
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn init_containers_count_at_their_peak_and_sidecars_always() {
        let cpu = |amount: &str| value!({"requests": {"cpu": amount}});
        let pod = value!({"spec": {
            "initContainers": [
                {"name": "side", "restartPolicy": "Always", "resources": cpu("100m")},
                {"name": "big", "resources": cpu("900m")},
            ],
            "containers": [{"name": "a", "resources": cpu("300m")}, {"name": "b", "resources": cpu("200m")}],
            "overhead": {"cpu": "50m"},
        }});
        assert_eq!(of_pod(&pod, Side::Requests)["cpu"], Quantity::from_milli(1050));
        assert!(of_pod(&pod, Side::Limits).is_empty());
        assert!(!is_best_effort(&pod));
        assert!(is_best_effort(&value!({"spec": {"containers": [{"name": "a"}]}})));
    }
}
