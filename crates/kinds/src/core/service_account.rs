//! ServiceAccount.

use drydock_machinery::{ObjectMeta as _, Value};

use crate::kind::{CHANGED_THEN_NEW, Kind};
use crate::shape::{each_mut, keep};
use crate::table;

pub(super) static KIND: Kind = Kind {
    update: CHANGED_THEN_NEW,
    prepare_create: |_, object| only_names(object),
    prepare_update: |_, object, _| only_names(object),
    warnings: |object, old| {
        let key = "kubernetes.io/enforce-mountable-secrets";
        let is_new = object.annotation(key).is_some() && old.is_none_or(|old| old.annotation(key).is_none());
        let text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
        is_new.then(|| format!("metadata.annotations[{key}]: {text}")).into_iter().collect()
    },
    cells: table::service_account,
    ..Kind::new("", "serviceaccounts")
};

/// References to secrets have nothing but names.
fn only_names(object: &mut Value) {
    each_mut(object, &["secrets"], |secret| {
        let mut named = Value::object();
        keep(&mut named, secret, &["name"]);
        if *secret != named {
            *secret = named;
        }
    });
}
