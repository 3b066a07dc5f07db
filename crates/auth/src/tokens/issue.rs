//! Answering TokenRequests.

use std::sync::Arc;

use drydock_machinery::{FieldErrors, FieldPath, Object, ObjectMeta, Status, Value};
use drydock_runtime::{clock, wall};
use jiff::Timestamp;

use super::authority::TokenAuthority;
use super::claims::{
    Audience, Claims, LEGACY_ACCOUNT, LEGACY_ACCOUNT_UID, LEGACY_ISSUER, LEGACY_NAMESPACE, LEGACY_SECRET,
    PrivateClaims, Reference,
};
use crate::lookup::Reader;
use crate::user::UserInfo;

const DEFAULT_SECONDS: i64 = 3600;
const MIN_SECONDS: i64 = 600;
/// What kubelets ask for. Such tokens outlive the hour by far, for clients that do not reload them, and warn.
const EXTENDABLE_SECONDS: i64 = 3607;
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

impl TokenAuthority {
    /// Answers `request`, a TokenRequest for `service_account`, with spec completed and status filled in. Its metadata
    /// is the caller's business.
    ///
    /// # Errors
    /// Bad lifetimes, and bound objects that do not exist or do not fit, as upstream says it.
    pub fn issue(
        &self,
        reader: &dyn Reader,
        service_account: &Object,
        mut request: Value,
    ) -> Result<Value, Status> {
        let seconds = request.i64_at(&["spec", "expirationSeconds"]).unwrap_or(DEFAULT_SECONDS);
        check_lifetime(seconds)?;
        if request.array_at(&["spec", "audiences"]).is_empty() {
            request.set(&["spec", "audiences"], self.config.api_audiences.clone());
        }
        request.set(&["spec", "expirationSeconds"], seconds);
        let audiences: Vec<String> = request
            .array_at(&["spec", "audiences"])
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();

        let mut private = PrivateClaims {
            namespace: service_account.namespace().to_owned(),
            serviceaccount: reference(service_account),
            ..PrivateClaims::default()
        };
        match request.at(&["spec", "boundObjectRef"]).filter(|bound| !bound.is_null()) {
            Some(bound) => bind(reader, service_account, bound, &mut private)?,
            None => request.set(&["spec", "boundObjectRef"], Value::Null),
        }

        let is_own =
            |asked: &[String]| asked.iter().all(|audience| self.config.api_audiences.contains(audience));
        let now = wall::now().as_second();
        let mut good_for = seconds;
        if seconds == EXTENDABLE_SECONDS && private.pod.is_some() && is_own(&audiences) {
            private.warnafter = Some(now + seconds);
            good_for = EXTENDED_SECONDS;
        }
        let account = UserInfo::service_account(service_account.namespace(), service_account.name());
        let token = self.sign(&Claims {
            aud: Audience::Many(audiences),
            exp: Some(now + good_for),
            iat: Some(now),
            iss: self.config.issuer.clone(),
            jti: uuid::Uuid::new_v4().to_string(),
            private: Some(private),
            nbf: Some(now),
            sub: account.name,
            ..Claims::default()
        })?;
        let expires = Timestamp::from_second(now + seconds).unwrap_or(Timestamp::MAX);
        request.set(&["status", "token"], token);
        request.set(&["status", "expirationTimestamp"], clock::rfc3339(expires));
        Ok(request)
    }

    /// The token for a secret of type `kubernetes.io/service-account-token`: it does not expire, and is good while
    /// the secret holds it.
    ///
    /// # Errors
    /// When signing fails.
    pub fn issue_for_secret(&self, service_account: &Value, secret_name: &str) -> Result<String, Status> {
        let text = |text: &str| serde_json::Value::from(text);
        let rest = [
            (LEGACY_NAMESPACE, text(service_account.namespace())),
            (LEGACY_SECRET, text(secret_name)),
            (LEGACY_ACCOUNT, text(service_account.name())),
            (LEGACY_ACCOUNT_UID, text(service_account.uid())),
        ];
        self.sign(&Claims {
            iss: LEGACY_ISSUER.to_owned(),
            sub: UserInfo::service_account(service_account.namespace(), service_account.name()).name,
            rest: rest.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            ..Claims::default()
        })
    }

    fn sign(&self, claims: &Claims) -> Result<String, Status> {
        self.keys[0]
            .sign(claims)
            .map_err(|error| Status::internal(format!("failed to generate token: {error}")))
    }
}

fn check_lifetime(seconds: i64) -> Result<(), Status> {
    let mut errors = FieldErrors::new();
    let path = FieldPath::new("spec").child("expirationSeconds");
    if seconds < MIN_SECONDS {
        errors.invalid(&path, seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > 1 << 32 {
        errors.invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", &errors))
}

/// Looks up `spec.boundObjectRef` and writes it into the claims.
fn bind(
    reader: &dyn Reader,
    service_account: &Object,
    bound: &Value,
    private: &mut PrivateClaims,
) -> Result<(), Status> {
    let (kind, name) = (bound.str_at(&["kind"]), bound.str_at(&["name"]));
    let namespace = service_account.namespace();
    if name.is_empty() && matches!(kind, "Pod" | "Secret" | "Node") {
        return Err(Status::bad_request("Name parameter required."));
    }
    let find = |resource: &str, namespace: &str| -> Result<Arc<Object>, Status> {
        reader.get("", resource, namespace, name).ok_or_else(|| Status::not_found("", resource, name))
    };
    // The group decides; a version need not be given.
    let gvk = bound.gvk();
    let is_core = gvk.group.is_empty();
    let object = match kind {
        "Pod" if is_core => {
            let pod = find("pods", namespace)?;
            if pod.str_at(&["spec", "serviceAccountName"]) != service_account.name() {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    service_account.name()
                )));
            }
            private.pod = Some(reference(&pod));
            let node = pod.str_at(&["spec", "nodeName"]);
            if !node.is_empty() {
                let uid = reader.get("", "nodes", "", node).map(|node| node.uid().to_owned());
                private.node = Some(Reference { name: node.to_owned(), uid: uid.unwrap_or_default() });
            }
            pod
        }
        "Secret" if is_core => {
            let secret = find("secrets", namespace)?;
            private.secret = Some(reference(&secret));
            secret
        }
        "Node" if is_core => {
            let node = find("nodes", "")?;
            private.node = Some(reference(&node));
            node
        }
        _ => {
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {}/{}, Kind={}",
                gvk.group, gvk.version, gvk.kind
            )));
        }
    };
    let wanted = bound.str_at(&["uid"]);
    if !wanted.is_empty() && wanted != object.uid() {
        let why = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        );
        return Err(Status::conflict("", kind, name, &why));
    }
    Ok(())
}

fn reference(object: &Value) -> Reference {
    Reference { name: object.name().to_owned(), uid: object.uid().to_owned() }
}
