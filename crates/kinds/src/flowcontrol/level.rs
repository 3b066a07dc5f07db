//! Priority levels: how many requests are served at once, and what becomes of the others.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use super::mandatory;
use crate::shape::{has, present, shown};

const MOST_QUEUES: i64 = 10_000_000;
/// What a request's hash has to choose its queues by.
const HASH_BITS: u32 = 60;

/// Of a version that is no longer served.
const ZERO_SHARES: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";

pub(super) fn validate(errors: &mut FieldErrors, object: &Value) {
    if object.annotation(ZERO_SHARES).is_some() {
        let path = FieldPath::new("metadata").child("annotations");
        errors.forbidden(&path, format!("annotation '{ZERO_SHARES}' is forbidden"));
    }
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let kind = spec.str_at(&["type"]);
    if (object.name() == "exempt") != (kind == "Exempt") {
        errors.invalid(&path.child("type"), kind, "must be 'Exempt' if and only if `name` is 'exempt'");
    }
    match kind {
        "Exempt" => {
            if has(&spec, &["limited"]) {
                errors.forbidden(&path.child("limited"), "must be nil if the type is not Limited");
            }
            if let Some(exempt) = present(&spec, &["exempt"]) {
                shares(errors, exempt, &path.child("exempt"));
                lendable(errors, exempt, &path.child("exempt"));
            }
        }
        "Limited" => {
            if has(&spec, &["exempt"]) {
                errors.forbidden(&path.child("exempt"), "must be nil if the type is Limited");
            }
            match present(&spec, &["limited"]) {
                Some(of) => limited(errors, of, &path.child("limited")),
                None => errors.required(&path.child("limited"), "must not be empty when type is Limited"),
            }
        }
        other => errors.not_supported(&path.child("type"), other, &["Exempt", "Limited"]),
    }
    mandatory::level(errors, object, &path);
}

fn limited(errors: &mut FieldErrors, limited: &Value, path: &FieldPath) {
    shares(errors, limited, path);
    limit_response(errors, limited, &path.child("limitResponse"));
    lendable(errors, limited, path);
    if let Some(percent) = limited.i64_at(&["borrowingLimitPercent"]).filter(|percent| *percent < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.invalid(&path.child("borrowingLimitPercent"), percent, detail);
    }
}

fn shares(errors: &mut FieldErrors, of: &Value, path: &FieldPath) {
    if let Some(shares) = of.i64_at(&["nominalConcurrencyShares"]).filter(|shares| *shares < 0) {
        errors.invalid(&path.child("nominalConcurrencyShares"), shares, "must be a non-negative integer");
    }
}

fn lendable(errors: &mut FieldErrors, of: &Value, path: &FieldPath) {
    if let Some(percent) = of.i64_at(&["lendablePercent"]).filter(|percent| !(0..=100).contains(percent)) {
        errors.invalid(&path.child("lendablePercent"), percent, "must be between 0 and 100, inclusive");
    }
}

fn limit_response(errors: &mut FieldErrors, limited: &Value, path: &FieldPath) {
    let given = present(limited, &["limitResponse", "queuing"]);
    match limited.str_at(&["limitResponse", "type"]) {
        "Reject" => {
            if given.is_some() {
                let detail = "must be nil if limited.limitResponse.type is not Limited";
                errors.forbidden(&path.child("queuing"), detail);
            }
        }
        "Queue" => match given {
            Some(of) => queuing(errors, of, &path.child("queuing")),
            None => {
                let detail = "must not be empty if limited.limitResponse.type is Limited";
                errors.required(&path.child("queuing"), detail);
            }
        },
        other => errors.not_supported(&path.child("type"), other, &["Queue", "Reject"]),
    }
}

fn queuing(errors: &mut FieldErrors, queuing: &Value, path: &FieldPath) {
    let number = |field: &str| queuing.i64_at(&[field]).unwrap_or(0);
    let (queues, hand) = (number("queues"), number("handSize"));
    if number("queueLengthLimit") <= 0 {
        errors.invalid(&path.child("queueLengthLimit"), number("queueLengthLimit"), "must be positive");
    }
    if queues <= 0 {
        errors.invalid(&path.child("queues"), queues, "must be positive");
    } else if queues > MOST_QUEUES {
        errors.invalid(&path.child("queues"), queues, format!("must not be greater than {MOST_QUEUES}"));
    }
    let hand_path = path.child("handSize");
    if hand <= 0 {
        errors.invalid(&hand_path, hand, "must be positive");
    } else if hand > queues {
        errors.invalid(&hand_path, hand, format!("should not be greater than queues ({queues})"));
    } else if entropy_bits(queues, hand) > HASH_BITS {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
        );
        errors.invalid(&hand_path, hand, detail);
    }
}

/// How many bits it takes to deal a hand of cards from a deck, nearly.
fn entropy_bits(deck: i64, hand: i64) -> u32 {
    ((deck as f64).log2() * hand as f64).ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::entropy_bits;

    #[test]
    fn hands_take_bits() {
        assert_eq!(entropy_bits(64, 8), 48);
        assert_eq!(entropy_bits(128, 6), 42);
        assert!(entropy_bits(10_000_001, 100) > 60);
    }
}
