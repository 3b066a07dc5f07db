//! Discovery: which groups, versions and resources there are, in its old form (a document each) and its aggregated one.

use std::sync::Arc;

use bytes::Bytes;
use drydock_machinery::{Status, Value, value};
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use sha2::{Digest, Sha256};

use super::documents::Aggregated;
use super::handler::Req;
use super::negotiate::{Format, Offer};
use super::{Answer, body, encode, negotiate};
use crate::resources::{GroupInfo, Resource, ResourceTable, VersionInfo};
use crate::server::Core;

/// A discovery document that exists.
pub(crate) enum Document {
    /// `/api` (true) or `/apis`, which have an aggregated form.
    Root {
        core: bool,
    },
    Value(Value),
}

pub(crate) fn find(request: &Req, parts: &[&str]) -> Option<Document> {
    let table = request.core.registry.resources.table();
    match parts {
        ["api"] => Some(Document::Root { core: true }),
        ["apis"] => Some(Document::Root { core: false }),
        ["api", version] => Some(Document::Value(resource_list(table.version("", version)?, "", version))),
        ["apis", group] if !group.is_empty() => {
            let groups = request.core.groups(&table);
            let mut document = group_value(groups.iter().find(|info| info.name == *group)?);
            document.set(&["kind"], "APIGroup");
            document.set(&["apiVersion"], "v1");
            Some(Document::Value(document))
        }
        ["apis", group, version] => {
            Some(Document::Value(resource_list(table.version(group, version)?, group, version)))
        }
        _ => None,
    }
}

pub(crate) async fn answer(request: &Req, document: Document) -> Result<Answer, Status> {
    let accept = request.header(ACCEPT);
    let core = match document {
        Document::Value(value) => {
            let wanted = match value.str_at(&["kind"]) {
                "APIGroup" => negotiate::accept_of_all(accept, Offer::DOCUMENT)?,
                _ => negotiate::accept(accept, Offer::DOCUMENT)?,
            };
            return Ok(encode::value_answer(request, 200, &value, wanted.format).await);
        }
        Document::Root { core } => core,
    };
    if let Some((version, format)) = aggregated_version(accept) {
        return Ok(aggregated(request, core, version, format).await);
    }
    let wanted = match core {
        true => negotiate::accept(accept, Offer::DOCUMENT)?,
        false => negotiate::accept_of_all(accept, Offer::DOCUMENT)?,
    };
    let table = request.core.registry.resources.table();
    let value = if core { core_versions(request) } else { group_list(&request.core.groups(&table)) };
    Ok(encode::value_answer(request, 200, &value, wanted.format).await)
}

/// `v2` and how it is written, when the aggregated form is what the client likes best.
fn aggregated_version(accept: Option<&str>) -> Option<(&'static str, Format)> {
    for clause in accept?.split(',') {
        let has = |part: &str| clause.split(';').any(|own| own.trim() == part);
        let first = clause.split(';').next().unwrap_or("").trim();
        let format = match first {
            "application/json" => Some(Format::Json),
            "application/yaml" => Some(Format::Yaml),
            _ => None,
        };
        if let Some(format) =
            format.filter(|_| has("as=APIGroupDiscoveryList") && has("g=apidiscovery.k8s.io"))
        {
            if has("v=v2") {
                return Some(("v2", format));
            }
        } else if !has("as=APIGroupDiscoveryList") && matches!(first, "application/json" | "*/*") {
            return None;
        }
    }
    None
}

async fn aggregated(request: &Req, core: bool, version: &'static str, format: Format) -> Answer {
    let table = request.core.registry.resources.table();
    let generation = (table.generation, request.core.aggregation.generation());
    let document = request.core.documents.aggregated(generation, core, version, || {
        let bytes = aggregated_bytes(&request.core, &table, core, version);
        let etag = format!("\"{}\"", hex(&Sha256::digest(&bytes)));
        Aggregated { bytes: Bytes::from(bytes), etag }
    });
    if request.header(IF_NONE_MATCH) == Some(document.etag.as_str()) {
        let mut answer = body::whole(304, body::JSON, Bytes::new());
        answer.headers_mut().remove(CONTENT_TYPE);
        return answer;
    }
    let (media_type, bytes) = match format {
        Format::Yaml => {
            let tree = Value::from_json(&document.bytes).unwrap_or_default();
            ("application/yaml", Bytes::from(serde_saphyr::to_string(&tree).unwrap_or_default()))
        }
        _ => ("application/json", document.bytes.clone()),
    };
    let mut answer = body::whole(200, body::JSON, bytes);
    let content_type = format!("{media_type};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    for (name, text) in [(CONTENT_TYPE, content_type), (ETAG, document.etag.clone())] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            answer.headers_mut().insert(name, value);
        }
    }
    encode::finish(request, answer).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn core_versions(request: &Req) -> Value {
    value!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": request.core.address}],
    })
}

fn group_list(groups: &[GroupInfo]) -> Value {
    let groups: Vec<Value> = groups.iter().filter(|group| !group.name.is_empty()).map(group_value).collect();
    value!({"kind": "APIGroupList", "apiVersion": "v1"}).with("groups", groups)
}

trait With {
    fn with(self, key: &str, value: impl Into<Value>) -> Value;
}

impl With for Value {
    fn with(mut self, key: &str, value: impl Into<Value>) -> Value {
        self.set(&[key], value);
        self
    }
}

fn group_value(group: &GroupInfo) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|info| {
            value!({"groupVersion": format!("{}/{}", group.name, info.version), "version": info.version})
        })
        .collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    value!({"name": group.name}).with("versions", versions).with("preferredVersion", preferred)
}

fn resource_list(info: &VersionInfo, group: &str, version: &str) -> Value {
    let mut resources: Vec<Value> = Vec::new();
    for resource in &info.resources {
        resources.push(main_entry(resource));
        resources.extend(resource.subresources.iter().map(|sub| {
            let mut entry = value!({
                "name": format!("{}/{}", resource.gvr.resource, sub.name), "singularName": "",
                "namespaced": resource.namespaced, "kind": &*sub.kind.kind, "verbs": sub.verbs,
            });
            if sub.foreign {
                entry.set(&["version"], &*sub.kind.version);
                if !sub.kind.group.is_empty() {
                    entry.set(&["group"], &*sub.kind.group);
                }
            }
            entry
        }));
    }
    let mut list = value!({"kind": "APIResourceList"}).with("resources", resources);
    if group.is_empty() {
        list.set(&["groupVersion"], version);
    } else {
        list.set(&["apiVersion"], "v1");
        list.set(&["groupVersion"], format!("{group}/{version}"));
    }
    list
}

fn main_entry(resource: &Resource) -> Value {
    let mut entry = value!({
        "name": &*resource.gvr.resource, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": &*resource.gvk.kind, "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        entry.set(&["shortNames"], resource.short_names.clone());
    }
    if !resource.categories.is_empty() {
        entry.set(&["categories"], resource.categories.clone());
    }
    if !resource.storage_version_hash.is_empty() {
        entry.set(&["storageVersionHash"], resource.storage_version_hash.as_str());
    }
    entry
}

fn aggregated_bytes(server: &Core, table: &ResourceTable, core: bool, version: &str) -> Vec<u8> {
    let groups = server.groups(table);
    let groups = groups.iter().filter(|group| group.name.is_empty() == core);
    let items: Vec<Value> = groups.map(|group| aggregated_group(server, group)).collect();
    let list = value!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
    });
    let mut bytes = list.with("items", items).to_json();
    bytes.push(b'\n');
    bytes
}

fn aggregated_group(server: &Core, group: &GroupInfo) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|info| {
            if let Some(remote) = server.remote_version(&group.name, &info.version) {
                return remote;
            }
            let resources: Vec<Value> = info.resources.iter().map(aggregated_resource).collect();
            value!({"version": info.version, "freshness": "Current"}).with("resources", resources)
        })
        .collect();
    let mut metadata = Value::object();
    if !group.name.is_empty() {
        metadata.set(&["name"], group.name.as_str());
    }
    Value::object().with("metadata", metadata).with("versions", versions)
}

fn aggregated_resource(resource: &Arc<Resource>) -> Value {
    // Group and version are left out where they are those of the resource.
    let custom = resource.custom.is_some();
    let kind = |gvk: &drydock_machinery::GroupVersionKind, foreign: bool| {
        let (group, version) = if foreign || custom { (&*gvk.group, &*gvk.version) } else { ("", "") };
        value!({"group": group, "version": version, "kind": &*gvk.kind})
    };
    let mut entry = value!({
        "resource": &*resource.gvr.resource, "singularResource": resource.singular, "verbs": resource.verbs,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
    });
    entry.set(&["responseKind"], kind(&resource.gvk, false));
    if !resource.short_names.is_empty() {
        entry.set(&["shortNames"], resource.short_names.clone());
    }
    if !resource.categories.is_empty() {
        entry.set(&["categories"], resource.categories.clone());
    }
    if !resource.subresources.is_empty() {
        let subresources: Vec<Value> = resource
            .subresources
            .iter()
            .map(|sub| {
                value!({"subresource": sub.name, "verbs": sub.verbs})
                    .with("responseKind", kind(&sub.kind, sub.foreign))
            })
            .collect();
        entry.set(&["subresources"], subresources);
    }
    entry
}
