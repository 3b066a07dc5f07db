//! `AuthenticationConfiguration`: which issuers of tokens are trusted, what their claims mean, and where the anonymous
//! may go.

use std::time::Duration;

use drydock_machinery::names_validation::validate_domain_prefixed_path;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::read::Fields;
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
    pub username: ClaimMapping,
    pub groups: Option<ClaimMapping>,
    pub uid_claim: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// What the tokens' `iss` is.
    pub url: String,
    /// Where its discovery document is, unless at `url` + `/.well-known/openid-configuration`.
    pub discovery_url: Option<String>,
    /// PEM. None: the system's authorities.
    pub certificate_authority: Option<String>,
    /// At least one; a token is for any of them.
    pub audiences: Vec<String>,
}

/// What a claim becomes: its value behind a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMapping {
    pub claim: String,
    pub prefix: String,
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
    /// Reads the document. `own_issuers` are those of the cluster's service accounts, which nobody else may be.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(document: &Value, own_issuers: &[&str]) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let mut out = Self::default();
        let kind = "AuthenticationConfiguration";
        if let Some(mut fields) = Fields::document(document, kind, &VERSIONS, &mut errors) {
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
            Issuer {
                url: String::new(),
                discovery_url: None,
                certificate_authority: None,
                audiences: Vec::new(),
            }
        }
    };
    let required_claims = read_rules(&mut fields, errors);
    let (username, groups, uid_claim) = match fields.object("claimMappings", errors) {
        Some(mappings) => read_mappings(mappings, errors),
        None => {
            errors.required(
                &fields.child("claimMappings").child("username"),
                "claim or expression is required",
            );
            (None, None, None)
        }
    };
    for rule in fields.objects("userValidationRules", errors) {
        refuse_expression(&rule.child("expression"), errors);
    }
    fields.finish(errors);
    let nobody = ClaimMapping { claim: String::new(), prefix: String::new() };
    JwtAuthenticator { issuer, required_claims, username: username.unwrap_or(nobody), groups, uid_claim }
}

fn read_issuer(
    mut fields: Fields<'_>,
    own_issuers: &[&str],
    earlier: &[JwtAuthenticator],
    errors: &mut FieldErrors,
) -> Issuer {
    let url = fields.text("url", errors).to_owned();
    let path = fields.child("url");
    if url.is_empty() {
        errors.required(&path, "");
    } else {
        if own_issuers.contains(&url.as_str()) {
            let own = own_issuers.join(" ");
            errors.invalid(
                &path,
                url.as_str(),
                format!("URL must not overlap with disallowed issuers: [{own}]"),
            );
        }
        check_url(&path, &url, errors);
        if earlier.iter().any(|other| other.issuer.url == url) {
            errors.duplicate(&path, url.as_str());
        }
    }
    let discovery_url = fields.given_text("discoveryURL", errors).filter(|url| !url.is_empty());
    if let Some(discovery) = discovery_url {
        let path = fields.child("discoveryURL");
        if !url.is_empty() && url.trim_end_matches('/') == discovery.trim_end_matches('/') {
            errors.invalid(&path, discovery, "discoveryURL must be different from URL");
        }
        check_url(&path, discovery, errors);
        if earlier.iter().any(|other| other.issuer.discovery_url.as_deref() == Some(discovery)) {
            errors.duplicate(&path, discovery);
        }
    }
    let audiences = read_audiences(&mut fields, errors);
    let authority = fields.given_text("certificateAuthority", errors).filter(|pem| !pem.is_empty());
    if authority.is_some_and(|pem| crate::pki::certificates_der(pem).is_err()) {
        let why = "data does not contain any valid RSA or ECDSA certificates";
        errors.invalid(&fields.child("certificateAuthority"), "<omitted>", why);
    }
    let egress = fields.text("egressSelectorType", errors);
    if !matches!(egress, "" | "controlplane" | "cluster") {
        let why = "egress selector must be either controlplane or cluster";
        errors.invalid(&fields.child("egressSelectorType"), egress, why);
    }
    fields.finish(errors);
    Issuer {
        url,
        discovery_url: discovery_url.map(str::to_owned),
        certificate_authority: authority.map(str::to_owned),
        audiences,
    }
}

fn read_audiences(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Vec<String> {
    let audiences = fields.texts("audiences", errors);
    let path = fields.child("audiences");
    if audiences.is_empty() {
        errors.required(&path, format!("at least one {path} is required"));
    }
    for (i, audience) in audiences.iter().enumerate() {
        if audience.is_empty() {
            errors.required(&path.index(i), "");
        }
        if audiences[..i].contains(audience) {
            errors.duplicate(&path.index(i), audience.as_str());
        }
    }
    let policy = fields.text("audienceMatchPolicy", errors);
    let path = fields.child("audienceMatchPolicy");
    if audiences.len() > 1 && policy != "MatchAny" {
        errors.invalid(&path, policy, "audienceMatchPolicy must be MatchAny for multiple audiences");
    }
    if audiences.len() == 1 && !matches!(policy, "" | "MatchAny") {
        let why = "audienceMatchPolicy must be empty or MatchAny for single audience";
        errors.invalid(&path, policy, why);
    }
    audiences
}

fn check_url(path: &FieldPath, url: &str, errors: &mut FieldErrors) {
    let Some(rest) = url.strip_prefix("https://") else {
        errors.invalid(path, url, "URL scheme must be https");
        return;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    if authority.contains('@') {
        errors.invalid(path, url, "URL must not contain a username or password");
    }
    let before_fragment = rest.split('#').next().unwrap_or("");
    if before_fragment.split_once('?').is_some_and(|(_, query)| !query.is_empty()) {
        errors.invalid(path, url, "URL must not contain a query");
    }
    if rest.split_once('#').is_some_and(|(_, fragment)| !fragment.is_empty()) {
        errors.invalid(path, url, "URL must not contain a fragment");
    }
    if authority.is_empty() || rest.contains(char::is_whitespace) {
        errors.invalid(path, url, "URL must name a host");
    }
}

fn read_rules(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Vec<(String, String)> {
    let mut required: Vec<(String, String)> = Vec::new();
    for mut rule in fields.objects("claimValidationRules", errors) {
        let claim = rule.text("claim", errors);
        let value = rule.text("requiredValue", errors);
        let expression = rule.text("expression", errors);
        let message = rule.text("message", errors);
        match (claim, expression) {
            ("", "") => errors.required(rule.path(), "claim or expression is required"),
            ("", _) => refuse_expression(&rule.child("expression"), errors),
            (_, "") => {
                if !message.is_empty() {
                    errors.invalid(&rule.child("message"), message, "may not be specified when claim is set");
                }
                if required.iter().any(|(known, _)| known == claim) {
                    errors.duplicate(&rule.child("claim"), claim);
                }
                required.push((claim.to_owned(), value.to_owned()));
            }
            _ => errors.invalid(rule.path(), claim, "claim and expression can't both be set"),
        }
        rule.finish(errors);
    }
    required
}

type Mappings = (Option<ClaimMapping>, Option<ClaimMapping>, Option<String>);

fn read_mappings(mut fields: Fields<'_>, errors: &mut FieldErrors) -> Mappings {
    let username = fields.object("username", errors);
    if username.is_none() {
        errors.required(&fields.child("username"), "claim or expression is required");
    }
    let username = username.and_then(|mapping| {
        let path = mapping.path().clone();
        let (claim, has_expression) = read_mapping(mapping, errors);
        if claim.is_none() && !has_expression {
            errors.required(&path, "claim or expression is required");
        }
        claim
    });
    let groups = fields.object("groups", errors).and_then(|mapping| read_mapping(mapping, errors).0);
    let uid = fields.object("uid", errors).and_then(|mut uid| {
        let (claim, expression) = (uid.text("claim", errors), uid.text("expression", errors));
        match (claim, expression) {
            (_, "") => {}
            ("", _) => refuse_expression(&uid.child("expression"), errors),
            _ => errors.invalid(uid.path(), "", "claim and expression can't both be set"),
        }
        uid.finish(errors);
        (!claim.is_empty()).then(|| claim.to_owned())
    });
    for mut extra in fields.objects("extra", errors) {
        let key = extra.text("key", errors);
        validate_domain_prefixed_path(errors, &extra.child("key"), key);
        if extra.text("valueExpression", errors).is_empty() {
            errors.required(&extra.child("valueExpression"), "");
        } else {
            refuse_expression(&extra.child("valueExpression"), errors);
        }
        extra.finish(errors);
    }
    fields.finish(errors);
    (username, groups, uid)
}

/// The mapping by a claim, if that is what it is, and whether it has an expression.
fn read_mapping(mut fields: Fields<'_>, errors: &mut FieldErrors) -> (Option<ClaimMapping>, bool) {
    let claim = fields.text("claim", errors);
    let prefix = fields.given_text("prefix", errors);
    let expression = fields.text("expression", errors);
    match (claim, expression) {
        ("", "") => {}
        ("", _) => {
            if let Some(prefix) = prefix {
                let why = "may not be specified when expression is set";
                errors.invalid(&fields.child("prefix"), prefix, why);
            }
            refuse_expression(&fields.child("expression"), errors);
        }
        (_, "") if prefix.is_none() => {
            let why =
                "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
            errors.required(&fields.child("prefix"), why);
        }
        (_, "") => {}
        _ => errors.invalid(fields.path(), "", "claim and expression can't both be set"),
    }
    fields.finish(errors);
    let mapping = ClaimMapping { claim: claim.to_owned(), prefix: prefix.unwrap_or("").to_owned() };
    ((!claim.is_empty()).then_some(mapping), !expression.is_empty())
}

/// An expression that was passed over might let people in whom it was to keep out.
pub(super) fn refuse_expression(path: &FieldPath, errors: &mut FieldErrors) {
    errors.forbidden(path, "expressions are not supported yet");
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    fn refused(document: &Value, expected: &[&str]) {
        let errors = AuthenticationConfiguration::parse(document, &["https://kubernetes.default.svc"]);
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
        let read = AuthenticationConfiguration::parse(&good, &[]).unwrap();
        assert_eq!(read.jwt[0].username, ClaimMapping { claim: "email".into(), prefix: "id:".into() });
        assert_eq!(read.jwt[0].required_claims, [("hd".to_owned(), "example.com".to_owned())]);
        assert_eq!(read.jwt[0].uid_claim.as_deref(), Some("sub"));
        assert!(read.anonymous.allows("/livez") && !read.anonymous.allows("/api"));
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        refused(
            &document(value!({
                "issuer": {"url": "http://id.example", "audiences": ["a", "a"], "certificateAuthority": "x"},
                "claimMappings": {"username": {"claim": "sub"}, "groups": {"expression": "claims.groups"}},
                "extra": 1,
            })),
            &[
                "jwt[0].issuer.url: Invalid value: \"http://id.example\": URL scheme must be https",
                "jwt[0].issuer.audiences[1]: Duplicate value: \"a\"",
                "jwt[0].issuer.audienceMatchPolicy: Invalid value: \"\": audienceMatchPolicy must be MatchAny for multiple audiences",
                "jwt[0].issuer.certificateAuthority: Invalid value: \"<omitted>\": data does not contain any valid RSA or ECDSA certificates",
                "jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing",
                "jwt[0].claimMappings.groups.expression: Forbidden: expressions are not supported yet",
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
            &value!({"kind": "Policy"}),
            &[
                "kind: Unsupported value: \"Policy\": supported values: \"AuthenticationConfiguration\"",
                "apiVersion: Unsupported value: \"\": supported values: \"apiserver.config.k8s.io/v1\", \"apiserver.config.k8s.io/v1beta1\", \"apiserver.config.k8s.io/v1alpha1\"",
            ],
        );
    }
}
