//! Cluster roles with an aggregation rule hold the rules of all cluster roles that it selects.

use std::sync::Arc;

use drydock_client::resources::CLUSTER_ROLES;
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};

use crate::Context;

/// The field manager of what cluster roles with an aggregation rule hold.
pub const AGGREGATION_MANAGER: &str = "clusterrole-aggregation-controller";

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let roles = ctx.informers.informer(&CLUSTER_ROLES);
    // Any role may be selected by any aggregating one, so they are kept by name.
    roles.add_index("aggregating", |role| if is_aggregating(role) { vec!["yes".into()] } else { Vec::new() });
    let (to, all) = (queue.clone(), roles.clone());
    roles.on_change(move |change| {
        if is_aggregating(change.object()) {
            to.add_object(change.object());
        }
        if concerns_others(change) {
            for role in all.by_index("aggregating", "yes") {
                to.add_object(&role);
            }
        }
    });
    let tasks = ctx.tasks.clone();
    Controller::new("clusterrole-aggregation", queue).needs([roles.clone()]).start(&tasks, move |key| {
        let (ctx, roles) = (ctx.clone(), roles.clone());
        async move { sync(&ctx, &roles, &key).await }
    });
}

fn is_aggregating(role: &Value) -> bool {
    !role.array_at(&["aggregationRule", "clusterRoleSelectors"]).is_empty()
}

/// Whether the change may matter to roles that select this one: by its labels, or those that it had.
fn concerns_others(change: Change<'_>) -> bool {
    let role = change.object();
    let Some(old) = change.old() else { return !role.labels().is_empty() };
    let selectable = !role.labels().is_empty() || !old.labels().is_empty();
    selectable && (old.get("rules") != role.get("rules") || old.labels() != role.labels())
}

async fn sync(ctx: &Context, roles: &Informer, name: &Key) -> Result<(), Status> {
    let Some(role) = roles.get_key(name).filter(|role| is_aggregating(role)) else { return Ok(()) };
    let rules = aggregated(&role, &roles.list());
    if role.array_at(&["rules"]) == rules {
        return Ok(());
    }
    let mut applied = value!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role.name()},
    });
    applied.set(&["rules"], rules);
    ctx.client.apply(&CLUSTER_ROLES, AGGREGATION_MANAGER, applied).await.map(drop)
}

/// The rules of all selected roles, selector by selector, by name, each once.
fn aggregated(role: &Object, all: &[Arc<Object>]) -> Vec<Value> {
    let mut rules: Vec<Value> = Vec::new();
    for selector in role.array_at(&["aggregationRule", "clusterRoleSelectors"]) {
        let selector = crate::util::selector(Some(selector));
        for other in
            all.iter().filter(|other| other.name() != role.name() && selector.matches(other.labels()))
        {
            for rule in other.array_at(&["rules"]) {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_loses_its_only_label_concerns_those_that_selected_it() {
        let role =
            |labels: Value| Arc::new(Object::new(value!({"metadata": {"name": "r", "labels": labels}}), 1));
        let (labelled, bare) = (role(value!({"a": "b"})), role(value!({})));
        let updated = |old, new| concerns_others(Change::Updated { old, new });
        assert!(updated(&labelled, &bare));
        assert!(updated(&bare, &labelled));
        assert!(!updated(&labelled, &labelled));
        assert!(!concerns_others(Change::Added(&bare)));
    }
}
