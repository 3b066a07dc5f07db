//! Numbers with check digits, and other codes.

pub(super) fn is_isbn10(text: &str) -> bool {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    if digits.len() != 10 {
        return false;
    }
    let mut sum = 0;
    for (i, c) in digits.chars().enumerate() {
        let digit = match c {
            'X' if i == 9 => 10,
            c => match c.to_digit(10) {
                Some(digit) => digit,
                None => return false,
            },
        };
        sum += (u32::try_from(i).unwrap_or(0) + 1) * digit;
    }
    sum % 11 == 0
}

pub(super) fn is_isbn13(text: &str) -> bool {
    let digits: Vec<char> = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    if digits.len() != 13 {
        return false;
    }
    let mut sum = 0;
    for (i, c) in digits.iter().enumerate() {
        let Some(digit) = c.to_digit(10) else { return false };
        sum += if i % 2 == 0 { digit } else { 3 * digit };
    }
    sum.is_multiple_of(10)
}

/// Luhn's sum over the digits; anything else between them is ignored.
pub(super) fn is_credit_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    if !(13..=16).contains(&digits.len()) || !matches!(digits[0], 1..=6) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| match (i % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Upstream's expression would let the separators be missing, but its length is checked first.
pub(super) fn is_ssn(text: &str) -> bool {
    if text.len() != 11 {
        return false;
    }
    let mut rest = text;
    for (i, length) in [3, 2, 4].into_iter().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix(['-', ' ']).unwrap_or(rest);
        }
        match rest.split_at_checked(length) {
            Some((group, after)) if group.bytes().all(|b| b.is_ascii_digit()) => rest = after,
            _ => return false,
        }
    }
    rest.is_empty()
}

pub(super) fn is_rgb_color(text: &str) -> bool {
    let Some(parts) = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')) else {
        return false;
    };
    let part = |part: &str| {
        let part = part.trim();
        !part.is_empty() && part.len() <= 3 && part.parse::<u16>().is_ok_and(|number| number <= 255)
    };
    parts.split(',').count() == 3 && parts.split(',').all(part)
}
