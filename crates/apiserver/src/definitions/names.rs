//! Which names a definition gets, whether its group was approved and whether it is established: upstream's naming, API
//! approval and establishing controllers.

use std::sync::Arc;

use drydock_machinery::crd::definition::approval_condition;
use drydock_machinery::{Object, ObjectMeta, Value, value};

/// The status that `definition` should have among `all`; None when it has it.
pub(super) fn decide(definition: &Object, all: &[Arc<Object>], now: &str) -> Option<Value> {
    if definition.is_deleting() {
        return None;
    }
    let taken = Taken::by_others(definition, all);
    let mut status = definition.get("status").cloned().unwrap_or_else(Value::object);
    let (accepted, conflict) = accept(definition, &taken);
    status.set(&["acceptedNames"], accepted);
    let conditions = status.at_mut(&["conditions"]);
    if let Some((value, reason, message)) = approval_condition(definition) {
        let kind = "KubernetesAPIApprovalPolicyConformant";
        set_condition(conditions, condition(kind, value, reason, &message, now));
    }
    let accepted_condition = match &conflict {
        None => condition("NamesAccepted", "True", "NoConflicts", "no conflicts found", now),
        Some((reason, message)) => condition("NamesAccepted", "False", reason, message, now),
    };
    set_condition(conditions, accepted_condition);
    // Once established, a definition stays so.
    let established = has_condition(conditions, "Established");
    if conflict.is_none() {
        let text = "the initial names have been accepted";
        set_condition(conditions, condition("Established", "True", "InitialNamesAccepted", text, now));
    } else if !established {
        let text = "not all names are accepted";
        set_condition(conditions, condition("Established", "False", "NotAccepted", text, now));
    }
    (definition.get("status") != Some(&status)).then_some(status)
}

/// Names that other definitions of the group have.
struct Taken {
    /// Plurals, singulars and short names share one space.
    resources: Vec<String>,
    /// Kinds and list kinds another.
    kinds: Vec<String>,
}

impl Taken {
    fn by_others(definition: &Object, all: &[Arc<Object>]) -> Self {
        let group = definition.str_at(&["spec", "group"]);
        let mut taken = Self { resources: Vec::new(), kinds: Vec::new() };
        let others = all
            .iter()
            .filter(|other| other.uid() != definition.uid() && other.str_at(&["spec", "group"]) == group);
        for other in others {
            let Some(names) = other.at(&["status", "acceptedNames"]) else { continue };
            for field in ["plural", "singular"] {
                taken.resources.push(names.str_at(&[field]).to_owned());
            }
            taken.resources.extend(texts(names, "shortNames"));
            for field in ["kind", "listKind"] {
                taken.kinds.push(names.str_at(&[field]).to_owned());
            }
        }
        taken
    }
}

/// The names that are free, beside those kept from before, and the last conflict.
fn accept(definition: &Object, taken: &Taken) -> (Value, Option<(&'static str, String)>) {
    let wanted = definition.at(&["spec", "names"]).cloned().unwrap_or_default();
    let mut accepted = definition.at(&["status", "acceptedNames"]).cloned().unwrap_or_else(Value::object);
    let mut conflict = None;
    let free = |names: &[String], name: &str| name.is_empty() || !names.iter().any(|known| known == name);
    let in_use = |name: &str| format!("{name:?} is already in use");
    for (field, reason) in [("plural", "PluralConflict"), ("singular", "SingularConflict")] {
        let name = wanted.str_at(&[field]);
        if free(&taken.resources, name) {
            accepted.set(&[field], name);
        } else {
            conflict = Some((reason, in_use(name)));
        }
    }
    let short = texts(&wanted, "shortNames");
    let used: Vec<String> =
        short.iter().filter(|name| !free(&taken.resources, name)).map(|name| in_use(name)).collect();
    match used.as_slice() {
        [] => put_list(&mut accepted, "shortNames", short),
        [one] => conflict = Some(("ShortNamesConflict", one.clone())),
        many => conflict = Some(("ShortNamesConflict", format!("[{}]", many.join(", ")))),
    }
    for (field, reason) in [("kind", "KindConflict"), ("listKind", "ListKindConflict")] {
        let name = wanted.str_at(&[field]);
        if free(&taken.kinds, name) {
            accepted.set(&[field], name);
        } else {
            conflict = Some((reason, in_use(name)));
        }
    }
    put_list(&mut accepted, "categories", texts(&wanted, "categories"));
    (accepted, conflict)
}

fn put_list(names: &mut Value, field: &str, list: Vec<String>) {
    if list.is_empty() {
        names.remove(&[field]);
    } else {
        names.set(&[field], list);
    }
}

fn texts(names: &Value, field: &str) -> Vec<String> {
    names.array_at(&[field]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn condition(kind: &str, status: &str, reason: &str, message: &str, now: &str) -> Value {
    value!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now})
}

fn has_condition(conditions: &Value, kind: &str) -> bool {
    conditions
        .as_array()
        .unwrap_or(&[])
        .iter()
        .any(|known| known.str_at(&["type"]) == kind && known.str_at(&["status"]) == "True")
}

/// Adds or replaces a condition; one whose status stays keeps its time.
pub(super) fn set_condition(conditions: &mut Value, mut condition: Value) {
    if !matches!(conditions, Value::Array(_)) {
        *conditions = Value::Array(Default::default());
    }
    let Some(list) = conditions.as_array_mut() else { return };
    let kind = condition.str_at(&["type"]).to_owned();
    let Some(at) = list.iter().position(|known| known.str_at(&["type"]) == kind) else {
        list.push(condition);
        return;
    };
    if list[at].str_at(&["status"]) == condition.str_at(&["status"]) {
        condition.set(&["lastTransitionTime"], list[at].str_at(&["lastTransitionTime"]));
    }
    if list[at] != condition {
        list.make_mut()[at] = condition;
    }
}
