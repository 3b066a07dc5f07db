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

/// The documents of one version's built-in API, each made on first use.
#[derive(Debug, Default)]
pub(crate) struct BuiltInDocuments {
    v3: OnceLock<Cache>,
    v2: OnceLock<Arc<Document>>,
    v2_protobuf: OnceLock<Bytes>,
}

/// The OpenAPI v3 document at a path of the index, such as `apis/apps/v1`. Made on first use.
pub fn v3_document(catalog: &'static Catalog, path: &str) -> Option<Arc<Document>> {
    let document = cache(catalog).get(path)?;
    let make = || Document { hash: hash(catalog, path), ..Document::new(&make_v3(catalog, path)) };
    Some(Arc::clone(document.get_or_init(|| Arc::new(make()))))
}

/// What tells this build's document at `path` from another build's, without making it.
fn hash(catalog: &'static Catalog, path: &str) -> String {
    static SOURCE: OnceLock<String> = OnceLock::new();
    let [source, delta] = catalog.sources();
    let source = SOURCE.get_or_init(|| super::content_hash(source.as_bytes()));
    let described = cfg!(feature = "descriptions");
    let text = format!("{} {described} {source} {delta} {path}", env!("CARGO_PKG_VERSION"));
    super::content_hash(text.as_bytes())
}

/// `/openapi/v3`: the paths that have a document. `custom` adds those of custom resources, with their hashes.
pub fn index<'a>(catalog: &'static Catalog, custom: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let entry = |path: &str, hash: &str| {
        (path.into(), value!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}))
    };
    let built_in = cache(catalog).keys().map(|path| entry(path, &hash(catalog, path)));
    let custom = custom.into_iter().map(|(path, hash)| entry(path, hash));
    value!({"paths": Value::from(Map::from_entries(built_in.chain(custom)))})
}

/// The OpenAPI v2 document of the built-in API. Made on first use.
pub fn v2_document(catalog: &'static Catalog) -> Arc<Document> {
    let document = &catalog.documents().v2;
    Arc::clone(document.get_or_init(|| Arc::new(Document::new(&make_v2(catalog)))))
}

/// The same document as a message of gnostic's `OpenAPIv2.proto`. Made on first use.
pub fn v2_protobuf(catalog: &'static Catalog) -> Bytes {
    let document = &catalog.documents().v2_protobuf;
    document.get_or_init(|| Bytes::from(super::v2_protobuf::encode(&make_v2(catalog)))).clone()
}

fn make_v2(catalog: &'static Catalog) -> Value {
    let items: Vec<PathItem> = cache(catalog).keys().flat_map(|path| items(catalog, path)).collect();
    let text = catalog.text();
    let listed = text.definitions.iter().filter(|definition| !definition.unlisted && !definition.absent);
    let names = listed.filter_map(|definition| text.full_name(definition.reference)).collect();
    let definitions = render(catalog, &names, Dialect::V2);
    v2::document(catalog, &items, definitions)
}

/// A parameter that the built-in document shares.
pub(super) fn shared_parameter(catalog: &'static Catalog, name: &str) -> Option<Value> {
    let items: Vec<PathItem> = cache(catalog).keys().flat_map(|path| items(catalog, path)).collect();
    v2::shared(&items).get(name).cloned()
}

/// One place for each document that there is.
fn cache(catalog: &'static Catalog) -> &'static Cache {
    catalog.documents().v3.get_or_init(|| {
        let mut paths: Vec<String> =
            FIXED.iter().map(|fixed| fixed.path.trim_matches('/').to_owned()).collect();
        for group in catalog.groups() {
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

fn make_v3(catalog: &'static Catalog, path: &str) -> Value {
    let items = items(catalog, path);
    let own = group_version(catalog, path).map_or("", GroupVersion::api_version);
    let mut names = BTreeSet::new();
    for operation in items.iter().flat_map(|item| &item.operations) {
        for answer in &operation.answers {
            collect(catalog, &answer.definition, &mut names);
        }
        match &operation.body {
            Body::None => {}
            Body::Object(definition) => collect(catalog, definition, &mut names),
            Body::DeleteOptions => collect(catalog, &format!("{META}.DeleteOptions"), &mut names),
            Body::Patch => collect(catalog, &format!("{META}.Patch"), &mut names),
        }
    }
    v3::document(catalog, v3::paths(&items), render(catalog, &names, Dialect::V3 { own }))
}

/// The paths that a document describes.
fn items(catalog: &'static Catalog, path: &str) -> Vec<PathItem> {
    if let Some(fixed) = FIXED.iter().find(|fixed| fixed.path.trim_matches('/') == path) {
        return vec![fixed.item()];
    }
    let Some(version) = group_version(catalog, path) else {
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
        items.extend(paths::resource_paths(&Described::built_in(catalog, resource)));
    }
    items
}

fn group_version(catalog: &'static Catalog, path: &str) -> Option<&'static GroupVersion> {
    let mut versions = catalog.groups().iter().flat_map(|group| &group.versions);
    versions.find(|version| document_path(version) == path)
}

impl Described {
    /// A built-in resource.
    fn built_in(catalog: &'static Catalog, resource: &'static Resource) -> Self {
        let list =
            GroupVersionKind { kind: format!("{}List", resource.kind.kind).into(), ..resource.kind.clone() };
        let subresource = |sub: &crate::catalog::Subresource| DescribedSubresource {
            name: sub.name.to_owned(),
            kind: sub.kind.clone(),
            definition: definition(catalog, &sub.kind),
            verbs: sub.verbs.iter().collect(),
        };
        Self {
            group: resource.group.to_owned(),
            version: resource.version.to_owned(),
            plural: resource.name.to_owned(),
            kind: resource.kind.kind.to_string(),
            namespaced: resource.namespaced,
            definition: definition(catalog, &resource.kind),
            list_definition: definition(catalog, &list),
            verbs: resource.verbs.iter().collect(),
            subresources: resource.subresources.iter().map(subresource).collect(),
            custom: false,
        }
    }
}

fn definition(catalog: &Catalog, kind: &GroupVersionKind) -> String {
    catalog.schema(kind).map(|schema| schema.root().ty().name.to_string()).unwrap_or_default()
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
        resource_kind: String::new(),
        subresource: String::new(),
        watches: false,
        parameters: Vec::new(),
        body: Body::None,
        answers: vec![Answer { code: "200", definition }],
        media,
        custom: false,
    };
    PathItem { path: path.to_owned(), tag, operations: vec![operation] }
}
