//! Paths that are no resource: discovery, OpenAPI, health, version, metrics.

use drydock_machinery::{Reason, Status, Value, json, value};
use http::Method;
use http::header::{CACHE_CONTROL, HeaderValue};

use super::handler::Req;
use super::{Answer, body, discovery, encode, health, metrics, openapi, zpages};
use crate::local::{method_not_allowed, no_such_resource};

/// What upstream's program of this version is built with.
pub(crate) const GO_VERSION: &str = "go1.25";

/// # Errors
/// As the client sees it.
pub(crate) async fn serve(request: &Req, path: &str) -> Result<Answer, Status> {
    let trimmed = path.strip_prefix('/').unwrap_or(path);
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    let parts: Vec<&str> = trimmed.split('/').collect();
    let read = request.parts.method == Method::GET;
    let is_folder = path.len() > 1 && path.ends_with('/');
    match parts.as_slice() {
        // These two are answered whatever the method, and so are groups of custom resources.
        ["apis"] | ["apis", _] => discover(request, &parts, true).await,
        ["apis", group, _] => discover(request, &parts, read || !is_built_in(request, group)).await,
        ["api"] | ["api", "v1"] => discover(request, &parts, read).await,
        ["api", ..] => Err(no_such_resource()),
        ["healthz" | "livez" | "readyz" | "metrics" | "openapi", ..] if is_folder => {
            Ok(body::page_not_found())
        }
        ["healthz" | "livez" | "readyz", ..] => Ok(health::serve(request, &parts)),
        ["metrics"] => Ok(metrics::serve(request)),
        ["metrics", "slis"] => Ok(health::slis(request)),
        ["openapi", rest @ ..] => openapi::serve(request, rest).await,
        ["version"] | [".well-known", "openid-configuration"] | ["openid", "v1", "jwks"] if !read => {
            Err(method_not_allowed())
        }
        ["statusz"] if !is_folder && zpages::are_served(request.core.version.minor) => {
            zpages::statusz(request).await
        }
        ["flagz"] if !is_folder && zpages::are_served(request.core.version.minor) => {
            zpages::flagz(request).await
        }
        ["version"] => {
            check_accepts(request, "application/json")?;
            Ok(version(request))
        }
        ["version", ..] => Err(no_such_resource()),
        [""] if path == "/" => Ok(paths(request)),
        _ if !read && request.parts.method != Method::HEAD => Ok(body::page_not_found()),
        [".well-known", "openid-configuration"] => {
            check_accepts(request, body::JSON)?;
            let document = in_order(&request.core.tokens.discovery().0, &CONFIGURATION);
            Ok(cacheable(body::whole(200, body::JSON, document)))
        }
        ["openid", "v1", "jwks"] => {
            check_accepts(request, "application/jwk-set+json")?;
            let keys = request.core.tokens.discovery().1;
            let keys: Vec<Vec<u8>> = keys.array_at(&["keys"]).iter().map(|key| in_order(key, &KEY)).collect();
            let document = [&b"{\"keys\":["[..], &keys.join(&b','), b"]}"].concat();
            Ok(cacheable(body::whole(200, "application/jwk-set+json", document)))
        }
        _ => Ok(body::page_not_found()),
    }
}

/// What of an issuer may be kept by anyone for an hour.
fn cacheable(mut answer: Answer) -> Answer {
    let value = HeaderValue::from_static("public, max-age=3600");
    answer.headers_mut().insert(CACHE_CONTROL, value);
    answer
}

/// The fields of an issuer's configuration and of its keys, in the order of upstream's structs.
const CONFIGURATION: [&str; 5] = [
    "issuer",
    "jwks_uri",
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
];
const KEY: [&str; 9] = ["use", "kty", "kid", "crv", "alg", "x", "y", "n", "e"];

fn in_order(object: &Value, names: &[&str]) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (name, value) in names.iter().filter_map(|name| Some((*name, object.get(name)?))) {
        if out.len() > 1 {
            out.push(b',');
        }
        json::write_string(name, &mut out);
        out.push(b':');
        json::write(value, &mut out);
    }
    out.push(b'}');
    out
}

fn is_built_in(request: &Req, group: &str) -> bool {
    request.core.registry.resources.table().is_built_in_group(group)
}

async fn discover(request: &Req, parts: &[&str], read: bool) -> Result<Answer, Status> {
    match discovery::find(request, parts) {
        Some(document) if read => discovery::answer(request, document).await,
        Some(_) => Err(method_not_allowed()),
        None if parts[0] == "apis" && parts.len() == 2 => Ok(body::page_not_found()),
        None => {
            let known = parts[0] == "api" || (!parts[1].is_empty() && is_built_in(request, parts[1]));
            if known { Err(no_such_resource()) } else { Ok(body::page_not_found()) }
        }
    }
}

fn version(request: &Req) -> Answer {
    let version = &request.core.version;
    let answer = value!({
        "major": "1", "minor": version.minor.to_string(), "gitVersion": version.git, "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": GO_VERSION, "compiler": "gc",
        "platform": "linux/amd64", "emulationMajor": "1", "emulationMinor": version.minor.to_string(),
        "minCompatibilityMajor": "1", "minCompatibilityMinor": (version.minor - 1).to_string(),
    });
    encode::document(&answer, "io.k8s.apimachinery.pkg.version.Info")
}

/// # Errors
/// 406 when the client takes neither this one type nor any.
fn check_accepts(request: &Req, media_type: &str) -> Result<(), Status> {
    let Some(header) = request.header(http::header::ACCEPT) else { return Ok(()) };
    let types = header.split(',').map(|clause| clause.split(';').next().unwrap_or("").trim());
    let is_taken = types.into_iter().any(|own| own == media_type || matches!(own, "" | "*/*"));
    if is_taken {
        return Ok(());
    }
    let text = format!("406: Not Acceptable\n\nAvailable representations: {media_type}");
    Err(Status::new(406, Reason::NotAcceptable, text).with_details(Default::default()))
}

fn paths(request: &Req) -> Answer {
    encode::document(&value!({"paths": listed(request)}), "")
}

/// What `GET /` lists.
pub(crate) fn listed(request: &Req) -> Vec<String> {
    let table = request.core.registry.resources.table();
    let mut paths = vec![
        "/.well-known/openid-configuration".to_owned(),
        "/api".to_owned(),
        "/api/v1".to_owned(),
        "/apis".to_owned(),
        "/apis/".to_owned(),
    ];
    for group in table.groups.iter().filter(|group| !group.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths
            .extend(group.versions.iter().map(|version| format!("/apis/{}/{}", group.name, version.version)));
    }
    let others =
        ["/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks"];
    paths.extend(others.iter().chain(&["/version"]).map(|path| (*path).to_owned()));
    for endpoint in ["healthz", "livez", "readyz"] {
        paths.push(format!("/{endpoint}"));
        paths.extend(health::checks(endpoint).iter().map(|check| format!("/{endpoint}/{check}")));
    }
    if zpages::are_served(request.core.version.minor) {
        paths.extend(["/flagz", "/statusz"].map(str::to_owned));
    }
    paths.sort();
    paths
}
