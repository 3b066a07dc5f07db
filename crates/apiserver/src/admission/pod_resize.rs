//! PodResizeValidator: a pod grows no further than its node could hold.

use async_trait::async_trait;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::status::StatusCause;
use drydock_machinery::{ObjectMeta, Status, Value};

use super::resources::{Side, of_pod};
use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

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
        let (new, old) = (request.object(), request.old());
        let name = new.str_at(&["spec", "nodeName"]);
        if name.is_empty() || new.generation() == old.generation() {
            return Ok(());
        }
        let Some(node) = context.reader.get("", "nodes", "", name) else {
            return Err(request.forbidden(&format!("node {name:?} not found")));
        };
        let system = node.labels().get("kubernetes.io/os").and_then(Value::as_str);
        if let Some(system) = system.filter(|system| *system != "linux") {
            let why = format!("pod resize is only supported on linux nodes, node {name:?} is {system:?}");
            return Err(refused(request, &why, "UnsupportedPlatform"));
        }
        let lacking = lacking(new, &node);
        if lacking.is_empty() {
            return Ok(());
        }
        let why = format!("node didn't have enough allocatable resources: {}", lacking.join("; "));
        Err(refused(request, &why, "NodeCapacity"))
    }
}

fn refused(request: &AdmissionRequest<'_>, why: &str, cause: &str) -> Status {
    let mut status = request.forbidden(why);
    if let Some(details) = &mut status.details {
        details.causes.push(StatusCause { reason: cause.to_owned(), ..StatusCause::default() });
    }
    status
}

/// What the pod asks for more of than the node has for all pods.
fn lacking(pod: &Value, node: &Value) -> Vec<String> {
    let requests = of_pod(pod, Side::Requests);
    let mut lacking = Vec::new();
    let mut compare = |name: &str, shown: fn(&Quantity) -> i64| {
        let asked = requests.get(name).cloned().unwrap_or(Quantity::ZERO);
        let most = Quantity::of(node.at(&["status", "allocatable", name]));
        if asked > most {
            lacking.push(format!("{name}, requested: {}, allocatable: {}", shown(&asked), shown(&most)));
        }
    };
    compare("cpu", |cpu| cpu.milli_value());
    compare("memory", |memory| memory.value());
    lacking
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn both_of_what_a_node_lacks_are_told() {
        let pod = |cpu: &str, memory: &str| value!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}});
        let node = value!({"status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}});
        assert_eq!(lacking(&pod("2", "1Gi"), &node), [""; 0]);
        let expected = [
            "cpu, requested: 3000, allocatable: 2000",
            "memory, requested: 2147483648, allocatable: 1073741824",
        ];
        assert_eq!(lacking(&pod("3", "2Gi"), &node), expected);
    }
}
