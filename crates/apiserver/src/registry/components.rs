//! `componentstatuses`: the old way to ask how a cluster's parts are. They are one process, so who answers is well.

use std::sync::Arc;

use drydock_client::{ObjectList, Reply, Verb};
use drydock_machinery::{Object, Status, Value, value};

use super::{Call, Done, Registry, Selection, verb_name};

/// By the names that upstream gives them.
const COMPONENTS: [&str; 3] = ["controller-manager", "scheduler", "etcd-0"];

impl Registry {
    pub(crate) fn component_statuses(&self, call: &Call) -> Result<Done, Status> {
        match call.request.verb {
            Verb::Get => {
                let name = call.request.name.as_str();
                let found = COMPONENTS.iter().find(|own| **own == name);
                let found = found.ok_or_else(|| Status::not_found("", "componentstatus", name))?;
                Ok(Done::ok(Reply::Virtual(healthy(found))))
            }
            Verb::List => {
                let selection = Selection::new(&call.resource, &call.request)?;
                let items = COMPONENTS.iter().map(|name| healthy(name));
                let items = items.filter(|object| selection.selects(object));
                let items = items.map(|object| Arc::new(Object::new(object, 0))).collect();
                Ok(Done::ok(Reply::List(ObjectList { items, ..ObjectList::default() })))
            }
            verb => Err(call.method_not_supported(verb_name(verb))),
        }
    }
}

fn healthy(name: &str) -> Value {
    value!({
        "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name},
        "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
    })
}
