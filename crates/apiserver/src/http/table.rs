//! `meta.k8s.io Table`: what kubectl shows.

use std::sync::LazyLock;

use drydock_client::ObjectList;
use drydock_kinds::Strategy;
use drydock_machinery::crd::columns::Columns;
use drydock_machinery::{GroupVersionKind, ObjectMeta as _, Status, Value, value};
use drydock_runtime::Clock;
use jiff::Timestamp;

use super::handler::Req;
use super::{encode, list_body};
use crate::resources::Resource;

/// `metav1.TableOptions`, and the clock that ages are counted by.
#[derive(Clone)]
pub(crate) struct Options {
    include: Include,
    clock: Clock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Include {
    None,
    Metadata,
    Object,
}

impl Options {
    /// # Errors
    /// 400 for an `includeObject` that there is not.
    pub(crate) fn of(request: &Req) -> Result<Self, Status> {
        let include = match request.query.get("includeObject").unwrap_or("") {
            "" | "Metadata" => Include::Metadata,
            "None" => Include::None,
            "Object" => Include::Object,
            other => {
                let text = format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
                );
                return Err(Status::bad_request(text));
            }
        };
        Ok(Self { include, clock: request.core.registry.clock.clone() })
    }
}

/// What makes columns and cells of objects.
#[derive(Clone, Copy)]
struct Printer<'a> {
    strategy: &'a dyn Strategy,
    custom: Option<&'a Columns>,
    /// What objects are shown as, where that is not what they were asked for as.
    converted: Option<&'a GroupVersionKind>,
}

impl<'a> Printer<'a> {
    fn of(resource: &'a Resource) -> Self {
        let custom = resource.custom.as_ref().and_then(|custom| custom.columns.as_ref());
        let converted =
            (resource.custom.is_none() && !resource.is_storage_version()).then_some(&resource.storage);
        Self { strategy: resource.strategy, custom, converted }
    }

    /// A scale subresource shows another kind than its resource's.
    fn of_object(resource: &'a Resource, object: &Value) -> Self {
        if object.kind() == "Scale" && object.str_at(&["apiVersion"]) == "autoscaling/v1" {
            let strategy = drydock_kinds::strategy("autoscaling", "scales");
            let custom = CUSTOM_SCALE.as_ref().filter(|_| resource.custom.is_some());
            return Self { strategy, custom, converted: None };
        }
        Self::of(resource)
    }
}

/// Upstream's server of custom resources has columns of its own for their scales; None, which does not happen, if these
/// could not be read.
static CUSTOM_SCALE: LazyLock<Option<Columns>> = LazyLock::new(|| {
    let age = drydock_kinds::default_columns().last().map_or("", |age| age.description);
    let columns = [
        value!({"name": "Desired", "type": "integer", "description": "Number of desired replicas",
            "jsonPath": ".spec.replicas"}),
        value!({"name": "Available", "type": "integer", "description": "Number of actual replicas",
            "jsonPath": ".status.replicas"}),
        value!({"name": "Age", "type": "date", "description": age, "jsonPath": ".metadata.creationTimestamp"}),
    ];
    Columns::new(&columns, age).ok()
});

pub(crate) fn of_list(
    request: &Req,
    resource: &Resource,
    list: &ObjectList,
    version: &str,
) -> Result<Value, Status> {
    let options = Options::of(request)?;
    let (printer, now) = (Printer::of(resource), options.clock.now());
    let rows: Vec<Value> =
        list.items.iter().map(|item| row(printer, item.value(), version, options.include, now)).collect();
    let mut table = empty(version);
    table.set(&["metadata"], list_body::metadata_of(list));
    table.set(&["columnDefinitions"], columns(printer));
    // Kinds without a printer of their own have no rows at all where others have an empty list.
    let plain = resource.custom.is_none() && resource.strategy.columns() == drydock_kinds::default_columns();
    let rows = if rows.is_empty() && plain { Value::Null } else { Value::from(rows) };
    table.set(&["rows"], rows);
    Ok(table)
}

pub(crate) fn of_object(
    request: &Req,
    resource: &Resource,
    object: &Value,
    version: &str,
) -> Result<Value, Status> {
    Ok(event(resource, object, version, &Options::of(request)?, true))
}

/// The table of one object: of a GET, or of a watch event.
pub(crate) fn event(
    resource: &Resource,
    object: &Value,
    version: &str,
    options: &Options,
    with_columns: bool,
) -> Value {
    let mut table = empty(version);
    let mut metadata = value!({});
    // Of a dry run there is none.
    if let Some(revision) = object.get("metadata").and_then(|metadata| metadata.get("resourceVersion")) {
        metadata.set(&["resourceVersion"], revision.clone());
    }
    table.set(&["metadata"], metadata);
    let printer = Printer::of_object(resource, object);
    let columns = if with_columns { columns(printer) } else { Value::Null };
    table.set(&["columnDefinitions"], columns);
    table.set(&["rows"], vec![row(printer, object, version, options.include, options.clock.now())]);
    table
}

fn empty(version: &str) -> Value {
    value!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{version}")})
}

fn columns(printer: Printer<'_>) -> Value {
    if let Some(custom) = printer.custom {
        let name = drydock_kinds::default_columns()[0];
        let name = value!({
            "name": name.name, "type": name.column_type, "format": name.format,
            "description": name.description, "priority": name.priority,
        });
        let columns: Vec<Value> = std::iter::once(name).chain(custom.definitions().cloned()).collect();
        return Value::from(columns);
    }
    let columns = printer.strategy.columns().iter().map(|column| {
        value!({
            "name": column.name, "type": column.column_type, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    });
    Value::from(columns.collect::<Vec<_>>())
}

fn row(printer: Printer<'_>, object: &Value, version: &str, include: Include, now: Timestamp) -> Value {
    let mut row = Value::object();
    let cells = match (printer.custom, printer.converted) {
        (Some(columns), _) => columns.cells(object, now),
        (None, None) => printer.strategy.cells(object, now),
        (None, Some(kind)) => {
            let mut converted = object.clone();
            drydock_kinds::convert(&mut converted, kind);
            printer.strategy.cells(&converted, now)
        }
    };
    row.set(&["cells"], cells);
    let conditions = printer.strategy.row_conditions(object);
    if !conditions.is_empty() {
        row.set(&["conditions"], conditions);
    }
    match include {
        Include::None => row.set(&["object"], Value::Null),
        Include::Metadata => row.set(&["object"], encode::partial(object, version)),
        Include::Object => row.set(&["object"], object.clone()),
    }
    row
}
