//! What was chosen, as claims' statuses tell it.

use std::collections::HashSet;

use drydock_machinery::{Map, Object, ObjectMeta, Value, value};

use super::Devices;
use super::allocate::{Picked, Problem, Solution};
use super::request::{ClaimSpec, Request};
use super::slice::Reach;

/// The allocation of each claim.
pub(super) fn allocations(problem: Problem<'_>, solution: &Solution) -> Vec<Value> {
    let claims = problem.claims.iter().zip(&solution.devices).zip(&solution.chosen);
    claims.map(|((claim, picked), chosen)| allocation(problem, claim, picked, chosen)).collect()
}

fn allocation(problem: Problem<'_>, claim: &ClaimSpec, picked: &[Picked], chosen: &[usize]) -> Value {
    let requests: Vec<&Request> =
        claim.requests.iter().zip(chosen).map(|(alternatives, chosen)| &alternatives[*chosen]).collect();
    let mut allocation = Value::object();
    let results: Vec<Value> = picked.iter().map(|one| result(claim, one)).collect();
    if !results.is_empty() {
        allocation.set(&["devices", "results"], results);
    }
    let mut config = class_config(problem.devices, &requests);
    config.extend(claim_config(claim, &requests));
    if !config.is_empty() {
        allocation.set(&["devices", "config"], config);
    }
    if let Some(selector) = node_selector(picked, problem.node) {
        allocation.set(&["nodeSelector"], selector);
    }
    allocation
}

fn result(claim: &ClaimSpec, picked: &Picked) -> Value {
    let request = &claim.requests[picked.slot.request][picked.slot.alternative];
    let id = &picked.device.id;
    let mut result = value!({
        "request": request.full_name(), "driver": id.driver.as_str(), "pool": id.pool.as_str(),
        "device": id.device.as_str(),
    });
    if request.admin_access {
        result.set(&["adminAccess"], true);
    }
    if !request.tolerations.is_empty() {
        result.set(&["tolerations"], request.tolerations.clone());
    }
    let lists = [
        ("bindingConditions", &picked.device.conditions),
        ("bindingFailureConditions", &picked.device.failure_conditions),
    ];
    for (name, list) in lists {
        if let Some(list) = list {
            result.set(&[name], list.clone());
        }
    }
    if let Some(consumed) = &picked.consumed {
        result.set(&["shareID"], uuid::Uuid::new_v4().to_string());
        let amounts: Map = consumed.iter().map(|(name, amount)| (name.clone(), amount.into())).collect();
        if !amounts.is_empty() {
            result.set(&["consumedCapacity"], Value::Object(amounts));
        }
    }
    result
}

/// Each class's configuration once, for all requests of the class.
fn class_config(devices: &Devices, requests: &[&Request]) -> Vec<Value> {
    let mut seen = HashSet::new();
    let mut config = Vec::new();
    for request in requests.iter().filter(|request| seen.insert(&request.class)) {
        let same = requests.iter().filter(|other| other.class == request.class);
        let names: Vec<Value> = same.map(|other| Value::from(other.full_name())).collect();
        let class = devices.classes.get(request.class.as_str());
        for one in class.iter().flat_map(|class| class.array_at(&["spec", "config"])) {
            config.push(configuration("FromClass", names.clone(), one));
        }
    }
    config
}

fn claim_config(claim: &ClaimSpec, requests: &[&Request]) -> Vec<Value> {
    let mut config = Vec::new();
    for one in &claim.config {
        let names = one.array_at(&["requests"]);
        let names_it = |name: &str| names.iter().any(|one| one.as_str() == Some(name));
        let concerned = requests
            .iter()
            .filter(|request| names_it(request.base()) || names_it(&request.full_name()))
            .count();
        let times = if names.is_empty() { 1 } else { concerned };
        config.extend((0..times).map(|_| configuration("FromClaim", names.to_vec(), one)));
    }
    config
}

fn configuration(source: &str, requests: Vec<Value>, config: &Value) -> Value {
    let mut out = value!({"source": source});
    if !requests.is_empty() {
        out.set(&["requests"], requests);
    }
    if let Some(opaque) = config.get("opaque") {
        out.set(&["opaque"], opaque.clone());
    }
    out
}

/// Where all the devices can be reached; None when that is everywhere.
fn node_selector(picked: &[Picked], node: &Object) -> Option<Value> {
    let (mut fields, mut expressions) = (Vec::new(), Vec::new());
    for one in picked {
        let reach = match &one.device.slice.reach {
            Reach::PerDevice => &one.device.reach,
            reach => reach,
        };
        if one.device.binds_to_node || matches!(reach, Reach::Node(_)) {
            let field = value!({"key": "metadata.name", "operator": "In", "values": [node.name()]});
            return Some(value!({"nodeSelectorTerms": [{"matchFields": [field]}]}));
        }
        if let Reach::Nodes(selector) = reach {
            let term = selector.value.array_at(&["nodeSelectorTerms"]).first();
            for (list, name) in [(&mut fields, "matchFields"), (&mut expressions, "matchExpressions")] {
                let new = term.map_or(&[][..], |term| term.array_at(&[name]));
                for requirement in new {
                    if !list.iter().any(|known| same(known, requirement)) {
                        list.push(requirement.clone());
                    }
                }
            }
        }
    }
    let mut term = Value::object();
    for (list, name) in [(fields, "matchFields"), (expressions, "matchExpressions")] {
        if !list.is_empty() {
            term.set(&[name], list);
        }
    }
    (!term.object_at(&[]).is_empty()).then(|| value!({"nodeSelectorTerms": [term]}))
}

/// Whether two requirements say the same; values are in no order.
fn same(a: &Value, b: &Value) -> bool {
    let values = |of: &Value| -> HashSet<String> {
        of.array_at(&["values"]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    ["key", "operator"].iter().all(|field| a.str_at(&[field]) == b.str_at(&[field])) && values(a) == values(b)
}
