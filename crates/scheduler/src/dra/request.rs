//! What claims ask for.

use drydock_machinery::{Map, Object, ObjectMeta, Value};

/// A request for devices of one class, or one of several alternatives to it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    name: String,
    /// The request to which it is an alternative.
    parent: Option<String>,
    pub(super) class: String,
    pub(super) amount: Amount,
    pub(super) admin_access: bool,
    /// Expressions.
    pub(super) selectors: Vec<String>,
    pub(super) tolerations: Vec<Value>,
    /// Capacity that is wanted of each device.
    pub(super) capacity: Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Count(usize),
    All,
}

impl Request {
    fn new(name: &str, parent: Option<&str>, value: &Value) -> Self {
        let selectors = value.array_at(&["selectors"]).iter();
        let count = value.i64_at(&["count"]).filter(|count| *count > 0).unwrap_or(1);
        Self {
            name: name.to_owned(),
            parent: parent.map(str::to_owned),
            class: value.str_at(&["deviceClassName"]).to_owned(),
            amount: match value.str_at(&["allocationMode"]) {
                "All" => Amount::All,
                _ => Amount::Count(usize::try_from(count).unwrap_or(usize::MAX)),
            },
            admin_access: value.bool_at(&["adminAccess"]),
            selectors: selectors.map(|one| one.str_at(&["cel", "expression"]).to_owned()).collect(),
            tolerations: value.array_at(&["tolerations"]).to_vec(),
            capacity: value.object_at(&["capacity", "requests"]).clone(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name of the request that it is, or is an alternative to.
    pub(super) fn base(&self) -> &str {
        self.parent.as_deref().unwrap_or(&self.name)
    }

    /// As results name it: `gpu`, `gpu/large`.
    pub(super) fn full_name(&self) -> String {
        match &self.parent {
            Some(parent) => format!("{parent}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// A claim, as far as it is about devices.
#[derive(Clone, Debug)]
pub(super) struct ClaimSpec {
    /// `namespace/name`
    pub(super) key: String,
    /// For each request its alternatives; one, when it leaves no choice.
    pub(super) requests: Vec<Vec<Request>>,
    pub(super) constraints: Vec<Value>,
    pub(super) config: Vec<Value>,
}

impl ClaimSpec {
    pub(super) fn new(claim: &Object) -> Self {
        let list = |name: &str| claim.array_at(&["spec", "devices", name]).to_vec();
        Self {
            key: claim.key(),
            requests: claim.array_at(&["spec", "devices", "requests"]).iter().map(alternatives).collect(),
            constraints: list("constraints"),
            config: list("config"),
        }
    }
}

fn alternatives(request: &Value) -> Vec<Request> {
    let name = request.str_at(&["name"]);
    let alternatives = request.array_at(&["firstAvailable"]);
    match request.get("exactly").filter(|exactly| !exactly.is_null()) {
        Some(exactly) => vec![Request::new(name, None, exactly)],
        None => alternatives.iter().map(|one| Request::new(one.str_at(&["name"]), Some(name), one)).collect(),
    }
}
