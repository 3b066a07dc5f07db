//! certificates.k8s.io: CertificateSigningRequest.
//!
//! Deliberately absent: who the requester is, which the API server writes into a new request.

use std::collections::HashSet;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::one_of;
use crate::core::decode_base64;
use crate::kind::{Kind, Step};
use crate::shape::{each_mut, has, keep, same, seconds, shown};
use crate::{Context, NameRule, table};

pub(crate) const KINDS: &[&Kind] = &[&REQUEST];

static REQUEST: Kind = Kind {
    update: STEPS,
    update_status: STEPS,
    name: NameRule::Any,
    status: true,
    prepare_update,
    validate: |errors, _, object, old| validate(errors, object, old),
    validate_change: |errors, object, old| validate_change(errors, "", object, old),
    validate_status: |errors, context, object, old| validate_change(errors, context.subresource, object, old),
    field_names: &["spec.signerName"],
    field_values: |object| vec![("spec.signerName", object.str_at(&["spec", "signerName"]).into())],
    cells: table::certificate_signing_request,
    ..Kind::new("certificates.k8s.io", "certificatesigningrequests")
};

/// The steps of `validateCertificateSigningRequestUpdate`, whichever part is written.
const STEPS: &[Step] = &[Step::Meta, Step::Body, Step::Change, Step::MetaChange];

const CONDITIONS: [&str; 2] = ["status", "conditions"];
const CERTIFICATE: [&str; 2] = ["status", "certificate"];

/// The status brings a certificate and what else there is to say, the approval Approved, Denied and Failed.
fn prepare_update(context: &Context<'_>, object: &mut Value, old: &Value) {
    keep(object, old, &["spec"]);
    match context.subresource {
        "approval" => {
            let new = object.clone();
            keep(object, old, &["status"]);
            keep(object, &new, &CONDITIONS);
            stamp(context, object, old);
        }
        "status" => {
            for kind in ["Approved", "Denied"] {
                keep_conditions(object, old, kind);
            }
            stamp(context, object, old);
        }
        _ => keep(object, old, &["status"]),
    }
}

fn of_type<'a>(object: &'a Value, kind: &str) -> Vec<&'a Value> {
    object.array_at(&CONDITIONS).iter().filter(|condition| condition.str_at(&["type"]) == kind).collect()
}

/// `preserveConditionInstances`: as many conditions of a type as before are those that there were.
fn keep_conditions(object: &mut Value, old: &Value, kind: &str) {
    let before = of_type(old, kind);
    if of_type(object, kind).len() != before.len() {
        return;
    }
    let mut before = before.into_iter();
    each_mut(object, &CONDITIONS, |condition| {
        if condition.str_at(&["type"]) == kind
            && let Some(old) = before.next()
        {
            *condition = old.clone();
        }
    });
}

/// `populateConditionTimestamps`: conditions without times get them.
fn stamp(context: &Context<'_>, object: &mut Value, old: &Value) {
    let now = seconds(context.now);
    each_mut(object, &CONDITIONS, |condition| {
        if condition.str_at(&["lastUpdateTime"]).is_empty() {
            condition.set(&["lastUpdateTime"], now.as_str());
        }
        if condition.str_at(&["lastTransitionTime"]).is_empty() {
            let before = |old: &&Value| {
                ["type", "status"].iter().all(|field| old.get(field) == condition.get(field))
                    && !old.str_at(&["lastTransitionTime"]).is_empty()
            };
            let time = old.array_at(&CONDITIONS).iter().find(before);
            let time = time.map_or(now.as_str(), |old| old.str_at(&["lastTransitionTime"])).to_owned();
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

/// `validateCertificateSigningRequest`. What was let pass once is no fault of an update.
fn validate(errors: &mut FieldErrors, object: &Value, old: Option<&Value>) {
    let path = FieldPath::new("spec");
    let request = object.str_at(&["spec", "request"]);
    if let Err(why) = parse_request(&decode_base64(request)) {
        errors.invalid(&path.child("request"), shown(object, &["spec", "request"]), why);
    }
    // The spec never changes: what it says was looked at when it was new.
    if old.is_none() {
        validate_usages(errors, object, &path.child("usages"));
    }
    let signer = object.str_at(&["spec", "signerName"]);
    if signer == "kubernetes.io/legacy-unknown" && old.is_none() {
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
    validate_conditions(errors, object, old, &FieldPath::new("status").child("conditions"));
    let unchanged = |old: &Value| same(object.at(&CERTIFICATE), old.at(&CERTIFICATE));
    if !old.is_some_and(unchanged)
        && let Err(why) = parse_certificates(object)
        && old.is_none_or(|old| parse_certificates(old).is_ok())
    {
        errors.invalid(&FieldPath::new("status").child("certificate"), "<certificate data>", why);
    }
}

fn validate_usages(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let usages: Vec<&str> = object.array_at(&["spec", "usages"]).iter().filter_map(Value::as_str).collect();
    if usages.is_empty() {
        errors.required(path, "");
    }
    for (i, usage) in usages.iter().enumerate().filter(|(_, usage)| !USAGES.contains(usage)) {
        errors.not_supported(&path.index(i), *usage, &USAGES);
    }
    for (i, usage) in usages.iter().enumerate().filter(|(i, usage)| usages[..*i].contains(usage)) {
        errors.duplicate(&path.index(i), *usage);
    }
}

/// The texts between the lines that begin and end a PEM block, with its type.
fn pem_blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("-----BEGIN ").skip(1).filter_map(|rest| {
        let (kind, rest) = rest.split_once("-----")?;
        let (body, _) = rest.split_once(&format!("-----END {kind}-----"))?;
        Some((kind, body))
    })
}

/// The PEM framing of a request; its signature is for the signer to check.
fn parse_request(pem: &[u8]) -> Result<(), &'static str> {
    let first = String::from_utf8_lossy(pem);
    match pem_blocks(&first).next() {
        Some(("CERTIFICATE REQUEST", _)) => Ok(()),
        _ => Err("PEM block type must be CERTIFICATE REQUEST"),
    }
}

/// `status.certificate`: PEM blocks of certificates.
fn parse_certificates(object: &Value) -> Result<(), String> {
    let pem = decode_base64(object.str_at(&CERTIFICATE));
    if pem.is_empty() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&pem);
    let mut found = false;
    for (kind, body) in pem_blocks(&text) {
        if kind != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {kind:?}"));
        }
        if body.contains(':') {
            return Err("no PEM block headers are permitted".to_owned());
        }
        let body: String = body.split_whitespace().collect();
        let der = decode_base64(&body);
        let mut rest = der.as_slice();
        if rest.is_empty() {
            return Err("found CERTIFICATE PEM block containing 0 certificates".to_owned());
        }
        while !rest.is_empty() {
            (rest, _) =
                x509_parser::parse_x509_certificate(rest).map_err(|_| "x509: malformed certificate")?;
        }
        found = true;
    }
    if found { Ok(()) } else { Err("must contain at least one CERTIFICATE PEM block".to_owned()) }
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
    const LONGEST: usize = 253;
    if domain.len() > LONGEST {
        errors.too_long(path, LONGEST);
    }
    labels_of(errors, domain, names::is_dns1123_label, path);
    if domain.split('.').count() < 2 {
        errors.invalid(path, domain, "should be a domain with at least two segments separated by dots");
    }
    labels_of(errors, rest, names::is_dns1123_subdomain, path);
    // A domain, and what is at most a subdomain and a label.
    let most = LONGEST + 1 + (LONGEST + 1 + 63);
    if name.len() > most {
        errors.too_long(path, most);
    }
}

/// What is wrong with the first bad one of the labels that a part of a signer's name consists of.
fn labels_of(errors: &mut FieldErrors, part: &str, problems: fn(&str) -> Vec<String>, path: &FieldPath) {
    let bad = part.split('.').map(|label| (label, problems(label))).find(|(_, found)| !found.is_empty());
    let (label, found) = bad.unwrap_or_default();
    for text in found {
        errors.invalid(path, part, format!("validating label {label:?}: {text}"));
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

fn validate_conditions(errors: &mut FieldErrors, object: &Value, old: Option<&Value>, path: &FieldPath) {
    let types = |object: &Value| -> Vec<String> {
        object.array_at(&CONDITIONS).iter().map(|condition| condition.str_at(&["type"]).to_owned()).collect()
    };
    let before = old.map(types).unwrap_or_default();
    let had = |kind: &str| before.iter().any(|known| known == kind);
    let had_both = had("Approved") && had("Denied");
    let had_duplicates = before.iter().collect::<HashSet<_>>().len() < before.len();
    let mut seen: HashSet<&str> = HashSet::new();
    for (i, condition) in object.array_at(&CONDITIONS).iter().enumerate() {
        let at = path.index(i);
        let (kind, status) = (condition.str_at(&["type"]), condition.str_at(&["status"]));
        if kind.is_empty() && !had("") {
            errors.required(&at.child("type"), "");
        }
        let supported: &[&str] = if ["Approved", "Denied", "Failed"].contains(&kind) {
            &["True"]
        } else {
            &["False", "True", "Unknown"]
        };
        one_of(errors, status, supported, &at.child("status"));
        let other = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !other.is_empty() && seen.contains(other) && !had_both {
            errors.invalid(path, kind, "Approved and Denied conditions are mutually exclusive");
        }
        if !seen.insert(kind) && !had_duplicates {
            errors.duplicate(&at.child("type"), kind);
        }
    }
}

/// What neither part may take back, and what only one of them may bring. What may not be modified has been put back
/// before.
fn validate_change(errors: &mut FieldErrors, subresource: &str, object: &Value, old: &Value) {
    let path = FieldPath::new("status").child("conditions");
    for kind in ["Approved", "Denied", "Failed"] {
        if of_type(object, kind).len() < of_type(old, kind).len() {
            errors.forbidden(&path, format!("updates may not remove a condition of type {kind:?}"));
        }
    }
    for kind in ["Approved", "Denied"].into_iter().filter(|_| subresource != "approval") {
        if of_type(object, kind).len() > of_type(old, kind).len() {
            errors.forbidden(&path, format!("updates may not add a condition of type {kind:?}"));
        }
    }
    if has(old, &CERTIFICATE) && !same(object.at(&CERTIFICATE), old.at(&CERTIFICATE)) {
        let path = FieldPath::new("status").child("certificate");
        errors.forbidden(&path, "updates may not modify existing certificate content");
    }
}
