//! Values as Go would print upstream's internal structs: field order and names differ from JSON's, and nil shows.
//!
//! Error messages that echo a struct, or the difference between two, are made of this. The layouts below cover the
//! structs that messages echo; what has none is shown with its JSON names capitalised.

mod diff;
mod layout;

use drydock_machinery::status::{literal, literal_text};
use drydock_machinery::{Value, json};

pub(crate) use self::diff::unified;
use self::layout::{Field, Type, layout};
use crate::shape::is_zero;

/// What Go's encoding/json writes: without the characters that mean something in HTML.
fn as_json(text: String) -> Value {
    if !text.contains(['<', '>', '&']) {
        return literal(text);
    }
    literal(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}

/// A value that has a type of its own in Go, for an error's value: a string, too, is then shown as JSON.
pub(crate) fn typed(value: &Value) -> Value {
    literal(json::text(value))
}

/// A struct of these fields, for an error's value.
pub(crate) fn struct_of(fields: &[(&str, Value)]) -> Value {
    let parts: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name:?}:{}", compact(value))).collect();
    as_json(format!("{{{}}}", parts.join(",")))
}

fn compact(value: &Value) -> String {
    match literal_text(value) {
        Some(text) => text.to_owned(),
        None => String::from_utf8_lossy(&value.to_json()).into_owned(),
    }
}

/// An object with its fields in the given order, for an error's value: structs of the API print as they serialise.
pub(crate) fn ordered(value: &Value, fields: &[&str]) -> Value {
    let shown = fields.iter().filter_map(|field| Some((*field, value.get(field)?)));
    let parts: Vec<String> = shown.map(|(field, value)| format!("{field:?}:{}", compact(value))).collect();
    as_json(format!("{{{}}}", parts.join(",")))
}

/// A list of such values.
pub(crate) fn list(values: impl Iterator<Item = Value>) -> Value {
    let parts: Vec<String> = values.map(|value| compact(&value)).collect();
    as_json(format!("[{}]", parts.join(",")))
}

/// A label selector, as it serialises: without what is empty.
pub(crate) fn label_selector(selector: &Value) -> Value {
    let mut out = String::new();
    Writer { out: &mut out, indent: None }.selector(selector, 0);
    as_json(out)
}

/// A value of one of the known structs, for an error's value.
pub(crate) fn of(type_name: &str, value: &Value) -> Value {
    let mut out = String::new();
    Writer { out: &mut out, indent: None }.named(type_name, value, 0);
    as_json(out)
}

/// What changed between two values of a known struct: `diff.Diff`.
pub(crate) fn difference(type_name: &str, old: &Value, new: &Value) -> String {
    let pretty = |value: &Value| {
        let mut out = String::new();
        Writer { out: &mut out, indent: Some(" ") }.named(type_name, value, 0);
        out
    };
    unified(&pretty(old), &pretty(new))
}

struct Writer<'a> {
    out: &'a mut String,
    /// None: on one line.
    indent: Option<&'static str>,
}

impl Writer<'_> {
    fn named(&mut self, type_name: &str, value: &Value, depth: usize) {
        match layout(type_name) {
            Some(fields) => self.fields(fields, value, depth),
            None => self.unknown(value, depth),
        }
    }

    fn newline(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.out.push('\n');
            for _ in 0..depth {
                self.out.push_str(indent);
            }
        }
    }

    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
    }

    fn entry(&mut self, first: bool, key: Option<&str>, depth: usize) {
        if !first {
            self.out.push(',');
        }
        self.newline(depth);
        if let Some(key) = key {
            self.scalar(&Value::from(key));
            self.out.push(':');
            if self.indent.is_some() {
                self.out.push(' ');
            }
        }
    }

    fn close(&mut self, empty: bool, bracket: char, depth: usize) {
        if !empty {
            self.newline(depth);
        }
        self.out.push(bracket);
    }

    fn fields(&mut self, fields: &[Field], value: &Value, depth: usize) {
        self.open('{');
        self.entries(fields, value, &mut true, depth);
        self.close(fields.is_empty(), '}', depth);
    }

    fn entries(&mut self, fields: &[Field], value: &Value, first: &mut bool, depth: usize) {
        for field in fields {
            let here = match field.json {
                "" => Some(value),
                json => {
                    let found = json.split('/').try_fold(value, |value, name| value.get(name));
                    found.filter(|value| !value.is_null())
                }
            };
            match field.ty {
                Type::Metadata => {
                    *first &= !here.is_some_and(|metadata| self.metadata(*first, metadata, depth + 1));
                }
                Type::Embedded(name) => self.entries(layout(name).unwrap_or_default(), value, first, depth),
                _ => {
                    self.entry(std::mem::take(first), Some(field.name), depth + 1);
                    self.typed(&field.ty, here, depth + 1);
                }
            }
        }
    }

    /// Metadata are embedded in Go, and so their fields are the holder's. Answers whether there were any.
    fn metadata(&mut self, first: bool, metadata: &Value, depth: usize) -> bool {
        const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        let mut given = metadata.clone();
        if let Some(given) = given.as_object_mut() {
            given.retain(|_, value| !is_zero(Some(value)));
        }
        let mut written = Vec::new();
        json::write_as(&given, META, &mut written);
        let text = String::from_utf8_lossy(&written);
        let fields = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or("");
        if fields.is_empty() {
            return false;
        }
        if !first {
            self.out.push(',');
        }
        self.newline(depth);
        self.json(fields, depth);
        true
    }

    /// JSON that has been written on one line.
    fn json(&mut self, text: &str, mut depth: usize) {
        let (mut quoted, mut escaped) = (false, false);
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            if quoted || self.indent.is_none() {
                self.out.push(char);
                quoted &= escaped || char != '"';
                escaped = !escaped && char == '\\';
                continue;
            }
            match char {
                '{' | '[' => {
                    self.out.push(char);
                    let close = chars.next_if(|next| matches!(next, '}' | ']'));
                    self.out.extend(close);
                    if close.is_none() {
                        depth += 1;
                        self.newline(depth);
                    }
                }
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    self.newline(depth);
                    self.out.push(char);
                }
                ',' => {
                    self.out.push(char);
                    self.newline(depth);
                }
                ':' => self.out.push_str(": "),
                _ => {
                    self.out.push(char);
                    quoted = char == '"';
                }
            }
        }
    }

    fn typed(&mut self, ty: &Type, value: Option<&Value>, depth: usize) {
        match (ty, value) {
            (Type::Text, None) => self.out.push_str("\"\""),
            (Type::Number, None) => self.out.push('0'),
            (Type::Bool, None) => self.out.push_str("false"),
            (Type::Struct(name), value) => self.named(name, value.unwrap_or(&Value::Null), depth),
            (Type::Pointer(name), Some(value)) => self.named(name, value, depth),
            (Type::List(name), Some(Value::Array(items))) if !items.is_empty() => {
                self.open('[');
                for (i, item) in items.iter().enumerate() {
                    self.entry(i == 0, None, depth + 1);
                    match *name {
                        "" => self.plain(item, depth + 1),
                        name => self.named(name, item, depth + 1),
                    }
                }
                self.close(false, ']', depth);
            }
            // One that was given, and has nothing in it, is not nil.
            (Type::List(_), Some(Value::Array(_))) => self.out.push_str("[]"),
            (Type::Selector, Some(value)) => self.selector(value, depth),
            (Type::Any, Some(value)) => self.plain(value, depth),
            (Type::Text | Type::Number | Type::Bool, Some(value)) => self.scalar(value),
            _ => self.out.push_str("null"),
        }
    }

    /// A label selector, without lists and maps that are empty.
    fn selector(&mut self, selector: &Value, depth: usize) {
        fn given<'a>(value: &'a Value, fields: &[&'static str]) -> Vec<(&'static str, &'a Value)> {
            let is_empty = |value: &Value| is_zero(Some(value)) && !matches!(value, Value::String(_));
            let given = fields.iter().filter_map(|field| Some((*field, value.get(field)?)));
            given.filter(|(_, value)| !is_empty(value)).collect()
        }
        let parts = given(selector, &["matchLabels", "matchExpressions"]);
        self.open('{');
        for (i, (name, part)) in parts.iter().enumerate() {
            self.entry(i == 0, Some(name), depth + 1);
            let Some(requirements) = part.as_array() else {
                self.plain(part, depth + 1);
                continue;
            };
            self.open('[');
            for (i, requirement) in requirements.iter().enumerate() {
                self.entry(i == 0, None, depth + 2);
                let fields = given(requirement, &["key", "operator", "values"]);
                self.open('{');
                for (i, (name, value)) in fields.iter().enumerate() {
                    self.entry(i == 0, Some(name), depth + 3);
                    self.plain(value, depth + 3);
                }
                self.close(fields.is_empty(), '}', depth + 2);
            }
            self.close(requirements.is_empty(), ']', depth + 1);
        }
        self.close(parts.is_empty(), '}', depth);
    }

    /// JSON as it is: maps and quantities.
    fn plain(&mut self, value: &Value, depth: usize) {
        self.tree(value, depth, |key| key.to_owned());
    }

    fn unknown(&mut self, value: &Value, depth: usize) {
        self.tree(value, depth, |key| {
            let mut letters = key.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        });
    }

    fn tree(&mut self, value: &Value, depth: usize, rename: fn(&str) -> String) {
        match value {
            literal if literal_text(literal).is_some() => self.scalar(literal),
            Value::Object(map) => {
                self.open('{');
                for (i, (key, value)) in map.iter().enumerate() {
                    self.entry(i == 0, Some(&rename(key)), depth + 1);
                    self.tree(value, depth + 1, rename);
                }
                self.close(map.is_empty(), '}', depth);
            }
            Value::Array(items) => {
                self.open('[');
                for (i, item) in items.iter().enumerate() {
                    self.entry(i == 0, None, depth + 1);
                    self.tree(item, depth + 1, rename);
                }
                self.close(items.is_empty(), ']', depth);
            }
            scalar => self.scalar(scalar),
        }
    }

    fn scalar(&mut self, value: &Value) {
        self.out.push_str(&compact(value));
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn a_claims_change_reads_as_upstreams() {
        let old = value!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "x", "volumeMode": "Filesystem"});
        let mut new = old.clone();
        new.set(&["resources", "requests", "storage"], "2Gi");
        let expected = "@@ -6,7 +6,7 @@\n  \"Resources\": {\n   \"Limits\": null,\n   \"Requests\": {\n-   \"storage\": \"1Gi\"\n+   \"storage\": \"2Gi\"\n   }\n  },\n  \"VolumeName\": \"\",\n";
        assert_eq!(difference("PersistentVolumeClaimSpec", &old, &new), expected);
    }

    #[test]
    fn embedded_metadata_are_indented_too() {
        let old = value!({"metadata": {"labels": {"a,b": "{\\"}}, "spec": {}});
        let mut new = old.clone();
        new.set(&["metadata", "labels", "c"], "d");
        let expected = "@@ -1,6 +1,7 @@\n {\n  \"labels\": {\n-  \"a,b\": \"{\\\\\"\n+  \"a,b\": \"{\\\\\",\n+  \"c\": \"d\"\n  },\n  \"Spec\": {\n   \"AccessModes\": null,\n";
        assert_eq!(difference("PersistentVolumeClaimTemplate", &old, &new), expected);
    }

    #[test]
    fn a_taint_shows_every_field() {
        let taint = of("Taint", &value!({"key": "k", "value": "b", "effect": "NoSchedule"}));
        let expected = r#"{"Key":"k","Value":"b","Effect":"NoSchedule","TimeAdded":null}"#;
        assert_eq!(literal_text(&taint), Some(expected));
    }
}
