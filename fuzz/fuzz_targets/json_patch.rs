//! JSON patches and merge patches.
#![no_main]

use drydock_fuzz::two_documents;
use drydock_machinery::patch::{json_patch, merge_patch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((original, patch)) = two_documents(data) else { return };
    let _ = json_patch(&original, &patch);
    let _ = merge_patch(&original, &patch);
});
