//! `IntOrString`: a count, or a percentage of a total.

use drydock_machinery::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    Up,
    Down,
}

/// The count meant. None when the value is neither a number nor a percentage; an absent value is 0.
pub(crate) fn scaled(value: Option<&Value>, total: i64, round: Round) -> Option<i64> {
    match value {
        None | Some(Value::Null) => Some(0),
        Some(Value::Int(count)) => Some(*count),
        Some(value) => {
            let percent: i64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
            let product = percent * total;
            Some(match round {
                Round::Down => product.div_euclid(100),
                Round::Up => product.div_euclid(100) + i64::from(product.rem_euclid(100) != 0),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_rounded_as_asked() {
        let percent = Value::from("25%");
        assert_eq!(scaled(Some(&percent), 10, Round::Up), Some(3));
        assert_eq!(scaled(Some(&percent), 10, Round::Down), Some(2));
        assert_eq!(scaled(Some(&Value::from(4)), 10, Round::Down), Some(4));
        assert_eq!(scaled(Some(&Value::from("x")), 10, Round::Down), None);
    }
}
