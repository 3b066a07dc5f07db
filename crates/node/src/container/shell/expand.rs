//! Words, as commands see them: variables and output put in, split, and matched with the names of files.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::super::io::Io;
use super::syntax::{Part, Word};
use super::{LONGEST_WORDS, Shell, number};

/// Names that one pattern may match.
const MOST_MATCHES: usize = 4096;

/// A word in the making.
#[derive(Default)]
struct Field {
    text: String,
    /// The text as a pattern, in which what was quoted is escaped.
    pattern: String,
    is_pattern: bool,
    /// Was quoted somewhere, and is a word even if it is empty.
    kept: bool,
}

/// What a word costs besides its text, while it is made.
const FIELD: usize = 64;

impl Field {
    fn push(&mut self, text: &str, quoted: bool) {
        self.text.push_str(text);
        self.kept |= quoted || !text.is_empty();
        for c in text.chars() {
            if matches!(c, '*' | '?') && !quoted {
                self.is_pattern = true;
            } else if matches!(c, '*' | '?' | '\\') {
                self.pattern.push('\\');
            }
            self.pattern.push(c);
        }
    }
}

impl Shell {
    /// All words that `words` become.
    pub(super) async fn expand_all(&mut self, words: &[Word], io: &Io) -> Vec<String> {
        let mut all = Vec::new();
        let mut size = 0;
        for word in words {
            for field in self.fields(word, io, true).await {
                size += field.text.len() + FIELD;
                if !self.may_be_this_long(size) {
                    return all;
                }
                let matched = if field.is_pattern { self.matches(&field.pattern) } else { Vec::new() };
                if !matched.is_empty() {
                    all.extend(matched);
                } else if field.kept {
                    all.push(field.text);
                }
            }
        }
        all
    }

    /// One word, whatever is in it.
    pub(super) async fn expand_one(&mut self, word: &Word, io: &Io) -> String {
        let fields = self.fields(word, io, false).await;
        fields.into_iter().map(|field| field.text).collect::<Vec<_>>().join(" ")
    }

    /// Whether words may be so many bytes; if not, the exec comes to its end.
    fn may_be_this_long(&self, bytes: usize) -> bool {
        if bytes > LONGEST_WORDS {
            self.world.budget.exhaust();
        }
        bytes <= LONGEST_WORDS
    }

    fn fields<'a>(&'a mut self, word: &'a Word, io: &'a Io, splits: bool) -> BoxFuture<'a, Vec<Field>> {
        async move {
            let mut fields = vec![Field::default()];
            let mut size = 0;
            for part in word {
                match part {
                    Part::Text { text, quoted } => {
                        let first = fields.len() == 1 && fields[0].text.is_empty();
                        let home = text
                            .strip_prefix('~')
                            .filter(|rest| first && !quoted && (rest.is_empty() || rest.starts_with('/')));
                        match home {
                            Some(rest) => {
                                last(&mut fields).push(&format!("{}{rest}", self.variable("HOME")), true)
                            }
                            None => last(&mut fields).push(text, *quoted),
                        }
                    }
                    Part::Variable { name, quoted: true, .. } if name == "@" => {
                        for (i, argument) in self.arguments.iter().skip(1).enumerate() {
                            if i > 0 {
                                fields.push(Field::default());
                            }
                            size += argument.len() + FIELD;
                            if !self.may_be_this_long(size) {
                                return fields;
                            }
                            last(&mut fields).push(argument, true);
                        }
                    }
                    Part::Variable { name, quoted, otherwise } => {
                        let value = self.value(name, otherwise.as_ref(), io).await;
                        let whole = *quoted || !splits;
                        size += made_of(&value, whole);
                        if !self.may_be_this_long(size) {
                            return fields;
                        }
                        put(&mut fields, &value, whole);
                    }
                    Part::Output { script, quoted } => {
                        let value = self.output_of(script, io).await;
                        let whole = *quoted || !splits;
                        size += made_of(&value, whole);
                        if !self.may_be_this_long(size) {
                            return fields;
                        }
                        put(&mut fields, &value, whole);
                    }
                    Part::Number(text) => match number::evaluate(text, &|name| self.variable(name)) {
                        Ok(value) => last(&mut fields).push(&value.to_string(), true),
                        Err(why) => {
                            let _ = io.stderr.write(format!("sh: {why}\n").as_bytes()).await;
                            self.status = 2;
                        }
                    },
                }
            }
            fields
        }
        .boxed()
    }

    async fn value(&mut self, name: &str, otherwise: Option<&(String, Word)>, io: &Io) -> String {
        let value = self.variable(name);
        let Some((sign, word)) = otherwise else { return value };
        let is_set = self.variables.get(name).is_some() || name.parse::<usize>().is_ok();
        let has = is_set && !(sign.starts_with(':') && value.is_empty());
        match (sign.trim_start_matches(':'), has) {
            ("+", true) | ("-" | "=", false) => {
                let value = self.expand_one(word, io).await;
                if sign.ends_with('=') {
                    self.set(name, value.clone());
                }
                value
            }
            ("+", false) => String::new(),
            _ => value,
        }
    }

    /// The files whose paths match, sorted.
    fn matches(&self, pattern: &str) -> Vec<String> {
        let absolute = pattern.starts_with('/');
        let mut found = vec![if absolute { "/".to_owned() } else { String::new() }];
        let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
        for part in parts {
            let mut next = Vec::new();
            for prefix in found {
                let directory = self.path(if prefix.is_empty() { "." } else { &prefix });
                let join = |name: &str| match prefix.as_str() {
                    "" => name.to_owned(),
                    "/" => format!("/{name}"),
                    prefix => format!("{prefix}/{name}"),
                };
                let names = self.world.files.list(&directory);
                let shown = names.keys().filter(|name| part.starts_with('.') || !name.starts_with('.'));
                next.extend(shown.filter(|name| fits(part, name)).map(|name| join(name)));
                next.truncate(MOST_MATCHES);
            }
            found = next;
        }
        found
    }
}

fn last(fields: &mut [Field]) -> &mut Field {
    let end = fields.len() - 1;
    &mut fields[end]
}

/// What the words cost that a value becomes.
fn made_of(value: &str, whole: bool) -> usize {
    value.len() + if whole { 0 } else { FIELD * value.split_whitespace().count() }
}

fn put(fields: &mut Vec<Field>, value: &str, whole: bool) {
    if whole {
        return last(fields).push(value, true);
    }
    if value.starts_with(char::is_whitespace) && last(fields).kept {
        fields.push(Field::default());
    }
    for (i, word) in value.split_whitespace().enumerate() {
        if i > 0 {
            fields.push(Field::default());
        }
        last(fields).push(word, false);
    }
    if value.ends_with(char::is_whitespace) && last(fields).kept {
        fields.push(Field::default());
    }
}

/// Whether a name fits a pattern of `*`, `?` and escaped characters.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star did not fit.
    let mut star = None;
    loop {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some('?') if n < name.len() => {
                (p, n) = (p + 1, n + 1);
                continue;
            }
            Some('\\') if pattern.get(p + 1).is_some() && pattern.get(p + 1) == name.get(n) => {
                (p, n) = (p + 2, n + 1);
                continue;
            }
            Some(c) if *c != '\\' && name.get(n) == Some(c) => {
                (p, n) = (p + 1, n + 1);
                continue;
            }
            None if n == name.len() => return true,
            _ => {}
        }
        match star {
            Some((after, from)) if from < name.len() => {
                star = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("*", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
            ("a?c", "abc", true),
            ("?", "", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("*.txt", "a.txt.txt", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
