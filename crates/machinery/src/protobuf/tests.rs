//! Bytes by hand, and everything there and back.

use super::*;
use crate::catalog::Catalog;
use crate::decode::{self, FieldValidation};
use crate::names::GroupVersionKind;
use crate::value;

fn schema(api_version: &str, kind: &str) -> crate::Schema {
    Catalog::builtin().schema(&GroupVersionKind::from_api_version(api_version, kind)).unwrap()
}

/// As the decoder of JSON has it.
fn normal(object: &Value) -> Value {
    let schema = schema(object.api_version(), object.kind());
    decode::value(object, schema.root(), FieldValidation::Strict).unwrap().value
}

fn check_round_trip(object: &Value) {
    let object = normal(object);
    let schema = schema(object.api_version(), object.kind());
    let bytes = encode(&object, schema.root()).unwrap();
    let unknown = open(&bytes).unwrap();
    assert_eq!(unknown.type_meta.kind, object.kind());
    let mut back = decode_message(unknown.raw, schema.root()).unwrap();
    back.set(&["apiVersion"], unknown.type_meta.api_version);
    back.set(&["kind"], unknown.type_meta.kind);
    assert_eq!(back, object);
}

#[test]
fn a_config_map_is_these_bytes() {
    let object = value!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {"k": "v"}, "creationTimestamp": "1970-01-01T00:00:01Z"}, "data": {"x": "1"}});
    let bytes = encode(&object, schema("v1", "ConfigMap").root()).unwrap();
    // ObjectMeta by hand: all strings and numbers that Go has by value are there, also empty ones.
    let mut meta = vec![0x0a, 1, b'a', 0x12, 0, 0x1a, 0, 0x22, 0, 0x2a, 0, 0x32, 0, 0x38, 0];
    meta.extend([0x42, 4, 0x08, 1, 0x10, 0]);
    meta.extend([0x5a, 6, 0x0a, 1, b'k', 0x12, 1, b'v']);
    let mut raw = vec![0x0a, meta.len() as u8];
    raw.extend(meta);
    raw.extend([0x12, 6, 0x0a, 1, b'x', 0x12, 1, b'1']);
    let mut want = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12".to_vec();
    want.push(raw.len() as u8);
    want.extend(raw);
    want.extend([0x1a, 0, 0x22, 0]);
    assert_eq!(bytes, want);
}

#[test]
fn objects_come_back_as_they_went() {
    for object in [
        value!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u", "generation": -1,
                "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}, "time": "2024-01-01T00:00:00Z"}],
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "x", "controller": false}]},
            "spec": {"hostNetwork": true, "automountServiceAccountToken": false, "activeDeadlineSeconds": 0,
                "securityContext": {"supplementalGroups": [1, 2000000]},
                "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "w", "configMap": {"name": "c", "items": [{"key": "k", "path": "p", "mode": 420}]}},
                    {"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
                "containers": [{"name": "c", "image": "i", "args": ["a", "", "b"],
                    "env": [{"name": "E", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}],
                    "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}},
                    "livenessProbe": {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 3},
                    "ports": [{"containerPort": 80}]}]},
            "status": {"startTime": "2024-01-01T00:00:00Z", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2024-05-05T05:05:05Z"}]}}),
        value!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "AAEC/w==", "b": ""}}),
        value!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
            "spec": {"renewTime": "2024-01-01T00:00:00.123456Z", "holderIdentity": "h"}}),
        value!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": "u", "extra": {"k": ["a", "b"]}}}),
        value!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": {"rules": [
            {"host": "h", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}}),
        value!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "c"}, "spec": {
            "group": "g", "scope": "Namespaced", "names": {"plural": "xs", "kind": "X"}, "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "default": {"a": [1, null]}, "maximum": 1.5, "enum": ["a", 1],
                "additionalProperties": true, "items": {"type": "string"}, "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"p": {"items": {"type": "integer"}, "minimum": 0, "additionalProperties": {"type": "string"}}}}}}]}}),
        value!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "r"}, "revision": 3,
            "data": {"spec": {"template": {"$patch": "replace"}}}}),
        value!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound",
            "details": {"name": "n", "causes": [{"field": "f"}]}}),
        value!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Orphan",
            "preconditions": {"uid": "u"}}),
        value!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "x"}}),
        value!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "5", "remainingItemCount": 3},
            "items": [{"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}]}),
    ] {
        check_round_trip(&object);
    }
}

#[test]
fn every_kind_can_be_written_and_read_when_empty() {
    for kind in Catalog::builtin().kinds() {
        let schema = Catalog::builtin().schema(kind).unwrap();
        let empty = decode::zero(schema.root());
        let bytes = encode_message(&empty, schema.root()).unwrap();
        assert_eq!(decode_message(&bytes, schema.root()).unwrap(), empty, "{kind}");
    }
}

#[test]
fn watch_events_are_framed() {
    let object = encode(&value!({"apiVersion": "v1", "kind": "Node"}), schema("v1", "Node").root()).unwrap();
    let mut stream = watch_frame("ADDED", &object);
    stream.extend(watch_frame("DELETED", &object));
    let first = read_watch_frame(&stream).unwrap().unwrap();
    assert_eq!((first.event_type, first.object), ("ADDED", &object[..]));
    let second = read_watch_frame(first.rest).unwrap().unwrap();
    assert_eq!((second.event_type, second.rest), ("DELETED", &b""[..]));
    assert_eq!(read_watch_frame(&stream[..10]), Ok(None));
}

#[test]
fn broken_bytes_are_refused() {
    let pod = schema("v1", "Pod");
    assert_eq!(open(b"{}"), Err(ProtobufError::NoPrefix));
    for (bytes, error) in [
        (&[0x0a][..], ProtobufError::UnexpectedEnd),
        (&[0x0a, 5, 1], ProtobufError::UnexpectedEnd),
        (&[0x0f], ProtobufError::WireType(7)),
        (&[0xff; 11], ProtobufError::Overflow),
        (&[0x0a, 3, 0x0a, 1, 0xff], ProtobufError::Utf8),
    ] {
        assert_eq!(decode_message(bytes, pod.root()), Err(error), "{bytes:?}");
    }
}
