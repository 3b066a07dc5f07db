//! Paths that name a field of a schema: of selectable fields, and of validation rules.

use crate::value::Value;

/// A path that leads somewhere.
pub(super) struct Found<'a> {
    pub(super) root: String,
    pub(super) path: String,
    pub(super) schema: &'a Value,
}

/// A rule's `fieldPath` as errors show it beneath the rule's own: `a.b` for `.a['b']`. None when it leads nowhere.
pub(in crate::crd) fn normalized_field_path(text: &str, schema: &Value) -> Option<String> {
    let found = field_path(text.trim(), schema, Brackets::Allowed).ok()?;
    Some(found.path.trim_start_matches('.').to_owned())
}

/// Whether `['a']` may stand for `.a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brackets {
    Allowed,
    Refused,
}

/// `cel.ValidFieldPath`: follows `.a.b` or `.a['b']` through properties and additional properties.
pub(super) fn field_path<'a>(text: &str, schema: &'a Value, brackets: Brackets) -> Result<Found<'a>, String> {
    let tokens = tokens(text);
    let mut tokens = tokens.iter().map(String::as_str);
    let mut found = Found { root: String::new(), path: String::new(), schema };
    while let Some(token) = tokens.next() {
        let end = || "unexpected end of JSON path".to_owned();
        match token {
            "[" if brackets == Brackets::Refused => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let quoted = tokens.next().ok_or_else(end)?;
                let inner = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                let inner = inner.ok_or_else(|| format!("expected single quoted string but got {quoted}"))?;
                found.step(&inner.replace("\\'", "'").replace("\\\\", "\\"))?;
                match tokens.next().ok_or_else(end)? {
                    "]" => {}
                    other => return Err(format!("expected ] but got {other}")),
                }
            }
            "." => found.step(tokens.next().ok_or_else(end)?)?,
            other => return Err(format!("expected [ or . but got: {other}")),
        }
    }
    Ok(found)
}

impl Found<'_> {
    fn step(&mut self, name: &str) -> Result<(), String> {
        let nowhere = || "does not refer to a valid field".to_owned();
        let is_named = self.schema.get("properties").is_some_and(|p| !p.is_null());
        if is_named {
            self.schema = self.schema.at(&["properties", name]).ok_or_else(nowhere)?;
            self.path.push_str(&format!(".{name}"));
        } else {
            let additional = self.schema.get("additionalProperties");
            self.schema = additional.filter(|a| a.as_object().is_some()).ok_or_else(nowhere)?;
            self.path.push_str(&format!("[{name}]"));
        }
        if self.root.is_empty() {
            self.root = name.to_owned();
        }
        Ok(())
    }
}

/// `.`, `[` and `]` are tokens; so is what is between them, a quoted string as a whole.
fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut last = ' ';
    for c in text.chars() {
        let quoted = word.starts_with('\'');
        if quoted {
            word.push(c);
            if c == '\'' && last != '\\' {
                out.push(std::mem::take(&mut word));
            }
        } else if matches!(c, '.' | '[' | ']') {
            if !word.is_empty() {
                out.push(std::mem::take(&mut word));
            }
            out.push(c.to_string());
        } else {
            word.push(c);
        }
        last = c;
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}
