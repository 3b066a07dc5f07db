//! Lists, at the present revision or an older one, whole or in pages.

use std::sync::Arc;

use drydock_client::ObjectList;
use drydock_machinery::status::Reason;
use drydock_machinery::{Object, Status};
use drydock_store::StoreError;

use super::paging::Position;
use super::{Call, Registry, Selection, options, paging};
use crate::cache::{Snapshot, object_key};

impl Registry {
    pub(crate) async fn list(&self, call: &Call) -> Result<ObjectList, Status> {
        let request = &call.request;
        let selection = Selection::new(&call.resource, request)?;
        options::check_list(&request.options, false)?;
        let position = paging::position(&request.options)?;
        let snapshot = self.snapshot_for(call, &position).await?;
        Ok(self.page(call, &selection, &snapshot, &position))
    }

    /// The objects at the revision that the options ask for.
    async fn snapshot_for(&self, call: &Call, position: &Position) -> Result<Snapshot, Status> {
        let options = &call.request.options;
        let cache = self.cache.by_prefix(&call.resource.prefix);
        if let Some(revision) = position.revision {
            self.reach(revision).await?;
            let old = self.cache.snapshot_at(&cache, revision).await;
            return old.map_err(|error| continue_expired(&error, position));
        }
        let asked = match options.resource_version.as_str() {
            "" => 0,
            text => options::revision(text)?,
        };
        let exact = options.resource_version_match == "Exact"
            || (options.resource_version_match.is_empty() && options.limit > 0 && asked > 0);
        self.reach(asked).await.map_err(|status| if exact { without_retry(status) } else { status })?;
        if exact {
            let old = self.cache.snapshot_at(&cache, asked).await;
            return old.map_err(|error| too_old(&error));
        }
        // Read before the snapshot: a watch from the list's revision must miss nothing.
        let applied = self.cache.revision();
        let mut snapshot = cache.snapshot();
        snapshot.revision = snapshot.revision.max(applied);
        Ok(snapshot)
    }

    fn page(
        &self,
        call: &Call,
        selection: &Selection,
        snapshot: &Snapshot,
        position: &Position,
    ) -> ObjectList {
        // Whatever is at hand is sent whole.
        let asked = &call.request.options;
        let limit =
            if asked.resource_version == "0" && asked.continue_token.is_empty() { 0 } else { asked.limit };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let resource_version = snapshot.revision.to_string();
        let after = position.after(&selection.prefix);
        if let Some(name) = selection.exact_name()
            && (!call.resource.namespaced || !call.request.namespace.is_empty())
        {
            let key = object_key(&call.resource.prefix, &call.request.namespace, name);
            let found = snapshot.objects.get(key.as_str()).filter(|object| selection.selects(object));
            let items = found.cloned().into_iter().collect();
            return ObjectList { items, resource_version, ..ObjectList::default() };
        }
        let matching =
            snapshot.after(&selection.prefix, &after).filter(|(_, object)| selection.selects(object));
        if limit == 0 {
            let items = matching.map(|(_, object)| object.clone()).collect();
            return ObjectList { items, resource_version, ..ObjectList::default() };
        }
        let taken: Vec<(&Arc<str>, &Arc<Object>)> = matching.take(limit).collect();
        // There is more when more is there, whether or not it will be selected.
        let last = taken.last().filter(|_| taken.len() == limit).map(|(key, _)| (*key).clone());
        let last = last.filter(|last| snapshot.after(&selection.prefix, last).next().is_some());
        let mut list = ObjectList {
            items: taken.into_iter().map(|(_, object)| object.clone()).collect(),
            resource_version,
            ..ObjectList::default()
        };
        if let Some(last) = last {
            list.continue_token = paging::token(&selection.prefix, &last, snapshot.revision);
            if selection.is_everything() {
                let rest = snapshot.after(&selection.prefix, &last).count();
                list.remaining_item_count = Some(rest as u64);
            }
        }
        list
    }
}

/// Of a revision that is still to come: waiting for one exactly is not what upstream advises.
pub(super) fn without_retry(mut status: Status) -> Status {
    if let Some(details) = &mut status.details {
        details.retry_after_seconds = 0;
    }
    status
}

fn too_old(error: &StoreError) -> Status {
    match error {
        StoreError::Compacted { .. } => {
            Status::new(410, Reason::Expired, "The resourceVersion for the provided list is too old.")
        }
        error => Status::internal(error),
    }
}

/// The list can go on with what is there now, if the client does not mind.
fn continue_expired(error: &StoreError, position: &Position) -> Status {
    const TEXT: &str = "The provided continue parameter is too old to display a consistent list result. You can start \
                        a new list without the continue parameter, or use the continue token in this response to \
                        retrieve the remainder of the results. Continuing with the provided token results in an \
                        inconsistent list - objects that were created, modified, or deleted between the time the \
                        first chunk was returned and now may show up in the list.";
    match error {
        StoreError::Compacted { .. } => {
            let mut status = Status::new(410, Reason::Expired, TEXT);
            status.continue_token = position.inconsistent();
            status
        }
        StoreError::FutureRevision { requested, latest } => options::too_large(*requested, *latest),
        error => Status::internal(error),
    }
}
