//! Keys that sign tokens.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drydock_machinery::Value;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use parking_lot::Mutex;
use rcgen::{KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};

use crate::pki::PkiError;

/// A key pair that signs tokens, RSA (RS256, what upstream's installers make) or ECDSA P-256 (ES256, quick to make).
#[derive(Clone)]
pub struct SigningKey {
    encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    pub(super) algorithm: Algorithm,
    /// As upstream: the SHA-256 of the public key's DER, in URL-safe base64.
    pub(super) key_id: String,
    jwk: Value,
    pem: String,
}

impl SigningKey {
    /// An ES256 key; takes well under a millisecond.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate_ecdsa() -> Result<Self, PkiError> {
        Self::from_pair(&KeyPair::generate()?)
    }

    /// An RS256 key of 2048 bits; takes 50 to 300 ms of one core. See [`KeyReservoir`].
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate_rsa() -> Result<Self, PkiError> {
        Self::from_pair(&KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?)
    }

    /// # Errors
    /// When it is not an RSA or ECDSA P-256 private key in PEM.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        Self::from_pair(&KeyPair::from_pem(pem).map_err(|why| PkiError::pem("private key", why))?)
    }

    pub fn to_pem(&self) -> String {
        self.pem.clone()
    }

    fn from_pair(pair: &KeyPair) -> Result<Self, PkiError> {
        let pem = pair.serialize_pem();
        let key = |error: jsonwebtoken::errors::Error| PkiError::Key(error.to_string());
        let (algorithm, encoding) = if pair.is_compatible(&rcgen::PKCS_RSA_SHA256) {
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(key)?)
        } else if pair.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
            (Algorithm::ES256, EncodingKey::from_ec_pem(pem.as_bytes()).map_err(key)?)
        } else {
            return Err(PkiError::Key("a signing key must be RSA or ECDSA P-256".to_owned()));
        };
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info()));
        let mut jwk = Jwk::from_encoding_key(&encoding, algorithm).map_err(key)?;
        let decoding = DecodingKey::from_jwk(&jwk).map_err(key)?;
        jwk.common.key_id = Some(key_id.clone());
        jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
        let jwk = serde_json::to_value(&jwk).map_err(|error| PkiError::Key(error.to_string()))?;
        Ok(Self { encoding, decoding, algorithm, key_id, jwk: jwk.into(), pem })
    }

    /// The public key as a JSON web key.
    pub fn to_jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// A JSON web token of these claims.
    ///
    /// # Errors
    /// When they are no object, or signing fails.
    pub fn sign(&self, claims: &impl serde::Serialize) -> Result<String, PkiError> {
        let header = Header { typ: None, kid: Some(self.key_id.clone()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.encoding)
            .map_err(|error| PkiError::Key(error.to_string()))
    }

    /// `RS256` or `ES256`.
    pub fn algorithm_name(&self) -> &'static str {
        if self.algorithm == Algorithm::RS256 { "RS256" } else { "ES256" }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.algorithm_name(), self.key_id)
    }
}

/// RSA keys made ahead of time, so that creating a cluster need not wait for one. The owner refills it from a thread
/// that may block.
#[derive(Debug)]
pub struct KeyReservoir {
    keys: Mutex<Vec<SigningKey>>,
    capacity: usize,
    filled: AtomicBool,
}

impl KeyReservoir {
    pub fn new(capacity: usize) -> Self {
        Self { keys: Mutex::new(Vec::new()), capacity, filled: AtomicBool::new(false) }
    }

    /// Whether no key was made ahead yet: the process has just begun.
    pub fn is_new(&self) -> bool {
        !self.filled.load(Ordering::Acquire)
    }

    /// A key that was made ahead; None when there is none left.
    pub fn take(&self) -> Option<SigningKey> {
        self.keys.lock().pop()
    }

    pub fn is_full(&self) -> bool {
        self.keys.lock().len() >= self.capacity
    }

    /// Makes one key unless full. Blocks while it does.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn refill_one(&self) -> Result<(), PkiError> {
        if !self.is_full() {
            let key = SigningKey::generate_rsa()?;
            self.keys.lock().push(key);
            self.filled.store(true, Ordering::Release);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_are_published_without_private_parts() {
        for key in [SigningKey::generate_ecdsa().unwrap(), SigningKey::generate_rsa().unwrap()] {
            let again = SigningKey::from_pem(&key.to_pem()).unwrap();
            assert_eq!(again.key_id, key.key_id);
            let jwk = key.to_jwk();
            assert_eq!(jwk.str_at(&["use"]), "sig");
            assert_eq!(jwk.str_at(&["kid"]), key.key_id);
            assert_eq!(jwk.str_at(&["alg"]), key.algorithm_name());
            assert!(jwk.get("d").is_none());
        }
    }
}
