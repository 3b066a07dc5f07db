//! What kubelets may do: what their own node and the pods on it need, and nothing else.
//!
//! Relations (pod on node, secret of pod, volume of claim) are looked up in the watch cache when asked for.

use drydock_machinery::{Object, ObjectMeta, Value};

use crate::attributes::{Attributes, Decision};
use crate::bootstrap::policy;
use crate::lookup::Reader;
use crate::rbac::rule_allows;

const MIRROR: &str = "kubernetes.io/config.mirror";

/// The node authorizer's opinion. It has one only of users in `system:nodes`.
pub(crate) fn authorize(reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
    let node = match attributes.user.as_node() {
        None => return Decision::no_opinion(""),
        Some("") => {
            return Decision::no_opinion(format!("unknown node for user {:?}", attributes.user.name));
        }
        Some(node) => node,
    };
    let decided = match (attributes.is_resource, attributes.group, attributes.resource) {
        (true, "", "secrets" | "configmaps") => read_namespaced(reader, node, attributes),
        (true, "", "persistentvolumeclaims") if attributes.subresource == "status" => {
            require(matches!(attributes.verb, "update" | "patch"), "can only get/update/patch this type")
                .and_then(|()| related(reader, node, attributes))
        }
        (true, "", "persistentvolumeclaims" | "persistentvolumes")
        | (true, "storage.k8s.io", "volumeattachments")
        | (true, "resource.k8s.io", "resourceclaims") => get_one(reader, node, attributes),
        (true, "", "serviceaccounts") => service_account(reader, node, attributes),
        (true, "", "nodes") => own_node(node, attributes),
        (true, "", "pods") => pods(reader, node, attributes),
        (true, "resource.k8s.io", "resourceslices") => resource_slice(reader, node, attributes),
        (true, "coordination.k8s.io", "leases") => lease(node, attributes),
        (true, "storage.k8s.io", "csinodes") => csi_node(node, attributes),
        _ => require(node_rules().iter().any(|rule| rule_allows(rule, attributes)), ""),
    };
    match decided {
        Ok(()) => Decision::allow(""),
        Err(reason) => Decision::no_opinion(reason),
    }
}

type Decided = Result<(), String>;

fn require(holds: bool, reason: &str) -> Decided {
    if holds { Ok(()) } else { Err(reason.to_owned()) }
}

fn node_rules() -> &'static [Value] {
    let role =
        policy().iter().find(|object| object.resource == "clusterroles" && object.name == "system:node");
    role.map_or(&[], |role| role.object.array_at(&["rules"]))
}

fn read_namespaced(reader: &dyn Reader, node: &str, attributes: &Attributes<'_>) -> Decided {
    require(attributes.is_read_only(), "can only read resources of this type")?;
    require(attributes.subresource.is_empty(), "cannot read subresource")?;
    require(!attributes.namespace.is_empty(), "can only read namespaced object of this type")?;
    related(reader, node, attributes)
}

fn get_one(reader: &dyn Reader, node: &str, attributes: &Attributes<'_>) -> Decided {
    require(attributes.verb == "get", "can only get individual resources of this type")?;
    require(attributes.subresource.is_empty(), "cannot get subresource")?;
    related(reader, node, attributes)
}

fn service_account(reader: &dyn Reader, node: &str, attributes: &Attributes<'_>) -> Decided {
    if attributes.verb == "get" && attributes.subresource.is_empty() {
        return related(reader, node, attributes);
    }
    let creates_one = attributes.verb == "create" && !attributes.name.is_empty();
    require(creates_one, "can only create tokens for individual service accounts")?;
    require(attributes.subresource == "token", "can only create token subresource of serviceaccount")?;
    related(reader, node, attributes)
}

/// Creating and changing nodes is for the NodeRestriction admission plugin to judge, which sees the object.
fn own_node(node: &str, attributes: &Attributes<'_>) -> Decided {
    match (attributes.subresource, attributes.verb) {
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        ("", "get" | "list" | "watch") => {
            let name = if attributes.name.is_empty() {
                selected(attributes.field_selector, "metadata.name").unwrap_or("")
            } else {
                attributes.name
            };
            match name {
                "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
                name if name == node => Ok(()),
                name => Err(format!("node '{node}' cannot read '{name}', only its own Node object")),
            }
        }
        _ => Err(String::new()),
    }
}

fn pods(reader: &dyn Reader, node: &str, attributes: &Attributes<'_>) -> Decided {
    match (attributes.subresource, attributes.verb) {
        ("", "get") => related(reader, node, attributes),
        ("", "list" | "watch") if selected(attributes.field_selector, "spec.nodeName") == Some(node) => {
            Ok(())
        }
        ("", "list" | "watch") if !attributes.name.is_empty() => related(reader, node, attributes),
        ("", "list" | "watch") => {
            Err("can only list/watch pods with spec.nodeName field selector".to_owned())
        }
        ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
        _ => Err(String::new()),
    }
}

fn lease(node: &str, attributes: &Attributes<'_>) -> Decided {
    const NAMESPACE: &str = "kube-node-lease";
    require(
        matches!(attributes.verb, "get" | "create" | "update" | "patch" | "delete"),
        "can only get, create, update, patch, or delete a node lease",
    )?;
    if attributes.namespace != NAMESPACE {
        return Err(format!("can only access leases in the {NAMESPACE:?} system namespace"));
    }
    require(
        attributes.verb == "create" || attributes.name == node,
        "can only access node lease with the same name as the requesting node",
    )
}

fn csi_node(node: &str, attributes: &Attributes<'_>) -> Decided {
    require(
        matches!(attributes.verb, "get" | "create" | "update" | "patch" | "delete"),
        "can only get, create, update, patch, or delete a CSINode",
    )?;
    require(attributes.subresource.is_empty(), "cannot authorize CSINode subresources")?;
    require(
        attributes.verb == "create" || attributes.name == node,
        "can only access CSINode with the same name as the requesting node",
    )
}

fn resource_slice(reader: &dyn Reader, node: &str, attributes: &Attributes<'_>) -> Decided {
    require(attributes.subresource.is_empty(), "cannot authorize ResourceSlice subresources")?;
    match attributes.verb {
        "create" => Ok(()),
        "get" | "update" | "patch" | "delete" => related(reader, node, attributes),
        "watch" | "list" | "deletecollection" => require(
            selected(attributes.field_selector, "spec.nodeName") == Some(node),
            "can only list/watch/deletecollection resourceslices with nodeName field selector",
        ),
        _ => Err("only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, \
                  delete, deletecollection"
            .to_owned()),
    }
}

/// What a field selector requires `field` to be.
fn selected<'a>(selector: &'a str, field: &str) -> Option<&'a str> {
    selector.split(',').find_map(|term| {
        let rest = term.strip_prefix(field)?;
        rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))
    })
}

fn related(reader: &dyn Reader, node: &str, attributes: &Attributes<'_>) -> Decided {
    if attributes.name.is_empty() {
        return Err("No Object name found".to_owned());
    }
    let is_related = is_related(reader, node, attributes.resource, attributes.namespace, attributes.name);
    if is_related {
        Ok(())
    } else {
        Err(format!("no relationship found between node '{node}' and this object"))
    }
}

fn is_related(reader: &dyn Reader, node: &str, resource: &str, namespace: &str, name: &str) -> bool {
    let on_node = |pod: &Object| pod.str_at(&["spec", "nodeName"]) == node;
    match resource {
        "pods" => reader.get("", "pods", namespace, name).is_some_and(|pod| on_node(&pod)),
        "resourceslices" => reader
            .get("resource.k8s.io", "resourceslices", "", name)
            .is_some_and(|slice| slice.str_at(&["spec", "nodeName"]) == node),
        "volumeattachments" => reader
            .get("storage.k8s.io", "volumeattachments", "", name)
            .is_some_and(|attachment| attachment.str_at(&["spec", "nodeName"]) == node),
        "persistentvolumes" => reader.get("", "persistentvolumes", "", name).is_some_and(|volume| {
            let claim = |field: &str| volume.str_at(&["spec", "claimRef", field]);
            is_related(reader, node, "persistentvolumeclaims", claim("namespace"), claim("name"))
        }),
        _ => {
            // What a node's own mirror pods refer to is not shown to it: it makes them itself.
            let is_users = |pod: &Object| on_node(pod) && pod.annotation(MIRROR).is_none();
            let pods = reader.list("", "pods", namespace);
            pods.iter().any(|pod| is_users(pod) && pod_uses(pod, resource, name))
                || resource == "secrets" && is_volumes_secret(reader, node, namespace, name)
        }
    }
}

/// Whether a volume whose claim a pod on the node uses needs the secret there.
fn is_volumes_secret(reader: &dyn Reader, node: &str, namespace: &str, name: &str) -> bool {
    reader.list("", "persistentvolumes", "").iter().any(|volume| {
        let Some(claim) = volume.at(&["spec", "claimRef"]).filter(|claim| !claim.is_null()) else {
            return false;
        };
        let (claim_namespace, claim) = (claim.str_at(&["namespace"]), claim.str_at(&["name"]));
        volume_needs(volume, claim_namespace, (namespace, name))
            && is_related(reader, node, "persistentvolumeclaims", claim_namespace, claim)
    })
}

/// Whether kubelets need the secret for a persistent volume. References of old volumes say no namespace: it is the
/// claim's.
fn volume_needs<'a>(volume: &'a Object, claim_namespace: &'a str, secret: (&str, &str)) -> bool {
    let spec = |path: &[&str]| volume.get("spec").map_or("", |spec| spec.str_at(path));
    let in_claims = |namespace: &'a str| if namespace.is_empty() { claim_namespace } else { namespace };
    let azure = (in_claims(spec(&["azureFile", "secretNamespace"])), spec(&["azureFile", "secretName"]));
    let of_claim = ["cephfs", "flexVolume", "rbd", "scaleIO", "iscsi"].map(|source| {
        let part = |field| spec(&[source, "secretRef", field]);
        (in_claims(part("namespace")), part("name"))
    });
    let named = [
        ["cinder", "secretRef"],
        ["storageos", "secretRef"],
        ["csi", "nodePublishSecretRef"],
        ["csi", "nodeStageSecretRef"],
        ["csi", "nodeExpandSecretRef"],
    ]
    .map(|[source, reference]| {
        let part = |field| spec(&[source, reference, field]);
        (part("namespace"), part("name"))
    });
    of_claim.into_iter().chain(named).chain([azure]).any(|found| found == secret)
}

fn pod_uses(pod: &Object, resource: &str, name: &str) -> bool {
    let spec = |field: &str| pod.array_at(&["spec", field]);
    let volumes = spec("volumes");
    match resource {
        "serviceaccounts" => pod.str_at(&["spec", "serviceAccountName"]) == name,
        "persistentvolumeclaims" => volumes.iter().any(|volume| {
            volume.str_at(&["persistentVolumeClaim", "claimName"]) == name
                || volume.get("ephemeral").is_some()
                    && name.strip_prefix(pod.name()).and_then(|rest| rest.strip_prefix('-'))
                        == Some(volume.str_at(&["name"]))
        }),
        "resourceclaims" => {
            let in_spec = spec("resourceClaims").iter();
            let in_status = pod.array_at(&["status", "resourceClaimStatuses"]).iter();
            let extended = pod.str_at(&["status", "extendedResourceClaimStatus", "resourceClaimName"]);
            extended == name
                || in_spec.chain(in_status).any(|claim| claim.str_at(&["resourceClaimName"]) == name)
        }
        _ => {
            let containers = ["containers", "initContainers", "ephemeralContainers"];
            let is_pull_secret = resource == "secrets"
                && spec("imagePullSecrets").iter().any(|secret| secret.str_at(&["name"]) == name);
            is_pull_secret
                || volumes.iter().any(|volume| volume_uses(volume, resource, name))
                || containers
                    .iter()
                    .flat_map(|list| spec(list))
                    .any(|container| container_uses(container, resource, name))
        }
    }
}

fn volume_uses(volume: &Value, resource: &str, name: &str) -> bool {
    let projected = volume.array_at(&["projected", "sources"]);
    if resource == "configmaps" {
        return volume.str_at(&["configMap", "name"]) == name
            || projected.iter().any(|source| source.str_at(&["configMap", "name"]) == name);
    }
    volume.str_at(&["secret", "secretName"]) == name
        || projected.iter().any(|source| source.str_at(&["secret", "name"]) == name)
        || volume.str_at(&["csi", "nodePublishSecretRef", "name"]) == name
        // Volume drivers built into old kubelets: ceph, rbd, flex, iSCSI, storage OS, Azure files.
        || volume.as_object().is_some_and(|sources| {
            sources.values().any(|source| {
                source.str_at(&["secretRef", "name"]) == name || source.str_at(&["secretName"]) == name
            })
        })
}

fn container_uses(container: &Value, resource: &str, name: &str) -> bool {
    let (key_ref, source_ref) = if resource == "configmaps" {
        ("configMapKeyRef", "configMapRef")
    } else {
        ("secretKeyRef", "secretRef")
    };
    container.array_at(&["env"]).iter().any(|env| env.str_at(&["valueFrom", key_ref, "name"]) == name)
        || container.array_at(&["envFrom"]).iter().any(|env| env.str_at(&[source_ref, "name"]) == name)
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;
    use crate::lookup::testing::Objects;
    use crate::user::UserInfo;

    #[test]
    fn who_is_no_node_is_not_judged() {
        let reason = |name: &str| {
            let user = UserInfo::new(name, &["system:nodes"]);
            authorize(&Objects::default(), &Attributes::resource(&user, "list", "", "pods"))
        };
        assert_eq!(reason("n1"), Decision::no_opinion(""));
        assert_eq!(reason("system:node:"), Decision::no_opinion("unknown node for user \"system:node:\""));
    }

    #[test]
    fn a_node_reads_what_its_pods_use() {
        let mut objects = Objects::default();
        objects.put(
            "pods",
            value!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {
                "nodeName": "n1", "serviceAccountName": "sa",
                "containers": [{"name": "a", "envFrom": [{"configMapRef": {"name": "c"}}]}],
                "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
            }}),
        );
        let check =
            |node: &str, verb: &str, resource: &str, subresource: &str, name: &str, reason: Option<&str>| {
                let user = UserInfo::node(node);
                let request = Attributes {
                    namespace: "ns",
                    name,
                    subresource,
                    ..Attributes::resource(&user, verb, "", resource)
                };
                let expected = reason.map_or_else(|| Decision::allow(""), Decision::no_opinion);
                assert_eq!(authorize(&objects, &request), expected, "{verb} {resource} {name}");
            };
        let unrelated = Some("no relationship found between node 'n2' and this object");
        check("n1", "get", "secrets", "", "s", None);
        check("n2", "get", "secrets", "", "s", unrelated);
        check("n1", "get", "configmaps", "", "c", None);
        check(
            "n1",
            "get",
            "secrets",
            "",
            "c",
            Some("no relationship found between node 'n1' and this object"),
        );
        check("n1", "update", "secrets", "", "s", Some("can only read resources of this type"));
        check("n1", "create", "serviceaccounts", "token", "sa", None);
        check("n2", "create", "serviceaccounts", "token", "sa", unrelated);
        check("n1", "get", "nodes", "", "n2", Some("node 'n1' cannot read 'n2', only its own Node object"));
        check("n1", "list", "services", "", "", None);
        check(
            "n1",
            "list",
            "pods",
            "",
            "",
            Some("can only list/watch pods with spec.nodeName field selector"),
        );
    }

    #[test]
    fn mirror_pods_show_a_node_nothing() {
        let mut objects = Objects::default();
        let mut pod = value!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {
            "nodeName": "n1", "volumes": [{"name": "v", "secret": {"secretName": "s"}}]}});
        objects.put("pods", pod.clone());
        assert!(is_related(&objects, "n1", "secrets", "ns", "s"));
        pod.set(&["metadata", "annotations", MIRROR], "hash");
        objects.put("pods", pod);
        assert!(!is_related(&objects, "n1", "secrets", "ns", "s"));
        assert!(is_related(&objects, "n1", "pods", "ns", "p"));
    }

    #[test]
    fn a_node_reads_the_secrets_of_its_pods_volumes() {
        let mut objects = Objects::default();
        objects.put(
            "pods",
            value!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {
                "nodeName": "n1", "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}}),
        );
        let reference = |name: &str| value!({"namespace": "storage", "name": name});
        objects.put(
            "persistentvolumes",
            value!({"metadata": {"name": "pv"}, "spec": {
                "claimRef": {"namespace": "ns", "name": "c"},
                "csi": {"nodeStageSecretRef": reference("stage"), "controllerExpandSecretRef": reference("expand")},
            }}),
        );
        assert!(is_related(&objects, "n1", "secrets", "storage", "stage"));
        assert!(!is_related(&objects, "n2", "secrets", "storage", "stage"));
        assert!(!is_related(&objects, "n1", "secrets", "storage", "expand"));
    }
}
