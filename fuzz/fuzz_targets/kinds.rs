//! Objects of built-in kinds: defaulted, prepared, validated, printed. The document says of what kind it is; a second
//! one is what it replaces.
#![no_main]

use drydock_fuzz::text_and_rest;
use drydock_kinds::{Context, strategy};
use drydock_machinery::decode::{self, FieldValidation};
use drydock_machinery::{Catalog, GroupVersionKind, Value, defaults};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

const CONTEXT: Context<'static> = Context { now: Timestamp::UNIX_EPOCH, subresource: "", minor_version: 36 };

/// The object that a document holds, as the registry would have it before admission, and its resource.
fn object(text: &str) -> Option<(&'static str, &'static str, Value)> {
    let meta = decode::type_meta(text.as_bytes()).ok()?;
    decode::check_syntax(text.as_bytes()).ok()?;
    let kind = GroupVersionKind::from_api_version(&meta.api_version, &meta.kind);
    let catalog = Catalog::builtin();
    let resource = catalog.resource_by_kind(&kind)?;
    let schema = catalog.schema(&kind)?;
    let strategy = strategy(resource.group, resource.name);
    let mut object = decode::json(text, schema.root(), FieldValidation::Ignore).ok()?.value;
    defaults::apply_defaults(&mut object, schema.root());
    strategy.set_defaults(&mut object);
    let before = object.clone();
    strategy.set_defaults(&mut object);
    assert_eq!(object, before, "defaults are set once");
    Some((resource.group, resource.name, object))
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = text_and_rest(data) else { return };
    let Some((group, resource, mut new)) = object(first) else { return };
    let strategy = strategy(group, resource);
    if let Some((_, _, old)) = object(rest).filter(|(g, r, _)| (*g, *r) == (group, resource)) {
        for subresource in ["", "status"] {
            let context = Context { subresource, ..CONTEXT };
            let mut changed = new.clone();
            strategy.prepare_for_update(&context, &mut changed, &old);
            let _ = strategy.validate_update(&context, &changed, &old);
            let _ = strategy.warnings_on_update(&context, &changed, &old);
            let _ = strategy.spec_changed(&changed, &old);
        }
    }
    strategy.prepare_for_create(&CONTEXT, &mut new);
    let _ = strategy.validate_create(&CONTEXT, &new);
    let _ = strategy.warnings_on_create(&CONTEXT, &new);
    let _ = strategy.selectable_fields(&new);
    let _ = strategy.row_conditions(&new);
    assert_eq!(strategy.cells(&new, CONTEXT.now).len(), strategy.columns().len(), "a cell for each column");
});
