//! Verifying tokens, and the answers to TokenReviews.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_machinery::{Object, ObjectMeta, Value, value};
use drydock_runtime::wall;
use jiff::Timestamp;
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
    pub notes: Notes,
}

/// What is to be said of a credential besides whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// For the request's audit event.
    pub annotations: Vec<(String, String)>,
    /// For the client.
    pub warnings: Vec<String>,
    /// The secret whose token this is, which has [`LAST_USED`] of another day: namespace and name.
    pub secret_in_use: Option<(String, String)>,
}

impl Verified {
    pub fn new(user: UserInfo, audiences: Vec<String>) -> Self {
        Self { user, audiences, notes: Notes::default() }
    }
}

/// The label of a secret whose token was used, with the day.
pub const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";

/// The label of a secret whose token is good no more.
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

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
        let (user, notes) = match &claims.private {
            Some(private) => {
                check_time(&claims)?;
                self.check_bound_objects(reader, private)?;
                (user(&claims, private), staleness(&claims, private))
            }
            None => self.check_secret(reader, &claims, token)?,
        };
        Ok(Some(Verified { user, audiences: common, notes }))
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

/// Clocks differ by so many seconds.
const LEEWAY: i64 = 60;

fn check_time(claims: &Claims) -> Result<(), TokenError> {
    let now = wall::now().as_second();
    if claims.nbf.is_some_and(|not_before| now + LEEWAY < not_before) {
        return Err(TokenError("service account token is not valid yet".to_owned()));
    }
    if claims.exp.is_none_or(|expires| now - LEEWAY > expires) {
        return Err(TokenError("service account token has expired".to_owned()));
    }
    Ok(())
}

impl TokenAuthority {
    /// The account must exist with the token's UID, and so must what the token is bound to. What is being deleted counts as
    /// gone a moment after it should be.
    fn check_bound_objects(&self, reader: &dyn Reader, private: &PrivateClaims) -> Result<(), TokenError> {
        let namespace = &private.namespace;
        let account = account(reader, namespace, &private.serviceaccount.name, &private.serviceaccount.uid)?;
        if self.is_overdue(&account) {
            let name = &private.serviceaccount.name;
            return Err(TokenError(format!("service account {namespace}/{name} has been deleted")));
        }
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
            if self.is_overdue(&object) {
                return Err(TokenError("service account token has been invalidated".to_owned()));
            }
        }
        Ok(())
    }

    /// Whether the object should have been gone for a while, by the cluster's clock, as its deletion timestamp is.
    fn is_overdue(&self, object: &Object) -> bool {
        let Ok(deleted) = object.str_at(&["metadata", "deletionTimestamp"]).parse::<Timestamp>() else {
            return false;
        };
        self.clock.now().as_second() - LEEWAY > deleted.as_second()
    }

    /// A token that lives in a secret is good while the secret has it.
    fn check_secret(
        &self,
        reader: &dyn Reader,
        claims: &Claims,
        token: &str,
    ) -> Result<(UserInfo, Notes), TokenError> {
        let text = |key: &str| claims.rest.get(key).and_then(serde_json::Value::as_str).unwrap_or("");
        let (namespace, name, secret_name) =
            (text(LEGACY_NAMESPACE), text(LEGACY_ACCOUNT), text(LEGACY_SECRET));
        let refuse = |why: String| Err(TokenError(why));
        let mut user = UserInfo::service_account(namespace, name);
        if user.name != claims.sub {
            return refuse("sub claim is invalid".to_owned());
        }
        let secret = reader.get("", "secrets", namespace, secret_name).filter(|secret| !secret.is_deleting());
        let Some(secret) = secret else { return refuse("Token has been invalidated".to_owned()) };
        let held = STANDARD.decode(secret.str_at(&["data", "token"])).ok();
        if held.as_deref() != Some(token.as_bytes()) {
            return refuse("Token does not match server's copy".to_owned());
        }
        let account = account(reader, namespace, name, text(LEGACY_ACCOUNT_UID))?;
        if account.is_deleting() {
            return refuse(format!("ServiceAccount {namespace}/{name} has been deleted"));
        }
        if secret.label(INVALID_SINCE).is_some_and(|since| !since.is_empty()) {
            return refuse(format!(
                "the token in secret {namespace}/{secret_name} for service account {namespace}/{name} has been marked \
             invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the \
             '{INVALID_SINCE}' label from the secret to temporarily allow use of this token"
            ));
        }
        text(LEGACY_ACCOUNT_UID).clone_into(&mut user.uid);
        Ok((user, self.of_secret(&account, &secret)))
    }

    /// What is to be said of a token in a secret.
    fn of_secret(&self, account: &Object, secret: &Object) -> Notes {
        let own = account.array_at(&["secrets"]).iter().any(|own| own.str_at(&["name"]) == secret.name());
        let mut notes = Notes::default();
        let key = if own {
            notes.warnings.push(
                "Use tokens from the TokenRequest API or manually created secret-based tokens instead of \
             auto-generated secret-based tokens."
                    .to_owned(),
            );
            "authentication.k8s.io/legacy-token-autogenerated-secret"
        } else {
            "authentication.k8s.io/legacy-token-manual-secret"
        };
        notes.annotations.push((key.to_owned(), secret.name().to_owned()));
        let today = self.today();
        if secret.label(LAST_USED) != Some(&today) {
            notes.secret_in_use = Some((secret.namespace().to_owned(), secret.name().to_owned()));
        }
        notes
    }

    /// The day, as [`LAST_USED`] has it.
    pub fn today(&self) -> String {
        self.clock.now().strftime("%Y-%m-%d").to_string()
    }
}

fn account(reader: &dyn Reader, namespace: &str, name: &str, uid: &str) -> Result<Arc<Object>, TokenError> {
    let account = reader
        .get("", "serviceaccounts", namespace, name)
        .ok_or_else(|| TokenError(format!("serviceaccounts {name:?} not found")))?;
    if account.uid() != uid {
        return Err(TokenError(format!(
            "service account UID ({}) does not match claim ({uid})",
            account.uid()
        )));
    }
    Ok(account)
}

/// Tokens that outlive what was asked for are noticed when they do.
fn staleness(claims: &Claims, private: &PrivateClaims) -> Notes {
    let mut notes = Notes::default();
    let now = wall::now().as_second();
    if let Some(warn_after) = private.warnafter.filter(|at| *at != 0 && now > *at) {
        let late = now - warn_after;
        let text = format!("subject: {}, seconds after warning threshold: {late}", claims.sub);
        notes.annotations.push(("authentication.k8s.io/stale-token".to_owned(), text));
    }
    notes
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

/// Go's `%q` of a list of strings.
fn quoted(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
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
    fn a_token_is_not_bound_to_nothing() {
        let (objects, account) = cluster();
        let request = value!({"spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Secret"}}});
        let refused = authority().issue(&objects, &account, request).unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (400, "Name parameter required."));
    }

    #[test]
    fn a_bound_token_ends_when_its_pod_should_be_gone() {
        let (mut objects, account) = cluster();
        let clock = drydock_runtime::Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
        let authority = authority().with_clock(clock.clone());
        let request = value!({"spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}}});
        let token = authority.issue(&objects, &account, request).unwrap();
        let token = token.str_at(&["status", "token"]);
        objects.put(
            "pods",
            value!({"metadata": {"name": "p", "namespace": "ns", "uid": "u2",
                "deletionTimestamp": "2026-01-02T03:04:35Z"}}),
        );
        clock.advance(std::time::Duration::from_secs(90));
        assert!(authority.verify(&objects, token, &[]).is_ok());
        clock.advance(std::time::Duration::from_secs(1));
        let why = authority.verify(&objects, token, &[]).unwrap_err().0;
        assert_eq!(why, "service account token has been invalidated");
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
        let refused = |objects: &Objects| authority.verify(objects, &token, &[]).unwrap_err().0;
        assert_eq!(refused(&objects), "Token has been invalidated");
        let secret = |token: &str, labels: Value| {
            value!({"metadata": {"name": "s", "namespace": "ns", "labels": labels},
                "data": {"token": STANDARD.encode(token)}})
        };
        objects.put("secrets", secret("other", value!({})));
        assert_eq!(refused(&objects), "Token does not match server's copy");
        objects.put("secrets", secret(&token, value!({})));
        let verified = authority.verify(&objects, &token, &[]).unwrap().unwrap();
        assert_eq!(verified.user.uid, "u1");
        assert_eq!(verified.notes.secret_in_use, Some(("ns".to_owned(), "s".to_owned())));
        let manual = ("authentication.k8s.io/legacy-token-manual-secret".to_owned(), "s".to_owned());
        assert_eq!(verified.notes.annotations, [manual]);
        let mut labels = Value::object();
        labels.set(&[LAST_USED], authority.today());
        objects.put("secrets", secret(&token, labels));
        let verified = authority.verify(&objects, &token, &[]).unwrap().unwrap();
        assert_eq!(verified.notes.secret_in_use, None);
        objects.put(
            "secrets",
            secret(&token, value!({"kubernetes.io/legacy-token-invalid-since": "2026-01-01"})),
        );
        assert!(refused(&objects).contains("has been marked invalid"));
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
        let unversioned = value!({"boundObjectRef": {"kind": "Pod", "name": "none"}});
        check(unversioned, "pods \"none\" not found");
        check(bound("Pod", "none", ""), "pods \"none\" not found");
        check(bound("ConfigMap", "x", ""), "cannot bind token to object of type /v1, Kind=ConfigMap");
        check(
            bound("Pod", "p", "u9"),
            "Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference (u9) does not match the \
             UID in record. The object might have been deleted and then recreated",
        );
    }
}
