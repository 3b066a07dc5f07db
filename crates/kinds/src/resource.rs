//! resource.k8s.io: devices.

mod device;
mod parts;
mod status;

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{
    csi_driver_name, dns_label, dns_subdomain, immutable, immutable_struct, is_extended_resource,
};
use crate::kind::{Kind, NEW_THEN_CHANGED, StatusMeta, Step};
use crate::meta::validate_template_meta;
use crate::pod::scheduling::node_selector;
use crate::shape::{default_nil, each_mut, has, present, same, seconds, shown, with_mut};
use crate::table;
use crate::{Context, go_form};
use parts::Versions;

const GROUP: &str = "resource.k8s.io";

pub(crate) const KINDS: &[&Kind] = &[&CLAIM, &CLAIM_TEMPLATE, &CLASS, &SLICE];

static CLAIM: Kind = Kind {
    update: &[Step::Meta, Step::MetaChange, Step::Change],
    status_meta: StatusMeta::Kept,
    status: true,
    defaults: |object| request_defaults(object, &["spec"]),
    validate: |errors, context, object, _| {
        let versions = Versions::of(context, false);
        validate_spec(errors, &shown(object, &["spec"]), versions, &FieldPath::new("spec"))
    },
    validate_change: |errors, object, old| {
        immutable_struct(errors, object, old, &["spec"], "ResourceClaimSpec");
    },
    prepare_update: |context, object, old| {
        if context.subresource == "status" {
            status::drop_deallocated(object, old);
        }
    },
    validate_status: |errors, _, object, old| status::validate(errors, object, old),
    cells: table::resource_claim,
    ..Kind::new(GROUP, "resourceclaims")
};

static CLAIM_TEMPLATE: Kind = Kind {
    update: NEW_THEN_CHANGED,
    defaults: |object| {
        default_nil(object, &["spec", "metadata"], Value::object());
        request_defaults(object, &["spec", "spec"]);
    },
    validate: |errors, context, object, _| {
        let path = FieldPath::new("spec");
        validate_template_meta(errors, &shown(object, &["spec"]), &path.child("metadata"));
        let path = path.child("spec");
        let versions = Versions::of(context, false);
        validate_spec(errors, &shown(object, &["spec", "spec"]), versions, &path);
    },
    validate_change: |errors, object, old| {
        immutable_struct(errors, object, old, &["spec"], "ResourceClaimTemplateSpec");
    },
    cells: table::name_and_age,
    ..Kind::new(GROUP, "resourceclaimtemplates")
};

static CLASS: Kind = Kind {
    update: &[Step::Meta, Step::MetaChange, Step::Body],
    name: crate::NameRule::Long,
    generation: true,
    validate: |errors, context, object, old| validate_class(errors, context, object, old),
    cells: table::name_and_age,
    ..Kind::new(GROUP, "deviceclasses")
};

static SLICE: Kind = Kind {
    generation: true,
    prepare_create: |context, object| {
        device::drop_disabled(object, None);
        date_taints(context, object);
    },
    prepare_update: |context, object, old| {
        device::drop_disabled(object, Some(old));
        date_taints(context, object);
    },
    validate: |errors, _, object, old| validate_slice(errors, object, old),
    warnings: |object, _| {
        let driver = object.str_at(&["spec", "driver"]);
        let has_capitals = driver.to_lowercase() != driver;
        let text = "driver names should be lowercase";
        let warning = || format!("spec.driver: {text}; {driver:?} contains uppercase characters");
        has_capitals.then(warning).into_iter().collect()
    },
    field_names: &["spec.nodeName", "spec.driver"],
    field_values: |object| {
        vec![
            ("spec.nodeName", object.str_at(&["spec", "nodeName"]).into()),
            ("spec.driver", object.str_at(&["spec", "driver"]).into()),
        ]
    },
    cells: table::resource_slice,
    ..Kind::new(GROUP, "resourceslices")
};

/// `SetDefaults_DeviceTaint`: a taint without a time is of now.
fn date_taints(context: &Context<'_>, slice: &mut Value) {
    let now = seconds(context.now);
    each_mut(slice, &["spec", "devices"], |device| {
        each_mut(device, &["taints"], |taint| default_nil(taint, &["timeAdded"], now.as_str()));
    });
}

fn request_defaults(object: &mut Value, at: &[&str]) {
    with_mut(object, at, |spec| {
        each_mut(spec, &["devices", "requests"], |request| {
            with_mut(request, &["exactly"], exact_defaults);
            each_mut(request, &["firstAvailable"], exact_defaults);
        });
    });
}

fn exact_defaults(request: &mut Value) {
    default_nil(request, &["allocationMode"], "ExactCount");
    if request.str_at(&["allocationMode"]) == "ExactCount" {
        default_nil(request, &["count"], 1);
    }
    each_mut(request, &["tolerations"], |toleration| default_nil(toleration, &["operator"], "Equal"));
}

/// `validateDeviceClaim`.
fn validate_spec(errors: &mut FieldErrors, spec: &Value, versions: Versions, path: &FieldPath) {
    let path = path.child("devices");
    let devices = shown(spec, &["devices"]);
    let requests = devices.array_at(&["requests"]);
    parts::set(errors, requests, 32, &path.child("requests"), parts::by_name, |errors, request, path| {
        device_request(errors, request, versions, path);
    });
    let constraints = devices.array_at(&["constraints"]);
    parts::each(errors, constraints, 32, &path.child("constraints"), |errors, constraint, path| {
        validate_constraint(errors, &devices, constraint, path);
    });
    let configs = devices.array_at(&["config"]);
    parts::each(errors, configs, 32, &path.child("config"), |errors, config, path| {
        parts::request_references(errors, &devices, config, path);
        parts::configuration(errors, config, false, path);
    });
}

fn validate_constraint(errors: &mut FieldErrors, devices: &Value, constraint: &Value, path: &FieldPath) {
    parts::request_references(errors, devices, constraint, path);
    let attribute = |field: &str| present(constraint, &[field]).and_then(Value::as_str);
    if let Some(name) = attribute("matchAttribute") {
        parts::fully_qualified_name(errors, name, &path.child("matchAttribute"));
    } else if let Some(name) = attribute("distinctAttribute") {
        parts::fully_qualified_name(errors, name, &path.child("distinctAttribute"));
    } else {
        let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
        errors.required(path, detail);
    }
}

fn device_request(errors: &mut FieldErrors, request: &Value, versions: Versions, path: &FieldPath) {
    dns_label(errors, request.str_at(&["name"]), &path.child("name"));
    let alternatives = request.array_at(&["firstAvailable"]);
    match (present(request, &["exactly"]), alternatives.is_empty()) {
        (Some(_), false) => {
            let detail =
                "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.invalid(path, Value::Null, detail);
        }
        (None, true) => errors.required(path, "exactly one of `exactly` or `firstAvailable` is required"),
        (Some(exact), true) => validate_request(errors, exact, versions, &path.child("exactly")),
        (None, false) => {
            let path = path.child("firstAvailable");
            parts::set(errors, alternatives, 8, &path, parts::by_name, |errors, alternative, path| {
                dns_label(errors, alternative.str_at(&["name"]), &path.child("name"));
                validate_request(errors, alternative, versions, path);
            });
        }
    }
}

/// `validateDeviceClassSpec`: what is exactly as before is stored.
fn validate_class(errors: &mut FieldErrors, context: &Context<'_>, object: &Value, old: Option<&Value>) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let is_stored = |field: &str| old.is_some_and(|old| same(old.at(&["spec", field]), spec.get(field)));
    let versions = Versions::of(context, is_stored("selectors"));
    parts::selectors(errors, &spec, versions, &path.child("selectors"));
    let is_stored = is_stored("config");
    parts::each(errors, spec.array_at(&["config"]), 32, &path.child("config"), |errors, config, path| {
        parts::configuration(errors, config, is_stored, path);
    });
    if let Some(name) = present(&spec, &["extendedResourceName"]).and_then(Value::as_str)
        && !is_extended_resource(name)
    {
        errors.invalid(&path.child("extendedResourceName"), name, "must be a valid extended resource name");
    }
}

fn validate_request(errors: &mut FieldErrors, request: &Value, versions: Versions, path: &FieldPath) {
    let class = request.str_at(&["deviceClassName"]);
    if class.is_empty() {
        errors.required(&path.child("deviceClassName"), "");
    } else {
        dns_subdomain(errors, class, &path.child("deviceClassName"));
    }
    parts::selectors(errors, request, versions, &path.child("selectors"));
    let count = request.i64_at(&["count"]).unwrap_or(0);
    match request.str_at(&["allocationMode"]) {
        "All" => {
            if count != 0 {
                let detail = "must not be specified when allocationMode is 'All'";
                errors.invalid(&path.child("count"), count, detail);
            }
        }
        "ExactCount" => {
            if count <= 0 {
                errors.invalid(&path.child("count"), count, "must be greater than zero");
            }
        }
        other => errors.not_supported(&path.child("allocationMode"), other, &["All", "ExactCount"]),
    }
    for (i, toleration) in request.array_at(&["tolerations"]).iter().enumerate() {
        parts::toleration(errors, toleration, &path.child("tolerations").index(i));
    }
}

/// `validateResourceSliceSpec`.
fn validate_slice(errors: &mut FieldErrors, object: &Value, old: Option<&Value>) {
    let path = FieldPath::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::Null);
    csi_driver_name(errors, spec.str_at(&["driver"]), &path.child("driver"));
    let pool = path.child("pool");
    parts::pool_name(errors, spec.str_at(&["pool", "name"]), &pool.child("name"));
    let count = spec.i64_at(&["pool", "resourceSliceCount"]).unwrap_or(0);
    if count <= 0 {
        errors.invalid(&pool.child("resourceSliceCount"), count, "must be greater than zero");
    }
    let generation = spec.i64_at(&["pool", "generation"]).unwrap_or(0);
    if generation < 0 {
        let detail = "must be greater than or equal to zero";
        errors.invalid(&pool.child("generation"), generation, detail);
    }
    if let Some(old) = old {
        for at in [&["spec", "pool", "name"][..], &["spec", "driver"], &["spec", "nodeName"]] {
            immutable(errors, object, old, at);
        }
    }
    let old = old.and_then(|old| old.get("spec"));
    placement(errors, spec, &path);
    if has(spec, &["sharedCounters"]) && has(spec, &["devices"]) {
        errors.invalid(&path, "", "only one of `sharedCounters` or `devices` is allowed");
    }
    device::devices(errors, spec, old, &path.child("devices"));
    let sets = spec.array_at(&["sharedCounters"]);
    parts::set(errors, sets, 8, &path.child("sharedCounters"), parts::by_name, |errors, set, path| {
        device::counters(errors, set, "name", path);
    });
}

/// Where the devices are: in exactly one way.
fn placement(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let mut given = Vec::new();
    match present(spec, &["nodeName"]).and_then(Value::as_str) {
        None => {}
        Some("") => {
            let detail = "must be either unset or set to a non-empty string";
            errors.invalid(&path.child("nodeName"), "", detail);
        }
        Some(node) => {
            given.push("`nodeName`");
            dns_subdomain(errors, node, &path.child("nodeName"));
        }
    }
    if let Some(selector) = present(spec, &["nodeSelector"]) {
        given.push("`nodeSelector`");
        let path = path.child("nodeSelector");
        node_selector(errors, selector, &path);
        let terms = selector.array_at(&["nodeSelectorTerms"]);
        if terms.len() != 1 {
            let shown = go_form::list(terms.iter().map(|term| go_form::of("NodeSelectorTerm", term)));
            let detail = "must have exactly one node selector term";
            errors.invalid(&path.child("nodeSelectorTerms"), shown, detail);
        }
    }
    for (field, shown) in [("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")]
    {
        match present(spec, &[field]).and_then(Value::as_bool) {
            None => {}
            Some(true) => given.push(shown),
            Some(false) => errors.invalid(&path.child(field), false, "must be either unset or set to true"),
        }
    }
    let needed =
        "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match given.len() {
        0 => errors.required(path, needed),
        1 => {}
        _ => {
            let detail = format!("{needed}, but multiple fields are set");
            errors.invalid(path, format!("{{{}}}", given.join(", ")), detail);
        }
    }
}
