//! certificates.k8s.io: CertificateSigningRequest, ClusterTrustBundle.
//!
//! Deliberately absent: who the requester is, which the API server writes into a new request.

use std::collections::HashSet;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::core::decode_base64;
use crate::kind::{Kind, MetaChecks};
use crate::shape::{has, keep, same, shown};
use crate::{Context, NameRule, table};

pub(crate) const KINDS: &[&Kind] = &[&REQUEST, &BUNDLE];

const GROUP: &str = "certificates.k8s.io";

static REQUEST: Kind = Kind {
    meta: MetaChecks::CORE_WHOLE_FIRST,
    name: NameRule::Any,
    status: true,
    prepare_update: |context, object, old| {
        match context.subresource {
            "approval" => {
                // Only Approved and Denied may come in this way.
                let conditions = shown(object, &["status", "conditions"]);
                let metadata = shown(object, &["metadata"]);
                *object = old.clone();
                object.set(&["metadata"], metadata);
                if !conditions.is_null() {
                    object.set(&["status", "conditions"], conditions);
                }
                stamp(context, object, old);
            }
            "status" => {
                keep(object, old, &["spec"]);
                stamp(context, object, old);
            }
            _ => {
                keep(object, old, &["spec"]);
                keep(object, old, &["status"]);
            }
        }
    },
    validate: |errors, _, object| validate(errors, object),
    validate_update: Some(|_, _, _, _| {}),
    validate_status,
    field_names: &["spec.signerName"],
    field_values: |object| vec![("spec.signerName", object.str_at(&["spec", "signerName"]).into())],
    cells: table::certificate_signing_request,
    ..Kind::new(GROUP, "certificatesigningrequests")
};

/// Conditions without times get them.
fn stamp(context: &Context<'_>, object: &mut Value, old: &Value) {
    let now = jiff::Timestamp::from_second(context.now.as_second()).unwrap_or(context.now).to_string();
    let before = old.array_at(&["status", "conditions"]).to_vec();
    crate::shape::each_mut(object, &["status", "conditions"], |condition| {
        if condition.str_at(&["lastUpdateTime"]).is_empty() {
            condition.set(&["lastUpdateTime"], now.as_str());
        }
        if condition.str_at(&["lastTransitionTime"]).is_empty() {
            let same = |other: &&Value| {
                other.str_at(&["type"]) == condition.str_at(&["type"])
                    && other.str_at(&["status"]) == condition.str_at(&["status"])
            };
            let time = before
                .iter()
                .find(same)
                .map_or(now.as_str(), |old| old.str_at(&["lastTransitionTime"]))
                .to_owned();
            condition.set(&["lastTransitionTime"], time);
        }
    });
}

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let request = object.str_at(&["spec", "request"]);
    if let Err(why) = parse_request(&decode_base64(request)) {
        errors.invalid(&path.child("request"), shown(object, &["spec", "request"]), why);
    }
    let usages = object.array_at(&["spec", "usages"]);
    if usages.is_empty() {
        errors.required(&path.child("usages"), "");
    }
    let usages: Vec<&str> = usages.iter().filter_map(Value::as_str).collect();
    for (i, usage) in usages.iter().enumerate().filter(|(_, usage)| !USAGES.contains(usage)) {
        errors.not_supported(&path.child("usages").index(i), *usage, &USAGES);
    }
    for (i, usage) in usages.iter().enumerate().filter(|(i, usage)| usages[..*i].contains(usage)) {
        errors.duplicate(&path.child("usages").index(i), *usage);
    }
    let signer = object.str_at(&["spec", "signerName"]);
    if signer == "kubernetes.io/legacy-unknown" {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.invalid(&path.child("signerName"), signer, detail);
    } else {
        signer_name(errors, signer, &path.child("signerName"));
    }
    if let Some(seconds) = object.i64_at(&["spec", "expirationSeconds"])
        && seconds < 600
    {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.invalid(&path.child("expirationSeconds"), seconds, detail);
    }
}

/// The PEM framing of a request; its signature is for the signer to check.
fn parse_request(pem: &[u8]) -> Result<(), &'static str> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE REQUEST-----";
    const END: &str = "-----END CERTIFICATE REQUEST-----";
    const WRONG: &str = "PEM block type must be CERTIFICATE REQUEST";
    let text = std::str::from_utf8(pem).map_err(|_| WRONG)?;
    let (_, rest) = text.split_once(BEGIN).ok_or(WRONG)?;
    rest.split_once(END).ok_or(WRONG).map(|_| ())
}

/// `ValidateSignerName`.
pub(crate) fn signer_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.invalid(path, name, detail);
        return;
    };
    let mut each = |value: &str, label: &str, wrong: Vec<String>| {
        for text in wrong {
            errors.invalid(path, value, format!("validating label {label:?}: {text}"));
        }
    };
    for label in domain.split('.') {
        each(domain, label, names::is_dns1123_label(label));
    }
    if domain.split('.').count() < 2 {
        errors.invalid(path, domain, "should be a domain with at least two segments separated by dots");
    }
    for label in rest.split(':') {
        for text in names::is_dns1123_subdomain(label) {
            errors.invalid(path, rest, format!("validating label {label:?}: {text}"));
        }
    }
    // A domain, and what is at most a subdomain and a label.
    let most = 253 + 1 + (253 + 1 + 63);
    if name.len() > most {
        errors.too_long(path, most);
    }
}

/// `ValidateClusterTrustBundleName`: the bundle of a signer is named after it.
pub(crate) fn bundle_name_errors(name: &str, signer: &str) -> Vec<String> {
    if signer.is_empty() {
        if name.contains(':') {
            return vec!["ClusterTrustBundle without signer name must not have \":\" in its name".to_owned()];
        }
        return names::name_is_dns_subdomain(name, names::NamePart::Whole);
    }
    let prefix = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&prefix) {
        Some(rest) => names::name_is_dns_subdomain(rest, names::NamePart::Whole),
        None => {
            vec![format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}")]
        }
    }
}

fn condition_types(object: &Value) -> Vec<&str> {
    object.array_at(&["status", "conditions"]).iter().map(|c| c.str_at(&["type"])).collect()
}

fn validate_status(errors: &mut FieldErrors, context: &Context<'_>, object: &Value, old: &Value) {
    let path = FieldPath::new("status");
    validate_conditions(errors, object, &path.child("conditions"));
    let (new, before) = (condition_types(object), condition_types(old));
    for kept in ["Approved", "Denied", "Failed"] {
        let count = |all: &[&str]| all.iter().filter(|other| **other == kept).count();
        if count(&new) < count(&before) && (kept != "Failed" || context.subresource == "approval") {
            let detail = format!("updates may not remove a condition of type {kept:?}");
            errors.forbidden(&path.child("conditions"), detail);
        }
        if count(&new) > count(&before) && kept != "Failed" && context.subresource == "status" {
            let detail = format!("updates may not add a condition of type {kept:?}");
            errors.forbidden(&path.child("conditions"), detail);
        }
    }
    let certificate = &["status", "certificate"];
    if has(object, certificate) && !same(object.at(certificate), old.at(certificate)) {
        let at = path.child("certificate");
        if has(old, certificate) {
            errors.forbidden(&at, "updates may not set certificate content to a different value once set");
        }
        let text = decode_base64(object.str_at(certificate));
        let text = String::from_utf8_lossy(&text);
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            errors.invalid(&at, "<certificate data>", "must contain at least one CERTIFICATE PEM block");
        }
    }
}

fn validate_conditions(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let mut seen: HashSet<&str> = HashSet::new();
    for (i, condition) in object.array_at(&["status", "conditions"]).iter().enumerate() {
        let path_i = path.index(i);
        let (kind, status) = (condition.str_at(&["type"]), condition.str_at(&["status"]));
        if kind.is_empty() {
            errors.required(&path_i.child("type"), "");
        }
        let supported: &[&str] = if ["Approved", "Denied", "Failed"].contains(&kind) {
            &["True"]
        } else {
            &["True", "False", "Unknown"]
        };
        if status.is_empty() {
            errors.required(&path_i.child("status"), "");
        } else if !supported.contains(&status) {
            errors.not_supported(&path_i.child("status"), status, supported);
        }
        if !seen.insert(kind) {
            errors.duplicate(&path_i.child("type"), kind);
        }
    }
    if seen.contains("Approved") && seen.contains("Denied") {
        let last = condition_types(object).into_iter().rfind(|kind| ["Approved", "Denied"].contains(kind));
        let detail = "Approved and Denied conditions are mutually exclusive";
        errors.invalid(path, last.unwrap_or(""), detail);
    }
}

static BUNDLE: Kind = Kind {
    name: NameRule::Any,
    unconditional_update: false,
    validate: |errors, _, object| {
        if object.str_at(&["spec", "trustBundle"]).is_empty() {
            errors.invalid(
                &FieldPath::new("spec").child("trustBundle"),
                "<value omitted>",
                "at least one trust anchor must be provided",
            );
        }
    },
    field_names: &["spec.signerName"],
    field_values: |object| vec![("spec.signerName", object.str_at(&["spec", "signerName"]).into())],
    cells: table::cluster_trust_bundle,
    ..Kind::new(GROUP, "clustertrustbundles")
};
