//! Definitions of custom resources: validated, compiled, and used on an object.
#![no_main]

use drydock_fuzz::two_documents;
use drydock_machinery::FieldErrors;
use drydock_machinery::crd::{CustomResource, definition};
use drydock_machinery::decode::prune;
use drydock_machinery::defaults::{apply_defaults, drop_nulls};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((schema, mut object)) = two_documents(data) else { return };
    let mut defined = drydock_machinery::value!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true}]},
    });
    let mut version = defined.array_at(&["spec", "versions"])[0].clone();
    version.set(&["schema", "openAPIV3Schema"], schema.clone());
    defined.set(&["spec", "versions"], vec![version]);
    definition::apply_defaults(&mut defined);
    if !definition::validate(&defined, None, 36).is_empty() {
        return;
    }
    let compiled = CustomResource::compile(&schema, 36);
    if compiled.coerce(&mut object).is_ok() {
        prune(&mut object, compiled.schema.root());
        apply_defaults(&mut object, compiled.schema.root());
        drop_nulls(&mut object, compiled.schema.root());
        let mut errors = FieldErrors::new();
        let _ = compiled.validate(&mut errors, &object, None);
        let _ = compiled.validate(&mut errors, &object, Some(&object));
    }
});
