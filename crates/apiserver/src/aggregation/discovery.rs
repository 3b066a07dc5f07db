//! Groups and versions of all servers in one list, in the order of their priorities.

use std::collections::HashMap;
use std::sync::Arc;

use drydock_auth::Reader as _;
use drydock_machinery::{Value, value};

use super::{GROUP, PLURAL, Route};
use crate::resources::{GroupInfo, ResourceTable, VersionInfo};
use crate::server::Core;

/// Of a group or version that no API service says anything of: those of custom resources.
const DEFAULT_PRIORITIES: (i64, i64) = (1000, 100);

/// By group and version: the group's priority and the version's.
type Priorities = HashMap<(String, String), (i64, i64)>;

impl Core {
    /// The groups that are served, here or elsewhere. Versions that are served elsewhere have no resources here.
    pub(crate) fn groups(&self, table: &ResourceTable) -> Vec<GroupInfo> {
        let routes = self.aggregation.routes();
        let mut groups = table.groups.clone();
        if routes.is_empty() {
            return groups;
        }
        let priorities = self.priorities();
        for route in routes.values().filter(|route| !route.group.is_empty()) {
            add(&mut groups, route, &priorities);
        }
        groups
    }

    /// The entry in aggregated discovery of a version that is served elsewhere.
    pub(crate) fn remote_version(&self, group: &str, version: &str) -> Option<Value> {
        let routes = self.aggregation.routes();
        let route = routes.get(&(group.to_owned(), version.to_owned()))?;
        let learned = self.aggregation.learned(&route.name);
        let freshness = if learned.fresh { "Current" } else { "Stale" };
        let mut entry = value!({"version": version, "freshness": freshness});
        if !learned.resources.is_empty() {
            entry.set(&["resources"], learned.resources);
        }
        Some(entry)
    }

    fn priorities(&self) -> Priorities {
        let services = self.registry.cache.list(GROUP, PLURAL, "");
        let read = |service: &Arc<drydock_machinery::Object>| {
            let text = |field: &str| service.str_at(&["spec", field]).to_owned();
            let number = |field: &str| service.i64_at(&["spec", field]).unwrap_or(0);
            ((text("group"), text("version")), (number("groupPriorityMinimum"), number("versionPriority")))
        };
        services.iter().map(read).collect()
    }
}

fn add(groups: &mut Vec<GroupInfo>, route: &Route, priorities: &Priorities) {
    let of = |group: &str, version: &str| {
        priorities.get(&(group.to_owned(), version.to_owned())).copied().unwrap_or(DEFAULT_PRIORITIES)
    };
    let of_group = |group: &GroupInfo| {
        group.versions.iter().map(|info| of(&group.name, &info.version).0).max().unwrap_or(0)
    };
    let remote = VersionInfo { version: route.version.clone(), resources: Vec::new() };
    if let Some(known) = groups.iter_mut().find(|group| group.name == route.group) {
        // The route comes before what is served here.
        known.versions.retain(|info| info.version != remote.version);
        known.versions.push(remote);
        known
            .versions
            .sort_by_key(|info| std::cmp::Reverse((of(&route.group, &info.version).1, info.version.clone())));
        return;
    }
    let priority = of(&route.group, &route.version).0;
    let at = groups.iter().position(|group| {
        let other = of_group(group);
        !group.name.is_empty() && (other < priority || (other == priority && group.name > route.group))
    });
    let group = GroupInfo { name: route.group.clone(), versions: vec![remote] };
    groups.insert(at.unwrap_or(groups.len()), group);
}

/// The resources of an APIResourceList, as aggregated discovery has them.
pub(super) fn aggregated(list: &Value, route: &Route) -> Vec<Value> {
    let mut resources: Vec<Value> = Vec::new();
    let entries = list.array_at(&["resources"]);
    let kind = |entry: &Value| {
        let or = |field: &str, default: &str| match entry.str_at(&[field]) {
            "" => default.to_owned(),
            text => text.to_owned(),
        };
        value!({"group": or("group", &route.group), "version": or("version", &route.version),
            "kind": entry.str_at(&["kind"])})
    };
    for entry in entries.iter().filter(|entry| !entry.str_at(&["name"]).contains('/')) {
        let name = entry.str_at(&["name"]);
        let scope = if entry.bool_at(&["namespaced"]) { "Namespaced" } else { "Cluster" };
        let mut resource = value!({"resource": name, "scope": scope,
            "singularResource": entry.str_at(&["singularName"]), "responseKind": kind(entry)});
        for field in ["verbs", "shortNames", "categories"] {
            if !entry.array_at(&[field]).is_empty() {
                resource.set(&[field], entry.array_at(&[field]).to_vec());
            }
        }
        let prefix = format!("{name}/");
        let below =
            entries.iter().filter_map(|sub| Some((sub.str_at(&["name"]).strip_prefix(&prefix)?, sub)));
        let below: Vec<Value> = below
            .map(|(sub, entry)| {
                let mut value = value!({"subresource": sub, "responseKind": kind(entry)});
                value.set(&["verbs"], entry.array_at(&["verbs"]).to_vec());
                value
            })
            .collect();
        if !below.is_empty() {
            resource.set(&["subresources"], below);
        }
        resources.push(resource);
    }
    resources
}
