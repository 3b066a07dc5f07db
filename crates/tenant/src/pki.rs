//! A cluster's keys: made once, kept in its store.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use drydock_apiserver::FrontProxy;
use drydock_auth::pki::{ClusterPki, ClusterPkiPem};
use drydock_auth::tokens::{KeyReservoir, SigningKey};
use drydock_runtime::Tasks;
use drydock_store::{Check, Payload, Range, Store, Txn, Write};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use crate::TenantError;

const KEY: &str = "/drydock/pki";
const FRONT_PROXY_VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);

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

/// What extension servers know the API server by. Made anew on every start; good for a year, as those of kubeadm.
pub(crate) fn front_proxy(pki: &ClusterPki) -> Result<FrontProxy, TenantError> {
    let unusable =
        |error: &dyn std::fmt::Display| TenantError::Damaged { what: "certificate", why: error.to_string() };
    let issued = pki.front_proxy.issue_client("front-proxy-client", &[], FRONT_PROXY_VALIDITY)?;
    let certificates = CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).map_err(|error| unusable(&error))?;
    Ok(FrontProxy { certificates, key })
}

/// TLS of the endpoint: its certificate, which names the Service `kubernetes` too, and client certificates of the cluster's CA if a client shows one.
pub(crate) fn server_config(
    pki: &ClusterPki,
    service_ip: Ipv4Addr,
    names: &[String],
) -> Result<Arc<rustls::ServerConfig>, TenantError> {
    let issued = pki.issue_api_server(&service_ip.to_string(), names)?;
    let unusable =
        |error: &dyn std::fmt::Display| TenantError::Damaged { what: "certificate", why: error.to_string() };
    let chain = CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).map_err(|error| unusable(&error))?;
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
        rustls::ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
