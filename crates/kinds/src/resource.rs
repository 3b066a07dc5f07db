//! resource.k8s.io: devices.

use std::collections::HashSet;

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{IMMUTABLE, dns_label, dns_subdomain};
use crate::kind::Kind;
use crate::pod::scheduling::node_selector;
use crate::pod::volumes::csi_driver_name;
use crate::shape::{default_nil, each_mut, has, present, same, shown, with_mut};
use crate::table;

const GROUP: &str = "resource.k8s.io";

pub(crate) const KINDS: &[&Kind] = &[&CLAIM, &CLAIM_TEMPLATE, &CLASS, &SLICE];

static CLAIM: Kind = Kind {
    status: true,
    defaults: |object| request_defaults(object, &["spec"]),
    validate: |errors, _, object| validate_spec(errors, &shown(object, &["spec"]), &FieldPath::new("spec")),
    validate_update: Some(|errors, _, object, old| {
        if !same(object.get("spec"), old.get("spec")) {
            errors.invalid(&FieldPath::new("spec"), shown(object, &["spec"]), IMMUTABLE);
        }
    }),
    cells: table::resource_claim,
    ..Kind::new(GROUP, "resourceclaims")
};

static CLAIM_TEMPLATE: Kind = Kind {
    defaults: |object| {
        default_nil(object, &["spec", "metadata"], Value::object());
        request_defaults(object, &["spec", "spec"]);
    },
    validate: |errors, _, object| {
        let path = FieldPath::new("spec").child("spec");
        validate_spec(errors, &shown(object, &["spec", "spec"]), &path);
    },
    validate_update: Some(|errors, _, object, old| {
        if !same(object.get("spec"), old.get("spec")) {
            errors.invalid(&FieldPath::new("spec"), shown(object, &["spec"]), IMMUTABLE);
        }
    }),
    cells: table::name_and_age,
    ..Kind::new(GROUP, "resourceclaimtemplates")
};

static CLASS: Kind = Kind {
    generation: true,
    validate: |errors, _, object| {
        selectors(errors, &shown(object, &["spec"]), &FieldPath::new("spec").child("selectors"));
    },
    cells: table::name_and_age,
    ..Kind::new(GROUP, "deviceclasses")
};

static SLICE: Kind = Kind {
    generation: true,
    validate: |errors, _, object| validate_slice(errors, &shown(object, &["spec"])),
    validate_update: Some(|errors, _, object, old| {
        validate_slice(errors, &shown(object, &["spec"]));
        for field in ["nodeName", "driver"] {
            let at = ["spec", field];
            if !same(object.at(&at), old.at(&at)) {
                errors.invalid(&FieldPath::new("spec").child(field), shown(object, &at), IMMUTABLE);
            }
        }
        let at = &["spec", "pool", "name"];
        if !same(object.at(at), old.at(at)) {
            errors.invalid(&FieldPath::new("spec").child("pool").child("name"), shown(object, at), IMMUTABLE);
        }
    }),
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

fn selectors(errors: &mut FieldErrors, holder: &Value, path: &FieldPath) {
    let all = holder.array_at(&["selectors"]);
    if all.len() > 32 {
        errors.too_many(path, all.len(), 32);
    }
    for (i, selector) in all.iter().enumerate() {
        let path = path.index(i).child("cel");
        if !has(selector, &["cel"]) {
            errors.required(&path, "");
        } else if selector.str_at(&["cel", "expression"]).trim().is_empty() {
            errors.required(&path.child("expression"), "");
        }
    }
}

fn validate_spec(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let path = path.child("devices").child("requests");
    let requests = spec.array_at(&["devices", "requests"]);
    if requests.len() > 32 {
        errors.too_many(&path, requests.len(), 32);
    }
    let mut seen = HashSet::new();
    for (i, request) in requests.iter().enumerate() {
        let path = path.index(i);
        let name = request.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            dns_label(errors, name, &path.child("name"));
        }
        if !seen.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
        let alternatives = request.array_at(&["firstAvailable"]);
        match (present(request, &["exactly"]), alternatives.is_empty()) {
            (Some(_), false) => {
                let detail =
                    "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
                errors.invalid(&path, Value::Null, detail);
            }
            (None, true) => {
                errors.required(&path, "exactly one of `exactly` or `firstAvailable` is required")
            }
            (Some(exact), true) => validate_request(errors, exact, &path.child("exactly")),
            (None, false) => {
                for (j, alternative) in alternatives.iter().enumerate() {
                    validate_request(errors, alternative, &path.child("firstAvailable").index(j));
                }
            }
        }
    }
}

fn validate_request(errors: &mut FieldErrors, request: &Value, path: &FieldPath) {
    let class = request.str_at(&["deviceClassName"]);
    if class.is_empty() {
        errors.required(&path.child("deviceClassName"), "");
    } else {
        dns_subdomain(errors, class, &path.child("deviceClassName"));
    }
    selectors(errors, request, &path.child("selectors"));
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
}

fn validate_slice(errors: &mut FieldErrors, spec: &Value) {
    let path = FieldPath::new("spec");
    csi_driver_name(errors, spec.str_at(&["driver"]), &path.child("driver"));
    let pool = path.child("pool");
    if spec.str_at(&["pool", "name"]).is_empty() {
        errors.required(&pool.child("name"), "");
    }
    let count = spec.i64_at(&["pool", "resourceSliceCount"]).unwrap_or(0);
    if count <= 0 {
        errors.invalid(&pool.child("resourceSliceCount"), count, "must be greater than zero");
    }
    let node = spec.str_at(&["nodeName"]);
    if !node.is_empty() {
        dns_subdomain(errors, node, &path.child("nodeName"));
    }
    if let Some(selector) = present(spec, &["nodeSelector"]) {
        node_selector(errors, selector, &path.child("nodeSelector"));
    }
    let places = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];
    let given = places.iter().filter(|field| !crate::shape::is_zero(spec.get(field))).count();
    if given == 0 {
        let detail =
            "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
        errors.required(&path, detail);
    }
    let mut seen = HashSet::new();
    for (i, device) in spec.array_at(&["devices"]).iter().enumerate() {
        let path = path.child("devices").index(i).child("name");
        let name = device.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path, "");
        } else {
            dns_label(errors, name, &path);
        }
        if !seen.insert(name) {
            errors.duplicate(&path, name);
        }
    }
}
