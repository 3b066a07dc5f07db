//! The language of `sh`: from text to words and operators (`lexer`), and from those to a tree (`parser`). Functions,
//! `case`, here documents and jobs are left out.

mod lexer;
mod parser;

/// How deep commands may be nested, and words in words.
const DEEPEST: usize = 32;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text {
        text: String,
        quoted: bool,
    },
    /// `$NAME`, or `${NAME:-WORD}` with what stands between name and word.
    Variable {
        name: String,
        quoted: bool,
        otherwise: Option<(String, Word)>,
    },
    /// `$(SCRIPT)`
    Output {
        script: String,
        quoted: bool,
    },
    /// `$((EXPRESSION))`
    Number(String),
}

pub(crate) type Word = Vec<Part>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirection {
    From(Word),
    To {
        fd: u8,
        append: bool,
        path: Word,
    },
    /// `2>&1`
    Copy {
        fd: u8,
        of: u8,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Simple { assignments: Vec<(String, Word)>, words: Vec<Word>, redirections: Vec<Redirection> },
    Group { list: List, subshell: bool, redirections: Vec<Redirection> },
    If { branches: Vec<(List, List)>, otherwise: Option<List> },
    While { condition: List, body: List, until: bool },
    For { name: String, words: Vec<Word>, body: List },
}

/// When a pipeline runs, by how the one before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    Succeeded,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pipeline {
    pub(crate) when: When,
    pub(crate) negated: bool,
    pub(crate) commands: Vec<Command>,
}

pub(crate) type List = Vec<Pipeline>;

/// # Errors
/// What `sh` says of a script that makes no sense.
pub(crate) fn parse(script: &str) -> Result<List, String> {
    parser::parse(lexer::tokens(script)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_make_no_sense_are_refused_as_sh_does() {
        let check = |script: &str, message: &str| assert_eq!(parse(script).unwrap_err(), message, "{script}");
        check("echo 'a", "syntax error: unterminated quoted string");
        check("echo a &&", "syntax error: unexpected end of file");
        check("| cat", "syntax error: unexpected \"|\"");
        check("if true; then echo", "syntax error: unexpected end of file");
        check("echo $(ls", "syntax error: missing ')'");
        check("echo a )", "syntax error: unexpected \")\"");
        check(&"(".repeat(100), "syntax error: nested too deep");
        check(&format!("echo {}{}", "${a-".repeat(100), "}".repeat(100)), "syntax error: nested too deep");
    }

    #[test]
    fn lists_pipelines_and_redirections() {
        let list = parse("A=1 echo x >f 2>&1 && ! cat <f | wc -l; (ls)").unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!((list[1].when, list[1].negated, list[1].commands.len()), (When::Succeeded, true, 2));
        let Command::Simple { assignments, words, redirections } = &list[0].commands[0] else { panic!() };
        assert_eq!((assignments.len(), words.len()), (1, 2));
        assert_eq!(redirections[1], Redirection::Copy { fd: 2, of: 1 });
        assert!(matches!(list[2].commands[0], Command::Group { subshell: true, .. }));
    }
}
