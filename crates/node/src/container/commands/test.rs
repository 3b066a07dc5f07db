//! `test`, also as `[`.

use super::super::files::Found;
use super::{Outcome, Run};

pub(super) async fn run(run: Run<'_>) -> Outcome {
    let args = match (run.name, run.args.split_last()) {
        ("[", Some((last, args))) if last == "]" => args,
        ("[", _) => return run.fail("missing ]").await.map(|_| 2),
        _ => run.args,
    };
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match any(&run, &words) {
        Ok(holds) => Ok(u8::from(!holds)),
        Err(why) => run.fail(why).await.map(|_| 2),
    }
}

/// `-o` binds less than `-a`.
fn any(run: &Run<'_>, words: &[&str]) -> Result<bool, String> {
    for group in words.split(|word| *word == "-o") {
        let mut holds = true;
        for one in group.split(|word| *word == "-a") {
            holds &= term(run, one)?;
        }
        if holds {
            return Ok(true);
        }
    }
    Ok(false)
}

fn term(run: &Run<'_>, words: &[&str]) -> Result<bool, String> {
    let negations = words.iter().take_while(|word| **word == "!").count();
    Ok(plain(run, &words[negations..])? != (negations % 2 == 1))
}

fn plain(run: &Run<'_>, words: &[&str]) -> Result<bool, String> {
    match words {
        [] => Ok(false),
        [word] => Ok(!word.is_empty()),
        ["-n", word] => Ok(!word.is_empty()),
        ["-z", word] => Ok(word.is_empty()),
        ["-t", _] => Ok(run.shell.world.terminal),
        [sign @ ("-e" | "-f" | "-d" | "-r" | "-w" | "-x" | "-s" | "-L" | "-h"), path] => {
            let found = run.shell.world.files.find(&run.path(path));
            Ok(match *sign {
                "-f" => matches!(found, Some(Found::File(_))),
                "-d" => found == Some(Found::Directory),
                "-s" => matches!(found, Some(Found::File(content)) if !content.is_empty()),
                "-L" | "-h" => false,
                "-x" => found == Some(Found::Directory) || super::is_program(&run.path(path)),
                _ => found.is_some(),
            })
        }
        [left, "=" | "==", right] => Ok(left == right),
        [left, "!=", right] => Ok(left != right),
        [left, sign @ ("-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge"), right] => {
            let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text}: bad number"));
            let order = number(left)?.cmp(&number(right)?);
            Ok(match *sign {
                "-eq" => order.is_eq(),
                "-ne" => order.is_ne(),
                "-lt" => order.is_lt(),
                "-le" => order.is_le(),
                "-gt" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        [_, operator, ..] => Err(format!("{operator}: unknown operand")),
    }
}
