//! Annotations of pods that mean something: profiles as they were named before they had fields, and a few others.

use drydock_machinery::{FieldErrors, FieldPath, Value, value};

use crate::pod::MIRROR;
use crate::pod::containers::each_container;
use crate::pod::volumes::relative;
use crate::shape::{each_mut, has, present, same, shown};

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// `ValidatePodSpecificAnnotations`, of a pod or a template with this metadata.
pub(in crate::pod) fn pod_annotations(
    errors: &mut FieldErrors,
    holder: &Value,
    spec: &Value,
    path: &FieldPath,
) {
    let annotations = holder.object_at(&["metadata", "annotations"]);
    let text = |key: &str| annotations.get(key).and_then(Value::as_str);
    if let Some(mirror) = text(MIRROR)
        && spec.str_at(&["nodeName"]).is_empty()
    {
        errors.invalid(&path.key(MIRROR), mirror, "must set spec.nodeName if mirror pod annotation is set");
    }
    if let Some(cost) = text(DELETION_COST)
        && !is_cost(cost)
    {
        errors.invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer");
    }
    if let Some(profile) = text(SECCOMP_OF_POD) {
        seccomp(errors, profile, &path.child(SECCOMP_OF_POD));
    }
    for (key, profile) in annotations.iter().filter(|(key, _)| key.starts_with(SECCOMP_OF_CONTAINER)) {
        seccomp(errors, profile.as_str().unwrap_or(""), &path.child_named(key));
    }
    for (key, profile) in annotations.iter() {
        let Some(name) = key.strip_prefix(APP_ARMOR) else { continue };
        let profile = profile.as_str().unwrap_or("");
        let mut found = false;
        each_container(spec, path, |container, _| found |= container.str_at(&["name"]) == name);
        if !found {
            errors.invalid(&path.key(key), name, "container not found");
        }
        let known = ["", "runtime/default", "unconfined"].contains(&profile);
        if !known && !profile.starts_with("localhost/") {
            let detail = format!("invalid AppArmor profile name: {profile:?}");
            errors.invalid(&path.key(key), profile, detail);
        }
    }
}

/// A number of 32 bits without plus sign and leading zeros.
fn is_cost(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let first = digits.as_bytes().first();
    text == "0" || first.is_some_and(|b| (b'1'..=b'9').contains(b)) && text.parse::<i32>().is_ok()
}

fn seccomp(errors: &mut FieldErrors, profile: &str, path: &FieldPath) {
    match profile {
        "runtime/default" | "docker/default" | "unconfined" => {}
        profile => match profile.strip_prefix("localhost/") {
            Some(file) => relative(errors, file, path),
            None => errors.invalid(path, profile, "must be a valid seccomp profile"),
        },
    }
}

/// The field that an AppArmor annotation stands for: `ApparmorFieldForAnnotation`, if it is a valid one.
pub(in crate::pod) fn app_armor_field(annotation: &str) -> Option<Value> {
    let profile = match annotation {
        "unconfined" => value!({"type": "Unconfined"}),
        "runtime/default" => value!({"type": "RuntimeDefault"}),
        other => {
            let local = other.strip_prefix("localhost/").filter(|local| !local.is_empty())?;
            value!({"type": "Localhost", "localhostProfile": local})
        }
    };
    let mut errors = FieldErrors::new();
    super::app_armor(&mut errors, &value!({"appArmorProfile": profile.clone()}), &FieldPath::root());
    errors.is_empty().then_some(profile)
}

/// The AppArmor annotation of a container.
fn app_armor_annotation<'a>(holder: &'a Value, container: &Value) -> Option<&'a str> {
    let key = format!("{APP_ARMOR}{}", container.str_at(&["name"]));
    holder.at(&["metadata", "annotations", &key]).and_then(Value::as_str)
}

/// `applyAppArmorVersionSkew`: a new pod whose profiles are named by annotations alone gets the fields.
pub(in crate::pod) fn profiles_from_annotations(pod: &mut Value) {
    let named = pod.object_at(&["metadata", "annotations"]).keys().any(|key| key.starts_with(APP_ARMOR));
    if !named || pod.str_at(&["spec", "os", "name"]) == "windows" {
        return;
    }
    let holder = pod.clone();
    let of_pod = holder.at(&["spec", "securityContext", "appArmorProfile"]);
    let own = &["securityContext", "appArmorProfile"];
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each_mut(pod, &["spec", list], |container| {
            let profile = app_armor_annotation(&holder, container).and_then(app_armor_field);
            if let Some(profile) = profile.filter(|profile| !same(Some(profile), of_pod))
                && !has(container, own)
            {
                container.set(own, profile);
            }
        });
    }
}

/// Profiles named by annotation and field are the same.
pub(in crate::pod) fn fields_agree(errors: &mut FieldErrors, holder: &Value, spec: &Value, path: &FieldPath) {
    let annotations = holder.object_at(&["metadata", "annotations"]);
    let prefixes = [SECCOMP_OF_POD, SECCOMP_OF_CONTAINER, APP_ARMOR];
    if !annotations.keys().any(|key| prefixes.iter().any(|prefix| key.starts_with(prefix))) {
        return;
    }
    let text = |key: &str| annotations.get(key).and_then(Value::as_str);
    let of_pod = present(spec, &["securityContext", "seccompProfile"]);
    if let (Some(profile), Some(named)) = (of_pod, text(SECCOMP_OF_POD)) {
        agree(errors, "seccomp", named, profile, &path.child("securityContext").child("seccompProfile"));
    }
    each_container(spec, path, |container, path| {
        let key = format!("{SECCOMP_OF_CONTAINER}{}", container.str_at(&["name"]));
        let own = present(container, &["securityContext", "seccompProfile"]);
        if let (Some(profile), Some(named)) = (own, text(&key)) {
            agree(errors, "seccomp", named, profile, &path.child("securityContext").child("seccompProfile"));
        }
    });
    if spec.str_at(&["os", "name"]) == "windows" {
        return;
    }
    let of_pod = present(spec, &["securityContext", "appArmorProfile"]);
    each_container(spec, path, |container, path| {
        let key = format!("{APP_ARMOR}{}", container.str_at(&["name"]));
        let own = present(container, &["securityContext", "appArmorProfile"]).or(of_pod);
        if let (Some(profile), Some(named)) = (own, text(&key)) {
            agree(
                errors,
                "apparmor",
                named,
                profile,
                &path.child("securityContext").child("appArmorProfile"),
            );
        }
    });
}

fn agree(errors: &mut FieldErrors, what: &str, named: &str, profile: &Value, path: &FieldPath) {
    let differs = format!("{what} type in annotation and field must match");
    match profile.str_at(&["type"]) {
        "Unconfined" if named != "unconfined" => errors.forbidden(&path.child("type"), differs),
        "RuntimeDefault" => {
            let docker = what == "seccomp" && named == "docker/default";
            if named != "runtime/default" && !docker {
                errors.forbidden(&path.child("type"), differs);
            }
        }
        "Localhost" => match named.strip_prefix("localhost/") {
            None => errors.forbidden(&path.child("type"), differs),
            Some(file) => {
                if present(profile, &["localhostProfile"]).and_then(Value::as_str) != Some(file) {
                    let differs = format!("{what} profile in annotation and field must match");
                    errors.forbidden(&path.child("localhostProfile"), differs);
                }
            }
        },
        _ => {}
    }
}

/// `ValidatePodSpecificAnnotationUpdates`.
pub(in crate::pod) fn annotation_updates(
    errors: &mut FieldErrors,
    object: &Value,
    old: &Value,
    path: &FieldPath,
) {
    let at = &["metadata", "annotations"];
    let (new, before) = (object.object_at(at), old.object_at(at));
    for (key, _) in before.iter().filter(|(key, value)| new.get(key) != Some(value)) {
        if key.starts_with(APP_ARMOR) {
            errors.forbidden(&path.key(key), "may not remove or update AppArmor annotations");
        }
        if key == MIRROR {
            errors.forbidden(&path.key(key), "may not remove or update mirror pod annotation");
        }
    }
    for key in new.keys().filter(|key| !before.contains_key(key)) {
        if key.starts_with(APP_ARMOR) {
            errors.forbidden(&path.key(key), "may not add AppArmor annotations");
        }
        if key == MIRROR {
            errors.forbidden(&path.key(key), "may not add mirror pod annotation");
        }
    }
    pod_annotations(errors, object, &shown(object, &["spec"]), path);
}
