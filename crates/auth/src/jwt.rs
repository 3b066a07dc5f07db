//! Tokens of issuers that an [`AuthenticationConfiguration`](crate::config::AuthenticationConfiguration) trusts.
//!
//! As upstream's OIDC authenticator: the token's issuer, audience, time and signature are checked, then its claims become
//! a user. The issuer's keys are the caller's to fetch; a token whose key is not among them says so, since it may be a
//! new one. Groups that are elsewhere ([`distributed`]) are the caller's to fetch as well.

pub mod distributed;
mod keys;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

pub use distributed::Source;
pub use keys::KeySet;

use crate::config::{ClaimMapping, JwtAuthenticator, user_variable};
use crate::tokens::{CREDENTIAL_ID, TokenError};
use crate::user::UserInfo;

/// Clocks of issuers may be ahead a little.
const NOT_BEFORE_LEEWAY: i64 = 300;

/// What a token says.
pub type Claims = Map<String, Value>;

/// What became of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtError {
    /// None of the keys signed it. Newer keys may have.
    UnknownKey,
    Refused(TokenError),
}

impl JwtError {
    /// What is said when there are no newer keys.
    pub fn into_refusal(self) -> TokenError {
        match self {
            Self::UnknownKey => TokenError(
                "oidc: verify token: failed to verify signature: failed to verify id token signature"
                    .to_owned(),
            ),
            Self::Refused(error) => error,
        }
    }
}

fn refused(why: impl Into<String>) -> JwtError {
    JwtError::Refused(TokenError(format!("oidc: {}", why.into())))
}

impl JwtAuthenticator {
    /// Whether the token says that it is of this issuer.
    pub fn is_issuer_of(&self, token: &str) -> bool {
        claims(token).is_some_and(|claims| issuer(&claims) == Some(self.issuer.url.as_str()))
    }

    /// Checks everything of a token but its signature: what is refused here needs no keys.
    ///
    /// # Errors
    /// Another audience, or another time. Seconds since 1970 are what time is.
    pub fn check_claims(&self, token: &str, now: i64) -> Result<(), TokenError> {
        let claims = claims(token).unwrap_or_default();
        self.check_audience(&claims)
            .and_then(|()| check_time(&claims, now))
            .map_err(|why| TokenError(format!("oidc: verify token: {why}")))
    }

    /// The claims of a token that passed [`JwtAuthenticator::check_claims`].
    ///
    /// # Errors
    /// When none of the keys signed it.
    pub fn claims(&self, keys: &KeySet, token: &str) -> Result<Claims, JwtError> {
        keys.verified(token)
    }

    /// The user that verified claims make.
    ///
    /// # Errors
    /// When they make none.
    pub fn user(&self, claims: &Claims) -> Result<UserInfo, JwtError> {
        let variable = Value::Object(claims.clone());
        let mut user = UserInfo { name: self.user_name(claims, &variable)?, ..UserInfo::default() };
        user.groups = self.user_groups(claims, &variable)?;
        user.uid = self.user_uid(claims, &variable)?;
        if let Some(id) = claims.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty()) {
            user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={id}")]);
        }
        for (key, expression) in &self.extra {
            let values = expression.texts(&variable).map_err(|why| {
                refused(format!("error evaluating extra claim expression: {}: {why}", expression.source()))
            })?;
            if !values.is_empty() {
                user.extra.insert(key.clone(), values);
            }
        }
        for (name, wanted) in &self.required_claims {
            check_required(claims, name, wanted)?;
        }
        for rule in &self.claim_rules {
            let outcome = rule.check(&variable);
            outcome.map_err(|why| refused(format!("error evaluating claim validation expression: {why}")))?;
        }
        if !self.user_rules.is_empty() {
            let variable = user_variable(&user);
            for rule in &self.user_rules {
                let outcome = rule.check(&variable);
                outcome
                    .map_err(|why| refused(format!("error evaluating user info validation rule: {why}")))?;
            }
        }
        Ok(user)
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), String> {
        let own = audiences(claims);
        let wanted = &self.issuer.audiences;
        if wanted.iter().any(|audience| own.contains(&audience.as_str())) {
            return Ok(());
        }
        let quoted =
            |list: &[&str]| list.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" ");
        let got = quoted(&own);
        match wanted.as_slice() {
            [one] => Err(format!("oidc: expected audience {one:?} got [{got}]")),
            many => {
                let mut sorted: Vec<&str> = many.iter().map(String::as_str).collect();
                sorted.sort_unstable();
                Err(format!("oidc: expected audience in [{}] got [{got}]", quoted(&sorted)))
            }
        }
    }

    fn user_name(&self, claims: &Map<String, Value>, variable: &Value) -> Result<String, JwtError> {
        let (name, prefix) = match &self.username {
            ClaimMapping::Claim { claim, prefix } => (claim, prefix),
            ClaimMapping::Expression(expression) => {
                let name = expression.text(variable, "username");
                return match name {
                    Ok(name) if name.is_empty() => {
                        Err(refused("empty username via CEL expression is not allowed"))
                    }
                    name => name
                        .map_err(|why| refused(format!("error evaluating username claim expression: {why}"))),
                };
            }
        };
        let value =
            text(claims, name).map_err(|why| refused(format!("parse username claims {name:?}: {why}")))?;
        if name == "email" {
            match claims.get("email_verified") {
                None | Some(Value::Bool(true)) => {}
                Some(Value::Bool(false)) => return Err(refused("email not verified")),
                Some(_) => return Err(refused("parse 'email_verified' claim: it is no boolean")),
            }
        }
        Ok(format!("{prefix}{value}"))
    }

    fn user_groups(&self, claims: &Map<String, Value>, variable: &Value) -> Result<Vec<String>, JwtError> {
        let (claim, prefix) = match &self.groups {
            None => return Ok(Vec::new()),
            Some(ClaimMapping::Claim { claim, prefix }) => (claim, prefix),
            Some(ClaimMapping::Expression(expression)) => {
                let groups = expression.texts(variable);
                return groups
                    .map_err(|why| refused(format!("error evaluating group claim expression: {why}")));
            }
        };
        let wrong = || refused(format!("parse groups claim {claim:?}: it is no string or list of strings"));
        let prefixed =
            |value: &Value| value.as_str().map(|group| format!("{prefix}{group}")).ok_or_else(wrong);
        match claims.get(claim) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(groups)) => groups.iter().map(prefixed).collect(),
            Some(one) => Ok(vec![prefixed(one)?]),
        }
    }

    fn user_uid(&self, claims: &Map<String, Value>, variable: &Value) -> Result<String, JwtError> {
        match &self.uid {
            None => Ok(String::new()),
            Some(ClaimMapping::Claim { claim, .. }) => text(claims, claim)
                .map(str::to_owned)
                .map_err(|why| refused(format!("parse uid claim {claim:?}: {why}"))),
            Some(ClaimMapping::Expression(expression)) => expression
                .text(variable, "uid")
                .map_err(|why| refused(format!("error evaluating uid claim expression: {why}"))),
        }
    }
}

/// The claims of a token, whoever signed it.
fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn issuer(claims: &Map<String, Value>) -> Option<&str> {
    match claims.get("iss")?.as_str()? {
        // Google's tokens leave it out.
        "accounts.google.com" => Some("https://accounts.google.com"),
        issuer => Some(issuer),
    }
}

fn audiences(claims: &Map<String, Value>) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn check_time(claims: &Map<String, Value>, now: i64) -> Result<(), String> {
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64).map(|number| number as i64);
    let expires = seconds("exp").unwrap_or(0);
    if expires < now {
        let at = jiff::Timestamp::from_second(expires).unwrap_or_default();
        let shown = at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC");
        return Err(format!("oidc: token is expired (Token Expiry: {shown})"));
    }
    match seconds("nbf") {
        Some(not_before) if now + NOT_BEFORE_LEEWAY < not_before => {
            Err("oidc: current time is before the nbf (not before) time".to_owned())
        }
        _ => Ok(()),
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<&'a str, &'static str> {
    claims.get(name).ok_or("claim not present")?.as_str().ok_or("it is no string")
}

fn check_required(claims: &Map<String, Value>, name: &str, wanted: &str) -> Result<(), JwtError> {
    if !claims.contains_key(name) {
        return Err(refused(format!("required claim {name} not present in ID token")));
    }
    let got = text(claims, name).map_err(|why| refused(format!("parse claim {name}: {why}")))?;
    if got != wanted {
        return Err(refused(format!(
            "required claim {name} value does not match. Got = {got}, want = {wanted}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;
    use serde_json::json;

    use super::*;
    use crate::config::AuthenticationConfiguration;
    use crate::tokens::SigningKey;

    fn authenticator() -> JwtAuthenticator {
        let document = value!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": {"url": "https://id.example", "audiences": ["kube"]},
                "claimValidationRules": [{"claim": "hd", "requiredValue": "x"}],
                "claimMappings": {
                    "username": {"claim": "email", "prefix": "id:"},
                    "groups": {"claim": "groups", "prefix": "g:"},
                    "uid": {"claim": "sub"},
                },
            }],
        });
        AuthenticationConfiguration::parse(&document, &[], 36).unwrap().jwt.remove(0)
    }

    fn keys(key: &SigningKey) -> KeySet {
        let mut set = drydock_machinery::Value::object();
        set.set(&["keys"], vec![value!({"kty": "unheard of"}), key.to_jwk()]);
        KeySet::parse(&set.to_json()).unwrap()
    }

    fn token(key: &SigningKey, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({
            "iss": "https://id.example", "aud": "kube", "exp": 2_000, "sub": "u1", "jti": "t1", "hd": "x",
            "email": "ann@example", "groups": ["dev", "ops"],
        });
        change(&mut claims);
        key.sign(&claims).unwrap()
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Value), expected: Result<(&str, &[&str]), &str>) {
        let (key, authenticator) = (SigningKey::generate_ecdsa().unwrap(), authenticator());
        let token = token(&key, change);
        assert!(authenticator.is_issuer_of(&token));
        let user = authenticator.check_claims(&token, 1_000).and_then(|()| {
            let claims = authenticator.claims(&keys(&key), &token);
            claims.and_then(|claims| authenticator.user(&claims)).map_err(JwtError::into_refusal)
        });
        let user = user.as_ref().map(|user| (user.name.as_str(), user.groups.clone()));
        let expected = expected.map(|(name, groups)| (name, groups.iter().map(|&g| g.to_owned()).collect()));
        assert_eq!(user.map_err(|error| error.0.as_str()), expected);
    }

    #[test]
    fn claims_become_a_user() {
        check(|_| {}, Ok(("id:ann@example", &["g:dev", "g:ops"])));
        check(|claims| claims["groups"] = json!("dev"), Ok(("id:ann@example", &["g:dev"])));
        check(|claims| claims["email_verified"] = json!(false), Err("oidc: email not verified"));
        check(
            |claims| claims["groups"] = json!([1]),
            Err("oidc: parse groups claim \"groups\": it is no string or list of strings"),
        );
        check(
            |claims| claims["hd"] = json!("y"),
            Err("oidc: required claim hd value does not match. Got = y, want = x"),
        );
    }

    #[test]
    fn expressions_make_and_judge_a_user() {
        let document = value!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": {"url": "https://id.example", "audiences": ["kube"]},
                "claimValidationRules": [
                    {"expression": "claims.exp - claims.nbf <= 86400", "message": "tokens live for a day at most"},
                ],
                "claimMappings": {
                    "username": {"expression": "claims.sub + (claims.?email_verified.orValue(false) ? ':v' : '')"},
                    "groups": {"expression": "claims.groups.filter(g, g != 'ops').map(g, 'g:' + g)"},
                    "uid": {"expression": "string(claims.exp)"},
                    "extra": [{"key": "example.org/hd", "valueExpression": "claims.hd"}],
                },
                "userValidationRules": [
                    {"expression": "!user.username.startsWith('system:')", "message": "is reserved"},
                ],
            }],
        });
        let authenticator = AuthenticationConfiguration::parse(&document, &[], 36).unwrap().jwt.remove(0);
        let key = SigningKey::generate_ecdsa().unwrap();
        let user = |change: fn(&mut Value)| {
            let token = token(&key, |claims| {
                claims["nbf"] = json!(1);
                change(claims);
            });
            let claims = authenticator.claims(&keys(&key), &token);
            claims.and_then(|claims| authenticator.user(&claims)).map_err(|error| error.into_refusal().0)
        };
        let ann = user(|claims| claims["email_verified"] = json!(true)).unwrap();
        assert_eq!((ann.name.as_str(), &ann.groups[..]), ("u1:v", &["g:dev".to_owned()][..]));
        assert_eq!((ann.uid.as_str(), &ann.extra["example.org/hd"][..]), ("2000", &["x".to_owned()][..]));
        let long = user(|claims| claims["exp"] = json!(100_000)).unwrap_err();
        assert_eq!(
            long,
            "oidc: error evaluating claim validation expression: validation expression 'claims.exp - claims.nbf <= 86400' \
             failed: tokens live for a day at most"
        );
        let reserved = user(|claims| claims["sub"] = json!("system:admin")).unwrap_err();
        assert!(reserved.contains("error evaluating user info validation rule"), "{reserved}");
        assert!(reserved.ends_with("failed: is reserved"), "{reserved}");
    }

    #[test]
    fn others_tokens_are_refused() {
        check(
            |claims| claims["aud"] = json!(["other"]),
            Err("oidc: verify token: oidc: expected audience \"kube\" got [\"other\"]"),
        );
        check(
            |claims| claims["exp"] = json!(999),
            Err("oidc: verify token: oidc: token is expired (Token Expiry: 1970-01-01 00:16:39 +0000 UTC)"),
        );
        check(
            |claims| claims["nbf"] = json!(1_301),
            Err("oidc: verify token: oidc: current time is before the nbf (not before) time"),
        );
        let authenticator = authenticator();
        assert!(!authenticator.is_issuer_of("garbage"));
        let (own, other) = (SigningKey::generate_ecdsa().unwrap(), SigningKey::generate_ecdsa().unwrap());
        assert_eq!(authenticator.claims(&keys(&other), &token(&own, |_| {})), Err(JwtError::UnknownKey));
    }
}
