//! The quality of service class of a pod.

use drydock_machinery::Value;
use drydock_machinery::quantity::Quantity;

use crate::shape::has;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(super) fn class(pod: &Value) -> &'static str {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    if has(spec, &["resources"]) {
        return of(&[spec]);
    }
    let lists = ["containers", "initContainers"].map(|field| spec.array_at(&[field]));
    of(&lists.into_iter().flatten().collect::<Vec<_>>())
}

fn of(holders: &[&Value]) -> &'static str {
    let amount = |holder: &Value, list: &str, name: &str| Quantity::of(holder.at(&["resources", list, name]));
    let mut any = false;
    let mut guaranteed = true;
    for holder in holders {
        for name in ["cpu", "memory"] {
            let (request, limit) = (amount(holder, "requests", name), amount(holder, "limits", name));
            any |= !request.is_zero() || !limit.is_zero();
            guaranteed &= !limit.is_zero() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
