//! A cluster's keys: made once, kept in its store.

use std::net::Ipv4Addr;
use std::sync::Arc;

use drydock_apiserver::FrontProxy;
use drydock_auth::pki::{ClusterPki, ClusterPkiPem};
use drydock_auth::tokens::{KeyReservoir, SigningKey};
use drydock_runtime::Tasks;
use drydock_store::{Check, Payload, Range, Store, Txn, Write};
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;

use crate::TenantError;
use crate::renewal::Renewed;

const KEY: &str = "/drydock/pki";

pub(crate) async fn load_or_make(
    store: &dyn Store,
    keys: &KeyReservoir,
    tasks: &Tasks,
) -> Result<ClusterPki, TenantError> {
    let damaged = |why: String| TenantError::Damaged { what: "keys", why };
    let found = store.range(Range { prefix: KEY.to_owned(), ..Range::default() }).await?;
    if let Some(entry) = found.entries.first() {
        let pem: ClusterPkiPem =
            serde_json::from_slice(&entry.value.bytes()).map_err(|error| damaged(error.to_string()))?;
        return Ok(ClusterPki::from_pem(&pem)?);
    }
    let signing_key = match keys.take() {
        Some(made_ahead) => made_ahead,
        // The first cluster of a process comes before there are any.
        None if keys.is_new() => match tasks.blocking(SigningKey::generate_rsa).await {
            Some(made) => made?,
            None => SigningKey::generate_ecdsa()?,
        },
        // In a burst, to make an RSA key here would take longer than to make the rest of the cluster.
        None => SigningKey::generate_ecdsa()?,
    };
    let pki = ClusterPki::generate(signing_key)?;
    let bytes = serde_json::to_vec(&pki.to_pem()).map_err(|error| damaged(error.to_string()))?;
    let write = Write::Put { key: KEY.into(), value: Payload::new(bytes), expires_at: None };
    let checks = vec![Check { key: KEY.into(), mod_revision: 0 }];
    store.commit(Txn { checks, writes: vec![write], ..Txn::default() }).await?;
    Ok(pki)
}

/// What extension servers know the API server by; a certificate is good for a year, as those of kubeadm.
pub(crate) fn front_proxy(pki: &Arc<ClusterPki>) -> Result<FrontProxy, TenantError> {
    let pki = pki.clone();
    let issue = move || pki.issue_front_proxy_client();
    Ok(FrontProxy { certificate: Renewed::new("front proxy", Box::new(issue))? })
}

/// TLS of the endpoint: its certificate, which names the Service `kubernetes` too, and client certificates of the cluster's CA if a client shows one.
pub(crate) fn server_config(
    pki: &Arc<ClusterPki>,
    service_ip: Ipv4Addr,
    names: &[String],
) -> Result<Arc<rustls::ServerConfig>, TenantError> {
    let (issuing, names) = (pki.clone(), names.to_vec());
    let issue = move || issuing.issue_api_server(&service_ip.to_string(), &names);
    let certificate = Renewed::new("endpoint", Box::new(issue))?;
    let unusable =
        |error: &dyn std::fmt::Display| TenantError::Damaged { what: "certificate", why: error.to_string() };
    let mut roots = rustls::RootCertStore::empty();
    // Whose certificate says what is the authenticator's to know.
    for authority in [&pki.cluster, &pki.front_proxy] {
        roots.add(CertificateDer::from(authority.certificate_der().to_vec()))?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .allow_unauthenticated()
        .build()
        .map_err(|error| unusable(&error))?;
    let mut config =
        rustls::ServerConfig::builder().with_client_cert_verifier(verifier).with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
