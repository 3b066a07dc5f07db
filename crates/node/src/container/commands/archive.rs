//! `tar`, as far as `kubectl cp` uses it: `tar cf - PATH…` and `tar xmf - -C DIRECTORY`.

use std::io;

use super::super::files::Found;
use super::super::io::Input;
use super::{LARGEST, Outcome, Run};

const BLOCK: usize = 512;

pub(super) async fn run(run: Run<'_>) -> Outcome {
    let mut letters = String::new();
    let (mut directory, mut names) = (run.shell.directory.clone(), Vec::new());
    let mut args = run.args.iter();
    while let Some(arg) = args.next() {
        if arg == "-C" {
            directory = run.path(args.next().map_or("", String::as_str));
        } else if arg.starts_with("--") {
            // Owners and permissions are not kept.
        } else if let Some(more) = arg.strip_prefix('-').filter(|more| !more.is_empty()) {
            letters.push_str(more);
        } else if letters.is_empty() {
            letters.push_str(arg);
        } else {
            names.push(arg.clone());
        }
    }
    let file =
        letters.contains('f') && names.first().is_some_and(|name| name != "-") && letters.contains('x');
    if letters.contains('f') {
        // Also `-` is a word without letters, which the names hold.
        names.retain(|name| name != "-");
    }
    if letters.contains('c') {
        return create(&run, &directory, &names).await;
    }
    if letters.contains('x') {
        let input = match (file, names.first()) {
            (true, Some(name)) => match run.open(name) {
                Ok(input) => input,
                Err(why) => return run.fail(format!("can't open '{name}': {why}")).await,
            },
            _ => run.io.stdin.clone(),
        };
        return extract(&run, &directory, &input).await;
    }
    run.fail("must specify one of 'c', 'x'").await
}

async fn create(run: &Run<'_>, directory: &str, names: &[String]) -> Outcome {
    let mut code = 0;
    for name in names {
        let path = super::super::files::normal(directory, name);
        if run.shell.world.files.find(&path).is_none() {
            code = run.fail(format!("{name}: No such file or directory")).await?;
            continue;
        }
        let mut pending = vec![(path, name.trim_start_matches('/').trim_end_matches('/').to_owned())];
        while let Some((path, shown)) = pending.pop() {
            match run.shell.world.files.find(&path) {
                Some(Found::File(content)) => {
                    run.print(header(&shown, content.len(), b'0')).await?;
                    run.print(&*content).await?;
                    run.print(vec![0; content.len().next_multiple_of(BLOCK) - content.len()]).await?;
                }
                Some(Found::Directory) => {
                    run.print(header(&format!("{shown}/"), 0, b'5')).await?;
                    let entries = run.shell.world.files.list(&path).into_keys().rev();
                    let join = |entry: String| {
                        (format!("{}/{entry}", path.trim_end_matches('/')), format!("{shown}/{entry}"))
                    };
                    pending.extend(entries.map(join));
                }
                None => {}
            }
        }
    }
    run.print(vec![0; 2 * BLOCK]).await?;
    Ok(code)
}

fn header(name: &str, size: usize, kind: u8) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    let mut put = |at: usize, length: usize, text: &str| {
        let text = &text.as_bytes()[..text.len().min(length)];
        block[at..at + text.len()].copy_from_slice(text);
    };
    // Longer names are split at a slash, as ustar does.
    let split = name.match_indices('/').map(|(at, _)| at).find(|at| name.len() - at <= 100);
    match split.filter(|_| name.len() > 100) {
        Some(at) => {
            put(345, 155, &name[..at]);
            put(0, 100, &name[at + 1..]);
        }
        None => put(0, 100, name),
    }
    put(100, 8, if kind == b'5' { "0000755\0" } else { "0000644\0" });
    put(108, 8, "0000000\0");
    put(116, 8, "0000000\0");
    put(124, 12, &format!("{size:011o}\0"));
    put(136, 12, "00000000000\0");
    put(148, 8, "        ");
    put(257, 8, "ustar\x0000");
    block[156] = kind;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    block[148..156].copy_from_slice(sum.as_bytes());
    block
}

async fn extract(run: &Run<'_>, directory: &str, input: &Input) -> Outcome {
    let mut code = 0;
    let mut name_of_next = None;
    loop {
        let Some(block) = block(input, BLOCK).await? else { return Ok(code) };
        if block.iter().all(|byte| *byte == 0) {
            // What follows is padding.
            while input.read(&mut [0; BLOCK]).await? > 0 {}
            return Ok(code);
        }
        let text = |at: usize, length: usize| {
            let field = &block[at..at + length];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
            String::from_utf8_lossy(&field[..end]).trim().to_owned()
        };
        let Ok(size) = usize::from_str_radix(&text(124, 12), 8) else {
            return run.fail("invalid tar magic").await;
        };
        if size > LARGEST {
            return run.fail("write error: No space left on device").await;
        }
        let Some(mut content) = self::block(input, size.next_multiple_of(BLOCK)).await? else {
            return run.fail("short read").await;
        };
        content.truncate(size);
        let prefix = text(345, 155);
        let name = if prefix.is_empty() { text(0, 100) } else { format!("{prefix}/{}", text(0, 100)) };
        let name = name_of_next.take().unwrap_or(name);
        let path = super::super::files::normal(directory, name.trim_start_matches('/'));
        let done = match block[156] {
            b'5' => run.shell.world.files.make_directories(&path),
            b'0' | 0 => {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                let made = run.shell.world.files.make_directories(parent);
                made.and_then(|()| run.shell.world.files.write(&path, content, false))
            }
            // The next one's name, in GNU's and in POSIX' way.
            b'L' => {
                name_of_next = Some(String::from_utf8_lossy(&content).trim_end_matches('\0').to_owned());
                Ok(())
            }
            b'x' => {
                let text = String::from_utf8_lossy(&content);
                name_of_next =
                    text.lines().find_map(|line| line.split_once(" path=")).map(|(_, name)| name.to_owned());
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(why) = done {
            code = run.fail(format!("can't open '{name}': {why}")).await?;
        }
    }
}

/// So many bytes, or None when there are no more.
async fn block(input: &Input, length: usize) -> io::Result<Option<Vec<u8>>> {
    let mut block = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match input.read(&mut block[filled..]).await? {
            0 => return Ok(None),
            read => filled += read,
        }
    }
    Ok(Some(block))
}
