//! What devices of a claim must have in common, or must differ in.

use std::collections::HashMap;

use drydock_machinery::Value;

use super::request::Request;
use super::slice::Device;

/// A `DeviceConstraint`, with the devices that it was asked about and agreed to.
#[derive(Debug)]
pub(super) struct Constraint {
    /// Requests and alternatives that it is about; all, when there are none.
    requests: Vec<String>,
    attribute: String,
    kind: Kind,
    devices: usize,
}

#[derive(Debug)]
enum Kind {
    Match(Option<Value>),
    /// By request, as upstream has it: of one request only the device that came last is remembered.
    Distinct(HashMap<String, Value>),
}

impl Constraint {
    /// None for a kind of constraint that this version does not know.
    pub(super) fn new(value: &Value) -> Option<Self> {
        let (attribute, kind) =
            match (value.str_at(&["matchAttribute"]), value.str_at(&["distinctAttribute"])) {
                ("", "") => return None,
                ("", attribute) => (attribute, Kind::Distinct(HashMap::new())),
                (attribute, _) => (attribute, Kind::Match(None)),
            };
        let requests = value.array_at(&["requests"]).iter().filter_map(Value::as_str).map(str::to_owned);
        Some(Self { requests: requests.collect(), attribute: attribute.to_owned(), kind, devices: 0 })
    }

    fn is_about(&self, request: &Request) -> bool {
        let named = |name: &str| self.requests.iter().any(|one| one == name);
        self.requests.is_empty() || named(request.base()) || named(&request.full_name())
    }

    /// Takes the device into account, unless it does not go with the others.
    pub(super) fn add(&mut self, request: &Request, device: &Device) -> bool {
        if !self.is_about(request) {
            return true;
        }
        let Some(value) = device.attribute(&self.attribute) else { return false };
        let agrees = match &mut self.kind {
            Kind::Match(first) if self.devices == 0 => {
                *first = Some(value.clone());
                true
            }
            Kind::Match(first) => first.as_ref() == Some(value),
            Kind::Distinct(values) => {
                let new = self.devices == 0 || values.values().all(|other| other != value);
                if new {
                    values.insert(request.base().to_owned(), value.clone());
                }
                new
            }
        };
        self.devices += usize::from(agrees);
        agrees
    }

    /// Takes back what [`Constraint::add`] agreed to last.
    pub(super) fn remove(&mut self, request: &Request) {
        if !self.is_about(request) {
            return;
        }
        if let Kind::Distinct(values) = &mut self.kind {
            values.remove(request.base());
        }
        self.devices -= 1;
    }
}
