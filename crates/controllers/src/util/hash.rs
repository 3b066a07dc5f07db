//! Hashes that become parts of names.

use drydock_machinery::{Value, json};

/// 32-bit FNV-1a.
pub(crate) fn fnv32a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// 32-bit FNV-1, which upstream takes for stateful sets alone.
fn fnv32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(*byte))
}

/// The hash of a controller revision's data, as `history.HashControllerRevision` makes it of its bytes: stateful sets'
/// revisions have the same names as upstream's.
pub(crate) fn revision_hash(data: &Value, collisions: i64) -> String {
    let mut text = Vec::with_capacity(512);
    json::write(data, &mut text);
    text.extend_from_slice(collisions.to_string().as_bytes());
    safe_encode(&fnv32(&text).to_string())
}

/// A pod template's hash as names carry it. `collisions` makes another one of the same template.
pub(crate) fn template_hash(template: &Value, collisions: Option<i64>) -> String {
    let mut text = template.to_json();
    if let Some(collisions) = collisions {
        text.extend_from_slice(&(collisions as u32).to_le_bytes());
    }
    safe_encode(&fnv32a(&text).to_string())
}

/// apimachinery's `rand.SafeEncodeString`: an alphabet without vowels, so that no words appear.
pub(crate) fn safe_encode(text: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    text.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What upstream names the revisions of such a stateful set.
    #[test]
    fn revisions_are_named_as_upstreams() {
        let data = drydock_machinery::value!({"spec": {"template": {
            "$patch": "replace",
            "metadata": {"labels": {"app": "l"}},
            "spec": {
                "containers": [{
                    "image": "a<b", "imagePullPolicy": "IfNotPresent", "name": "c", "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "securityContext": {}, "terminationGracePeriodSeconds": 30,
            },
        }}});
        assert_eq!(revision_hash(&data, 0), "65894bff8");
    }

    #[test]
    fn the_hash_is_fnv_in_the_safe_alphabet() {
        assert_eq!(fnv32a(b""), 0x811c_9dc5);
        assert_eq!(fnv32a(b"a"), 0xe40c_292c);
        assert!(safe_encode("0123456789").chars().all(|c| !"aeiou013".contains(c)));
    }
}
