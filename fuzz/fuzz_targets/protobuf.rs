//! Protobuf bodies and watch frames: what was decoded and encoded decodes to the same.
#![no_main]

use drydock_fuzz::kind_and_rest;
use drydock_machinery::protobuf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = protobuf::read_watch_frame(data);
    if let Ok(opened) = protobuf::open(data) {
        let _ = opened.raw;
    }
    let Some(((_, schema), data)) = kind_and_rest(data) else { return };
    let Ok(value) = protobuf::decode_message(data, schema.root()) else { return };
    let Ok(bytes) = protobuf::encode_message(&value, schema.root()) else { return };
    let again = protobuf::decode_message(&bytes, schema.root()).expect("what was encoded can be decoded");
    assert_eq!(protobuf::encode_message(&again, schema.root()).ok(), Some(bytes));
});
