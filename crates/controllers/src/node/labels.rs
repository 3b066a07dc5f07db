//! Labels of nodes that had another name once: the old one says what the new one says.

use drydock_client::resources::NODES;
use drydock_client::{Client, PatchType};
use drydock_machinery::{Map, Object, ObjectMeta, Status, Value};

/// New and old names.
const RENAMED: [(&str, &str); 2] =
    [("kubernetes.io/os", "beta.kubernetes.io/os"), ("kubernetes.io/arch", "beta.kubernetes.io/arch")];

pub(super) async fn reconcile(client: &Client, node: &Object) -> Result<(), Status> {
    let wrong = wrong(node.labels());
    if wrong.is_empty() {
        return Ok(());
    }
    let mut patch = Value::object();
    patch.set(&["metadata", "labels"], wrong);
    client.patch(&NODES, "", node.name(), PatchType::Strategic, patch).await.map(drop)
}

/// What the old labels should be, of those that are not.
fn wrong(labels: &Map) -> Map {
    let wanted = RENAMED.iter().filter_map(|(new, old)| Some((*old, labels.get(new)?)));
    let mut wrong = Map::new();
    for (old, value) in wanted.filter(|(old, value)| labels.get(old) != Some(value)) {
        wrong.insert(old, value.clone());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn old_labels_say_what_the_new_ones_say() {
        let labels = |tree: Value| tree.as_object().unwrap().clone();
        let given = labels(value!({"kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "x"}));
        assert_eq!(wrong(&given), labels(value!({"beta.kubernetes.io/os": "linux"})));
        let both = labels(value!({"kubernetes.io/arch": "arm64", "beta.kubernetes.io/arch": "amd64"}));
        assert_eq!(wrong(&both), labels(value!({"beta.kubernetes.io/arch": "arm64"})));
        assert!(wrong(&labels(value!({"kubernetes.io/os": "a", "beta.kubernetes.io/os": "a"}))).is_empty());
    }
}
