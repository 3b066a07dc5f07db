//! Programs about files.

use super::super::files::Found;
use super::{Outcome, Run};

pub(super) async fn run(run: Run<'_>) -> Outcome {
    match run.name {
        "ls" => list(run).await,
        "mkdir" => make(run).await,
        "rm" => remove(run).await,
        "touch" => touch(run).await,
        "readlink" => {
            let (_, names) = run.options("");
            let Some(name) = names.first() else { return run.fail("no path").await };
            let path = run.path(name);
            run.print(format!("{path}\n")).await?;
            Ok(0)
        }
        _ => copy(run).await,
    }
}

async fn list(run: Run<'_>) -> Outcome {
    let (options, mut names) = run.options("");
    let has = |letter: char| options.iter().any(|(own, _)| *own == letter);
    if names.is_empty() {
        names.push(".".to_owned());
    }
    let many = names.len() > 1;
    let mut code = 0;
    for (i, name) in names.iter().enumerate() {
        let path = run.path(name);
        match run.shell.world.files.find(&path) {
            None => code = run.fail(format!("{name}: No such file or directory")).await?,
            Some(Found::Directory) if !has('d') => {
                if many {
                    let gap = if i > 0 { "\n" } else { "" };
                    run.print(format!("{gap}{name}:\n")).await?;
                }
                for (entry, is_directory) in run.shell.world.files.list(&path) {
                    if has('a') || !entry.starts_with('.') {
                        let whole = format!("{}/{entry}", path.trim_end_matches('/'));
                        run.print(line(&run, &whole, &entry, is_directory, has('l'))).await?;
                    }
                }
            }
            Some(found) => {
                let text = line(&run, &path, name, found == Found::Directory, has('l'));
                run.print(text).await?;
            }
        }
    }
    Ok(code)
}

fn line(run: &Run<'_>, path: &str, name: &str, is_directory: bool, long: bool) -> String {
    if !long {
        return format!("{name}\n");
    }
    let size = match run.shell.world.files.find(path) {
        Some(Found::File(content)) => content.len(),
        _ => 4096,
    };
    let (mode, links) = match (is_directory, super::is_program(path)) {
        (true, _) => ("drwxr-xr-x", 2),
        (false, true) => ("-rwxr-xr-x", 1),
        (false, false) => ("-rw-r--r--", 1),
    };
    let started = run.shell.world.pod.str_at(&["status", "startTime"]).parse::<jiff::Timestamp>();
    let date =
        started.map_or_else(|_| "Jan  1 00:00".to_owned(), |time| time.strftime("%b %e %H:%M").to_string());
    format!("{mode} {links:4} root     root     {size:9} {date} {name}\n")
}

async fn make(run: Run<'_>) -> Outcome {
    let (options, names) = run.options("m");
    let parents = options.iter().any(|(letter, _)| *letter == 'p');
    let mut code = 0;
    for name in names {
        let path = run.path(&name);
        let files = &run.shell.world.files;
        let made = if parents { files.make_directories(&path) } else { files.make_directory(&path) };
        if let Err(why) = made {
            code = run.fail(format!("can't create directory '{name}': {why}")).await?;
        }
    }
    Ok(code)
}

async fn remove(run: Run<'_>) -> Outcome {
    let (options, names) = run.options("");
    let has = |letter: char| options.iter().any(|(own, _)| *own == letter);
    let mut code = 0;
    for name in names {
        let path = run.path(&name);
        let found = run.shell.world.files.find(&path);
        let why = match found {
            None if has('f') => continue,
            Some(Found::Directory) if !has('r') && !has('R') => Err("is a directory"),
            _ => run.shell.world.files.remove(&path),
        };
        if let Err(why) = why {
            code = run.fail(format!("can't remove '{name}': {why}")).await?;
        }
    }
    Ok(code)
}

async fn touch(run: Run<'_>) -> Outcome {
    let (_, names) = run.options("dt");
    let mut code = 0;
    for name in names {
        let path = run.path(&name);
        if run.shell.world.files.find(&path).is_none()
            && let Err(why) = run.shell.world.files.write(&path, Vec::new(), false)
        {
            code = run.fail(format!("{name}: {why}")).await?;
        }
    }
    Ok(code)
}

/// `cp` and `mv`, of files.
async fn copy(run: Run<'_>) -> Outcome {
    let (_, names) = run.options("");
    let Some((to, from)) = names.split_last().filter(|(_, from)| !from.is_empty()) else {
        return run.fail("missing file operand").await;
    };
    let target = run.path(to);
    let into = run.shell.world.files.find(&target) == Some(Found::Directory);
    let mut code = 0;
    for name in from {
        let path = run.path(name);
        let content = match run.shell.world.files.find(&path) {
            Some(Found::File(content)) => content,
            Some(Found::Directory) => {
                code = run.fail(format!("omitting directory '{name}'")).await?;
                continue;
            }
            None => {
                code = run.fail(format!("can't stat '{name}': No such file or directory")).await?;
                continue;
            }
        };
        let base = path.rsplit('/').next().unwrap_or_default();
        let target = if into { format!("{}/{base}", target.trim_end_matches('/')) } else { target.clone() };
        let mut done = run.shell.world.files.write(&target, content.to_vec(), false);
        if run.name == "mv" {
            done = done.and_then(|()| run.shell.world.files.remove(&path));
        }
        if let Err(why) = done {
            code = run.fail(format!("can't create '{target}': {why}")).await?;
        }
    }
    Ok(code)
}
