//! Which bindings apply to a user: an index per scope.

use std::sync::Arc;

use drydock_machinery::{Object, ObjectMeta, Value};
use foldhash::HashMap;
use parking_lot::RwLock;

use super::{GROUP, NameField as _};
use crate::lookup::Reader;
use crate::user::{SERVICE_ACCOUNT_PREFIX, UserInfo};

/// The indexes that were asked for, by namespace; "" is the cluster's.
#[derive(Debug, Default)]
pub(super) struct BindingIndex {
    scopes: RwLock<HashMap<String, Arc<Scope>>>,
}

/// More namespaces than this are forgotten and indexed anew when asked for.
const MAX_SCOPES: usize = 4096;

#[derive(Debug)]
pub(super) struct Scope {
    version: u64,
    bindings: Vec<Binding>,
    /// Places in `bindings`, ascending. Service accounts are users here.
    users: HashMap<String, Vec<u32>>,
    groups: HashMap<String, Vec<u32>>,
}

#[derive(Debug)]
pub(super) struct Binding {
    pub(super) object: Arc<Object>,
}

impl BindingIndex {
    pub(super) fn of(&self, reader: &dyn Reader, namespace: &str) -> Arc<Scope> {
        let resource = if namespace.is_empty() { "clusterrolebindings" } else { "rolebindings" };
        // The version is read before the list, so an index is never taken for newer than it is.
        let version = reader.version(GROUP, resource);
        let known = self.scopes.read().get(namespace).cloned();
        if let Some(scope) = known.filter(|scope| scope.version == version) {
            return scope;
        }
        let objects = reader.list(GROUP, resource, namespace);
        let scope = Arc::new(Scope::new(version, objects));
        let mut scopes = self.scopes.write();
        if scopes.len() >= MAX_SCOPES {
            scopes.clear();
        }
        scopes.insert(namespace.to_owned(), scope.clone());
        scope
    }
}

impl Scope {
    fn new(version: u64, objects: Vec<Arc<Object>>) -> Self {
        let mut scope = Self {
            version,
            bindings: Vec::with_capacity(objects.len()),
            users: HashMap::default(),
            groups: HashMap::default(),
        };
        for object in objects {
            let place = scope.bindings.len() as u32;
            for subject in object.array_at(&["subjects"]) {
                let places = match subject.kind() {
                    "Group" => scope.groups.entry(subject.name_field().to_owned()).or_default(),
                    "User" => scope.users.entry(subject.name_field().to_owned()).or_default(),
                    "ServiceAccount" => match account_user(subject, &object) {
                        Some(user) => scope.users.entry(user).or_default(),
                        None => continue,
                    },
                    _ => continue,
                };
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
            scope.bindings.push(Binding { object });
        }
        scope
    }

    /// The bindings that apply to `user`, in the order of their names.
    pub(super) fn of_user<'a>(&'a self, user: &UserInfo) -> impl Iterator<Item = &'a Binding> {
        let mut places: Vec<u32> = Vec::new();
        places.extend(self.users.get(&user.name).into_iter().flatten());
        for group in &user.groups {
            places.extend(self.groups.get(group).into_iter().flatten());
        }
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| &self.bindings[place as usize])
    }
}

impl Binding {
    /// Why the user is allowed, in upstream's words.
    pub(super) fn describe(&self, user: &UserInfo) -> String {
        let object = &self.object;
        let subjects = object.array_at(&["subjects"]);
        let subject = subjects.iter().find(|subject| applies(subject, object, user));
        let subject = subject.map(describe_subject).unwrap_or_default();
        let name = match object.namespace() {
            "" => object.name().to_owned(),
            namespace => format!("{}/{namespace}", object.name()),
        };
        let kind = if object.namespace().is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let (role_kind, role) = (object.str_at(&["roleRef", "kind"]), object.str_at(&["roleRef", "name"]));
        format!("RBAC: allowed by {kind} {name:?} of {role_kind} {role:?} to {subject}")
    }
}

fn applies(subject: &Value, binding: &Object, user: &UserInfo) -> bool {
    match subject.kind() {
        "User" => user.name == subject.name_field(),
        "Group" => user.is_in_group(subject.name_field()),
        "ServiceAccount" => account_user(subject, binding).is_some_and(|name| name == user.name),
        _ => false,
    }
}

/// A service account without a namespace is in the binding's.
fn account_user(subject: &Value, binding: &Object) -> Option<String> {
    let namespace = match subject.str_at(&["namespace"]) {
        "" => binding.namespace(),
        namespace => namespace,
    };
    let name = subject.name_field();
    (!namespace.is_empty()).then(|| format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"))
}

fn describe_subject(subject: &Value) -> String {
    let (kind, name) = (subject.kind(), subject.name_field());
    match kind {
        "ServiceAccount" => format!("{kind} {:?}", format!("{name}/{}", subject.str_at(&["namespace"]))),
        _ => format!("{kind} {name:?}"),
    }
}
