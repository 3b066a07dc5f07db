//! ServiceAccount.

use crate::kind::{Kind, MetaChecks};
use crate::table;

pub(super) static KIND: Kind = Kind {
    meta: MetaChecks::CORE_WHOLE_LAST,
    warnings: |_, object, _| {
        let key = "kubernetes.io/enforce-mountable-secrets";
        let given = object.object_at(&["metadata", "annotations"]).contains_key(key);
        let text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
        given.then(|| format!("metadata.annotations[{key}]: {text}")).into_iter().collect()
    },
    cells: table::service_account,
    ..Kind::new("", "serviceaccounts")
};
