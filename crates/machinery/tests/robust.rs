//! What clients send is hostile: nothing panics, and what was decoded once decodes to itself.

use drydock_machinery::decode::{self, FieldValidation};
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
}
