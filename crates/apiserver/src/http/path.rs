//! What a path is about, after apiserver's `RequestInfo`.

use drydock_auth::{Attributes, UserInfo};
use drydock_machinery::go_text::path_unescape;

/// A path, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// `/api/v1/…`, `/apis/GROUP/VERSION/…` with something behind.
    Resource(ResourcePath),
    /// `/api`, `/apis`, `/apis/GROUP`, `/apis/GROUP/VERSION` and everything else.
    Other(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    /// "" for core.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    /// The path has a part for a namespace, which may be empty.
    pub(crate) in_namespace: bool,
    pub(crate) name: String,
    pub(crate) subresource: String,
    /// What follows the subresource: a proxied path.
    pub(crate) rest: String,
    /// The old spelling of watches: `/api/v1/watch/pods`.
    pub(crate) watch: bool,
}

impl Path {
    /// Whether the request lasts for as long as its client likes: a watch, or a connection to a pod. `verb` is what
    /// RBAC calls the request.
    pub(crate) fn is_long_running(&self, verb: &str) -> bool {
        const SUBRESOURCES: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];
        match self {
            Self::Resource(path) => verb == "watch" || SUBRESOURCES.contains(&path.subresource.as_str()),
            Self::Other(_) => false,
        }
    }

    /// What a request wants, whether or not there is such a resource.
    pub(crate) fn attributes<'a>(&'a self, user: &'a UserInfo, verb: &'a str) -> Attributes<'a> {
        match self {
            Self::Resource(path) => path.attributes(user, verb),
            Self::Other(path) => Attributes::path(user, verb, path),
        }
    }
}

impl ResourcePath {
    pub(crate) fn attributes<'a>(&'a self, user: &'a UserInfo, verb: &'a str) -> Attributes<'a> {
        Attributes {
            version: &self.version,
            subresource: &self.subresource,
            name: &self.name,
            namespace: &self.namespace,
            ..Attributes::resource(user, verb, &self.group, &self.resource)
        }
    }
}

pub(crate) fn parse(raw: &str) -> Path {
    let path = path_unescape(raw).unwrap_or_else(|| raw.to_owned());
    match resource(&path) {
        Some(found) => Path::Resource(found),
        None => Path::Other(path),
    }
}

/// Whether a path of the old spelling of watches and proxies ends before it says of what.
pub(crate) fn names_no_resource(path: &str) -> bool {
    let path = path.trim_matches('/');
    if !path.ends_with("/watch") && !path.ends_with("/proxy") {
        return false;
    }
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["api", _, "watch" | "proxy"] | ["apis", _, _, "watch" | "proxy"])
}

fn resource(path: &str) -> Option<ResourcePath> {
    let path = path.strip_prefix('/')?;
    let mut parts = path.strip_suffix('/').unwrap_or(path).split('/').peekable();
    let (group, version) = match parts.next()? {
        "api" => ("", parts.next()?),
        "apis" => (parts.next().filter(|group| !group.is_empty())?, parts.next()?),
        _ => return None,
    };
    let mut found =
        ResourcePath { group: group.to_owned(), version: version.to_owned(), ..ResourcePath::default() };
    if parts.peek() == Some(&"watch") {
        found.watch = true;
        parts.next();
    }
    let mut parts: Vec<&str> = parts.collect();
    if parts.first().is_none_or(|first| first.is_empty()) {
        return None;
    }
    // `namespaces/NAME/RESOURCE`, but for the namespaces' own subresources.
    let own = parts.get(2).is_some_and(|third| matches!(*third, "status" | "finalize"));
    if parts[0] == "namespaces" && parts.len() > 2 && !own {
        found.namespace = parts[1].to_owned();
        found.in_namespace = true;
        parts.drain(..2);
    } else if parts[0] == "namespaces" && parts.len() > 1 {
        found.namespace = parts[1].to_owned();
    }
    let mut parts = parts.into_iter();
    let mut next = || parts.next().unwrap_or("").to_owned();
    (found.resource, found.name, found.subresource) = (next(), next(), next());
    found.rest = parts.collect::<Vec<_>>().join("/");
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expect: Option<[&str; 6]>) {
        let got = match parse(path) {
            Path::Resource(p) => Some([p.group, p.version, p.resource, p.namespace, p.name, p.subresource]),
            Path::Other(_) => None,
        };
        assert_eq!(got, expect.map(|parts| parts.map(str::to_owned)), "{path}");
    }

    #[test]
    fn paths_are_understood_as_upstream_does() {
        check("/api/v1/pods", Some(["", "v1", "pods", "", "", ""]));
        check("/api/v1/namespaces", Some(["", "v1", "namespaces", "", "", ""]));
        check("/api/v1/namespaces/a", Some(["", "v1", "namespaces", "a", "a", ""]));
        check("/api/v1/namespaces/a/finalize", Some(["", "v1", "namespaces", "a", "a", "finalize"]));
        check("/api/v1/namespaces/a/pods/", Some(["", "v1", "pods", "a", "", ""]));
        check(
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            Some(["apps", "v1", "deployments", "a", "d", "scale"]),
        );
        check("/api/v1/namespaces/a/pods/..%2Fb", Some(["", "v1", "pods", "a", "..", "b"]));
        check("/api/v1/namespaces//pods/b", Some(["", "v1", "pods", "", "b", ""]));
        check("/apis//v1/pods", None);
        check("/apis/apps/v1", None);
        check("/apis/apps/v1/", None);
        assert!(names_no_resource("/api/v1/watch") && !names_no_resource("/api/v1/watch/pods"));
        check("/healthz", None);
        check("//api/v1/pods", None);
    }
}
