//! Selectable fields: custom fields that a field selector may name.

use crate::jsonpath::{JsonPath, JsonPathError};
use crate::value::Value;

/// A version's selectable fields, by the names that selectors use: `spec.colour`.
#[derive(Clone, Debug, Default)]
pub struct SelectableFields(Vec<(String, JsonPath)>);

impl SelectableFields {
    /// `fields` is a version's `selectableFields`.
    ///
    /// # Errors
    /// When a JSONPath does not parse.
    pub fn new(fields: &[Value]) -> Result<Self, JsonPathError> {
        let field = |field: &Value| {
            let path = field.str_at(&["jsonPath"]);
            Ok((path.trim_start_matches('.').to_owned(), JsonPath::parse(path)?))
        };
        fields.iter().map(field).collect::<Result<_, _>>().map(Self)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The field's value in `object`, "" when it has none; None when `name` is not selectable.
    pub fn value(&self, object: &Value, name: &str) -> Option<String> {
        let (_, path) = self.0.iter().find(|(known, _)| known == name)?;
        let found = path.find(object).unwrap_or_default();
        Some(found.first().map(JsonPath::print).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn fields_have_values_by_name() {
        let fields = SelectableFields::new(&[
            value!({"jsonPath": ".spec.colour"}),
            value!({"jsonPath": ".spec.sold"}),
        ])
        .unwrap();
        let object = value!({"spec": {"colour": "red"}});
        assert_eq!(fields.value(&object, "spec.colour").as_deref(), Some("red"));
        assert_eq!(fields.value(&object, "spec.sold").as_deref(), Some(""));
        assert_eq!(fields.value(&object, "spec.cloth"), None);
    }
}
