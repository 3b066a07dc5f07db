//! Strategic merge patches of conditions that keep their order, as Go's clients make them.

use drydock_machinery::{Value, value};

/// `status` of a patch that sets `conditions` by their type: those that `object` has stay where they are, others follow.
pub fn status_with_conditions(object: &Value, conditions: Vec<Value>) -> Value {
    let has = object.array_at(&["status", "conditions"]).iter();
    let mut order: Vec<&str> = has.map(|condition| condition.str_at(&["type"])).collect();
    for condition in &conditions {
        if !order.contains(&condition.str_at(&["type"])) {
            order.push(condition.str_at(&["type"]));
        }
    }
    let order: Vec<Value> = order.into_iter().map(|kind| value!({"type": kind})).collect();
    let mut status = Value::object();
    status.set(&["$setElementOrder/conditions"], order);
    status.set(&["conditions"], conditions);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_keep_their_places() {
        let pod = value!({"status": {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "True"}]}});
        let one = |kind: &str| value!({"type": kind, "status": "False"});
        let status = status_with_conditions(&pod, vec![one("C"), one("A")]);
        let order = value!([{"type": "A"}, {"type": "B"}, {"type": "C"}]);
        assert_eq!(status.get("$setElementOrder/conditions"), Some(&order));
    }
}
