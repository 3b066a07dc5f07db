//! Label selectors in messages.

use drydock_machinery::Value;

/// A label selector as Go's `String` method of `metav1.LabelSelector` writes it.
pub(crate) fn shown(selector: &Value) -> String {
    let labels: String = selector
        .object_at(&["matchLabels"])
        .iter()
        .map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or("")))
        .collect();
    let expressions: String = selector
        .array_at(&["matchExpressions"])
        .iter()
        .map(|one| {
            let values: Vec<&str> = one.array_at(&["values"]).iter().filter_map(Value::as_str).collect();
            let (key, operator) = (one.str_at(&["key"]), one.str_at(&["operator"]));
            format!(
                "LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},",
                values.join(" ")
            )
        })
        .collect();
    let requirements = "MatchExpressions:[]LabelSelectorRequirement";
    format!("&LabelSelector{{MatchLabels:map[string]string{{{labels}}},{requirements}{{{expressions}}},}}")
}
