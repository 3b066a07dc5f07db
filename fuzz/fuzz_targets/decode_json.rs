//! JSON bodies, decoded over a kind's schema: what was decoded decodes to itself, in JSON and by way of protobuf.
#![no_main]

use drydock_fuzz::kind_and_rest;
use drydock_machinery::decode::{self, FieldValidation};
use drydock_machinery::{defaults, protobuf};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(((_, schema), data)) = kind_and_rest(data) else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    let meta = decode::type_meta(text.as_bytes());
    if decode::check_syntax(text.as_bytes()).is_err() {
        assert!(meta.is_err(), "a malformed document has a type");
        return;
    }
    for validation in [FieldValidation::Ignore, FieldValidation::Warn, FieldValidation::Strict] {
        let Ok(decoded) = decode::json(text, schema.root(), validation) else { continue };
        let mut value = decoded.value;
        let again = decode::value(&value, schema.root(), FieldValidation::Strict);
        assert_eq!(again.map(|again| again.value).as_ref(), Ok(&value));
        if let Ok(bytes) = protobuf::encode_message(&value, schema.root()) {
            protobuf::decode_message(&bytes, schema.root()).expect("what was encoded can be decoded");
        }
        defaults::apply_defaults(&mut value, schema.root());
    }
});
