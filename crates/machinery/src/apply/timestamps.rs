//! Writes that change nothing must not look like changes.

use crate::value::Value;

/// Puts back the times of managed fields when they are all that differs between `old` and `new`, so that the object
/// keeps its resourceVersion.
pub fn revert_timestamps_of_no_change(old: &Value, new: &mut Value) {
    const PATH: [&str; 2] = ["metadata", "managedFields"];
    let (before, after) = (old.array_at(&PATH), new.array_at(&PATH));
    if before.is_empty() || before.len() != after.len() || before == after {
        return;
    }
    let same_but_for_time = before.iter().zip(after).all(|(before, after)| {
        let without_time = |entry: &Value| {
            let mut entry = entry.clone();
            entry.remove(&["time"]);
            entry
        };
        without_time(before) == without_time(after)
    });
    if !same_but_for_time {
        return;
    }
    let mut reverted = new.clone();
    reverted.set(&PATH, before.to_vec());
    if reverted == *old {
        *new = reverted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn times_alone_are_no_change() {
        let object = |data: &str, time: &str| value!({"metadata": {"managedFields": [{"manager": "m", "time": time}]}, "data": data});
        let old = object("x", "1");
        for (new, expect) in [(object("x", "2"), object("x", "1")), (object("y", "2"), object("y", "2"))] {
            let mut got = new;
            revert_timestamps_of_no_change(&old, &mut got);
            assert_eq!(got, expect);
        }
    }
}
