//! The descriptions that k8s-openapi gives its types.

use std::collections::HashMap;

use k8s_openapi::schemars::SchemaGenerator;
use k8s_openapi::schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{Described, LIST};

/// Types by module. Types that others refer to come with these.
macro_rules! add {
    ($generator:ident, $($($module:ident)::+: $($name:ident),+;)+) => {
        $({
            use k8s_openapi::$($module)::+ as module;
            $(let _ = $generator.subschema_for::<module::$name>();)+
        })+
    };
}

pub(super) fn read() -> HashMap<String, Described> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    add_types(&mut generator);
    let mut out: HashMap<String, Described> = HashMap::new();
    for (name, schema) in generator.take_definitions(false) {
        let described = described(&schema);
        if name == A_LIST {
            // What is said of groups is not said of all lists.
            let fields =
                ["apiVersion", "kind"].map(|field| (field.to_owned(), described.field(field).to_owned()));
            out.insert(LIST.to_owned(), Described { text: String::new(), fields: fields.into() });
        }
        out.insert(name, described);
    }
    out
}

/// A list whose `kind` and `apiVersion` are described as those of all lists.
const A_LIST: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList";

fn described(schema: &Value) -> Described {
    let text = |schema: &Value| schema["description"].as_str().unwrap_or_default().to_owned();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let fields = properties.map(|(name, schema)| (name.clone(), text(schema)));
    Described { text: text(schema), fields: fields.collect() }
}

fn add_types(generator: &mut SchemaGenerator) {
    add!(generator,
        api::admissionregistration::v1: MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration;
        api::apps::v1: ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet;
        api::authentication::v1: SelfSubjectReview, TokenRequest, TokenReview;
        api::authorization::v1: LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview;
        api::autoscaling::v1: HorizontalPodAutoscaler, Scale;
        api::autoscaling::v2: HorizontalPodAutoscaler;
        api::batch::v1: CronJob, Job;
        api::certificates::v1: CertificateSigningRequest;
        api::coordination::v1: Lease;
        api::core::v1: Binding, ComponentStatus, ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, Pod, PodTemplate, ReplicationController, ResourceQuota, Secret, Service, ServiceAccount;
        api::discovery::v1: EndpointSlice;
        api::events::v1: Event;
        api::flowcontrol::v1: FlowSchema, PriorityLevelConfiguration;
        api::networking::v1: IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR;
        api::node::v1: RuntimeClass;
        api::policy::v1: Eviction, PodDisruptionBudget;
        api::rbac::v1: ClusterRole, ClusterRoleBinding, Role, RoleBinding;
        api::resource::v1: DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice;
        api::scheduling::v1: PriorityClass;
        api::storage::v1: CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass;
        apiextensions_apiserver::pkg::apis::apiextensions::v1: CustomResourceDefinition;
        apimachinery::pkg::apis::meta::v1: APIGroupList, APIResourceList, APIVersions, Patch, Status;
        apimachinery::pkg::version: Info;
        kube_aggregator::pkg::apis::apiregistration::v1: APIService;
    );
}

#[cfg(test)]
mod tests {
    use crate::Catalog;

    #[test]
    fn all_listed_types_are_described() {
        let text = Catalog::builtin().text();
        let silent: Vec<String> = text
            .definitions
            .iter()
            .filter(|definition| !definition.unlisted)
            .filter_map(|definition| text.full_name(definition.reference))
            .filter(|name| super::super::of(name).is_none())
            .collect();
        assert_eq!(silent, ["io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent"]);
    }
}
