//! Who a request comes from: client certificates and front proxies, and the cluster's own bearer tokens of each kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_machinery::{Object, ObjectMeta as _};
use drydock_runtime::wall;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::front_proxy::FrontProxy;
use crate::lookup::Reader;
use crate::tokens::{CREDENTIAL_ID, TokenAuthority, TokenError, Verified};
use crate::user::{GROUP_AUTHENTICATED, GROUP_UNAUTHENTICATED, UserInfo};

/// Knows one cluster's credentials.
#[derive(Debug)]
pub struct Authenticator {
    tokens: Arc<TokenAuthority>,
    /// By the token's SHA-256, so that comparing takes the same time for all.
    static_tokens: Vec<([u8; 32], UserInfo)>,
    front_proxy: Option<FrontProxy>,
}

impl Authenticator {
    pub fn new(tokens: Arc<TokenAuthority>) -> Self {
        Self { tokens, static_tokens: Vec::new(), front_proxy: None }
    }

    /// Adds a token that stands for `user` for as long as the process runs.
    #[must_use]
    pub fn with_static_token(mut self, token: &str, user: UserInfo) -> Self {
        self.static_tokens.push((Sha256::digest(token.as_bytes()).into(), user));
        self
    }

    /// Believes the `X-Remote-*` headers of who shows a certificate of this authority, in DER. Such a certificate names
    /// no user itself.
    #[must_use]
    pub fn with_front_proxy(mut self, authority: Vec<u8>) -> Self {
        self.front_proxy = Some(FrontProxy::new(authority));
        self
    }

    pub fn tokens(&self) -> &Arc<TokenAuthority> {
        &self.tokens
    }

    /// Whether what the certificate says depends on headers, so that it must be looked at for each request.
    pub fn is_front_proxy(&self, certificate: &[u8]) -> bool {
        self.front_proxy.as_ref().is_some_and(|proxy| proxy.issued(certificate))
    }

    /// The user of who shows this certificate, in DER, which TLS has verified. Headers have names in lower case; those of
    /// front proxies are looked at, for proxies.
    pub fn certificate_user<'a>(
        &self,
        certificate: &[u8],
        headers: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<UserInfo> {
        let user = match self.front_proxy.as_ref().filter(|proxy| proxy.issued(certificate)) {
            Some(proxy) => proxy.user(certificate, headers),
            None => certificate_user(certificate),
        };
        user.map(with_authenticated)
    }

    /// The user of a bearer token of any kind. Only service account tokens know audiences; the others are for the API
    /// server.
    ///
    /// # Errors
    /// When the token is one of this cluster's, but not good. The answer is 401 all the same.
    pub fn verify_token(
        &self,
        reader: &dyn Reader,
        token: &str,
        audiences: &[String],
    ) -> Result<Option<Verified>, TokenError> {
        let for_api_server = self.own_audiences(audiences);
        let known = if for_api_server.is_empty() { None } else { self.known_user(reader, token) };
        let verified = match known {
            Some(user) => Some(Verified::new(user, for_api_server)),
            None => self.tokens.verify(reader, token, audiences)?,
        };
        Ok(verified.map(|verified| Verified { user: with_authenticated(verified.user), ..verified }))
    }

    /// Of the audiences asked for, those that are the API server's own; all of them when none are asked for. Tokens that
    /// know no audiences are for these.
    pub fn own_audiences(&self, asked: &[String]) -> Vec<String> {
        let own = &self.tokens.config().api_audiences;
        let asked = if asked.is_empty() { own } else { asked };
        asked.iter().filter(|name| own.contains(name)).cloned().collect()
    }

    fn known_user(&self, reader: &dyn Reader, token: &str) -> Option<UserInfo> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.static_tokens.iter().find(|(known, _)| *known == digest);
        known.map(|(_, user)| user.clone()).or_else(|| bootstrap_user(reader, token))
    }
}

/// `system:authenticated` belongs to everyone but the anonymous.
pub fn with_authenticated(mut user: UserInfo) -> UserInfo {
    if !user.is_in_group(GROUP_AUTHENTICATED) && !user.is_in_group(GROUP_UNAUTHENTICATED) {
        user.groups.push(GROUP_AUTHENTICATED.to_owned());
    }
    user
}

/// The user a client certificate names: common name, organizations as groups. None without a common name.
pub fn certificate_user(der: &[u8]) -> Option<UserInfo> {
    /// The attribute type that holds a user's UID in certificates.
    const UID: &str = "1.3.6.1.4.1.57683.2";

    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let subject = certificate.subject();
    let text =
        |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or_default().to_owned();
    let name = subject.iter_common_name().next().map(text).filter(|name| !name.is_empty())?;
    let uid = subject.iter_attributes().find(|value| value.attr_type().to_id_string() == UID).map(text);
    let fingerprint: String = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
    Some(UserInfo {
        name,
        uid: uid.unwrap_or_default(),
        groups: subject.iter_organization().map(text).collect(),
        extra: [(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={fingerprint}")])].into(),
    })
}

/// When a certificate, in DER, ends. One that cannot be read has ended.
pub fn certificate_end(der: &[u8]) -> Timestamp {
    let parsed = x509_parser::parse_x509_certificate(der).ok();
    let end = parsed.map(|(_, certificate)| certificate.validity().not_after.timestamp());
    end.map_or(Timestamp::MIN, |end| Timestamp::from_second(end).unwrap_or(Timestamp::MAX))
}

/// The user of a bootstrap token, `id.secret`, which lives in a secret in kube-system.
fn bootstrap_user(reader: &dyn Reader, token: &str) -> Option<UserInfo> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if id.len() != 6 || secret.len() != 16 || !plain(id) || !plain(secret) {
        return None;
    }
    let object = reader.get("", "secrets", "kube-system", &format!("bootstrap-token-{id}"))?;
    let data = |key: &str| decoded(&object, key);
    let is_good = !object.is_deleting()
        && object.str_at(&["type"]) == "bootstrap.kubernetes.io/token"
        && data("token-id") == id
        && Sha256::digest(data("token-secret").as_bytes()) == Sha256::digest(secret.as_bytes())
        && data("usage-bootstrap-authentication") == "true"
        && !is_expired(&data("expiration"));
    if !is_good {
        return None;
    }
    let groups = bootstrap_groups(&data("auth-extra-groups"))?;
    Some(UserInfo { name: format!("system:bootstrap:{id}"), groups, ..UserInfo::default() })
}

/// The groups of a bootstrap token, sorted; None if one of those it has beside the usual one is malformed.
fn bootstrap_groups(extra: &str) -> Option<Vec<String>> {
    const ALL: &str = "system:bootstrappers";
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_good = |group: &str| {
        let name = group.strip_prefix(ALL).and_then(|rest| rest.strip_prefix(':')).unwrap_or("").as_bytes();
        name.len() <= 256
            && name.last().is_some_and(|last| is_part(*last))
            && name.iter().all(|byte| is_part(*byte) || matches!(byte, b':' | b'-'))
    };
    let mut groups = BTreeSet::from([ALL.to_owned()]);
    if !extra.is_empty() {
        for group in extra.split(',') {
            groups.insert(is_good(group).then(|| group.to_owned())?);
        }
    }
    Some(groups.into_iter().collect())
}

fn decoded(secret: &Object, key: &str) -> String {
    STANDARD
        .decode(secret.str_at(&["data", key]))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// An unreadable expiration counts as past.
fn is_expired(expiration: &str) -> bool {
    !expiration.is_empty() && expiration.parse::<Timestamp>().is_ok_and(|at| at <= wall::now())
        || !expiration.is_empty() && expiration.parse::<Timestamp>().is_err()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use drydock_machinery::value;

    use super::*;
    use crate::lookup::testing::Objects;
    use crate::pki::Authority;
    use crate::tokens::{SigningKey, TokenConfig};

    fn authenticator() -> Authenticator {
        let keys = vec![SigningKey::generate_ecdsa().unwrap()];
        Authenticator::new(Arc::new(TokenAuthority::new(TokenConfig::default(), keys)))
    }

    #[test]
    fn a_client_certificate_names_user_and_groups() {
        let authority = Authority::generate("kubernetes").unwrap();
        let issued = authority.issue_client("ann", &["devs", "ops"], Duration::from_secs(600)).unwrap();
        let certificate = issued.certificate_der().unwrap();
        let user = authenticator().certificate_user(&certificate, std::iter::empty()).unwrap();
        assert_eq!(user.name, "ann");
        assert_eq!(user.groups, ["devs", "ops", "system:authenticated"]);
        assert!(user.extra[CREDENTIAL_ID][0].starts_with("X509SHA256="));
    }

    #[test]
    fn bootstrap_tokens_are_good_until_they_expire() {
        let mut objects = Objects::default();
        let check = |objects: &Objects, token: &str| {
            authenticator().verify_token(objects, token, &[]).unwrap().map(|verified| verified.user)
        };
        let secret = |expiration: &str, groups: &str| {
            let encode = |text: &str| STANDARD.encode(text);
            value!({
                "metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"},
                "type": "bootstrap.kubernetes.io/token",
                "data": {
                    "token-id": encode("abcdef"), "token-secret": encode("0123456789abcdef"),
                    "usage-bootstrap-authentication": encode("true"), "expiration": encode(expiration),
                    "auth-extra-groups": encode(groups),
                },
            })
        };
        let (future, workers) = ("2999-01-01T00:00:00Z", "system:bootstrappers:workers");
        objects.put("secrets", secret(future, &format!("{workers},system:bootstrappers:a,{workers}")));
        let user = check(&objects, "abcdef.0123456789abcdef").unwrap();
        assert_eq!(user.name, "system:bootstrap:abcdef");
        let groups = ["system:bootstrappers", "system:bootstrappers:a", workers, "system:authenticated"];
        assert_eq!(user.groups, groups);
        assert_eq!(check(&objects, "abcdef.0123456789abcdeX"), None);
        // One group that is none spoils all.
        for bad in
            ["system:bootstrappers:workers,other", "system:bootstrappers:workers,", "system:bootstrappers:A"]
        {
            objects.put("secrets", secret(future, bad));
            assert_eq!(check(&objects, "abcdef.0123456789abcdef"), None, "{bad}");
        }
        objects.put("secrets", secret("2001-01-01T00:00:00Z", ""));
        assert_eq!(check(&objects, "abcdef.0123456789abcdef"), None);
    }

    #[test]
    fn a_static_token_is_its_user_and_only_for_the_api_server() {
        let authenticator =
            authenticator().with_static_token("s3cret", UserInfo::new("admin", &["system:masters"]));
        let objects = Objects::default();
        let review = |audiences: &[String]| {
            crate::tokens::review_status(&authenticator.verify_token(&objects, "s3cret", audiences))
        };
        assert_eq!(review(&[]).str_at(&["user", "username"]), "admin");
        assert!(!review(&["vault".to_owned()]).bool_at(&["authenticated"]));
    }
}
