//! The built-in types and resources of Kubernetes: what there is, and what each looks like.
//!
//! [`Catalog::builtin`] reads the table that `cargo xtask schema` wrote (docs/catalog.md) once per process, in a few
//! milliseconds; all tenants share it. It is never changed afterwards.
//!
//! Deliberately absent: custom resources, and what kinds do beyond their schema (`drydock-kinds`).

mod resources;
pub(crate) mod text;
mod types;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use ecow::EcoString;
pub use resources::{Group, GroupVersion, Resource, Subresource, Verbs};

use crate::names::{GroupVersionKind, GroupVersionResource};
use crate::openapi::BuiltInDocuments;
use crate::schema::{Schema, Shape, TypeId, TypeRef, TypeTable};
use crate::value::intern_known;
use text::Text;

/// All built-in types and resources of one Kubernetes version.
#[derive(Debug)]
pub struct Catalog {
    /// `1.36`
    version: &'static str,
    source: &'static str,
    delta: &'static str,
    text: Text<'static>,
    table: Arc<TypeTable>,
    definitions: HashMap<EcoString, TypeId>,
    kinds: HashMap<GroupVersionKind, TypeId, foldhash::fast::FixedState>,
    groups: Vec<Group>,
    documents: BuiltInDocuments,
}

/// The newest minor version.
const NEWEST: u32 = 36;
const SOURCE: &str = include_str!("../../catalog/v1.36.txt");
/// What older versions have otherwise, the oldest first.
const DELTAS: [(u32, &str); 3] = [
    (33, include_str!("../../catalog/v1.33.txt")),
    (34, include_str!("../../catalog/v1.34.txt")),
    (35, include_str!("../../catalog/v1.35.txt")),
];

impl Catalog {
    /// The catalog of the newest version.
    ///
    /// # Panics
    /// When the table that was compiled in is damaged; a test reads it.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Catalog> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            let catalog = Self::read(SOURCE, "").expect("the catalog is checked by a test");
            catalog.intern_names();
            catalog
        })
    }

    /// The catalog of Kubernetes 1.`minor`; that of the newest version for versions that there is none of. A named
    /// type has the same [`TypeId`] in all of them.
    ///
    /// # Panics
    /// As [`Catalog::builtin`].
    pub fn of(minor: u32) -> &'static Self {
        static OLDER: [OnceLock<Catalog>; DELTAS.len()] = [const { OnceLock::new() }; DELTAS.len()];
        let known = DELTAS.iter().zip(&OLDER).find(|((version, _), _)| *version == minor);
        debug_assert!(known.is_some() || minor >= NEWEST || minor < DELTAS[0].0);
        match known {
            Some(((_, delta), catalog)) => catalog.get_or_init(|| {
                // Names of fields are interned by the newest.
                Self::builtin();
                Self::read(SOURCE, delta).expect("the catalogs are checked by a test")
            }),
            None => Self::builtin(),
        }
    }

    fn read(source: &'static str, delta: &'static str) -> Result<Self, CatalogError> {
        let mut text = Text::parse(source)?;
        text.amend(delta)?;
        let types = types::build(&text)?;
        Ok(Self {
            version: text.version,
            source,
            delta,
            documents: BuiltInDocuments::default(),
            groups: resources::build(&text)?,
            table: Arc::new(types.table),
            definitions: types.definitions,
            kinds: types.kinds,
            text,
        })
    }

    fn intern_names(&self) {
        intern_known(
            self.table
                .types
                .iter()
                .flat_map(|ty| match &ty.shape {
                    Shape::Struct(fields) => &fields.fields[..],
                    _ => &[],
                })
                .map(|field| field.name.as_str()),
        );
    }

    /// The Kubernetes version: `1.36`.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The table that all schemas of this catalog are in.
    pub fn table(&self) -> &Arc<TypeTable> {
        &self.table
    }

    /// The schema of a kind, including those that are no resource, such as `DeleteOptions`.
    pub fn schema(&self, kind: &GroupVersionKind) -> Option<Schema> {
        self.kinds.get(kind).map(|&root| self.rooted(root))
    }

    /// The schema that upstream's OpenAPI calls `name`, such as `io.k8s.api.core.v1.Container`.
    pub fn definition(&self, name: &str) -> Option<Schema> {
        self.definitions.get(name).map(|&root| self.rooted(root))
    }

    pub(crate) fn definition_id(&self, name: &str) -> Option<TypeId> {
        self.definitions.get(name).copied()
    }

    /// As [`Catalog::schema`], for as long as the catalog is there.
    pub fn kind(&self, kind: &GroupVersionKind) -> Option<TypeRef<'_>> {
        self.kinds.get(kind).map(|&id| TypeRef { table: &self.table, id })
    }

    /// The kinds that have a schema, in no order.
    pub fn kinds(&self) -> impl Iterator<Item = &GroupVersionKind> {
        self.kinds.keys()
    }

    /// Groups in the order of discovery; the core group, named "", is the first.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    pub fn group_version(&self, group: &str, version: &str) -> Option<&GroupVersion> {
        self.group(group)?.versions.iter().find(|known| known.version == version)
    }

    /// A resource by its plural name.
    pub fn resource(&self, group: &str, version: &str, resource: &str) -> Option<&Resource> {
        self.group_version(group, version)?.resources.iter().find(|known| known.name == resource)
    }

    pub fn resource_by_gvr(&self, name: &GroupVersionResource) -> Option<&Resource> {
        self.resource(&name.group, &name.version, &name.resource)
    }

    /// The resource whose objects are of this kind.
    pub fn resource_by_kind(&self, kind: &GroupVersionKind) -> Option<&Resource> {
        let mut resources = self.group_version(&kind.group, &kind.version)?.resources.iter();
        resources.find(|known| known.kind.kind == kind.kind)
    }

    /// The texts that the catalog was read from.
    pub(crate) fn sources(&self) -> [&'static str; 2] {
        [self.source, self.delta]
    }

    /// The OpenAPI documents of this version, made on first use.
    pub(crate) fn documents(&self) -> &BuiltInDocuments {
        &self.documents
    }

    pub(crate) fn text(&self) -> &Text<'static> {
        &self.text
    }

    fn rooted(&self, root: TypeId) -> Schema {
        Schema { table: Arc::clone(&self.table), root }
    }
}

/// The table is not what `cargo xtask schema` writes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("catalog line {line}: {problem}")]
pub struct CatalogError {
    pub line: usize,
    pub problem: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ListType, Presence, StringFormat};

    #[test]
    fn the_built_in_catalog_is_complete() {
        let catalog = Catalog::builtin();
        assert_eq!(catalog.version(), "1.36");
        assert_eq!(catalog.groups().len(), 21);
        assert_eq!(catalog.definitions.len(), 590);
        for group in catalog.groups() {
            for version in &group.versions {
                for resource in &version.resources {
                    assert!(catalog.schema(&resource.kind).is_some(), "{} has no schema", resource.kind);
                    // `PodExecOptions` and the like are read from the query alone.
                    let with_body =
                        |sub: &&Subresource| !sub.kind.kind.ends_with("Options") && sub.name != "portforward";
                    for subresource in resource.subresources.iter().filter(with_body) {
                        assert!(catalog.schema(&subresource.kind).is_some(), "{}", subresource.kind);
                    }
                }
            }
        }
    }

    #[test]
    fn older_versions_have_what_they_had() {
        let [v33, v34, v35] = DELTAS.map(|(minor, _)| Catalog::of(minor));
        assert_eq!([v33.version(), v34.version(), v35.version()], ["1.33", "1.34", "1.35"]);
        assert!(v33.group("resource.k8s.io").is_none() && v34.group("resource.k8s.io").is_some());
        let policies = "mutatingadmissionpolicies";
        let admission = "admissionregistration.k8s.io";
        assert!(v35.resource(admission, "v1", policies).is_none());
        assert!(Catalog::of(36).resource(admission, "v1", policies).is_some());
        assert!(v33.resource("storage.k8s.io", "v1", "volumeattributesclasses").is_none());
        let pod = GroupVersionKind::new("", "v1", "Pod");
        let has = |catalog: &'static Catalog| {
            catalog.schema(&pod).unwrap().root().at(&["spec", "hostnameOverride"]).is_some()
        };
        assert_eq!([v33, v34, v35].map(has), [false, true, true]);
        for catalog in [v33, v34, v35] {
            for (name, id) in &catalog.definitions {
                assert_eq!(Catalog::builtin().definitions.get(name), Some(id), "{name}");
            }
        }
    }

    #[test]
    fn a_kind_has_its_fields() {
        let catalog = Catalog::builtin();
        let deployment = catalog.schema(&GroupVersionKind::new("apps", "v1", "Deployment")).unwrap();
        let container = deployment.root().at(&["spec", "template", "spec", "containers"]).unwrap();
        let Shape::List { list_type, .. } = container.shape() else { panic!("no list") };
        assert_eq!(*list_type, ListType::Map { keys: vec!["name".into()] });
        let container = container.item().unwrap();
        assert_eq!(container.ty().name, "io.k8s.api.core.v1.Container");
        assert_eq!(container.field("resources").unwrap().presence, Presence::Always);
        assert_eq!(container.field("tty").unwrap().presence, Presence::OmitEmpty);
        assert_eq!(container.field("livenessProbe").unwrap().presence, Presence::Pointer);
        assert_eq!(container.child("imagePullPolicy").unwrap().ty().name, "v1.PullPolicy");
        let created = deployment.root().at(&["metadata", "creationTimestamp"]).unwrap();
        assert!(matches!(created.shape(), Shape::String(StringFormat::Time)));
        let volume = deployment.root().at(&["spec", "template", "spec", "volumes"]).unwrap().item().unwrap();
        assert_eq!(volume.field("emptyDir").unwrap().proto.as_ref().unwrap().path, [2, 2]);
    }

    #[test]
    fn a_resource_has_its_facts() {
        let catalog = Catalog::builtin();
        let pods = catalog.resource("", "v1", "pods").unwrap();
        assert_eq!(pods.short_names, ["po"]);
        assert!(pods.namespaced && pods.verbs.contains("deletecollection"));
        let eviction = pods.subresources.iter().find(|sub| sub.name == "eviction").unwrap();
        assert_eq!(eviction.kind, GroupVersionKind::new("policy", "v1", "Eviction"));
        let hpa = catalog.group("autoscaling").unwrap();
        assert_eq!(hpa.versions.iter().map(|v| v.version).collect::<Vec<_>>(), ["v2", "v1"]);
        let kind = GroupVersionKind::new("batch", "v1", "CronJob");
        assert_eq!(catalog.resource_by_kind(&kind).unwrap().name, "cronjobs");
    }
}
