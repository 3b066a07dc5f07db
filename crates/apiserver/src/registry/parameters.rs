//! Whoever writes an admission policy or its binding must be able to read its parameters: upstream's
//! `pkg/registry/admissionregistration/*/authz.go`.

use drydock_auth::{Ask as _, Attributes, Reader as _, UserInfo};
use drydock_machinery::{FieldErrors, FieldPath, GroupVersionKind, Value};

use super::{Call, Registry};

const GROUP: &str = "admissionregistration.k8s.io";

/// What a policy's parameters are, as far as that is known: "*" stands for all.
struct Parameters {
    group: String,
    version: String,
    resource: String,
    /// The kind is known, but not which resource it is of.
    is_unresolved: bool,
}

impl Registry {
    /// What forbids the use of parameters, by an object with which nothing else is wrong.
    pub(super) async fn may_use_parameters(
        &self,
        call: &Call,
        object: &Value,
        old: Option<&Value>,
    ) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let gvr = &call.resource.gvr;
        let is_ours =
            gvr.group == GROUP && call.resource.custom.is_none() && call.request.subresource.is_empty();
        if !is_ours || call.user.groups.iter().any(|group| group == "system:masters") {
            return errors;
        }
        let (field, why) = match &*gvr.resource {
            "validatingadmissionpolicies" | "mutatingadmissionpolicies" => {
                ("paramKind", self.of_policy(call, object, old).await)
            }
            "validatingadmissionpolicybindings" => {
                ("paramRef", self.of_binding(call, object, "validatingadmissionpolicies").await)
            }
            "mutatingadmissionpolicybindings" => {
                ("paramRef", self.of_binding(call, object, "mutatingadmissionpolicies").await)
            }
            _ => return errors,
        };
        if let Some(why) = why {
            errors.forbidden(&FieldPath::new("spec").child(field), why);
        }
        errors
    }

    async fn of_policy(&self, call: &Call, policy: &Value, old: Option<&Value>) -> Option<String> {
        let at = &["spec", "paramKind"];
        let kind = policy.at(at).filter(|kind| !kind.is_null())?;
        if old.is_some_and(|old| old.at(at) == Some(kind)) {
            return None;
        }
        let parameters = self.parameters(Some(kind));
        if self.may_read(call, "get", "*", "*", &parameters).await {
            return None;
        }
        Some(format!(
            "user {} must have \"get\" permission on all objects of the referenced paramKind (kind={}, apiVersion={})",
            shown(&call.user),
            kind.str_at(&["kind"]),
            kind.str_at(&["apiVersion"])
        ))
    }

    /// Upstream compares references by address, so that an update always is a change.
    async fn of_binding(&self, call: &Call, binding: &Value, policies: &str) -> Option<String> {
        let reference = binding.at(&["spec", "paramRef"]).filter(|reference| !reference.is_null())?;
        let policy_name = binding.str_at(&["spec", "policyName"]);
        let policy = self.cache.get(GROUP, policies, "", policy_name);
        let kind = policy.as_ref().and_then(|policy| policy.at(&["spec", "paramKind"]));
        let parameters = self.parameters(kind.filter(|kind| !kind.is_null()));
        let name = reference.str_at(&["name"]);
        let verb = if name.is_empty() { "list" } else { "get" };
        if self.may_read(call, verb, reference.str_at(&["namespace"]), name, &parameters).await {
            return None;
        }
        let user = shown(&call.user);
        let all = "permission for all groups, versions and resources";
        Some(match (&policy, kind) {
            (None, _) => format!(
                "unable to get policy {policy_name} to determine minimum required permissions and user {user} does not \
                 have \"{verb}\" {all}"
            ),
            (Some(_), Some(kind)) if parameters.is_unresolved => format!(
                "unable to resolve paramKind &{{{} {}}} to determine minimum required permissions and user {user} does \
                 not have \"{verb}\" {all}",
                kind.str_at(&["apiVersion"]),
                kind.str_at(&["kind"])
            ),
            // Upstream has it the wrong way round here.
            _ if policies == "mutatingadmissionpolicies" => {
                format!(
                    "user {verb} does not have \"{user}\" permission on the object referenced by paramRef"
                )
            }
            _ => format!(
                "user {user} does not have \"{verb}\" permission on the object referenced by paramRef"
            ),
        })
    }

    fn parameters(&self, kind: Option<&Value>) -> Parameters {
        let any = || "*".to_owned();
        let Some(kind) = kind else {
            return Parameters { group: any(), version: any(), resource: any(), is_unresolved: false };
        };
        let kind = GroupVersionKind::from_api_version(kind.str_at(&["apiVersion"]), kind.str_at(&["kind"]));
        let found = self.resources.table().find_kind(&kind.group, &kind.version, &kind.kind).cloned();
        Parameters {
            group: kind.group.to_string(),
            version: kind.version.to_string(),
            is_unresolved: found.is_none(),
            resource: found.map_or_else(any, |resource| resource.gvr.resource.to_string()),
        }
    }

    async fn may_read(
        &self,
        call: &Call,
        verb: &str,
        namespace: &str,
        name: &str,
        parameters: &Parameters,
    ) -> bool {
        let attributes = Attributes {
            version: &parameters.version,
            namespace,
            name,
            ..Attributes::resource(&call.user, verb, &parameters.group, &parameters.resource)
        };
        self.ask(&attributes).await.is_allowed()
    }
}

/// A user as Go prints one.
fn shown(user: &UserInfo) -> String {
    let extra: Vec<String> =
        user.extra.iter().map(|(key, values)| format!("{key}:[{}]", values.join(" "))).collect();
    format!("&{{{} {} [{}] map[{}]}}", user.name, user.uid, user.groups.join(" "), extra.join(" "))
}
