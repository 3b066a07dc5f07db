//! A service in this process on a port of its own, and a client that checks every answer against the OpenAPI document.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use drydock::config::{Config, LogFormat};
use drydock::server::{Backends, Server, StartError};
use drydock::service::{PortRange, Provider, Providers};
use drydock_provider_mock::{MockCloud, MockConfig};
use drydock_runtime::{Clock, wall};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::fake::{FakePlanes, Fakes};
use crate::openapi;

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: Config,
    pub(crate) fakes: Arc<Fakes>,
    pub(crate) server: Option<Server>,
    pub(crate) url: String,
    http: Client<HttpConnector, Full<Bytes>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

/// Each world has ports of its own: nextest runs each test in a process of its own, so by process.
static NEXT: AtomicU16 = AtomicU16::new(0);

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = u16::try_from(std::process::id() % 180).unwrap();
        let from = 11_000 + process * 100 + NEXT.fetch_add(10, Ordering::Relaxed) % 100;
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_dir: folder.path().join("data"),
            speed: 1.0,
            api_token: None,
            cluster_ports: PortRange { address: IpAddr::from([127, 0, 0, 1]), from, to: from + 9 },
            cluster_host: "127.0.0.1".to_owned(),
            aws_endpoint: None,
            log: None,
            log_format: LogFormat::Text,
        };
        change(&mut config);
        let http = Client::builder(TokioExecutor::new()).build_http();
        let mut world =
            Self { folder, config, fakes: Arc::default(), server: None, url: String::new(), http };
        world.start().await.unwrap();
        world
    }

    pub(crate) async fn start(&mut self) -> Result<(), StartError> {
        let fakes = self.fakes.clone();
        let cloud = MockCloud::in_memory(MockConfig::default());
        let server = Server::start(&self.config, async |_: &Config, _| {
            let mock = Provider {
                cloud: cloud.provider(Clock::real()),
                description: "in memory".to_owned(),
                endpoint: None,
                default_region: "us-east-1".to_owned(),
                default_instance_type: "m5.large".to_owned(),
            };
            let control_planes = Arc::new(FakePlanes(fakes));
            Ok::<_, StartError>(Backends { providers: Providers::new(vec![mock]), control_planes })
        })
        .await?;
        self.url = server.url();
        self.server = Some(server);
        Ok(())
    }

    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.call(Method::POST, path, &headers, &body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/merge-patch+json")];
        self.call(Method::PATCH, path, &headers, &body.to_string()).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method.clone()).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let response = self.http.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or_default();
        openapi::check_answer(&method, path, parts.status, &parts.headers, &json);
        Answer { status: parts.status, headers: parts.headers, text, json }
    }

    /// Creates a cluster with a pool `default` of that many nodes, and waits for it.
    pub(crate) async fn cluster(&self, name: &str, nodes: u32) -> Value {
        let pools =
            if nodes == 0 { vec![] } else { vec![serde_json::json!({"name": "default", "nodes": nodes})] };
        let body = serde_json::json!({ "name": name, "nodePools": pools });
        self.done(self.post("/v1/clusters", &body).await).await;
        self.get(&format!("/v1/clusters/{name}")).await.json
    }

    /// Waits for the operation of an answer to succeed.
    pub(crate) async fn done(&self, accepted: Answer) -> Value {
        let operation = self.ended(accepted).await;
        assert_eq!(operation["state"], "succeeded", "{operation:#}");
        operation
    }

    /// Waits for the operation of an answer to end.
    pub(crate) async fn ended(&self, accepted: Answer) -> Value {
        assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
        let path = accepted.headers["location"].to_str().unwrap();
        let operation = self.get(&format!("{path}?wait=10")).await.json;
        assert!(operation["finishedAt"].is_string(), "{operation:#}");
        operation
    }

    /// Waits until what is at the path has a value at the pointer.
    pub(crate) async fn until(&self, path: &str, pointer: &str, wanted: impl Into<Value>) -> Value {
        let wanted = wanted.into();
        let look = async {
            loop {
                let answer = self.get(path).await.json;
                if answer.pointer(pointer) == Some(&wanted) {
                    return answer;
                }
                wall::sleep(Duration::from_millis(5)).await;
            }
        };
        match wall::timeout(Duration::from_secs(10), look).await {
            Some(answer) => answer,
            None => panic!("{pointer} of {path} is not {wanted}: {:#}", self.get(path).await.json),
        }
    }
}

impl Answer {
    /// `code` of the problem, and its fields with their messages.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> (String, Vec<String>) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.json["status"], status);
        let errors = self.json["errors"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = errors.map(|error| format!("{}: {}", text(&error["field"]), text(&error["message"])));
        (text(&self.json["code"]), errors.collect())
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self
    }
}
