use drydock_machinery::value;

use super::*;

fn review_of(objects: &[Value]) -> Value {
    review::request(objects, "e.io/v2", "v1")
}

fn answer(asked: &Value, result: Value, objects: Vec<Value>) -> Value {
    let mut answer = value!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview"});
    answer.set(&["response", "uid"], asked.str_at(&["request", "uid"]));
    answer.set(&["response", "result"], result);
    answer.set(&["response", "convertedObjects"], objects);
    answer
}

fn door(version: &str, labels: Value) -> Value {
    value!({"apiVersion": format!("e.io/{version}"), "kind": "Door", "spec": {"width": 1},
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": labels}})
}

#[test]
fn an_answer_must_be_one_to_the_question() {
    let asked = review_of(&[door("v1", value!({}))]);
    let good = answer(&asked, value!({"status": "Success"}), vec![Value::object()]);
    assert_eq!(review::objects(&good, &asked).unwrap().len(), 1);

    let mut other = good.clone();
    other.set(&["response", "uid"], "x");
    assert!(review::objects(&other, &asked).unwrap_err().starts_with("expected response.uid="));

    let failed = answer(&asked, value!({"status": "Failure", "message": "no hinges"}), Vec::new());
    assert_eq!(review::objects(&failed, &asked).unwrap_err(), "no hinges");

    let silent = answer(&asked, value!({}), Vec::new());
    assert_eq!(review::objects(&silent, &asked).unwrap_err(), "response.result.status was '', not 'Success'");
}

#[test]
fn a_webhook_changes_labels_and_annotations_and_no_other_metadata() {
    let asked = [door("v1", value!({"a": "b"}))];
    let mut made = door("v2", value!({"c": "d"}));
    made.set(&["metadata", "finalizers"], value!(["x.io/f"]));
    made.set(&["spec"], value!({"size": 2}));
    let settled = review::settle(&asked, vec![made], "e.io/v2").unwrap();
    assert_eq!(settled[0].label("c"), Some("d"));
    assert_eq!(settled[0].label("a"), None);
    assert_eq!(settled[0].finalizers().count(), 0);
    assert_eq!(settled[0].i64_at(&["spec", "size"]), Some(2));
}

#[test]
fn what_a_webhook_may_not_change_is_refused() {
    let check = |made: Value, expected: &str| {
        let why = review::settle(&[door("v1", value!({}))], vec![made], "e.io/v2").unwrap_err();
        assert_eq!(why, expected);
    };
    check(
        door("v1", value!({})),
        "invalid object at index 0: invalid groupVersion (expected e.io/v2, received e.io/v1)",
    );
    let mut renamed = door("v2", value!({}));
    renamed.set(&["metadata", "name"], "b");
    check(renamed, "invalid object: must have the same name: a != b");
    check(
        door("v2", value!({"a": 1})),
        "invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object",
    );
    let several = [door("v1", value!({})), door("v1", value!({}))];
    let why = review::settle(&several, vec![door("v2", value!({}))], "e.io/v2").unwrap_err();
    assert_eq!(why, "1 objects, expected 2");
}

#[test]
fn without_a_webhook_the_version_alone_changes() {
    let schema = drydock_machinery::crd::CustomResource::compile(&value!({"type": "object"}), 36).schema;
    let schemas = ["e.io/v1", "e.io/v2"].map(|version| (version.to_owned(), schema.clone()));
    let conversion = Conversion::new(&value!({}), schemas.into_iter().collect());
    let converted = conversion.without_asking(&door("v1", value!({})), "e.io/v2").unwrap();
    assert_eq!(converted, door("v2", value!({})));
    assert!(conversion.without_asking(&door("v1", value!({})), "e.io/v3").is_none());
}
