//! The chain of authorizers of an API server: `system:masters`, nodes, RBAC.

use drydock_machinery::Value;

use crate::attributes::{Attributes, Decision};
use crate::lookup::Reader;
use crate::node;
use crate::rbac::Rbac;
use crate::user::{GROUP_MASTERS, GROUP_NODES, UserInfo};

/// Says what users may do in one cluster.
#[derive(Debug, Default)]
pub struct Authorizer {
    rbac: Rbac,
    /// Paths that everyone may get, whoever they are. Ends in `*` for a prefix.
    always_allowed: Vec<String>,
}

impl Authorizer {
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everyone get these paths, as `--authorization-always-allow-paths` does.
    #[must_use]
    pub fn with_always_allowed(mut self, paths: impl IntoIterator<Item = String>) -> Self {
        self.always_allowed.extend(paths);
        self
    }

    pub fn rbac(&self) -> &Rbac {
        &self.rbac
    }

    pub fn authorize(&self, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        if self.is_privileged(attributes) {
            return Decision::allow("");
        }
        let of_node = self.of_node(reader, attributes);
        if of_node.is_allowed() {
            return of_node;
        }
        match self.rbac.authorize(reader, attributes) {
            Decision::NoOpinion { reason, evaluation_error } => {
                let reasons = [of_node.reason(), reason.as_str()];
                let reasons: Vec<&str> = reasons.into_iter().filter(|reason| !reason.is_empty()).collect();
                Decision::NoOpinion { reason: reasons.join("\n"), evaluation_error }
            }
            decided => decided,
        }
    }

    /// Whether the request is allowed whatever others say.
    pub fn is_privileged(&self, attributes: &Attributes<'_>) -> bool {
        attributes.user.is_in_group(GROUP_MASTERS) || self.is_always_allowed(attributes)
    }

    /// What the node authorizer alone says.
    pub fn of_node(&self, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        node::authorize(reader, attributes)
    }

    /// The `status` of a SelfSubjectRulesReview.
    pub fn rules(&self, reader: &dyn Reader, user: &UserInfo, namespace: &str) -> Value {
        let mut status = self.rbac.rules_review(reader, user, namespace);
        if user.is_in_group(GROUP_NODES) {
            status.set(&["incomplete"], true);
            status.set(&["evaluationError"], "node authorizer does not support user rule resolution");
        }
        status
    }

    fn is_always_allowed(&self, attributes: &Attributes<'_>) -> bool {
        !attributes.is_resource
            && self.always_allowed.iter().any(|allowed| match allowed.strip_suffix('*') {
                Some(prefix) => attributes.path.starts_with(prefix),
                None => attributes.path == allowed,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::testing::Objects;

    #[test]
    fn masters_may_everything_and_others_what_they_are_allowed() {
        let objects = Objects::default();
        let authorizer = Authorizer::new().with_always_allowed(["/healthz".to_owned()]);
        let masters = UserInfo::new("u", &["system:masters"]);
        let nobody = UserInfo::anonymous();
        let allowed = |attributes: Attributes<'_>| authorizer.authorize(&objects, &attributes).is_allowed();
        assert!(allowed(Attributes::resource(&masters, "delete", "", "namespaces")));
        assert!(allowed(Attributes::path(&nobody, "get", "/healthz")));
        assert!(!allowed(Attributes::path(&nobody, "get", "/healthz/x")));
    }
}
