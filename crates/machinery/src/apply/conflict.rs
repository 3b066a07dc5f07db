//! An apply that would take others' fields.

use super::managed::{ManagerId, Operation};
use super::path::{PathElement, path_text};
use super::set::FieldSet;
use crate::status::{Reason, Status, StatusCause, StatusDetails};

/// What the applier wants and whom it belongs to, sorted by manager.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflicts(pub(super) Vec<(ManagerId, Vec<PathElement>)>);

impl Conflicts {
    pub(super) fn add(&mut self, manager: &ManagerId, fields: &FieldSet) {
        fields.for_each(&mut |path| self.0.push((manager.clone(), path.to_vec())));
    }

    /// The conflicts that are not about `allowed` fields.
    pub(super) fn without(&self, allowed: &FieldSet) -> Self {
        Self(self.0.iter().filter(|(_, path)| !allowed.has(path)).cloned().collect())
    }
}

impl From<&Conflicts> for Status {
    fn from(conflicts: &Conflicts) -> Self {
        let causes = conflicts.0.iter().map(|(manager, path)| StatusCause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {}", shown(manager)),
            field: path_text(path),
        });
        Self::new(409, Reason::Conflict, message(conflicts))
            .with_details(StatusDetails { causes: causes.collect(), ..StatusDetails::default() })
    }
}

fn message(conflicts: &Conflicts) -> String {
    if let [(manager, path)] = &conflicts.0[..] {
        let path = path_text(path);
        return format!("Apply failed with 1 conflict: conflict with {}: {path}", shown(manager));
    }
    let mut lines = Vec::new();
    let mut last = None;
    for (manager, path) in &conflicts.0 {
        if last != Some(manager) {
            lines.push(format!("conflicts with {}:", shown(manager)));
        }
        lines.push(format!("- {}", path_text(path)));
        last = Some(manager);
    }
    format!("Apply failed with {} conflicts: {}", conflicts.0.len(), lines.join("\n"))
}

fn shown(manager: &ManagerId) -> String {
    let mut out = format!("{:?}", manager.manager.as_str());
    if !manager.subresource.is_empty() {
        out.push_str(&format!(" with subresource {:?}", manager.subresource.as_str()));
    }
    if manager.operation == Operation::Update {
        out.push_str(&format!(" using {}", manager.api_version));
    }
    out
}
