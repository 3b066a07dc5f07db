//! Label selectors as objects carry them: `metav1.LabelSelector`, and the plain maps of services and controllers.

use drydock_machinery::{Map, Value};

/// A compiled selector. [`Selector::everything`] matches all label sets, [`Selector::nothing`] none.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    requirements: Option<Vec<Requirement>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    pub fn everything() -> Self {
        Self { requirements: Some(Vec::new()) }
    }

    pub fn nothing() -> Self {
        Self { requirements: None }
    }

    /// A plain map: every label must be there with that value. An empty map matches everything.
    pub fn from_map(map: &Map) -> Self {
        let requirements = map.iter().map(|(key, value)| Requirement {
            key: key.to_string(),
            operator: Operator::In,
            values: vec![value.as_str().unwrap_or("").to_owned()],
        });
        Self { requirements: Some(requirements.collect()) }
    }

    /// A `metav1.LabelSelector`. None or null matches nothing, an empty one everything. An operator that does not
    /// exist, which validation keeps out, matches nothing.
    pub fn from_label_selector(selector: Option<&Value>) -> Self {
        let Some(selector) = selector.filter(|selector| !selector.is_null()) else {
            return Self::nothing();
        };
        let mut requirements =
            Self::from_map(selector.object_at(&["matchLabels"])).requirements.unwrap_or_default();
        for expression in selector.array_at(&["matchExpressions"]) {
            let operator = match expression.str_at(&["operator"]) {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => return Self::nothing(),
            };
            let values = expression.array_at(&["values"]).iter().filter_map(Value::as_str);
            requirements.push(Requirement {
                key: expression.str_at(&["key"]).to_owned(),
                operator,
                values: values.map(str::to_owned).collect(),
            });
        }
        Self { requirements: Some(requirements) }
    }

    /// True for a selector without requirements.
    pub fn is_empty(&self) -> bool {
        self.requirements.as_ref().is_some_and(Vec::is_empty)
    }

    pub fn matches(&self, labels: &Map) -> bool {
        self.requirements.as_ref().is_some_and(|all| all.iter().all(|one| one.matches(labels)))
    }
}

impl Requirement {
    fn matches(&self, labels: &Map) -> bool {
        let value = labels.get(&self.key).and_then(Value::as_str);
        let listed = value.is_some_and(|value| self.values.iter().any(|one| one == value));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// As `labels.Selector.String()` writes it, requirements sorted by key.
impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<_> = self.requirements.iter().flatten().collect();
        parts.sort_by(|a, b| a.key.cmp(&b.key));
        for (i, part) in parts.into_iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            let mut values = part.values.clone();
            values.sort();
            match part.operator {
                Operator::In if values.len() == 1 => write!(f, "{}={}", part.key, values[0])?,
                Operator::In => write!(f, "{} in ({})", part.key, values.join(","))?,
                Operator::NotIn => write!(f, "{} notin ({})", part.key, values.join(","))?,
                Operator::Exists => write!(f, "{}", part.key)?,
                Operator::DoesNotExist => write!(f, "!{}", part.key)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[track_caller]
    fn check(selector: Value, labels: Value, expected: bool) {
        let selector = Selector::from_label_selector(Some(&selector));
        assert_eq!(selector.matches(labels.as_object().unwrap()), expected);
    }

    #[test]
    fn selectors_match_as_upstream() {
        check(value!({}), value!({"a": "b"}), true);
        check(value!(null), value!({"a": "b"}), false);
        check(value!({"matchLabels": {"a": "b"}}), value!({"a": "b", "c": "d"}), true);
        check(value!({"matchLabels": {"a": "b"}}), value!({"a": "c"}), false);
        let not_in = value!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}]});
        check(not_in.clone(), value!({}), true);
        check(not_in, value!({"a": "x"}), false);
        check(value!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), value!({"a": ""}), true);
    }
}
