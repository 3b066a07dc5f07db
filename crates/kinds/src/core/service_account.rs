//! ServiceAccount.

use drydock_machinery::{ObjectMeta as _, Value};

use crate::kind::Kind;
use crate::table;

pub(super) static KIND: Kind = Kind {
    warnings: |_, object, old| warnings(object, old),
    cells: table::service_account,
    ..Kind::new("", "serviceaccounts")
};

fn warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    const MOUNTABLE: &str = "kubernetes.io/enforce-mountable-secrets";
    let is_new =
        object.annotation(MOUNTABLE).is_some() && old.is_none_or(|old| old.annotation(MOUNTABLE).is_none());
    let text = format!(
        "metadata.annotations[{MOUNTABLE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted \
         secrets"
    );
    if is_new { vec![text] } else { Vec::new() }
}
