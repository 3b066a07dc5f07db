//! The documents of the built-in API.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::operations::{Answer, Body, Described, DescribedSubresource, Media, Operation, PathItem};
use super::schemas::{Dialect, collect, render};
use super::{Cache, Document, paths, v2, v3};
use crate::catalog::{Catalog, GroupVersion, Resource};
use crate::names::GroupVersionKind;
use crate::value;
use crate::value::{Map, Value};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The OpenAPI v3 document at a path of the index, such as `apis/apps/v1`. Made on first use.
pub fn v3_document(path: &str) -> Option<Arc<Document>> {
    let document = cache().get(path)?;
    let make = || Document { hash: hash(path), ..Document::new(&make_v3(path)) };
    Some(Arc::clone(document.get_or_init(|| Arc::new(make()))))
}

/// What tells this build's document at `path` from another build's, without making it.
fn hash(path: &str) -> String {
    static CATALOG: OnceLock<String> = OnceLock::new();
    let catalog = CATALOG.get_or_init(|| super::content_hash(Catalog::builtin().source().as_bytes()));
    super::content_hash(format!("{} {catalog} {path}", env!("CARGO_PKG_VERSION")).as_bytes())
}

/// `/openapi/v3`: the paths that have a document. `custom` adds those of custom resources, with their hashes.
pub fn index<'a>(custom: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let entry = |path: &str, hash: &str| {
        (path.into(), value!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}))
    };
    let built_in = cache().keys().map(|path| entry(path, &hash(path)));
    let custom = custom.into_iter().map(|(path, hash)| entry(path, hash));
    value!({"paths": Value::from(Map::from_entries(built_in.chain(custom)))})
}

/// The OpenAPI v2 document of the built-in API. Made on first use.
pub fn v2_document() -> Arc<Document> {
    static DOCUMENT: OnceLock<Arc<Document>> = OnceLock::new();
    Arc::clone(DOCUMENT.get_or_init(|| Arc::new(Document::new(&make_v2()))))
}

/// The same document as a message of gnostic's `OpenAPIv2.proto`. Made on first use.
pub fn v2_protobuf() -> Bytes {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    DOCUMENT.get_or_init(|| encode_v2(&make_v2())).clone()
}

/// An OpenAPI v2 document as a message of gnostic's `OpenAPIv2.proto`.
pub fn encode_v2(document: &Value) -> Bytes {
    Bytes::from(super::v2_protobuf::encode(document))
}

/// The OpenAPI v2 document of the built-in API with more paths and definitions in it.
pub fn v2_document_with(paths: Map, definitions: Map) -> Value {
    let mut document = make_v2();
    for (field, added) in [("paths", paths), ("definitions", definitions)] {
        let map = document.at_mut(&[field]).as_object_mut();
        if let Some(map) = map {
            for (name, value) in added.iter() {
                map.insert(name.clone(), value.clone());
            }
        }
    }
    document
}

fn make_v2() -> Value {
    let items: Vec<PathItem> = cache().keys().flat_map(|path| items(path)).collect();
    let text = Catalog::builtin().text();
    let listed = text.definitions.iter().filter(|definition| !definition.unlisted);
    let names = listed.filter_map(|definition| text.full_name(definition.reference)).collect();
    let definitions = render(&names, Dialect::V2);
    v2::document(v2::paths(&items), definitions)
}

/// One place for each document that there is.
fn cache() -> &'static Cache {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    CACHE.get_or_init(|| {
        let mut paths: Vec<String> =
            FIXED.iter().map(|fixed| fixed.path.trim_matches('/').to_owned()).collect();
        for group in Catalog::builtin().groups() {
            if !group.name.is_empty() {
                paths.push(format!("apis/{}", group.name));
            }
            paths.extend(group.versions.iter().map(document_path));
        }
        paths.into_iter().map(|path| (path, OnceLock::new())).collect()
    })
}

fn document_path(version: &GroupVersion) -> String {
    match version.group {
        "" => format!("api/{}", version.version),
        group => format!("apis/{group}/{}", version.version),
    }
}

fn make_v3(path: &str) -> Value {
    let items = items(path);
    let own = group_version(path).map_or("", GroupVersion::api_version);
    let text = Catalog::builtin().text();
    let mut names = BTreeSet::new();
    for operation in items.iter().flat_map(|item| &item.operations) {
        for answer in &operation.answers {
            collect(text, &answer.definition, &mut names);
        }
        match &operation.body {
            Body::None => {}
            Body::Object(definition) => collect(text, definition, &mut names),
            Body::DeleteOptions => collect(text, &format!("{META}.DeleteOptions"), &mut names),
            Body::Patch => collect(text, &format!("{META}.Patch"), &mut names),
        }
    }
    v3::document(v3::paths(&items), render(&names, Dialect::V3 { own }))
}

/// The paths that a document describes.
fn items(path: &str) -> Vec<PathItem> {
    if let Some(fixed) = FIXED.iter().find(|fixed| fixed.path.trim_matches('/') == path) {
        return vec![fixed.item()];
    }
    let Some(version) = group_version(path) else {
        let group = path.strip_prefix("apis/").unwrap_or(path);
        let id = format!("get{}APIGroup", paths::camel(group));
        let definition = format!("{META}.APIGroup");
        return vec![get(&format!("/{path}/"), id, definition, Media::Standard, paths::group_tag(group))];
    };
    let api = format!("{}{}", paths::camel(version.group), paths::capital(version.version));
    let mut items = vec![get(
        &format!("/{path}/"),
        format!("get{api}APIResources"),
        format!("{META}.APIResourceList"),
        Media::Standard,
        paths::tag(version.group, version.version),
    )];
    for resource in &version.resources {
        items.extend(paths::resource_paths(&described(resource)));
    }
    items
}

fn group_version(path: &str) -> Option<&'static GroupVersion> {
    let mut versions = Catalog::builtin().groups().iter().flat_map(|group| &group.versions);
    versions.find(|version| document_path(version) == path)
}

impl Described {
    /// A built-in resource.
    fn built_in(resource: &'static Resource) -> Self {
        let list =
            GroupVersionKind { kind: format!("{}List", resource.kind.kind).into(), ..resource.kind.clone() };
        let subresource = |sub: &crate::catalog::Subresource| DescribedSubresource {
            name: sub.name.to_owned(),
            kind: sub.kind.clone(),
            definition: definition(&sub.kind),
            verbs: sub.verbs.iter().collect(),
        };
        Self {
            group: resource.group.to_owned(),
            version: resource.version.to_owned(),
            plural: resource.name.to_owned(),
            kind: resource.kind.kind.to_string(),
            namespaced: resource.namespaced,
            definition: definition(&resource.kind),
            list_definition: definition(&list),
            verbs: resource.verbs.iter().collect(),
            subresources: resource.subresources.iter().map(subresource).collect(),
            custom: false,
        }
    }
}

fn described(resource: &'static Resource) -> Described {
    Described::built_in(resource)
}

fn definition(kind: &GroupVersionKind) -> String {
    Catalog::builtin().schema(kind).map(|schema| schema.root().ty().name.to_string()).unwrap_or_default()
}

/// Paths that belong to no group version.
struct Fixed {
    path: &'static str,
    id: &'static str,
    definition: &'static str,
    media: Media,
    tag: &'static str,
}

const FIXED: [Fixed; 5] = [
    Fixed {
        path: "/.well-known/openid-configuration/",
        id: "getServiceAccountIssuerOpenIDConfiguration",
        definition: "",
        media: Media::Json,
        tag: "WellKnown",
    },
    Fixed {
        path: "/api/",
        id: "getCoreAPIVersions",
        definition: "io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions",
        media: Media::Standard,
        tag: "core",
    },
    Fixed {
        path: "/apis/",
        id: "getAPIVersions",
        definition: "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList",
        media: Media::Standard,
        tag: "apis",
    },
    Fixed {
        path: "/openid/v1/jwks/",
        id: "getServiceAccountIssuerOpenIDKeyset",
        definition: "",
        media: Media::Jwks,
        tag: "openid",
    },
    Fixed {
        path: "/version/",
        id: "getCodeVersion",
        definition: "io.k8s.apimachinery.pkg.version.Info",
        media: Media::Json,
        tag: "version",
    },
];

impl Fixed {
    fn item(&self) -> PathItem {
        get(self.path, self.id.to_owned(), self.definition.to_owned(), self.media, self.tag.to_owned())
    }
}

fn get(path: &str, id: String, definition: String, media: Media, tag: String) -> PathItem {
    let operation = Operation {
        method: "get",
        id,
        action: "",
        kind: None,
        parameters: Vec::new(),
        body: Body::None,
        answers: vec![Answer { code: "200", definition }],
        media,
        custom: false,
    };
    PathItem { path: path.to_owned(), tag, operations: vec![operation] }
}
