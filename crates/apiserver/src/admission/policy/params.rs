//! The parameters that a binding gives its policy.

use std::sync::Arc;

use drydock_machinery::selector::Selector;
use drydock_machinery::{GroupVersionKind, Object, ObjectMeta, Value};

use crate::admission::{AdmissionContext, AdmissionRequest};
use crate::registry::convert;
use crate::resources::Resource;

/// The resource that a policy's `paramKind` names; None when it names none.
///
/// # Errors
/// When there is no such resource.
pub(super) fn resource(
    context: &AdmissionContext<'_>,
    spec: &Value,
) -> Result<Option<Arc<Resource>>, String> {
    let Some(kind) = spec.get("paramKind").filter(|kind| !kind.is_null()) else { return Ok(None) };
    let kind = GroupVersionKind::from_api_version(kind.str_at(&["apiVersion"]), kind.str_at(&["kind"]));
    let table = context.resources.table();
    let found = table.find_kind(&kind.group, &kind.version, &kind.kind).filter(|found| found.is_stored());
    match found {
        Some(found) => Ok(Some(found.clone())),
        None => Err(format!(
            "failed to find resource referenced by paramKind: '{}/{}, Kind={}'",
            kind.group, kind.version, kind.kind
        )),
    }
}

/// What a policy is evaluated with, once for each; a single None without parameters.
///
/// # Errors
/// What is wrong with the binding, or that there are no parameters and there should be.
pub(super) async fn collect(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    resource: Option<&Arc<Resource>>,
    binding: &Value,
) -> Result<Vec<Option<Arc<Object>>>, String> {
    let reference = binding.at(&["spec", "paramRef"]).filter(|reference| !reference.is_null());
    let (Some(resource), Some(reference)) = (resource, reference) else { return Ok(vec![None]) };
    let namespace = namespace(request, resource, reference.str_at(&["namespace"]))?;
    let found = find(context, resource, namespace, reference)?;
    if found.is_empty() && reference.str_at(&["parameterNotFoundAction"]) == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    let shown = convert::shown(context.reader, resource, found).await.map_err(|status| status.message)?;
    Ok(shown.into_iter().map(Some).collect())
}

/// Where parameters are looked for: where the reference says, or else beside the object.
fn namespace<'a>(
    request: &'a AdmissionRequest<'_>,
    resource: &Resource,
    given: &'a str,
) -> Result<&'a str, String> {
    match (resource.namespaced, given) {
        (false, "") => Ok(""),
        (false, _) => {
            Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned())
        }
        (true, "") => match request.shown_namespace() {
            "" => {
                Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                    .to_owned())
            }
            own => Ok(own),
        },
        (true, given) => Ok(given),
    }
}

fn find(
    context: &AdmissionContext<'_>,
    resource: &Resource,
    namespace: &str,
    reference: &Value,
) -> Result<Vec<Arc<Object>>, String> {
    let cache = context.cache.by_prefix(&resource.prefix);
    let name = reference.str_at(&["name"]);
    if !name.is_empty() {
        let key = crate::cache::object_key(&resource.prefix, namespace, name);
        return Ok(cache.get(&key).into_iter().collect());
    }
    let Some(selector) = reference.get("selector").filter(|selector| !selector.is_null()) else {
        return Err("one of name or selector must be provided".to_owned());
    };
    let selector = Selector::from_label_selector(Some(selector)).map_err(|why| why.to_string())?;
    let range = crate::cache::namespace_prefix(cache.prefix(), namespace);
    let snapshot = cache.snapshot();
    let selected = snapshot.under(&range).filter(|(_, object)| selector.matches(object.labels()));
    Ok(selected.map(|(_, object)| object.clone()).collect())
}
