//! Reads a document strictly: its fields one by one, and everything that is wrong with them. For configuration files,
//! which have no schema in the catalog.

use std::time::Duration;

use drydock_cel::declare::KubernetesVersion;

use crate::{FieldErrors, FieldPath, Map, Value};

/// An object whose fields are taken one by one; those that nobody took are unknown.
pub struct Fields<'a> {
    fields: &'a Map,
    path: FieldPath,
    known: Vec<&'static str>,
    cluster: KubernetesVersion,
}

impl<'a> Fields<'a> {
    /// None, and an error, when `value` is no object.
    pub fn of(value: &'a Value, path: FieldPath, errors: &mut FieldErrors) -> Option<Self> {
        match value.as_object() {
            Some(fields) => Some(Self { fields, path, known: Vec::new(), cluster: KubernetesVersion::V1_36 }),
            None => {
                errors.type_invalid(&path, value.clone(), "must be an object");
                None
            }
        }
    }

    /// A document of this kind; checks `apiVersion` and `kind`.
    pub fn document(
        value: &'a Value,
        kind: &str,
        versions: &[&str],
        errors: &mut FieldErrors,
    ) -> Option<Self> {
        let mut fields = Self::of(value, FieldPath::root(), errors)?;
        let given = fields.text("kind", errors);
        if given != kind {
            errors.not_supported(&fields.child("kind"), given, &[kind]);
        }
        let version = fields.text("apiVersion", errors);
        if !versions.contains(&version) {
            errors.not_supported(&fields.child("apiVersion"), version, versions);
        }
        Some(fields)
    }

    /// Expressions may use what a cluster of Kubernetes 1.`minor_version` knows.
    #[must_use]
    pub fn for_cluster(mut self, minor_version: u32) -> Self {
        self.cluster = KubernetesVersion::of_minor(minor_version);
        self
    }

    /// Of which version the expressions in the document are; the newest unless [`Fields::for_cluster`] says otherwise.
    pub fn cluster(&self) -> KubernetesVersion {
        self.cluster
    }

    /// Where the object is.
    pub fn path(&self) -> &FieldPath {
        &self.path
    }

    pub fn child(&self, name: &str) -> FieldPath {
        self.path.child_named(name)
    }

    /// Reports fields that nobody took.
    pub fn finish(self, errors: &mut FieldErrors) {
        for name in self.fields.keys().filter(|name| !self.known.contains(&&***name)) {
            errors.forbidden(&self.path.child_named(name), "unknown field");
        }
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| !value.is_null())
    }

    /// Takes a field as it is.
    pub fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.take(name)
    }

    /// "" when it is absent.
    pub fn text(&mut self, name: &'static str, errors: &mut FieldErrors) -> &'a str {
        self.given_text(name, errors).unwrap_or("")
    }

    pub fn given_text(&mut self, name: &'static str, errors: &mut FieldErrors) -> Option<&'a str> {
        self.read(name, Value::as_str, "must be a string", errors)
    }

    pub fn flag(&mut self, name: &'static str, errors: &mut FieldErrors) -> Option<bool> {
        self.read(name, Value::as_bool, "must be true or false", errors)
    }

    /// A whole number.
    pub fn integer(&mut self, name: &'static str, errors: &mut FieldErrors) -> Option<i64> {
        self.read(name, Value::as_i64, "must be a whole number", errors)
    }

    /// Takes a field that must be what `as_type` reads; `wrong` is said of any other.
    fn read<T>(
        &mut self,
        name: &'static str,
        as_type: impl FnOnce(&'a Value) -> Option<T>,
        wrong: &str,
        errors: &mut FieldErrors,
    ) -> Option<T> {
        let value = self.take(name)?;
        let read = as_type(value);
        if read.is_none() {
            errors.type_invalid(&self.child(name), value.clone(), wrong);
        }
        read
    }

    /// As Go writes durations: `5m30s`. Zero when it is absent.
    pub fn duration(&mut self, name: &'static str, errors: &mut FieldErrors) -> Duration {
        let Some(value) = self.take(name) else { return Duration::ZERO };
        value.as_str().and_then(parse_duration).unwrap_or_else(|| {
            errors.invalid(&self.child(name), value.clone(), "must be a duration such as 30s or 5m");
            Duration::from_secs(1)
        })
    }

    pub fn texts(&mut self, name: &'static str, errors: &mut FieldErrors) -> Vec<String> {
        let path = self.child(name);
        let mut out = Vec::new();
        for (i, item) in self.items(name, errors).iter().enumerate() {
            match item.as_str() {
                Some(text) => out.push(text.to_owned()),
                None => errors.type_invalid(&path.index(i), item.clone(), "must be a string"),
            }
        }
        out
    }

    pub fn object(&mut self, name: &'static str, errors: &mut FieldErrors) -> Option<Self> {
        let value = self.take(name)?;
        let read = Self::of(value, self.child(name), errors)?;
        Some(Self { cluster: self.cluster, ..read })
    }

    pub fn objects(&mut self, name: &'static str, errors: &mut FieldErrors) -> Vec<Self> {
        let path = self.child(name);
        let items = self.items(name, errors).iter().enumerate();
        let cluster = self.cluster;
        let read = |(i, item)| Some(Self { cluster, ..Self::of(item, path.index(i), errors)? });
        items.filter_map(read).collect()
    }

    fn items(&mut self, name: &'static str, errors: &mut FieldErrors) -> &'a [Value] {
        let Some(value) = self.take(name) else { return &[] };
        value.as_array().unwrap_or_else(|| {
            errors.type_invalid(&self.child(name), value.clone(), "must be a list");
            &[]
        })
    }
}

/// Go's `time.ParseDuration` of what is not negative, without its fractions of nanoseconds.
fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(total).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, milliseconds) in
            [("5m30s", Some(330_000)), ("0", Some(0)), ("1.5h", Some(5_400_000)), ("250ms", Some(250))]
        {
            assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
        for text in ["", "5", "-1s", "m", "1w", "1e3s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
