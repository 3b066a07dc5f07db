//! Programs that read text and write text.

use super::super::io::Input;
use super::{LARGEST, Outcome, Run};

pub(super) async fn run(run: Run<'_>) -> Outcome {
    match run.name {
        "cat" => cat(run).await,
        "head" => ends(run, true).await,
        "tail" => ends(run, false).await,
        "wc" => count(run).await,
        "grep" => grep(run).await,
        "sort" => sort(run).await,
        "tr" => translate(run).await,
        "sed" => substitute(run).await,
        "base64" => base64(run).await,
        _ => tee(run).await,
    }
}

async fn pass(run: &Run<'_>, from: &Input) -> std::io::Result<()> {
    let mut buffer = vec![0; 8 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        run.print(&buffer[..read]).await?;
    }
}

async fn cat(run: Run<'_>) -> Outcome {
    let (_, mut names) = run.options("");
    if names.is_empty() {
        names.push("-".to_owned());
    }
    let mut code = 0;
    for name in names {
        match run.open(&name) {
            Ok(input) => pass(&run, &input).await?,
            Err("Is a directory") => code = run.fail("read error: Is a directory").await?,
            Err(why) => code = run.fail(format!("can't open '{name}': {why}")).await?,
        }
    }
    Ok(code)
}

/// The content of the files that are named, or of the input; None when one of them is not there, which was said.
async fn read(run: &Run<'_>, names: &[String]) -> std::io::Result<Option<Vec<(String, Vec<u8>)>>> {
    let from_input = [String::from("-")];
    let names = if names.is_empty() { &from_input } else { names };
    let mut all = Vec::new();
    for name in names {
        match run.open(name) {
            Ok(input) => all.push((name.clone(), input.all(LARGEST).await?)),
            Err(why) => {
                run.fail(format!("{name}: {why}")).await?;
                return Ok(None);
            }
        }
    }
    Ok(Some(all))
}

fn lines(content: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    lines.retain(|line| !line.is_empty());
    lines
}

/// `head` and `tail`, with `-n`, `-c` or `-NUMBER`.
async fn ends(run: Run<'_>, head: bool) -> Outcome {
    let (options, names) = run.options("nc");
    let digits: String = options.iter().map(|(letter, _)| *letter).filter(char::is_ascii_digit).collect();
    let value =
        |wanted: char| options.iter().find(|(letter, _)| *letter == wanted).map(|(_, value)| value.as_str());
    let count: usize =
        value('n').or(value('c')).unwrap_or(&digits).trim_start_matches('+').parse().unwrap_or(10);
    let from_start = value('n').is_some_and(|text| text.starts_with('+'));
    if head && value('c').is_none() && names.is_empty() {
        // Stops reading when it has enough.
        for _ in 0..count {
            let Some(line) = run.io.stdin.line(LARGEST).await? else { break };
            run.print(format!("{line}\n")).await?;
        }
        return Ok(0);
    }
    let Some(all) = read(&run, &names).await? else { return Ok(1) };
    for (_, content) in all {
        if value('c').is_some() {
            let count = count.min(content.len());
            run.print(if head { &content[..count] } else { &content[content.len() - count..] }).await?;
            continue;
        }
        let lines = lines(&content);
        let range = match (head, from_start) {
            (true, _) => 0..count.min(lines.len()),
            (false, true) => count.saturating_sub(1).min(lines.len())..lines.len(),
            (false, false) => lines.len().saturating_sub(count)..lines.len(),
        };
        run.print(lines[range].concat()).await?;
    }
    Ok(0)
}

async fn count(run: Run<'_>) -> Outcome {
    let (options, names) = run.options("");
    let Some(all) = read(&run, &names).await? else { return Ok(1) };
    let wanted = |letter: char| options.is_empty() || options.iter().any(|(own, _)| *own == letter);
    for (name, content) in all {
        let newlines = content.iter().filter(|byte| **byte == b'\n').count();
        let words = content.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
        let mut parts = Vec::new();
        for (letter, number) in [('l', newlines), ('w', words), ('c', content.len())] {
            if wanted(letter) {
                parts.push(if options.len() == 1 { number.to_string() } else { format!("{number:9}") });
            }
        }
        if name != "-" {
            parts.push(name);
        }
        run.print(format!("{}\n", parts.join(" "))).await?;
    }
    Ok(0)
}

/// Fixed text with `-F`; otherwise `^`, `$`, `.` and `*` are special.
async fn grep(run: Run<'_>) -> Outcome {
    let (options, mut names) = run.options("e");
    let has = |letter: char| options.iter().any(|(own, _)| *own == letter);
    let pattern = match options.iter().find(|(letter, _)| *letter == 'e') {
        Some((_, pattern)) => pattern.clone(),
        None if names.is_empty() => return run.fail("no pattern").await.map(|_| 2),
        None => names.remove(0),
    };
    let fold = |text: &str| if has('i') { text.to_lowercase() } else { text.to_owned() };
    let pattern = fold(&pattern);
    let Some(all) = read(&run, &names).await? else { return Ok(2) };
    let mut found = 0;
    for (name, content) in &all {
        for line in lines(content) {
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end_matches('\n');
            let folded = fold(text);
            let fits = if has('F') { folded.contains(&pattern) } else { matches(&pattern, &folded) };
            if fits != has('v') {
                found += 1;
                if !has('q') && !has('c') {
                    let prefix = if all.len() > 1 { format!("{name}:") } else { String::new() };
                    run.print(format!("{prefix}{text}\n")).await?;
                }
            }
        }
    }
    if has('c') {
        run.print(format!("{found}\n")).await?;
    }
    Ok(u8::from(found == 0))
}

/// Steps that matching one line may take.
const MOST_STEPS: usize = 10_000_000;

/// A pattern of `^`, `$`, `.`, `*`, characters and escaped ones, anywhere in `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    if pattern.len().saturating_mul(text.len()) > MOST_STEPS {
        return false;
    }
    let (mut rest, anchored) = match pattern.as_slice() {
        ['^', rest @ ..] => (rest, true),
        all => (all, false),
    };
    // Where in the text what has been read of the pattern may end.
    let mut ends = vec![!anchored; text.len() + 1];
    ends[0] = true;
    while let [first, more @ ..] = rest {
        let (escaped, one, more) = match (first, more) {
            ('\\', [one, more @ ..]) => (true, *one, more),
            ('$', []) => return ends[text.len()],
            _ => (false, *first, more),
        };
        let fits = |c: char| one == c || (one == '.' && !escaped);
        if let ['*', after @ ..] = more {
            for (i, c) in text.iter().enumerate() {
                ends[i + 1] |= ends[i] && fits(*c);
            }
            rest = after;
        } else {
            for (i, c) in text.iter().enumerate().rev() {
                ends[i + 1] = ends[i] && fits(*c);
            }
            ends[0] = false;
            rest = more;
        }
    }
    ends.contains(&true)
}

async fn sort(run: Run<'_>) -> Outcome {
    let (options, names) = run.options("k");
    let has = |letter: char| options.iter().any(|(own, _)| *own == letter);
    let Some(all) = read(&run, &names).await? else { return Ok(2) };
    let text = all.iter().map(|(_, content)| String::from_utf8_lossy(content)).collect::<String>();
    let mut lines: Vec<&str> = text.lines().collect();
    let number = |line: &str| line.trim().parse::<f64>().unwrap_or(0.0);
    if has('n') {
        lines.sort_by(|a, b| number(a).total_cmp(&number(b)));
    } else {
        lines.sort_unstable();
    }
    if has('r') {
        lines.reverse();
    }
    if has('u') {
        lines.dedup();
    }
    for line in lines {
        run.print(format!("{line}\n")).await?;
    }
    Ok(0)
}

/// `tr SET SET` and `tr -d SET`, with ranges.
async fn translate(run: Run<'_>) -> Outcome {
    let (options, sets) = run.options("");
    let set = |i: usize| sets.get(i).map_or(Vec::new(), |text| characters(text));
    let (from, to) = (set(0), set(1));
    let input = run.io.stdin.all(LARGEST).await?;
    let delete = options.iter().any(|(letter, _)| *letter == 'd');
    let translated = String::from_utf8_lossy(&input)
        .chars()
        .filter_map(|c| match from.iter().position(|own| *own == c) {
            None => Some(c),
            Some(_) if delete => None,
            Some(at) => to.get(at).or(to.last()).copied().or(Some(c)),
        })
        .collect::<String>();
    run.print(translated).await?;
    Ok(0)
}

fn characters(text: &str) -> Vec<char> {
    let text = text.replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z").replace("[:digit:]", "0-9");
    let text: Vec<char> = text.replace("\\n", "\n").replace("\\t", "\t").chars().collect();
    let mut all = Vec::new();
    let mut rest = text.as_slice();
    while let Some((first, after)) = rest.split_first() {
        match after {
            ['-', last, after @ ..] => {
                all.extend(*first..=*last);
                rest = after;
            }
            _ => {
                all.push(*first);
                rest = after;
            }
        }
    }
    all
}

/// `sed s/TEXT/TEXT/[g]`, of fixed text, and `sed -n NUMBERp`.
async fn substitute(run: Run<'_>) -> Outcome {
    let (_, mut names) = run.options("");
    if names.is_empty() {
        return run.fail("no script").await;
    }
    let script = names.remove(0);
    let Some(all) = read(&run, &names).await? else { return Ok(1) };
    let text = all.iter().map(|(_, content)| String::from_utf8_lossy(content)).collect::<String>();
    if let Some(number) = script.strip_suffix('p').and_then(|number| number.parse::<usize>().ok()) {
        if let Some(line) = text.lines().nth(number.saturating_sub(1)) {
            run.print(format!("{line}\n")).await?;
        }
        return Ok(0);
    }
    let mut script = script.chars();
    let (Some('s'), Some(mark)) = (script.next(), script.next()) else {
        return run.fail("unsupported command").await;
    };
    let script: String = script.collect();
    let parts: Vec<&str> = script.split(mark).collect();
    let [from, to, flags] = parts.as_slice() else { return run.fail("bad option in substitution").await };
    for line in text.lines() {
        let line = if flags.contains('g') { line.replace(from, to) } else { line.replacen(from, to, 1) };
        run.print(format!("{line}\n")).await?;
    }
    Ok(0)
}

async fn base64(run: Run<'_>) -> Outcome {
    let (options, names) = run.options("w");
    let Some(all) = read(&run, &names).await? else { return Ok(1) };
    let content: Vec<u8> = all.into_iter().flat_map(|(_, content)| content).collect();
    if options.iter().any(|(letter, _)| *letter == 'd') {
        run.print(super::super::base64(&String::from_utf8_lossy(&content))).await?;
        return Ok(0);
    }
    let wraps = !options.iter().any(|(letter, value)| *letter == 'w' && value == "0");
    let encoded = encode(&content);
    for line in encoded.as_bytes().chunks(if wraps { 76 } else { usize::MAX }) {
        run.print(line).await?;
        run.print("\n").await?;
    }
    Ok(0)
}

fn encode(content: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in content.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i > three.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

async fn tee(run: Run<'_>) -> Outcome {
    let (options, names) = run.options("");
    let append = options.iter().any(|(letter, _)| *letter == 'a');
    let mut outputs = Vec::new();
    let mut code = 0;
    for name in names {
        match run.shell.world.open(&run.path(&name), append) {
            Ok(output) => outputs.push(output),
            Err(why) => code = run.fail(format!("{name}: {why}")).await?,
        }
    }
    let mut buffer = vec![0; 8 * 1024];
    loop {
        let read = run.io.stdin.read(&mut buffer).await?;
        if read == 0 {
            return Ok(code);
        }
        run.print(&buffer[..read]).await?;
        for output in &outputs {
            output.write(&buffer[..read]).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_patterns_take_neither_the_stack_nor_for_ever() {
        assert!(matches(&"a*".repeat(100_000), "aaaa"));
        assert!(!matches(&format!("{}b", "a*".repeat(200)), &"a".repeat(10_000)));
    }

    #[test]
    fn patterns_and_base64() {
        assert!(matches("^a.*c$", "abbc"));
        assert!(!matches("^b", "abc"));
        assert!(matches("b*c", "ac"));
        assert!(
            matches(r"a\*$", "xa*")
                && !matches(r"a\*$", "xaa")
                && matches(r"\.", ".")
                && !matches(r"\.", "x")
        );
        for text in ["", "f", "fo", "foo", "foob"] {
            let there = encode(text.as_bytes());
            assert_eq!(super::super::super::base64(&there), text.as_bytes(), "{there}");
        }
        assert_eq!(encode(b"fo"), "Zm8=");
    }
}
