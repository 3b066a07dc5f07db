//! Versions of built-in groups that upstream's server still can read, but serves no more. A client that sends one is
//! told that the versions do not match, not that there is no such kind.

use drydock_machinery::GroupVersionKind;

/// Group and version, for every kind of the group; a few kinds are newer than some of them.
const READABLE: [(&str, &str); 32] = [
    ("admissionregistration.k8s.io", "v1alpha1"),
    ("admissionregistration.k8s.io", "v1beta1"),
    ("apps", "v1beta1"),
    ("apps", "v1beta2"),
    ("authentication.k8s.io", "v1alpha1"),
    ("authentication.k8s.io", "v1beta1"),
    ("authorization.k8s.io", "v1beta1"),
    ("batch", "v1beta1"),
    ("certificates.k8s.io", "v1alpha1"),
    ("certificates.k8s.io", "v1beta1"),
    ("coordination.k8s.io", "v1alpha2"),
    ("coordination.k8s.io", "v1beta1"),
    ("discovery.k8s.io", "v1beta1"),
    ("events.k8s.io", "v1beta1"),
    ("extensions", "v1beta1"),
    ("flowcontrol.apiserver.k8s.io", "v1beta1"),
    ("flowcontrol.apiserver.k8s.io", "v1beta2"),
    ("flowcontrol.apiserver.k8s.io", "v1beta3"),
    ("networking.k8s.io", "v1beta1"),
    ("node.k8s.io", "v1beta1"),
    ("policy", "v1beta1"),
    ("rbac.authorization.k8s.io", "v1alpha1"),
    ("rbac.authorization.k8s.io", "v1beta1"),
    ("resource.k8s.io", "v1alpha3"),
    ("resource.k8s.io", "v1beta1"),
    ("resource.k8s.io", "v1beta2"),
    ("scheduling.k8s.io", "v1alpha2"),
    ("scheduling.k8s.io", "v1beta1"),
    ("storage.k8s.io", "v1alpha1"),
    ("storage.k8s.io", "v1beta1"),
    ("storagemigration.k8s.io", "v1beta1"),
    ("internal.apiserver.k8s.io", "v1alpha1"),
];

/// Whether `given` is another version of what `expected` is.
pub(crate) fn is_readable_as(given: &GroupVersionKind, expected: &GroupVersionKind) -> bool {
    let moved = matches!(
        (&*given.kind, &*expected.group),
        ("Deployment" | "DaemonSet" | "ReplicaSet", "apps")
            | ("Ingress" | "NetworkPolicy", "networking.k8s.io")
    );
    if &*given.kind == "Scale" && expected.kind == given.kind {
        return (&*given.group, &*given.version) == ("extensions", "v1beta1");
    }
    let is_group = given.group == expected.group || (&*given.group == "extensions" && moved);
    // Never had another version.
    let is_new = &*given.kind == "TokenRequest";
    given.kind == expected.kind && is_group && !is_new && READABLE.contains(&(&*given.group, &*given.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_of_the_kinds_that_they_became() {
        let check = |group, version, kind, now| {
            let given = GroupVersionKind::new(group, version, kind);
            is_readable_as(&given, &GroupVersionKind::new(now, "v1", kind))
        };
        assert!(check("apps", "v1beta2", "StatefulSet", "apps"));
        assert!(check("extensions", "v1beta1", "Ingress", "networking.k8s.io"));
        assert!(!check("extensions", "v1beta1", "StatefulSet", "apps"));
        assert!(!check("apps", "v9", "StatefulSet", "apps"));
    }
}
