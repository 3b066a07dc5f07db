//! The `Idempotency-Key` header: the same request with the same key is done once.

use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::service::operation::Idempotency;

use super::problem::Problem;

const HEADER: &str = "idempotency-key";

/// The key, and a fingerprint of what it is for.
pub(super) fn key(headers: &HeaderMap, path: &str, body: &[u8]) -> Result<Option<Idempotency>, Problem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let Some(key) = key else {
        return Err(Problem::malformed("Idempotency-Key must be 1 to 255 visible ASCII characters"));
    };
    let mut hash = Sha256::new();
    hash.update(path.as_bytes());
    hash.update([0]);
    hash.update(body);
    let fingerprint = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint }))
}
