//! Ownership: controller references, and adopting and releasing what a selector matches.

use std::sync::Arc;

use drydock_client::{Client, Informer, PatchType};
use drydock_machinery::selector::Selector;
use drydock_machinery::{GroupVersionResource, Key, Object, ObjectMeta, Status, Value, value};

/// Name of the index by controller that [`index_by_controller`] adds.
pub(crate) const BY_CONTROLLER: &str = "controller";

/// Makes the informer find objects by the uid of their controller, and orphans by namespace.
pub(crate) fn index_by_controller(informer: &Informer) {
    informer.add_index(BY_CONTROLLER, |object| match object.controller_ref() {
        Some(owner) => vec![Key::from(owner.str_at(&["uid"]))],
        None => vec![orphans_of(object.namespace())],
    });
}

fn orphans_of(namespace: &str) -> Key {
    Key::from(format!("orphans/{namespace}"))
}

/// The objects that `owner` controls, and the orphans of its namespace.
pub(crate) fn candidates(informer: &Informer, owner: &Value) -> Vec<Arc<Object>> {
    let mut found = informer.by_index(BY_CONTROLLER, owner.uid());
    found.extend(informer.by_index(BY_CONTROLLER, &orphans_of(owner.namespace())));
    found
}

/// The objects that `owner` controls.
pub(crate) fn controlled(informer: &Informer, owner: &Value) -> Vec<Arc<Object>> {
    informer.by_index(BY_CONTROLLER, owner.uid())
}

/// `metav1.NewControllerRef`.
pub(crate) fn controller_ref(owner: &Value) -> Value {
    value!({
        "apiVersion": owner.api_version(), "kind": owner.kind(), "name": owner.name(), "uid": owner.uid(),
        "controller": true, "blockOwnerDeletion": true,
    })
}

pub(crate) fn is_controlled_by(object: &Value, owner: &Value) -> bool {
    object.controller_ref().is_some_and(|reference| reference.str_at(&["uid"]) == owner.uid())
}

/// The name of the controller when it is of this kind and group.
pub(crate) fn controller_of_kind<'a>(object: &'a Value, group: &str, kind: &str) -> Option<&'a str> {
    let owner = object.controller_ref()?;
    let (owner_group, _) = drydock_machinery::names::split_api_version(owner.str_at(&["apiVersion"]));
    (owner.str_at(&["kind"]) == kind && owner_group == group).then(|| owner.str_at(&["name"]))
}

/// Adopts matching orphans and releases what no longer matches, in the name of one owner.
pub(crate) struct Claimer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) owner: &'a Object,
    pub(crate) owner_resource: &'a GroupVersionResource,
    pub(crate) resource: &'a GroupVersionResource,
    pub(crate) selector: &'a Selector,
    /// The finalizer that what is adopted gets and what is released loses.
    pub(crate) finalizer: Option<&'static str>,
}

impl Claimer<'_> {
    /// The objects that are the owner's afterwards. `eligible` says which orphans it would take.
    pub(crate) async fn claim(
        &self,
        objects: Vec<Arc<Object>>,
        eligible: impl Fn(&Object) -> bool,
    ) -> Result<Vec<Arc<Object>>, Status> {
        let mut claimed = Vec::with_capacity(objects.len());
        let mut may_adopt = None;
        for object in objects {
            let matches = self.selector.matches(object.labels());
            match object.controller_ref() {
                Some(owner) if owner.str_at(&["uid"]) != self.owner.uid() => {}
                Some(_) if matches => claimed.push(object),
                Some(_) if self.owner.is_deleting() => {}
                Some(_) => self.release(&object).await?,
                None if !matches || !eligible(&object) => {}
                None if object.is_deleting() || self.owner.is_deleting() => {}
                None => {
                    if may_adopt.is_none() {
                        may_adopt = Some(self.may_adopt().await?);
                    }
                    if may_adopt == Some(true)
                        && let Some(adopted) = self.adopt(&object).await?
                    {
                        claimed.push(adopted);
                    }
                }
            }
        }
        Ok(claimed)
    }

    /// Asks the server, not the cache, whether the owner is still there and not being deleted.
    async fn may_adopt(&self) -> Result<bool, Status> {
        let fresh = self.client.find(self.owner_resource, self.owner.namespace(), self.owner.name()).await?;
        Ok(fresh.is_some_and(|fresh| fresh.uid() == self.owner.uid() && !fresh.is_deleting()))
    }

    async fn adopt(&self, object: &Object) -> Result<Option<Arc<Object>>, Status> {
        let patch = value!({"metadata": {"uid": object.uid()}});
        let mut patch = patch;
        patch.set(&["metadata", "ownerReferences"], vec![controller_ref(self.owner)]);
        if let Some(finalizer) = self.finalizer {
            patch.set(&["metadata", "finalizers"], vec![finalizer]);
        }
        self.patch(object, patch).await
    }

    async fn release(&self, object: &Object) -> Result<(), Status> {
        let mut patch = value!({"metadata": {
            "uid": object.uid(),
            "ownerReferences": [{"$patch": "delete", "uid": self.owner.uid()}],
        }});
        if let Some(finalizer) = self.finalizer {
            patch.set(&["metadata", "$deleteFromPrimitiveList/finalizers"], vec![finalizer]);
        }
        self.patch(object, patch).await.map(drop)
    }

    /// None when the object is gone or another one of its name has come.
    async fn patch(&self, object: &Object, patch: Value) -> Result<Option<Arc<Object>>, Status> {
        let (namespace, name) = (object.namespace(), object.name());
        match self.client.patch(self.resource, namespace, name, PatchType::Strategic, patch).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if matches!(status.code, 404 | 422) => Ok(None),
            Err(status) => Err(status),
        }
    }
}
