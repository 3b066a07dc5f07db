//! The paths of a resource, and what can be done there.

use super::operations::{
    Answer, Body, DELETE, Described, DescribedSubresource, LIST, Media, NAME, NAMESPACE, Operation, PATCH,
    PRETTY, Parameter, PathItem, RESOURCE_VERSION, REST_OF_PATH, WRITE, options,
};
use super::v3;
use crate::names::GroupVersionKind;
use crate::value::Map;

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const WATCH_EVENT: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";

/// Built-in kinds whose DELETE answers the object rather than a Status.
const DELETE_ANSWERS_OBJECT: [&str; 16] = [
    "CSIDriver",
    "CSINode",
    "DeviceClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodTemplate",
    "ResourceClaim",
    "ResourceClaimTemplate",
    "ResourceQuota",
    "ResourceSlice",
    "Service",
    "ServiceAccount",
    "StorageClass",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// The OpenAPI v3 paths of a custom resource, for [`super::document`].
pub fn custom_paths(resource: &Described) -> Map {
    v3::paths(&resource_paths(resource))
}

/// All paths of a resource.
pub(super) fn resource_paths(resource: &Described) -> Vec<PathItem> {
    let names = Names::of(resource);
    let collection = names.collection();
    let mut items = vec![
        names.item(collection.clone(), names.collection_operations()),
        names.item(format!("{collection}/{{name}}"), names.object_operations()),
    ];
    if resource.namespaced && names.can("list") {
        let operation = names.list("list", "ForAllNamespaces", &[]);
        items.push(names.item(format!("{}/{}", names.root, resource.plural), vec![operation]));
    }
    items.extend(names.watch_paths());
    for subresource in &resource.subresources {
        let names = Names { subresource: &subresource.name, ..Names::of(resource) };
        items.extend(names.subresource_paths(&format!("{collection}/{{name}}"), subresource));
    }
    items.retain(|item| !item.operations.is_empty());
    items
}

/// `core_v1`, `rbacAuthorization_v1`: how a group version is called in tags.
pub(super) fn tag(group: &str, version: &str) -> String {
    format!("{}_{version}", group_tag(group))
}

pub(super) fn group_tag(group: &str) -> String {
    let camel = camel(group);
    let mut chars = camel.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

/// `Core`, `RbacAuthorization`: how a group is called in operation ids.
pub(super) fn camel(group: &str) -> String {
    if group.is_empty() {
        return "Core".into();
    }
    group.trim_end_matches(".k8s.io").split(['.', '-']).map(capital).collect()
}

pub(super) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// A resource, or a subresource of it, and how its operations are called.
struct Names<'a> {
    resource: &'a Described,
    /// "" for the resource itself.
    subresource: &'a str,
    /// `/apis/apps/v1`
    root: String,
    /// `AppsV1`
    api: String,
    /// `Namespaced` or "".
    scope: &'static str,
    own: GroupVersionKind,
}

impl<'a> Names<'a> {
    fn of(resource: &'a Described) -> Self {
        let Described { group, version, kind, .. } = resource;
        let root =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        Self {
            resource,
            subresource: "",
            root,
            api: format!("{}{}", camel(group), capital(version)),
            scope: if resource.namespaced { "Namespaced" } else { "" },
            own: GroupVersionKind {
                group: group.clone().into(),
                version: version.clone().into(),
                kind: kind.clone().into(),
            },
        }
    }

    fn can(&self, verb: &str) -> bool {
        self.resource.verbs.contains(&verb)
    }

    fn collection(&self) -> String {
        self.collection_below(&self.root)
    }

    fn collection_below(&self, root: &str) -> String {
        let plural = &self.resource.plural;
        if self.resource.namespaced {
            format!("{root}/namespaces/{{namespace}}/{plural}")
        } else {
            format!("{root}/{plural}")
        }
    }

    fn item(&self, path: String, operations: Vec<Operation>) -> PathItem {
        PathItem { path, tag: tag(&self.resource.group, &self.resource.version), operations }
    }

    /// An operation with the parameters that every one has.
    fn operation(&self, method: &'static str, id: String, action: &'static str) -> Operation {
        Operation {
            method,
            id,
            action,
            kind: Some(self.own.clone()),
            resource_kind: self.resource.kind.clone(),
            subresource: self.subresource.to_owned(),
            watches: false,
            parameters: vec![PRETTY],
            body: Body::None,
            answers: Vec::new(),
            media: Media::Standard,
            custom: self.resource.custom,
        }
    }

    /// The parameters that the path itself has.
    fn path_parameters(&self, more: &[Parameter]) -> Vec<Parameter> {
        let namespace = self.resource.namespaced.then_some(NAMESPACE);
        namespace.into_iter().chain(more.iter().copied()).collect()
    }

    fn list(&self, action: &'static str, suffix: &str, path: &[Parameter]) -> Operation {
        let Described { kind, list_definition, .. } = self.resource;
        // `Namespaced` is said of one namespace, `ForAllNamespaces` of all.
        let scope = if suffix.is_empty() { self.scope } else { "" };
        let mut operation = self.operation("get", format!("list{}{scope}{kind}{suffix}", self.api), action);
        operation.parameters.extend(path.iter().chain(&LIST));
        operation.answers = vec![answer("200", list_definition)];
        operation.media = Media::Streams;
        // Custom resources' lists are not said to be watched.
        operation.watches = self.can("watch") && !self.resource.custom;
        operation
    }

    fn collection_operations(&self) -> Vec<Operation> {
        let Described { kind, definition, .. } = self.resource;
        let path = self.path_parameters(&[]);
        let (api, scope) = (&self.api, self.scope);
        let mut operations = Vec::new();
        if self.can("deletecollection") {
            let id = format!("delete{api}Collection{scope}{kind}");
            let mut operation = self.operation("delete", id, "deletecollection");
            operation.parameters.extend(&path);
            if self.resource.custom {
                operation.parameters.extend(&LIST);
            } else {
                let watching =
                    |parameter: &&Parameter| !matches!(parameter.name, "allowWatchBookmarks" | "watch");
                operation.parameters.extend(LIST.iter().filter(watching).chain(&DELETE));
                operation.body = Body::DeleteOptions;
            }
            operation.answers = vec![answer("200", STATUS)];
            operations.push(operation);
        }
        if self.can("list") {
            operations.push(self.list("list", "", &path));
        }
        if self.can("create") {
            let id = format!("create{api}{scope}{kind}");
            operations.push(self.create(id, definition, &path));
        }
        operations
    }

    fn create(&self, id: String, definition: &str, path: &[Parameter]) -> Operation {
        let mut operation = self.operation("post", id, "post");
        operation.parameters.extend(path.iter().chain(&WRITE));
        operation.body = Body::Object(definition.to_owned());
        operation.answers = ["200", "201", "202"].map(|code| answer(code, definition)).to_vec();
        operation
    }

    fn object_operations(&self) -> Vec<Operation> {
        let Described { kind, definition, custom, verbs, .. } = self.resource;
        let path = self.path_parameters(&[NAME]);
        let base = format!("{}{}{kind}", self.api, self.scope);
        let mut operations = Vec::new();
        if self.can("delete") {
            let mut operation = self.operation("delete", format!("delete{base}"), "delete");
            operation.parameters.extend(path.iter().chain(&DELETE));
            operation.body = Body::DeleteOptions;
            let answers_object = !custom && DELETE_ANSWERS_OBJECT.contains(&kind.as_str());
            let definition = if answers_object { definition } else { STATUS };
            operation.answers = ["200", "202"].map(|code| answer(code, definition)).to_vec();
            operations.push(operation);
        }
        operations.extend(self.read_and_write(&base, definition, &self.own, verbs, &path));
        operations
    }

    /// GET, PATCH and PUT of an object or a subresource.
    fn read_and_write(
        &self,
        base: &str,
        definition: &str,
        kind: &GroupVersionKind,
        verbs: &[&'static str],
        path: &[Parameter],
    ) -> Vec<Operation> {
        let custom = self.resource.custom;
        let mut operations = Vec::new();
        let can = |verb| verbs.contains(&verb);
        if can("get") {
            let mut operation = self.operation("get", format!("read{base}"), "get");
            operation.parameters.extend(path);
            if custom {
                operation.parameters.push(RESOURCE_VERSION);
            }
            operation.answers = vec![answer("200", definition)];
            operations.push(operation);
        }
        if can("patch") {
            let mut operation = self.operation("patch", format!("patch{base}"), "patch");
            operation.parameters.extend(path.iter().chain(&PATCH));
            operation.body = Body::Patch;
            let codes: &[&'static str] = if custom { &["200"] } else { &["200", "201"] };
            operation.answers = codes.iter().map(|code| answer(code, definition)).collect();
            operations.push(operation);
        }
        if can("update") {
            let mut operation = self.operation("put", format!("replace{base}"), "put");
            operation.parameters.extend(path.iter().chain(&WRITE));
            operation.body = Body::Object(definition.to_owned());
            operation.answers = ["200", "201"].map(|code| answer(code, definition)).to_vec();
            operations.push(operation);
        }
        // Custom resources' subresources are said to be of the resource's own kind.
        if !custom {
            operations.iter_mut().for_each(|operation| operation.kind = Some(kind.clone()));
        }
        operations
    }

    /// The deprecated `/watch/` paths; custom resources have none.
    fn watch_paths(&self) -> Vec<PathItem> {
        let Described { kind, plural, custom, .. } = self.resource;
        if *custom || !self.can("watch") {
            return Vec::new();
        }
        let root = format!("{}/watch", self.root);
        let watch = |id: String, action, path: &[Parameter]| {
            let mut operation = self.operation("get", id, action);
            operation.parameters.extend(path.iter().chain(&LIST));
            operation.answers = vec![answer("200", WATCH_EVENT)];
            operation.media = Media::Streams;
            operation
        };
        let base = format!("watch{}{}{kind}", self.api, self.scope);
        let collection = self.collection_below(&root);
        let mut items = vec![
            self.item(
                collection.clone(),
                vec![watch(format!("{base}List"), "watchlist", &self.path_parameters(&[]))],
            ),
            self.item(
                format!("{collection}/{{name}}"),
                vec![watch(base, "watch", &self.path_parameters(&[NAME]))],
            ),
        ];
        if self.resource.namespaced {
            let id = format!("watch{}{kind}ListForAllNamespaces", self.api);
            items.push(self.item(format!("{root}/{plural}"), vec![watch(id, "watchlist", &[])]));
        }
        items
    }

    fn subresource_paths(&self, object: &str, subresource: &DescribedSubresource) -> Vec<PathItem> {
        let DescribedSubresource { name, kind, definition, verbs } = subresource;
        let path = self.path_parameters(&[NAME]);
        let at = format!("{object}/{name}");
        let base = format!("{}{}{}{}", self.api, self.scope, self.resource.kind, capital(name));
        match name.as_str() {
            "attach" | "exec" | "portforward" | "proxy" => return self.connect_paths(&at, subresource),
            "log" => {
                let mut operation = self.operation("get", format!("read{base}"), "get");
                operation.parameters = path.into_iter().chain(options(&self.resource.plural, name)).collect();
                operation.answers = vec![answer("200", "")];
                operation.media = Media::Log;
                return vec![self.item(at, vec![operation])];
            }
            _ => {}
        }
        let mut operations = self.read_and_write(&base, definition, kind, verbs, &path);
        if verbs.contains(&"create") {
            let mut operation = self.create(format!("create{base}"), definition, &path);
            operation.kind = Some(kind.clone());
            operations.push(operation);
        }
        vec![self.item(at, operations)]
    }

    fn connect_paths(&self, at: &str, subresource: &DescribedSubresource) -> Vec<PathItem> {
        let DescribedSubresource { name, kind, .. } = subresource;
        let proxied = name == "proxy";
        let methods: &[&'static str] = if proxied {
            &["delete", "get", "head", "options", "patch", "post", "put"]
        } else {
            &["get", "post"]
        };
        let operations = |suffix: &str, more: &[Parameter]| {
            let operation = |method: &&'static str| {
                let verb = capital(method);
                let base = format!("{}{}", self.resource.kind, capital(name));
                let id = format!("connect{}{verb}{}{base}{suffix}", self.api, self.scope);
                let mut operation = self.operation(method, id, "connect");
                operation.kind = Some(kind.clone());
                operation.parameters = self.path_parameters(&[NAME]);
                operation.parameters.extend(options(&self.resource.plural, name).iter().chain(more));
                operation.answers = vec![answer("200", "")];
                operation.media = Media::Proxied;
                operation
            };
            methods.iter().map(operation).collect()
        };
        let mut items = vec![self.item(at.to_owned(), operations("", &[]))];
        if proxied {
            items.push(self.item(format!("{at}/{{path}}"), operations("WithPath", &[REST_OF_PATH])));
        }
        items
    }
}

fn answer(code: &'static str, definition: &str) -> Answer {
    Answer { code, definition: definition.to_owned() }
}
