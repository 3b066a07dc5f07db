//! `sh`: runs scripts, and reads commands from its input.
//!
//! What a script may do is bounded: so many commands, so deep, so much in memory (see `Budget`). Beyond that it is killed.

mod expand;
mod number;
pub(crate) mod syntax;
mod variables;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use self::syntax::{Command, List, Pipeline, Redirection, When};
use self::variables::Variables;
use super::World;
use super::budget::Held;
use super::commands;
use super::files::{Found, normal};
use super::io::{Input, Io, PIPE, pipe};

/// What `sh -c` within `sh -c`, `$(…)` and subshells may add up to.
const DEEPEST: usize = 16;
/// Lists of commands that run within each other: what is nested within one script, times the scripts.
const DEEPEST_LIST: usize = 64;
/// Bytes of one command's words, as systems have a limit to them.
const LONGEST_WORDS: usize = 512 * 1024;
/// How many bytes a byte of script makes at most as a tree.
const TREE: usize = 32;
/// Commands of one exec.
pub(crate) const MOST_COMMANDS: usize = 100_000;
const LONGEST_LINE: usize = 64 * 1024;

/// What a command may do to the shell that runs it.
pub(crate) enum Flow {
    Next,
    /// `exit`
    Exit,
    /// `break`
    Break,
    /// `continue`
    Continue,
}

/// One shell's state. A clone is a subshell.
#[derive(Clone)]
pub(crate) struct Shell {
    pub(crate) world: Arc<World>,
    pub(crate) variables: Variables,
    pub(crate) directory: String,
    /// `$?`
    pub(crate) status: u8,
    /// `$0`, `$1` …
    pub(crate) arguments: Vec<String>,
    /// `set -e`
    pub(crate) exits_on_error: bool,
    /// `set -x`
    pub(crate) traces: bool,
    depth: usize,
    /// Of lists.
    lists: usize,
    /// What a subshell costs besides its variables.
    _held: Held,
}

impl Shell {
    pub(crate) fn new(world: Arc<World>) -> Self {
        let mut variables = Variables::new(world.budget.hold(0));
        for (name, value) in &world.environment {
            variables.insert(name.clone(), (value.clone(), true));
        }
        Self {
            variables,
            directory: world.directory.clone(),
            status: 0,
            arguments: vec!["sh".to_owned()],
            exits_on_error: false,
            traces: false,
            depth: 0,
            lists: 0,
            _held: world.budget.hold(0),
            world,
        }
    }

    pub(crate) fn variable(&self, name: &str) -> String {
        match name {
            "?" => self.status.to_string(),
            "$" => "7".to_owned(),
            "#" => self.arguments.len().saturating_sub(1).to_string(),
            "@" | "*" => self.arguments.get(1..).unwrap_or_default().join(" "),
            name => match name.parse::<usize>() {
                Ok(number) => self.arguments.get(number).cloned().unwrap_or_default(),
                Err(_) => self.variables.get(name).map(|(value, _)| value.clone()).unwrap_or_default(),
            },
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: String) {
        let exported = self.variables.get(name).is_some_and(|(_, exported)| *exported);
        self.variables.insert(name.to_owned(), (value, exported));
    }

    pub(crate) fn path(&self, path: &str) -> String {
        normal(&self.directory, path)
    }

    /// A shell of its own, one deeper.
    pub(crate) fn subshell(&self) -> Option<Self> {
        if self.depth >= DEEPEST || self.world.budget.is_spent() {
            return None;
        }
        let arguments = self.arguments.iter().map(|argument| argument.len() + size_of::<String>()).sum();
        let held = self.world.budget.hold(arguments);
        Some(Self { depth: self.depth + 1, _held: held, ..self.clone() })
    }

    /// One deeper in the same shell; false when it is too deep. [`Shell::leave`] is to follow.
    pub(crate) fn enter(&mut self) -> bool {
        let may = self.depth < DEEPEST;
        self.depth += usize::from(may);
        may
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Runs a script to its end; answers its exit code.
    pub(crate) fn script<'a>(&'a mut self, script: &'a str, io: &'a Io) -> BoxFuture<'a, u8> {
        async move {
            let _held = self.world.budget.hold(script.len() * TREE);
            if self.world.budget.is_spent() {
                return 137;
            }
            match syntax::parse(script) {
                Ok(list) => {
                    let _ = self.list(&list, io).await;
                    self.status
                }
                Err(why) => {
                    let _ = io.stderr.write(format!("sh: {why}\n").as_bytes()).await;
                    2
                }
            }
        }
        .boxed()
    }

    /// Reads commands line by line until the input ends; with a prompt on a terminal.
    pub(crate) async fn interact(&mut self, io: &Io, prompts: bool) -> u8 {
        let mut pending = String::new();
        loop {
            if prompts {
                let sign = if self.world.user.0 == 0 { "#" } else { "$" };
                let prompt = match pending.as_str() {
                    "" => format!("{} {sign} ", self.directory),
                    _ => "> ".to_owned(),
                };
                if io.stdout.write(prompt.as_bytes()).await.is_err() {
                    return self.status;
                }
            }
            let Ok(Some(line)) = io.stdin.line(LONGEST_LINE).await else { return self.status };
            pending.push_str(&line);
            match syntax::parse(&pending) {
                // More is to come, unless there is too much of it.
                Err(why) if is_incomplete(&why) && pending.len() < LONGEST_LINE => pending.push('\n'),
                Err(why) => {
                    let _ = io.stderr.write(format!("sh: {why}\n").as_bytes()).await;
                    self.status = 2;
                    pending.clear();
                }
                Ok(list) => {
                    pending.clear();
                    let interrupted = self.world.interrupted.clone();
                    let flow = tokio::select! {
                        flow = self.list(&list, io) => flow,
                        () = interrupted.notified(), if prompts => {
                            self.status = 130;
                            Flow::Next
                        }
                    };
                    if matches!(flow, Flow::Exit) {
                        return self.status;
                    }
                }
            }
        }
    }

    fn list<'a>(&'a mut self, list: &'a List, io: &'a Io) -> BoxFuture<'a, Flow> {
        async move {
            if self.lists >= DEEPEST_LIST {
                self.status = 2;
                return Flow::Exit;
            }
            self.lists += 1;
            let flow = self.each(list, io).await;
            self.lists -= 1;
            flow
        }
        .boxed()
    }

    async fn each(&mut self, list: &List, io: &Io) -> Flow {
        for (i, pipeline) in list.iter().enumerate() {
            let runs = match pipeline.when {
                When::Always => true,
                When::Succeeded => self.status == 0,
                When::Failed => self.status != 0,
            };
            if !runs {
                continue;
            }
            let flow = self.pipeline(pipeline, io).await;
            if !matches!(flow, Flow::Next) {
                return flow;
            }
            let tested = list.get(i + 1).is_some_and(|next| next.when != When::Always) || pipeline.negated;
            if self.exits_on_error && self.status != 0 && !tested {
                return Flow::Exit;
            }
        }
        Flow::Next
    }

    async fn pipeline(&mut self, pipeline: &Pipeline, io: &Io) -> Flow {
        let flow = match pipeline.commands.as_slice() {
            [one] => self.command(one, io).await,
            many => {
                self.status = self.piped(many, io).await;
                Flow::Next
            }
        };
        if pipeline.negated {
            self.status = u8::from(self.status == 0);
        }
        flow
    }

    /// Runs commands side by side, each in a shell of its own; the last one's end counts.
    async fn piped(&mut self, commands: &[Command], io: &Io) -> u8 {
        // Their pipes, and what they read into.
        let _held = self.world.budget.hold(2 * PIPE * commands.len());
        if self.world.budget.is_spent() {
            return 137;
        }
        let mut running = Vec::new();
        let mut stdin = io.stdin.clone();
        for (i, command) in commands.iter().enumerate() {
            let Some(mut shell) = self.subshell() else { return 2 };
            let mut own = Io { stdin, ..io.clone() };
            stdin = Input::empty();
            if i + 1 < commands.len() {
                let (to, from) = pipe();
                own.stdout = to;
                stdin = Input::new(from);
            }
            running.push(async move {
                let _ = shell.command(command, &own).await;
                shell.status
            });
        }
        futures::future::join_all(running).await.pop().unwrap_or(0)
    }

    fn command<'a>(&'a mut self, command: &'a Command, io: &'a Io) -> BoxFuture<'a, Flow> {
        async move {
            if !self.world.may_go_on() {
                let _ = io.stderr.write(b"Killed\n").await;
                self.status = 137;
                return Flow::Exit;
            }
            // Others' tasks come to their turn between the commands of a loop.
            tokio::task::yield_now().await;
            match command {
                Command::Simple { assignments, words, redirections } => {
                    self.simple(assignments, words, redirections, io).await
                }
                Command::Group { list, subshell, redirections } => {
                    let Some(own) = self.redirect(redirections, io).await else { return Flow::Next };
                    if !subshell {
                        return self.list(list, &own).await;
                    }
                    self.status = match self.subshell() {
                        Some(mut shell) => {
                            let _ = shell.list(list, &own).await;
                            shell.status
                        }
                        None => 2,
                    };
                    Flow::Next
                }
                Command::If { branches, otherwise } => {
                    for (condition, body) in branches {
                        let flow = self.condition(condition, io).await;
                        if !matches!(flow, Flow::Next) {
                            return flow;
                        }
                        if self.status == 0 {
                            return self.list(body, io).await;
                        }
                    }
                    self.status = 0;
                    match otherwise {
                        Some(body) => self.list(body, io).await,
                        None => Flow::Next,
                    }
                }
                Command::While { condition, body, until } => self.repeat(condition, body, *until, io).await,
                Command::For { name, words, body } => {
                    let words = self.expand_all(words, io).await;
                    let _held = self.hold_words(&words);
                    for word in words {
                        self.set(name, word);
                        match self.list(body, io).await {
                            Flow::Next | Flow::Continue => {}
                            Flow::Break => break,
                            Flow::Exit => return Flow::Exit,
                        }
                    }
                    Flow::Next
                }
            }
        }
        .boxed()
    }

    fn hold_words(&self, words: &[String]) -> Held {
        self.world.budget.hold(words.iter().map(|word| word.len() + size_of::<String>()).sum())
    }

    /// A list whose failure is an answer.
    async fn condition(&mut self, list: &List, io: &Io) -> Flow {
        let exits = std::mem::replace(&mut self.exits_on_error, false);
        let flow = self.list(list, io).await;
        self.exits_on_error = exits;
        flow
    }

    async fn repeat(&mut self, condition: &List, body: &List, until: bool, io: &Io) -> Flow {
        loop {
            let flow = self.condition(condition, io).await;
            if matches!(flow, Flow::Exit) {
                return flow;
            }
            if (self.status == 0) == until {
                self.status = 0;
                return Flow::Next;
            }
            match self.list(body, io).await {
                Flow::Next | Flow::Continue => {}
                Flow::Break => return Flow::Next,
                Flow::Exit => return Flow::Exit,
            }
        }
    }

    async fn simple(
        &mut self,
        assignments: &[(String, syntax::Word)],
        words: &[syntax::Word],
        redirections: &[Redirection],
        io: &Io,
    ) -> Flow {
        let words = self.expand_all(words, io).await;
        let mut held = self.hold_words(&words);
        let mut values = Vec::new();
        for (name, word) in assignments {
            let value = self.expand_one(word, io).await;
            held.grow(value.len());
            values.push((name.clone(), value));
        }
        if self.world.budget.is_spent() {
            self.status = 137;
            return Flow::Exit;
        }
        let Some(own) = self.redirect(redirections, io).await else { return Flow::Next };
        if self.traces && !words.is_empty() {
            let _ = io.stderr.write(format!("+ {}\n", words.join(" ")).as_bytes()).await;
        }
        if words.is_empty() {
            for (name, value) in values {
                self.set(&name, value);
            }
            // A lone assignment keeps what `$(…)` in it ended with.
            if assignments.is_empty() {
                self.status = 0;
            }
            return Flow::Next;
        }
        if values.is_empty() {
            return commands::run(self, &words, &own).await;
        }
        // They hold for this command alone.
        let before = self.variables.clone();
        for (name, value) in values {
            self.variables.insert(name, (value, true));
        }
        let flow = commands::run(self, &words, &own).await;
        self.variables = before;
        flow
    }

    /// None when a file could not be opened, which was said.
    async fn redirect(&mut self, redirections: &[Redirection], io: &Io) -> Option<Io> {
        let mut own = io.clone();
        for redirection in redirections {
            let opened = match redirection {
                Redirection::Copy { fd, of } => {
                    let output = if *of == 2 { own.stderr.clone() } else { own.stdout.clone() };
                    *(if *fd == 2 { &mut own.stderr } else { &mut own.stdout }) = output;
                    Ok(())
                }
                Redirection::From(word) => {
                    let name = self.expand_one(word, io).await;
                    match self.world.files.find(&self.path(&name)) {
                        Some(Found::File(content)) => {
                            own.stdin = Input::of(content);
                            Ok(())
                        }
                        Some(Found::Directory) => Err((name, "Is a directory")),
                        None => Err((name, "No such file or directory")),
                    }
                }
                Redirection::To { fd, append, path } => {
                    let name = self.expand_one(path, io).await;
                    match self.world.open(&self.path(&name), *append) {
                        Ok(output) => {
                            *(if *fd == 2 { &mut own.stderr } else { &mut own.stdout }) = output;
                            Ok(())
                        }
                        Err(why) => Err((name, why)),
                    }
                }
            };
            if let Err((name, why)) = opened {
                let _ = io.stderr.write(format!("sh: can't open {name}: {why}\n").as_bytes()).await;
                self.status = 1;
                return None;
            }
        }
        Some(own)
    }

    /// Runs a script and captures what it writes, without the line feeds at its end.
    async fn output_of(&mut self, script: &str, io: &Io) -> String {
        let Some(mut shell) = self.subshell() else { return String::new() };
        let (to, from) = pipe();
        let own = Io { stdout: to, ..io.clone() };
        // Each lets go of its end when it is done, so that the other ends too.
        let run = async move {
            let status = shell.script(script, &own).await;
            drop(own);
            status
        };
        let mut held = self.world.budget.hold(0);
        let read = async { Input::new(from).all(LONGEST_WORDS, &mut held).await };
        let (status, output) = tokio::join!(run, read);
        self.status = status;
        let output = output.unwrap_or_default();
        String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned()
    }
}

fn is_incomplete(why: &str) -> bool {
    why.contains("end of file") || why.contains("unterminated") || why.contains("missing")
}
