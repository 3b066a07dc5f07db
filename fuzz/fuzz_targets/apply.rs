//! Server-side apply and the tracking of updates, on objects whose managed fields are anything.
#![no_main]

use drydock_fuzz::{kind_and_rest, two_documents};
use drydock_machinery::apply::{FieldManager, FieldSet, OneVersion};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(((kind, schema), data)) = kind_and_rest(data) else { return };
    let Some((mut live, mut applied)) = two_documents(data) else { return };
    let api_version = kind.api_version();
    for object in [&mut live, &mut applied] {
        object.set(&["apiVersion"], api_version.as_str());
        object.set(&["kind"], &*kind.kind);
    }
    let reset = FieldSet::default();
    let versions = OneVersion { api_version: &api_version, schema };
    let manager = FieldManager { kind, subresource: "", versions: &versions, reset_fields: &reset };
    let now = jiff::Timestamp::UNIX_EPOCH;
    for force in [false, true] {
        if let Ok(merged) = manager.apply(Some(&live), &applied, "fuzz", force, now) {
            // Applied again, nothing changes but perhaps the time.
            let again = manager.apply(Some(&merged), &applied, "fuzz", force, now);
            assert!(again.is_ok(), "{again:?}");
        }
    }
    // An object that is created like the one before it goes a shorter way, to the same end.
    let mut created = [applied.clone(), applied.clone()];
    created.iter_mut().for_each(|object| manager.update(None, object, "fuzz", now));
    assert_eq!(created[0], created[1]);
    manager.update(Some(&live), &mut applied, "fuzz", now);
});
