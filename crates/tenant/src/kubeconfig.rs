//! An administrator's kubeconfig.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_client::{Reply, resources};
use drydock_machinery::{Status, value};

use crate::{Tenant, TenantError, components};

/// What the administrator of a kubeconfig proves itself with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Good for a year, as those of kubeadm.
    ClientCertificate,
    /// A service account's, bound to `cluster-admin`.
    Token,
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The service account that token kubeconfigs use.
pub(crate) const ADMIN_ACCOUNT: &str = "drydock-admin";

pub(crate) async fn write(tenant: &Tenant, credential: Credential) -> Result<String, TenantError> {
    let user = match credential {
        Credential::ClientCertificate => {
            let issued = tenant.pki.cluster.issue_client("kubernetes-admin", &["system:masters"], YEAR)?;
            format!(
                "    client-certificate-data: {}\n    client-key-data: {}\n",
                STANDARD.encode(issued.certificate_pem),
                STANDARD.encode(issued.key_pem)
            )
        }
        Credential::Token => format!("    token: {}\n", token(tenant).await?),
    };
    let (name, endpoint) = (&tenant.cluster.name, tenant.endpoint());
    // In quotes: names such as `0` and `true` are strings, too. No name of a cluster holds a quote.
    let (user_name, name) = (format!("\"{name}-admin\""), format!("\"{name}\""));
    let ca = STANDARD.encode(tenant.ca_pem());
    Ok(format!(
        "apiVersion: v1\nkind: Config\n\
         clusters:\n- name: {name}\n  cluster:\n    server: {endpoint}\n    certificate-authority-data: {ca}\n\
         contexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {user_name}\n\
         current-context: {name}\n\
         users:\n- name: {user_name}\n  user:\n{user}"
    ))
}

/// Makes the administrators' service account and its binding if absent, and a token for it.
async fn token(tenant: &Tenant) -> Result<String, TenantError> {
    let client = tenant.client(components::masters("system:drydock"));
    let account = value!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": ADMIN_ACCOUNT, "namespace": "kube-system"}});
    let binding = value!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": ADMIN_ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": ADMIN_ACCOUNT, "namespace": "kube-system"}]});
    for (resource, object) in
        [(&resources::SERVICE_ACCOUNTS, account), (&resources::CLUSTER_ROLE_BINDINGS, binding)]
    {
        match client.create(resource, object).await {
            Err(status) if !status.is_already_exists() => return Err(status.into()),
            _ => {}
        }
    }
    let request = value!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "metadata": {}, "spec": {"expirationSeconds": YEAR.as_secs()}});
    let answer = client
        .create_subresource(&resources::SERVICE_ACCOUNTS, "kube-system", ADMIN_ACCOUNT, "token", request)
        .await?;
    let Reply::Virtual(answer) = answer else { return Err(Status::internal("no token was issued").into()) };
    Ok(answer.str_at(&["status", "token"]).to_owned())
}
