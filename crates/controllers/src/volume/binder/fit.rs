//! Whether a volume is what a claim asks for.

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Object, ObjectMeta, Value};

pub(super) fn class(object: &Value) -> &str {
    match object.annotation("volume.beta.kubernetes.io/storage-class") {
        Some(class) => class,
        None => object.str_at(&["spec", "storageClassName"]),
    }
}

pub(super) fn size(volume: &Value) -> Quantity {
    Quantity::of(volume.at(&["spec", "capacity", "storage"]))
}

fn asked(claim: &Value) -> Quantity {
    Quantity::of(claim.at(&["spec", "resources", "requests", "storage"]))
}

fn mode(object: &Value) -> &str {
    match object.str_at(&["spec", "volumeMode"]) {
        "" => "Filesystem",
        mode => mode,
    }
}

pub(super) fn same_mode(volume: &Value, claim: &Value) -> bool {
    mode(volume) == mode(claim)
}

fn has_modes(volume: &Value, claim: &Value) -> bool {
    let modes = volume.array_at(&["spec", "accessModes"]);
    claim.array_at(&["spec", "accessModes"]).iter().all(|mode| modes.contains(mode))
}

fn same_attributes(volume: &Value, claim: &Value) -> bool {
    let attributes = |object: &Value| object.str_at(&["spec", "volumeAttributesClassName"]).to_owned();
    attributes(volume) == attributes(claim)
}

/// Whether a free volume may be given to the claim.
pub(super) fn fits(volume: &Object, claim: &Object) -> bool {
    let selector = claim.at(&["spec", "selector"]).filter(|selector| !selector.is_null());
    check(volume, claim).is_ok()
        && selector.is_none_or(|selector| crate::util::selector(Some(selector)).matches(volume.labels()))
}

/// Whether a volume that a claim names will do.
///
/// # Errors
/// What is wrong with it, in upstream's words.
pub(super) fn check(volume: &Object, claim: &Object) -> Result<(), String> {
    if volume.is_deleting() {
        return Err(format!("the volume is marked for deletion {:?}", volume.name()));
    }
    let judgements = [
        (size(volume) >= asked(claim), "requested PV is too small"),
        (class(volume) == class(claim), "storageClassName does not match"),
        (same_attributes(volume, claim), "volumeAttributesClassName does not match"),
        (same_mode(volume, claim), "incompatible volumeMode"),
        (has_modes(volume, claim), "incompatible accessMode"),
    ];
    match judgements.into_iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(why.to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    fn object(spec: Value) -> Object {
        let mut tree = value!({"metadata": {"name": "o"}});
        tree.set(&["spec"], spec);
        Object::new(tree, 1)
    }

    #[test]
    fn a_named_volume_is_refused_with_the_first_reason() {
        let volume = object(
            value!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "a"}),
        );
        let claim = |size: &str, class: &str, mode: &str| {
            object(
                value!({"resources": {"requests": {"storage": size}}, "accessModes": [mode], "storageClassName": class}),
            )
        };
        assert_eq!(check(&volume, &claim("1Gi", "a", "ReadWriteOnce")), Ok(()));
        let refused = |claim: Object| check(&volume, &claim).unwrap_err();
        assert_eq!(refused(claim("2Gi", "b", "ReadWriteOnce")), "requested PV is too small");
        assert_eq!(refused(claim("1Gi", "b", "ReadWriteMany")), "storageClassName does not match");
        assert_eq!(refused(claim("1Gi", "a", "ReadWriteMany")), "incompatible accessMode");
    }
}
