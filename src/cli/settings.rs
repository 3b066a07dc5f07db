//! Settings of a cluster, from files as upstream's API server and scheduler take them.
//!
//! The service reads no files of its machine: kubeconfigs that a file names, and certificates and keys that those name,
//! are read here and sent along. Paths are relative to the file that has them, as for kubectl.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};

use super::CliError;

#[derive(Args, Debug, Default)]
pub(super) struct SettingsArgs {
    /// AuthenticationConfiguration: issuers of tokens to trust, and where the anonymous may go
    #[arg(long, value_name = "FILE")]
    authentication_config: Option<PathBuf>,
    /// Kubeconfig of a webhook that knows tokens
    #[arg(long, value_name = "FILE")]
    token_webhook: Option<PathBuf>,
    /// How long the token webhook's answers are good for [default: 2m]
    #[arg(long, value_name = "DURATION", requires = "token_webhook")]
    token_webhook_cache_ttl: Option<String>,
    /// AuthorizationConfiguration: who is asked whether a request may go on, and in which order
    #[arg(long, value_name = "FILE")]
    authorization_config: Option<PathBuf>,
    /// Audit policy: what is written to the audit log
    #[arg(long, value_name = "FILE")]
    audit_policy: Option<PathBuf>,
    /// KubeSchedulerConfiguration: the profiles by which pods are scheduled
    #[arg(long, value_name = "FILE")]
    scheduler_config: Option<PathBuf>,
}

/// The names of the settings, as `--unset` takes them, and of their fields.
pub(super) const NAMES: [(&str, &str); 5] = [
    ("authentication-config", "authenticationConfiguration"),
    ("token-webhook", "tokenWebhook"),
    ("authorization-config", "authorizationConfiguration"),
    ("audit-policy", "auditPolicy"),
    ("scheduler-config", "schedulerConfiguration"),
];

impl SettingsArgs {
    /// The fields of a request.
    pub(super) fn fields(&self) -> Result<Map<String, Value>, CliError> {
        let mut fields = Map::new();
        if let Some(file) = &self.authentication_config {
            fields.insert("authenticationConfiguration".to_owned(), document(file)?);
        }
        if let Some(file) = &self.token_webhook {
            let mut webhook = json!({ "kubeConfig": kubeconfig(file)? });
            if let Some(ttl) = &self.token_webhook_cache_ttl {
                webhook["cacheTtl"] = ttl.as_str().into();
            }
            fields.insert("tokenWebhook".to_owned(), webhook);
        }
        if let Some(file) = &self.authorization_config {
            fields.insert("authorizationConfiguration".to_owned(), authorization(file)?);
        }
        if let Some(file) = &self.audit_policy {
            fields.insert("auditPolicy".to_owned(), document(file)?);
        }
        if let Some(file) = &self.scheduler_config {
            fields.insert("schedulerConfiguration".to_owned(), document(file)?);
        }
        Ok(fields)
    }
}

fn document(file: &Path) -> Result<Value, CliError> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let read: Value = crate::yaml::read(&text)
        .map_err(|why| CliError::Usage(format!("{} is not YAML: {why}", file.display())))?;
    if !read.is_object() {
        return Err(CliError::Usage(format!("{} must be an object", file.display())));
    }
    Ok(read)
}

/// An AuthorizationConfiguration whose webhooks have their kubeconfigs in place of the files' names.
fn authorization(file: &Path) -> Result<Value, CliError> {
    let mut read = document(file)?;
    let authorizers = read["authorizers"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    for authorizer in authorizers {
        let connection = authorizer.pointer_mut("/webhook/connectionInfo").and_then(Value::as_object_mut);
        let Some(connection) = connection else { continue };
        let path = connection.get("kubeConfigFile").and_then(Value::as_str).map(str::to_owned);
        if let Some(path) = path {
            connection.remove("kubeConfigFile");
            connection.insert("kubeConfig".to_owned(), kubeconfig(&beside(file, &path))?);
        }
    }
    Ok(read)
}

/// A kubeconfig with all that it names in it.
fn kubeconfig(file: &Path) -> Result<Value, CliError> {
    let mut config = document(file)?;
    for (list, entry, names) in [
        ("clusters", "cluster", &["certificate-authority"][..]),
        ("users", "user", &["client-certificate", "client-key"][..]),
    ] {
        let entries = config[list].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
        for fields in entries.iter_mut().filter_map(|item| item[entry].as_object_mut()) {
            for name in names {
                let Some(path) = fields.get(*name).and_then(Value::as_str).map(str::to_owned) else {
                    continue;
                };
                let bytes = read(file, &path)?;
                fields.remove(*name);
                fields.insert(format!("{name}-data"), STANDARD.encode(bytes).into());
            }
            if let Some(path) = fields.get("tokenFile").and_then(Value::as_str).map(str::to_owned) {
                let token = String::from_utf8_lossy(&read(file, &path)?).trim().to_owned();
                fields.remove("tokenFile");
                fields.insert("token".to_owned(), token.into());
            }
        }
    }
    Ok(config)
}

fn read(of: &Path, path: &str) -> Result<Vec<u8>, CliError> {
    let path = beside(of, path);
    Ok(std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?)
}

fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_name_is_sent_along() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", "CA");
        write("token", "secret\n");
        write(
            "kubeconfig",
            "clusters: [{name: c, cluster: {server: 'https://w', certificate-authority: ca.pem}}]\n\
             users: [{name: u, user: {tokenFile: token}}]\n",
        );
        write(
            "authz.yaml",
            "authorizers: [{type: RBAC}, {webhook: {connectionInfo: {kubeConfigFile: kubeconfig}}}]\n",
        );
        let args = SettingsArgs {
            authorization_config: Some(folder.path().join("authz.yaml")),
            ..SettingsArgs::default()
        };
        let fields = args.fields().unwrap();
        assert_eq!(
            fields["authorizationConfiguration"]["authorizers"][1],
            json!({"webhook": {"connectionInfo": {"kubeConfig": {
                "clusters": [{"name": "c", "cluster": {"server": "https://w", "certificate-authority-data": "Q0E="}}],
                "users": [{"name": "u", "user": {"token": "secret"}}],
            }}}})
        );
    }
}
