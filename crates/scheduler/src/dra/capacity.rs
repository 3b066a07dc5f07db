//! Capacity that several claims share.

use std::collections::BTreeMap;

use drydock_machinery::quantity::{Format, Quantity};
use drydock_machinery::{Key, Map, Value};

use super::slice::Device;

/// Amounts of a device's capacities by their names.
pub(super) type Amounts = BTreeMap<Key, Quantity>;

/// A `DeviceCapacity`.
#[derive(Debug)]
pub(super) struct Capacity {
    pub(super) value: Quantity,
    policy: Option<Policy>,
}

/// What may be asked of a capacity.
#[derive(Debug)]
struct Policy {
    default: Option<Quantity>,
    values: Vec<Quantity>,
    range: Option<Range>,
}

#[derive(Debug)]
struct Range {
    min: Option<Quantity>,
    max: Option<Quantity>,
    step: Option<Quantity>,
}

impl Range {
    fn new(value: &Value) -> Self {
        let bound = |name: &str| quantity(value.get(name));
        Self { min: bound("min"), max: bound("max"), step: bound("step") }
    }

    /// How far an amount is above the last step.
    fn above_step(&self, amount: &Quantity) -> i64 {
        let step = self.step.as_ref().map_or(0, Quantity::value);
        let min = self.min.as_ref().map_or(0, Quantity::value);
        amount.value().saturating_sub(min).checked_rem(step).unwrap_or(0)
    }

    /// The least amount in the range that is enough.
    fn rounded_up(&self, asked: &Quantity) -> Quantity {
        match &self.min {
            Some(min) if asked < min => min.clone(),
            Some(_) if self.step.is_some() => {
                let (above, step) = (self.above_step(asked), self.step.as_ref().map_or(0, Quantity::value));
                let missing = if above == 0 { 0 } else { step - above };
                Quantity::new(asked.value().saturating_add(missing), Format::BinarySi)
            }
            _ => asked.clone(),
        }
    }
}

fn quantity(value: Option<&Value>) -> Option<Quantity> {
    value.filter(|value| !value.is_null()).map(|value| Quantity::of(Some(value)))
}

impl Capacity {
    pub(super) fn new(value: &Value) -> Self {
        let policy = value.get("requestPolicy").filter(|policy| !policy.is_null());
        let policy = policy.map(|policy| Policy {
            default: quantity(policy.get("default")),
            values: policy.array_at(&["validValues"]).iter().map(|one| Quantity::of(Some(one))).collect(),
            range: policy.get("validRange").filter(|range| !range.is_null()).map(Range::new),
        });
        Self { value: Quantity::of(value.get("value")), policy }
    }

    /// What is used up when so much, or nothing in particular, is asked for.
    fn consumed(&self, asked: Option<&Quantity>) -> Quantity {
        let policy = self.policy.as_ref();
        let Some(asked) = asked else {
            return policy.and_then(|policy| policy.default.clone()).unwrap_or_else(|| self.value.clone());
        };
        match policy {
            Some(Policy { range: Some(range), .. }) if range.min.is_some() => range.rounded_up(asked),
            Some(policy) => policy.values.iter().find(|value| asked <= *value).unwrap_or(asked).clone(),
            None => asked.clone(),
        }
    }

    fn allows(&self, amount: &Quantity) -> bool {
        let Some(policy) = &self.policy else { return true };
        if policy.default.as_ref() == Some(amount) {
            return true;
        }
        match &policy.range {
            Some(range) => {
                range.max.as_ref().is_none_or(|max| amount <= max) && range.above_step(amount) == 0
            }
            None => policy.values.is_empty() || policy.values.contains(amount),
        }
    }
}

fn asked(requests: &Map, name: &str) -> Option<Quantity> {
    requests.get(name).map(|amount| Quantity::of(Some(amount)))
}

/// Whether the device has what is asked for, beside what is in use. What is not asked for is taken as a whole.
pub(super) fn has_room(device: &Device, requests: &Map, in_use: [Option<&Amounts>; 2]) -> bool {
    let known = |name: &Key| device.capacity.iter().any(|(own, _)| own == name);
    if !requests.keys().all(known) {
        return false;
    }
    device.capacity.iter().all(|(name, capacity)| {
        let mut sum = capacity.consumed(asked(requests, name).as_ref());
        let allowed = capacity.allows(&sum);
        for used in in_use.iter().flatten().filter_map(|amounts| amounts.get(name)) {
            sum += used;
        }
        allowed && sum <= capacity.value
    })
}

/// What a request for the device uses up.
pub(super) fn consumption(device: &Device, requests: &Map) -> Amounts {
    let amount = |(name, capacity): &(Key, Capacity)| {
        (name.clone(), capacity.consumed(asked(requests, name).as_ref()))
    };
    device.capacity.iter().map(amount).collect()
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn requests_are_rounded_up_to_what_the_policy_offers() {
        let range = value!({"value": "10Gi", "requestPolicy": {"default": "1Gi", "validRange": {"min": "1Gi", "step": "1Gi"}}});
        let capacity = Capacity::new(&range);
        let consumed = |asked: &str| capacity.consumed(Some(&Quantity::parse(asked).unwrap())).to_string();
        assert_eq!(
            (consumed("1"), consumed("1500Mi"), consumed("2Gi")),
            ("1Gi".into(), "2Gi".into(), "2Gi".into())
        );
        assert_eq!(capacity.consumed(None).to_string(), "1Gi");
        let values = Capacity::new(
            &value!({"value": "8", "requestPolicy": {"default": "1", "validValues": ["1", "2", "4"]}}),
        );
        assert_eq!(values.consumed(Some(&Quantity::parse("3").unwrap())).to_string(), "4");
        assert!(!values.allows(&Quantity::parse("5").unwrap()));
        assert_eq!(Capacity::new(&value!({"value": "8"})).consumed(None).to_string(), "8", "all of it");
    }
}
