//! Role-based access control.
//!
//! Rules are read where they are, in the roles' objects; what is derived and kept is only an index from subjects to
//! bindings, per namespace, good for as long as [`Reader::version`] of the bindings stays. So a request costs a few
//! hash look-ups and as many rule matches as its user has rules.

mod cover;
mod escalation;
mod index;
mod rules;

pub use cover::{compact, uncovered};
pub use escalation::Escalation;
pub use rules::{rule_allows, rule_summary};

use drydock_machinery::{Object, ObjectMeta, Value, value};

use crate::attributes::{Attributes, Decision};
use crate::lookup::Reader;
use crate::user::UserInfo;
use index::{Binding, BindingIndex};

pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// Authorizes by roles and bindings.
#[derive(Debug, Default)]
pub struct Rbac {
    bindings: BindingIndex,
}

/// The rules that apply to a user, and what went wrong in finding them.
#[derive(Clone, Debug, Default)]
pub struct ResolvedRules {
    pub rules: Vec<Value>,
    /// Bindings to roles that do not exist.
    pub errors: Vec<String>,
}

impl Rbac {
    pub fn authorize(&self, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        let mut errors = Vec::new();
        let mut allowed = None;
        self.visit(reader, attributes.user, attributes.namespace, &mut |binding, role| {
            match role {
                Ok(role) if rules_of(role).iter().any(|rule| rule_allows(rule, attributes)) => {
                    allowed = Some(binding.describe(attributes.user));
                }
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
            allowed.is_none()
        });
        match allowed {
            Some(reason) => Decision::allow(reason),
            None if errors.is_empty() => Decision::no_opinion(""),
            None => Decision::no_opinion(format!("RBAC: {}", aggregate(&errors))),
        }
    }

    /// All rules that apply to `user` in `namespace` ("" for those that apply everywhere).
    pub fn resolve(&self, reader: &dyn Reader, user: &UserInfo, namespace: &str) -> ResolvedRules {
        let mut resolved = ResolvedRules::default();
        self.visit(reader, user, namespace, &mut |_, role| {
            match role {
                Ok(role) => resolved.rules.extend(rules_of(role).iter().cloned()),
                Err(error) => resolved.errors.push(error),
            }
            true
        });
        resolved
    }

    /// The `status` of a SelfSubjectRulesReview.
    pub fn rules_review(&self, reader: &dyn Reader, user: &UserInfo, namespace: &str) -> Value {
        let resolved = self.resolve(reader, user, namespace);
        let pick = |rule: &Value, fields: &[&str]| {
            let mut out = Value::object();
            for field in fields {
                if let Some(list) = rule.get(field) {
                    out.set(&[field], list.clone());
                }
            }
            out
        };
        let mut resources: Vec<Value> = Vec::new();
        let mut paths: Vec<Value> = Vec::new();
        for rule in &resolved.rules {
            if !rule.array_at(&["resources"]).is_empty() {
                resources.push(pick(rule, &["verbs", "apiGroups", "resources", "resourceNames"]));
            }
            if !rule.array_at(&["nonResourceURLs"]).is_empty() {
                paths.push(pick(rule, &["verbs", "nonResourceURLs"]));
            }
        }
        let mut status = value!({"incomplete": false});
        status.set(&["resourceRules"], resources);
        status.set(&["nonResourceRules"], paths);
        if !resolved.errors.is_empty() {
            status.set(&["evaluationError"], aggregate(&resolved.errors));
        }
        status
    }

    /// Calls `visit` with each binding of the user and the role it refers to, until it answers false: first bindings
    /// that apply everywhere, then the namespace's.
    fn visit(
        &self,
        reader: &dyn Reader,
        user: &UserInfo,
        namespace: &str,
        visit: &mut dyn FnMut(&Binding, Result<&Object, String>) -> bool,
    ) {
        for scope in ["", namespace] {
            let index = self.bindings.of(reader, scope);
            for binding in index.of_user(user) {
                let role = role(reader, binding.object.get("roleRef").unwrap_or(&Value::Null), scope);
                if !visit(binding, role.as_deref().map_err(Clone::clone)) {
                    return;
                }
            }
            if namespace.is_empty() {
                return;
            }
        }
    }
}

/// The role that `role_ref` names, or how it is missing.
pub(crate) fn role(
    reader: &dyn Reader,
    role_ref: &Value,
    namespace: &str,
) -> Result<std::sync::Arc<Object>, String> {
    let name = role_ref.name_field();
    let (resource, kind, namespace) = match role_ref.kind() {
        "ClusterRole" => ("clusterroles", "clusterrole", ""),
        "Role" => ("roles", "role", namespace),
        other => return Err(format!("unsupported role reference kind: {other:?}")),
    };
    reader.get(GROUP, resource, namespace, name).ok_or_else(|| format!("{kind}.{GROUP} {name:?} not found"))
}

trait NameField {
    fn name_field(&self) -> &str;
}

impl NameField for Value {
    /// The `name` of a reference or subject.
    fn name_field(&self) -> &str {
        self.str_at(&["name"])
    }
}

fn rules_of(role: &Object) -> &[Value] {
    role.array_at(&["rules"])
}

/// `utilerrors.Aggregate`.
pub(crate) fn aggregate(errors: &[String]) -> String {
    let mut texts: Vec<&str> = Vec::new();
    for error in errors {
        if !texts.contains(&error.as_str()) {
            texts.push(error);
        }
    }
    match texts.as_slice() {
        [one] => (*one).to_owned(),
        _ => format!("[{}]", texts.join(", ")),
    }
}

#[cfg(test)]
mod tests;
