//! Objects as the registry hands them to a strategy.

use drydock_kinds::{Context, strategy};
use drydock_machinery::catalog::Catalog;
use drydock_machinery::decode::{self, FieldValidation};
use drydock_machinery::{Value, defaults};

/// Group, version and resource.
pub(crate) type Kind = (&'static str, &'static str, &'static str);

pub(crate) fn context(subresource: &str) -> Context<'_> {
    Context { now: jiff::Timestamp::UNIX_EPOCH, subresource, minor_version: 36 }
}

/// An object with its defaults, decoded as one of this kind.
pub(crate) fn decoded((group, version, resource): (&str, &str, &str), object: &Value) -> Value {
    let catalog = Catalog::builtin();
    let known = catalog.resource(group, version, resource).expect("a built-in resource");
    let schema = catalog.schema(&known.kind).expect("a schema");
    let mut object = decode::value(object, schema.root(), FieldValidation::Ignore).expect("decodable").value;
    defaults::drop_nulls(&mut object, schema.root());
    defaults::apply_defaults(&mut object, schema.root());
    object.set(&["apiVersion"], known.kind.api_version());
    object.set(&["kind"], &*known.kind.kind);
    strategy(group, resource).set_defaults(&mut object);
    object
}

/// One that has been stored before.
pub(crate) fn stored(kind: (&str, &str, &str), object: &Value) -> Value {
    let mut object = decoded(kind, object);
    object.set(&["metadata", "resourceVersion"], "1");
    object.set(&["metadata", "uid"], "u");
    object
}

/// A new one, prepared.
pub(crate) fn created(kind: (&str, &str, &str), object: &Value) -> Value {
    let mut object = stored(kind, object);
    strategy(kind.0, kind.2).prepare_for_create(&context(""), &mut object);
    object
}

/// The errors of creating an object, as a status cause lists them.
pub(crate) fn create_errors(kind: (&str, &str, &str), object: &Value) -> Vec<String> {
    let mut object = decoded(kind, object);
    object.set(&["metadata", "uid"], "11111111-2222-3333-4444-555555555555");
    let strategy = strategy(kind.0, kind.2);
    strategy.prepare_for_create(&context(""), &mut object);
    let errors = strategy.validate_create(&context(""), &object);
    errors.iter().map(|error| format!("{}: {}", error.field, error.body())).collect()
}

/// What becomes of `old` when `change` is written to a subresource, "" for the whole.
pub(crate) fn updated(
    kind: (&str, &str, &str),
    subresource: &str,
    old: &Value,
    change: impl FnOnce(&mut Value),
) -> Value {
    let strategy = strategy(kind.0, kind.2);
    let mut new = old.clone();
    change(&mut new);
    strategy.set_defaults(&mut new);
    strategy.prepare_for_update(&context(subresource), &mut new, old);
    new
}

/// The errors of that.
pub(crate) fn change_errors(
    kind: (&str, &str, &str),
    subresource: &str,
    old: &Value,
    change: impl FnOnce(&mut Value),
) -> Vec<String> {
    let new = updated(kind, subresource, old, change);
    let errors = strategy(kind.0, kind.2).validate_update(&context(subresource), &new, old);
    errors.iter().map(ToString::to_string).collect()
}
