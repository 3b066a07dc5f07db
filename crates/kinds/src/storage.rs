//! storage.k8s.io.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Map, ObjectMeta as _, Value};

use crate::check::{
    IMMUTABLE, at_least_zero, csi_driver_name, dns_subdomain, immutable, immutable_struct, in_range,
    label_selector, non_negative_quantity, one_of_at, one_of_given, one_of_or_empty, qualified_name,
    token_lifetime,
};
use crate::go_form;
use crate::kind::{CHANGED_THEN_NEW, Kind, NEW_AND_CHANGED, NEW_THEN_CHANGED, StatusMeta};
use crate::pod::warnings::deprecated_label;
use crate::shape::{default_nil, default_null, has, is_nil, present, same, shown};
use crate::table;

const GROUP: &str = "storage.k8s.io";

/// Of parameters of classes, and of what is said of an attachment.
const MAX_SIZE: usize = 256 * 1024;

pub(crate) const KINDS: &[&Kind] =
    &[&CLASS, &ATTRIBUTES_CLASS, &ATTACHMENT, &CSI_NODE, &CSI_DRIVER, &CSI_CAPACITY];

static CLASS: Kind = Kind {
    update: NEW_THEN_CHANGED,
    defaults: |object| {
        default_nil(object, &["reclaimPolicy"], "Delete");
        default_nil(object, &["volumeBindingMode"], "Immediate");
    },
    validate: |errors, _, object, _| validate_class(errors, object),
    validate_change: |errors, object, old| {
        for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            immutable(errors, object, old, &[field]);
        }
    },
    warnings: |object, _| class_warnings(object),
    cells: table::storage_class,
    ..Kind::new(GROUP, "storageclasses")
};

fn validate_class(errors: &mut FieldErrors, object: &Value) {
    provisioner(errors, object.str_at(&["provisioner"]), &FieldPath::new("provisioner"));
    parameters(errors, object, false);
    let policy = object.str_at(&["reclaimPolicy"]);
    one_of_or_empty(errors, policy, &["Delete", "Retain"], &FieldPath::new("reclaimPolicy"));
    let modes = ["Immediate", "WaitForFirstConsumer"];
    one_of_at(errors, object, "volumeBindingMode", &modes, &FieldPath::root());
    topologies(errors, object);
}

fn provisioner(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let name: &str = &name.to_lowercase();
    if name.is_empty() {
        errors.required(path, "");
    } else {
        qualified_name(errors, name, path);
    }
}

fn parameters(errors: &mut FieldErrors, object: &Value, required: bool) {
    let path = FieldPath::new("parameters");
    let given = object.object_at(&["parameters"]);
    if given.len() > 512 {
        errors.too_long(&path, 512);
        return;
    }
    for key in given.keys().filter(|key| key.is_empty()) {
        errors.invalid(&path, key.as_str(), "field can not be empty.");
    }
    if size(given) > MAX_SIZE {
        errors.too_long(&path, MAX_SIZE);
    }
    if required && given.is_empty() {
        errors.required(&path, "must contain at least one key/value pair");
    }
}

/// Of keys and values together.
fn size(texts: &Map) -> usize {
    texts.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum()
}

fn topologies(errors: &mut FieldErrors, object: &Value) {
    let given = object.array_at(&["allowedTopologies"]);
    // Upstream begins with as many empty terms as there are: an empty one is a duplicate of each.
    let mut terms: Vec<BTreeMap<&str, BTreeSet<&str>>> = vec![BTreeMap::new(); given.len()];
    for (i, term) in given.iter().enumerate() {
        let path = FieldPath::new("allowedTopologies").index(i).child("matchLabelExpressions");
        let mut keys = BTreeMap::new();
        for (j, expression) in term.array_at(&["matchLabelExpressions"]).iter().enumerate() {
            let path = path.index(j);
            let key = expression.str_at(&["key"]);
            let values = expression.array_at(&["values"]);
            if values.is_empty() {
                errors.required(&path.child("values"), "");
            }
            let mut seen = BTreeSet::new();
            for (k, value) in values.iter().filter_map(Value::as_str).enumerate() {
                if !seen.insert(value) {
                    errors.duplicate(&path.child("values").index(k), value);
                }
            }
            names::validate_label_name(errors, key, &path.child("key"));
            if keys.insert(key, seen).is_some() {
                errors.duplicate(&path.child("key"), key);
            }
        }
        terms.iter().filter(|other| **other == keys).for_each(|_| errors.duplicate(&path, ""));
        terms.push(keys);
    }
}

static ATTRIBUTES_CLASS: Kind = Kind {
    update: CHANGED_THEN_NEW,
    validate: |errors, _, object, _| {
        provisioner(errors, object.str_at(&["driverName"]), &FieldPath::new("driverName"));
        parameters(errors, object, true);
    },
    validate_change: |errors, object, old| {
        if object.str_at(&["driverName"]) != old.str_at(&["driverName"]) {
            errors.forbidden(&FieldPath::new("driverName"), "updates to driverName are forbidden.");
        }
        if !same(object.get("parameters"), old.get("parameters")) {
            errors.forbidden(&FieldPath::new("parameters"), "updates to parameters are forbidden.");
        }
    },
    cells: table::volume_attributes_class,
    ..Kind::new(GROUP, "volumeattributesclasses")
};

static ATTACHMENT: Kind = Kind {
    update: NEW_AND_CHANGED,
    update_status: NEW_AND_CHANGED,
    status_meta: StatusMeta::Kept,
    status: true,
    unconditional_update: false,
    defaults: |object| default_nil(object, &["status", "attached"], false),
    prepare_create: |_, object| object.set(&["status", "attached"], false),
    validate: |errors, _, object, _| validate_attachment(errors, object),
    validate_change: attachment_stays,
    validate_status: |errors, _, object, old| attachment_stays(errors, object, old),
    cells: table::volume_attachment,
    ..Kind::new(GROUP, "volumeattachments")
};

fn attachment_stays(errors: &mut FieldErrors, object: &Value, old: &Value) {
    immutable_struct(errors, object, old, &["spec"], "VolumeAttachmentSpec");
}

fn validate_attachment(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    csi_driver_name(errors, object.str_at(&["spec", "attacher"]), &path.child("attacher"));
    let source = shown(object, &["spec", "source"]);
    let source_path = path.child("source");
    let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    let named = present(&source, &["persistentVolumeName"]).and_then(Value::as_str);
    match (present(&source, &["inlineVolumeSpec"]), named) {
        (Some(_), Some(_)) => errors.forbidden(&source_path, detail),
        (None, None) => errors.required(&source_path, detail),
        (None, Some("")) => {
            let detail = "must specify non empty persistentVolumeName";
            errors.required(&source_path.child("persistentVolumeName"), detail);
        }
        (None, Some(_)) => {}
        (Some(spec), None) => {
            let path = source_path.child("inlineVolumeSpec");
            crate::core::volume::validate_spec(errors, spec, "", true, &path);
        }
    }
    let node = object.str_at(&["spec", "nodeName"]);
    dns_subdomain(errors, node, &path.child("nodeName"));
    let metadata = object.object_at(&["status", "attachmentMetadata"]);
    if size(metadata) > MAX_SIZE {
        errors.too_long(&FieldPath::new("status").child("attachmentMetadata"), MAX_SIZE);
    }
    for field in ["attachError", "detachError"] {
        let at = FieldPath::new("status").child(field);
        if object.str_at(&["status", field, "message"]).len() > 1024 {
            // Upstream names this limit, not the one of messages.
            errors.too_long(&at.child("message"), MAX_SIZE);
        }
        if let Some(code) = object.i64_at(&["status", field, "errorCode"])
            && code < 0
        {
            in_range(errors, code, 0, i32::MAX.into(), &at.child("errorCode"));
        }
    }
    if let Some(name) = named {
        dns_subdomain(errors, name, &source_path.child("persistentVolumeName"));
    }
}

static CSI_NODE: Kind = Kind {
    update: NEW_AND_CHANGED,
    unconditional_update: false,
    defaults: |object| default_null(object.at_mut(&["spec"]), &["drivers"]),
    validate: |errors, _, object, _| validate_csi_node(errors, object),
    validate_change: csi_node_change,
    cells: table::csi_node,
    ..Kind::new(GROUP, "csinodes")
};

fn validate_csi_node(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec").child("drivers");
    let mut seen = HashSet::new();
    for (i, driver) in object.array_at(&["spec", "drivers"]).iter().enumerate() {
        let path = path.index(i);
        let name = driver.str_at(&["name"]);
        csi_driver_name(errors, name, &path.child("name"));
        let node = driver.str_at(&["nodeID"]);
        if node.is_empty() {
            errors.required(&path.child("nodeID"), "");
        }
        if node.len() > 256 {
            errors.invalid(&path.child("nodeID"), node, "must be 256 characters or less");
        }
        if let Some(count) = driver.i64_at(&["allocatable", "count"]) {
            at_least_zero(errors, count, &path.child("allocatable").child("count"));
        }
        if !seen.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
        let mut keys = HashSet::new();
        for key in driver.array_at(&["topologyKeys"]).iter().filter_map(Value::as_str) {
            if key.is_empty() {
                errors.required(&path, "");
            }
            if !keys.insert(key) {
                errors.duplicate(&path, key);
            }
            qualified_name(errors, key, &path);
        }
    }
}

fn csi_node_change(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let path = FieldPath::new("spec").child("drivers");
    let without_count = |driver: &Value| {
        let mut driver = driver.clone();
        driver.remove(&["allocatable"]);
        driver
    };
    for before in old.array_at(&["spec", "drivers"]) {
        let drivers = object.array_at(&["spec", "drivers"]).iter();
        for driver in drivers.filter(|driver| driver.str_at(&["name"]) == before.str_at(&["name"])) {
            let driver = without_count(driver);
            if !same(Some(&driver), Some(&without_count(before))) {
                errors.invalid(&path, go_form::of("CSINodeDriver", &driver), IMMUTABLE);
            }
        }
    }
}

/// Behind a feature gate that is off: what is new does not have it.
const LIMIT_SCALING: [&str; 2] = ["spec", "preventPodSchedulingIfMissing"];

static CSI_DRIVER: Kind = Kind {
    unconditional_update: false,
    defaults: set_driver_defaults,
    validate: |errors, _, object, _| validate_driver(errors, object),
    validate_change: |errors, object, old| {
        let attach = &["spec", "attachRequired"];
        if !same(object.at(attach), old.at(attach)) {
            errors.invalid(
                &FieldPath::new("spec").child("attachedRequired"),
                shown(object, attach),
                IMMUTABLE,
            );
        }
        immutable(errors, object, old, &["spec", "volumeLifecycleModes"]);
    },
    warnings: driver_warnings,
    prepare_create: |_, object| {
        object.remove(&LIMIT_SCALING);
    },
    prepare_update: |_, object, old| {
        if !has(old, &LIMIT_SCALING) {
            object.remove(&LIMIT_SCALING);
        }
        // It is counted from the first change on.
        if !same(object.get("spec"), old.get("spec")) {
            object.set(&["metadata", "generation"], old.generation() + 1);
        }
    },
    cells: table::csi_driver,
    ..Kind::new(GROUP, "csidrivers")
};

fn set_driver_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    default_nil(spec, &["attachRequired"], true);
    default_nil(spec, &["podInfoOnMount"], false);
    default_nil(spec, &["storageCapacity"], false);
    default_nil(spec, &["fsGroupPolicy"], "ReadWriteOnceWithFSType");
    if spec.array_at(&["volumeLifecycleModes"]).is_empty() {
        spec.set(&["volumeLifecycleModes"], vec![Value::from("Persistent")]);
    }
    default_nil(spec, &["requiresRepublish"], false);
    default_nil(spec, &["seLinuxMount"], false);
}

fn validate_driver(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    if is_nil(object.at(&["spec", "attachRequired"])) {
        errors.required(&path.child("attachedRequired"), "");
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    let policy = object.str_at(&["spec", "fsGroupPolicy"]);
    one_of_given(errors, policy, &policies, &path.child("fsGroupPolicy"));
    let mut audiences = HashSet::new();
    for (i, token) in object.array_at(&["spec", "tokenRequests"]).iter().enumerate() {
        let path = path.child("tokenRequests").index(i);
        let audience = token.str_at(&["audience"]);
        if !audiences.insert(audience) {
            errors.duplicate(&path.child("audience"), audience);
            continue;
        }
        if let Some(seconds) = token.i64_at(&["expirationSeconds"]) {
            token_lifetime(errors, seconds, &path.child("expirationSeconds"));
        }
    }
    for mode in object.array_at(&["spec", "volumeLifecycleModes"]).iter().filter_map(Value::as_str) {
        one_of_given(errors, mode, &["Persistent", "Ephemeral"], &path.child("volumeLifecycleModes"));
    }
    if let Some(seconds) = object.i64_at(&["spec", "nodeAllocatableUpdatePeriodSeconds"])
        && seconds < 10
    {
        let path = path.child("nodeAllocatableUpdatePeriodSeconds");
        errors.invalid(&path, seconds, "must be greater than or equal to 10 seconds");
    }
    let in_secrets = &["spec", "serviceAccountTokenInSecrets"];
    if has(object, in_secrets) && object.array_at(&["spec", "tokenRequests"]).is_empty() {
        let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        errors.invalid(&path.child("serviceAccountTokenInSecrets"), shown(object, in_secrets), detail);
    }
}

static CSI_CAPACITY: Kind = Kind {
    update: NEW_THEN_CHANGED,
    unconditional_update: false,
    validate: |errors, _, object, _| {
        if let Some(selector) = present(object, &["nodeTopology"]) {
            label_selector(errors, selector, &FieldPath::new("nodeTopology"));
        }
        let class = object.str_at(&["storageClassName"]);
        dns_subdomain(errors, class, &FieldPath::new("storageClassName"));
        if let Some(amount) = present(object, &["capacity"]) {
            non_negative_quantity(errors, amount, &FieldPath::new("capacity"));
        }
    },
    warnings: |object, _| topology_warnings(object),
    validate_change: |errors, object, old| {
        // A selector of everything is not the same as none.
        let (new, before) = (object.get("nodeTopology"), old.get("nodeTopology"));
        if is_nil(new) != is_nil(before) || !same(new, before) {
            let shown = present(object, &["nodeTopology"]).map_or(Value::Null, go_form::label_selector);
            errors.invalid(&FieldPath::new("nodeTopology"), shown, IMMUTABLE);
        }
        immutable(errors, object, old, &["storageClassName"]);
    },
    ..Kind::new(GROUP, "csistoragecapacities")
};

/// Label keys of nodes that have other names now.
fn topology_warnings(capacity: &Value) -> Vec<String> {
    let path = FieldPath::new("nodeTopology");
    let mut out = Vec::new();
    let topology = capacity.get("nodeTopology").unwrap_or(&Value::Null);
    for (i, expression) in topology.array_at(&["matchExpressions"]).iter().enumerate() {
        if let Some(text) = deprecated_label(expression.str_at(&["key"])) {
            out.push(format!("{}: {text}", path.child("matchExpressions").index(i).child("key")));
        }
    }
    for key in topology.object_at(&["matchLabels"]).keys() {
        if let Some(text) = deprecated_label(key) {
            out.push(format!("{}: {text}", path.child("matchLabels").child_named(key)));
        }
    }
    out
}

fn class_warnings(class: &Value) -> Vec<String> {
    let path = FieldPath::new("allowedTopologies");
    let mut out = Vec::new();
    for (i, term) in class.array_at(&["allowedTopologies"]).iter().enumerate() {
        let path = path.index(i).child("matchLabelExpressions");
        for (j, expression) in term.array_at(&["matchLabelExpressions"]).iter().enumerate() {
            if let Some(text) = deprecated_label(expression.str_at(&["key"])) {
                out.push(format!("{}: {text}", path.index(j).child("key")));
            }
        }
    }
    out
}

/// Tokens in volume attributes end up in logs.
fn driver_warnings(driver: &Value, old: Option<&Value>) -> Vec<String> {
    let requests = &["spec", "tokenRequests"];
    let unchanged = old.is_some_and(|old| same(driver.at(requests), old.at(requests)));
    if unchanged
        || driver.array_at(requests).is_empty()
        || has(driver, &["spec", "serviceAccountTokenInSecrets"])
    {
        return Vec::new();
    }
    let text = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";
    vec![text.to_owned()]
}
