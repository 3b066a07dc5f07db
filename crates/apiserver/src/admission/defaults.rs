//! Small plugins that fill in what a client left out: DefaultTolerationSeconds, DefaultStorageClass,
//! DefaultIngressClass, TaintNodesByCondition.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Pods stay on nodes that are not ready or unreachable for five minutes, unless they say otherwise.
pub(super) struct DefaultTolerationSeconds;

#[async_trait]
impl AdmissionPlugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        matches!(request.operation, Operation::Create | Operation::Update) && request.is_for("", "pods")
    }

    async fn admit(
        &self,
        _context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let Some(pod) = &mut request.object else { return Ok(()) };
        // All pods share them.
        static MISSING: LazyLock<[(&str, Value); 2]> = LazyLock::new(|| {
            [NOT_READY, UNREACHABLE].map(|taint| {
                let toleration =
                    value!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
                (taint, toleration)
            })
        });
        let tolerated = |pod: &Value, taint: &str| {
            pod.array_at(&["spec", "tolerations"]).iter().any(|toleration| {
                let (key, effect) = (toleration.str_at(&["key"]), toleration.str_at(&["effect"]));
                (key == taint || key.is_empty()) && matches!(effect, "" | "NoExecute")
            })
        };
        // Looked at before any is added.
        let missing = MISSING.each_ref().map(|(taint, toleration)| (toleration, tolerated(pod, taint)));
        for (toleration, _) in missing.into_iter().filter(|(_, tolerated)| !tolerated) {
            add_toleration(pod, toleration.clone());
        }
        Ok(())
    }
}

/// Appends a toleration unless the pod has the same.
pub(super) fn add_toleration(pod: &mut Value, toleration: Value) {
    if pod.array_at(&["spec", "tolerations"]).contains(&toleration) {
        return;
    }
    let tolerations = pod.at_mut(&["spec", "tolerations"]);
    if tolerations.as_array().is_none() {
        *tolerations = Value::from(Vec::<Value>::new());
    }
    if let Some(list) = tolerations.as_array_mut() {
        list.push(toleration);
    }
}

/// Claims without a class take the newest default one.
pub(super) struct DefaultStorageClass;

#[async_trait]
impl AdmissionPlugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.is_create_of("", "persistentvolumeclaims")
            && request.object().at(&["spec", "storageClassName"]).is_none_or(Value::is_null)
            && request.object().annotation("volume.beta.kubernetes.io/storage-class").is_none()
    }

    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let classes = context.reader.list("storage.k8s.io", "storageclasses", "");
        let annotations = [
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ];
        let class =
            newest(classes, |class| annotations.iter().any(|key| class.annotation(key) == Some("true")));
        if let (Some(class), Some(claim)) = (class, &mut request.object) {
            claim.set(&["spec", "storageClassName"], class.name());
        }
        Ok(())
    }
}

/// Ingresses without a class take the newest default one.
pub(super) struct DefaultIngressClass;

#[async_trait]
impl AdmissionPlugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.is_create_of("networking.k8s.io", "ingresses")
            && request.object().at(&["spec", "ingressClassName"]).is_none_or(Value::is_null)
            && request.object().annotation("kubernetes.io/ingress.class").is_none()
    }

    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let classes = context.reader.list("networking.k8s.io", "ingressclasses", "");
        let class = newest(classes, |class| {
            class.annotation("ingressclass.kubernetes.io/is-default-class") == Some("true")
        });
        if let (Some(class), Some(ingress)) = (class, &mut request.object) {
            ingress.set(&["spec", "ingressClassName"], class.name());
        }
        Ok(())
    }
}

/// The newest of the objects that are wanted; of those made in the same second, the first by name.
fn newest(objects: Vec<Arc<Object>>, is_wanted: impl Fn(&Object) -> bool) -> Option<Arc<Object>> {
    let mut wanted: Vec<Arc<Object>> = objects.into_iter().filter(|object| is_wanted(object)).collect();
    wanted.sort_by(|a, b| {
        b.creation_timestamp().cmp(a.creation_timestamp()).then_with(|| a.name().cmp(b.name()))
    });
    wanted.into_iter().next()
}

/// New nodes are not ready until the node controller has seen that they are.
pub(super) struct TaintNodesByCondition;

#[async_trait]
impl AdmissionPlugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.is_create_of("", "nodes")
    }

    async fn admit(
        &self,
        _context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let Some(node) = &mut request.object else { return Ok(()) };
        let same =
            |taint: &Value| taint.str_at(&["key"]) == NOT_READY && taint.str_at(&["effect"]) == "NoSchedule";
        if node.array_at(&["spec", "taints"]).iter().any(same) {
            return Ok(());
        }
        let mut taints = node.array_at(&["spec", "taints"]).to_vec();
        taints.push(value!({"key": NOT_READY, "effect": "NoSchedule"}));
        node.set(&["spec", "taints"], taints);
        Ok(())
    }
}
