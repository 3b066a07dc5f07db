//! Which plugins an API server runs, in upstream's order.

use std::sync::Arc;

use drydock_auth::Authorizer;

use super::AdmissionPlugin;
use super::certificates::{CertificateApproval, CertificateSigning, CertificateSubjectRestriction};
use super::defaults::{
    DefaultIngressClass, DefaultStorageClass, DefaultTolerationSeconds, TaintNodesByCondition,
};
use super::escalation::RbacEscalation;
use super::limit_ranger::LimitRanger;
use super::namespace_lifecycle::NamespaceLifecycle;
use super::node_restriction::NodeRestriction;
use super::pod_resize::PodResizeValidator;
use super::pod_security::PodSecurity;
use super::pod_topology::PodTopologyLabels;
use super::policy::{MutatingAdmissionPolicy, ValidatingAdmissionPolicy};
use super::priority::Priority;
use super::protection::StorageObjectInUseProtection;
use super::resource_quota::ResourceQuota;
use super::runtime_class::RuntimeClass;
use super::service_account::ServiceAccount;
use super::volume_resize::PersistentVolumeClaimResize;
use super::webhooks::{MutatingAdmissionWebhook, ValidatingAdmissionWebhook};

/// The plugins that are on by default. `authorizer` is the API server's own, whose roles and bindings are read.
///
/// The last is the quota, which counts what will be stored.
pub fn default_plugins(authorizer: &Arc<Authorizer>) -> Vec<Arc<dyn AdmissionPlugin>> {
    vec![
        Arc::new(NamespaceLifecycle),
        Arc::new(LimitRanger),
        Arc::new(ServiceAccount),
        Arc::new(NodeRestriction),
        Arc::new(TaintNodesByCondition),
        Arc::new(PodSecurity),
        Arc::new(Priority),
        Arc::new(DefaultTolerationSeconds),
        Arc::new(DefaultStorageClass),
        Arc::new(StorageObjectInUseProtection),
        Arc::new(PersistentVolumeClaimResize),
        Arc::new(RuntimeClass),
        Arc::new(CertificateApproval),
        Arc::new(CertificateSigning),
        Arc::new(CertificateSubjectRestriction),
        Arc::new(DefaultIngressClass),
        Arc::new(PodTopologyLabels),
        Arc::new(PodResizeValidator),
        Arc::new(MutatingAdmissionPolicy::default()),
        Arc::new(MutatingAdmissionWebhook::new()),
        Arc::new(RbacEscalation::new(authorizer.clone())),
        Arc::new(ValidatingAdmissionPolicy::default()),
        Arc::new(ValidatingAdmissionWebhook::new()),
        Arc::new(ResourceQuota::default()),
    ]
}
