//! Names: of objects, keys, labels, ports, drivers.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath};

pub(crate) fn dns_label(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    names::invalid_each(errors, path, text, names::is_dns1123_label(text));
}

pub(crate) fn dns_subdomain(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    names::invalid_each(errors, path, text, names::is_dns1123_subdomain(text));
}

pub(crate) fn qualified_name(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    names::invalid_each(errors, path, text, names::is_qualified_name(text));
}

/// A key of a config map or a secret.
pub(crate) fn data_key(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    names::invalid_each(errors, path, text, names::is_config_map_key(text));
}

pub(crate) fn label_value(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    names::invalid_each(errors, path, text, names::is_valid_label_value(text));
}

pub(crate) fn port_name(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    names::invalid_each(errors, path, text, names::is_valid_port_name(text));
}

/// A path segment, as names of other objects in URLs.
pub(crate) fn path_segment(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    let wrong = names::name_is_path_segment(text, names::NamePart::Whole);
    names::invalid_each(errors, path, text, wrong);
}

/// `ValidateCSIDriverName`.
pub(crate) fn csi_driver_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    if name.len() > 63 {
        errors.too_long(path, 63);
    }
    names::invalid_each(errors, path, name, names::is_dns1123_subdomain(&name.to_lowercase()));
}
