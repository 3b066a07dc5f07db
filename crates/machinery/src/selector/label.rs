//! What a label selector is, when it matches, and the object form `metav1.LabelSelector`.

use std::fmt;

use super::SelectorError;
use crate::names_validation::{
    is_qualified_name, is_valid_label_value, validate_label_name, validate_labels,
};
use crate::status::{FieldErrors, FieldPath};
use crate::value::{Map, Value};

/// `labels.Selector`: all of its requirements must hold.
///
/// Invariant: requirements are sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    requirements: Vec<Requirement>,
    /// Selects nothing at all: an absent `LabelSelector`.
    nothing: bool,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl Selector {
    pub fn everything() -> Self {
        Self::default()
    }

    pub fn nothing() -> Self {
        Self { nothing: true, ..Self::default() }
    }

    /// Reads the query string form: `app in (a,b),!old,tier=web`.
    ///
    /// # Errors
    /// When it does not parse, or a key or value is malformed.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        super::parse::parse(text).map(Self::new)
    }

    /// `LabelSelectorAsSelector`: an absent selector selects nothing, an empty one everything.
    ///
    /// # Errors
    /// When an operator is unknown, or a requirement malformed.
    pub fn from_label_selector(selector: Option<&Value>) -> Result<Self, SelectorError> {
        let Some(selector) = selector.filter(|selector| !selector.is_null()) else {
            return Ok(Self::nothing());
        };
        let mut requirements = Vec::new();
        for (key, value) in selector.object_at(&["matchLabels"]).iter() {
            let value = value.as_str().unwrap_or("").to_owned();
            requirements.push(Requirement::new(key, Operator::Equals, vec![value])?);
        }
        for expression in selector.array_at(&["matchExpressions"]) {
            let operator = expression.str_at(&["operator"]);
            let operator = Operator::from_label_selector(operator).ok_or_else(|| {
                SelectorError(format!("{operator:?} is not a valid label selector operator"))
            })?;
            let values = expression.array_at(&["values"]).iter().filter_map(Value::as_str);
            requirements.push(Requirement::new(
                expression.str_at(&["key"]),
                operator,
                values.map(str::to_owned).collect(),
            )?);
        }
        Ok(Self::new(requirements))
    }

    /// `SelectorFromSet`: exactly these labels, unchecked. An empty map selects everything.
    pub fn from_set(labels: &Map) -> Self {
        let requirements = labels.iter().map(|(key, value)| Requirement {
            key: key.to_string(),
            operator: Operator::Equals,
            values: vec![value.as_str().unwrap_or("").to_owned()],
        });
        Self::new(requirements.collect())
    }

    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Map) -> bool {
        self.matches_with(|key| labels.get(key).and_then(Value::as_str))
    }

    /// As [`Selector::matches`], for labels that are not in a [`Map`].
    pub fn matches_with<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing
            && self.requirements.iter().all(|requirement| requirement.holds(label(&requirement.key)))
    }

    /// Does not restrict anything.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The one value that `key` must have for the selector to match.
    pub fn requires_exact_match(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|requirement| requirement.key == key)?;
        match (requirement.operator, &requirement.values[..]) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl Requirement {
    /// `labels.NewRequirement`.
    ///
    /// # Errors
    /// All that is wrong with key, operator and values.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Self, SelectorError> {
        let mut errors = FieldErrors::new();
        Self::validate(&mut errors, &FieldPath::root(), key, operator, &values);
        match errors.aggregate() {
            Some(text) => Err(SelectorError(text)),
            None => Ok(Self { key: key.to_owned(), operator, values }),
        }
    }

    /// What [`Requirement::new`] refuses, by the fields of the requirement at `root`.
    pub fn validate(
        errors: &mut FieldErrors,
        root: &FieldPath,
        key: &str,
        operator: Operator,
        values: &[String],
    ) {
        let wrong = is_qualified_name(key);
        if !wrong.is_empty() {
            errors.invalid(&root.child("key"), key, wrong.join("; "));
        }
        let path = root.child("values");
        check_count(errors, &path, operator, values);
        for (i, value) in values.iter().enumerate() {
            let wrong = is_valid_label_value(value);
            if !wrong.is_empty() {
                errors.invalid(&path.index(i).key(key), value.as_str(), wrong.join("; "));
            }
        }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn operator(&self) -> Operator {
        self.operator
    }

    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether the requirement holds for the label's value.
    pub fn holds(&self, label: Option<&str>) -> bool {
        let has = |value| self.values.iter().any(|v| v == value);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => label.is_some_and(has),
            Operator::NotIn | Operator::NotEquals => !label.is_some_and(has),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => self.compare(label).is_some_and(std::cmp::Ordering::is_gt),
            Operator::LessThan => self.compare(label).is_some_and(std::cmp::Ordering::is_lt),
        }
    }

    fn compare(&self, label: Option<&str>) -> Option<std::cmp::Ordering> {
        let label: i64 = label?.parse().ok()?;
        let [value] = &self.values[..] else { return None };
        Some(label.cmp(&value.parse().ok()?))
    }
}

fn check_count(errors: &mut FieldErrors, path: &FieldPath, operator: Operator, values: &[String]) {
    // Go shows a slice without elements as null when nobody made it.
    let shown = || match values {
        [] => Value::Null,
        _ => Value::from(values.to_vec()),
    };
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            errors.invalid(path, shown(), "for 'in', 'notin' operators, values set can't be empty");
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
            errors.invalid(path, shown(), "exact-match compatibility requires one single value");
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            errors.invalid(path, shown(), "values set must be empty for exists and does not exist");
        }
        Operator::GreaterThan | Operator::LessThan => {
            if values.len() != 1 {
                errors.invalid(path, shown(), "for 'Gt', 'Lt' operators, exactly one value is required");
            }
            for (i, value) in values.iter().enumerate().filter(|(_, v)| v.parse::<i64>().is_err()) {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.invalid(&path.index(i), value.as_str(), detail);
            }
        }
        _ => {}
    }
}

impl Operator {
    fn from_label_selector(name: &str) -> Option<Self> {
        match name {
            "In" => Some(Self::In),
            "NotIn" => Some(Self::NotIn),
            "Exists" => Some(Self::Exists),
            "DoesNotExist" => Some(Self::DoesNotExist),
            _ => None,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        let (key, values) = (&self.key, values.join(","));
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// `ValidateLabelSelector`: all that is wrong with the object form, for a kind's validation.
pub fn validate_label_selector(errors: &mut FieldErrors, selector: &Value, path: &FieldPath) {
    validate_labels(errors, selector.object_at(&["matchLabels"]), &path.child("matchLabels"));
    let expressions = path.child("matchExpressions");
    for (i, expression) in selector.array_at(&["matchExpressions"]).iter().enumerate() {
        validate_requirement(errors, expression, &expressions.index(i));
    }
}

fn validate_requirement(errors: &mut FieldErrors, expression: &Value, path: &FieldPath) {
    let values = expression.array_at(&["values"]);
    let values_path = path.child("values");
    match expression.str_at(&["operator"]) {
        "In" | "NotIn" => {
            if values.is_empty() {
                errors.required(&values_path, "must be specified when `operator` is 'In' or 'NotIn'");
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(&values_path, detail);
            }
        }
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
    validate_label_name(errors, expression.str_at(&["key"]), &path.child("key"));
    for (i, value) in values.iter().enumerate() {
        let value = value.as_str().unwrap_or("");
        for wrong in is_valid_label_value(value) {
            errors.invalid(&values_path.index(i), value, wrong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn requirements_hold_as_labels_say() {
        let labels = value!({"app": "web", "tier": "front", "gen": "3"});
        let labels = labels.as_object().unwrap();
        for (selector, expect) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("none", false),
            ("!none", true),
            ("app=web", true),
            ("app==web,tier!=back", true),
            ("app!=web", false),
            ("none!=web", true),
            ("app in (api, web)", true),
            ("app notin (api, web)", false),
            ("none notin (a)", true),
            ("gen>2", true),
            ("gen<3", false),
            ("app>2", false),
        ] {
            assert_eq!(Selector::parse(selector).unwrap().matches(labels), expect, "{selector}");
        }
        assert!(!Selector::nothing().matches(labels));
    }

    #[test]
    fn the_object_form_converts() {
        let check = |selector: Value| match Selector::from_label_selector(Some(&selector)) {
            Ok(selector) => selector.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(check(value!({})), "");
        assert_eq!(
            check(value!({"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [
                {"key": "c", "operator": "NotIn", "values": ["y", "x"]}, {"key": "d", "operator": "Exists"}]})),
            "a=1,b=2,c notin (x,y),d"
        );
        assert_eq!(
            check(value!({"matchExpressions": [{"key": "c", "operator": "Near"}]})),
            "error: \"Near\" is not a valid label selector operator"
        );
        assert_eq!(
            check(value!({"matchExpressions": [{"key": "c", "operator": "In"}]})),
            "error: values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty"
        );
        assert!(!Selector::from_label_selector(None).unwrap().matches(&Map::new()));
    }

    #[test]
    fn the_object_form_is_validated() {
        let mut errors = FieldErrors::new();
        let selector = value!({"matchLabels": {"a": "not ok"}, "matchExpressions": [
            {"key": "b", "operator": "In"}, {"key": "b", "operator": "Exists", "values": ["x"]},
            {"key": "", "operator": "Near", "values": ["x y"]}]});
        validate_label_selector(&mut errors, &selector, &FieldPath::new("spec.selector"));
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "spec.selector.matchLabels",
                "spec.selector.matchExpressions[0].values",
                "spec.selector.matchExpressions[1].values",
                "spec.selector.matchExpressions[2].operator",
                "spec.selector.matchExpressions[2].key",
                "spec.selector.matchExpressions[2].key",
                "spec.selector.matchExpressions[2].values[0]",
            ]
        );
    }
}
