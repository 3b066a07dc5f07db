use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use drydock_machinery::selector::Selector;
use drydock_machinery::{GroupVersionResource, Object, ObjectMeta, Status, Value, value};
use drydock_runtime::Clock;
use futures::StreamExt;
use futures::channel::mpsc;
use parking_lot::Mutex;

use crate::{
    ApiResource, Client, ObjectList, Options, Reply, Request, Transport, Verb, WatchEvent, WatchStream,
};

/// The server. Clones share it.
#[derive(Clone)]
pub struct FakeServer {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    revision: u64,
    objects: BTreeMap<(GroupVersionResource, String), Arc<Object>>,
    history: Vec<(u64, GroupVersionResource, WatchEvent)>,
    watchers: Vec<Watcher>,
    resources: Vec<ApiResource>,
    /// Every write, as `create pods default/a`.
    log: Vec<String>,
}

struct Watcher {
    resource: GroupVersionResource,
    namespace: String,
    sender: mpsc::UnboundedSender<WatchEvent>,
}

impl FakeServer {
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::default() }
    }

    pub fn client(&self) -> Client {
        Client::new(Arc::new(self.clone()))
    }

    /// What discovery answers.
    pub fn serve(&self, resources: Vec<ApiResource>) {
        self.state.lock().resources = resources;
    }

    /// The writes so far, as `create pods default/a`.
    pub fn writes(&self) -> Vec<String> {
        self.state.lock().log.clone()
    }

    /// All objects of a resource, sorted by key.
    pub fn all(&self, resource: &GroupVersionResource) -> Vec<Arc<Object>> {
        let state = self.state.lock();
        state.objects.iter().filter(|((r, _), _)| r == resource).map(|(_, object)| object.clone()).collect()
    }

    /// Waits until `condition` holds; checked after each write.
    pub async fn until(&self, mut condition: impl FnMut(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                tokio::task::yield_now().await;
            }
        };
        assert!(
            drydock_runtime::wall::timeout(std::time::Duration::from_secs(10), wait).await.is_some(),
            "waited 10 s in vain; writes: {:#?}",
            self.writes()
        );
    }

    fn handle(&self, request: Request) -> Result<Reply, Status> {
        let mut state = self.state.lock();
        let key = object_key(&request.namespace, &request.name);
        let id = (request.resource.clone(), key);
        let missing =
            || Status::not_found(&request.resource.group, &request.resource.resource, &request.name);
        if request.verb == Verb::List {
            return Ok(Reply::List(state.list(&request)));
        }
        if request.verb == Verb::Create && request.subresource.is_empty() {
            return self.create(&mut state, request);
        }
        if request.verb == Verb::DeleteCollection {
            for object in state.list(&request).items {
                let id = (request.resource.clone(), object.key());
                self.delete(&mut state, &id, &object, &request);
            }
            return Ok(Reply::Virtual(value!({"kind": "Status", "apiVersion": "v1", "status": "Success"})));
        }
        let old = state.objects.get(&id).cloned().ok_or_else(missing)?;
        match request.verb {
            Verb::Get => Ok(Reply::Object(old)),
            Verb::Delete => {
                if request.options.preconditions.uid.as_ref().is_some_and(|uid| uid != old.uid()) {
                    let (group, resource) = (&request.resource.group, &request.resource.resource);
                    return Err(Status::conflict(group, resource, &request.name, "uid differs"));
                }
                Ok(Reply::Object(self.delete(&mut state, &id, &old, &request)))
            }
            Verb::Create if request.subresource == "binding" => {
                let mut new = old.value().clone();
                let target = request.body.as_ref().map_or("", |body| body.str_at(&["target", "name"]));
                new.set(&["spec", "nodeName"], target);
                set_condition(&mut new, "PodScheduled");
                Ok(Reply::Object(state.write(id, "bind", new)))
            }
            Verb::Create if request.subresource == "eviction" => {
                Ok(Reply::Object(self.delete(&mut state, &id, &old, &request)))
            }
            Verb::Create => Ok(Reply::Virtual(request.body.unwrap_or_default())),
            Verb::Update => {
                let body = request.body.clone().unwrap_or_default();
                let version = body.resource_version();
                if !version.is_empty() && version != old.resource_version() {
                    let (group, resource) = (&request.resource.group, &request.resource.resource);
                    let why = "the object has been modified; please apply your changes to the latest version \
                               and try again";
                    return Err(Status::conflict(group, resource, &request.name, why));
                }
                Ok(Reply::Object(self.replace(&mut state, id, &old, body, &request)))
            }
            _ => {
                let mut new = old.value().clone();
                merge(&mut new, request.body.as_ref().unwrap_or(&Value::Null));
                Ok(Reply::Object(self.replace(&mut state, id, &old, new, &request)))
            }
        }
    }

    fn create(&self, state: &mut State, request: Request) -> Result<Reply, Status> {
        let mut object = request.body.unwrap_or_default();
        if object.name().is_empty() {
            let name = format!("{}{:05x}", object.str_at(&["metadata", "generateName"]), state.revision + 1);
            object.set(&["metadata", "name"], name);
        }
        if !request.namespace.is_empty() {
            object.set(&["metadata", "namespace"], request.namespace.clone());
        }
        let id = (request.resource.clone(), object.key());
        if state.objects.contains_key(&id) {
            let (group, resource) = (&request.resource.group, &request.resource.resource);
            return Err(Status::already_exists(group, resource, object.name()));
        }
        object.set(&["metadata", "uid"], format!("uid-{}", state.revision + 1));
        object.set(&["metadata", "generation"], 1);
        object.set(&["metadata", "creationTimestamp"], self.clock.now_rfc3339());
        Ok(Reply::Object(state.write(id, "create", object)))
    }

    fn replace(
        &self,
        state: &mut State,
        id: (GroupVersionResource, String),
        old: &Arc<Object>,
        mut new: Value,
        request: &Request,
    ) -> Arc<Object> {
        if request.subresource == "status" {
            let status = new.remove(&["status"]);
            let annotations = new.at(&["metadata", "annotations"]).cloned();
            new = old.value().clone();
            if let Some(annotations) = annotations {
                new.set(&["metadata", "annotations"], annotations);
            }
            if let Some(status) = status {
                new.set(&["status"], status);
            }
        } else {
            if let Some(status) = old.get("status") {
                new.set(&["status"], status.clone());
            }
            let spec_changed = new.get("spec") != old.get("spec");
            new.set(&["metadata", "generation"], old.generation() + i64::from(spec_changed));
        }
        for field in ["uid", "creationTimestamp", "resourceVersion", "deletionTimestamp"] {
            if let Some(value) = old.at(&["metadata", field]) {
                new.set(&["metadata", field], value.clone());
            }
        }
        if new == *old.value() {
            return old.clone();
        }
        if request.subresource == "finalize" {
            return state.write(id, "finalize", new);
        }
        if new.is_deleting()
            && new.finalizers().next().is_none()
            && new.i64_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
        {
            return state.remove(&id, new);
        }
        let verb = if request.subresource.is_empty() { "update" } else { "status" };
        state.write(id, verb, new)
    }

    fn delete(
        &self,
        state: &mut State,
        id: &(GroupVersionResource, String),
        old: &Arc<Object>,
        request: &Request,
    ) -> Arc<Object> {
        let mut new = old.value().clone();
        let finalizer = match request.options.propagation_policy.as_deref() {
            Some("Foreground") => Some("foregroundDeletion"),
            Some("Orphan") => Some("orphan"),
            _ => None,
        };
        if let Some(finalizer) = finalizer
            && let Value::Array(finalizers) = ensure_array(new.at_mut(&["metadata", "finalizers"]))
            && !finalizers.contains(&Value::from(finalizer))
        {
            finalizers.push(Value::from(finalizer));
        }
        let bound_pod = id.0.resource == "pods" && !new.str_at(&["spec", "nodeName"]).is_empty();
        let grace = if bound_pod { request.options.grace_period_seconds.unwrap_or(30) } else { 0 };
        if new.finalizers().next().is_none() && grace == 0 {
            return state.remove(id, new);
        }
        if new.is_deleting() && request.options.grace_period_seconds.is_none() {
            return old.clone();
        }
        new.set(&["metadata", "deletionTimestamp"], self.clock.now_rfc3339());
        new.set(&["metadata", "deletionGracePeriodSeconds"], grace);
        state.write(id.clone(), "delete", new)
    }
}

impl State {
    fn write(&mut self, id: (GroupVersionResource, String), verb: &str, object: Value) -> Arc<Object> {
        self.revision += 1;
        self.log.push(format!("{verb} {} {}", id.0.resource, id.1));
        let object = Arc::new(Object::new(object, self.revision));
        let resource = id.0.clone();
        let event = match self.objects.insert(id, object.clone()) {
            Some(_) => WatchEvent::Modified(object.clone()),
            None => WatchEvent::Added(object.clone()),
        };
        self.publish(resource, event);
        object
    }

    fn remove(&mut self, id: &(GroupVersionResource, String), last: Value) -> Arc<Object> {
        self.revision += 1;
        self.log.push(format!("gone {} {}", id.0.resource, id.1));
        self.objects.remove(id);
        let object = Arc::new(Object::new(last, self.revision));
        self.publish(id.0.clone(), WatchEvent::Deleted(object.clone()));
        object
    }

    fn publish(&mut self, resource: GroupVersionResource, event: WatchEvent) {
        self.watchers.retain(|watcher| {
            if watcher.resource != resource || !in_namespace(&event, &watcher.namespace) {
                return !watcher.sender.is_closed();
            }
            watcher.sender.unbounded_send(event.clone()).is_ok()
        });
        self.history.push((self.revision, resource, event));
    }

    fn list(&self, request: &Request) -> ObjectList {
        let items = self.objects.iter().filter(|((resource, _), object)| {
            *resource == request.resource
                && (request.namespace.is_empty() || object.namespace() == request.namespace)
                && selected(object, &request.options)
        });
        ObjectList {
            items: items.map(|(_, object)| object.clone()).collect(),
            resource_version: self.revision.to_string(),
            ..ObjectList::default()
        }
    }
}

#[async_trait]
impl Transport for FakeServer {
    async fn call(&self, request: Request) -> Result<Reply, Status> {
        self.handle(request)
    }

    async fn watch(&self, request: Request) -> Result<WatchStream, Status> {
        let (sender, receiver) = mpsc::unbounded();
        let mut state = self.state.lock();
        let from: u64 = request.options.resource_version.parse().unwrap_or(state.revision);
        for (revision, resource, event) in &state.history {
            if *revision > from && *resource == request.resource && in_namespace(event, &request.namespace) {
                let _ = sender.unbounded_send(event.clone());
            }
        }
        state.watchers.push(Watcher { resource: request.resource, namespace: request.namespace, sender });
        Ok(receiver.boxed())
    }

    async fn discover(&self) -> Result<Vec<ApiResource>, Status> {
        Ok(self.state.lock().resources.clone())
    }
}

fn object_key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

fn in_namespace(event: &WatchEvent, namespace: &str) -> bool {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
            namespace.is_empty() || object.namespace() == namespace
        }
        _ => true,
    }
}

fn selected(object: &Object, options: &Options) -> bool {
    Selector::parse(&options.label_selector).is_ok_and(|selector| selector.matches(object.labels()))
}

fn set_condition(pod: &mut Value, kind: &str) {
    let conditions = ensure_array(pod.at_mut(&["status", "conditions"]));
    if let Value::Array(items) = conditions {
        items.retain(|condition| condition.str_at(&["type"]) != kind);
        items.push(value!({"type": kind, "status": "True"}));
    }
}

fn ensure_array(value: &mut Value) -> &mut Value {
    if !matches!(value, Value::Array(_)) {
        *value = Value::Array(Default::default());
    }
    value
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    for (key, value) in fields.iter() {
        let deletes = value.as_array().is_some_and(|items| items.iter().any(|i| i.get("$patch").is_some()));
        if value.is_null() || deletes {
            target.remove(&[key.as_str()]);
        } else {
            let place = target.at_mut(&[key.as_str()]);
            if key == "conditions" { merge_by_type(place, value) } else { merge(place, value) }
        }
    }
}

/// As a strategic merge treats conditions.
fn merge_by_type(target: &mut Value, patch: &Value) {
    let Value::Array(items) = ensure_array(target) else { return };
    for condition in patch.as_array().unwrap_or(&[]) {
        let kind = condition.str_at(&["type"]);
        match items.iter().position(|item| item.str_at(&["type"]) == kind) {
            Some(i) => merge(&mut items.make_mut()[i], condition),
            None => items.push(condition.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::CONFIG_MAPS;
    use crate::{SharedInformers, resources};
    use drydock_runtime::Tasks;

    fn config_map(name: &str) -> Value {
        value!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "d"}})
    }

    #[tokio::test]
    async fn an_informer_follows_what_is_written() {
        let server = FakeServer::new(Clock::real());
        let client = server.client();
        client.create(&CONFIG_MAPS, config_map("a")).await.unwrap();
        let tasks = Tasks::new("t", Clock::real());
        let informers = SharedInformers::new(client.clone(), tasks.clone());
        let maps = informers.informer(&CONFIG_MAPS);
        maps.add_index("name", |object| vec![object.name().into()]);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        maps.on_change(move |change| {
            let what = match change {
                Change::Added(_) => "added",
                Change::Updated { .. } => "updated",
                Change::Deleted(_) => "deleted",
            };
            log.lock().push(format!("{what} {}", change.object().name()));
        });
        informers.synced().await;
        let mut b = client.create(&CONFIG_MAPS, config_map("b")).await.unwrap().value().clone();
        b.set(&["data", "k"], "v");
        client.update(&CONFIG_MAPS, b).await.unwrap();
        client.delete(&CONFIG_MAPS, "d", "a", Default::default()).await.unwrap();
        server.until(|_| maps.len() == 1 && seen.lock().len() == 4).await;
        assert_eq!(*seen.lock(), ["added a", "added b", "updated b", "deleted a"]);
        assert_eq!(maps.by_index("name", "b").len(), 1);
        assert_eq!(maps.list_in("d").len(), 1);
        assert!(maps.list_in("e").is_empty());
        assert!(informers.started(&resources::PODS).is_none());
        tasks.close().await;
    }

    use crate::Change;
}
