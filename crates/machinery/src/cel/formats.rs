//! Kubernetes' `library/format.go`: formats by name, and what is wrong with a text.

use std::any::Any;

use drydock_cel::EvalError;
use drydock_cel::library::{Implementation, no_overload, parse_request_uri};
use drydock_cel::value::{Opaque, Value};

use crate::crd::accepts_format;
use crate::names_validation::{
    NamePart, is_qualified_name, is_valid_label_value, name_is_dns_label, name_is_dns_subdomain,
    name_is_dns1035_label,
};

/// A named format.
#[derive(Debug)]
struct Format {
    /// As expressions name it: `dns1123Label`.
    name: &'static str,
    /// The length of a pattern that costs as much as the test.
    pattern_size: u64,
    validate: fn(&str) -> Vec<String>,
}

const fn format(name: &'static str, pattern_size: u64, validate: fn(&str) -> Vec<String>) -> Format {
    Format { name, pattern_size, validate }
}

static FORMATS: [Format; 13] = [
    format("dns1123Label", 30, |text| name_is_dns_label(text, NamePart::Whole)),
    format("dns1123Subdomain", 60, |text| name_is_dns_subdomain(text, NamePart::Whole)),
    format("dns1035Label", 30, |text| name_is_dns1035_label(text, NamePart::Whole)),
    format("qualifiedName", 60, is_qualified_name),
    format("dns1123LabelPrefix", 30, |text| name_is_dns_label(text, NamePart::Prefix)),
    format("dns1123SubdomainPrefix", 60, |text| name_is_dns_subdomain(text, NamePart::Prefix)),
    format("dns1035LabelPrefix", 30, |text| name_is_dns1035_label(text, NamePart::Prefix)),
    format("labelValue", 40, is_valid_label_value),
    format("uri", 1103, |text| parse_request_uri(text).err().into_iter().collect()),
    format("uuid", 70, |text| unless(accepts_format("uuid", text), "does not match the UUID format")),
    format("byte", 84, |text| unless(accepts_format("byte", text), "invalid base64")),
    format("date", 71, |text| unless(accepts_format("date", text), "invalid date")),
    format("datetime", 71, |text| unless(accepts_format("datetime", text), "invalid datetime")),
];

fn unless(fits: bool, wrong: &str) -> Vec<String> {
    if fits { Vec::new() } else { vec![wrong.to_owned()] }
}

/// A format as a value.
#[derive(Debug)]
struct Named(&'static Format);

impl Opaque for Named {
    fn type_name(&self) -> &str {
        "kubernetes.NamedFormat"
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, EvalError> {
        let other: Option<&Self> = other.as_any().downcast_ref();
        other.map(|other| self.0.name == other.0.name).ok_or_else(EvalError::no_such_overload)
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.pattern_size)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("format.dns1123Label", |_, _| named(0)),
    ("format.dns1123Subdomain", |_, _| named(1)),
    ("format.dns1035Label", |_, _| named(2)),
    ("format.qualifiedName", |_, _| named(3)),
    ("format.dns1123LabelPrefix", |_, _| named(4)),
    ("format.dns1123SubdomainPrefix", |_, _| named(5)),
    ("format.dns1035LabelPrefix", |_, _| named(6)),
    ("format.labelValue", |_, _| named(7)),
    ("format.uri", |_, _| named(8)),
    ("format.uuid", |_, _| named(9)),
    ("format.byte", |_, _| named(10)),
    ("format.date", |_, _| named(11)),
    ("format.datetime", |_, _| named(12)),
    ("format.named", |_, args| match args {
        [Value::String(name)] => {
            let found = FORMATS.iter().find(|format| format.name == name.as_str());
            Ok(found.map_or_else(Value::none, |format| Value::opaque(Named(format)).some()))
        }
        _ => Err(no_overload("format.named", args)),
    }),
    ("validate", |context, args| {
        let [format, Value::String(text)] = args else { return Err(no_overload("validate", args)) };
        let format: &Named = format.downcast().ok_or_else(|| no_overload("validate", args))?;
        context.work(text.len())?;
        let wrong = (format.0.validate)(text);
        Ok(if wrong.is_empty() { Value::none() } else { Value::strings(wrong).some() })
    }),
];

fn named(index: usize) -> Result<Value, EvalError> {
    Ok(Value::opaque(Named(&FORMATS[index])))
}
