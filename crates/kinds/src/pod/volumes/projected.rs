//! Projected volumes: several sources in one directory.

use drydock_machinery::{FieldErrors, FieldPath, Value};
use foldhash::HashSet;

use super::{downward_file, key_to_path, mode, relative_non_reserved};
use crate::certificates::{bundle_name_errors, signer_name};
use crate::check::{label_selector, one_of_given, required, token_lifetime};
use crate::go_form;
use crate::shape::{has, present};

const KEY_TYPES: [&str; 6] = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

/// Paths that are taken already.
struct Paths<'a>(HashSet<&'a str>);

impl<'a> Paths<'a> {
    /// Takes a path; says `shown` of one that is taken.
    fn take(&mut self, errors: &mut FieldErrors, target: &'a str, shown: &str, path: &FieldPath) {
        if !self.0.insert(target) {
            errors.invalid(path, shown, "conflicting duplicate paths");
        }
    }
}

pub(super) fn projected(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    mode(errors, source, "defaultMode", path);
    let mut paths = Paths(HashSet::default());
    for (i, part) in source.array_at(&["sources"]).iter().enumerate() {
        let at = path.child("sources").index(i);
        let mut found = 0;
        for name in SOURCES {
            if let Some(given) = present(part, &[name]) {
                found += 1;
                part_source(errors, name, given, &mut paths, path, &at.child(name));
            }
        }
        if found > 1 {
            errors.forbidden(&at, "may not specify more than 1 volume type per source");
        }
    }
}

const SOURCES: [&str; 6] =
    ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];

fn part_source<'a>(
    errors: &mut FieldErrors,
    name: &str,
    source: &'a Value,
    paths: &mut Paths<'a>,
    volume: &FieldPath,
    path: &FieldPath,
) {
    match name {
        "secret" | "configMap" => {
            required(errors, source, &["name"], path);
            for (i, item) in source.array_at(&["items"]).iter().enumerate() {
                key_to_path(errors, item, &path.child("items").index(i));
                let target = item.str_at(&["path"]);
                if !target.is_empty() {
                    paths.take(errors, target, source.str_at(&["name"]), volume);
                }
            }
        }
        "downwardAPI" => {
            for file in source.array_at(&["items"]) {
                downward_file(errors, file, path);
                let target = file.str_at(&["path"]);
                if !target.is_empty() {
                    paths.take(errors, target, target, volume);
                }
            }
        }
        "serviceAccountToken" => token(errors, source, volume, path),
        "clusterTrustBundle" => {
            trust_bundle(errors, source, path);
            let target = source.str_at(&["path"]);
            paths.take(errors, target, target, volume);
        }
        _ => certificate(errors, source, paths, volume, path),
    }
}

fn token(errors: &mut FieldErrors, source: &Value, volume: &FieldPath, path: &FieldPath) {
    let seconds = source.i64_at(&["expirationSeconds"]).unwrap_or(3600);
    token_lifetime(errors, seconds, &path.child("expirationSeconds"));
    // The volume's path, as upstream has it.
    match source.str_at(&["path"]) {
        "" => errors.required(&volume.child("path"), ""),
        target => relative_non_reserved(errors, target, &volume.child("path")),
    }
}

fn trust_bundle(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    let (name, signer) = (present(source, &["name"]), present(source, &["signerName"]));
    match (name.and_then(Value::as_str), signer.and_then(Value::as_str)) {
        (Some(_), Some(_)) => {
            errors.invalid(path, source.clone(), "only one of name and signerName may be used");
        }
        (Some(name), None) => {
            if name.is_empty() {
                errors.required(&path.child("name"), "must be a valid object name");
            }
            let signer =
                name.rsplit_once(':').map_or(String::new(), |(signer, _)| signer.replacen(':', "/", 1));
            for wrong in bundle_name_errors(name, &signer) {
                errors.invalid(
                    &path.child("name"),
                    name,
                    format!("not a valid clustertrustbundlename: {wrong}"),
                );
            }
            if let Some(selector) = present(source, &["labelSelector"]) {
                let detail = "labelSelector must be unset if name is specified";
                errors.invalid(&path.child("labelSelector"), go_form::label_selector(selector), detail);
            }
        }
        (None, Some(signer)) => {
            if signer.is_empty() {
                errors.required(&path.child("signerName"), "must be a valid signer name");
            }
            signer_name(errors, signer, &path.child("signerName"));
            if let Some(selector) = present(source, &["labelSelector"]) {
                label_selector(errors, selector, &path.child("labelSelector"));
            }
        }
        (None, None) => errors.required(path, "either name or signerName must be specified"),
    }
    required(errors, source, &["path"], path);
    relative_non_reserved(errors, source.str_at(&["path"]), &path.child("path"));
}

fn certificate<'a>(
    errors: &mut FieldErrors,
    source: &'a Value,
    paths: &mut Paths<'a>,
    volume: &FieldPath,
    path: &FieldPath,
) {
    let signer = source.str_at(&["signerName"]);
    signer_name(errors, signer, &path.child("signerName"));
    one_of_given(errors, source.str_at(&["keyType"]), &KEY_TYPES, &path.child("keyType"));
    if let Some(seconds) = source.i64_at(&["maxExpirationSeconds"]) {
        let path = path.child("maxExpirationSeconds");
        let domain = signer.split('/').next().unwrap_or("");
        let ours = domain == "kubernetes.io" || domain.ends_with(".kubernetes.io");
        let most = if ours { 86_400 } else { 91 * 86_400 };
        if seconds < 3600 {
            errors.invalid(&path, seconds, "if provided, maxExpirationSeconds must be >= 3600");
        }
        if seconds > most {
            errors.invalid(&path, seconds, format!("if provided, maxExpirationSeconds must be <= {most}"));
        }
    }
    let fields = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    for field in fields {
        let target = source.str_at(&[field]);
        if !target.is_empty() {
            relative_non_reserved(errors, target, &path.child(field));
            paths.take(errors, target, target, volume);
        }
    }
    if !fields.iter().any(|field| has(source, &[field]) && !source.str_at(&[field]).is_empty()) {
        let detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.required(path, detail);
    }
}
