//! YAML that people wrote, and what is wrong with it in one line.

use serde::de::DeserializeOwned;

/// Reads a document.
///
/// # Errors
/// What is wrong, and where: `line 2 column 1: duplicate mapping key: name`.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| plain(&error.to_string()))
}

/// Without the excerpt, and without what would be of use to programmers alone.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    line.split(", set DuplicateKeyPolicy").next().unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn mistakes_are_told_in_a_line_with_their_place() {
        for (text, says) in [
            ("a: 1\na: 2\n", "line 2 column 1: duplicate mapping key: a"),
            ("a: b\n  c: d\n", "line 2 column 4: mapping values are not allowed in this context"),
        ] {
            assert_eq!(super::read::<Value>(text).unwrap_err(), says);
        }
    }
}
