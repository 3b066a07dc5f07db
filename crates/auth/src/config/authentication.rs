//! `AuthenticationConfiguration`: which issuers of tokens are trusted, what their claims mean, and where the anonymous
//! may go.

use std::time::Duration;

use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::Fields;
use super::expression::{Expression, Rule};
use super::issuer::{Issuer, read_issuer};
use super::mappings::{ClaimMapping, Mappings, read_mappings, read_rules, read_user_rules};
use super::{WebhookServer, kubeconfig};

const VERSIONS: [&str; 3] =
    ["apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1", "apiserver.config.k8s.io/v1alpha1"];

/// No more issuers than that.
const MAX_ISSUERS: usize = 64;

/// Who may come in besides those whom the cluster itself gave credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticationConfiguration {
    pub jwt: Vec<JwtAuthenticator>,
    pub anonymous: Anonymous,
}

/// Where requests without credentials may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anonymous {
    pub enabled: bool,
    /// Only these paths; everywhere when there are none.
    pub paths: Vec<String>,
}

impl Default for Anonymous {
    fn default() -> Self {
        Self { enabled: true, paths: Vec::new() }
    }
}

impl Anonymous {
    pub fn allows(&self, path: &str) -> bool {
        self.enabled && (self.paths.is_empty() || self.paths.iter().any(|own| own == path))
    }
}

/// One trusted issuer of JSON web tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtAuthenticator {
    pub issuer: Issuer,
    /// Claims that must have a value.
    pub required_claims: Vec<(String, String)>,
    pub claim_rules: Vec<Rule>,
    pub username: ClaimMapping,
    pub groups: Option<ClaimMapping>,
    /// Without a prefix.
    pub uid: Option<ClaimMapping>,
    pub extra: Vec<(String, Expression)>,
    pub user_rules: Vec<Rule>,
}

/// A server that is asked about tokens that nobody else knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenWebhook {
    pub server: WebhookServer,
    /// How long an answer is good for.
    pub cache_ttl: Duration,
}

/// Upstream's `--authentication-token-webhook-cache-ttl`.
const DEFAULT_CACHE_TTL: Duration = Duration::from_secs(120);

impl TokenWebhook {
    /// Reads `{kubeConfig, cacheTtl}`: `kubeConfig` is what upstream's `--authentication-token-webhook-config-file` names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(document: &Value) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let read = Fields::of(document, FieldPath::root(), &mut errors).and_then(|mut fields| {
            let given_ttl = fields.has("cacheTtl");
            let ttl = fields.duration("cacheTtl", &mut errors);
            let server = kubeconfig::read(&mut fields, "kubeConfig", &mut errors);
            fields.finish(&mut errors);
            Some(Self { server: server?, cache_ttl: if given_ttl { ttl } else { DEFAULT_CACHE_TTL } })
        });
        if errors.is_empty() { read.ok_or(errors) } else { Err(errors) }
    }
}

impl AuthenticationConfiguration {
    /// Reads the document for a cluster of Kubernetes 1.`minor_version`. `own_issuers` are those of the cluster's service accounts, which nobody else may be.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(document: &Value, own_issuers: &[&str], minor_version: u32) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let mut out = Self::default();
        let kind = "AuthenticationConfiguration";
        if let Some(fields) = Fields::document(document, kind, &VERSIONS, &mut errors) {
            let mut fields = fields.for_cluster(minor_version);
            let authenticators = fields.objects("jwt", &mut errors);
            if authenticators.len() > MAX_ISSUERS {
                errors.too_many(&fields.child("jwt"), authenticators.len(), MAX_ISSUERS);
            }
            for authenticator in authenticators.into_iter().take(MAX_ISSUERS) {
                let read = read_authenticator(authenticator, own_issuers, &out.jwt, &mut errors);
                out.jwt.push(read);
            }
            if let Some(anonymous) = fields.object("anonymous", &mut errors) {
                out.anonymous = read_anonymous(anonymous, &mut errors);
            }
            fields.finish(&mut errors);
        }
        if errors.is_empty() { Ok(out) } else { Err(errors) }
    }
}

fn read_anonymous(mut fields: Fields<'_>, errors: &mut FieldErrors) -> Anonymous {
    let enabled = fields.flag("enabled", errors).unwrap_or(false);
    let mut paths = Vec::new();
    for mut condition in fields.objects("conditions", errors) {
        paths.push(condition.text("path", errors).to_owned());
        condition.finish(errors);
    }
    if !enabled && !paths.is_empty() {
        let why = "enabled should be set to true when conditions are defined";
        errors.invalid(&fields.child("conditions"), paths.clone(), why);
    }
    fields.finish(errors);
    Anonymous { enabled, paths }
}

fn read_authenticator(
    mut fields: Fields<'_>,
    own_issuers: &[&str],
    earlier: &[JwtAuthenticator],
    errors: &mut FieldErrors,
) -> JwtAuthenticator {
    let issuer = match fields.object("issuer", errors) {
        Some(issuer) => read_issuer(issuer, own_issuers, earlier, errors),
        None => {
            errors.required(&fields.child("issuer").child("url"), "");
            Issuer::unknown()
        }
    };
    let (required_claims, claim_rules) = read_rules(&mut fields, errors);
    let mappings = match fields.object("claimMappings", errors) {
        Some(mappings) => read_mappings(mappings, &claim_rules, errors),
        None => {
            let path = fields.child("claimMappings").child("username");
            errors.required(&path, "claim or expression is required");
            Mappings::default()
        }
    };
    let user_rules = read_user_rules(&mut fields, errors);
    fields.finish(errors);
    let nobody = ClaimMapping::Claim { claim: String::new(), prefix: String::new() };
    JwtAuthenticator {
        issuer,
        required_claims,
        claim_rules,
        username: mappings.username.unwrap_or(nobody),
        groups: mappings.groups,
        uid: mappings.uid,
        extra: mappings.extra,
        user_rules,
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    fn refused(document: &Value, expected: &[&str]) {
        let errors = AuthenticationConfiguration::parse(document, &["https://kubernetes.default.svc"], 36);
        let errors: Vec<String> = errors.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    fn document(jwt: Value) -> Value {
        let mut document =
            value!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"});
        document.set(&["jwt"], vec![jwt]);
        document
    }

    #[test]
    fn a_configuration_is_read() {
        let mut good = document(value!({
            "issuer": {"url": "https://id.example/realm", "audiences": ["a", "b"], "audienceMatchPolicy": "MatchAny"},
            "claimValidationRules": [{"claim": "hd", "requiredValue": "example.com"}],
            "claimMappings": {
                "username": {"claim": "email", "prefix": "id:"},
                "groups": {"claim": "groups", "prefix": ""},
                "uid": {"claim": "sub"},
            },
        }));
        good.set(
            &["anonymous"],
            value!({"enabled": true, "conditions": [{"path": "/livez"}, {"path": "/readyz"}]}),
        );
        let read = AuthenticationConfiguration::parse(&good, &[], 36).unwrap();
        assert_eq!(read.jwt[0].username, ClaimMapping::Claim { claim: "email".into(), prefix: "id:".into() });
        assert_eq!(read.jwt[0].required_claims, [("hd".to_owned(), "example.com".to_owned())]);
        assert_eq!(read.jwt[0].uid, Some(ClaimMapping::Claim { claim: "sub".into(), prefix: String::new() }));
        assert!(read.anonymous.allows("/livez") && !read.anonymous.allows("/api"));
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        refused(
            &document(value!({
                "issuer": {"url": "http://id.example", "audiences": ["a", "a"], "certificateAuthority": "x"},
                "claimMappings": {"username": {"claim": "sub"}, "groups": {"expression": "claims.groups +"}},
                "userValidationRules": [{"expression": "user.username"}],
                "extra": 1,
            })),
            &[
                "jwt[0].issuer.url: Invalid value: \"http://id.example\": URL scheme must be https",
                "jwt[0].issuer.audiences[1]: Duplicate value: \"a\"",
                "jwt[0].issuer.audienceMatchPolicy: Invalid value: \"\": audienceMatchPolicy must be MatchAny for multiple audiences",
                "jwt[0].issuer.certificateAuthority: Invalid value: \"<omitted>\": data does not contain any valid RSA or ECDSA certificates",
                "jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing",
                "jwt[0].claimMappings.groups.expression: Invalid value: \"claims.groups +\": compilation failed: ERROR: \
                 <input>:1:16: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', \
                 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | claims.groups +\n | \
                 ...............^",
                "jwt[0].userValidationRules[0].expression: Invalid value: \"user.username\": must evaluate to bool",
                "jwt[0].extra: Forbidden: unknown field",
            ],
        );
        refused(
            &document(value!({
                "issuer": {"url": "https://kubernetes.default.svc", "audiences": []},
                "claimMappings": {},
            })),
            &[
                "jwt[0].issuer.url: Invalid value: \"https://kubernetes.default.svc\": URL must not overlap with disallowed issuers: [https://kubernetes.default.svc]",
                "jwt[0].issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required",
                "jwt[0].claimMappings.username: Required value: claim or expression is required",
            ],
        );
        refused(
            &document(value!({
                "issuer": {"url": "https://id.example", "audiences": ["a"]},
                "claimMappings": {
                    "username": {"expression": "claims.email"},
                    "extra": [{"key": "x.k8s.io/Y", "valueExpression": "claims.y"}],
                },
            })),
            &[
                "jwt[0].claimMappings.extra[0].key: Invalid value: \"x.k8s.io/Y\": must be lowercase",
                "jwt[0].claimMappings.extra[0].key: Invalid value: \"x.k8s.io/Y\": k8s.io, kubernetes.io and their \
                 subdomains are reserved for Kubernetes use",
                "jwt[0].claimMappings.username.expression: Invalid value: \"claims.email\": claims.email_verified must be \
                 used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or \
                 claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression",
            ],
        );
        refused(
            &value!({"kind": "Policy"}),
            &[
                "kind: Unsupported value: \"Policy\": supported values: \"AuthenticationConfiguration\"",
                "apiVersion: Unsupported value: \"\": supported values: \"apiserver.config.k8s.io/v1\", \"apiserver.config.k8s.io/v1beta1\", \"apiserver.config.k8s.io/v1alpha1\"",
            ],
        );
    }
}
