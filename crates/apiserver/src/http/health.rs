//! `/healthz`, `/livez`, `/readyz` with their single checks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::handler::Req;
use super::{Answer, body, metrics};

const CHECKS: &[&str] = &[
    "ping",
    "log",
    "loopback-serving-certificate",
    "etcd",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/aggregator-reload-proxy-client-cert",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-wait-for-first-sync",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
];

/// Answers `/NAME` and `/NAME/CHECK`.
pub(crate) fn serve(request: &Req, parts: &[&str]) -> Answer {
    let endpoint = parts[0];
    let checks = checks(endpoint);
    let single = parts[1..].join("/");
    if !single.is_empty() {
        let Some(check) = checks.iter().find(|check| **check == single) else {
            return body::page_not_found();
        };
        let healthy = passes(request, endpoint, check);
        return if healthy {
            body::whole(200, body::TEXT, "ok")
        } else {
            body::text(500, "internal server error: not ready\n")
        };
    }
    let excluded: Vec<&str> = request.query.all("exclude").collect();
    let mut report = String::new();
    let mut healthy = true;
    for check in &checks {
        if excluded.contains(check) {
            let _ = writeln!(report, "[+]{check} excluded: ok");
        } else if passes(request, endpoint, check) {
            let _ = writeln!(report, "[+]{check} ok");
        } else {
            healthy = false;
            let _ = writeln!(report, "[-]{check} failed: reason withheld");
        }
    }
    let unknown: BTreeSet<String> =
        excluded.iter().filter(|name| !checks.contains(name)).map(|name| format!("{name:?}")).collect();
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.into_iter().collect();
        let _ = writeln!(
            report,
            "warn: some health checks cannot be excluded: no matches for {}",
            unknown.join(",")
        );
    }
    match (healthy, request.query.get("verbose").is_some()) {
        (true, false) => body::text(200, "ok"),
        (true, true) => body::text(200, format!("{report}{endpoint} check passed\n")),
        (false, _) => body::text(500, format!("{report}{endpoint} check failed\n")),
    }
}

/// `/metrics/slis`: how each check is now.
pub(crate) fn slis(request: &Req) -> Answer {
    let mut out = String::from("# TYPE kubernetes_healthcheck gauge\n");
    for endpoint in ["healthz", "livez", "readyz"] {
        for check in checks(endpoint) {
            let passes = u8::from(passes(request, endpoint, check));
            let _ = writeln!(out, "kubernetes_healthcheck{{name=\"{check}\",type=\"{endpoint}\"}} {passes}");
        }
    }
    body::whole(200, metrics::TEXT, out)
}

/// The checks of an endpoint, in the order in which they are reported.
pub(crate) fn checks(endpoint: &str) -> Vec<&'static str> {
    let mut checks: Vec<&str> = CHECKS.to_vec();
    if endpoint == "readyz" {
        checks.retain(|check| *check != "loopback-serving-certificate");
        checks.insert(3, "informer-sync");
        checks.push("shutdown");
    }
    checks
}

/// The server is ready once it was bootstrapped, and its store works that took the last write; all else works or the
/// process is gone.
fn passes(request: &Req, endpoint: &str, check: &str) -> bool {
    let ready = *request.core.ready.borrow();
    match check {
        "poststarthook/rbac/bootstrap-roles" | "poststarthook/bootstrap-controller" => {
            ready || endpoint == "livez"
        }
        "etcd" => !request.core.registry.store_fails.load(Ordering::Relaxed),
        "shutdown" => !request.core.tasks.is_closed(),
        _ => true,
    }
}
