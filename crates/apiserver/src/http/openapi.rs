//! OpenAPI documents. The built-in ones are shared by all tenants; custom resources' are the tenant's.

use bytes::Bytes;
use drydock_machinery::openapi::{self, Document};
use drydock_machinery::{Catalog, Status};
use drydock_runtime::wall;
use http::StatusCode;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, HeaderValue, IF_NONE_MATCH, LOCATION, VARY,
};
use jiff::SignedDuration;

use super::handler::Req;
use super::negotiate::Format;
use super::{Answer, body, encode};

const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

pub(crate) async fn serve(request: &Req, parts: &[&str]) -> Result<Answer, Status> {
    let mut answer = found(request, parts).await?;
    let is_index = parts == ["v3"];
    if !is_index && answer.status() != StatusCode::NOT_FOUND {
        answer.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    }
    Ok(answer)
}

async fn found(request: &Req, parts: &[&str]) -> Result<Answer, Status> {
    let catalog = Catalog::of(request.core.version.minor);
    match parts {
        ["v3"] => {
            let custom = request.core.documents.custom_openapi();
            let remote = request.core.aggregation.openapi();
            let remote = remote.iter().map(|(path, hash)| (path.as_str(), hash.as_str()));
            let entries = custom.v3.iter().map(|(path, document)| (path.as_str(), document.hash.as_str()));
            let index = openapi::index(catalog, entries.chain(remote));
            let mut answer = encode::value_answer(request, 200, &index, Format::Json).await;
            // Upstream leaves the type to be guessed.
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(body::TEXT));
            Ok(answer)
        }
        ["v2"] if !is_acceptable(request.header(ACCEPT)) => Ok(body::nothing(406)),
        ["v2"] => v2(request, catalog).await,
        ["v3", rest @ ..] => v3(request, catalog, &rest.join("/")).await,
        _ => Ok(body::page_not_found()),
    }
}

/// Documents are JSON or protobuf.
fn is_acceptable(accept: Option<&str>) -> bool {
    let Some(accept) = accept.filter(|accept| !accept.is_empty()) else { return true };
    let mut types = accept.split(',').map(|clause| clause.split(';').next().unwrap_or("").trim());
    types.any(|own| {
        matches!(own, "*/*" | "application/*" | "application/json") || own.contains("proto-openapi.spec")
    })
}

async fn v2(request: &Req, catalog: &'static Catalog) -> Result<Answer, Status> {
    let accept = request.header(ACCEPT).unwrap_or("");
    // Also asked for with `@` in place of a dot, by old clients.
    let protobuf = accept.contains("com.github.proto-openapi.spec.v2") && !accept.contains("json");
    let addition = request.core.documents.v2_addition(catalog, &request.core.aggregation);
    let Some(addition) = addition else {
        if protobuf {
            let answer = body::whole(200, V2_PROTOBUF, openapi::v2_protobuf(catalog));
            return Ok(encode::finish(request, answer).await);
        }
        return Ok(document(request, &openapi::v2_document(catalog)).await);
    };
    let (json, message) = openapi::v2_with(catalog, &addition);
    if protobuf {
        return Ok(encode::finish(request, body::whole(200, V2_PROTOBUF, message)).await);
    }
    Ok(document(request, &json).await)
}

async fn v3(request: &Req, catalog: &'static Catalog, path: &str) -> Result<Answer, Status> {
    let custom = request.core.documents.custom_openapi();
    let found = custom.v3.get(path).cloned().or_else(|| openapi::v3_document(catalog, path));
    // Upstream's handler says nothing more.
    let Some(found) = found else { return Ok(body::nothing(404)) };
    if !is_acceptable(request.header(ACCEPT)) {
        return Ok(body::nothing(406));
    }
    match request.query.get("hash") {
        Some(hash) if hash != found.hash => {
            let mut answer = body::whole(301, body::JSON, Bytes::new());
            let location = format!("/openapi/v3/{path}?hash={}", found.hash);
            if let Ok(location) = HeaderValue::from_str(&location) {
                answer.headers_mut().insert(LOCATION, location);
            }
            Ok(answer)
        }
        asked => {
            let mut answer = document(request, &found).await;
            if asked.is_some() {
                let headers = answer.headers_mut();
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
                // In a year, on the client's clock.
                let expires = wall::now().saturating_add(SignedDuration::from_hours(365 * 24));
                let expires = expires.map(|at| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
                if let Some(expires) = expires.ok().and_then(|text| HeaderValue::from_str(&text).ok()) {
                    headers.insert(EXPIRES, expires);
                }
            }
            Ok(answer)
        }
    }
}

async fn document(request: &Req, document: &Document) -> Answer {
    let etag = format!("\"{}\"", document.hash);
    if request.header(IF_NONE_MATCH) == Some(etag.as_str()) {
        let mut answer = body::whole(304, body::JSON, Bytes::new());
        answer.headers_mut().remove(CONTENT_TYPE);
        return answer;
    }
    let mut answer = body::whole(200, body::JSON, document.json.clone());
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        answer.headers_mut().insert(ETAG, etag);
    }
    encode::finish(request, answer).await
}
