//! What upstream answers, by table.

use super::*;
use crate::catalog::Catalog;
use crate::names::GroupVersionKind;
use crate::value;

fn schema(api_version: &str, kind: &str) -> crate::Schema {
    Catalog::builtin().schema(&GroupVersionKind::from_api_version(api_version, kind)).unwrap()
}

/// Decodes as the kind that the text says it is.
fn decode(text: &str, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let meta = type_meta(text.as_bytes()).unwrap();
    json(text, schema(&meta.api_version, &meta.kind).root(), validation)
}

fn check_error(text: &str, expect: &str) {
    assert_eq!(decode(text, FieldValidation::Strict).unwrap_err().to_string(), expect, "for {text}");
    // A tree answers the same, but for how numbers were written.
    let tree = Value::from_json(text.as_bytes()).unwrap();
    let meta = type_meta(text.as_bytes()).unwrap();
    let schema = schema(&meta.api_version, &meta.kind);
    if !expect.contains("duplicate") {
        let answer = value(&tree, schema.root(), FieldValidation::Strict).unwrap_err().to_string();
        assert_eq!(answer, expect, "for the tree {text}");
    }
}

fn pod(spec: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"a"}},"spec":{spec}}}"#)
}

fn config_map(rest: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap",{rest}}}"#)
}

#[test]
fn values_of_the_wrong_type_are_refused_in_gos_words() {
    for (text, expect) in [
        (
            pod(r#"{"containers":{"name":"c"}}"#),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            pod(r#"{"containers":[{"name":"c","livenessProbe":{"exec":1}}]}"#),
            "json: cannot unmarshal number into Go struct field Probe.spec.containers.livenessProbe.ProbeHandler.exec of type v1.ExecAction",
        ),
        (
            pod(r#"{"hostNetwork":"yes"}"#),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
        ),
        (
            pod(r#"{"terminationGracePeriodSeconds":"30"}"#),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            pod(r#"{"terminationGracePeriodSeconds":1.5}"#),
            "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            pod(r#"{"containers":[{"name":5}]}"#),
            "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
        ),
        (
            pod(r#"{"containers":[{"ports":[{"containerPort":"80"}]}]}"#),
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            pod(r#"{"containers":[{"ports":[{"containerPort":3000000000}]}]}"#),
            "json: cannot unmarshal number 3000000000 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (pod("[1,2]"), "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"),
        (
            config_map(r#""data":{"n":5}"#),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            config_map(r#""metadata":{"labels":{"a":1}}"#),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (config_map(r#""binaryData":{"a":"YWJj="}"#), "illegal base64 data at input byte 4"),
        (
            config_map(r#""metadata":{"creationTimestamp":"yesterday"}"#),
            r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#,
        ),
        (
            pod(r#"{"containers":[{"resources":{"limits":{"cpu":"2Gigs"}}}]}"#),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Service","spec":{"externalTrafficPolicy":5}}"#.to_owned(),
            "json: cannot unmarshal number into Go struct field ServiceSpec.spec.externalTrafficPolicy of type v1.ServiceExternalTrafficPolicy",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Service","spec":{"ports":[{"targetPort":true}]}}"#.to_owned(),
            "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
        ),
        (
            r#"{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","spec":{"rules":[{"http":1}]}}"#
                .to_owned(),
            "json: cannot unmarshal number into Go struct field IngressRule.spec.rules.IngressRuleValue.http of type v1.HTTPIngressRuleValue",
        ),
    ] {
        check_error(&text, expect);
    }
}

#[test]
fn unknown_and_duplicate_fields_are_named() {
    for (text, expect) in [
        (
            config_map(r#""dta":{"x":"1"},"metdata":{}"#),
            r#"strict decoding error: unknown field "dta", unknown field "metdata""#,
        ),
        (
            config_map(r#""data":{"a":"1","a":"2"},"data":{"b":"3"}"#),
            r#"strict decoding error: duplicate field "data.a", duplicate field "data""#,
        ),
        (
            pod(r#"{"containers":[{"name":"c","Image":"i","resources":{"limit":{}}}]}"#),
            r#"strict decoding error: unknown field "spec.containers[0].Image", unknown field "spec.containers[0].resources.limit""#,
        ),
    ] {
        check_error(&text, expect);
    }
    let text = config_map(r#""data":{"a":"1","a":"2"},"data":{"b":"3"}"#);
    let decoded = decode(&text, FieldValidation::Warn).unwrap();
    assert_eq!(decoded.value.get("data"), Some(&value!({"a": "2", "b": "3"})));
    assert_eq!(decoded.warnings.len(), 2);
    assert!(decode(&text, FieldValidation::Ignore).unwrap().warnings.is_empty());
}

#[test]
fn what_go_would_not_have_encoded_is_dropped_and_what_it_would_is_there() {
    let text = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{},"creationTimestamp":null},
        "spec":{"hostNetwork":false,"hostname":"","volumes":[{"name":"v","emptyDir":{}}],"automountServiceAccountToken":false,
        "containers":[{"name":"c","env":null,"args":[],"tty":false,
            "resources":{"requests":{"cpu":"0.1","memory":1024}},"livenessProbe":{"httpGet":{"port":80}}}]}}"#;
    let decoded = decode(text, FieldValidation::Strict).unwrap();
    assert_eq!(
        decoded.value,
        value!({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},
            "spec":{"volumes":[{"name":"v","emptyDir":{}}],"automountServiceAccountToken":false,
            "containers":[{"name":"c","resources":{"requests":{"cpu":"100m","memory":"1024"}},
                "livenessProbe":{"httpGet":{"port":80}}}]},
            "status":{}})
    );
}

#[test]
fn an_absent_list_that_go_always_writes_is_null() {
    let decoded = decode(
        r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"r"}}"#,
        FieldValidation::Strict,
    )
    .unwrap();
    assert_eq!(
        decoded.value,
        value!({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"r"},"rules":null})
    );
}

#[test]
fn a_null_element_is_the_types_zero_value() {
    let decoded = decode(&pod(r#"{"containers":[null]}"#), FieldValidation::Strict).unwrap();
    assert_eq!(decoded.value.array_at(&["spec", "containers"]), [value!({"name": "", "resources": {}})]);
}

#[test]
fn syntax_errors_are_gos() {
    for (text, expect) in [
        ("", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        (r#"{"apiVersion": "#, "unexpected end of JSON input"),
        ("{not json", "invalid character 'n' looking for beginning of object key string"),
        (r#"{"a" 1}"#, "invalid character '1' after object key"),
        (r#"{"a":1 "b"}"#, r#"invalid character '"' after object key:value pair"#),
        ("{} x", "invalid character 'x' after top-level value"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("nul", "unexpected end of JSON input"),
        ("nulx", "invalid character 'x' in literal null (expecting 'l')"),
        ("\"a\nb\"", r"invalid character '\n' in string literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        (
            "[]",
            r#"json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#,
        ),
    ] {
        assert_eq!(type_meta(text.as_bytes()).unwrap_err(), expect, "for {text}");
    }
    let meta = type_meta(br#" {"kind" : "Pod", "x": {"kind": "No"}, "apiVersion":"v1"} "#).unwrap();
    assert_eq!((meta.api_version.as_str(), meta.kind.as_str()), ("v1", "Pod"));
    assert_eq!(type_meta(b"null"), Ok(TypeMeta::default()));
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let text = "[".repeat(100_000);
    assert_eq!(type_meta(text.as_bytes()).unwrap_err(), "invalid character '[' exceeded max depth");
    let deep = format!("{}1{}", r#"{"a":"#.repeat(999), "}".repeat(999));
    check_syntax(deep.as_bytes()).unwrap();
    untyped(&deep, FieldValidation::Strict).unwrap();
}

#[test]
fn times_are_read_as_go_reads_them() {
    for (text, expect) in [
        ("2024-02-29T10:00:00Z", Ok("2024-02-29T10:00:00Z")),
        ("2024-01-31T23:30:00.123-01:30", Ok("2024-02-01T01:00:00Z")),
        ("2024-02-30T10:00:00Z", Err(r#"parsing time "2024-02-30T10:00:00Z": day out of range"#)),
        ("2024-13-01T10:00:00Z", Err(r#"parsing time "2024-13-01T10:00:00Z": month out of range"#)),
        (
            "2024-01-01 10:00:00Z",
            Err(
                r#"parsing time "2024-01-01 10:00:00Z" as "2006-01-02T15:04:05Z07:00": cannot parse " 10:00:00Z" as "T""#,
            ),
        ),
        ("2024-01-01T10:00:00Zx", Err(r#"parsing time "2024-01-01T10:00:00Zx": extra text: "x""#)),
    ] {
        assert_eq!(parse_time(text).as_deref().map_err(String::as_str), expect);
    }
    assert_eq!(
        parse_micro_time("2024-01-01T00:00:00.5Z").unwrap_err(),
        r#"parsing time "2024-01-01T00:00:00.5Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse ".5Z" as ".000000""#
    );
    assert_eq!(parse_micro_time("2024-01-01T01:00:00.000500+01:00").unwrap(), "2024-01-01T00:00:00.000500Z");
}

#[test]
fn base64_goes_both_ways() {
    for bytes in [&b""[..], b"a", b"ab", b"abc", b"abcd", &[255, 254, 253, 0]] {
        assert_eq!(base64_decode(&base64_encode(bytes)).unwrap(), bytes);
    }
    for (text, offset) in [("abc", 0), ("ab=c", 3), ("a===", 1), ("ab*=", 2), ("YWJj=", 4)] {
        assert_eq!(base64_decode(text), Err(Base64Error(offset)), "for {text}");
    }
    assert_eq!(base64::canonical("YW\nJj"), Ok(Some("YWJj".into())));
    assert_eq!(base64::canonical("YWJj"), Ok(None));
    assert_eq!(base64::canonical("YR=="), Ok(Some("YQ==".into())));
}

#[test]
fn yaml_is_read_as_go_reads_it() {
    let read = yaml(
        "a: yes\nb: 010\nc: 1_000\nd: 0x1F\ne: '1'\nf: ~\ng: 2024-01-01\nh: 1.5\ni: [on, n, 1e3]\n8080: x\ntrue: y\nj: !!str 5\n\
         base: &b {x: 1, z: 2}\nk: {<<: *b, z: 3}\nl: |\n  text\n",
    )
    .unwrap();
    assert_eq!(
        read.value,
        value!({"a": true, "b": 8, "c": 1000, "d": 31, "e": "1", "f": null, "g": "2024-01-01", "h": 1.5,
            "i": [true, false, 1000], "8080": "x", "true": true, "j": "5",
            "base": {"x": 1, "z": 2}, "k": {"x": 1, "z": 3}, "l": "text\n"})
    );
    let twice = yaml("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n").unwrap();
    assert_eq!(
        twice.duplicates.unwrap(),
        "yaml: unmarshal errors:\n  line 4: key \"c\" already set in map\n  line 5: key \"a\" already set in map"
    );
    assert_eq!(yaml("").unwrap().value, Value::Null);
    assert_eq!(yaml("a: 1\n---\nb: 2\n").unwrap().value, value!({"a": 1}));
    assert!(yaml("a: b\n  c: {d: e}\n").unwrap_err().to_string().starts_with("yaml: line "));
    assert_eq!(yaml("{\"json\": [1, \"two\", {}]}").unwrap().value, value!({"json": [1, "two", {}]}));
}

#[test]
fn schemas_of_custom_resources_decode_by_themselves() {
    let text = r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"x"},
        "spec":{"group":"g","scope":"Namespaced","names":{"plural":"xs","kind":"X"},"versions":[{"name":"v1","served":true,"storage":true,
        "schema":{"openAPIV3Schema":{"type":"object","default":{"a":1},"properties":{"l":{"type":"array","items":{"type":"string","nope":1}},
        "m":{"type":"object","additionalProperties":true},"n":{"additionalProperties":{"type":"integer"}}}}}}]}}"#;
    let decoded = decode(text, FieldValidation::Strict).unwrap();
    let version = &decoded.value.array_at(&["spec", "versions"])[0];
    assert_eq!(
        version.at(&["schema", "openAPIV3Schema"]),
        Some(
            &value!({"type":"object","default":{"a":1},"properties":{"l":{"type":"array","items":{"type":"string"}},
            "m":{"type":"object","additionalProperties":true},"n":{"additionalProperties":{"type":"integer"}}}})
        )
    );
}

#[test]
fn a_patched_tree_may_have_whole_floats_where_integers_belong() {
    let deployment = schema("apps/v1", "Deployment");
    let tree = Value::from_json(br#"{"spec":{"replicas":3.0,"revisionHistoryLimit":2.5}}"#).unwrap();
    let error = value(&tree, deployment.root(), FieldValidation::Strict).unwrap_err();
    assert_eq!(
        error.to_string(),
        "json: cannot unmarshal number 2.5 into Go struct field DeploymentSpec.spec.revisionHistoryLimit of type int32"
    );
    let tree = Value::from_json(br#"{"spec":{"replicas":3.0}}"#).unwrap();
    let decoded = value(&tree, deployment.root(), FieldValidation::Strict).unwrap();
    assert_eq!(decoded.value.i64_at(&["spec", "replicas"]), Some(3));
}

#[test]
fn numbers_of_patches_are_read_as_they_are_written() {
    let schema = Catalog::builtin().schema(&GroupVersionKind::new("apps", "v1", "Deployment")).unwrap();
    let patched = |text: &str| {
        let original = value!({"metadata": {"name": "d"}, "spec": {"replicas": 3, "minReadySeconds": {}}});
        let tree = crate::patch::merge_patch(&original, &untyped_exact(text));
        super::value(&tree, schema.root(), FieldValidation::Strict).map(|decoded| decoded.value)
    };
    for number in ["1.0", "1e0", "9223372036854775808"] {
        let error =
            patched(&format!(r#"{{"spec": {{"replicas": {number}, "minReadySeconds": 5}}}}"#)).unwrap_err();
        let expected = format!(
            "json: cannot unmarshal number {number} into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
        assert_eq!(error.to_string(), expected);
    }
    let limits = r#"{"limits": {"cpu": 1e3, "memory": 12345678901234567890, "x": 7}}"#;
    let spec = format!(r#"{{"containers": [{{"name": "c", "resources": {limits}}}]}}"#);
    let new =
        patched(&format!(r#"{{"spec": {{"minReadySeconds": 5, "template": {{"spec": {spec}}}}}}}"#)).unwrap();
    let container = &new.at(&["spec", "template", "spec"]).unwrap().array_at(&["containers"])[0];
    let expected = value!({"cpu": "1e3", "memory": "12345678901234567890", "x": "7"});
    assert_eq!(container.at(&["resources", "limits"]), Some(&expected));
}

#[test]
fn bytes_may_be_given_one_by_one_and_none_are_empty() {
    let decoded = |data: &str| {
        let text = format!(r#"{{"apiVersion": "v1", "kind": "Secret", "data": {data}}}"#);
        decode(&text, FieldValidation::Strict).map(|decoded| decoded.value.at(&["data"]).cloned())
    };
    let found = decoded(r#"{"a": [1, 2], "b": [], "c": null, "d": [null], "e": "AQI="}"#).unwrap();
    assert_eq!(found, Some(value!({"a": "AQI=", "b": "", "c": "", "d": "AA==", "e": "AQI="})));
    for (given, what) in [(r#"["x"]"#, "string"), ("[256]", "number 256"), ("[[]]", "array")] {
        let error = decoded(&format!(r#"{{"a": {given}}}"#)).unwrap_err().to_string();
        let expected =
            format!("json: cannot unmarshal {what} into Go struct field Secret.data of type uint8");
        assert_eq!(error, expected);
    }
}

#[test]
fn zero_times_are_null_and_years_have_four_digits() {
    let lease = |time: &str| {
        let text = format!(
            r#"{{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {{"renewTime": "{time}"}}}}"#
        );
        decode(&text, FieldValidation::Strict)
            .map(|decoded| decoded.value.str_at(&["spec", "renewTime"]).to_owned())
    };
    assert_eq!(lease("9999-12-31T23:59:59.999999Z").unwrap(), "9999-12-31T23:59:59.999999Z");
    assert_eq!(lease("0001-01-01T01:00:00.000000+01:00").unwrap(), "");
    assert!(lease("10000-01-01T00:00:00.000000Z").is_err());
    let event = r#"{"apiVersion": "v1", "kind": "Event", "lastTimestamp": "0001-01-01T00:00:00Z"}"#;
    let event = decode(event, FieldValidation::Strict).unwrap().value;
    assert_eq!(event.get("lastTimestamp"), Some(&Value::Null));
}
