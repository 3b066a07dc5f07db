//! What clients send is hostile: nothing panics, and what was decoded once decodes to itself.

use drydock_machinery::apply::{FieldManager, FieldSet, OneVersion};
use drydock_machinery::crd::{self, CustomResource};
use drydock_machinery::decode::{self, FieldValidation};
use drydock_machinery::jsonpath::JsonPath;
use drydock_machinery::patch::{json_patch, merge_patch, strategic_merge_patch};
use drydock_machinery::quantity::Quantity;
use drydock_machinery::selector::{FieldSelector, Selector};
use drydock_machinery::status::FieldErrors;
use drydock_machinery::{Catalog, GroupVersionKind, Schema, Value, protobuf};
use proptest::prelude::*;

fn pod() -> Schema {
    Catalog::builtin().schema(&GroupVersionKind::new("", "v1", "Pod")).unwrap()
}

/// JSON whose names and values are often those of a pod.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        Just(String::new()),
        Just("100m".to_owned()),
        Just("2024-01-01T00:00:00Z".to_owned()),
        Just("2024-02-30T25:00:00+99:00".to_owned()),
        "\\PC{0,12}",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i32>().prop_map(|i| (f64::from(i) / 8.0).into()),
        text.prop_map(Into::into),
    ];
    let name = prop::sample::select(vec![
        "metadata",
        "spec",
        "containers",
        "name",
        "env",
        "value",
        "labels",
        "resources",
        "limits",
        "cpu",
        "ports",
        "containerPort",
        "livenessProbe",
        "httpGet",
        "port",
        "creationTimestamp",
        "managedFields",
        "fieldsV1",
        "volumes",
        "emptyDir",
        "sizeLimit",
        "tolerations",
        "hostNetwork",
        "status",
        "conditions",
        "other",
    ]);
    leaf.prop_recursive(7, 80, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(|map| {
                map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<serde_json::Map<_, _>>().into()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_is_idempotent(json in json()) {
        let text = json.to_string();
        decode::check_syntax(text.as_bytes()).unwrap();
        let _ = decode::type_meta(text.as_bytes());
        let pod = pod();
        if let Ok(decoded) = decode::json(&text, pod.root(), FieldValidation::Warn) {
            let again = decode::value(&decoded.value, pod.root(), FieldValidation::Strict).unwrap();
            prop_assert_eq!(&again.value, &decoded.value);
            let bytes = protobuf::encode_message(&decoded.value, pod.root()).unwrap();
            // Protobuf cannot tell an empty list or map that was given from none.
            protobuf::decode_message(&bytes, pod.root()).unwrap();
        }
        let untyped = decode::untyped(&text, FieldValidation::Strict).unwrap();
        prop_assert_eq!(untyped.value.to_json(), Value::from_json(text.as_bytes()).unwrap().to_json());
    }

    #[test]
    fn syntax_is_what_others_say_it_is(text in r#"[ \[\]{}:,"a\\u0\-+.1eEtrufalsn\n]{0,16}"#) {
        // Numbers out of range are a matter of types to Go, of syntax to serde.
        let known = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(decode::check_syntax(text.as_bytes()).is_ok(), known, "{}", text);
    }

    #[test]
    fn any_text_is_yaml_or_not(text in "[ \\-:\\[\\]{}&*a-c0-9\n#'\"|>!<?]{0,40}") {
        let _ = decode::yaml(&text);
    }

    #[test]
    fn any_bytes_are_protobuf_or_not(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = protobuf::open(&bytes);
        let _ = protobuf::decode_message(&bytes, pod().root());
        let _ = protobuf::read_watch_frame(&bytes);
    }

    #[test]
    fn any_text_is_an_expression_or_not(text in "[ .$@\\[\\]()?*,:'\"a-c0-9=!<>&|{}/~^+\\-\\\\é]{0,24}") {
        let object = Value::from_json(br#"{"a": [{"b": 1}, {"b": "x"}], "c": {"a": null}}"#).unwrap();
        if let Ok(path) = JsonPath::parse(&text) {
            let _ = path.find(&object);
        }
        if let Ok(selector) = Selector::parse(&text) {
            prop_assert_eq!(&Selector::parse(&selector.to_string()).unwrap(), &selector);
        }
        if let Ok(selector) = FieldSelector::parse(&text) {
            prop_assert_eq!(&FieldSelector::parse(&selector.to_string()).unwrap(), &selector);
        }
        let _ = crd::go_regex(&text);
    }

    #[test]
    fn quantities_come_back_as_they_went(text in "[+\\-]?[0-9]{0,20}\\.?[0-9]{0,12}([numkMGTPE]i?|[eE][+\\-]?[0-9]{1,3})?") {
        if let Ok(quantity) = Quantity::parse(&text) {
            let again = Quantity::parse(&quantity.to_string()).unwrap();
            prop_assert_eq!(again.cmp(&quantity), std::cmp::Ordering::Equal, "{}", text);
        }
    }

    /// Patches of any shape, to objects of any shape.
    #[test]
    fn any_patch_applies_or_not(object in json(), patch in json()) {
        let pod = pod();
        let value = |json: &serde_json::Value| Value::from_json(json.to_string().as_bytes()).unwrap();
        let patch = value(&patch);
        let _ = json_patch(&value(&object), &patch);
        merge_patch(&value(&object), &patch);
        let _ = strategic_merge_patch(&value(&object), &patch, pod.root());
        let as_pod = |json: &serde_json::Value| {
            decode::json(&json.to_string(), pod.root(), FieldValidation::Ignore).ok().map(|decoded| decoded.value)
        };
        if let Some(object) = as_pod(&object) {
            let _ = strategic_merge_patch(&object, &patch, pod.root());
        }
    }

    /// What one manager applies twice changes nothing the second time.
    #[test]
    fn applying_is_idempotent(created in json(), applied in json()) {
        let schema = pod();
        let kind = GroupVersionKind::new("", "v1", "Pod");
        let versions = OneVersion { api_version: "v1", schema: &schema };
        let none = FieldSet::default();
        let fields = FieldManager { kind: &kind, subresource: "", versions: &versions, reset_fields: &none };
        let as_pod = |json: &serde_json::Value| {
            let decoded = decode::json(&json.to_string(), schema.root(), FieldValidation::Ignore).ok()?;
            let mut value = decoded.value;
            value.set(&["apiVersion"], "v1");
            value.set(&["kind"], "Pod");
            value.remove(&["metadata", "managedFields"]);
            Some(value)
        };
        let (Some(mut live), Some(applied)) = (as_pod(&created), as_pod(&applied)) else { return Ok(()) };
        fields.update(None, &mut live, "creator", "2024-01-01T00:00:00Z".parse().unwrap());
        let Ok(once) = fields.apply(Some(&live), &applied, "applier", true, "2024-01-02T00:00:00Z".parse().unwrap())
        else { return Ok(()) };
        let twice = fields.apply(Some(&once), &applied, "applier", false, "2024-01-03T00:00:00Z".parse().unwrap());
        prop_assert_eq!(&twice.unwrap(), &once);
    }

    /// Any object is valid or not against any schema, structural or not.
    #[test]
    fn any_custom_object_is_valid_or_not(schema in json(), object in json()) {
        let schema = Value::from_json(schema.to_string().as_bytes()).unwrap();
        let mut object = Value::from_json(object.to_string().as_bytes()).unwrap();
        let custom = CustomResource::compile(&schema, 36);
        let _ = custom.coerce(&mut object);
        decode::prune(&mut object, custom.schema.root());
        let old = object.clone();
        custom.validate(&mut FieldErrors::new(), &object, Some(&old));
        custom.validate(&mut FieldErrors::new(), &object, None);
    }
}
