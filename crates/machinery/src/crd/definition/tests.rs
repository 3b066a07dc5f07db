use super::*;
use crate::value;

fn boats(schema: Value) -> Value {
    let mut definition = value!({
        "metadata": {"name": "boats.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "boats", "kind": "Boat"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": (schema)}}],
        },
    });
    apply_defaults(&mut definition);
    definition
}

fn plain() -> Value {
    boats(value!({"type": "object"}))
}

fn texts(errors: &FieldErrors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_filled_in() {
    let definition = plain();
    assert_eq!(
        definition.at(&["spec", "names"]),
        Some(&value!({"plural": "boats", "kind": "Boat", "singular": "boat", "listKind": "BoatList"}))
    );
    assert_eq!(definition.at(&["spec", "conversion"]), Some(&value!({"strategy": "None"})));
    assert_eq!(definition.at(&["status", "storedVersions"]), Some(&value!(["v1"])));
    assert_eq!(texts(&validate(&definition, None, 36)), Vec::<String>::new());
    assert!(name_errors(&definition, "boats.example.com").is_empty());
    assert_eq!(name_errors(&definition, "boats"), [r#"must be spec.names.plural+"."+spec.group"#]);
}

#[test]
fn definitions_are_checked_with_upstreams_messages() {
    for (path, value, expect) in [
        (
            &["spec", "group"][..],
            value!("example"),
            &[r#"spec.group: Invalid value: "example": should be a domain with at least one dot"#][..],
        ),
        (
            &["spec", "scope"],
            value!("Everywhere"),
            &[r#"spec.scope: Unsupported value: "Everywhere": supported values: "Cluster", "Namespaced""#],
        ),
        (&["spec", "names", "kind"], value!(""), &["spec.names.kind: Required value"]),
        (
            &["spec", "names", "listKind"],
            value!("Boat"),
            &[r#"spec.names.listKind: Invalid value: "Boat": kind and listKind may not be the same"#],
        ),
        (
            &["spec", "conversion"],
            value!({"strategy": "Webhook"}),
            &[
                "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
                "spec.conversion.conversionReviewVersions: Required value",
            ],
        ),
        (
            &["spec", "conversion", "strategy"],
            value!("Magic"),
            &[r#"spec.conversion.strategy: Unsupported value: "Magic": supported values: "None", "Webhook""#],
        ),
        (
            &["spec", "preserveUnknownFields"],
            value!(true),
            &["spec.preserveUnknownFields: Invalid value: true: cannot set to true, set \
               x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"],
        ),
        (
            &["status", "storedVersions"],
            value!([]),
            &["status.storedVersions: Invalid value: []: must have at least one stored version"],
        ),
    ] {
        let mut definition = plain();
        definition.set(path, value.clone());
        assert_eq!(texts(&validate(&definition, None, 36)), expect, "{path:?} {value:?}");
    }
}

#[test]
fn schemas_must_be_structural() {
    const ROOT: &str = "spec.validation.openAPIV3Schema";
    for (field, expect) in [
        (
            value!({}),
            &[".properties[f].type: Required value: must not be empty for specified object fields"][..],
        ),
        (value!({"type": "array"}), &[".properties[f].items: Required value: must be specified"]),
        (
            value!({"x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-int-or-string": true}),
            &[
                ".properties[f].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true",
            ],
        ),
        (
            value!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
            &[
                ".properties[f].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            ],
        ),
        (
            value!({"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}},
                "x-kubernetes-list-type": "map"}),
            &[
                ".properties[f].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
            ],
        ),
        (
            value!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
            &[
                ".properties[f].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
            ],
        ),
        (
            value!({"type": "string", "anyOf": [{"type": "string"}]}),
            &[r#".properties[f].anyOf[0].type: Forbidden: must be empty to be structural"#],
        ),
        (
            value!({"type": "integer", "default": "x"}),
            &[
                r#".properties[f].default: Invalid value: "string":  in body must be of type integer: "string""#,
            ],
        ),
        (
            value!({"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}}),
            &[r#".properties[f].default: Invalid value: {"b":1}: must not have unknown fields"#],
        ),
    ] {
        let definition = boats(value!({"type": "object", "properties": {"f": (field.clone())}}));
        let errors = texts(&validate(&definition, None, 36));
        let expect: Vec<String> = expect.iter().map(|text| format!("{ROOT}{text}")).collect();
        assert_eq!(errors, expect, "{field:?}");
    }
}

#[test]
fn some_fields_never_change() {
    let old = plain();
    let change = |old: &Value, path: &[&str], value: &str| {
        let mut new = old.clone();
        new.set(path, value);
        texts(&validate(&new, Some(old), 36))
    };
    assert_eq!(
        change(&old, &["spec", "group"], "other.example.com"),
        [r#"spec.group: Invalid value: "other.example.com": field is immutable"#]
    );
    assert!(change(&old, &["spec", "names", "kind"], "Ship").is_empty());
    let mut established = old;
    established.set(&["status", "conditions"], value!([{"type": "Established", "status": "True"}]));
    assert!(is_established(&established));
    assert_eq!(
        change(&established, &["spec", "names", "kind"], "Ship"),
        [r#"spec.names.kind: Invalid value: "Ship": field is immutable"#]
    );
    assert_eq!(
        change(&established, &["spec", "scope"], "Cluster"),
        [r#"spec.scope: Invalid value: "Cluster": field is immutable"#]
    );
}

#[test]
fn stored_versions_must_stay() {
    let old = plain();
    let mut new = old.clone();
    new.at_mut(&["spec", "versions"]).as_array_mut().unwrap().make_mut()[0].set(&["name"], "v2");
    add_stored_versions(&mut new);
    assert_eq!(new.at(&["status", "storedVersions"]), Some(&value!(["v1", "v2"])));
    let errors = texts(&validate(&new, Some(&old), 36));
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with(
            r#"status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was"#
        )
    );
}

fn refused(property: Value) -> Vec<String> {
    let schema = value!({"type": "object", "properties": {"a": (property)}});
    texts(&validate(&boats(schema), None, 36))
}

#[test]
fn defaults_must_pass_the_rules_over_them() {
    const DEFAULT: &str = "spec.validation.openAPIV3Schema.properties[a].default";
    let rule = |default: &str| {
        let rules = value!([{"rule": "self != 'y'", "message": "no y"}]);
        refused(value!({"type": "string", "default": default, "x-kubernetes-validations": (rules)}))
    };
    assert_eq!(rule("x"), [""; 0]);
    assert_eq!(rule("y"), [format!("{DEFAULT}: Invalid value: \"y\": no y")]);
    // Whether elements repeat is not asked of defaults, nor what type an integer or string has.
    let list = value!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}, "default": ["a", "a"]});
    assert_eq!(refused(list), [""; 0]);
    assert_eq!(refused(value!({"x-kubernetes-int-or-string": true, "default": true})), [""; 0]);
    let whole = texts(&validate(&boats(value!({"type": "object", "default": {}})), None, 36));
    assert_eq!(whole[0], "spec.validation.openAPIV3Schema.default.apiVersion: Required value");
}

#[test]
fn what_cannot_be_structural_hides_what_is_not() {
    let path = "spec.validation.openAPIV3Schema.properties[a].$ref";
    assert_eq!(
        refused(value!({"$ref": "#/definitions/x"})),
        [format!("{path}: Forbidden: $ref is not supported")]
    );
}

#[test]
fn versions_are_shown_as_go_prints_them() {
    let mut definition = plain();
    let schema =
        |ty: &str| value!({"openAPIV3Schema": {"type": "object", "properties": {"a": {"type": ty}}}});
    let version = |ty: &str| value!({"name": "v1", "served": true, "storage": true, "schema": (schema(ty))});
    definition.set(&["spec", "versions"], value!([(version("string")), (version("integer"))]));
    let shown = texts(&validate(&definition, None, 36)).join("\n");
    assert!(
        shown.contains("\"Schema\":{\"OpenAPIV3Schema\":{\"ID\":\"\",\"Schema\":\"\",\"Ref\":null"),
        "{shown}"
    );
    assert!(shown.contains("\"Properties\":{\"a\":{\"ID\":\"\""), "{shown}");
}
