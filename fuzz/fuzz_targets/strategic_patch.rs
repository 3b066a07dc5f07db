//! Strategic merge patches over a kind's schema.
#![no_main]

use drydock_fuzz::{kind_and_rest, two_documents};
use drydock_machinery::patch::strategic_merge_patch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(((_, schema), data)) = kind_and_rest(data) else { return };
    let Some((original, patch)) = two_documents(data) else { return };
    let _ = strategic_merge_patch(&original, &patch, schema.root());
});
