//! What the fuzz targets share: documents out of raw bytes, and the kinds they are read as.

use std::sync::OnceLock;

use drydock_machinery::decode::{self, FieldValidation};
use drydock_machinery::{Catalog, GroupVersionKind, Schema, Value};

/// The kinds that the targets read documents as; a first byte chooses.
pub fn kinds() -> &'static [(GroupVersionKind, Schema)] {
    static KINDS: OnceLock<Vec<(GroupVersionKind, Schema)>> = OnceLock::new();
    KINDS.get_or_init(|| {
        [
            ("", "v1", "Pod"),
            ("apps", "v1", "Deployment"),
            ("", "v1", "Service"),
            ("networking.k8s.io", "v1", "Ingress"),
            ("", "v1", "ConfigMap"),
            ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
            ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
            ("autoscaling", "v2", "HorizontalPodAutoscaler"),
        ]
        .into_iter()
        .filter_map(|(group, version, kind)| {
            let kind = GroupVersionKind::new(group, version, kind);
            Some((kind.clone(), Catalog::builtin().schema(&kind)?))
        })
        .collect()
    })
}

/// The kind that the first byte chooses, and the rest.
pub fn kind_and_rest(data: &[u8]) -> Option<(&'static (GroupVersionKind, Schema), &[u8])> {
    let (first, rest) = data.split_first()?;
    let kinds = kinds();
    Some((&kinds[usize::from(*first) % kinds.len()], rest))
}

/// A document that the API server would have got as far as decoding.
pub fn document(data: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(data).ok()?;
    decode::check_syntax(text.as_bytes()).ok()?;
    Some(decode::untyped(text, FieldValidation::Ignore).ok()?.value)
}

/// Two documents with a zero byte between them.
pub fn two_documents(data: &[u8]) -> Option<(Value, Value)> {
    let at = data.iter().position(|byte| *byte == 0)?;
    Some((document(&data[..at])?, document(&data[at + 1..])?))
}

/// A text and, if there is a zero byte, the text after it.
pub fn text_and_rest(data: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(data).ok()?;
    Some(text.split_once('\0').unwrap_or((text, "")))
}
