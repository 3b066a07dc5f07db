//! ServiceAccount.

use drydock_machinery::ObjectMeta as _;

use crate::kind::{Kind, MetaChecks};
use crate::table;

pub(super) static KIND: Kind = Kind {
    meta: MetaChecks::CORE_WHOLE_LAST,
    warnings: |_, object, old| {
        let key = "kubernetes.io/enforce-mountable-secrets";
        let is_new = object.annotation(key).is_some() && old.is_none_or(|old| old.annotation(key).is_none());
        let text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
        is_new.then(|| format!("metadata.annotations[{key}]: {text}")).into_iter().collect()
    },
    cells: table::service_account,
    ..Kind::new("", "serviceaccounts")
};
