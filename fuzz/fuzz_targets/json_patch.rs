//! JSON patches and merge patches.
#![no_main]

use drydock_fuzz::two_documents;
use drydock_machinery::decode::check_syntax;
use drydock_machinery::patch::{json_patch, merge_patch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((original, patch)) = two_documents(data) else { return };
    // What comes of them can be read again: it is not too deep, nor of any size.
    let patched = json_patch(&original, &patch).ok();
    for patched in patched.into_iter().chain([merge_patch(&original, &patch)]) {
        let text = patched.to_json();
        assert!(text.len() < 8 << 20 && check_syntax(&text).is_ok());
    }
});
