//! Selectors as authorizers see them: a request for a part of a list may be allowed where one for all of it is not.
//!
//! Attributes hold them as text, as requests do. Access reviews write them out as requirements, of which those that are
//! not understood are left out: what is asked for is then more, never less.

use drydock_machinery::names_validation as names;
use drydock_machinery::selector::{FieldSelector, Operator, Requirement, Selector};
use drydock_machinery::{FieldErrors, FieldPath, Value, value};

use crate::attributes::Attributes;

impl Attributes<'_> {
    /// The field selector as `authorization.k8s.io` writes requirements. None when it has none or is not understood.
    pub fn field_requirements(&self) -> Vec<Value> {
        let terms = FieldSelector::parse(self.field_selector).unwrap_or_default().terms;
        let write = |term: drydock_machinery::selector::FieldTerm| {
            let operator = if term.equals { "In" } else { "NotIn" };
            value!({"key": term.field, "operator": operator, "values": [term.value]})
        };
        terms.into_iter().map(write).collect()
    }

    /// The same of the label selector.
    pub fn label_requirements(&self) -> Vec<Value> {
        let selector = Selector::parse(self.label_selector).unwrap_or_default();
        let write = |requirement: &Requirement| {
            let operator = match requirement.operator() {
                Operator::In | Operator::Equals | Operator::DoubleEquals => "In",
                Operator::NotIn | Operator::NotEquals => "NotIn",
                Operator::Exists => "Exists",
                Operator::DoesNotExist => "DoesNotExist",
                Operator::GreaterThan | Operator::LessThan => return None,
            };
            let mut out = value!({"key": requirement.key(), "operator": operator});
            if !requirement.values().is_empty() {
                out.set(&["values"], requirement.values().to_vec());
            }
            Some(out)
        };
        selector.requirements().iter().filter_map(write).collect()
    }
}

/// The selectors of a review's `resourceAttributes`, as text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) field: String,
    pub(crate) label: String,
    /// What of them was not understood, for the review's `evaluationError`.
    pub(crate) ignored: Vec<String>,
}

impl Asked {
    pub(crate) fn of(attributes: &Value) -> Self {
        let mut out = Self::default();
        let (field, label) = ("fieldSelector", "labelSelector");
        out.field = out.read(attributes, field, field_term, |raw| FieldSelector::parse(raw).is_ok());
        out.label = out.read(attributes, label, label_term, |raw| Selector::parse(raw).is_ok());
        out
    }

    fn read(
        &mut self,
        attributes: &Value,
        name: &str,
        term: impl Fn(&Value) -> Option<String>,
        parses: impl Fn(&str) -> bool,
    ) -> String {
        let Some(selector) = attributes.get(name).filter(|selector| !selector.is_null()) else {
            return String::new();
        };
        let (raw, requirements) = (selector.str_at(&["rawSelector"]), selector.array_at(&["requirements"]));
        let terms: Vec<String> = requirements.iter().filter_map(term).collect();
        let is_understood = terms.len() == requirements.len() && (raw.is_empty() || parses(raw));
        let text = match requirements.is_empty() {
            true if is_understood => raw.to_owned(),
            _ => terms.join(","),
        };
        if !is_understood {
            let how = if terms.is_empty() { "ignored" } else { "partially ignored" };
            self.ignored.push(format!("spec.resourceAttributes.{name} {how} due to parse error"));
        }
        text
    }
}

fn field_term(requirement: &Value) -> Option<String> {
    let operator = match requirement.str_at(&["operator"]) {
        "In" => "=",
        "NotIn" => "!=",
        _ => return None,
    };
    let [value] = requirement.array_at(&["values"]) else { return None };
    let mut escaped = String::new();
    for c in value.as_str()?.chars() {
        if matches!(c, '\\' | ',' | '=') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    Some(format!("{}{operator}{escaped}", requirement.str_at(&["key"])))
}

fn label_term(requirement: &Value) -> Option<String> {
    let key = requirement.str_at(&["key"]);
    let values: Vec<&str> = requirement.array_at(&["values"]).iter().filter_map(Value::as_str).collect();
    let text = match (requirement.str_at(&["operator"]), values.is_empty()) {
        ("In", false) => format!("{key} in ({})", values.join(",")),
        ("NotIn", false) => format!("{key} notin ({})", values.join(",")),
        ("Exists", true) => key.to_owned(),
        ("DoesNotExist", true) => format!("!{key}"),
        _ => return None,
    };
    Selector::parse(&text).is_ok().then_some(text)
}

/// Checks the selectors of a review's `spec.resourceAttributes`.
pub(crate) fn validate(attributes: &Value, errors: &mut FieldErrors) {
    let path = FieldPath::new("spec.resourceAttributes");
    for name in ["fieldSelector", "labelSelector"] {
        let Some(selector) = attributes.get(name).filter(|selector| !selector.is_null()) else { continue };
        let path = path.child(name);
        let raw = selector.str_at(&["rawSelector"]);
        let requirements = selector.array_at(&["requirements"]);
        if !raw.is_empty() && !requirements.is_empty() {
            let why = "may not specified at the same time as requirements";
            errors.invalid(&path.child("rawSelector"), raw, why);
        }
        if raw.is_empty() && requirements.is_empty() {
            let why = format!("when {path} is specified, requirements or rawSelector is required");
            errors.required(&path.child("requirements"), why);
        }
        for (i, requirement) in requirements.iter().enumerate() {
            let path = path.child("requirements").index(i);
            validate_requirement(requirement, &path, errors);
            validate_key(requirement.str_at(&["key"]), name == "labelSelector", &path.child("key"), errors);
        }
    }
}

/// Operators that are not known are for newer servers.
fn validate_requirement(requirement: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    let values = requirement.array_at(&["values"]);
    match requirement.str_at(&["operator"]) {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.forbidden(&path.child("values"), why);
        }
        _ => {}
    }
}

/// Labels have a form; fields only must have a name.
fn validate_key(key: &str, is_label: bool, path: &FieldPath, errors: &mut FieldErrors) {
    if is_label {
        names::invalid_each(errors, path, key, names::is_qualified_name(key));
    } else if key.is_empty() {
        errors.required(path, "must be specified");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_become_text_and_what_is_not_understood_is_left_out() {
        let asked = Asked::of(&value!({
            "fieldSelector": {"requirements": [
                {"key": "spec.nodeName", "operator": "In", "values": ["a,b"]},
                {"key": "x", "operator": "Exists"},
            ]},
            "labelSelector": {"rawSelector": "app=web"},
        }));
        assert_eq!(asked.field, "spec.nodeName=a\\,b");
        assert_eq!(asked.label, "app=web");
        let why = "spec.resourceAttributes.fieldSelector partially ignored due to parse error";
        assert_eq!(asked.ignored, [why]);
        let asked = Asked::of(&value!({"labelSelector": {"rawSelector": "a in"}}));
        assert_eq!(asked.label, "");
        assert_eq!(asked.ignored, ["spec.resourceAttributes.labelSelector ignored due to parse error"]);
    }
}
