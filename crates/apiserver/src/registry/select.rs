//! Label and field selectors of list, watch and deletecollection.

use std::borrow::Cow;
use std::sync::Arc;

use drydock_client::Request;
use drydock_machinery::selector::{FieldSelector, Selector};
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use crate::cache::{Filter, namespace_prefix};
use crate::resources::Resource;

/// Which objects of a resource a request is about.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    resource: Arc<Resource>,
    /// What keys must start with.
    pub(crate) prefix: String,
    labels: Selector,
    fields: FieldSelector,
}

impl Selection {
    /// # Errors
    /// 400 for selectors that cannot be read or name fields that the resource does not select by.
    pub(crate) fn new(resource: &Arc<Resource>, request: &Request) -> Result<Self, Status> {
        let options = &request.options;
        let labels = Selector::parse(&options.label_selector).map_err(|e| Status::bad_request(e.0))?;
        let mut fields =
            FieldSelector::parse(&options.field_selector).map_err(|e| Status::bad_request(e.0))?;
        check_fields(resource, &fields)?;
        if !request.name.is_empty() {
            fields = FieldSelector::parse(&format!("metadata.name={}", request.name))
                .map_err(|e| Status::bad_request(e.0))?;
        }
        let prefix = namespace_prefix(&resource.prefix, &request.namespace);
        Ok(Self { resource: resource.clone(), prefix, labels, fields })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The one name that the fields demand.
    pub(crate) fn exact_name(&self) -> Option<&str> {
        self.fields.requires_exact_match("metadata.name")
    }

    pub(crate) fn selects(&self, object: &Value) -> bool {
        if !self.labels.is_everything() && !self.labels.matches(object.labels()) {
            return false;
        }
        if self.fields.is_everything() {
            return true;
        }
        let own = self.resource.strategy.selectable_fields(object);
        let custom = custom_fields(&self.resource, object);
        self.fields.matches(|field| match field {
            "metadata.name" => object.name(),
            "metadata.namespace" => object.namespace(),
            _ => own
                .iter()
                .find(|(name, _)| *name == field)
                .map(|(_, value)| value.as_ref())
                .or_else(|| custom.iter().find(|(name, _)| *name == field).map(|(_, value)| value.as_ref()))
                .unwrap_or(""),
        })
    }
}

impl Filter for Selection {
    fn matches(&self, key: &str, object: &Object) -> bool {
        key.starts_with(&self.prefix) && self.selects(object.value())
    }
}

fn check_fields(resource: &Resource, fields: &FieldSelector) -> Result<(), Status> {
    // Kinds without selectable fields of their own take what all objects may have, even if theirs have none.
    let own_only = ["nodes", "namespaces", "certificatesigningrequests", "resourceslices"];
    let by_namespace =
        resource.namespaced || (resource.custom.is_none() && !own_only.contains(&&*resource.gvr.resource));
    for term in &fields.terms {
        let name = term.field.as_str();
        let known = name == "metadata.name"
            || (name == "metadata.namespace" && by_namespace)
            || resource.strategy.selectable_field_names().contains(&name)
            || custom_paths(resource).any(|path| path == name);
        if !known {
            return Err(Status::bad_request(not_supported(resource, name)));
        }
    }
    Ok(())
}

/// Each kind has its own words for a field that it does not select by.
fn not_supported(resource: &Resource, name: &str) -> String {
    let fields = resource.strategy.selectable_field_names();
    match &*resource.gvr.resource {
        "jobs" if resource.custom.is_none() => format!("field label {name:?} not supported for Job"),
        "resourceslices" if resource.custom.is_none() => {
            let (version, kind) = (resource.gvk.api_version(), &resource.gvk.kind);
            format!("field label not supported for {version}, Kind={kind}: {name}")
        }
        "ipaddresses" if resource.custom.is_none() => not_known(name),
        _ if resource.custom.is_some() || !fields.is_empty() => format!("field label not supported: {name}"),
        _ => not_known(name),
    }
}

/// What a kind says that never had words of its own.
fn not_known(name: &str) -> String {
    format!("{name:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
}

/// The `jsonPath`s of a custom resource's `selectableFields`, without their leading dot.
fn custom_paths(resource: &Resource) -> impl Iterator<Item = &str> {
    let fields =
        resource.custom.as_ref().map_or(&[][..], |custom| custom.version.array_at(&["selectableFields"]));
    fields.iter().map(|field| field.str_at(&["jsonPath"]).trim_start_matches('.'))
}

fn custom_fields<'a>(resource: &'a Resource, object: &'a Value) -> Vec<(&'a str, Cow<'a, str>)> {
    custom_paths(resource)
        .map(|path| {
            let value = path.split('.').try_fold(object, |value, key| value.get(key));
            (path, value.map_or(Cow::Borrowed(""), scalar_text))
        })
        .collect()
}

fn scalar_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed(""),
        other => Cow::Owned(String::from_utf8_lossy(&other.to_json()).into_owned()),
    }
}
