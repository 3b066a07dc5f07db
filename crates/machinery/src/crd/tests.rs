use super::*;
use crate::{decode, defaults, value};

/// What the API server does with an object before it validates it.
fn prepare(custom: &CustomResource, object: &Value) -> Result<Value, FieldErrors> {
    let mut object = object.clone();
    custom.coerce(&mut object)?;
    decode::prune(&mut object, custom.schema.root());
    defaults::apply_defaults(&mut object, custom.schema.root());
    defaults::drop_nulls(&mut object, custom.schema.root());
    Ok(object)
}

fn object_schema(properties: &Value) -> CustomResource {
    CustomResource::compile(&value!({"type": "object", "properties": (properties.clone())}), 36)
}

fn texts(errors: &FieldErrors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn errors(custom: &CustomResource, new: &Value, old: Option<&Value>) -> FieldErrors {
    let mut errors = FieldErrors::new();
    custom.validate(&mut errors, new, old);
    errors
}

#[test]
fn values_are_checked_with_upstreams_messages() {
    let text = |mut schema: Value| {
        schema.set(&["type"], "string");
        schema
    };
    for (schema, value, expect) in [
        (value!({"type": "string"}), value!("x"), &[][..]),
        (
            value!({"type": "string"}),
            value!(5),
            &[r#"f: Invalid value: "integer": f in body must be of type string: "integer""#],
        ),
        (
            value!({"type": "object"}),
            value!([]),
            &[r#"f: Invalid value: "array": f in body must be of type object: "array""#],
        ),
        (value!({"type": "integer"}), value!(2.0), &[]),
        (
            value!({"type": "integer"}),
            value!(2.5),
            &[
                r#"f: Invalid value: "number": f in body must be of type integer: "number""#,
                r#"<nil>: Invalid value: "": Checked value must be of type integer (default format) in f"#,
            ],
        ),
        (
            value!({"type": "integer", "maximum": 10}),
            value!(11),
            &["f: Invalid value: 11: f in body should be less than or equal to 10"],
        ),
        (
            value!({"type": "integer", "maximum": 10, "exclusiveMaximum": true}),
            value!(10),
            &["f: Invalid value: 10: f in body should be less than 10"],
        ),
        (
            value!({"type": "integer", "multipleOf": 3}),
            value!(7),
            &["f: Invalid value: 7: f in body should be a multiple of 3"],
        ),
        (
            value!({"type": "integer", "format": "int32"}),
            value!(3_000_000_000_i64),
            &[r#"<nil>: Invalid value: "": Checked value must be of type integer with format int32 in f"#],
        ),
        (
            value!({"type": "integer", "enum": [1, 2]}),
            value!(7),
            &[r#"f: Unsupported value: 7: supported values: "1", "2""#],
        ),
        (
            text(value!({"enum": ["a", "b"]})),
            value!(""),
            &[r#"f: Unsupported value: "": supported values: "a", "b""#],
        ),
        (text(value!({"maxLength": 2})), value!("éé"), &[]),
        (text(value!({"maxLength": 2})), value!("abc"), &["f: Too long: may not be more than 2 bytes"]),
        (
            text(value!({"minLength": 4})),
            value!("abc"),
            &[r#"f: Invalid value: "abc": f in body should be at least 4 chars long"#],
        ),
        (
            text(value!({"pattern": "^[a-z]+$"})),
            value!("A"),
            &[r#"f: Invalid value: "A": f in body should match '^[a-z]+$'"#],
        ),
        (
            text(value!({"format": "date"})),
            value!("x"),
            &[r#"f: Invalid value: "x": f in body must be of type date: "x""#],
        ),
        (text(value!({"format": "unheard-of"})), value!("x"), &[]),
        (
            value!({"x-kubernetes-int-or-string": true}),
            value!(1.5),
            &[r#"f: Invalid value: "number": f in body must be of type integer,string: "number""#],
        ),
        (value!({"type": "string", "nullable": true}), value!(null), &[]),
        (
            value!({"type": "array", "items": {"type": "integer"}, "maxItems": 2}),
            value!([1, "x", 3]),
            &[
                r#"f[1]: Invalid value: "string": f[1] in body must be of type integer: "string""#,
                "f: Too many: 3: must have at most 2 items",
            ],
        ),
        (
            value!({"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "set"}),
            value!([1, 2, 1]),
            &["f[2]: Duplicate value: 1"],
        ),
        (
            value!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}}),
            value!([{"k": "a", "v": 1}, {"k": "a", "v": 2}]),
            &[r#"f[1]: Duplicate value: {"k":"a"}"#],
        ),
        (
            value!({"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}),
            value!({"a": "x"}),
            &["f.b: Required value"],
        ),
        (
            value!({"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "maxLength": 1}}),
            value!({"k": "xx"}),
            &["f.k: Too long: may not be more than 1 byte"],
        ),
        (
            value!({"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}}),
            value!({}),
            &["f: Invalid value: 0: f in body should have at least 1 properties"],
        ),
        (
            value!({"type": "integer", "not": {"enum": [7]}}),
            value!(7),
            &[r#"<nil>: Invalid value: "": "f" must not validate the schema (not)"#],
        ),
        (
            value!({"type": "integer", "anyOf": [{"maximum": 1}, {"minimum": 5}]}),
            value!(3),
            &[
                r#"<nil>: Invalid value: "": "f" must validate at least one schema (anyOf)"#,
                "f: Invalid value: 3: f in body should be less than or equal to 1",
            ],
        ),
    ] {
        let custom = object_schema(&value!({"f": (schema.clone())}));
        let errors = self::errors(&custom, &value!({"f": (value.clone())}), None);
        assert_eq!(texts(&errors), expect, "{schema:?} {value:?}");
    }
}

#[test]
fn what_was_wrong_before_may_stay() {
    let custom = object_schema(&value!({"spec": {"type": "object", "properties": {
        "code": {"type": "string", "maxLength": 2},
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer", "maximum": 1}}}},
    }}}));
    let old = value!({"spec": {"code": "long", "list": [{"k": "a", "v": 9}]}});
    let validate = |new: &Value| texts(&errors(&custom, new, Some(&old)));
    assert!(validate(&value!({"spec": {"code": "long", "other": 1}})).is_empty());
    assert_eq!(
        validate(&value!({"spec": {"code": "longer"}})),
        ["spec.code: Too long: may not be more than 2 bytes"]
    );
    assert!(validate(&value!({"spec": {"list": [{"k": "b", "v": 1}, {"k": "a", "v": 9}]}})).is_empty());
    assert_eq!(
        validate(&value!({"spec": {"list": [{"k": "b", "v": 9}, {"k": "a", "v": 9}]}})),
        ["spec.list[0].v: Invalid value: 9: spec.list[0].v in body should be less than or equal to 1"]
    );
}

#[test]
fn status_is_checked_alone_and_named_as_root() {
    let custom = object_schema(&value!({
        "spec": {"type": "string"},
        "status": {"type": "object", "properties": {"rung": {"type": "integer"}}},
    }));
    let mut errors = FieldErrors::new();
    custom.validate_status(&mut errors, &value!({"spec": 5, "status": {"rung": "x"}}), None);
    assert_eq!(
        texts(&errors),
        [r#"status.rung: Invalid value: "string": rung in body must be of type integer: "string""#]
    );
}

#[test]
fn objects_are_pruned_and_defaulted() {
    let custom = object_schema(&value!({"spec": {"type": "object", "properties": {
        "size": {"type": "integer", "default": 3},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {
            "on": {"type": "boolean", "default": true}}}},
        "maybe": {"type": "string", "nullable": true, "default": "x"},
    }}}));
    for (given, expect) in [
        (value!({}), value!({"size": 3, "maybe": "x"})),
        (value!({"size": null, "maybe": null, "other": 1}), value!({"size": 3, "maybe": null})),
        (
            value!({"size": 1, "maybe": "y", "free": {"any": {"thing": 1}, "known": {"a": "b", "c": "d"}}}),
            value!({"size": 1, "maybe": "y", "free": {"any": {"thing": 1}, "known": {"a": "b"}}}),
        ),
        (
            value!({"size": 1, "maybe": "y", "map": {"k": {"off": 1}, "l": {"on": false}}}),
            value!({"size": 1, "maybe": "y", "map": {"k": {"on": true}, "l": {"on": false}}}),
        ),
    ] {
        let object =
            value!({"apiVersion": "x/v1", "kind": "K", "metadata": {"name": "a"}, "spec": (given.clone())});
        let object = prepare(&custom, &object).unwrap();
        assert_eq!(object.get("spec"), Some(&expect), "{given:?}");
        assert_eq!(object.str_at(&["metadata", "name"]), "a");
    }
}

#[test]
fn embedded_objects_have_metadata() {
    let custom = object_schema(&value!({"inner": {
        "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true,
    }}));
    let check = |inner: Value| match prepare(&custom, &value!({"inner": (inner)})) {
        Ok(object) => texts(&errors(&custom, &object, None)),
        Err(errors) => texts(&errors),
    };
    let good = value!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"any": 1}});
    assert!(check(good.clone()).is_empty());
    for (path, value, expect) in [
        (
            &["metadata", "name"][..],
            "a/b",
            r#"inner.metadata.name: Invalid value: "a/b": may not contain '/'"#,
        ),
        (
            &["apiVersion"],
            "a/b/c",
            r#"inner.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c"#,
        ),
        (&["kind"], "", r#"inner.kind: Invalid value: "": must not be empty"#),
    ] {
        let mut inner = good.clone();
        inner.set(path, value);
        assert_eq!(check(inner), [expect]);
    }

    let mut object = value!({"inner": (good)});
    object.set(&["inner", "metadata", "nonsense"], 1);
    assert_eq!(custom.coerce(&mut object).unwrap(), ["inner.metadata.nonsense"]);
    assert_eq!(object.at(&["inner", "metadata"]), Some(&value!({"name": "a"})));
}
