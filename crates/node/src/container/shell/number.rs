//! `$((…))`: whole numbers, as shells count.

/// # Errors
/// What `sh` says.
pub(crate) fn evaluate(text: &str, variable: &impl Fn(&str) -> String) -> Result<i64, String> {
    let mut reader = Reader { rest: text, variable };
    let value = reader.sum(0)?;
    if reader.rest.trim().is_empty() { Ok(value) } else { Err("arithmetic syntax error".to_owned()) }
}

const DEEPEST: usize = 32;

struct Reader<'a, V> {
    rest: &'a str,
    variable: &'a V,
}

impl<V: Fn(&str) -> String> Reader<'_, V> {
    fn next_of(&mut self, signs: &[char]) -> Option<char> {
        self.rest = self.rest.trim_start();
        let found = self.rest.chars().next().filter(|c| signs.contains(c))?;
        self.rest = &self.rest[1..];
        Some(found)
    }

    fn sum(&mut self, depth: usize) -> Result<i64, String> {
        let mut value = self.product(depth)?;
        while let Some(sign) = self.next_of(&['+', '-']) {
            let other = self.product(depth)?;
            value = if sign == '+' { value.wrapping_add(other) } else { value.wrapping_sub(other) };
        }
        Ok(value)
    }

    fn product(&mut self, depth: usize) -> Result<i64, String> {
        let mut value = self.atom(depth)?;
        while let Some(sign) = self.next_of(&['*', '/', '%']) {
            let other = self.atom(depth)?;
            value = match (sign, other) {
                ('*', other) => value.wrapping_mul(other),
                (_, 0) => return Err("divide by zero".to_owned()),
                ('/', other) => value.wrapping_div(other),
                (_, other) => value.wrapping_rem(other),
            };
        }
        Ok(value)
    }

    fn atom(&mut self, depth: usize) -> Result<i64, String> {
        if depth > DEEPEST {
            return Err("arithmetic syntax error".to_owned());
        }
        if self.next_of(&['-']).is_some() {
            return Ok(self.atom(depth + 1)?.wrapping_neg());
        }
        if self.next_of(&['(']).is_some() {
            let value = self.sum(depth + 1)?;
            return match self.next_of(&[')']) {
                Some(_) => Ok(value),
                None => Err("arithmetic syntax error".to_owned()),
            };
        }
        let rest = self.rest.trim_start().trim_start_matches('$');
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        if word.is_empty() {
            return Err("arithmetic syntax error".to_owned());
        }
        // A variable that is no number counts as nothing.
        word.parse().or_else(|_| Ok((self.variable)(word).trim().parse().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_with() {
        let variable = |name: &str| if name == "i" { "4".to_owned() } else { String::new() };
        let check = |text: &str, value: Result<i64, &str>| {
            assert_eq!(evaluate(text, &variable), value.map_err(str::to_owned), "{text}");
        };
        check("i + 1", Ok(5));
        check("$i * (2 - 5) % 7", Ok(-5));
        check("-i/2", Ok(-2));
        check("nothing", Ok(0));
        check("1/0", Err("divide by zero"));
        check("1 +", Err("arithmetic syntax error"));
    }
}
