//! What the shell does itself, and programs that run others.

use super::super::files::Found;
use super::super::io::Io;
use super::super::shell::{Flow, Shell};
use super::{NAMES, Outcome, Run, base_name};

/// None when it is no builtin.
pub(super) async fn run(shell: &mut Shell, name: &str, args: &[String], io: &Io) -> Option<Flow> {
    let first = args.first().map(String::as_str);
    let code = match name {
        ":" => 0,
        "exit" | "return" => {
            shell.status = first.and_then(|code| code.parse().ok()).unwrap_or(shell.status);
            return Some(Flow::Exit);
        }
        "break" => return Some(Flow::Break),
        "continue" => return Some(Flow::Continue),
        "cd" => change_directory(shell, first, io).await,
        "export" | "readonly" | "local" => {
            for arg in args {
                let (name, value) = match arg.split_once('=') {
                    Some((name, value)) => (name, value.to_owned()),
                    None => (arg.as_str(), shell.variable(arg)),
                };
                shell.variables.insert(name.to_owned(), (value, name != "local"));
            }
            0
        }
        "unset" => {
            args.iter().for_each(|name| shell.variables.remove(name));
            0
        }
        "set" => set(shell, args),
        "shift" => {
            let by = first.and_then(|by| by.parse().ok()).unwrap_or(1usize);
            let end = shell.arguments.len().min(1 + by);
            shell.arguments.drain(1..end);
            0
        }
        "read" => read(shell, args, io).await,
        "eval" => {
            if !shell.enter() {
                return Some(too_deep(shell, name, io).await);
            }
            let script = args.join(" ");
            let code = shell.script(&script, io).await;
            shell.leave();
            code
        }
        "exec" => {
            if args.is_empty() {
                return Some(Flow::Next);
            }
            let _ = within(shell, name, args, io).await;
            return Some(Flow::Exit);
        }
        "command" | "type" if first.is_some_and(|first| name == "type" || first.starts_with('-')) => {
            say_where(args, io).await
        }
        "command" => return Some(within(shell, name, args, io).await),
        "wait" | "trap" | "umask" | "ulimit" => 0,
        _ => return None,
    };
    shell.status = code;
    Some(Flow::Next)
}

/// Runs a command for a builtin.
async fn within(shell: &mut Shell, name: &str, args: &[String], io: &Io) -> Flow {
    if !shell.enter() {
        return too_deep(shell, name, io).await;
    }
    let flow = super::run(shell, args, io).await;
    shell.leave();
    flow
}

async fn too_deep(shell: &mut Shell, name: &str, io: &Io) -> Flow {
    let _ = io.stderr.write(format!("sh: {name}: too deep\n").as_bytes()).await;
    shell.status = 2;
    Flow::Exit
}

async fn change_directory(shell: &mut Shell, to: Option<&str>, io: &Io) -> u8 {
    let (home, before) = (shell.variable("HOME"), shell.variable("OLDPWD"));
    let wanted = match to {
        None => home.as_str(),
        Some("-") => before.as_str(),
        Some(to) => to,
    };
    let path = shell.path(wanted);
    if shell.world.files.find(&path) != Some(Found::Directory) {
        let _ = io
            .stderr
            .write(format!("sh: cd: can't cd to {wanted}: No such file or directory\n").as_bytes())
            .await;
        return 1;
    }
    let old = std::mem::replace(&mut shell.directory, path);
    shell.set("OLDPWD", old);
    0
}

fn set(shell: &mut Shell, args: &[String]) -> u8 {
    for (i, arg) in args.iter().enumerate() {
        if arg == "--" {
            shell.arguments.truncate(1);
            shell.arguments.extend_from_slice(&args[i + 1..]);
            break;
        }
        let on = arg.starts_with('-');
        if arg.contains('e') {
            shell.exits_on_error = on;
        }
        if arg.contains('x') {
            shell.traces = on;
        }
    }
    0
}

async fn read(shell: &mut Shell, args: &[String], io: &Io) -> u8 {
    let names: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let Ok(Some(line)) = io.stdin.line(super::LARGEST).await else { return 1 };
    let mut rest = line.trim();
    for (i, name) in names.iter().enumerate() {
        let (word, after) = match rest.split_once(char::is_whitespace) {
            Some((word, after)) if i + 1 < names.len() => (word, after.trim_start()),
            _ => (rest, ""),
        };
        shell.set(name, word.to_owned());
        rest = after;
    }
    0
}

async fn say_where(args: &[String], io: &Io) -> u8 {
    let mut code = 0;
    for name in args.iter().filter(|arg| !arg.starts_with('-')) {
        let text = if NAMES.contains(&base_name(name)) {
            format!("/bin/{}\n", base_name(name))
        } else {
            String::new()
        };
        if text.is_empty() {
            code = 127;
        }
        let _ = io.stdout.write(text.as_bytes()).await;
    }
    code
}

/// `sh`, `sh -c SCRIPT [NAME ARGUMENT…]`, `sh FILE [ARGUMENT…]`.
pub(super) async fn subshell(run: Run<'_>) -> Outcome {
    let Some(mut shell) = run.shell.subshell() else { return run.fail("too deep").await };
    // Children see what was exported.
    shell.variables.keep_exported();
    shell.exits_on_error = false;
    let mut args = run.args;
    let mut script = None;
    while let Some(option) = args.first().filter(|arg| arg.starts_with('-') && arg.len() > 1) {
        args = &args[1..];
        if option.starts_with("--") {
            continue;
        }
        shell.exits_on_error |= option.contains('e');
        shell.traces |= option.contains('x');
        if option.contains('c') {
            let Some((first, rest)) = args.split_first() else {
                return run.fail("-c requires an argument").await.map(|_| 2);
            };
            script = Some(first.clone());
            args = rest;
            break;
        }
    }
    if let Some(script) = script {
        if !args.is_empty() {
            shell.arguments = args.to_vec();
        }
        return Ok(shell.script(&script, run.io).await);
    }
    if let Some(file) = args.first() {
        let input = match run.open(file) {
            Ok(input) => input,
            Err(why) => return run.fail(format!("can't open '{file}': {why}")).await.map(|_| 2),
        };
        let mut held = run.shell.world.budget.hold(0);
        let text = input.all(super::LARGEST, &mut held).await?;
        shell.arguments = args.to_vec();
        return Ok(shell.script(&String::from_utf8_lossy(&text), run.io).await);
    }
    let prompts = run.shell.world.terminal || run.args.iter().any(|arg| arg == "-i");
    Ok(shell.interact(run.io, prompts).await)
}

/// `env NAME=VALUE … PROGRAM ARGUMENT…`
pub(super) async fn env(run: Run<'_>) -> Outcome {
    let args = run.args.iter().skip_while(|arg| arg.starts_with('-'));
    let (assigned, command): (Vec<_>, Vec<_>) = {
        let all: Vec<String> = args.cloned().collect();
        let at = all.iter().position(|arg| !arg.contains('=')).unwrap_or(all.len());
        (all[..at].to_vec(), all[at..].to_vec())
    };
    let Some(mut shell) = run.shell.subshell() else { return run.fail("too deep").await };
    for arg in &assigned {
        if let Some((name, value)) = arg.split_once('=') {
            shell.variables.insert(name.to_owned(), (value.to_owned(), true));
        }
    }
    if command.is_empty() {
        let run = Run { shell: &mut shell, name: "env", args: &[], io: run.io };
        return super::system::run(run).await;
    }
    if !super::is_known(&command[0]) {
        return run
            .fail(format!("can't execute '{}': No such file or directory", command[0]))
            .await
            .map(|_| 127);
    }
    let _ = super::run(&mut shell, &command, run.io).await;
    Ok(shell.status)
}
