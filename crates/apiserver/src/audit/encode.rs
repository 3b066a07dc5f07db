//! Events as JSON, in upstream's order of fields.

use drydock_auth::audit::Stage;
use drydock_machinery::value::write_json_string;
use drydock_machinery::{ObjectMeta, Value};
use jiff::Timestamp;

use super::event::{Event, Inner, ObjectRef};

/// A JSON object that is written field by field.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        write_json_string(key, self.out);
        self.out.push(b':');
        self.out
    }

    fn text(&mut self, key: &str, text: &str) {
        write_json_string(text, self.key(key));
    }

    /// Nothing when there is no text.
    fn given(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.text(key, text);
        }
    }

    fn raw(&mut self, key: &str, json: &[u8]) {
        self.key(key).extend_from_slice(json);
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

/// The event at a stage, with a line's end.
pub(super) fn line(event: &Event, inner: &Inner, stage: Stage, at: Timestamp) -> Vec<u8> {
    let objects = [&inner.request_object, &inner.response_object];
    let size: usize = objects.iter().filter_map(|object| object.as_ref()).map(Vec::len).sum();
    let mut out = Vec::with_capacity(1024 + size);
    let mut json = Writer::new(&mut out);
    json.text("kind", "Event");
    json.text("apiVersion", "audit.k8s.io/v1");
    json.text("level", event.config.level.as_str());
    json.text("auditID", &event.head.audit_id);
    json.text("stage", stage.as_str());
    json.text("requestURI", &event.head.uri);
    json.text("verb", &event.verb);
    event.user.to_value().write_json(json.key("user"));
    if let Some((user, constraint)) = &inner.impersonated {
        user.to_value().write_json(json.key("impersonatedUser"));
        if !constraint.is_empty() {
            let mut metadata = Writer::new(json.key("authenticationMetadata"));
            metadata.text("impersonationConstraint", constraint);
            metadata.end();
        }
    }
    if !event.head.source_ips.is_empty() {
        Value::from(event.head.source_ips.clone()).write_json(json.key("sourceIPs"));
    }
    json.given("userAgent", &event.head.user_agent);
    if let Some(object) = &inner.object {
        object_ref(object, json.key("objectRef"));
    }
    if let Some(status) = &inner.status {
        response_status(status, json.key("responseStatus"));
    }
    for (key, object) in
        [("requestObject", &inner.request_object), ("responseObject", &inner.response_object)]
    {
        if let Some(object) = object {
            json.raw(key, object);
        }
    }
    json.text("requestReceivedTimestamp", &micro_time(event.received));
    json.text("stageTimestamp", &micro_time(at));
    if !inner.annotations.is_empty() {
        let mut annotations = Writer::new(json.key("annotations"));
        for (key, text) in &inner.annotations {
            annotations.text(key, text);
        }
        annotations.end();
    }
    json.end();
    out.push(b'\n');
    out
}

fn object_ref(object: &ObjectRef, out: &mut Vec<u8>) {
    let mut json = Writer::new(out);
    for (key, text) in [
        ("resource", &object.resource),
        ("namespace", &object.namespace),
        ("name", &object.name),
        ("uid", &object.uid),
        ("apiGroup", &object.api_group),
        ("apiVersion", &object.api_version),
        ("resourceVersion", &object.resource_version),
        ("subresource", &object.subresource),
    ] {
        json.given(key, text);
    }
    json.end();
}

/// Of a Status its bounded fields.
fn response_status(status: &Value, out: &mut Vec<u8>) {
    let mut json = Writer::new(out);
    json.raw("metadata", b"{}");
    for key in ["status", "message", "reason", "details", "code"] {
        if let Some(value) = status.get(key) {
            value.write_json(json.key(key));
        }
    }
    json.end();
}

/// `metav1.MicroTime`.
fn micro_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// The object, or list or table of objects, without what server-side apply keeps book of.
pub(super) fn without_managed_fields(object: &Value) -> Value {
    let strip = |object: &mut Value| {
        if object.at(&["metadata", "managedFields"]).is_some() {
            object.remove(&["metadata", "managedFields"]);
        }
    };
    let mut out = object.clone();
    strip(&mut out);
    for (list, inner) in [("items", &[][..]), ("rows", &["object"][..])] {
        if out.array_at(&[list]).is_empty() || out.kind() == "Status" {
            continue;
        }
        let items = out.array_at(&[list]).iter().map(|item| {
            let mut item = item.clone();
            if inner.is_empty() {
                strip(&mut item);
            } else if item.at(inner).is_some() {
                strip(item.at_mut(inner));
            }
            item
        });
        let items: Vec<Value> = items.collect();
        out.set(&[list], items);
    }
    out
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn managed_fields_are_left_out_wherever_objects_are() {
        let object = || value!({"metadata": {"name": "a", "managedFields": [{}]}});
        let without = value!({"metadata": {"name": "a"}});
        assert_eq!(without_managed_fields(&object()), without);
        let mut list = value!({"kind": "PodList"});
        list.set(&["items"], vec![object()]);
        assert_eq!(without_managed_fields(&list).array_at(&["items"]), std::slice::from_ref(&without));
        let mut row = Value::object();
        row.set(&["object"], object());
        let mut table = value!({"kind": "Table"});
        table.set(&["rows"], vec![row]);
        assert_eq!(without_managed_fields(&table).array_at(&["rows"])[0].get("object"), Some(&without));
    }
}
