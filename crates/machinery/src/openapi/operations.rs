//! What can be done at a path, independent of OpenAPI's version.

use crate::names::GroupVersionKind;
use crate::value;
use crate::value::Value;

/// A resource or custom resource, as far as its operations are concerned.
#[derive(Clone, Debug)]
pub struct Described {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub kind: String,
    pub namespaced: bool,
    /// OpenAPI names of the kind's and its list's schemas.
    pub definition: String,
    pub list_definition: String,
    pub verbs: Vec<&'static str>,
    pub subresources: Vec<DescribedSubresource>,
    /// Custom resources differ in small ways.
    pub custom: bool,
}

#[derive(Clone, Debug)]
pub struct DescribedSubresource {
    pub name: String,
    pub kind: GroupVersionKind,
    pub definition: String,
    pub verbs: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) id: String,
    /// `x-kubernetes-action`; "" for none.
    pub(super) action: &'static str,
    pub(super) kind: Option<GroupVersionKind>,
    /// The resource's kind, "" for discovery, and the subresource.
    pub(super) resource_kind: String,
    pub(super) subresource: String,
    /// Of a list, that it can be a watch.
    pub(super) watches: bool,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Body,
    pub(super) answers: Vec<Answer>,
    pub(super) media: Media,
    pub(super) custom: bool,
}

/// A path, and its operations. What all of them take is the path's.
#[derive(Clone, Debug)]
pub(super) struct PathItem {
    pub(super) path: String,
    /// `apps_v1`
    pub(super) tag: String,
    pub(super) operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    /// An object of this definition.
    Object(String),
    DeleteOptions,
    Patch,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) code: &'static str,
    /// Definition; "" for a plain string.
    pub(super) definition: String,
}

/// In what forms answers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// JSON, YAML, protobuf.
    Standard,
    /// And as watch streams.
    Streams,
    /// And as plain text.
    Log,
    /// Whatever is behind it.
    Proxied,
    Json,
    Jwks,
}

impl Media {
    pub(super) fn types(self, custom: bool) -> &'static [&'static str] {
        match (self, custom) {
            (Self::Standard | Self::Streams, true) => &["application/json", "application/yaml"],
            (Self::Standard, false) => {
                &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
            }
            (Self::Streams, false) => &[
                "application/json",
                "application/yaml",
                "application/vnd.kubernetes.protobuf",
                "application/json;stream=watch",
                "application/vnd.kubernetes.protobuf;stream=watch",
            ],
            (Self::Log, _) => {
                &["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
            }
            (Self::Proxied, _) => &["*/*"],
            (Self::Json, _) => &["application/json"],
            (Self::Jwks, _) => &["application/jwk-set+json"],
        }
    }
}

impl Answer {
    /// What the code means.
    pub(super) fn meaning(&self) -> &'static str {
        match self.code {
            "201" => "Created",
            "202" => "Accepted",
            _ => "OK",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// In the path, else in the query.
    pub(super) in_path: bool,
    /// `string`, `integer`, `boolean`.
    pub(super) ty: &'static str,
    /// What upstream's OpenAPI v2 tells it by from others of its name: a hash over all that is said of it. "" for one
    /// that is written where it is used.
    pub(super) key: &'static str,
}

impl Parameter {
    /// The name that it is referred to by.
    pub(super) fn shared_name(&self) -> Option<String> {
        (!self.key.is_empty()).then(|| format!("{}-{}", self.name, self.key))
    }

    /// What upstream says of the parameter, as far as its types do.
    pub(super) fn description(&self) -> Option<&'static str> {
        const OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
        if self.in_path {
            return None;
        }
        let options = super::descriptions::of(OPTIONS)?;
        Some(options.field(self.name)).filter(|text| !text.is_empty())
    }
}

impl Operation {
    /// Writes what both forms of OpenAPI say of it in the same words.
    pub(super) fn describe(&self, out: &mut Value) {
        if let Some(text) = self.description() {
            out.set(&["description"], text);
        }
        if !self.action.is_empty() {
            out.set(&["x-kubernetes-action"], self.action);
        }
        if let Some(kind) = &self.kind {
            let kind = value!({"group": &*kind.group, "kind": &*kind.kind, "version": &*kind.version});
            out.set(&["x-kubernetes-group-version-kind"], kind);
        }
    }

    /// What it does to which kind, as upstream's API installer puts it together; None for discovery.
    fn description(&self) -> Option<String> {
        let kind = &self.resource_kind;
        if kind.is_empty() {
            return None;
        }
        // "status of " of what is a subresource.
        let part = match self.subresource.as_str() {
            "" => String::new(),
            name => format!("{name} of "),
        };
        let lists = if self.watches { "list or watch" } else { "list" };
        let instead = "deprecated: use the 'watch' parameter with a list operation instead";
        Some(match self.action {
            "list" => format!("{lists} objects of kind {kind}"),
            "get" => format!("read {part}the specified {kind}"),
            "put" => format!("replace {part}the specified {kind}"),
            "patch" => format!("partially update {part}the specified {kind}"),
            "post" => format!("create {part}{}{kind}", article(kind)),
            "delete" => format!("delete {part}{}{kind}", article(kind)),
            "deletecollection" => format!("delete collection of {kind}"),
            "connect" => format!("connect {} requests to {part}{kind}", self.method.to_ascii_uppercase()),
            "watch" => format!(
                "watch changes to an object of kind {kind}. {instead}, filtered to a single item with the \
                 'fieldSelector' parameter."
            ),
            "watchlist" => format!("watch individual changes to a list of {kind}. {instead}."),
            _ => return None,
        })
    }
}

/// Plurals, such as `Endpoints`, have none.
fn article(kind: &str) -> &'static str {
    if kind.ends_with('s') && !kind.ends_with("ss") {
        ""
    } else if kind.starts_with(['A', 'E', 'I', 'O', 'U']) {
        "an "
    } else {
        "a "
    }
}

/// One that is written where it is used.
const fn query(name: &'static str, ty: &'static str) -> Parameter {
    shared(name, ty, "")
}

const fn shared(name: &'static str, ty: &'static str, key: &'static str) -> Parameter {
    Parameter { name, in_path: false, ty, key }
}

const fn in_path(name: &'static str, key: &'static str) -> Parameter {
    Parameter { name, in_path: true, ty: "string", key }
}

pub(super) const NAME: Parameter = in_path("name", "");
pub(super) const NAMESPACE: Parameter = in_path("namespace", "vgWSWtn3");
pub(super) const REST_OF_PATH: Parameter = in_path("path", "z6Ciiujn");
pub(super) const PRETTY: Parameter = shared("pretty", "string", "tJGM1-ng");
pub(super) const RESOURCE_VERSION: Parameter = shared("resourceVersion", "string", "5WAnf1kx");

pub(super) const WRITE: [Parameter; 3] = [
    query("dryRun", "string"),
    shared("fieldManager", "string", "Qy4HdaTW"),
    query("fieldValidation", "string"),
];

/// Of a patch other things are said about the manager.
pub(super) const PATCH: [Parameter; 4] = [
    query("dryRun", "string"),
    shared("fieldManager", "string", "7c6nTn1T"),
    query("fieldValidation", "string"),
    shared("force", "boolean", "tOGGb0Yi"),
];

pub(super) const LIST: [Parameter; 11] = [
    shared("allowWatchBookmarks", "boolean", "HC2hJt-J"),
    shared("continue", "string", "QfD61s0i"),
    shared("fieldSelector", "string", "xIcQKXFG"),
    shared("labelSelector", "string", "5Zw57w4C"),
    shared("limit", "integer", "1NfNmdNH"),
    RESOURCE_VERSION,
    shared("resourceVersionMatch", "string", "t8XhRHeC"),
    shared("sendInitialEvents", "boolean", "rLXlEK_k"),
    shared("shardSelector", "string", "Kgyki_3_"),
    shared("timeoutSeconds", "integer", "yvYezaOC"),
    shared("watch", "boolean", "XNNPZGbK"),
];

pub(super) const DELETE: [Parameter; 5] = [
    query("dryRun", "string"),
    shared("gracePeriodSeconds", "integer", "-K5HaBOS"),
    shared("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", "QbNkfIqj"),
    shared("orphanDependents", "boolean", "uRB25kX5"),
    shared("propagationPolicy", "string", "6jk3prlO"),
];

/// What `connect` operations and logs take.
pub(super) fn options(resource: &str, subresource: &str) -> Vec<Parameter> {
    let streams = |[container, stderr, stdin, stdout, tty]: [&'static str; 5]| {
        vec![
            shared("container", "string", container),
            shared("stderr", "boolean", stderr),
            shared("stdin", "boolean", stdin),
            shared("stdout", "boolean", stdout),
            shared("tty", "boolean", tty),
        ]
    };
    match (resource, subresource) {
        (_, "attach") => streams(["_Q-EJ3nR", "26jJhFUR", "sEFnN3IS", "005YMKE6", "g7MlET_l"]),
        (_, "exec") => {
            let mut options = streams(["i5dOmRiM", "W_1TNlWc", "PSzNhyUC", "-EZLRwV1", "s0flW37O"]);
            options.push(shared("command", "string", "Py3eQybp"));
            options
        }
        (_, "portforward") => vec![shared("ports", "integer", "91KROJmm")],
        ("nodes", "proxy") => vec![shared("path", "string", "rFDtV0x9")],
        ("services", "proxy") => vec![shared("path", "string", "QCf0eosM")],
        (_, "proxy") => vec![shared("path", "string", "oPbzgLUj")],
        (_, "log") => vec![
            shared("container", "string", "1GeXxFDC"),
            shared("follow", "boolean", "9OIXh_2R"),
            shared("insecureSkipTLSVerifyBackend", "boolean", "gM00jVbe"),
            shared("limitBytes", "integer", "zwd1RXuc"),
            PRETTY,
            shared("previous", "boolean", "1jxDPu3y"),
            shared("sinceSeconds", "integer", "vE2NLdnP"),
            shared("stream", "string", "l-48cgXv"),
            shared("tailLines", "integer", "9xQLWHMV"),
            shared("timestamps", "boolean", "c17fW1w_"),
        ],
        _ => Vec::new(),
    }
}

impl PathItem {
    /// The parameters that all operations have, and for each operation the others; sorted.
    pub(super) fn parameters(&self) -> (Vec<Parameter>, Vec<Vec<Parameter>>) {
        let sorted = |mut parameters: Vec<Parameter>| {
            parameters.sort_by_key(|parameter| (parameter.name, !parameter.in_path));
            parameters
        };
        let Some(first) = self.operations.first() else { return Default::default() };
        let is_common = |parameter: &Parameter| {
            self.operations.iter().all(|operation| operation.parameters.contains(parameter))
        };
        let common = first.parameters.iter().copied().filter(is_common).collect();
        let own = |operation: &Operation| {
            sorted(operation.parameters.iter().copied().filter(|parameter| !is_common(parameter)).collect())
        };
        (sorted(common), self.operations.iter().map(own).collect())
    }
}
