//! Who may have what of devices: upstream's `pkg/registry/resource/utils.go`.
//!
//! Administrative access needs a label of the namespace. Of a claim's status, what it has been given and what its drivers
//! say need permissions of their own, over subresources that there are not: `binding` and `driver`.

use std::collections::{BTreeMap, BTreeSet};

use drydock_auth::{Ask as _, Attributes, Reader as _};
use drydock_machinery::names_validation::{NamePart, name_is_dns_subdomain};
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use super::{Call, Registry};

const GROUP: &str = "resource.k8s.io";
const ADMIN_LABEL: &str = "resource.kubernetes.io/admin-access";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// The first minor versions in which administrative access, and the permissions, are asked for.
const SINCE_ADMIN: u32 = 34;
const SINCE_PERMISSIONS: u32 = 36;

impl Registry {
    /// What forbids a claim or a template of claims that is new.
    pub(super) fn may_create_claim(&self, call: &Call, object: &Value) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let spec: &[&str] = match self.kind_of_claim(call) {
            Some("resourceclaims") => &["spec"],
            Some(_) => &["spec", "spec"],
            None => return errors,
        };
        let requests = object.at(spec).unwrap_or(&Value::Null).array_at(&["devices", "requests"]);
        let asks = |request: &Value| request.bool_at(&["exactly", "adminAccess"]);
        if let Some(i) = requests.iter().position(asks) {
            // Templates and claims are told the same.
            let path =
                ["devices", "requests"].iter().fold(FieldPath::new("spec"), |path, field| path.child(field));
            self.needs_admin_label(&mut errors, object.namespace(), &path.index(i).child("adminAccess"));
        }
        errors
    }

    /// What forbids a change of a claim's status.
    pub(super) async fn may_change_claim(&self, call: &Call, new: &Value, old: &Value) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if self.kind_of_claim(call) != Some("resourceclaims") || call.request.subresource != "status" {
            return errors;
        }
        let granted = |claim: &Value| {
            let results = claim.array_at(&["status", "allocation", "devices", "results"]);
            results.iter().position(|result| result.bool_at(&["adminAccess"]))
        };
        if let (None, Some(i)) = (granted(old), granted(new)) {
            let path = ["allocation", "devices", "results"]
                .iter()
                .fold(FieldPath::new("status"), |path, field| path.child(field));
            self.needs_admin_label(&mut errors, new.namespace(), &path.index(i).child("adminAccess"));
        }
        if self.minor_version >= SINCE_PERMISSIONS {
            self.may_bind(&mut errors, call, new, old).await;
            self.may_report(&mut errors, call, new, old).await;
        }
        errors
    }

    fn kind_of_claim<'a>(&self, call: &'a Call) -> Option<&'a str> {
        let gvr = &call.resource.gvr;
        let is_claim =
            gvr.group == GROUP && call.resource.custom.is_none() && self.minor_version >= SINCE_ADMIN;
        let kind = gvr.resource.as_ref();
        (is_claim && ["resourceclaims", "resourceclaimtemplates"].contains(&kind)).then_some(kind)
    }

    fn needs_admin_label(&self, errors: &mut FieldErrors, namespace: &str, path: &FieldPath) {
        match self.cache.get("", "namespaces", "", namespace) {
            None => errors.internal(
                path,
                format!(
                    "could not retrieve namespace to verify admin access: namespaces {namespace:?} not found"
                ),
            ),
            Some(found) if found.label(ADMIN_LABEL) == Some("true") => {}
            Some(_) => errors.forbidden(
                path,
                format!(
                    "admin access to devices requires the `{ADMIN_LABEL}: true` label on the containing namespace"
                ),
            ),
        }
    }

    /// `AuthorizedForBinding`: of the whole cluster, since who allocates does so for everybody.
    async fn may_bind(&self, errors: &mut FieldErrors, call: &Call, new: &Value, old: &Value) {
        let same = |field: &str| same(new.at(&["status", field]), old.at(&["status", field]));
        if same("allocation") && same("reservedFor") {
            return;
        }
        let verb = super::verb_name(call.request.verb);
        if let Err(why) = self.asked(call, verb, "binding", "", "").await {
            let path = FieldPath::new("status").child("allocation");
            errors.forbidden(
                &path,
                format!(
                    "changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", \
                     verb=\"{verb}\" permission: {why}"
                ),
            );
        }
    }

    /// `AuthorizedForDeviceStatus`: one driver's devices each, on the caller's own node or on any.
    async fn may_report(&self, errors: &mut FieldErrors, call: &Call, new: &Value, old: &Value) {
        let allocation = new.at(&["status", "allocation"]).filter(|allocation| !allocation.is_null());
        let Some(allocation) = allocation else { return };
        let verb = super::verb_name(call.request.verb);
        let mut verbs = Vec::new();
        if node_of(allocation).is_some_and(|node| is_on(call, node)) {
            verbs.push(format!("associated-node:{verb}"));
        }
        verbs.push(format!("arbitrary-node:{verb}"));
        for driver in changed_drivers(new, old) {
            let mut first = None;
            for verb in &verbs {
                match self.asked(call, verb, "driver", &call.request.namespace, driver).await {
                    Ok(()) => {
                        first = None;
                        break;
                    }
                    Err(why) => first = first.or(Some(why)),
                }
            }
            if let Some(why) = first {
                let verbs = verbs.join(" ");
                errors.forbidden(
                    &FieldPath::new("status").child("devices"),
                    format!(
                        "changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[{verbs}]\" \
                         permission: {why}"
                    ),
                );
            }
        }
    }

    /// Asks for a permission over a subresource that there is not.
    ///
    /// # Errors
    /// Why it is not given.
    async fn asked(
        &self,
        call: &Call,
        verb: &str,
        subresource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(), String> {
        let gvr = &call.resource.gvr;
        let attributes = Attributes {
            version: &gvr.version,
            subresource,
            namespace,
            name,
            ..Attributes::resource(&call.user, verb, &gvr.group, &gvr.resource)
        };
        self.ask(&attributes).await.into_result(&attributes).map_err(|status| status.message)
    }
}

/// Whether two parts of a status say the same: to Go, what is empty is as good as absent.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    let is_empty = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    };
    a == b || is_empty(a) && is_empty(b)
}

/// The drivers of entries that were added, removed or changed.
fn changed_drivers<'a>(new: &'a Value, old: &'a Value) -> BTreeSet<&'a str> {
    let key =
        |device: &'a Value| ["driver", "pool", "device", "shareID"].map(|field| device.str_at(&[field]));
    let devices = |claim: &'a Value| claim.array_at(&["status", "devices"]).iter();
    let mut before: BTreeMap<[&str; 4], &Value> = devices(old).map(|device| (key(device), device)).collect();
    let mut changed = BTreeSet::new();
    for device in devices(new) {
        if before.remove(&key(device)) != Some(device) {
            changed.insert(device.str_at(&["driver"]));
        }
    }
    changed.extend(before.into_keys().map(|[driver, ..]| driver));
    changed
}

/// The one node that an allocation is for, if it is for one.
fn node_of(allocation: &Value) -> Option<&str> {
    let [term] = allocation.array_at(&["nodeSelector", "nodeSelectorTerms"]) else { return None };
    let [field] = term.array_at(&["matchFields"]) else { return None };
    let [node] = field.array_at(&["values"]) else { return None };
    let names = field.str_at(&["key"]) == "metadata.name" && field.str_at(&["operator"]) == "In";
    node.as_str().filter(|_| names && term.array_at(&["matchExpressions"]).is_empty())
}

/// Whether the caller is a service account whose token was given to a pod on this node.
fn is_on(call: &Call, node: &str) -> bool {
    let nodes = call.user.extra.get(NODE_NAME).map_or(&[][..], Vec::as_slice);
    call.user.as_service_account().is_some()
        && matches!(nodes, [own] if own == node && name_is_dns_subdomain(own, NamePart::Whole).is_empty())
}
