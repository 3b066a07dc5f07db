//! Sources of volumes that pods and persistent volumes have, most of them of storage that is gone.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::{no_backsteps, relative};
use crate::check::{dns_label, in_range, one_of_given, required};
use crate::shape::{has, is_zero, present, shown};

/// Who has the source; those of persistent volumes say in which namespace their secrets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder<'a> {
    Pod,
    /// A persistent volume of this name.
    Volume(&'a str),
}

pub(super) const LONG_INITIATOR: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";

/// Fields of the plainest sources that must be there.
const REQUIRED: [(&str, &[&str]); 9] = [
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
];

pub(crate) fn rare_source(
    errors: &mut FieldErrors,
    name: &str,
    source: &Value,
    holder: Holder<'_>,
    path: &FieldPath,
) {
    for (kind, fields) in REQUIRED {
        if kind == name {
            required(errors, source, fields, path);
        }
    }
    match name {
        "hostPath" => host_path(errors, source, path),
        "nfs" => {
            required(errors, source, &["server", "path"], path);
            let at = source.str_at(&["path"]);
            if !at.starts_with('/') {
                errors.invalid(&path.child("path"), at, "must be an absolute path");
            }
        }
        "gitRepo" => {
            required(errors, source, &["repository"], path);
            relative(errors, source.str_at(&["directory"]), &path.child("directory"));
        }
        "gcePersistentDisk" => disk(errors, source, "pdName", path),
        "awsElasticBlockStore" => disk(errors, source, "volumeID", path),
        "iscsi" => iscsi(errors, source, holder, path),
        "glusterfs" => glusterfs(errors, source, holder, path),
        "flocker" => flocker(errors, source, path),
        "quobyte" => quobyte(errors, source, path),
        "fc" => fibre_channel(errors, source, path),
        "flexVolume" => flex(errors, source, path),
        "azureDisk" => azure_disk(errors, source, path),
        "cinder" => secret(errors, source, holder, path),
        "storageos" => storage_os(errors, source, holder, path),
        "azureFile" => {
            let namespace = present(source, &["secretNamespace"]).and_then(Value::as_str);
            if holder != Holder::Pod && namespace == Some("") {
                errors.required(&path.child("secretNamespace"), "");
            }
        }
        _ => {}
    }
}

fn host_path(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let at = source.str_at(&["path"]);
    if at.is_empty() {
        errors.required(&path.child("path"), "");
        return;
    }
    no_backsteps(errors, at, &path.child("path"));
    one_of_given(errors, source.str_at(&["type"]), &TYPES, &path.child("type"));
}

fn disk(errors: &mut FieldErrors, source: &Value, id: &str, path: &FieldPath) {
    required(errors, source, &[id], path);
    let partition = source.i64_at(&["partition"]).unwrap_or(0);
    // 0 is no partition, though the text leaves it out.
    if partition != 0 {
        in_range(errors, partition, 1, 255, &path.child("partition"));
    }
}

/// Whether the name of an iSCSI target or initiator is well formed; None when it has none of the three forms.
fn qualified(name: &str) -> Option<bool> {
    let letters = |text: &str, count: usize| {
        text.len() == count + 1 && text.bytes().skip(1).all(|b| b.is_ascii_alphanumeric())
    };
    if let Some(rest) = name.strip_prefix("iqn") {
        return Some(rest.strip_prefix('.').is_some_and(dated_domain));
    }
    if let Some(rest) = name.strip_prefix("eui") {
        return Some(letters(rest, 16));
    }
    name.strip_prefix("naa").map(|rest| letters(rest, 32))
}

/// `2001-04.com.example:storage.disk1`.
fn dated_domain(text: &str) -> bool {
    let Some((domain, name)) = text.split_once(':') else { return false };
    let date = |(i, b): (usize, u8)| match i {
        4 => b == b'-',
        7 => b == b'.',
        8.. => b.is_ascii_alphanumeric() || b == b'-' || b == b'.',
        _ => b.is_ascii_digit(),
    };
    let name_ok = !name.is_empty() && !name.contains([',', ';', '*', '&', '$', '|']);
    domain.len() > 8 && domain.bytes().enumerate().all(date) && name_ok && !name.contains(char::is_whitespace)
}

fn iscsi_name(errors: &mut FieldErrors, name: &str, holder: Holder<'_>, path: &FieldPath) {
    let unknown = match holder {
        Holder::Pod => "must be valid format starting with iqn, eui, or naa",
        Holder::Volume(_) => "must be valid format",
    };
    match qualified(name) {
        None => errors.invalid(path, name, unknown),
        Some(false) => errors.invalid(path, name, "must be valid format"),
        Some(true) => {}
    }
}

fn iscsi(errors: &mut FieldErrors, source: &Value, holder: Holder<'_>, path: &FieldPath) {
    let portal = source.str_at(&["targetPortal"]);
    let initiator = present(source, &["initiatorName"]).and_then(Value::as_str);
    required(errors, source, &["targetPortal"], path);
    if let Holder::Volume(volume) = holder
        && initiator.is_some()
        && volume.len() + 1 + portal.len() > 64
    {
        errors.invalid(&path.child("targetportal"), portal, LONG_INITIATOR);
    }
    match source.str_at(&["iqn"]) {
        "" => errors.required(&path.child("iqn"), ""),
        name => iscsi_name(errors, name, holder, &path.child("iqn")),
    }
    in_range(errors, source.i64_at(&["lun"]).unwrap_or(0), 0, 255, &path.child("lun"));
    let authenticates = source.bool_at(&["chapAuthDiscovery"]) || source.bool_at(&["chapAuthSession"]);
    match present(source, &["secretRef"]) {
        None if authenticates => errors.required(&path.child("secretRef"), ""),
        Some(secret) if holder != Holder::Pod => {
            required(errors, secret, &["name"], &path.child("secretRef"));
        }
        _ => {}
    }
    if let Some(name) = initiator {
        iscsi_name(errors, name, holder, &path.child("initiatorname"));
    }
}

fn glusterfs(errors: &mut FieldErrors, source: &Value, holder: Holder<'_>, path: &FieldPath) {
    required(errors, source, &["endpoints", "path"], path);
    if holder == Holder::Pod {
        return;
    }
    match present(source, &["endpointsNamespace"]).and_then(Value::as_str) {
        None => {}
        Some("") => {
            let detail = "if the endpointnamespace is set, it must be a valid namespace name";
            errors.invalid(&path.child("endpointsNamespace"), "", detail);
        }
        Some(namespace) => dns_label(errors, namespace, &path.child("endpointsNamespace")),
    }
}

fn flocker(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    let (name, id) = (source.str_at(&["datasetName"]), source.str_at(&["datasetUUID"]));
    match (name.is_empty(), id.is_empty()) {
        (true, true) => errors.required(path, "one of datasetName and datasetUUID is required"),
        (false, false) => {
            let detail = "datasetName and datasetUUID can not be specified simultaneously";
            errors.invalid(path, "resource", detail);
        }
        _ => {}
    }
    if name.contains('/') {
        errors.invalid(&path.child("datasetName"), name, "must not contain '/'");
    }
}

fn quobyte(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = source.str_at(&["registry"]);
    if registry.is_empty() {
        errors.required(&path.child("registry"), PAIRS);
    } else if source.str_at(&["tenant"]).len() >= 65 {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.required(&path.child("tenant"), detail);
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_and_port(pair)) {
            errors.invalid(&path.child("registry"), registry, PAIRS);
        }
    }
    required(errors, source, &["volume"], path);
}

/// Whether Go's `net.SplitHostPort` takes it.
fn is_host_and_port(pair: &str) -> bool {
    match pair.rsplit_once(':') {
        None => false,
        Some((host, port)) => {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            !port.contains([']', '[']) && (bracketed || !host.contains([':', '[', ']']))
        }
    }
}

fn fibre_channel(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    let (targets, ids) = (!is_zero(source.get("targetWWNs")), !is_zero(source.get("wwids")));
    let at = path.child("targetWWNs");
    match (targets, ids) {
        (false, false) => errors.required(&at, "must specify either targetWWNs or wwids, but not both"),
        (true, true) => {
            let detail = "targetWWNs and wwids can not be specified simultaneously";
            errors.invalid(&at, shown(source, &["targetWWNs"]), detail);
        }
        _ => {}
    }
    if targets {
        match source.i64_at(&["lun"]) {
            None => errors.required(&path.child("lun"), "lun is required if targetWWNs is specified"),
            Some(lun) => in_range(errors, lun, 0, 255, &path.child("lun")),
        }
    }
}

fn flex(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    required(errors, source, &["driver"], path);
    for key in source.object_at(&["options"]).keys() {
        let namespace = format!(".{}", key.split('/').next().unwrap_or(key).to_lowercase());
        if namespace.ends_with(".kubernetes.io") || namespace.ends_with(".k8s.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.invalid(&path.child("options").key(key), key.as_str(), detail);
        }
    }
}

fn azure_disk(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    if has(source, &["cachingMode"]) {
        let modes = ["None", "ReadOnly", "ReadWrite"];
        one_of_given(errors, source.str_at(&["cachingMode"]), &modes, &path.child("cachingMode"));
    }
    let Some(kind) = present(source, &["kind"]).and_then(Value::as_str) else { return };
    one_of_given(errors, kind, &["Dedicated", "Managed", "Shared"], &path.child("kind"));
    let address = source.str_at(&["diskURI"]);
    if kind == "Managed" && !address.starts_with("/subscriptions/") {
        errors.not_supported(&path.child("diskURI"), address, &[MANAGED]);
    }
    if kind != "Managed" && !address.starts_with("https://") {
        errors.not_supported(&path.child("diskURI"), address, &[BLOB]);
    }
}

fn secret(errors: &mut FieldErrors, source: &Value, holder: Holder<'_>, path: &FieldPath) {
    if let Some(secret) = present(source, &["secretRef"]) {
        let fields: &[&str] = if holder == Holder::Pod { &["name"] } else { &["name", "namespace"] };
        required(errors, secret, fields, &path.child("secretRef"));
    }
}

fn storage_os(errors: &mut FieldErrors, source: &Value, holder: Holder<'_>, path: &FieldPath) {
    match source.str_at(&["volumeName"]) {
        "" => errors.required(&path.child("volumeName"), ""),
        name => dns_label(errors, name, &path.child("volumeName")),
    }
    let namespace = source.str_at(&["volumeNamespace"]);
    if !namespace.is_empty() {
        dns_label(errors, namespace, &path.child("volumeNamespace"));
    }
    secret(errors, source, holder, path);
}

#[cfg(test)]
mod tests {
    use super::qualified;

    #[test]
    fn names_of_initiators_have_three_forms() {
        assert_eq!(qualified("iqn.2001-04.com.example:storage.disk1"), Some(true));
        assert_eq!(qualified("iqn.2001-04.com.example"), Some(false));
        assert_eq!(qualified("iqn.2001-04.com.example:a b"), Some(false));
        assert_eq!(qualified("eui.0123456789abcdef"), Some(true));
        assert_eq!(qualified("naa.01"), Some(false));
        assert_eq!(qualified("disk"), None);
    }
}
