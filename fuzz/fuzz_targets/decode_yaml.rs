//! YAML bodies.
#![no_main]

use drydock_fuzz::kind_and_rest;
use drydock_machinery::decode::{self, FieldValidation};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(((_, schema), data)) = kind_and_rest(data) else { return };
    let text = String::from_utf8_lossy(data);
    let Ok(yaml) = decode::yaml(&text) else { return };
    let _ = yaml.type_meta();
    let _ = decode::value(&yaml.value, schema.root(), FieldValidation::Strict);
});
