//! How versions convert: not at all, or by a webhook.

use crate::go_url;
use crate::names_validation::{is_dns1035_label, is_dns1123_subdomain, is_valid_port_num};
use crate::status::{FieldErrors, FieldPath};
use crate::value::Value;

/// The versions of ConversionReview that an API server understands.
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

pub(super) fn validate(errors: &mut FieldErrors, conversion: &Value, path: &FieldPath) {
    let strategy = conversion.str_at(&["strategy"]);
    match strategy {
        "" => errors.required(&path.child("strategy"), ""),
        "None" | "Webhook" => {}
        other => errors.not_supported(&path.child("strategy"), other, &["None", "Webhook"]),
    }
    let config = conversion.at(&["webhook", "clientConfig"]).filter(|config| !config.is_null());
    let versions = conversion.array_at(&["webhook", "conversionReviewVersions"]);
    let (config_path, versions_path) =
        (path.child("webhookClientConfig"), path.child("conversionReviewVersions"));
    if strategy == "Webhook" {
        match config {
            None => errors.required(&config_path, "required when strategy is set to Webhook"),
            Some(config) => client_config(errors, config, &config_path),
        }
        review_versions(errors, versions, &versions_path);
        return;
    }
    let forbidden = "should not be set when strategy is not set to Webhook";
    if config.is_some() {
        errors.forbidden(&config_path, forbidden);
    }
    if !versions.is_empty() {
        errors.forbidden(&versions_path, forbidden);
    }
}

fn client_config(errors: &mut FieldErrors, config: &Value, path: &FieldPath) {
    let service = config.get("service").filter(|service| !service.is_null());
    match (config.get("url").and_then(Value::as_str), service) {
        (Some(url), None) => webhook_url(errors, url, &path.child("url")),
        (None, Some(service)) => webhook_service(errors, service, &path.child("service")),
        _ => errors.required(path, "exactly one of url or service is required"),
    }
}

/// `ValidateWebhookURL` with HTTPS required.
pub fn webhook_url(errors: &mut FieldErrors, url: &str, path: &FieldPath) {
    const FORM: &str = "; desired format: https://host[/path]";
    if let Some(why) = go_url::problem(url) {
        return errors.required(path, format!("url must be a valid URL: {why}{FORM}"));
    }
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    let authority = rest.strip_prefix("//").map_or("", |rest| rest.split('/').next().unwrap_or(""));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" {
        errors.invalid(path, scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        errors.invalid(path, host, format!("host must be specified{FORM}"));
    }
    if let Some(user) = user {
        errors.invalid(path, user, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        errors.invalid(path, fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        errors.invalid(path, query, "query parameters are not permitted in the URL");
    }
}

/// `ValidateWebhookService`. Upstream hands name and namespace over in the wrong order, which shows when one of them is
/// missing.
pub fn webhook_service(errors: &mut FieldErrors, service: &Value, path: &FieldPath) {
    if service.str_at(&["namespace"]).is_empty() {
        errors.required(&path.child("name"), "");
    }
    if service.str_at(&["name"]).is_empty() {
        errors.required(&path.child("namespace"), "");
    }
    webhook_port_and_path(errors, service, path);
}

fn webhook_port_and_path(errors: &mut FieldErrors, service: &Value, path: &FieldPath) {
    let port = service.i64_at(&["port"]).unwrap_or(0);
    let wrong = is_valid_port_num(port);
    if !wrong.is_empty() {
        errors.invalid(&path.child("port"), port, format!("port is not valid: {}", wrong.join(", ")));
    }
    service_path(errors, service.str_at(&["path"]), &path.child("path"));
}

fn service_path(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    if matches!(text, "" | "/") {
        return;
    }
    if text == "//" {
        return errors.invalid(path, text, "segment[0] may not be empty");
    }
    if !text.starts_with('/') {
        errors.invalid(path, text, "must start with a '/'");
    }
    let rest = text.get(1..).unwrap_or("");
    for (i, step) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if step.is_empty() {
            errors.invalid(path, text, format!("segment[{i}] may not be empty"));
            continue;
        }
        for wrong in is_dns1123_subdomain(step) {
            errors.invalid(path, text, format!("segment[{i}]: {wrong}"));
        }
    }
}

fn review_versions(errors: &mut FieldErrors, versions: &[Value], path: &FieldPath) {
    if versions.is_empty() {
        return errors.required(path, "");
    }
    for (i, version) in versions.iter().enumerate() {
        if versions[..i].contains(version) {
            errors.invalid(&path.index(i), version.clone(), "duplicate version");
            continue;
        }
        for wrong in is_dns1035_label(version.as_str().unwrap_or("")) {
            errors.invalid(&path.index(i), version.clone(), wrong);
        }
    }
    if !versions.iter().filter_map(Value::as_str).any(|version| REVIEW_VERSIONS.contains(&version)) {
        let detail = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        errors.invalid(path, versions.to_vec(), detail);
    }
}
