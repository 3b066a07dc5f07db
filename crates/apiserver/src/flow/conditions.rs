//! The `Dangling` condition of FlowSchemas: whether the priority level that each names exists.

use std::sync::Arc;

use drydock_client::Client;
use drydock_machinery::{GroupVersionResource, Object, ObjectMeta as _, Value, value};

use super::Flow;
use crate::cache::ResourceCache;
use crate::server::Core;

const SCHEMAS: GroupVersionResource =
    GroupVersionResource::new("flowcontrol.apiserver.k8s.io", "v1", "flowschemas");
/// Who upstream's server is when it writes the condition.
pub const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";

impl Flow {
    /// Keeps the conditions right in a task. A new cluster's own schemas come with theirs.
    pub(crate) fn start(&self, core: &Arc<Core>, client: Client) {
        let (schemas, levels) = (self.schemas.clone(), self.levels.clone());
        let mut changes = (schemas.subscribe(), levels.subscribe());
        let clock = core.registry.clock.clone();
        let mut ready = core.ready.subscribe();
        core.tasks.spawn("flow-schema-conditions", async move {
            let _ = ready.wait_for(|ready| *ready).await;
            loop {
                changes.0.borrow_and_update();
                changes.1.borrow_and_update();
                let levels = objects(&levels);
                for schema in objects(&schemas) {
                    let exists = levels.iter().any(|level| level.name() == level_of(&schema));
                    if let Some(object) = with_condition(&schema, exists, &clock.now_rfc3339())
                        && let Err(error) = client.apply_status(&SCHEMAS, MANAGER, object).await
                        && !error.is_not_found()
                    {
                        tracing::debug!(%error, name = schema.name(), "the schema's condition was not written");
                    }
                }
                tokio::select! {
                    changed = changes.0.changed() => if changed.is_err() { return },
                    changed = changes.1.changed() => if changed.is_err() { return },
                }
            }
        });
    }
}

fn level_of(schema: &Object) -> &str {
    schema.str_at(&["spec", "priorityLevelConfiguration", "name"])
}

/// What is to be applied for the condition to be right; None when it is.
fn with_condition(schema: &Object, exists: bool, now: &str) -> Option<Value> {
    let level = level_of(schema);
    let named = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    let (status, reason, message) = if exists {
        ("False", "Found", format!("{named} and it exists"))
    } else {
        ("True", "NotFound", format!("{named} but there is no such object"))
    };
    let conditions = schema.array_at(&["status", "conditions"]);
    let is_right = |condition: &Value| {
        condition.str_at(&["type"]) == "Dangling"
            && condition.str_at(&["status"]) == status
            && condition.str_at(&["reason"]) == reason
            && condition.str_at(&["message"]) == message
    };
    if conditions.iter().any(is_right) {
        return None;
    }
    Some(value!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
        "metadata": {"name": schema.name(), "uid": schema.uid()},
        "status": {"conditions": [{"type": "Dangling", "status": status, "reason": reason, "message": message,
            "lastTransitionTime": now}]}}))
}

fn objects(cache: &ResourceCache) -> Vec<Arc<Object>> {
    cache.snapshot().objects.iter().map(|(_, object)| object.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: Value) -> Arc<Object> {
        Arc::new(Object::new(json, 1))
    }

    #[test]
    fn a_condition_that_is_right_is_left_alone() {
        let mut schema = value!({"metadata": {"name": "a", "uid": "a-uid"},
            "spec": {"priorityLevelConfiguration": {"name": "small"}}});
        let new = with_condition(&object(schema.clone()), false, "now").unwrap();
        assert_eq!(new.str_at(&["metadata", "uid"]), "a-uid");
        schema.set(&["status"], new.get("status").cloned().unwrap());
        assert_eq!(with_condition(&object(schema.clone()), false, "later"), None);
        let found = with_condition(&object(schema), true, "later").unwrap();
        let condition = &found.array_at(&["status", "conditions"])[0];
        assert_eq!(condition.str_at(&["reason"]), "Found");
    }
}
