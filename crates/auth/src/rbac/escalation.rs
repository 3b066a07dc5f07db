//! Nobody gives away rights that they do not hold: what writes of roles and bindings are checked for.

use drydock_machinery::{ObjectMeta, Status, Value, value};

use super::{GROUP, Rbac, aggregate, compact, role, rule_summary, uncovered};
use crate::attributes::{Ask, Attributes};
use crate::lookup::Reader;
use crate::user::UserInfo;

/// A write of a role or binding, and what decides it.
#[derive(Clone, Copy)]
pub struct Escalation<'a> {
    pub rbac: &'a Rbac,
    pub reader: &'a dyn Reader,
    /// The whole chain of authorizers: those who may `escalate` or `bind` are not checked further.
    pub authorize: &'a dyn Ask,
    pub user: &'a UserInfo,
    /// `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`.
    pub resource: &'a str,
    pub namespace: &'a str,
}

impl Escalation<'_> {
    /// Checks a role to be written; `old` is what it replaces.
    ///
    /// # Errors
    /// 403 with the rules that the user does not hold.
    pub async fn check_role(&self, object: &Value, old: Option<&Value>) -> Result<(), Status> {
        if self.is_exempt(object, old) {
            return Ok(());
        }
        let escalate = Attributes {
            name: object.name(),
            namespace: self.namespace,
            ..Attributes::resource(self.user, "escalate", GROUP, self.resource)
        };
        if self.authorize.ask(&escalate).await.is_allowed() {
            return Ok(());
        }
        self.confirm(object.array_at(&["rules"]))
            .map_err(|why| Status::forbidden(GROUP, self.resource, object.name(), &why))?;

        let aggregates =
            |role: &Value| !role.array_at(&["aggregationRule", "clusterRoleSelectors"]).is_empty();
        if aggregates(object) || old.is_some_and(aggregates) {
            let everything = [
                value!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}),
                value!({"nonResourceURLs": ["*"], "verbs": ["*"]}),
            ];
            self.confirm(&everything).map_err(|_| {
                let why = "must have cluster-admin privileges to use the aggregationRule";
                Status::forbidden(GROUP, self.resource, object.name(), why)
            })?;
        }
        Ok(())
    }

    /// Checks a binding to be written; `old` is what it replaces.
    ///
    /// # Errors
    /// 403 with the rules that the user does not hold, 404 when there is no such role.
    pub async fn check_binding(&self, object: &Value, old: Option<&Value>) -> Result<(), Status> {
        if self.is_exempt(object, old) {
            return Ok(());
        }
        let role_ref = object.get("roleRef").unwrap_or(&Value::Null);
        let resource = if role_ref.kind() == "ClusterRole" { "clusterroles" } else { "roles" };
        let name = role_ref.str_at(&["name"]);
        let bind = Attributes {
            name,
            namespace: self.namespace,
            ..Attributes::resource(self.user, "bind", GROUP, resource)
        };
        if self.authorize.ask(&bind).await.is_allowed() {
            return Ok(());
        }
        // Upstream names the resource that is written, not the role's.
        let role = role(self.reader, role_ref, self.namespace)
            .map_err(|_| Status::not_found(GROUP, self.resource, name))?;
        self.confirm(role.array_at(&["rules"]))
            .map_err(|why| Status::forbidden(GROUP, self.resource, object.name(), &why))
    }

    fn is_exempt(&self, object: &Value, old: Option<&Value>) -> bool {
        self.user.is_in_group(crate::user::GROUP_MASTERS) || old.is_some_and(|old| only_collects(object, old))
    }

    fn confirm(&self, rules: &[Value]) -> Result<(), String> {
        let held = self.rbac.resolve(self.reader, self.user, self.namespace);
        let missing = uncovered(&held.rules, rules);
        if missing.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<String> = compact(&missing).iter().map(rule_summary).collect();
        lines.sort();
        lines.dedup();
        let groups: Vec<String> = self.user.groups.iter().map(|group| format!("{group:?}")).collect();
        let mut text = format!(
            "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            self.user.name,
            groups.join(" "),
            lines.join("\n")
        );
        if !held.errors.is_empty() {
            text.push_str(&format!("; resolution errors: {}", aggregate(&held.errors)));
        }
        Err(text)
    }
}

/// Whether a write changes only what garbage collection needs to change. Everything else counts: a label gives a
/// role's rules to those that aggregate it.
fn only_collects(object: &Value, old: &Value) -> bool {
    let rest = |object: &Value| {
        let mut rest = object.clone();
        for field in ["ownerReferences", "finalizers", "selfLink", "managedFields"] {
            rest.remove(&["metadata", field]);
        }
        rest
    };
    rest(object) == rest(old)
}
