//! Patch: an update whose object is computed from the present one, again when another writer was faster.

use std::sync::Arc;

use drydock_client::PatchType;
use drydock_machinery::patch::{json_patch, merge_patch, strategic_merge_patch};
use drydock_machinery::{Object, Schema, Status, Value};

use super::update::Updated;
use super::{Body, Call, Done, Registry, convert, decode};

impl Registry {
    pub(crate) async fn patch(&self, call: &mut Call, kind: PatchType) -> Result<Done, Status> {
        let patch = read(call)?;
        if kind == PatchType::Apply {
            return self.apply(call, patch).await;
        }
        let resource = call.resource.clone();
        let strategy = resource.strategy;
        let make = move |current: &Arc<Object>| {
            let shown = convert::from_storage(&resource, current.value().clone());
            let patched = patched(resource.schema.as_ref(), kind, &shown, &patch)?;
            let mut patched = convert::to_storage(&resource, patched);
            strategy.set_defaults(&mut patched);
            Ok(patched)
        };
        match self.update_with(call, make).await? {
            Updated::Done(done) => Ok(done),
            Updated::Absent => Err(call.not_found()),
        }
    }

    async fn apply(&self, call: &mut Call, _patch: Value) -> Result<Done, Status> {
        Err(call.method_not_supported("apply"))
    }
}

pub(crate) fn read(call: &Call) -> Result<Value, Status> {
    match &call.body {
        Body::Value(value) => Ok(value.clone()),
        Body::Json(bytes) => {
            decode::json(bytes).map_err(|why| Status::bad_request(format!("error decoding patch: {why}")))
        }
        Body::Yaml(bytes) => decode::yaml(bytes),
    }
}

/// `current` with `patch` applied; `schema` is what strategic patches go by.
pub(crate) fn patched(
    schema: Option<&Schema>,
    kind: PatchType,
    current: &Value,
    patch: &Value,
) -> Result<Value, Status> {
    match (kind, schema) {
        (PatchType::Json, _) => Ok(json_patch(current, patch)?),
        (PatchType::Strategic, Some(schema)) => Ok(strategic_merge_patch(current, patch, schema.root())?),
        _ => Ok(merge_patch(current, patch)),
    }
}
