//! Certificates that a cluster issues to itself: made anew when a third of their life is left, so that a process may run
//! for longer than they do.
//!
//! Whoever connects next is shown the new one. Nothing runs in the background: who needs the certificate looks at its age.

use std::fmt;
use std::sync::Arc;

use drydock_auth::pki::{Issued, PkiError};
use drydock_runtime::wall;
use jiff::Timestamp;
use parking_lot::RwLock;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::TenantError;

type Issue = Box<dyn Fn() -> Result<Issued, PkiError> + Send + Sync>;

/// A certificate that does not end.
pub(crate) struct Renewed {
    what: &'static str,
    issue: Issue,
    current: RwLock<Current>,
}

#[derive(Clone)]
struct Current {
    key: Arc<CertifiedKey>,
    renew_at: Timestamp,
}

impl Renewed {
    /// # Errors
    /// When none can be issued now.
    pub(crate) fn new(what: &'static str, issue: Issue) -> Result<Arc<Self>, TenantError> {
        let current = RwLock::new(make(&issue)?);
        Ok(Arc::new(Self { what, issue, current }))
    }

    fn now(&self) -> Arc<CertifiedKey> {
        let known = self.current.read().clone();
        if wall::now() < known.renew_at {
            return known.key;
        }
        let mut current = self.current.write();
        // Somebody else may have been faster.
        if current.renew_at != known.renew_at {
            return current.key.clone();
        }
        match make(&self.issue) {
            Ok(made) => *current = made,
            Err(error) => tracing::error!(what = self.what, %error, "a certificate cannot be renewed"),
        }
        current.key.clone()
    }
}

fn make(issue: &Issue) -> Result<Current, TenantError> {
    let unusable =
        |error: &dyn fmt::Display| TenantError::Damaged { what: "certificate", why: error.to_string() };
    let issued = issue()?;
    let chain = CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).map_err(|error| unusable(&error))?;
    let builder = rustls::ClientConfig::builder();
    let key = CertifiedKey::from_der(chain, key, builder.crypto_provider())?;
    let (begins, ends) = issued.validity().map_err(|error| unusable(&error))?;
    let third = ends.duration_since(begins) / 3;
    let renew_at = ends.checked_sub(third).map_err(|error| unusable(&error))?;
    Ok(Current { key: Arc::new(key), renew_at })
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

impl ResolvesClientCert for Renewed {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renewed({})", self.what)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use drydock_auth::pki::Authority;

    use super::*;

    #[test]
    fn a_certificate_is_made_anew_before_it_ends() {
        let shown_twice = |good_for: Duration| {
            let authority = Authority::generate("ca").unwrap();
            let issue = move || authority.issue_client("u", &[], good_for);
            let renewed = Renewed::new("test", Box::new(issue)).unwrap();
            let shown = || renewed.now().end_entity_cert().unwrap().to_vec();
            [shown(), shown()]
        };
        let [first, second] = shown_twice(Duration::from_secs(3600));
        assert_eq!(first, second);
        // It began a moment before it was made: of its life not even a third is left.
        let [first, second] = shown_twice(Duration::from_secs(1));
        assert_ne!(first, second);
    }
}
