//! ComponentStatuses: made when asked for, never stored.
//!
//! The scheduler and the controllers are tasks of the tenant, as this server is: they live and end with it. The store is
//! asked.

use std::sync::Arc;

use drydock_client::{ObjectList, Reply, Verb};
use drydock_machinery::{Object, ObjectMeta as _, Status, value};

use super::{Call, Done, Registry, Selection, verb_name};

const TASKS: [&str; 2] = ["scheduler", "controller-manager"];
const STORE: &str = "etcd-0";

impl Registry {
    pub(super) async fn call_components(&self, call: &Call) -> Result<Done, Status> {
        let reply = match call.request.verb {
            Verb::Get => {
                let all = self.components().await;
                let found = all.into_iter().find(|component| component.name() == call.request.name);
                Reply::Object(found.ok_or_else(|| call.not_found())?)
            }
            Verb::List => {
                let selection = Selection::new(&call.resource, &call.request)?;
                let mut items = self.components().await;
                items.retain(|component| selection.selects(component));
                Reply::List(ObjectList { items, ..ObjectList::default() })
            }
            verb => return Err(call.method_not_supported(verb_name(verb))),
        };
        Ok(Done::ok(reply))
    }

    async fn components(&self) -> Vec<Arc<Object>> {
        let store = self.cache.store().revision().await.err().map(|error| error.to_string());
        let tasks = TASKS.iter().map(|name| component(name, None));
        tasks.chain([component(STORE, store.as_deref())]).collect()
    }
}

fn component(name: &str, error: Option<&str>) -> Arc<Object> {
    let condition = match error {
        None => value!({"type": "Healthy", "status": "True", "message": "ok"}),
        Some(error) => value!({"type": "Healthy", "status": "False", "error": error}),
    };
    let object = value!({"apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": name},
        "conditions": [condition]});
    Arc::new(Object::new(object, 0))
}
