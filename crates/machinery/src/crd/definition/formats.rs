//! Formats that nothing checks: a definition that names one is told so.

use std::collections::BTreeSet;

use super::subschemas;
use crate::value::Value;

/// Of texts, as they read without dashes.
const OF_STRINGS: [&str; 26] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];

/// The formats in a definition's schemas that mean nothing to the server.
pub fn unrecognized_formats(definition: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for version in definition.array_at(&["spec", "versions"]) {
        if let Some(schema) = version.at(&["schema", "openAPIV3Schema"]) {
            collect(schema, &mut found);
        }
    }
    found
}

fn collect(schema: &Value, found: &mut BTreeSet<String>) {
    let format = schema.str_at(&["format"]);
    if !format.is_empty() && !is_recognized(schema.str_at(&["type"]), format) {
        found.insert(format.to_owned());
    }
    subschemas(schema).for_each(|inner| collect(inner, found));
}

fn is_recognized(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => OF_STRINGS.contains(&format.replace('-', "").as_str()),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn formats_are_recognized_by_type() {
        let schema = value!({"type": "object", "properties": {
            "a": {"type": "string", "format": "date-time"},
            "b": {"type": "integer", "format": "int64"},
            "c": {"type": "array", "items": {"type": "string", "format": "colour"}},
            "d": {"type": "boolean", "format": "byte"},
        }});
        let definition = value!({"spec": {"versions": [{"schema": {"openAPIV3Schema": (schema)}}]}});
        let found: Vec<String> = unrecognized_formats(&definition).into_iter().collect();
        assert_eq!(found, ["byte", "colour"]);
    }
}
