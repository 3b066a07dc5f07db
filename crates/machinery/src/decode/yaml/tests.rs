use super::yaml;
use crate::value;

fn read(text: &str) -> crate::Value {
    yaml(text).unwrap_or_else(|error| panic!("{text:?}: {error}")).value
}

#[test]
fn documents_read_as_in_go() {
    for (text, expected) in [
        ("# settings\napiVersion: v1\n# more\nkind: X # here\n", value!({"apiVersion": "v1", "kind": "X"})),
        ("a:\n- 1\n- b: c\n  d:\n    - e\nf: g", value!({"a": [1, {"b": "c", "d": ["e"]}], "f": "g"})),
        (
            "a: |\n  x\n    y\n\nb: >-\n  one\n  two\n\n  three\n",
            value!({"a": "x\n  y\n", "b": "one two\nthree"}),
        ),
        ("{a: [1, 2, {b: c}], 'd': \"e\\u0041\\n\"}", value!({"a": [1, 2, {"b": "c"}], "d": "eA\n"})),
        ("[a: b, c]", value!([{"a": "b"}, "c"])),
        ("? a\n: b\n? c\n", value!({"a": "b", "c": null})),
        (
            "x: &x {a: 1, b: 2}\nw:\n  <<: *x\n  b: 3\nz: *x",
            value!({"x": {"a": 1, "b": 2}, "w": {"a": 1, "b": 3}, "z": {"a": 1, "b": 2}}),
        ),
        (
            "a: yes\nb: 010\nc: 1_000\nd: 2001-01-01\ne: ~\nf: !!str 12\ng: ! 12\n",
            value!({"a": true, "b": 8, "c": 1000, "d": "2001-01-01", "e": null, "f": "12", "g": 12}),
        ),
        ("%YAML 1.1\n---\na: b\n---\nc: d\n", value!({"a": "b"})),
        ("--- foo\n...\n", value!("foo")),
        ("plain\n  folded\n\n  text", value!("plain folded\ntext")),
        ("a: 'it''s\n  so'", value!({"a": "it's so"})),
        ("a: http://x/y#z\nb: c:d", value!({"a": "http://x/y#z", "b": "c:d"})),
        ("", value!(null)),
        ("1: a\ntrue: b\n1.5: c", value!({"1": "a", "true": "b", "1.5": "c"})),
    ] {
        assert_eq!(read(text), expected, "{text:?}");
    }
}

#[test]
fn problems_read_as_in_go() {
    for (text, expected) in [
        ("{not: [yaml", "line 1: did not find expected ',' or ']'"),
        ("a: b\nc: d: e\n", "line 2: mapping values are not allowed in this context"),
        ("a: b: c", "mapping values are not allowed in this context"),
        ("a: b\n c: d\n", "line 2: mapping values are not allowed in this context"),
        ("a:\n  - b\n c: d\n", "line 2: did not find expected key"),
        ("a: 'x", "found unexpected end of stream"),
        ("a: b\n\tc: d\n", "line 2: found a tab character that violates indentation"),
        ("a:\n\tc: d\n", "line 2: found character that cannot start any token"),
        ("a: @b\n", "found character that cannot start any token"),
        ("a: *b\n", "unknown anchor 'b' referenced"),
        ("a: b\nc\nd: e\n", "line 3: could not find expected ':'"),
        ("a: \"\\q\"\n", "found unknown escape character"),
        ("- a\nb: c\n", "line 1: did not find expected '-' indicator"),
        ("{a: b", "line 1: did not find expected ',' or '}'"),
        ("a: !x!y z\n", "found undefined tag handle"),
        ("%FOO\n---\n", "found unknown directive name"),
        ("a: \u{1}", "control characters are not allowed"),
        ("a: &a [*a]", "anchor 'a' value contains itself"),
        ("<<: 1", "map merge requires map or sequence of maps as the value"),
    ] {
        let error = yaml(text).map(|yaml| yaml.value).unwrap_err().to_string();
        assert_eq!(error, format!("yaml: {expected}"), "{text:?}");
    }
}

#[test]
fn duplicates_are_told_with_the_line_of_the_later_value() {
    let read = yaml("a: 1\nb:\n  c: 1\n  c: 2\na:\n  3\n").unwrap();
    assert_eq!(read.value, value!({"a": 3, "b": {"c": 2}}));
    let expected = "yaml: unmarshal errors:\n  line 4: key \"c\" already set in map\n  line 6: key \"a\" already set in map";
    assert_eq!(read.duplicates.as_deref(), Some(expected));
}

/// Found by fuzzing: the first token of all is a key, and a collection.
#[test]
fn a_document_may_begin_with_a_collection_as_key() {
    for text in ["[]: a", "{}: a", "[a]:"] {
        let error = super::yaml(text).map(|yaml| yaml.value).unwrap_err();
        assert!(!error.to_string().is_empty(), "{text}");
    }
}
