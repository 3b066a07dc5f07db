//! What listens in a pod: at each port that a container declares or is probed at, a small HTTP server.
//!
//! It answers as `agnhost netexec` does: `/hostname`, `/echo?msg=`, `/healthz`, `/clientip`, `/header?key=`, and says at
//! every other path what it is.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use drydock_client::dialer::Stream;
use drydock_machinery::{Object, ObjectMeta, Value};
use drydock_runtime::{Clock, Tasks};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::environment::hostname;
use crate::plan::is_finished;
use crate::status::{APP, INIT, spec_list};

/// Bytes on their way.
const BUFFER: usize = 64 * 1024;
/// What is read of a request's body.
const LARGEST_BODY: usize = 1024 * 1024;

/// Whether the pod has a network of its own or its node's.
pub(crate) fn has_sandbox(pod: &Value) -> bool {
    !pod.str_at(&["status", "podIP"]).is_empty() && !is_finished(pod)
}

/// Whether a running container listens at the port.
pub(crate) fn listens(pod: &Value, port: u16) -> bool {
    let running = |list: &str, i: usize| {
        let status = pod.array_at(&["status", list]).get(i);
        status.is_some_and(|status| status.at(&["state", "running", "startedAt"]).is_some())
    };
    [APP, INIT].into_iter().any(|list| {
        let mut containers = pod.array_at(&["spec", spec_list(list)]).iter().enumerate();
        containers.any(|(i, container)| running(list, i) && has_port(container, i64::from(port)))
    })
}

fn has_port(container: &Value, port: i64) -> bool {
    let declared = container.array_at(&["ports"]).iter();
    let mut declared = declared.filter(|own| matches!(own.str_at(&["protocol"]), "" | "TCP"));
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"];
    declared.any(|own| own.i64_at(&["containerPort"]) == Some(port))
        || probes.iter().any(|probe| {
            let at = |kind: &str| container.i64_at(&[probe, kind, "port"]);
            at("httpGet") == Some(port) || at("tcpSocket") == Some(port)
        })
}

/// A connection to the server at a port that listens.
pub(crate) fn serve(tasks: &Tasks, clock: &Clock, pod: Arc<Object>, port: u16) -> Box<dyn Stream> {
    let (near, far) = tokio::io::duplex(BUFFER);
    let clock = clock.clone();
    tasks.spawn("container-port", async move {
        let service = service_fn(move |request| {
            let (pod, clock) = (pod.clone(), clock.clone());
            async move { Ok::<_, Infallible>(answer(request, &pod, port, &clock).await) }
        });
        let server = hyper::server::conn::http1::Builder::new();
        if let Err(error) = server.serve_connection(TokioIo::new(far), service).await {
            tracing::debug!(%error, "a connection to a simulated container ended");
        }
    });
    Box::new(near)
}

async fn answer(request: Request<Incoming>, pod: &Object, port: u16, clock: &Clock) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, LARGEST_BODY).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let query = |wanted: &str| {
        let pairs = parts.uri.query().unwrap_or("").split('&');
        let found = pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.replace('+', " ")).unwrap_or_default()
    };
    let text = match parts.uri.path() {
        "/hostname" | "/hostName" => hostname(pod),
        "/echo" => match query("msg") {
            message if message.is_empty() => String::from_utf8_lossy(&body).into_owned(),
            message => message,
        },
        "/healthz" => String::new(),
        "/clientip" => pod.str_at(&["status", "hostIP"]).to_owned(),
        "/header" => {
            let value = parts.headers.get(query("key")).and_then(|value| value.to_str().ok());
            value.unwrap_or("").to_owned()
        }
        path => {
            let (method, now) = (&parts.method, clock.now_rfc3339());
            let (namespace, name) = (pod.namespace(), pod.name());
            format!("NOW: {now}\n{method} {path} at port {port} of the simulated pod {namespace}/{name}\n")
        }
    };
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
