//! What is said to whoever writes an object that is let pass.

use crate::common::{Kind, context, created, stored, updated};
use drydock_kinds::strategy;
use drydock_machinery::{Value, value};

fn on_create(kind: Kind, object: &Value) -> Vec<String> {
    strategy(kind.0, kind.2).warnings_on_create(&context(""), &created(kind, object))
}

fn on_update(kind: Kind, subresource: &str, old: &Value, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let new = updated(kind, subresource, old, change);
    strategy(kind.0, kind.2).warnings_on_update(&context(subresource), &new, old)
}

/// As the registry counts.
fn bump(object: &mut Value) {
    object.set(&["metadata", "generation"], 2);
}

const NONE: [&str; 0] = [];

fn template() -> Value {
    value!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}],
        "terminationGracePeriodSeconds": -1}})
}

const GRACE: &str = "spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1";

#[test]
fn a_stateful_sets_history_and_claims() {
    let kind = ("apps", "v1", "statefulsets");
    let set = value!({"metadata": {"name": "s", "namespace": "ns"}, "spec": {"revisionHistoryLimit": -1,
        "selector": {"matchLabels": {"a": "b"}}, "template": template(),
        "volumeClaimTemplates": [{"metadata": {"name": "c"},
            "spec": {"resources": {"requests": {"storage": "100m"}}}}]}});
    let history = "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended";
    let claim = |at: &str| {
        format!(
            "spec.volumeClaimTemplates[0]{at}.resources.requests[storage]: fractional byte value \"100m\" is invalid, must be an integer"
        )
    };
    assert_eq!(on_create(kind, &set), [GRACE, &claim(""), history]);
    let old = stored(kind, &set);
    assert_eq!(on_update(kind, "", &old, |_| {}), [&claim(".Spec"), history]);
    assert_eq!(on_update(kind, "status", &old, bump), NONE);
}

#[test]
fn a_daemon_sets_template_is_warned_of_when_it_changes() {
    let kind = ("apps", "v1", "daemonsets");
    let set = value!({"metadata": {"name": "s", "namespace": "ns"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template()}});
    let old = created(kind, &set);
    let other = on_update(kind, "", &old, |set| {
        set.set(&["spec", "minReadySeconds"], 1);
        bump(set);
    });
    assert_eq!(other, NONE);
    let changed = |set: &mut Value| set.set(&["spec", "template", "metadata", "labels", "c"], "d");
    assert_eq!(on_update(kind, "", &old, changed), [GRACE]);
}

#[test]
fn a_cron_jobs_schedule_with_a_zone() {
    let kind = ("batch", "v1", "cronjobs");
    let job = value!({"metadata": {"name": "c.d", "namespace": "ns"}, "spec": {"schedule": "TZ=UTC 0 0 * * *",
        "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}}}});
    let name = "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]";
    assert_eq!(on_create(kind, &job), [name]);
    let zone = "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
    assert_eq!(on_update(kind, "", &stored(kind, &job), |_| {}), [zone]);
}

#[test]
fn a_job_of_too_many_indexes() {
    let kind = ("batch", "v1", "jobs");
    let job = value!({"metadata": {"name": "j", "namespace": "ns"}, "spec": {"completionMode": "Indexed",
        "completions": 100_001, "parallelism": 10_001, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let text = "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail";
    assert_eq!(on_create(kind, &job), [text]);
}

#[test]
fn addresses_in_a_status() {
    let pod = stored(("", "v1", "pods"), &value!({"metadata": {"name": "p"}, "spec": {"containers": []}}));
    let ips = |pod: &mut Value| pod.set(&["status", "podIPs"], value!([{"ip": "FD00::1"}]));
    let text = |at: &str| {
        format!("{at}: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format (\"fd00::1\")")
    };
    assert_eq!(on_update(("", "v1", "pods"), "status", &pod, ips), [text("status.podIPs[0].ip")]);
    for kind in [("", "v1", "services"), ("networking.k8s.io", "v1", "ingresses")] {
        let old = stored(kind, &value!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer"}}));
        let ips = |object: &mut Value| {
            object
                .set(&["status", "loadBalancer", "ingress"], value!([{"ip": "FD00::1"}, {"hostname": "h"}]));
        };
        assert_eq!(on_update(kind, "status", &old, ips), [text("status.loadBalancer.ingress[0]")]);
    }
}

#[test]
fn a_pod_is_warned_of_when_it_is_new() {
    let pod = value!({"metadata": {"name": "p.q"}, "spec": template().get("spec").unwrap().clone()});
    assert_eq!(on_create(("", "v1", "pods"), &pod).len(), 1);
    let old = stored(("", "v1", "pods"), &pod);
    let change = |pod: &mut Value| pod.set(&["spec", "activeDeadlineSeconds"], 5);
    assert_eq!(on_update(("", "v1", "pods"), "", &old, change), NONE);
}

#[test]
fn controllers_endpoints_are_theirs() {
    let kind = ("discovery.k8s.io", "v1", "endpointslices");
    let mut slice = value!({"metadata": {"name": "s", "namespace": "ns"}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["010.0.0.1"]}]});
    assert_eq!(on_create(kind, &slice).len(), 1);
    let label = "endpointslice.kubernetes.io/managed-by";
    slice.set(&["metadata", "labels", label], "endpointslice-controller.k8s.io");
    assert_eq!(on_create(kind, &slice), NONE);
    let named = stored(kind, &value!({"metadata": {"name": "s"}, "addressType": "FQDN", "endpoints": []}));
    assert_eq!(on_create(kind, &named), ["spec.addressType: FQDN endpoints are deprecated"]);
    assert_eq!(on_update(kind, "", &named, |_| {}), NONE);
}

#[test]
fn requests_of_a_quota_above_its_limits() {
    let kind = ("", "v1", "resourcequotas");
    let quota = |hard: Value| value!({"metadata": {"name": "q", "namespace": "ns"}, "spec": {"hard": hard}});
    let text = "ResourceQuota cpu (2) should be less than limits.cpu (1)";
    assert_eq!(on_create(kind, &quota(value!({"cpu": "2", "limits.cpu": "1"}))), [text]);
    let text = "ResourceQuota requests.memory (2Gi) should be less than limits.memory (1Gi)";
    let hard = value!({"memory": "1", "requests.memory": "2Gi", "limits.memory": "1Gi"});
    assert_eq!(on_create(kind, &quota(hard.clone())), [text]);
    assert_eq!(on_update(kind, "", &stored(kind, &quota(hard)), |_| {}), NONE);
}

#[test]
fn a_node_with_networks() {
    let node = value!({"metadata": {"name": "n"}, "spec": {"podCIDRs": ["FD00::/8"], "externalID": "x"}});
    let warnings = on_create(("", "v1", "nodes"), &node);
    let expected = [
        "spec.externalID: this field is deprecated, and is unused by Kubernetes",
        "spec.podCIDRs[0]: IPv6 CIDR value \"FD00::/8\" should be in RFC 5952 canonical format (\"fd00::/8\")",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn a_class_annotation_beside_the_field_is_not_deprecated() {
    let kind = ("networking.k8s.io", "v1", "ingresses");
    let mut ingress = value!({"metadata": {"name": "i", "annotations": {"kubernetes.io/ingress.class": "a"}},
        "spec": {"defaultBackend": {"resource": {"kind": "K", "name": "n"}}}});
    assert_eq!(on_create(kind, &ingress).len(), 1);
    ingress.set(&["spec", "ingressClassName"], "a");
    assert_eq!(on_create(kind, &ingress), NONE);
}

#[test]
fn device_drivers_have_small_letters() {
    let kind = ("resource.k8s.io", "v1", "resourceslices");
    let slice = value!({"metadata": {"name": "s"}, "spec": {"driver": "A.example.com"}});
    let text =
        "spec.driver: driver names should be lowercase; \"A.example.com\" contains uppercase characters";
    assert_eq!(on_create(kind, &slice), [text]);
    assert_eq!(on_update(kind, "", &stored(kind, &slice), |_| {}), [text]);
}

#[test]
fn names_of_static_configurations_are_reserved() {
    let kind = ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
    let named = |name: &str| value!({"metadata": {"name": name}});
    assert_eq!(on_create(kind, &named("a")), NONE);
    let expected = "metadata.name: names ending with \".static.k8s.io\" are reserved for static manifest-based configurations and cannot be managed via the API";
    assert_eq!(on_create(kind, &named("a.static.k8s.io")), [expected]);
    assert_eq!(on_update(kind, "", &stored(kind, &named("a.static.k8s.io")), bump), [expected]);
}

#[test]
fn a_claims_class_in_an_annotation() {
    let claim = value!({
        "metadata": {"name": "c", "namespace": "ns", "annotations": {"volume.beta.kubernetes.io/storage-class": "s"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let text = "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead";
    assert_eq!(on_create(("", "v1", "persistentvolumeclaims"), &claim), [text]);
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_warned_of() {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
    let secret = |certificate: &str, key: &str| {
        on_create(
            ("", "v1", "secrets"),
            &value!({"metadata": {"name": "s", "namespace": "ns"}, "type": "kubernetes.io/tls",
                "stringData": {"tls.crt": certificate, "tls.key": key}}),
        )
    };
    let pairs: Vec<(String, String)> = [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519, &PKCS_RSA_SHA256]
        .into_iter()
        .map(|algorithm| {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let certificate =
                CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
            (certificate.pem(), key.serialize_pem())
        })
        .collect();
    for (i, (certificate, key)) in pairs.iter().enumerate() {
        assert_eq!(secret(certificate, key), [""; 0], "pair {i}");
        let other = &pairs[(i + 1) % pairs.len()].1;
        assert_eq!(secret(certificate, other), ["tls: private key type does not match public key type"]);
    }
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519, &PKCS_RSA_SHA256] {
        let other = KeyPair::generate_for(algorithm).unwrap().serialize_pem();
        let said: Vec<_> = pairs.iter().flat_map(|(certificate, _)| secret(certificate, &other)).collect();
        assert!(said.contains(&"tls: private key does not match public key".to_owned()), "{said:?}");
    }
    let (certificate, key) = &pairs[0];
    let malformed = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (certificate, key, expected) in [
        ("x", key.as_str(), "tls: failed to find any PEM data in certificate input"),
        (
            key,
            certificate,
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs \
             may have been switched",
        ),
        (certificate, "", "tls: failed to find any PEM data in key input"),
        (
            certificate,
            certificate,
            "tls: found a certificate rather than a key in the PEM for the private key",
        ),
        (malformed, key, "x509: malformed certificate"),
        (
            certificate,
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
            "tls: failed to parse private key",
        ),
        (
            "-----BEGIN A-----\nAAAA\n-----END A-----\n-----BEGIN B-----\nAAAA\n-----END B-----\n",
            key,
            "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the \
             following types: [A B]",
        ),
    ] {
        assert_eq!(secret(certificate, key), [expected]);
    }
}

#[test]
fn annotations_that_become_fields_are_warned_of_before_they_do() {
    let pod = |profile: &str, field: Value| {
        value!({
            "metadata": {"name": "p", "annotations": {"container.apparmor.security.beta.kubernetes.io/c": profile}},
            "spec": {"containers": [{"name": "c", "image": "i", "securityContext": {"appArmorProfile": field}}]},
        })
    };
    let text = "metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use \
                the \"appArmorProfile\" field instead";
    let kind = ("", "v1", "pods");
    for (profile, field, expected) in [
        ("runtime/default", Value::Null, &[text][..]),
        ("nonsense", Value::Null, &[text]),
        // Whoever gives both is told nothing, also when they say the same.
        ("runtime/default", value!({"type": "RuntimeDefault"}), &[]),
    ] {
        let pod = crate::common::decoded(kind, &pod(profile, field));
        assert_eq!(strategy("", "pods").warnings_before_create(&pod), expected, "{profile}");
        assert_eq!(on_create(kind, &pod), [""; 0], "{profile}");
    }
}
