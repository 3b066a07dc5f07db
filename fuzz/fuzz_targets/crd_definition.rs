//! Whole definitions of custom resources, created and replaced: defaulted, validated, and their columns and selectable
//! fields used.
#![no_main]

use std::sync::LazyLock;

use drydock_fuzz::{document, text_and_rest};
use drydock_machinery::crd::columns::Columns;
use drydock_machinery::crd::definition::{
    self, add_stored_versions, apply_defaults, name_errors, unrecognized_formats,
};
use drydock_machinery::crd::selectable::SelectableFields;
use drydock_machinery::decode::{self, FieldValidation};
use drydock_machinery::{Catalog, GroupVersionKind, Schema, Value};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let kind = GroupVersionKind::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    Catalog::builtin().schema(&kind).expect("a built-in kind")
});

fn read(text: &str) -> Option<Value> {
    let tree = document(text.as_bytes())?;
    let mut read = decode::value(&tree, SCHEMA.root(), FieldValidation::Ignore).ok()?.value;
    apply_defaults(&mut read);
    let before = read.clone();
    apply_defaults(&mut read);
    assert_eq!(read, before, "defaults are set once");
    Some(read)
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = text_and_rest(data) else { return };
    let Some(mut new) = read(first) else { return };
    let old = read(rest);
    add_stored_versions(&mut new);
    let _ = unrecognized_formats(&new);
    let _ = name_errors(&new, new.str_at(&["metadata", "name"]));
    let _ = definition::validate(&new, old.as_ref(), 36);
    let valid = definition::validate(&new, None, 36).is_empty();
    for version in new.array_at(&["spec", "versions"]) {
        let columns = Columns::new(version.array_at(&["additionalPrinterColumns"]), "");
        let fields = SelectableFields::new(version.array_at(&["selectableFields"]));
        // Columns whose paths do not parse are valid, as upstream, and not shown.
        assert!(!valid || fields.is_ok(), "what is valid can be selected by");
        if let (Ok(columns), Ok(fields)) = (columns, fields) {
            let _ = columns.cells(&new, Timestamp::UNIX_EPOCH);
            let _: Vec<_> = fields.names().map(|name| fields.value(&new, name)).collect();
        }
    }
});
