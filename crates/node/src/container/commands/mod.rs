//! The programs that every simulated container has, after those of BusyBox.

mod archive;
mod builtins;
mod files;
mod system;
mod test;
mod text;

use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::files::{Found, normal};
use super::io::{Input, Io};
use super::shell::{Flow, Shell};

/// In `/bin`, sorted.
pub(crate) const NAMES: [&str; 43] = [
    "[", "ash", "base64", "basename", "bash", "cat", "cp", "date", "dirname", "echo", "env", "false", "grep",
    "head", "hostname", "id", "kill", "ls", "mkdir", "mv", "nproc", "printenv", "printf", "ps", "pwd",
    "readlink", "rm", "sed", "seq", "sh", "sleep", "sort", "tail", "tar", "tee", "test", "touch", "tr",
    "true", "uname", "wc", "which", "whoami",
];

const DIRECTORIES: [&str; 6] =
    ["/bin/", "/usr/bin/", "/usr/local/bin/", "/sbin/", "/usr/sbin/", "/usr/local/sbin/"];

/// Lines and files that a command holds as a whole.
pub(crate) const LARGEST: usize = 4 * 1024 * 1024;

/// One run of a program.
pub(crate) struct Run<'a> {
    pub(crate) shell: &'a mut Shell,
    /// The program's name, without its directory.
    pub(crate) name: &'a str,
    pub(crate) args: &'a [String],
    pub(crate) io: &'a Io,
}

/// An exit code, or that nobody reads the output any more.
pub(crate) type Outcome = io::Result<u8>;

pub(crate) fn is_known(program: &str) -> bool {
    NAMES.contains(&base_name(program))
}

/// Whether there is a program at this path.
pub(crate) fn is_program(path: &str) -> bool {
    path.starts_with('/') && is_known(path)
}

/// Whether it reads commands from its input, as an interactive shell does.
pub(crate) fn is_interactive_shell(words: &[String]) -> bool {
    let is_shell = words.first().is_some_and(|first| matches!(base_name(first), "sh" | "ash" | "bash"));
    is_shell
        && words[1..].iter().all(|word| word.starts_with('-') && !word.contains('c') || word == "--login")
}

fn base_name(program: &str) -> &str {
    DIRECTORIES.iter().find_map(|directory| program.strip_prefix(directory)).unwrap_or(program)
}

/// Runs what `words` name: a builtin of the shell, or a program. The exit code is left in the shell.
pub(crate) fn run<'a>(shell: &'a mut Shell, words: &'a [String], io: &'a Io) -> BoxFuture<'a, Flow> {
    async move {
        let Some((first, args)) = words.split_first() else { return Flow::Next };
        if let Some(flow) = builtins::run(shell, first, args, io).await {
            return flow;
        }
        let name = base_name(first);
        let outcome = if NAMES.contains(&name) {
            program(Run { shell, name, args, io }).await
        } else {
            missing(shell, first, io).await
        };
        // Who writes to a closed pipe is killed, as is who holds too much.
        let killed = if shell.world.budget.is_spent() { 137 } else { 141 };
        shell.status = outcome.unwrap_or(killed);
        Flow::Next
    }
    .boxed()
}

async fn missing(shell: &Shell, name: &str, io: &Io) -> Outcome {
    let (why, code) = match shell.world.files.find(&normal(&shell.directory, name)) {
        Some(_) if name.contains('/') => ("Permission denied", 126),
        _ => ("not found", 127),
    };
    io.stderr.write(format!("sh: {name}: {why}\n").as_bytes()).await?;
    Ok(code)
}

async fn program(run: Run<'_>) -> Outcome {
    match run.name {
        "sh" | "ash" | "bash" => builtins::subshell(run).await,
        "env" if run.args.iter().any(|arg| !arg.starts_with('-')) => builtins::env(run).await,
        "[" | "test" => test::run(run).await,
        "cat" | "head" | "tail" | "wc" | "grep" | "sort" | "tee" | "tr" | "sed" | "base64" => {
            text::run(run).await
        }
        "ls" | "mkdir" | "rm" | "touch" | "cp" | "mv" | "readlink" => files::run(run).await,
        "tar" => archive::run(run).await,
        _ => system::run(run).await,
    }
}

impl Run<'_> {
    pub(crate) async fn print(&self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.io.stdout.write(text.as_ref()).await
    }

    /// Says what is wrong, and fails with 1.
    pub(crate) async fn fail(&self, why: impl AsRef<str>) -> Outcome {
        self.io.stderr.write(format!("{}: {}\n", self.name, why.as_ref()).as_bytes()).await?;
        Ok(1)
    }

    /// Options as letters, and the rest. `valued` are the letters that take a value, which `--` stops as well.
    pub(crate) fn options(&self, valued: &str) -> (Vec<(char, String)>, Vec<String>) {
        let (mut options, mut rest) = (Vec::new(), Vec::new());
        let mut args = self.args.iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                rest.extend(args.by_ref().cloned());
            } else if let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                let mut letters = letters.chars();
                while let Some(letter) = letters.next() {
                    if valued.contains(letter) {
                        let value: String = letters.by_ref().collect();
                        let value =
                            if value.is_empty() { args.next().cloned().unwrap_or_default() } else { value };
                        options.push((letter, value));
                    } else {
                        options.push((letter, String::new()));
                    }
                }
            } else {
                rest.push(arg.clone());
            }
        }
        (options, rest)
    }

    pub(crate) fn path(&self, path: &str) -> String {
        self.shell.path(path)
    }

    /// A file to read, or the standard input for `-`.
    ///
    /// # Errors
    /// The system's text.
    pub(crate) fn open(&self, name: &str) -> Result<Input, &'static str> {
        if name == "-" {
            return Ok(self.io.stdin.clone());
        }
        match self.shell.world.files.find(&self.path(name)) {
            Some(Found::File(content)) => Ok(Input::of(content)),
            Some(Found::Directory) => Err("Is a directory"),
            None => Err("No such file or directory"),
        }
    }
}
