//! Custom resources in several versions: without a webhook, and with one that this test serves.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_apiserver::{ApiServer, testing};
use drydock_auth::UserInfo;
use drydock_auth::pki::Authority;
use drydock_client::{Client, Options, PatchType, Reply, Request, Verb, WatchEvent};
use drydock_machinery::{GroupVersionResource, ObjectMeta, Status, Value, value};
use drydock_runtime::{Clock, Tasks, wall};
use futures::StreamExt;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const DEFINITIONS: GroupVersionResource =
    GroupVersionResource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");

fn doors(version: &'static str) -> GroupVersionResource {
    GroupVersionResource::new("e.io", version, "doors")
}

struct Fixture {
    client: Client,
    tasks: Tasks,
    _server: ApiServer,
}

async fn start() -> Fixture {
    let clock = Clock::real();
    let tasks = Tasks::new("test", clock.clone());
    let server = testing::open(&tasks, clock).await;
    Fixture { client: server.client(UserInfo::api_server()), _server: server, tasks }
}

impl Fixture {
    async fn call(
        &self,
        verb: Verb,
        resource: &GroupVersionResource,
        name: &str,
        body: Option<Value>,
    ) -> Result<Value, Status> {
        let namespace = if *resource == DEFINITIONS { "" } else { "n" };
        let request = Request {
            verb,
            resource: resource.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
            options: Options::default(),
            body,
        };
        match self.client.transport().call(request).await? {
            Reply::Object(object) => Ok(object.value().clone()),
            Reply::Virtual(value) => Ok(value),
            Reply::List(list) => {
                Ok(Value::from(list.items.iter().map(|item| item.value().clone()).collect::<Vec<_>>()))
            }
        }
    }

    /// Returns once the definition is served.
    async fn define(&self, conversion: Value) {
        let mut definition = value!({
            "metadata": {"name": "doors.e.io"},
            "spec": {"group": "e.io", "scope": "Namespaced", "names": {"plural": "doors", "kind": "Door"},
                "versions": [
                    {"name": "v1", "served": true, "storage": false,
                        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                            "spec": {"type": "object", "properties": {"width": {"type": "integer"}}}}}}},
                    {"name": "v2", "served": true, "storage": true,
                        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                            "spec": {"type": "object", "properties": {"size": {"type": "string"}}}}}}},
                ]},
        });
        definition.set(&["spec", "conversion"], conversion);
        self.call(Verb::Create, &DEFINITIONS, "", Some(definition)).await.unwrap();
        while self.call(Verb::List, &doors("v1"), "", None).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}

/// Serves conversions between `width: 90` and `size: "90"`, by a certificate of an authority of its own.
struct Hook {
    url: String,
    authority: Authority,
    calls: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl Hook {
    async fn start(convert: fn(&mut Value)) -> Self {
        let authority = Authority::generate("hooks").unwrap();
        let issued = authority.issue_server("hook", &["127.0.0.1".to_owned()]).unwrap();
        let chain = CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
        let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/convert", listener.local_addr().unwrap());
        let calls = Arc::new(AtomicUsize::new(0));
        let tasks = Tasks::new("hook", Clock::real());
        let counted = calls.clone();
        tasks.spawn("hook", async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let counted = counted.clone();
                let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    async move {
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let answer = answer(&Value::from_json(&body).unwrap(), convert);
                        let answer = http::Response::builder()
                            .header("content-type", "application/json")
                            .body(Full::new(bytes::Bytes::from(answer.to_json())));
                        Ok::<_, Infallible>(answer.unwrap())
                    }
                });
                let served = hyper::server::conn::http1::Builder::new();
                let _ = served.serve_connection(TokioIo::new(stream), answer).await;
            }
        });
        Self { url, authority, calls, tasks }
    }

    fn conversion(&self) -> Value {
        let bundle = STANDARD.encode(self.authority.certificate_pem());
        value!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
            "clientConfig": {"url": self.url.as_str(), "caBundle": bundle}}})
    }
}

fn answer(review: &Value, convert: fn(&mut Value)) -> Value {
    let wanted = review.str_at(&["request", "desiredAPIVersion"]).to_owned();
    let mut objects = review.array_at(&["request", "objects"]).to_vec();
    for object in &mut objects {
        convert(object);
        object.set(&["apiVersion"], wanted.as_str());
    }
    let mut answer = value!({"kind": "ConversionReview", "response": {"result": {"status": "Success"}}});
    answer.set(&["apiVersion"], review.str_at(&["apiVersion"]));
    answer.set(&["response", "uid"], review.str_at(&["request", "uid"]));
    answer.set(&["response", "convertedObjects"], objects);
    answer
}

fn swap(object: &mut Value) {
    if let Some(width) = object.i64_at(&["spec", "width"]) {
        object.set(&["spec"], value!({"size": width.to_string()}));
    } else if let Ok(size) = object.str_at(&["spec", "size"]).parse::<i64>() {
        object.set(&["spec"], value!({"width": size}));
    }
    object.set(&["metadata", "annotations", "converted"], "yes");
}

fn rename(object: &mut Value) {
    object.set(&["metadata", "name"], "other");
}

fn door(version: &str, name: &str, spec: Value) -> Value {
    value!({"apiVersion": format!("e.io/{version}"), "kind": "Door", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn without_a_webhook_versions_differ_in_their_schema_alone() {
    let f = start().await;
    f.define(value!({"strategy": "None"})).await;
    f.call(Verb::Create, &doors("v1"), "", Some(door("v1", "a", value!({"width": 90})))).await.unwrap();
    let seen = f.call(Verb::Get, &doors("v2"), "a", None).await.unwrap();
    assert_eq!((seen.api_version(), seen.get("spec")), ("e.io/v2", Some(&value!({}))));
    let managed = seen.array_at(&["metadata", "managedFields"]);
    assert_eq!(managed[0].str_at(&["apiVersion"]), "e.io/v1");
    assert!(managed[0].at(&["fieldsV1", "f:spec", "f:width"]).is_some());
    f.tasks.close().await;
}

#[tokio::test]
async fn a_webhook_converts_what_is_written_read_listed_and_watched() {
    let (f, hook) = (start().await, Hook::start(swap).await);
    f.define(hook.conversion()).await;
    let made = f.call(Verb::Create, &doors("v1"), "", Some(door("v1", "a", value!({"width": 90})))).await;
    let made = made.unwrap();
    assert_eq!(made.get("spec"), Some(&value!({"width": 90})));
    assert_eq!(made.annotation("converted"), Some("yes"));

    let stored = f.call(Verb::Get, &doors("v2"), "a", None).await.unwrap();
    assert_eq!(stored.get("spec"), Some(&value!({"size": "90"})));

    f.call(Verb::Create, &doors("v2"), "", Some(door("v2", "b", value!({"size": "7"})))).await.unwrap();
    let before = hook.calls.load(Ordering::Relaxed);
    let list = f.call(Verb::List, &doors("v1"), "", None).await.unwrap();
    let widths: Vec<Option<i64>> =
        list.as_array().unwrap().iter().map(|door| door.i64_at(&["spec", "width"])).collect();
    assert_eq!(widths, [Some(90), Some(7)]);
    assert!(hook.calls.load(Ordering::Relaxed) <= before + 1, "a list asks once, for what is not known");

    let watch = Request {
        verb: Verb::List,
        resource: doors("v1"),
        namespace: "n".to_owned(),
        name: String::new(),
        subresource: String::new(),
        options: Options::default(),
        body: None,
    };
    let mut events = f.client.transport().watch(watch).await.unwrap();
    let Some(WatchEvent::Added(first)) = events.next().await else { panic!("an object") };
    assert_eq!((first.api_version(), first.i64_at(&["spec", "width"])), ("e.io/v1", Some(90)));
    f.tasks.close().await;
    hook.tasks.close().await;
}

#[tokio::test]
async fn a_patch_in_another_version_is_of_what_that_version_shows() {
    let (f, hook) = (start().await, Hook::start(swap).await);
    f.define(hook.conversion()).await;
    f.call(Verb::Create, &doors("v2"), "", Some(door("v2", "a", value!({"size": "1"})))).await.unwrap();
    let patch = value!({"spec": {"width": 2}});
    let patched = f.call(Verb::Patch(PatchType::Merge), &doors("v1"), "a", Some(patch)).await.unwrap();
    assert_eq!(patched.get("spec"), Some(&value!({"width": 2})));
    assert_eq!(patched.generation(), 2);
    let stored = f.call(Verb::Get, &doors("v2"), "a", None).await.unwrap();
    assert_eq!(stored.get("spec"), Some(&value!({"size": "2"})));
    f.tasks.close().await;
    hook.tasks.close().await;
}

#[tokio::test]
async fn a_webhook_that_fails_or_cheats_fails_the_request() {
    let (f, hook) = (start().await, Hook::start(rename).await);
    f.define(hook.conversion()).await;
    f.call(Verb::Create, &doors("v2"), "", Some(door("v2", "a", value!({})))).await.unwrap();
    let status = f.call(Verb::Get, &doors("v1"), "a", None).await.unwrap_err();
    assert_eq!(status.code, 500);
    assert_eq!(
        status.message,
        "conversion webhook for e.io/v2, Kind=Door returned invalid object: must have the same name: a != other"
    );
    hook.tasks.close().await;
    let resource = doors("v1");
    let gone = wall::timeout(Duration::from_secs(20), f.call(Verb::Get, &resource, "a", None));
    let status = gone.await.unwrap().unwrap_err();
    assert!(
        status.message.starts_with("conversion webhook for e.io/v2, Kind=Door failed: Post \"https://127")
    );
    assert!(status.message.ends_with("connect: connection refused"), "{}", status.message);
    f.tasks.close().await;
}
