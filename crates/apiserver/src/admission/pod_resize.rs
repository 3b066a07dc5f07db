//! PodResizeValidator: a bound pod grows no larger than its node, which must be one that can change its pods' resources.
//! Since 1.36.

use async_trait::async_trait;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::status::StatusCause;
use drydock_machinery::{ObjectMeta as _, Status};

use super::resources::{Side, of_pod};
use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

const SINCE: u32 = 36;

/// An amount as the refusal shows it.
type Shown = fn(&Quantity) -> i64;

pub(super) struct PodResizeValidator;

#[async_trait]
impl AdmissionPlugin for PodResizeValidator {
    fn name(&self) -> &'static str {
        "PodResizeValidator"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.operation == Operation::Update && request.is_of("", "pods") && request.subresource == "resize"
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let (pod, old) = (request.object(), request.old());
        let name = pod.str_at(&["spec", "nodeName"]);
        if context.minor_version < SINCE || name.is_empty() || pod.generation() == old.generation() {
            return Ok(());
        }
        let Some(node) = context.reader.get("", "nodes", "", name) else {
            return Err(request.forbidden(&format!("node {name:?} not found")));
        };
        let system = node.label("kubernetes.io/os").unwrap_or("linux");
        if system != "linux" {
            let why = format!("pod resize is only supported on linux nodes, node {name:?} is {system:?}");
            return Err(because(request.forbidden(&why), "UnsupportedPlatform"));
        }
        let requests = of_pod(pod, Side::Requests);
        let mut missing = Vec::new();
        for (resource, shown) in
            [("cpu", Quantity::milli_value as Shown), ("memory", Quantity::value as Shown)]
        {
            let there = Quantity::of(node.at(&["status", "allocatable", resource]));
            if let Some(wanted) = requests.get(resource).filter(|wanted| **wanted > there) {
                missing.push(format!(
                    "{resource}, requested: {}, allocatable: {}",
                    shown(wanted),
                    shown(&there)
                ));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let why = format!("node didn't have enough allocatable resources: {}", missing.join("; "));
        Err(because(request.forbidden(&why), "NodeCapacity"))
    }
}

/// Says the reason in a form that programs read.
fn because(mut status: Status, reason: &str) -> Status {
    let cause = StatusCause { reason: reason.to_owned(), ..StatusCause::default() };
    status.details.get_or_insert_default().causes.push(cause);
    status
}
