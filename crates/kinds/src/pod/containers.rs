//! Containers: regular, init and ephemeral.

use std::collections::BTreeSet;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};
use foldhash::HashSet;

use super::env::env;
use super::mounts::mounts;
use super::probes::{PROBE_FIELDS, lifecycle, probes};
use super::resources::{container_resources, resize_policy};
use super::security::container_security;
use super::volumes::Volumes;
use crate::check::{PROTOCOLS, dns_label, one_of, one_of_given, port_number};
use crate::shape::{has, is_zero, present};

/// What containers of a pod are checked against.
pub(super) struct Surroundings<'a> {
    pub(super) volumes: Volumes<'a>,
    pub(super) claims: BTreeSet<&'a str>,
    pub(super) spec: &'a Value,
}

impl Surroundings<'_> {
    fn common(&self, errors: &mut FieldErrors, container: &Value, path: &FieldPath) {
        let name = container.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            dns_label(errors, name, &path.child("name"));
        }
        if container.str_at(&["image"]).is_empty() {
            errors.required(&path.child("image"), "");
        }
        one_of(
            errors,
            container.str_at(&["terminationMessagePolicy"]),
            &["File", "FallbackToLogsOnError"],
            &path.child("terminationMessagePolicy"),
        );
        ports(errors, container, &path.child("ports"));
        env(errors, container, path);
        mounts(errors, container, &self.volumes, path);
        one_of(
            errors,
            container.str_at(&["imagePullPolicy"]),
            &["Always", "IfNotPresent", "Never"],
            &path.child("imagePullPolicy"),
        );
        container_resources(errors, container, &self.claims, path);
        resize_policy(errors, container, self.spec, &path.child("resizePolicy"));
        container_security(errors, container, self.spec, path);
    }

    pub(super) fn containers(&self, errors: &mut FieldErrors, path: &FieldPath) {
        let containers = self.spec.array_at(&["containers"]);
        if containers.is_empty() {
            errors.required(path, "");
            return;
        }
        let mut seen = HashSet::default();
        for (i, container) in containers.iter().enumerate() {
            let path = path.index(i);
            self.common(errors, container, &path);
            let name = container.str_at(&["name"]);
            if !seen.insert(name) {
                errors.duplicate(&path.child("name"), name);
            }
            lifecycle(errors, container, self.spec, &path);
            probes(errors, container, &path);
            restart_rules(errors, container, &path);
        }
        host_port_conflicts(errors, containers, path);
    }

    pub(super) fn init_containers(&self, errors: &mut FieldErrors, path: &FieldPath) {
        if !has(self.spec, &["initContainers"]) {
            return;
        }
        let mut seen: HashSet<&str> = names_of(self.spec.array_at(&["containers"])).collect();
        for (i, container) in self.spec.array_at(&["initContainers"]).iter().enumerate() {
            let at = path.index(i);
            self.common(errors, container, &at);
            init_restart_rules(errors, container, &at);
            let name = container.str_at(&["name"]);
            if seen.contains(name) {
                errors.duplicate(&at.child("name"), name);
            } else if !name.is_empty() {
                seen.insert(name);
            }
            host_port_conflicts(errors, std::slice::from_ref(container), path);
            if container.str_at(&["restartPolicy"]) == "Always" {
                lifecycle(errors, container, self.spec, &at);
                probes(errors, container, &at);
                continue;
            }
            for field in PROBE_FIELDS.iter().filter(|field| has(container, &[field])) {
                let detail = "may not be set for init containers without restartPolicy=Always";
                errors.forbidden(&at.child(field), detail);
            }
            for (j, policy) in container.array_at(&["resizePolicy"]).iter().enumerate() {
                if policy.str_at(&["restartPolicy"]) == "RestartContainer" {
                    let path = at.child("resizePolicy").index(j).child("restartPolicy");
                    let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
                    errors.invalid(&path, "RestartContainer", detail);
                }
            }
        }
    }

    pub(super) fn ephemeral_containers(&self, errors: &mut FieldErrors, path: &FieldPath) {
        if !has(self.spec, &["ephemeralContainers"]) {
            return;
        }
        let others = ["containers", "initContainers"].map(|field| self.spec.array_at(&[field]));
        let known: HashSet<&str> = others.into_iter().flat_map(names_of).collect();
        let mut seen = known.clone();
        for (i, container) in self.spec.array_at(&["ephemeralContainers"]).iter().enumerate() {
            let path = path.index(i);
            self.common(errors, container, &path);
            image_trimmed(errors, container, &path);
            let name = container.str_at(&["name"]);
            if !seen.insert(name) {
                errors.duplicate(&path.child("name"), name);
            }
            let target = container.str_at(&["targetContainerName"]);
            if !target.is_empty() && !known.contains(target) {
                errors.not_found(&path.child("targetContainerName"), target);
            }
            for field in NOT_EPHEMERAL {
                // An empty list or struct that is given is there.
                let given = container.get(field).filter(|value| match value {
                    Value::Array(_) | Value::Object(_) => true,
                    scalar => !is_zero(Some(scalar)),
                });
                if given.is_some() && !(field == "resources" && is_zero(given)) {
                    errors.forbidden(&path.child(field), CANNOT_BE_EPHEMERAL);
                }
            }
            for (j, mount) in container.array_at(&["volumeMounts"]).iter().enumerate() {
                for field in ["subPath", "subPathExpr"] {
                    if !mount.str_at(&[field]).is_empty() {
                        let path = path.child("volumeMounts").index(j).child(field);
                        errors.forbidden(&path, CANNOT_BE_EPHEMERAL);
                    }
                }
            }
        }
    }
}

const CANNOT_BE_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";

/// Fields of a container that an ephemeral one does not have, in the order of upstream's struct.
const NOT_EPHEMERAL: [&str; 9] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// Upstream's order of visiting all containers.
pub(super) fn each_container(spec: &Value, path: &FieldPath, mut visit: impl FnMut(&Value, &FieldPath)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for (i, container) in spec.array_at(&[list]).iter().enumerate() {
            visit(container, &path.child(list).index(i));
        }
    }
}

/// `validateContainerOnlyForPod`.
pub(super) fn image_trimmed(errors: &mut FieldErrors, container: &Value, path: &FieldPath) {
    let image = container.str_at(&["image"]);
    if image.trim() != image {
        errors.invalid(&path.child("image"), image, "must not have leading or trailing whitespace");
    }
}

fn names_of(containers: &[Value]) -> impl Iterator<Item = &str> {
    containers.iter().map(|container| container.str_at(&["name"]))
}

/// `validateInitContainerRestartPolicy`: without a policy, the rules are not looked at.
fn init_restart_rules(errors: &mut FieldErrors, container: &Value, path: &FieldPath) {
    if has(container, &["restartPolicy"]) {
        restart_rules(errors, container, path);
    } else if !container.array_at(&["restartPolicyRules"]).is_empty() {
        errors.required(&path.child("restartPolicy"), NO_POLICY);
    }
}

const NO_POLICY: &str = "must specify restartPolicy when restart rules are used";

/// `validateContainerRestartPolicy`.
fn restart_rules(errors: &mut FieldErrors, container: &Value, path: &FieldPath) {
    let rules = container.array_at(&["restartPolicyRules"]);
    if has(container, &["restartPolicy"]) {
        let policies = ["Always", "Never", "OnFailure"];
        one_of_given(errors, container.str_at(&["restartPolicy"]), &policies, &path.child("restartPolicy"));
    } else if !rules.is_empty() {
        errors.required(&path.child("restartPolicy"), NO_POLICY);
    }
    let path = path.child("restartPolicyRules");
    if rules.len() > 20 {
        errors.too_many(&path, rules.len(), 20);
    }
    for (i, rule) in rules.iter().enumerate() {
        let path = path.index(i);
        let actions = ["Restart", "RestartAllContainers"];
        one_of_given(errors, rule.str_at(&["action"]), &actions, &path.child("action"));
        let path = path.child("exitCodes");
        let Some(codes) = present(rule, &["exitCodes"]) else {
            errors.required(&path, "must be specified");
            continue;
        };
        one_of_given(errors, codes.str_at(&["operator"]), &["In", "NotIn"], &path.child("operator"));
        let count = codes.array_at(&["values"]).len();
        if count > 255 {
            errors.too_many(&path.child("values"), count, 255);
        }
    }
}

fn ports(errors: &mut FieldErrors, container: &Value, path: &FieldPath) {
    let mut seen = HashSet::default();
    for (i, port) in container.array_at(&["ports"]).iter().enumerate() {
        let path = path.index(i);
        let name = port.str_at(&["name"]);
        if !name.is_empty() {
            let wrong = names::is_valid_port_name(name);
            if wrong.is_empty() {
                if !seen.insert(name) {
                    errors.duplicate(&path.child("name"), name);
                }
            } else {
                names::invalid_each(errors, &path.child("name"), name, wrong);
            }
        }
        match port.i64_at(&["containerPort"]).unwrap_or(0) {
            0 => errors.required(&path.child("containerPort"), ""),
            number => port_number(errors, number, &path.child("containerPort")),
        }
        match port.i64_at(&["hostPort"]).unwrap_or(0) {
            0 => {}
            number => port_number(errors, number, &path.child("hostPort")),
        }
        one_of(errors, port.str_at(&["protocol"]), &PROTOCOLS, &path.child("protocol"));
    }
}

/// No two ports of a pod may want the same port of the host.
fn host_port_conflicts(errors: &mut FieldErrors, containers: &[Value], path: &FieldPath) {
    let mut seen = HashSet::default();
    for (i, container) in containers.iter().enumerate() {
        for (j, port) in container.array_at(&["ports"]).iter().enumerate() {
            let number = port.i64_at(&["hostPort"]).unwrap_or(0);
            if number == 0 {
                continue;
            }
            let key = format!("{}/{}/{number}", port.str_at(&["protocol"]), port.str_at(&["hostIP"]));
            if seen.contains(&key) {
                errors.duplicate(&path.index(i).child("ports").index(j).child("hostPort"), key.as_str());
            }
            seen.insert(key);
        }
    }
}
