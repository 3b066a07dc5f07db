//! Who a request comes from.

use std::collections::BTreeMap;

use drydock_machinery::Value;
use drydock_machinery::names_validation::{is_dns1123_label, is_dns1123_subdomain};

/// Every authenticated user is in this group.
pub const GROUP_AUTHENTICATED: &str = "system:authenticated";
/// Every anonymous user is in this group.
pub const GROUP_UNAUTHENTICATED: &str = "system:unauthenticated";
/// May do everything, whatever RBAC says.
pub const GROUP_MASTERS: &str = "system:masters";
pub const GROUP_NODES: &str = "system:nodes";
pub const GROUP_SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
pub const USER_ANONYMOUS: &str = "system:anonymous";
pub const USER_SCHEDULER: &str = "system:kube-scheduler";
pub const USER_CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
pub const USER_API_SERVER: &str = "system:apiserver";
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
pub const NODE_PREFIX: &str = "system:node:";

/// `authentication.k8s.io/v1 UserInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        Self {
            name: name.into(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Self::default()
        }
    }

    pub fn anonymous() -> Self {
        Self::new(USER_ANONYMOUS, &[GROUP_UNAUTHENTICATED])
    }

    /// What the API server itself acts as: a member of `system:masters`.
    pub fn api_server() -> Self {
        Self::new(USER_API_SERVER, &[GROUP_AUTHENTICATED, GROUP_MASTERS])
    }

    /// A component that runs in process, such as [`USER_SCHEDULER`].
    pub fn component(name: &str) -> Self {
        Self::new(name, &[GROUP_AUTHENTICATED])
    }

    pub fn node(node: &str) -> Self {
        Self::new(format!("{NODE_PREFIX}{node}"), &[GROUP_NODES, GROUP_AUTHENTICATED])
    }

    /// A service account, without the token's uid and extra.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            name: format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
            groups: vec![
                GROUP_SERVICE_ACCOUNTS.to_owned(),
                format!("{GROUP_SERVICE_ACCOUNTS}:{namespace}"),
                GROUP_AUTHENTICATED.to_owned(),
            ],
            ..Self::default()
        }
    }

    pub fn is_in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Namespace and name, when this is a service account: both must be such as objects can have.
    pub fn as_service_account(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self.name.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
        let is_good = is_dns1123_label(namespace).is_empty() && is_dns1123_subdomain(name).is_empty();
        is_good.then_some((namespace, name))
    }

    /// The node's name, when this is a node: named so and in `system:nodes`.
    pub fn as_node(&self) -> Option<&str> {
        let node = self.name.strip_prefix(NODE_PREFIX)?;
        self.is_in_group(GROUP_NODES).then_some(node)
    }

    /// As in reviews and admission requests: empty fields are left out.
    pub fn to_value(&self) -> Value {
        let mut out = Value::object();
        if !self.name.is_empty() {
            out.set(&["username"], self.name.as_str());
        }
        if !self.uid.is_empty() {
            out.set(&["uid"], self.uid.as_str());
        }
        if !self.groups.is_empty() {
            out.set(&["groups"], self.groups.clone());
        }
        if !self.extra.is_empty() {
            let mut extra = Value::object();
            for (key, values) in &self.extra {
                extra.set(&[key], values.clone());
            }
            out.set(&["extra"], extra);
        }
        out
    }

    /// Reads what [`UserInfo::to_value`] writes; `name_field` is `username`, or `user` in access reviews.
    pub fn from_value(value: &Value, name_field: &str) -> Self {
        let texts = |list: &[Value]| list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Self {
            name: value.str_at(&[name_field]).to_owned(),
            uid: value.str_at(&["uid"]).to_owned(),
            groups: texts(value.array_at(&["groups"])),
            extra: value
                .object_at(&["extra"])
                .iter()
                .map(|(key, values)| (key.to_string(), texts(values.as_array().unwrap_or(&[]))))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_has_names_that_objects_can_have() {
        let of = |name: &str| {
            let user = UserInfo { name: name.to_owned(), ..UserInfo::default() };
            user.as_service_account().map(|(namespace, name)| format!("{namespace}/{name}"))
        };
        assert_eq!(of("system:serviceaccount:ns:a.b"), Some("ns/a.b".to_owned()));
        for other in
            ["ns:a", "system:serviceaccount:ns", "system:serviceaccount:ns:", "system:serviceaccount:ns:a:b"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(of("system:serviceaccount:n.s:a"), None);
        assert_eq!(of("system:serviceaccount:ns:A"), None);
    }
}
