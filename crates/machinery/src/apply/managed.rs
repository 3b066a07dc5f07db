//! `metadata.managedFields`, decoded: who manages what, in which version, since when.

use std::collections::BTreeMap;

use ecow::EcoString;

use super::pool;
use super::set::FieldSet;
use crate::value::Value;

/// How a manager came by its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What tells entries apart. An applier has one entry whatever version it applies in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ManagerId {
    pub(super) manager: EcoString,
    pub(super) operation: Operation,
    /// "" for appliers.
    pub(super) api_version: EcoString,
    pub(super) subresource: EcoString,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct VersionedSet {
    pub(super) set: FieldSet,
    pub(super) api_version: EcoString,
    pub(super) applied: bool,
}

pub(super) type Managers = BTreeMap<ManagerId, VersionedSet>;

#[derive(Clone, Debug, Default)]
pub(super) struct Managed {
    pub(super) managers: Managers,
    /// RFC 3339. Outlives the manager's entry within one operation.
    pub(super) times: BTreeMap<ManagerId, EcoString>,
}

impl ManagerId {
    pub(super) fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = if operation == Operation::Apply { "" } else { api_version };
        Self {
            manager: manager.into(),
            operation,
            api_version: api_version.into(),
            subresource: subresource.into(),
        }
    }
}

impl ManagerId {
    /// The manager's entry in an object. An applier's identity has a version here, too.
    pub(super) fn entry(&self, fields: &Value, time: Option<EcoString>) -> Value {
        let mut entry = Value::object();
        for (field, text) in [("manager", &self.manager), ("subresource", &self.subresource)] {
            if !text.is_empty() {
                entry.set(&[field], text.clone());
            }
        }
        entry.set(&["operation"], if self.operation == Operation::Apply { "Apply" } else { "Update" });
        entry.set(&["apiVersion"], self.api_version.clone());
        entry.set(&["fieldsType"], "FieldsV1");
        entry.set(&["fieldsV1"], fields.clone());
        if let Some(time) = time {
            entry.set(&["time"], time);
        }
        entry
    }
}

impl Managed {
    /// Decodes the object's managed fields.
    pub(super) fn of(object: &Value) -> Result<Self, String> {
        let mut out = Self::default();
        for (i, entry) in object.array_at(&["metadata", "managedFields"]).iter().enumerate() {
            out.add(i, entry)?;
        }
        Ok(out)
    }

    fn add(&mut self, i: usize, entry: &Value) -> Result<(), String> {
        let operation = match entry.str_at(&["operation"]) {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        let api_version = entry.str_at(&["apiVersion"]);
        if api_version.is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        match entry.str_at(&["fieldsType"]) {
            "FieldsV1" => {}
            "" => return Err(format!("missing fieldsType in managed fields entry {i}")),
            other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {i}")),
        }
        let set = match entry.get("fieldsV1") {
            None | Some(Value::Null) => FieldSet::default(),
            Some(fields) => pool::set_of(fields).map_err(|e| format!("error decoding set: {e}"))?,
        };
        let manager = entry.str_at(&["manager"]);
        let id = ManagerId::new(manager, operation, api_version, entry.str_at(&["subresource"]));
        if let Some(time) = entry.get("time").and_then(Value::as_str) {
            self.times.insert(id.clone(), time.into());
        }
        let applied = operation == Operation::Apply;
        self.managers.insert(id, VersionedSet { set, api_version: api_version.into(), applied });
        Ok(())
    }

    /// Writes the managed fields into the object; none are written when nobody manages anything.
    pub(super) fn write_to(&self, object: &mut Value) {
        if self.managers.is_empty() {
            object.remove(&["metadata", "managedFields"]);
            return;
        }
        let mut order: Vec<&ManagerId> = self.managers.keys().collect();
        order.sort_by(|a, b| {
            let by_operation = a.operation.cmp(&b.operation);
            by_operation
                .then_with(|| self.seconds(a).cmp(&self.seconds(b)))
                .then_with(|| a.manager.as_str().cmp(&b.manager))
                .then_with(|| self.managers[*a].api_version.as_str().cmp(&self.managers[*b].api_version))
                .then_with(|| a.subresource.as_str().cmp(&b.subresource))
        });
        let entries: Vec<Value> = order.into_iter().map(|id| self.entry(id)).collect();
        object.set(&["metadata", "managedFields"], entries);
    }

    fn entry(&self, id: &ManagerId) -> Value {
        let versioned = &self.managers[id];
        let time = self.times.get(id).cloned();
        let operation = if versioned.applied { Operation::Apply } else { id.operation };
        let full = ManagerId { operation, api_version: versioned.api_version.clone(), ..id.clone() };
        full.entry(&pool::tree_of(&versioned.set), time)
    }

    /// Since when, in seconds of the Unix epoch; 0 when not known.
    pub(super) fn seconds(&self, id: &ManagerId) -> i64 {
        let time = self.times.get(id).and_then(|time| time.parse::<jiff::Timestamp>().ok());
        time.map_or(0, jiff::Timestamp::as_second)
    }
}
