//! A cluster's keys and certificates: authorities, server and client certificates, signed requests.
//!
//! Everything goes in and out as PEM, so that the tenant keeps it in its store. Keys are ECDSA P-256, which takes
//! well under a millisecond to make; only the service account signing key may be RSA (see [`crate::tokens`]).
//! Certificates are assembled here rather than by rcgen, whose names cannot hold several organizations: a client
//! certificate has one per group.
//!
//! Validity is wall time: the other side compares it with its own clock.

mod authority;
mod der;
mod request;
mod signers;
mod template;

pub(crate) use authority::certificates_der;
pub use authority::{Authority, Issued};
pub use request::{CertificateRequest, parse_request};
pub use signers::kubelet_client_name;
pub use template::{Subject, Usage};

use std::time::Duration;

use crate::tokens::SigningKey;

/// The common name of those who may say, by headers, on whose behalf they ask.
pub const FRONT_PROXY_CLIENT: &str = "front-proxy-client";

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What can go wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("making or using a key failed: {0}")]
    Key(String),
    #[error("not a {what} in PEM: {why}")]
    Pem { what: &'static str, why: String },
    /// A certificate request that must not be signed as it is.
    #[error("{0}")]
    Request(String),
}

impl PkiError {
    pub(crate) fn pem(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Pem { what, why: why.to_string() }
    }
}

impl From<rcgen::Error> for PkiError {
    fn from(error: rcgen::Error) -> Self {
        Self::Key(error.to_string())
    }
}

/// The authorities and the signing key of one cluster.
#[derive(Debug)]
pub struct ClusterPki {
    /// Signs the API server's, kubelets' and clients' certificates.
    pub cluster: Authority,
    /// Signs the certificates of aggregating front proxies.
    pub front_proxy: Authority,
    pub service_accounts: SigningKey,
}

/// [`ClusterPki`] as it is kept.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct ClusterPkiPem {
    pub cluster_certificate: String,
    pub cluster_key: String,
    pub front_proxy_certificate: String,
    pub front_proxy_key: String,
    pub service_account_key: String,
}

impl ClusterPki {
    /// New authorities around a signing key, which comes from a [`crate::tokens::KeyReservoir`] or is made on the spot.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(service_accounts: SigningKey) -> Result<Self, PkiError> {
        Ok(Self {
            cluster: Authority::generate("kubernetes")?,
            front_proxy: Authority::generate("front-proxy-ca")?,
            service_accounts,
        })
    }

    /// # Errors
    /// When a part is not what [`ClusterPki::to_pem`] wrote.
    pub fn from_pem(pem: &ClusterPkiPem) -> Result<Self, PkiError> {
        Ok(Self {
            cluster: Authority::from_pem(&pem.cluster_certificate, &pem.cluster_key)?,
            front_proxy: Authority::from_pem(&pem.front_proxy_certificate, &pem.front_proxy_key)?,
            service_accounts: SigningKey::from_pem(&pem.service_account_key)?,
        })
    }

    pub fn to_pem(&self) -> ClusterPkiPem {
        ClusterPkiPem {
            cluster_certificate: self.cluster.certificate_pem(),
            cluster_key: self.cluster.key_pem(),
            front_proxy_certificate: self.front_proxy.certificate_pem(),
            front_proxy_key: self.front_proxy.key_pem(),
            service_account_key: self.service_accounts.to_pem(),
        }
    }

    /// The API server's serving certificate. Names are DNS names or IP addresses; the usual ones of an API server are
    /// added: localhost, the loopback addresses, and the `kubernetes` service's names.
    ///
    /// # Errors
    /// When signing fails.
    pub fn issue_api_server(&self, service_ip: &str, extra_names: &[String]) -> Result<Issued, PkiError> {
        let mut names: Vec<String> = [
            "localhost",
            "127.0.0.1",
            "::1",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            service_ip,
        ]
        .into_iter()
        .map(str::to_owned)
        .collect();
        names.extend(extra_names.iter().cloned());
        names.retain(|name| !name.is_empty());
        self.cluster.issue_server("kube-apiserver", &names)
    }

    /// The certificate that the API server shows to the API servers behind it, which believe its `X-Remote-*` headers.
    /// Good for a year.
    ///
    /// # Errors
    /// When signing fails.
    pub fn issue_front_proxy_client(&self) -> Result<Issued, PkiError> {
        self.front_proxy.issue_client(FRONT_PROXY_CLIENT, &[], YEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_survives_being_kept_as_pem() {
        let pki = ClusterPki::generate(SigningKey::generate_ecdsa().unwrap()).unwrap();
        let again = ClusterPki::from_pem(&pki.to_pem()).unwrap();
        assert_eq!(again.cluster.certificate_pem(), pki.cluster.certificate_pem());
        let issued = again.issue_api_server("10.96.0.1", &["dev.example".to_owned()]).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&issued.certificate_der().unwrap())
            .map(|(rest, c)| {
                assert!(rest.is_empty());
                (rest.len(), c.subject_alternative_name().unwrap().unwrap().value.general_names.len())
            })
            .unwrap();
        assert_eq!(certificate, 9);
    }
}
