//! Verifying tokens, and the answers to TokenReviews.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_machinery::{ObjectMeta, Value, value};
use drydock_runtime::wall;
use jsonwebtoken::Validation;

use super::authority::TokenAuthority;
use super::claims::{
    Claims, LEGACY_ACCOUNT, LEGACY_ACCOUNT_UID, LEGACY_ISSUER, LEGACY_NAMESPACE, LEGACY_SECRET, PrivateClaims,
};
use super::{CREDENTIAL_ID, NODE_NAME, NODE_UID, POD_NAME, POD_UID};
use crate::lookup::Reader;
use crate::user::UserInfo;

/// Why a token of this issuer is not accepted. Shown in TokenReviews; plain requests only learn that it was not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenError(pub String);

/// A token that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub user: UserInfo,
    /// The audiences asked for that the token is for.
    pub audiences: Vec<String>,
}

impl TokenAuthority {
    /// Verifies a token for any of `audiences`; for the API server's own when that is empty. None when the token is
    /// no token of this issuer.
    ///
    /// # Errors
    /// When the token is this issuer's, but not good: signature, audience, time, or what it is bound to.
    pub fn verify(
        &self,
        reader: &dyn Reader,
        token: &str,
        audiences: &[String],
    ) -> Result<Option<Verified>, TokenError> {
        let Some(claims) = self.signed_claims(token)? else { return Ok(None) };
        let wanted = if audiences.is_empty() { &self.config.api_audiences } else { audiences };
        let own = match claims.aud.as_slice() {
            [] => self.config.api_audiences.as_slice(),
            own => own,
        };
        let common: Vec<String> = wanted.iter().filter(|audience| own.contains(audience)).cloned().collect();
        if common.is_empty() {
            return Err(TokenError(format!(
                "token audiences {} is invalid for the target audiences {}",
                quoted(own),
                quoted(wanted)
            )));
        }
        let user = match &claims.private {
            Some(private) => {
                check_time(&claims)?;
                check_bound_objects(reader, private)?;
                user(&claims, private)
            }
            None => check_secret(reader, &claims, token)?,
        };
        Ok(Some(Verified { user, audiences: common }))
    }

    /// The claims of a token of this issuer with a good signature.
    fn signed_claims(&self, token: &str) -> Result<Option<Arc<Claims>>, TokenError> {
        if let Some(claims) = self.recall(token) {
            return Ok(Some(claims));
        }
        let Ok(unverified) = jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(token) else {
            return Ok(None);
        };
        if unverified.iss != self.config.issuer && unverified.iss != LEGACY_ISSUER {
            return Ok(None);
        }
        let key_id = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
        let candidates = self.keys.iter().filter(|key| key_id.as_ref().is_none_or(|id| *id == key.key_id));
        for key in candidates {
            // Only the signature; times, audiences and issuer are checked above and below, with upstream's texts.
            let mut validation = Validation::new(key.algorithm);
            validation.validate_exp = false;
            validation.validate_aud = false;
            validation.required_spec_claims.clear();
            if let Ok(data) = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation) {
                let claims = Arc::new(data.claims);
                self.remember(token, claims.clone());
                return Ok(Some(claims));
            }
        }
        Err(TokenError("go-jose/go-jose: error in cryptographic primitive".to_owned()))
    }

    /// The `status` of a TokenReview.
    pub fn review(&self, reader: &dyn Reader, token: &str, audiences: &[String]) -> Value {
        review_status(&self.verify(reader, token, audiences))
    }
}

/// The `status` of a TokenReview, of what verifying the token gave.
pub fn review_status(verified: &Result<Option<Verified>, TokenError>) -> Value {
    match verified {
        Ok(Some(verified)) => value!({
            "authenticated": true,
            "user": verified.user.to_value(),
            "audiences": verified.audiences,
        }),
        Ok(None) => value!({"user": {}, "error": "invalid bearer token"}),
        Err(error) => value!({"user": {}, "error": format!("[invalid bearer token, {error}]")}),
    }
}

fn check_time(claims: &Claims) -> Result<(), TokenError> {
    const LEEWAY: i64 = 60;
    let now = wall::now().as_second();
    if claims.nbf.is_some_and(|not_before| now + LEEWAY < not_before) {
        return Err(TokenError("service account token is not valid yet".to_owned()));
    }
    if claims.exp.is_none_or(|expires| now - LEEWAY > expires) {
        return Err(TokenError("service account token has expired".to_owned()));
    }
    Ok(())
}

/// The account must exist with the token's UID, and so must what the token is bound to.
fn check_bound_objects(reader: &dyn Reader, private: &PrivateClaims) -> Result<(), TokenError> {
    let namespace = &private.namespace;
    check_account(reader, namespace, &private.serviceaccount.name, &private.serviceaccount.uid)?;
    // A pod's node is information, not a bond: the pod goes when its node does.
    let node = private.node.as_ref().filter(|_| private.pod.is_none());
    let bonds = [
        ("secret", "secrets", namespace.as_str(), private.secret.as_ref()),
        ("pod", "pods", namespace.as_str(), private.pod.as_ref()),
        ("node", "nodes", "", node),
    ];
    for (kind, resource, namespace, reference) in bonds {
        let Some(reference) = reference else { continue };
        let object = reader
            .get("", resource, namespace, &reference.name)
            .ok_or_else(|| TokenError("service account token has been invalidated".to_owned()))?;
        if object.uid() != reference.uid {
            return Err(TokenError(format!(
                "{kind} UID ({}) does not match service account {kind} ref claim ({})",
                object.uid(),
                reference.uid
            )));
        }
    }
    Ok(())
}

fn check_account(reader: &dyn Reader, namespace: &str, name: &str, uid: &str) -> Result<(), TokenError> {
    let account = reader
        .get("", "serviceaccounts", namespace, name)
        .ok_or_else(|| TokenError(format!("serviceaccounts {name:?} not found")))?;
    if account.uid() != uid {
        return Err(TokenError(format!(
            "service account UID ({}) does not match claim ({uid})",
            account.uid()
        )));
    }
    Ok(())
}

fn user(claims: &Claims, private: &PrivateClaims) -> UserInfo {
    let mut user = UserInfo::service_account(&private.namespace, &private.serviceaccount.name);
    user.uid.clone_from(&private.serviceaccount.uid);
    let mut extra = |key: &str, value: String| {
        if !value.is_empty() {
            user.extra.insert(key.to_owned(), vec![value]);
        }
    };
    if !claims.jti.is_empty() {
        extra(CREDENTIAL_ID, format!("JTI={}", claims.jti));
    }
    if let Some(pod) = &private.pod {
        extra(POD_NAME, pod.name.clone());
        extra(POD_UID, pod.uid.clone());
    }
    if let Some(node) = &private.node {
        extra(NODE_NAME, node.name.clone());
        extra(NODE_UID, node.uid.clone());
    }
    user
}

/// A token that lives in a secret is good while the secret has it.
fn check_secret(reader: &dyn Reader, claims: &Claims, token: &str) -> Result<UserInfo, TokenError> {
    let text = |key: &str| claims.rest.get(key).and_then(serde_json::Value::as_str).unwrap_or("");
    let (namespace, account) = (text(LEGACY_NAMESPACE), text(LEGACY_ACCOUNT));
    let secret = reader.get("", "secrets", namespace, text(LEGACY_SECRET));
    let held = secret.and_then(|secret| STANDARD.decode(secret.str_at(&["data", "token"])).ok());
    if held.as_deref() != Some(token.as_bytes()) {
        return Err(TokenError("service account token has been invalidated".to_owned()));
    }
    check_account(reader, namespace, account, text(LEGACY_ACCOUNT_UID))?;
    let mut user = UserInfo::service_account(namespace, account);
    text(LEGACY_ACCOUNT_UID).clone_into(&mut user.uid);
    Ok(user)
}

/// Go's `%q` of a list of strings.
fn quoted(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use drydock_machinery::Object;

    use super::*;
    use crate::lookup::testing::Objects;
    use crate::tokens::{SigningKey, TokenConfig};

    fn authority() -> TokenAuthority {
        TokenAuthority::new(TokenConfig::default(), vec![SigningKey::generate_ecdsa().unwrap()])
    }

    fn cluster() -> (Objects, Object) {
        let account = value!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "robot", "namespace": "ns", "uid": "u1"}});
        let mut objects = Objects::default();
        objects.put("serviceaccounts", account.clone());
        objects.put(
            "pods",
            value!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns", "uid": "u2"},
                "spec": {"serviceAccountName": "robot", "nodeName": "n"}}),
        );
        (objects, Object::new(account, 1))
    }

    #[test]
    fn a_bound_token_names_its_pod_and_ends_with_it() {
        let (mut objects, account) = cluster();
        let authority = authority();
        let request = value!({"spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}}});
        let answer = authority.issue(&objects, &account, request).unwrap();
        assert_eq!(answer.i64_at(&["spec", "expirationSeconds"]), Some(3600));
        let token = answer.str_at(&["status", "token"]).to_owned();

        let verified = authority.verify(&objects, &token, &[]).unwrap().unwrap();
        assert_eq!(verified.user.name, "system:serviceaccount:ns:robot");
        assert_eq!(verified.user.extra[POD_NAME], ["p"]);
        assert_eq!(verified.user.extra[NODE_NAME], ["n"]);

        objects.remove("pods", "ns", "p");
        let status = authority.review(&objects, &token, &[]);
        assert_eq!(
            status,
            value!({"user": {}, "error": "[invalid bearer token, service account token has been invalidated]"})
        );
    }

    #[test]
    fn tokens_are_for_their_audiences_only() {
        let (objects, account) = cluster();
        let authority = authority();
        let request = value!({"spec": {"audiences": ["vault", "other"]}});
        let token = authority.issue(&objects, &account, request).unwrap();
        let token = token.str_at(&["status", "token"]);
        assert_eq!(
            authority.verify(&objects, token, &["nobody".to_owned()]).unwrap_err().0,
            r#"token audiences ["vault" "other"] is invalid for the target audiences ["nobody"]"#
        );
        let verified = authority.verify(&objects, token, &["vault".to_owned(), "x".to_owned()]).unwrap();
        assert_eq!(verified.unwrap().audiences, ["vault"]);
    }

    #[test]
    fn tokens_of_others_are_not_known_and_forged_ones_refused() {
        let (objects, account) = cluster();
        let authority = authority();
        assert_eq!(authority.verify(&objects, "garbage", &[]), Ok(None));
        let other = TokenAuthority::new(TokenConfig::default(), vec![SigningKey::generate_ecdsa().unwrap()]);
        let token = other.issue(&objects, &account, value!({})).unwrap();
        assert!(authority.verify(&objects, token.str_at(&["status", "token"]), &[]).is_err());
    }

    #[test]
    fn a_token_in_a_secret_is_good_while_the_secret_has_it() {
        let (mut objects, account) = cluster();
        let authority = authority();
        let token = authority.issue_for_secret(account.value(), "s").unwrap();
        assert!(authority.verify(&objects, &token, &[]).is_err());
        objects.put(
            "secrets",
            value!({"metadata": {"name": "s", "namespace": "ns"}, "data": {"token": STANDARD.encode(&token)}}),
        );
        assert_eq!(authority.verify(&objects, &token, &[]).unwrap().unwrap().user.uid, "u1");
    }

    #[test]
    fn bad_lifetimes_and_bonds_are_refused_in_upstreams_words() {
        let (objects, account) = cluster();
        let authority = authority();
        let check = |spec: Value, message: &str| {
            let mut request = Value::object();
            request.set(&["spec"], spec);
            assert_eq!(authority.issue(&objects, &account, request).unwrap_err().message, message);
        };
        check(
            value!({"expirationSeconds": 60}),
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: may not \
             specify a duration less than 10 minutes",
        );
        let bound = |kind: &str, name: &str, uid: &str| value!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name, "uid": uid}});
        check(bound("Pod", "none", ""), "pods \"none\" not found");
        check(bound("ConfigMap", "x", ""), "cannot bind token to object of type /v1, Kind=ConfigMap");
        check(
            bound("Pod", "p", "u9"),
            "Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference (u9) does not match the \
             UID in record. The object might have been deleted and then recreated",
        );
    }
}
