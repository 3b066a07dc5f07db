//! Issuers of tokens: who they are, where their keys are, and whom their tokens are for.

use drydock_machinery::{FieldErrors, FieldPath};

use super::Fields;
use super::authentication::JwtAuthenticator;

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

impl Issuer {
    /// One of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self { url: String::new(), discovery_url: None, certificate_authority: None, audiences: Vec::new() }
    }
}

pub(super) fn read_issuer(
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
