//! The way to another server: which service it is, where that is, and how it proves who it is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use drydock_auth::{Reader, UserInfo};
use drydock_machinery::{Object, ObjectMeta as _, Value};
use drydock_runtime::wall;
use http::header::ACCEPT;
use http_body_util::Full;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::proxy::put_user;
use super::{FrontProxy, GROUP, PLURAL, Routes};
use crate::exchange::exchange;
use crate::http::proxy::{TlsTarget, Unverified, cluster_network, tcp, tls};
use crate::seams::Stream;
use crate::server::Core;

/// How long a server may take to answer a question of the API server's own.
const TIMEOUT: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// One APIService with a service.
pub(crate) struct Route {
    pub(super) name: String,
    pub(super) revision: u64,
    pub(super) group: String,
    pub(super) version: String,
    namespace: String,
    service: String,
    pub(super) port: u16,
    /// As its Available condition says.
    pub(super) available: bool,
    tls: Result<Arc<ClientConfig>, String>,
}

/// Where a service is.
enum Place {
    Address(IpAddr, u16),
    /// An external name: of any host, also of the machine that this service runs on.
    Host(String, u16),
}

/// The routes of all API services that have a service.
pub(super) fn all(core: &Core) -> Routes {
    let services = core.registry.cache.list(GROUP, PLURAL, "");
    let remote = services.iter().filter(|one| one.at(&["spec", "service", "name"]).is_some());
    remote
        .map(|one| {
            let route = Route::new(one, core.aggregation.identity.as_ref());
            ((route.group.clone(), route.version.clone()), Arc::new(route))
        })
        .collect()
}

/// The condition that says whether an API service can be used.
pub(super) fn available(service: &Value) -> Option<&Value> {
    let mut conditions = service.array_at(&["status", "conditions"]).iter();
    conditions.find(|condition| condition.str_at(&["type"]) == "Available")
}

impl Route {
    fn new(object: &Object, identity: Option<&FrontProxy>) -> Self {
        let spec = |field: &str| object.str_at(&["spec", field]).to_owned();
        let service = |field: &str| object.str_at(&["spec", "service", field]).to_owned();
        let port = object.i64_at(&["spec", "service", "port"]);
        Self {
            name: object.name().to_owned(),
            revision: object.revision(),
            group: spec("group"),
            version: spec("version"),
            namespace: service("namespace"),
            service: service("name"),
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(443),
            available: available(object).is_some_and(|condition| condition.str_at(&["status"]) == "True"),
            tls: tls_config(object, identity).map(Arc::new),
        }
    }

    pub(super) fn service(&self) -> (&str, &str) {
        (&self.namespace, &self.service)
    }

    /// A connection to the server, and its address.
    ///
    /// # Errors
    /// The address as far as it is known, and what Go's client says.
    pub(super) async fn connect(&self, core: &Core) -> Result<(Box<dyn Stream>, String), String> {
        let config = self.tls.clone()?;
        let place = self.resolve(&*core.registry.cache)?;
        let authority = place.authority();
        let stream = match place {
            Place::Address(ip, port) => cluster_network(core, ip, port).await?,
            Place::Host(host, port) => tcp(&format!("{host}:{port}")).await?,
        };
        let name = format!("{}.{}.svc", self.service, self.namespace);
        Ok((tls(stream, TlsTarget { config, name }).await?, authority))
    }

    /// Where the server would be connected to, for messages.
    pub(super) fn authority(&self, core: &Core) -> Result<String, String> {
        Ok(self.resolve(&*core.registry.cache)?.authority())
    }

    /// An external name, or any of the ready endpoints.
    fn resolve(&self, reader: &dyn Reader) -> Result<Place, String> {
        let (namespace, name, port) = (&self.namespace, &self.service, self.port);
        let service = reader.get("", "services", namespace, name);
        let service = service.ok_or_else(|| format!("service {name:?} not found"))?;
        if service.str_at(&["spec", "type"]) == "ExternalName" {
            return Ok(Place::Host(service.str_at(&["spec", "externalName"]).to_owned(), port));
        }
        let ports = service.array_at(&["spec", "ports"]);
        let wanted = ports.iter().find(|own| own.i64_at(&["port"]) == Some(i64::from(port)));
        let wanted = wanted.ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
        let mut fitting = Vec::new();
        for slice in slices(reader, namespace, name) {
            let ports = slice.array_at(&["ports"]).iter();
            let named = ports.into_iter().find(|own| own.str_at(&["name"]) == wanted.str_at(&["name"]));
            let port = named.and_then(|own| own.i64_at(&["port"])).and_then(|port| u16::try_from(port).ok());
            let ready = slice.array_at(&["endpoints"]).iter().filter(|endpoint| is_ready(endpoint));
            for address in ready.flat_map(|endpoint| endpoint.array_at(&["addresses"])) {
                let ip = address.as_str().and_then(|ip| ip.parse().ok());
                fitting.extend(ip.zip(port));
            }
        }
        if fitting.is_empty() {
            return Err(format!("no endpoints available for service {name:?}"));
        }
        let (ip, port) = fitting[rand::random_range(0..fitting.len())];
        Ok(Place::Address(ip, port))
    }

    /// Asks the server as the aggregator itself: status code and body.
    ///
    /// # Errors
    /// What Go's client says.
    pub(super) async fn get(&self, core: &Core, path: &str, accept: &str) -> Result<(u16, Bytes), String> {
        let aggregator = UserInfo::new("system:kube-aggregator", &["system:masters"]);
        self.get_as(core, &aggregator, path, accept).await
    }

    /// As [`Route::get`], in the name of `user`.
    ///
    /// # Errors
    /// What Go's client says.
    pub(super) async fn get_as(
        &self,
        core: &Core,
        user: &UserInfo,
        path: &str,
        accept: &str,
    ) -> Result<(u16, Bytes), String> {
        let asked = wall::timeout(TIMEOUT, Box::pin(self.exchange(core, user, path, accept))).await;
        asked.unwrap_or_else(|| {
            Err("context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned())
        })
    }

    async fn exchange(
        &self,
        core: &Core,
        user: &UserInfo,
        path: &str,
        accept: &str,
    ) -> Result<(u16, Bytes), String> {
        let (stream, authority) = self.connect(core).await?;
        let mut request = http::Request::get(path)
            .header(http::header::HOST, authority)
            .header(ACCEPT, accept)
            .body(Full::default())
            .map_err(|error| error.to_string())?;
        put_user(request.headers_mut(), user);
        let answer = exchange(stream, request, LARGEST_ANSWER).await?;
        Ok((answer.status().as_u16(), answer.into_body()))
    }
}

impl Place {
    fn authority(&self) -> String {
        match self {
            Self::Address(ip, port) => std::net::SocketAddr::new(*ip, *port).to_string(),
            Self::Host(host, port) => format!("{host}:{port}"),
        }
    }
}

/// The endpoint slices of a service.
pub(super) fn slices(reader: &dyn Reader, namespace: &str, service: &str) -> Vec<Arc<Object>> {
    let all = reader.list("discovery.k8s.io", "endpointslices", namespace).into_iter();
    all.filter(|slice| slice.label("kubernetes.io/service-name") == Some(service)).collect()
}

pub(super) fn is_ready(endpoint: &Value) -> bool {
    endpoint.at(&["conditions", "ready"]).and_then(Value::as_bool) != Some(false)
}

fn tls_config(object: &Object, identity: Option<&FrontProxy>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder();
    let builder = if object.bool_at(&["spec", "insecureSkipTLSVerify"]) {
        builder.dangerous().with_custom_certificate_verifier(Unverified::new())
    } else {
        let bundle = STANDARD.decode(object.str_at(&["spec", "caBundle"])).unwrap_or_default();
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&bundle) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        builder.with_root_certificates(roots)
    };
    Ok(match identity {
        Some(identity) => builder.with_client_cert_resolver(identity.certificate.clone()),
        None => builder.with_no_client_auth(),
    })
}
