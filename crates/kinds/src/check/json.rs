//! Texts that must be JSON, with what Go's `encoding/json` says of those that are not.

use drydock_machinery::Value;
use drydock_machinery::decode::check_syntax;

/// Checks that a text is a JSON object.
///
/// # Errors
/// The error that unmarshalling it into a `map[string]interface{}` would give.
pub(crate) fn json_object(text: &[u8]) -> Result<(), String> {
    check_syntax(text)?;
    let kind = match Value::from_json(text) {
        Ok(Value::Object(_) | Value::Null) | Err(_) => return Ok(()),
        Ok(Value::String(_)) => "string",
        Ok(Value::Array(_)) => "array",
        Ok(Value::Bool(_)) => "bool",
        Ok(Value::Int(_) | Value::Float(_)) => "number",
    };
    Err(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
}

#[cfg(test)]
mod tests {
    use super::json_object;

    #[test]
    fn errors_read_as_gos() {
        for (text, expected) in [
            ("not json", Some("invalid character 'o' in literal null (expecting 'u')")),
            ("{", Some("unexpected end of JSON input")),
            ("{\"a\":1}x", Some("invalid character 'x' after top-level value")),
            ("[]", Some("json: cannot unmarshal array into Go value of type map[string]interface {}")),
            ("{\"auths\":{}}", None),
        ] {
            assert_eq!(json_object(text.as_bytes()).err().as_deref(), expected, "{text}");
        }
    }
}
