//! storage.k8s.io.

use std::collections::HashSet;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::{at_least_zero, immutable, label_selector, non_negative_quantity, qualified_name};
use crate::kind::Kind;
use crate::pod::volumes::csi_driver_name;
use crate::shape::{default_nil, has, is_nil, present, same, shown};
use crate::{Context, table};

const GROUP: &str = "storage.k8s.io";

pub(crate) const KINDS: &[&Kind] =
    &[&CLASS, &ATTRIBUTES_CLASS, &ATTACHMENT, &CSI_NODE, &CSI_DRIVER, &CSI_CAPACITY];

static CLASS: Kind = Kind {
    defaults: |object| {
        default_nil(object, &["reclaimPolicy"], "Delete");
        default_nil(object, &["volumeBindingMode"], "Immediate");
    },
    validate: |errors, _, object| validate_class(errors, object),
    validate_update: Some(|errors, _, object, old| {
        if !same(object.get("parameters"), old.get("parameters")) {
            errors.forbidden(&FieldPath::new("parameters"), "updates to parameters are forbidden.");
        }
        if object.str_at(&["provisioner"]) != old.str_at(&["provisioner"]) {
            errors.forbidden(&FieldPath::new("provisioner"), "updates to provisioner are forbidden.");
        }
        if object.str_at(&["reclaimPolicy"]) != old.str_at(&["reclaimPolicy"]) {
            errors.forbidden(&FieldPath::new("reclaimPolicy"), "updates to reclaimPolicy are forbidden.");
        }
        immutable(errors, object, old, &["volumeBindingMode"], &FieldPath::new("volumeBindingMode"));
    }),
    cells: table::storage_class,
    ..Kind::new(GROUP, "storageclasses")
};

fn validate_class(errors: &mut FieldErrors, object: &Value) {
    provisioner(errors, object.str_at(&["provisioner"]), &FieldPath::new("provisioner"));
    parameters(errors, object, false);
    for (field, supported) in [
        ("reclaimPolicy", ["Delete", "Retain"]),
        ("volumeBindingMode", ["Immediate", "WaitForFirstConsumer"]),
    ] {
        let given = object.str_at(&[field]);
        if !given.is_empty() && !supported.contains(&given) {
            errors.not_supported(&FieldPath::new(field), given, &supported);
        }
    }
    topologies(errors, object);
}

fn provisioner(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if name.is_empty() {
        errors.required(path, "");
    } else {
        names::invalid_each(errors, path, name, names::is_qualified_name(&name.to_lowercase()));
    }
}

fn parameters(errors: &mut FieldErrors, object: &Value, required: bool) {
    let path = FieldPath::new("parameters");
    let given = object.object_at(&["parameters"]);
    if required && given.is_empty() {
        errors.required(&path, "must contain at least one key/value pair");
    }
    if given.len() > 512 {
        errors.too_long(&FieldPath::new("Provisioner Parameters Length"), 512);
        return;
    }
    for key in given.keys().filter(|key| key.is_empty()) {
        errors.invalid(&path, key.as_str(), "field can not be empty.");
    }
}

fn topologies(errors: &mut FieldErrors, object: &Value) {
    for (i, term) in object.array_at(&["allowedTopologies"]).iter().enumerate() {
        let path = FieldPath::new("allowedTopologies").index(i).child("matchLabelExpressions");
        let mut seen = HashSet::new();
        for (j, expression) in term.array_at(&["matchLabelExpressions"]).iter().enumerate() {
            let path = path.index(j);
            let key = expression.str_at(&["key"]);
            if expression.array_at(&["values"]).is_empty() {
                errors.required(&path.child("values"), "");
            }
            names::validate_label_name(errors, key, &path.child("key"));
            if !seen.insert(key) {
                errors.duplicate(&path.child("key"), key);
            }
        }
    }
}

static ATTRIBUTES_CLASS: Kind = Kind {
    validate: |errors, _, object| {
        provisioner(errors, object.str_at(&["driverName"]), &FieldPath::new("driverName"));
        parameters(errors, object, true);
    },
    validate_update: Some(|errors, _, object, old| {
        if object.str_at(&["driverName"]) != old.str_at(&["driverName"]) {
            errors.forbidden(&FieldPath::new("driverName"), "updates to driverName are forbidden.");
        }
        if !same(object.get("parameters"), old.get("parameters")) {
            errors.forbidden(&FieldPath::new("parameters"), "updates to parameters are forbidden.");
        }
    }),
    cells: table::volume_attributes_class,
    ..Kind::new(GROUP, "volumeattributesclasses")
};

static ATTACHMENT: Kind = Kind {
    status: true,
    unconditional_update: false,
    defaults: |object| default_nil(object, &["status", "attached"], false),
    prepare_create: |_, object| object.set(&["status", "attached"], false),
    validate: |errors, _, object| validate_attachment(errors, object),
    validate_update: Some(|errors, _, object, old| {
        immutable(errors, object, old, &["spec"], &FieldPath::new("spec"));
    }),
    cells: table::volume_attachment,
    ..Kind::new(GROUP, "volumeattachments")
};

fn validate_attachment(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let attacher = object.str_at(&["spec", "attacher"]);
    // One check for any attacher and one for CSI drivers; both ask for it.
    if attacher.is_empty() {
        errors.required(&path.child("attacher"), "");
    }
    if !attacher.is_empty() {
        csi_driver_name(errors, attacher, &path.child("attacher"));
    }
    let source = shown(object, &["spec", "source"]);
    let (inline, named) = (has(&source, &["inlineVolumeSpec"]), has(&source, &["persistentVolumeName"]));
    let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (inline, named) {
        (true, true) => errors.forbidden(&path.child("source"), detail),
        (false, false) => errors.required(&path.child("source"), detail),
        (false, true) => {
            let name = source.str_at(&["persistentVolumeName"]);
            if name.is_empty() {
                errors.required(
                    &path.child("source").child("persistentVolumeName"),
                    "must specify non empty persistentVolumeName",
                );
            }
        }
        (true, false) => {}
    }
    let node = object.str_at(&["spec", "nodeName"]);
    names::invalid_each(errors, &path.child("nodeName"), node, names::is_dns1123_subdomain(node));
}

static CSI_NODE: Kind = Kind {
    unconditional_update: false,
    defaults: |object| {
        if object.at(&["spec", "drivers"]).is_none() {
            object.set(&["spec", "drivers"], Value::Null);
        }
    },
    validate: |errors, _, object| validate_csi_node(errors, object),
    validate_update: Some(validate_csi_node_update),
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
            if !keys.insert(key) {
                errors.duplicate(&path.child("topologyKeys"), key);
            }
            qualified_name(errors, key, &path);
        }
    }
}

fn validate_csi_node_update(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    validate_csi_node(errors, object);
    let path = FieldPath::new("spec").child("drivers");
    for (i, driver) in object.array_at(&["spec", "drivers"]).iter().enumerate() {
        let name = driver.str_at(&["name"]);
        let before = old.array_at(&["spec", "drivers"]).iter().find(|old| old.str_at(&["name"]) == name);
        let Some(before) = before else { continue };
        let without_count = |driver: &Value| {
            let mut driver = driver.clone();
            driver.remove(&["allocatable"]);
            driver
        };
        if !same(Some(&without_count(driver)), Some(&without_count(before))) {
            errors.invalid(&path.index(i), driver.clone(), "field is immutable");
        }
    }
}

static CSI_DRIVER: Kind = Kind {
    unconditional_update: false,
    defaults: set_driver_defaults,
    validate: |errors, _, object| validate_driver(errors, object),
    validate_update: Some(|errors, _, object, old| {
        validate_driver(errors, object);
        for field in ["attachRequired", "fsGroupPolicy", "volumeLifecycleModes"] {
            immutable(errors, object, old, &["spec", field], &FieldPath::new("spec").child(field));
        }
    }),
    warnings: |_, object, old| {
        let tokens = &["spec", "tokenRequests"];
        let unchanged = old.is_some_and(|old| same(old.at(tokens), object.at(tokens)));
        let is_said = object.at(&["spec", "serviceAccountTokenInSecrets"]).is_some();
        if unchanged || is_said || object.array_at(tokens).is_empty() {
            return Vec::new();
        }
        vec![TOKENS_IN_SECRETS.to_owned()]
    },
    cells: table::csi_driver,
    ..Kind::new(GROUP, "csidrivers")
};

const TOKENS_IN_SECRETS: &str = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to \
                                 true to prevent possible logging of tokens in volume attributes";

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
    if object.name().len() > 63 {
        errors.too_long(&FieldPath::new("metadata").child("name"), 63);
    }
    if is_nil(object.at(&["spec", "attachRequired"])) {
        errors.required(&path.child("attachedRequired"), "");
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    let policy = object.str_at(&["spec", "fsGroupPolicy"]);
    if !policies.contains(&policy) {
        errors.not_supported(&path.child("fsGroupPolicy"), policy, &policies);
    }
    let mut audiences = HashSet::new();
    for (i, token) in object.array_at(&["spec", "tokenRequests"]).iter().enumerate() {
        let path = path.child("tokenRequests").index(i);
        let audience = token.str_at(&["audience"]);
        if !audiences.insert(audience) {
            errors.duplicate(&path.child("audience"), audience);
        }
        if let Some(seconds) = token.i64_at(&["expirationSeconds"]) {
            let path = path.child("expirationSeconds");
            if seconds < 600 {
                errors.invalid(&path, seconds, "may not specify a duration less than 10 minutes");
            }
            if seconds > 1 << 32 {
                errors.invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds");
            }
        }
    }
    for mode in object.array_at(&["spec", "volumeLifecycleModes"]).iter().filter_map(Value::as_str) {
        if !["Persistent", "Ephemeral"].contains(&mode) {
            errors.not_supported(&path.child("volumeLifecycleModes"), mode, &["Persistent", "Ephemeral"]);
        }
    }
}

static CSI_CAPACITY: Kind = Kind {
    unconditional_update: false,
    validate: |errors, _, object| {
        let class = object.str_at(&["storageClassName"]);
        names::invalid_each(
            errors,
            &FieldPath::new("storageClassName"),
            class,
            names::is_dns1123_subdomain(class),
        );
        for field in ["capacity", "maximumVolumeSize"] {
            if let Some(amount) = present(object, &[field]) {
                non_negative_quantity(errors, amount, &FieldPath::new(field));
            }
        }
        if let Some(selector) = present(object, &["nodeTopology"]) {
            label_selector(errors, selector, &FieldPath::new("nodeTopology"));
        }
    },
    validate_update: Some(|errors, _, object, old| {
        for field in ["nodeTopology", "storageClassName"] {
            immutable(errors, object, old, &[field], &FieldPath::new(field));
        }
    }),
    ..Kind::new(GROUP, "csistoragecapacities")
};
