//! The kubeconfig that says where a webhook is, and what the API server shows to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_machinery::{FieldErrors, Value};

use super::Fields;

/// A webhook's server, and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookServer {
    /// `https://HOST[:PORT][/PATH]`
    pub url: String,
    /// The name in its certificate, unless that is the host's.
    pub server_name: Option<String>,
    /// PEM. None: the system's authorities.
    pub certificate_authority: Option<String>,
    pub credential: ClientCredential,
}

/// What the API server shows of itself.
#[derive(Clone, PartialEq, Eq)]
pub enum ClientCredential {
    None,
    /// PEM.
    Certificate {
        certificate: String,
        key: String,
    },
    /// The value of the `Authorization` header.
    Header(String),
}

/// Credentials do not belong into logs.
impl std::fmt::Debug for WebhookServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebhookServer({})", self.url)
    }
}

/// Reads the kubeconfig that is the field `name` of `fields`: its current context's cluster and user.
pub(super) fn read(
    fields: &mut Fields<'_>,
    name: &'static str,
    errors: &mut FieldErrors,
) -> Option<WebhookServer> {
    let path = fields.child(name);
    let Some(document) = fields.value(name) else {
        errors.required(&path, "a kubeconfig that names the webhook's server");
        return None;
    };
    let mut config = Fields::of(document, path.clone(), errors)?;
    let context = config.text("current-context", errors);
    if context.is_empty() {
        errors.required(&path.child("current-context"), "");
        return None;
    }
    let context = named(document, "contexts", "context", context)
        .ok_or_else(|| errors.not_found(&path.child("current-context"), context))
        .ok()?;
    let cluster_name = context.str_at(&["cluster"]);
    let (i, cluster) = entry(document, "clusters", cluster_name)
        .ok_or_else(|| errors.not_found(&path.child("contexts"), cluster_name))
        .ok()?;
    let cluster = Fields::of(
        cluster.get("cluster").unwrap_or(&Value::Null),
        path.child("clusters").index(i).child("cluster"),
        errors,
    )?;
    let (url, server_name, certificate_authority) = read_cluster(cluster, errors);
    let user_name = context.str_at(&["user"]);
    let credential = match entry(document, "users", user_name) {
        Some((i, user)) => {
            let path = path.child("users").index(i).child("user");
            match user.get("user").filter(|user| !user.is_null()) {
                Some(user) => read_user(Fields::of(user, path, errors)?, errors),
                None => ClientCredential::None,
            }
        }
        None if user_name.is_empty() => ClientCredential::None,
        None => {
            errors.not_found(&path.child("contexts"), user_name);
            ClientCredential::None
        }
    };
    Some(WebhookServer { url, server_name, certificate_authority, credential })
}

fn entry<'a>(document: &'a Value, list: &str, name: &str) -> Option<(usize, &'a Value)> {
    document.array_at(&[list]).iter().enumerate().find(|(_, entry)| entry.str_at(&["name"]) == name)
}

fn named<'a>(document: &'a Value, list: &str, field: &str, name: &str) -> Option<&'a Value> {
    entry(document, list, name).and_then(|(_, entry)| entry.get(field))
}

fn read_cluster(
    mut fields: Fields<'_>,
    errors: &mut FieldErrors,
) -> (String, Option<String>, Option<String>) {
    let url = fields.text("server", errors).to_owned();
    if url.is_empty() {
        errors.required(&fields.child("server"), "");
    } else if url.strip_prefix("https://").is_none_or(|rest| rest.starts_with(['/', ':']) || rest.is_empty())
    {
        errors.invalid(&fields.child("server"), url.as_str(), "must be of the form https://HOST[:PORT]/PATH");
    }
    let server_name = fields.given_text("tls-server-name", errors).map(str::to_owned);
    let authority = data(&mut fields, "certificate-authority-data", errors);
    if authority.as_deref().is_some_and(|pem| crate::pki::certificates_der(pem).is_err()) {
        let why = "must be certificates in PEM, in base64";
        errors.invalid(&fields.child("certificate-authority-data"), "<omitted>", why);
    }
    refuse_file(&mut fields, "certificate-authority", errors);
    if fields.flag("insecure-skip-tls-verify", errors) == Some(true) {
        let why = "a webhook that decides who may come in must prove who it is";
        errors.forbidden(&fields.child("insecure-skip-tls-verify"), why);
    }
    fields.finish(errors);
    (url, server_name, authority)
}

fn read_user(mut fields: Fields<'_>, errors: &mut FieldErrors) -> ClientCredential {
    let certificate = data(&mut fields, "client-certificate-data", errors);
    let key = data(&mut fields, "client-key-data", errors);
    let token = fields.given_text("token", errors).filter(|token| !token.is_empty());
    let (user, password) = (fields.text("username", errors), fields.text("password", errors));
    for name in ["client-certificate", "client-key", "tokenFile"] {
        refuse_file(&mut fields, name, errors);
    }
    let path = fields.path().clone();
    fields.finish(errors);
    match (certificate, key, token) {
        (Some(certificate), Some(key), _) => ClientCredential::Certificate { certificate, key },
        (Some(_), None, _) => {
            errors.required(&path.child("client-key-data"), "");
            ClientCredential::None
        }
        (None, Some(_), _) => {
            errors.required(&path.child("client-certificate-data"), "");
            ClientCredential::None
        }
        (None, None, Some(token)) => ClientCredential::Header(format!("Bearer {token}")),
        (None, None, None) if !user.is_empty() => {
            ClientCredential::Header(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        }
        (None, None, None) => ClientCredential::None,
    }
}

/// What is in the document in base64, decoded.
fn data(fields: &mut Fields<'_>, name: &'static str, errors: &mut FieldErrors) -> Option<String> {
    let text = fields.given_text(name, errors).filter(|text| !text.is_empty())?;
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    if decoded.is_none() {
        errors.invalid(&fields.child(name), "<omitted>", "must be PEM in base64");
    }
    decoded
}

/// The service reads no files of the machine that it runs on.
fn refuse_file(fields: &mut Fields<'_>, name: &'static str, errors: &mut FieldErrors) {
    if fields.given_text(name, errors).is_some_and(|path| !path.is_empty()) {
        let inline = if name == "tokenFile" { "token".to_owned() } else { format!("{name}-data") };
        errors.forbidden(&fields.child(name), format!("files are not read here; use {inline}"));
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::super::TokenWebhook;
    use super::*;

    #[test]
    fn the_current_context_says_where_and_as_whom() {
        let mut document = value!({"kubeConfig": {
            "current-context": "w",
            "contexts": [{"name": "w", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "other", "cluster": {}}, {"name": "c", "cluster": {"server": "https://w.example/t"}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
        }});
        let webhook = TokenWebhook::parse(&document).unwrap();
        assert_eq!(webhook.server.url, "https://w.example/t");
        assert!(webhook.server.credential == ClientCredential::Header("Bearer secret".into()));
        assert_eq!(webhook.cache_ttl.as_secs(), 120);
        assert_eq!(format!("{webhook:?}").find("secret"), None);

        document.set(
            &["kubeConfig", "clusters"],
            vec![value!({"name": "c", "cluster": {
                "server": "http://w.example", "certificate-authority": "/ca.pem", "insecure-skip-tls-verify": true}})],
        );
        document.set(&["kubeConfig", "users"], vec![value!({"name": "u", "user": {"exec": {}}})]);
        let errors: Vec<String> =
            TokenWebhook::parse(&document).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "kubeConfig.clusters[0].cluster.server: Invalid value: \"http://w.example\": must be of the form https://HOST[:PORT]/PATH",
                "kubeConfig.clusters[0].cluster.certificate-authority: Forbidden: files are not read here; use certificate-authority-data",
                "kubeConfig.clusters[0].cluster.insecure-skip-tls-verify: Forbidden: a webhook that decides who may come in must prove who it is",
                "kubeConfig.users[0].user.exec: Forbidden: unknown field",
            ]
        );
    }
}
