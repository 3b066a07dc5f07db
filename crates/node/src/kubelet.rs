//! The HTTP server of a kubelet: what the API server's proxy to a node finds.
//!
//! Health, the node's pods, their usage and metrics, and containers' logs. Usage is made up: every container uses half
//! of what it requests. Deliberately absent: `/exec` and its like, which go through the API server only.

mod metrics;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use drydock_client::Informer;
use drydock_client::dialer::{LogOptions, Stream};
use drydock_machinery::{Object, ObjectMeta as _, Value, value};
use drydock_runtime::Clock;
use futures::StreamExt as _;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::agents::{BY_NODE, NodeAgents};
use crate::log_reader;
use crate::spec::NodeSpec;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

const BUFFER: usize = 64 * 1024;
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// One kubelet, for as long as a connection to it.
struct Kubelet {
    spec: Arc<NodeSpec>,
    clock: Clock,
    pods: Arc<Informer>,
    nodes: Arc<Informer>,
}

/// A connection to the server of a node's kubelet.
pub(crate) fn serve(agents: &NodeAgents, spec: Arc<NodeSpec>) -> Box<dyn Stream> {
    let (near, far) = tokio::io::duplex(BUFFER);
    let kubelet = Arc::new(Kubelet {
        spec,
        clock: agents.clock.clone(),
        pods: agents.pods.clone(),
        nodes: agents.nodes.clone(),
    });
    agents.config.tasks.spawn("kubelet-server", async move {
        let service = service_fn(move |request| {
            let kubelet = kubelet.clone();
            async move { Ok::<_, Infallible>(kubelet.answer(&request)) }
        });
        let server = hyper::server::conn::http1::Builder::new();
        if let Err(error) = server.serve_connection(TokioIo::new(far), service).await {
            tracing::debug!(%error, "a connection to a simulated kubelet ended");
        }
    });
    Box::new(near)
}

impl Kubelet {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return whole(405, TEXT, "405: Method Not Allowed");
        }
        match parts.as_slice() {
            ["healthz", ..] => whole(200, TEXT, "ok"),
            ["pods"] => json(&pod_list(self.pods().iter().map(|pod| shown(pod)).collect())),
            ["runningpods"] => json(&pod_list(self.running().map(|pod| shown(&pod)).collect())),
            ["stats"] | ["stats", "summary"] => json(&metrics::summary(&self.view())),
            ["metrics"] => whole(200, TEXT, metrics::kubelet(&self.view())),
            ["metrics", "resource"] => whole(200, TEXT, metrics::resource(&self.view())),
            ["metrics", "cadvisor"] => whole(200, TEXT, metrics::cadvisor(&self.view())),
            ["metrics", "probes"] => whole(200, TEXT, ""),
            ["configz"] => json(&value!({"kubeletconfig": {"enableServer": true, "port": 10250}})),
            ["logs"] if !path.ends_with('/') => {
                let mut answer = whole(301, TEXT, "");
                answer.headers_mut().insert(LOCATION, HeaderValue::from_static("/logs/"));
                answer
            }
            ["logs"] => whole(
                200,
                "text/html; charset=utf-8",
                "<pre>\n<a href=\"kubelet.log\">kubelet.log</a>\n</pre>\n",
            ),
            ["logs", "kubelet.log"] => whole(200, TEXT, self.log()),
            ["containerLogs", namespace, pod, container] => {
                self.container_log(request, namespace, pod, container)
            }
            _ => whole(404, TEXT, "404 page not found\n"),
        }
    }

    fn pods(&self) -> Vec<Arc<Object>> {
        self.pods.by_index(BY_NODE, &self.spec.name)
    }

    fn running(&self) -> impl Iterator<Item = Arc<Object>> {
        self.pods().into_iter().filter(|pod| crate::container::port::has_sandbox(pod))
    }

    fn view(&self) -> metrics::View {
        metrics::View {
            node: self.spec.name.clone(),
            since: self
                .nodes
                .get_key(&self.spec.name)
                .map_or_else(String::new, |node| node.creation_timestamp().to_owned()),
            now: self.clock.now(),
            pods: self.running().collect(),
        }
    }

    /// What a kubelet would have logged of its start.
    fn log(&self) -> String {
        let version = &self.spec.info.kubelet_version;
        format!(
            "I \"Kubelet version\" kubeletVersion={version:?}\nI \"Successfully registered node\" node={:?}\n",
            self.spec.name
        )
    }

    fn container_log(
        &self,
        request: &Request<Incoming>,
        namespace: &str,
        pod: &str,
        container: &str,
    ) -> Answer {
        let Some(pod) = self.pods.get_key(&format!("{namespace}/{pod}")) else {
            return whole(404, TEXT, format!("pod {pod:?} not found\n"));
        };
        let query = request.uri().query().unwrap_or("");
        let value = |wanted: &str| {
            let found =
                query.split('&').filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value)
        };
        let options = LogOptions {
            container: container.to_owned(),
            follow: value("follow") == Some("true"),
            previous: value("previous") == Some("true"),
            timestamps: value("timestamps") == Some("true"),
            since_seconds: value("sinceSeconds").and_then(|text| text.parse().ok()),
            tail_lines: value("tailLines").and_then(|text| text.parse().ok()),
            ..LogOptions::default()
        };
        match log_reader::read(&self.clock, &self.pods, &pod, options) {
            Ok(lines) => {
                let frames =
                    lines.filter_map(|line| std::future::ready(line.ok().map(|line| Ok(Frame::data(line)))));
                let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                answer
            }
            Err(status) => whole(status.code, TEXT, status.message),
        }
    }
}

fn shown(pod: &Object) -> Value {
    let mut pod = pod.value().clone();
    // Items of a list do not say what they are.
    pod.remove(&["apiVersion"]);
    pod.remove(&["kind"]);
    pod
}

fn pod_list(items: Vec<Value>) -> Value {
    let mut list = value!({"kind": "PodList", "apiVersion": "v1", "metadata": {}});
    list.set(&["items"], items);
    list
}

fn json(value: &Value) -> Answer {
    whole(200, JSON, value.to_json())
}

fn whole(code: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
