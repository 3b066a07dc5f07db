//! The current context of a kubeconfig, ready to connect.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio_rustls::TlsConnector;

/// A server, and how to reach it.
#[derive(Clone)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) authority: String,
    pub(crate) server_name: ServerName<'static>,
    pub(crate) tls: TlsConnector,
    pub(crate) bearer: Option<String>,
}

pub(crate) fn load(file: &Path) -> Result<Target> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let config: Value = serde_saphyr::from_str(&text).with_context(|| file.display().to_string())?;
    let context = named(&config, "contexts", &config["current-context"]).context("no current context")?;
    let cluster = named(&config, "clusters", &context["context"]["cluster"]).context("no such cluster")?;
    let user = named(&config, "users", &context["context"]["user"]).context("no such user")?;
    let (cluster, user) = (&cluster["cluster"], &user["user"]);

    let server: http::Uri = cluster["server"].as_str().context("the cluster names no server")?.parse()?;
    let host = server.host().context("no host")?.trim_matches(['[', ']']).to_owned();
    let ca = data(cluster, "certificate-authority", file)?.context("the cluster names no CA")?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&ca) {
        roots.add(certificate?)?;
    }
    let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
    let config = match (data(user, "client-certificate", file)?, data(user, "client-key", file)?) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&key)?)?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Target {
        authority: format!("{host}:{}", server.port_u16().unwrap_or(443)),
        server_name: ServerName::try_from(host)?,
        tls: TlsConnector::from(Arc::new(config)),
        bearer: user["token"].as_str().map(str::to_owned),
    })
}

fn named<'a>(config: &'a Value, list: &str, name: &Value) -> Option<&'a Value> {
    config[list].as_array()?.iter().find(|entry| entry["name"] == *name)
}

/// `KEY-data`, or the file that `KEY` names.
fn data(entry: &Value, key: &str, kubeconfig: &Path) -> Result<Option<Vec<u8>>> {
    if let Some(text) = entry[format!("{key}-data")].as_str() {
        return Ok(Some(base64::engine::general_purpose::STANDARD.decode(text)?));
    }
    let Some(path) = entry[key].as_str() else { return Ok(None) };
    let folder = kubeconfig.parent().unwrap_or(Path::new("."));
    Ok(Some(std::fs::read(folder.join(path)).with_context(|| path.to_owned())?))
}
