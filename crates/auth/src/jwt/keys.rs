//! An issuer's public keys, and what they signed.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use super::{Claims, JwtError, refused};

/// What issuers may sign with, besides [`ES512`].
const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// ECDSA on P-521, which the library for all others does not have.
const ES512: &str = "ES512";
/// Bytes of a coordinate on P-521.
const P521: usize = 66;

/// An issuer's public keys. Cheap to clone.
#[derive(Clone, Default)]
pub struct KeySet(std::sync::Arc<[(Option<String>, Key)]>);

enum Key {
    Known(DecodingKey),
    /// An uncompressed point.
    P521(Vec<u8>),
}

impl KeySet {
    /// Reads a JWK set. Keys of unknown kinds are passed over.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let tree: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let keys = tree.get("keys").and_then(Value::as_array).ok_or("it has no list of keys")?;
        let read = keys.iter().filter_map(|key| {
            if key["crv"] == "P-521" {
                let id = key["kid"].as_str().map(str::to_owned);
                return Some((id, Key::P521(point(key)?)));
            }
            // One by one, so that a key of a kind that is not known harms no other.
            let set = serde_json::json!({ "keys": [key] });
            let jwk = serde_json::from_value::<JwkSet>(set).ok()?.keys.into_iter().next()?;
            let decoding = DecodingKey::from_jwk(&jwk).ok()?;
            Some((jwk.common.key_id, Key::Known(decoding)))
        });
        Ok(Self(read.collect()))
    }

    /// The claims of a token that one of the keys signed. Issuer, audience and time are the caller's to check.
    pub(super) fn verified(&self, token: &str) -> Result<Claims, JwtError> {
        let header = header(token).ok_or_else(|| malformed("its header cannot be read"))?;
        let (algorithm, id) = (header["alg"].as_str().unwrap_or(""), header["kid"].as_str());
        let fitting =
            self.0.iter().filter(|(own, _)| id.is_none() || id == own.as_deref()).map(|(_, key)| key);
        if algorithm == ES512 {
            return es512(fitting, token);
        }
        let algorithm = algorithm.parse().ok().filter(|algorithm| ALGORITHMS.contains(algorithm));
        let algorithm = algorithm.ok_or_else(|| {
            let got = header["alg"].as_str().unwrap_or("");
            refused(format!("verify token: oidc: id token signed with unsupported algorithm, got {got}"))
        })?;
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let mut known = fitting.filter_map(|key| match key {
            Key::Known(key) => Some(key),
            Key::P521(_) => None,
        });
        known
            .find_map(|key| jsonwebtoken::decode::<Claims>(token, key, &validation).ok())
            .map(|data| data.claims)
            .ok_or(JwtError::UnknownKey)
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySet({} keys)", self.0.len())
    }
}

fn malformed(why: &str) -> JwtError {
    refused(format!("verify token: oidc: malformed jwt: {why}"))
}

fn header(token: &str) -> Option<Value> {
    let header = token.split('.').next()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()
}

fn es512<'a>(keys: impl Iterator<Item = &'a Key>, token: &str) -> Result<Claims, JwtError> {
    let (signed, signature) = token.rsplit_once('.').ok_or_else(|| malformed("it has no signature"))?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|error| malformed(&error.to_string()))?;
    let mut points = keys.filter_map(|key| match key {
        Key::P521(point) => Some(point),
        Key::Known(_) => None,
    });
    let signer = points.find(|point| {
        let key = UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point);
        key.verify(signed.as_bytes(), &signature).is_ok()
    });
    signer.ok_or(JwtError::UnknownKey)?;
    super::claims(token).ok_or_else(|| malformed("its claims cannot be read"))
}

/// Coordinates may lack zeros at their beginning.
fn point(key: &Value) -> Option<Vec<u8>> {
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok()?;
        let missing = P521.checked_sub(coordinate.len())?;
        point.extend(std::iter::repeat_n(0, missing));
        point.extend(coordinate);
    }
    Some(point)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_may_be_signed_on_p521() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(P521);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = json!({"kty": "EC", "crv": "P-521", "kid": "k", "x": encode(x), "y": encode(y)});
        let keys = KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).unwrap();
        let token = |kid: &str, claims: Value| {
            let header = json!({"alg": "ES512", "kid": kid}).to_string();
            let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
            let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", encode(signature.as_ref()))
        };
        assert_eq!(keys.verified(&token("k", json!({"sub": "ann"}))).unwrap()["sub"], "ann");
        assert_eq!(keys.verified(&token("other", json!({}))), Err(JwtError::UnknownKey));
        let forged = token("k", json!({"sub": "ann"}));
        let (_, signature) = forged.rsplit_once('.').unwrap();
        let header = forged.split('.').next().unwrap();
        let forged = format!("{header}.{}.{signature}", encode(br#"{"sub":"bob"}"#));
        assert_eq!(keys.verified(&forged), Err(JwtError::UnknownKey));
    }
}
