//! The resources of a tenant, by path and by group.

use std::sync::Arc;

use drydock_machinery::GroupVersionResource;
use foldhash::HashMap;
use parking_lot::RwLock;

use super::Resource;

/// The served resources at one moment.
#[derive(Clone, Debug, Default)]
pub struct ResourceTable {
    /// Counts changes; caches of discovery documents key on it.
    pub generation: u64,
    /// Groups in discovery's order, the core group first.
    pub groups: Vec<GroupInfo>,
    by_path: HashMap<String, HashMap<String, HashMap<String, Arc<Resource>>>>,
}

/// One API group.
#[derive(Clone, Debug)]
pub struct GroupInfo {
    /// "" for core.
    pub name: String,
    /// Preferred first.
    pub versions: Vec<VersionInfo>,
}

/// One version of a group.
#[derive(Clone, Debug)]
pub struct VersionInfo {
    pub version: String,
    /// Sorted by name.
    pub resources: Vec<Arc<Resource>>,
}

impl ResourceTable {
    /// Groups and versions keep the order of `resources`; resources are sorted.
    pub fn new(resources: impl IntoIterator<Item = Arc<Resource>>) -> Self {
        let mut table = Self::default();
        for resource in resources {
            table.add(resource);
        }
        table
    }

    fn add(&mut self, resource: Arc<Resource>) {
        let GroupVersionResource { group, version, resource: name } = &resource.gvr;
        let versions = match self.groups.iter_mut().find(|info| info.name == *group) {
            Some(info) => &mut info.versions,
            None => {
                self.groups.push(GroupInfo { name: group.to_string(), versions: Vec::new() });
                &mut self.groups.last_mut().expect("pushed above").versions
            }
        };
        let resources = match versions.iter_mut().find(|info| info.version == *version) {
            Some(info) => &mut info.resources,
            None => {
                versions.push(VersionInfo { version: version.to_string(), resources: Vec::new() });
                &mut versions.last_mut().expect("pushed above").resources
            }
        };
        let at = resources.partition_point(|other| other.gvr.resource <= *name);
        resources.insert(at, resource.clone());
        let by_version = self.by_path.entry(group.to_string()).or_default();
        by_version.entry(version.to_string()).or_default().insert(name.to_string(), resource.clone());
    }

    pub fn find(&self, group: &str, version: &str, resource: &str) -> Option<&Arc<Resource>> {
        self.by_path.get(group)?.get(version)?.get(resource)
    }

    /// The resource in its group's most preferred version that has it.
    pub fn find_any_version(&self, group: &str, resource: &str) -> Option<&Arc<Resource>> {
        let versions = &self.group(group)?.versions;
        versions.iter().find_map(|info| self.find(group, &info.version, resource))
    }

    /// The resource in the version its objects are stored in, or else in its group's most preferred version.
    pub fn find_storage_version(&self, group: &str, resource: &str) -> Option<&Arc<Resource>> {
        let versions = &self.group(group)?.versions;
        let mut all = versions.iter().filter_map(|info| self.find(group, &info.version, resource));
        let first = all.next()?;
        if first.is_storage_version() {
            return Some(first);
        }
        all.find(|resource| resource.is_storage_version()).or(Some(first))
    }

    /// By kind.
    pub fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.version(group, version)?.resources.iter().find(|resource| resource.gvk.kind == kind)
    }

    /// Whether the server itself brings the group, rather than a custom resource definition.
    pub fn is_built_in_group(&self, name: &str) -> bool {
        self.group(name).is_some_and(|group| {
            let mut resources = group.versions.iter().flat_map(|version| &version.resources);
            resources.any(|resource| resource.custom.is_none())
        })
    }

    pub fn group(&self, name: &str) -> Option<&GroupInfo> {
        self.groups.iter().find(|info| info.name == name)
    }

    pub fn version(&self, group: &str, version: &str) -> Option<&VersionInfo> {
        self.group(group)?.versions.iter().find(|info| info.version == version)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.groups.iter().flat_map(|group| &group.versions).flat_map(|version| &version.resources)
    }
}

/// The tenant's resources, as they change.
pub struct Resources {
    builtin: Arc<ResourceTable>,
    table: RwLock<Arc<ResourceTable>>,
}

impl Resources {
    pub fn new(builtin: Arc<ResourceTable>) -> Self {
        Self { table: RwLock::new(builtin.clone()), builtin }
    }

    pub fn table(&self) -> Arc<ResourceTable> {
        self.table.read().clone()
    }

    pub fn find(&self, group: &str, version: &str, resource: &str) -> Option<Arc<Resource>> {
        self.table.read().find(group, version, resource).cloned()
    }

    /// Serves `custom` besides what is built in, in place of the custom resources so far.
    pub fn set_custom(&self, custom: Vec<Arc<Resource>>) {
        let mut table = if custom.is_empty() {
            ResourceTable::clone(&self.builtin)
        } else {
            let mut table = ResourceTable::clone(&self.builtin);
            custom.into_iter().for_each(|resource| table.add(resource));
            table
        };
        let mut published = self.table.write();
        table.generation = published.generation + 1;
        *published = Arc::new(table);
    }
}
