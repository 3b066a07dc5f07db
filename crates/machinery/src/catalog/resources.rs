//! From the catalog's text to groups, versions and resources, in the order of discovery.

use super::CatalogError;
use super::text::Text;
use crate::names::{GroupVersionKind, GroupVersionResource, split_api_version};

/// An API group and its served versions.
#[derive(Debug)]
pub struct Group {
    /// "" is the core group.
    pub name: &'static str,
    /// The preferred version first.
    pub versions: Vec<GroupVersion>,
}

#[derive(Debug)]
pub struct GroupVersion {
    pub group: &'static str,
    pub version: &'static str,
    api_version: &'static str,
    /// In the order of discovery.
    pub resources: Vec<Resource>,
}

impl GroupVersion {
    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> &'static str {
        self.api_version
    }
}

/// What discovery says of a resource.
#[derive(Debug)]
pub struct Resource {
    pub group: &'static str,
    pub version: &'static str,
    /// The plural name in paths: `deployments`.
    pub name: &'static str,
    pub singular: &'static str,
    pub kind: GroupVersionKind,
    pub namespaced: bool,
    pub verbs: Verbs,
    pub short_names: Vec<&'static str>,
    pub categories: Vec<&'static str>,
    /// "" for resources that are not stored.
    pub storage_version_hash: &'static str,
    pub subresources: Vec<Subresource>,
}

#[derive(Debug)]
pub struct Subresource {
    /// Without the resource: `status`.
    pub name: &'static str,
    /// The kind of what is read and written there.
    pub kind: GroupVersionKind,
    /// Discovery names group and version, as it does where they are not the resource's.
    pub foreign: bool,
    pub verbs: Verbs,
}

/// A set of verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbs(u8);

impl Verbs {
    const ALL: [(char, &'static str); 8] = [
        ('c', "create"),
        ('d', "delete"),
        ('D', "deletecollection"),
        ('g', "get"),
        ('l', "list"),
        ('p', "patch"),
        ('u', "update"),
        ('w', "watch"),
    ];

    fn parse(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Self(0), |verbs, letter| {
            let i = Self::ALL.iter().position(|(known, _)| *known == letter)?;
            Some(Self(verbs.0 | 1 << i))
        })
    }

    pub fn contains(self, verb: &str) -> bool {
        self.iter().any(|known| known == verb)
    }

    /// In the order of discovery, which is alphabetical.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        let names = Self::ALL.iter().enumerate();
        names.filter(move |(i, _)| self.0 & (1 << i) != 0).map(|(_, (_, name))| *name)
    }
}

impl Resource {
    pub fn gvr(&self) -> GroupVersionResource {
        GroupVersionResource::new(self.group, self.version, self.name)
    }

    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|known| known.name == name)
    }
}

pub(super) fn build(text: &Text<'static>) -> Result<Vec<Group>, CatalogError> {
    let mut groups: Vec<Group> = Vec::new();
    for lines in &text.group_versions {
        let (group, version) = split_api_version(lines.group_version);
        let mut built =
            GroupVersion { group, version, api_version: lines.group_version, resources: Vec::new() };
        for line in &lines.resources {
            add(line, &mut built).ok_or(CatalogError { line: 0, problem: "bad resource" })?;
        }
        match groups.iter_mut().find(|known| known.name == group) {
            Some(known) => known.versions.push(built),
            None => groups.push(Group { name: group, versions: vec![built] }),
        }
    }
    Ok(groups)
}

/// Adds the resource or subresource of one line.
fn add(line: &'static str, to: &mut GroupVersion) -> Option<()> {
    let mut words = line.split(' ');
    let (path, kind) = (words.next()?, words.next()?);
    let namespaced = words.next()? == "n";
    let verbs = Verbs::parse(words.next()?)?;
    let mut resource = Resource {
        group: to.group,
        version: to.version,
        name: path,
        singular: "",
        kind: GroupVersionKind::new(to.group, to.version, kind),
        namespaced,
        verbs,
        short_names: Vec::new(),
        categories: Vec::new(),
        storage_version_hash: "",
        subresources: Vec::new(),
    };
    let mut foreign = false;
    for word in words {
        let (key, value) = word.split_once('=')?;
        match key {
            "singular" => resource.singular = value,
            "short" => resource.short_names = value.split(',').collect(),
            "in" => resource.categories = value.split(',').collect(),
            "hash" => resource.storage_version_hash = value,
            "as" => {
                let (group, version) = split_api_version(value);
                resource.kind = GroupVersionKind::new(group, version, kind);
                foreign = true;
            }
            _ => return None,
        }
    }
    match path.split_once('/') {
        None => to.resources.push(resource),
        Some((parent, name)) => {
            let parent = to.resources.iter_mut().find(|known| known.name == parent)?;
            parent.subresources.push(Subresource { name, kind: resource.kind, foreign, verbs });
        }
    }
    Some(())
}
