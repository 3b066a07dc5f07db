//! Settings of a cluster that may be changed while it runs: documents in upstream's formats, checked before they are
//! recorded, so that what is recorded can be used.

use drydock_auth::audit::Policy;
use drydock_auth::config::{AuthenticationConfiguration, AuthorizationConfiguration, Settings, TokenWebhook};
use drydock_auth::tokens::TokenConfig;
use drydock_machinery::FieldErrors;
use drydock_scheduler::Configuration;
use serde_json::Value;

use crate::database::cluster::ClusterSettings;

use super::validation::Findings;
use super::version;

/// Documents of this size and above are refused: they are in memory for as long as the cluster runs.
const LARGEST: usize = 256 * 1024;

/// Changes of settings. A document is replaced as a whole; Some(None) goes back to the default.
#[derive(Clone, Debug, Default)]
pub struct SettingsUpdate {
    pub authentication_configuration: Option<Option<Value>>,
    pub token_webhook: Option<Option<Value>>,
    pub authorization_configuration: Option<Option<Value>>,
    pub audit_policy: Option<Option<Value>>,
    pub scheduler_configuration: Option<Option<Value>>,
}

/// What a cluster's control plane is configured with.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub access: Settings,
    pub scheduler: Configuration,
}

impl SettingsUpdate {
    pub(super) fn apply(self, settings: &mut ClusterSettings) {
        let ClusterSettings {
            authentication_configuration,
            token_webhook,
            authorization_configuration,
            audit_policy,
            scheduler_configuration,
        } = settings;
        for (own, change) in [
            (authentication_configuration, self.authentication_configuration),
            (token_webhook, self.token_webhook),
            (authorization_configuration, self.authorization_configuration),
            (audit_policy, self.audit_policy),
            (scheduler_configuration, self.scheduler_configuration),
        ] {
            if let Some(change) = change {
                *own = change;
            }
        }
    }
}

/// Reads the documents, for a cluster of this version, `1.36`.
///
/// # Errors
/// Everything that is wrong with the documents, by the path of the field.
pub fn parse(settings: &ClusterSettings, version: &str) -> Result<Parsed, Findings> {
    let mut findings = Findings::default();
    let minor = version::minor(version);
    let own_issuer = TokenConfig::default().issuer;
    let mut out = Settings::default();
    let authentication = read(
        "authenticationConfiguration",
        settings.authentication_configuration.as_ref(),
        |document| AuthenticationConfiguration::parse(document, &[&own_issuer], minor),
        &mut findings,
    );
    out.authentication = authentication.unwrap_or_default();
    let webhook = settings.token_webhook.as_ref();
    out.token_webhook = read("tokenWebhook", webhook, TokenWebhook::parse, &mut findings);
    let authorization = read(
        "authorizationConfiguration",
        settings.authorization_configuration.as_ref(),
        |document| AuthorizationConfiguration::parse(document, minor),
        &mut findings,
    );
    out.authorization = authorization.unwrap_or_default();
    out.audit_policy = read("auditPolicy", settings.audit_policy.as_ref(), Policy::parse, &mut findings);
    let scheduler = read(
        "schedulerConfiguration",
        settings.scheduler_configuration.as_ref(),
        Configuration::parse,
        &mut findings,
    );
    let parsed = Parsed { access: out, scheduler: scheduler.unwrap_or_default() };
    if findings.0.is_empty() { Ok(parsed) } else { Err(findings) }
}

fn read<T>(
    field: &str,
    document: Option<&Value>,
    parse: impl FnOnce(&drydock_machinery::Value) -> Result<T, FieldErrors>,
    findings: &mut Findings,
) -> Option<T> {
    let document = document?;
    if document.to_string().len() >= LARGEST {
        findings.add(field, format!("must be smaller than {LARGEST} bytes"));
        return None;
    }
    match parse(&document.clone().into()) {
        Ok(parsed) => Some(parsed),
        Err(errors) => {
            for error in errors.iter() {
                findings.add(format!("{field}.{}", error.field), error.body());
            }
            None
        }
    }
}

/// A document as it is shown: without what proves who the API server is.
pub fn shown(document: &Value) -> Value {
    const SECRETS: [&str; 3] = ["token", "password", "client-key-data"];
    match document {
        Value::Object(fields) => {
            let entries = fields.iter().map(|(name, value)| {
                let is_secret = SECRETS.contains(&name.as_str()) && value.is_string();
                (name.clone(), if is_secret { "REDACTED".into() } else { shown(value) })
            });
            Value::Object(entries.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(shown).collect()),
        other => other.clone(),
    }
}
