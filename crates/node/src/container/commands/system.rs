//! Programs about the system, and small ones.

use std::fmt::Write as _;
use std::time::Duration;

use drydock_machinery::Value;

use super::super::environment::hostname;
use super::{LARGEST, NAMES, Outcome, Run, base_name};

pub(super) async fn run(run: Run<'_>) -> Outcome {
    let first = run.args.first().map_or("", String::as_str);
    let text = match run.name {
        "echo" => echo(run.args),
        "printf" => printf(run.args),
        "true" => return Ok(0),
        "false" => return Ok(1),
        "pwd" => format!("{}\n", run.shell.directory),
        "env" => environment(&run),
        "printenv" => return printenv(&run).await,
        "hostname" => format!("{}\n", hostname(&run.shell.world.pod)),
        "whoami" => return whoami(&run).await,
        "id" => id(&run),
        "date" => date(&run),
        "sleep" => return sleep(&run).await,
        "uname" => uname(&run),
        "nproc" => "1\n".to_owned(),
        "ps" => processes(&run),
        "kill" => return run.fail(format!("can't kill pid {first}: Operation not permitted")).await,
        "which" => return which(&run).await,
        "basename" => {
            let name = first.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let suffix = run.args.get(1).map_or("", String::as_str);
            format!("{}\n", name.strip_suffix(suffix).filter(|name| !name.is_empty()).unwrap_or(name))
        }
        "dirname" => match first.trim_end_matches('/').rsplit_once('/') {
            Some(("", _)) => "/\n".to_owned(),
            Some((directory, _)) => format!("{directory}\n"),
            None => ".\n".to_owned(),
        },
        "seq" => return seq(&run).await,
        _ => return run.fail("applet not found").await,
    };
    run.print(text).await?;
    Ok(0)
}

fn echo(args: &[String]) -> String {
    let flags = args.iter().take_while(|arg| {
        arg.strip_prefix('-').is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| "neE".contains(c)))
    });
    let flags: Vec<&String> = flags.collect();
    let has = |letter: char| flags.iter().any(|flag| flag.contains(letter));
    let mut text = args[flags.len()..].join(" ");
    if has('e') {
        text = unescape(&text);
    }
    if !has('n') {
        text.push('\n');
    }
    text
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('0') => out.push('\0'),
            Some('e') => out.push('\x1b'),
            Some('\\') => out.push('\\'),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

/// `%s`, `%d`, `%x`, `%%`; the format is used again while there are arguments.
fn printf(args: &[String]) -> String {
    let Some((format, mut rest)) = args.split_first() else { return String::new() };
    let format = unescape(format);
    let mut out = String::new();
    loop {
        let before = rest.len();
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut width = String::new();
            while let Some(digit) = chars.next_if(|c| c.is_ascii_digit() || matches!(c, '-' | '.')) {
                width.push(digit);
            }
            let kind = chars.next().unwrap_or('%');
            if kind == '%' {
                out.push('%');
                continue;
            }
            let (value, after) =
                rest.split_first().map_or(("", rest), |(value, after)| (value.as_str(), after));
            rest = after;
            let text = match kind {
                'd' | 'i' | 'u' => value.trim().parse::<i64>().unwrap_or(0).to_string(),
                'x' => format!("{:x}", value.trim().parse::<i64>().unwrap_or(0)),
                'b' => unescape(value),
                _ => value.to_owned(),
            };
            let left = width.starts_with('-');
            let zero = width.starts_with('0') && kind != 's';
            let width = width.trim_start_matches('-').parse::<usize>().unwrap_or(0).min(1024);
            let _ = match (left, zero) {
                (true, _) => write!(out, "{text:<width$}"),
                (false, true) => write!(out, "{text:0>width$}"),
                (false, false) => write!(out, "{text:>width$}"),
            };
            // Widths make much of little.
            if out.len() > LARGEST {
                return out;
            }
        }
        if rest.is_empty() || rest.len() == before {
            return out;
        }
    }
}

/// In the order in which the runtime gave them, then what was added.
fn environment(run: &Run<'_>) -> String {
    let mut out = String::new();
    let variables = &run.shell.variables;
    let known: Vec<&String> = run.shell.world.environment.iter().map(|(name, _)| name).collect();
    let added = variables.names().filter(|name| !known.contains(name));
    for name in known.iter().copied().chain(added) {
        if let Some((value, true)) = variables.get(name) {
            let _ = writeln!(out, "{name}={value}");
        }
    }
    out
}

async fn printenv(run: &Run<'_>) -> Outcome {
    if run.args.is_empty() {
        run.print(environment(run)).await?;
        return Ok(0);
    }
    let mut code = 0;
    for name in run.args {
        match run.shell.variables.get(name) {
            Some((value, true)) => run.print(format!("{value}\n")).await?,
            _ => code = 1,
        }
    }
    Ok(code)
}

async fn whoami(run: &Run<'_>) -> Outcome {
    let (user, _) = run.shell.world.user;
    if user == 0 {
        run.print("root\n").await?;
        return Ok(0);
    }
    run.fail(format!("unknown uid {user}")).await
}

fn id(run: &Run<'_>) -> String {
    let (user, group) = run.shell.world.user;
    let named = |number: i64| if number == 0 { "0(root)".to_owned() } else { number.to_string() };
    match run.args.first().map(String::as_str) {
        Some("-u") => format!("{user}\n"),
        Some("-g") => format!("{group}\n"),
        _ => {
            let pod = &run.shell.world.pod;
            let more = pod.array_at(&["spec", "securityContext", "supplementalGroups"]).iter();
            let mut groups = vec![group];
            groups.extend(pod.i64_at(&["spec", "securityContext", "fsGroup"]));
            groups.extend(more.filter_map(Value::as_i64));
            groups.dedup();
            let groups: Vec<String> = groups.into_iter().map(named).collect();
            format!("uid={} gid={} groups={}\n", named(user), named(group), groups.join(","))
        }
    }
}

/// Of the cluster's clock.
fn date(run: &Run<'_>) -> String {
    let now = run.shell.world.clock.now();
    let format = run.args.iter().find_map(|arg| arg.strip_prefix('+'));
    let format = match (format, run.args.iter().any(|arg| arg.starts_with("-I"))) {
        (Some(format), _) => format,
        (None, true) => "%Y-%m-%d",
        (None, false) => "%a %b %e %H:%M:%S UTC %Y",
    };
    let mut out = String::new();
    // What is no format is shown as it is.
    match jiff::fmt::strtime::format(format, now) {
        Ok(text) => out.push_str(&text),
        Err(_) => out.push_str(format),
    }
    out.push('\n');
    out
}

/// On the cluster's clock.
async fn sleep(run: &Run<'_>) -> Outcome {
    let mut total = Duration::ZERO;
    for arg in run.args {
        let (number, unit) = match arg.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) => arg.split_at(at),
            None => (arg.as_str(), "s"),
        };
        let factor = match unit {
            "s" => Some(1.0),
            "m" => Some(60.0),
            "h" => Some(3600.0),
            "d" => Some(86400.0),
            "infinity" | "inf" => std::future::pending().await,
            _ => None,
        };
        let seconds = number.parse::<f64>().ok().zip(factor).map(|(number, factor)| number * factor);
        match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            Some(duration) => total = total.saturating_add(duration),
            None => return run.fail(format!("invalid number '{arg}'")).await,
        }
    }
    if run.args.is_empty() {
        return run.fail("missing operand").await;
    }
    run.shell.world.clock.sleep(total).await;
    Ok(0)
}

fn uname(run: &Run<'_>) -> String {
    let name = hostname(&run.shell.world.pod);
    match run.args.first().map_or("", String::as_str) {
        "-a" => format!("Linux {name} 6.12.0 #1 SMP drydock x86_64 Linux\n"),
        "-n" => format!("{name}\n"),
        "-r" => "6.12.0\n".to_owned(),
        "-m" => "x86_64\n".to_owned(),
        _ => "Linux\n".to_owned(),
    }
}

/// The container's own process, and this one.
fn processes(run: &Run<'_>) -> String {
    let container = &run.shell.world.container;
    let words = ["command", "args"].iter().flat_map(|list| container.array_at(&[list]));
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    let own = if words.is_empty() { container.str_at(&["name"]).to_owned() } else { words.join(" ") };
    let user =
        if run.shell.world.user.0 == 0 { "root".to_owned() } else { run.shell.world.user.0.to_string() };
    format!(
        "PID   USER     TIME  COMMAND\n{:5} {user:8} {:5} {own}\n{:5} {user:8} {:5} ps\n",
        1, "0:00", 7, "0:00"
    )
}

async fn which(run: &Run<'_>) -> Outcome {
    let mut code = 0;
    for name in run.args.iter().filter(|arg| !arg.starts_with('-')) {
        if NAMES.contains(&base_name(name)) {
            run.print(format!("/bin/{}\n", base_name(name))).await?;
        } else {
            code = 1;
        }
    }
    Ok(code)
}

async fn seq(run: &Run<'_>) -> Outcome {
    let numbers: Vec<i64> = run.args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let (mut from, step, to) = match numbers.as_slice() {
        [to] => (1, 1, *to),
        [from, to] => (*from, 1, *to),
        [from, step, to] if *step != 0 => (*from, *step, *to),
        _ => return run.fail("invalid number").await,
    };
    while if step > 0 { from <= to } else { from >= to } {
        run.print(format!("{from}\n")).await?;
        match from.checked_add(step) {
            Some(next) => from = next,
            None => break,
        }
        // Nobody may read it, and it may be long.
        tokio::task::yield_now().await;
        if !run.shell.world.may_go_on() {
            return Ok(137);
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_put_together_as_the_programs_do() {
        let words = |text: &[&str]| text.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(echo(&words(&["a", "b"])), "a b\n");
        assert_eq!(echo(&words(&["-n", "a"])), "a");
        assert_eq!(echo(&words(&["-e", "a\\tb"])), "a\tb\n");
        assert_eq!(echo(&words(&["-x"])), "-x\n");
        assert_eq!(printf(&words(&["%s=%03d\\n", "a", "7", "b", "12"])), "a=007\nb=012\n");
        assert_eq!(printf(&words(&["%-4s|100%%"])), "    |100%");
        assert_eq!(super::super::NAMES.len(), 43);
        assert!(super::super::NAMES.is_sorted());
    }
}
