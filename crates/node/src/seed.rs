//! Randomness that is the same every time it is asked for: from a pod's uid and what it is about.

use std::time::Duration;

/// A number that depends on all of `parts`.
pub(crate) fn number(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    mix(hash)
}

/// SplitMix64's last step.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A duration between two, in milliseconds.
pub(crate) fn millis(from: u64, to: u64, parts: &[&str]) -> Duration {
    Duration::from_millis(from + number(parts) % (to - from + 1))
}

/// 64 hexadecimal digits, like a digest.
pub(crate) fn digest(parts: &[&str]) -> String {
    let first = number(parts);
    (0..4u64)
        .map(|i| format!("{:016x}", mix(first.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)))))
        .collect()
}

/// Like a UUID.
pub(crate) fn uuid(parts: &[&str]) -> String {
    let hex = digest(parts);
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
