//! The API server over real HTTP.

use std::sync::Arc;

use bytes::Bytes;
use drydock_apiserver::cache::Cache;
use drydock_apiserver::testing;
use drydock_machinery::{Value, value};
use drydock_runtime::{Clock, Tasks};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

struct Fixture {
    address: std::net::SocketAddr,
    cache: Arc<Cache>,
    tasks: Tasks,
}

async fn start() -> Fixture {
    start_with(Clock::real()).await
}

async fn start_with(clock: Clock) -> Fixture {
    let tasks = Tasks::new("test", clock.clone());
    let server = testing::open(&tasks, clock).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cache = server.cache().clone();
    tasks.spawn("listener", async move { server.serve(listener, None).await });
    Fixture { address, cache, tasks }
}

impl Fixture {
    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.tasks.spawn("client", async move {
            let _ = connection.await;
        });
        sender.send_request(request).await.unwrap()
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let bytes = body.map(|body| body.to_json()).unwrap_or_default();
        let mut request = Request::new(Full::new(Bytes::from(bytes)));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        let response = self.send(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, Value::from_json(&body).unwrap_or_default())
    }
}

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

#[tokio::test]
async fn objects_are_created_read_and_deleted() {
    let f = start().await;
    let body = value!({"metadata": {"name": "a"}, "stringData": {"k": "v"}});
    let (status, made) = f.call(Method::POST, SECRETS, Some(body)).await;
    assert_eq!((status, made.str_at(&["data", "k"])), (StatusCode::CREATED, "dg=="));
    let (status, read) = f.call(Method::GET, &format!("{SECRETS}/a"), None).await;
    assert_eq!((status, read), (StatusCode::OK, made));
    let (_, list) = f.call(Method::GET, SECRETS, None).await;
    assert_eq!((list.str_at(&["kind"]), list.array_at(&["items"]).len()), ("SecretList", 1));
    let (status, gone) = f.call(Method::DELETE, &format!("{SECRETS}/a"), None).await;
    assert_eq!((status, gone.str_at(&["status"])), (StatusCode::OK, "Success"));
    f.tasks.close().await;
}

#[tokio::test]
async fn a_watch_streams_one_event_a_line() {
    let f = start().await;
    f.call(Method::POST, SECRETS, Some(value!({"metadata": {"name": "a"}}))).await;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = format!("{SECRETS}?watch=true").parse().unwrap();
    let mut watch = f.send(request).await.into_body();
    f.call(Method::POST, SECRETS, Some(value!({"metadata": {"name": "b"}}))).await;
    let mut text = Vec::new();
    while text.iter().filter(|byte| **byte == b'\n').count() < 2 {
        let frame = watch.frame().await.unwrap().unwrap();
        text.extend_from_slice(&frame.into_data().unwrap());
    }
    let events: Vec<Value> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| Value::from_json(line).unwrap())
        .collect();
    let names: Vec<&str> = events.iter().map(|event| event.str_at(&["object", "metadata", "name"])).collect();
    assert_eq!(names, ["a", "b"]);
    f.tasks.close().await;
}

/// Who watches from before what the cache remembers is soon watching as all others do.
#[tokio::test]
async fn a_watch_of_old_revisions_has_bookmarks_and_sees_everything_once() {
    let f = start().await;
    let create = async |name: &str| {
        let (_, made) = f.call(Method::POST, SECRETS, Some(value!({"metadata": {"name": name}}))).await;
        made.str_at(&["metadata", "resourceVersion"]).to_owned()
    };
    let first = create("a").await;
    create("b").await;
    f.cache.forget_history();
    let query = "watch=1&allowWatchBookmarks=true&timeoutSeconds=3&resourceVersion=";
    let watch = Request::get(format!("{SECRETS}?{query}{first}")).body(Full::default()).unwrap();
    let watch = f.send(watch).await;
    let last = create("c").await;
    let text = watch.into_body().collect().await.unwrap().to_bytes();
    let events: Vec<Value> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| Value::from_json(line).unwrap())
        .collect();
    let told: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event.str_at(&["type"]), event.str_at(&["object", "metadata", "name"])))
        .collect();
    assert_eq!(told, [("ADDED", "b"), ("ADDED", "c"), ("BOOKMARK", "")]);
    let bookmark = events[2].str_at(&["object", "metadata", "resourceVersion"]);
    assert!(bookmark.parse::<u64>().unwrap() >= last.parse().unwrap(), "{bookmark} {last}");
    f.tasks.close().await;
}

#[tokio::test]
async fn pages_for_people_are_text_unless_a_kind_is_asked_for() {
    let f = start().await;
    let get = async |path: &str, accept: &str| {
        let request = Request::get(path).header("accept", accept).body(Full::default()).unwrap();
        let answer = f.send(request).await;
        let warning = answer.headers().get("warning").is_some();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, warning, String::from_utf8_lossy(&body).into_owned())
    };
    let (status, _, text) = get("/statusz", "application/json, */*").await;
    assert_eq!(status, 200);
    assert!(text.starts_with("\napiserver statusz\nWarning: "), "{text}");
    assert!(text.ends_with("\nPaths: /flagz /healthz /livez /metrics /readyz /statusz /version\n"), "{text}");
    let (_, warning, text) = get("/statusz", "application/json;as=Statusz;v=v1beta1;g=config.k8s.io").await;
    let statusz = Value::from_json(text.as_bytes()).unwrap();
    assert_eq!((statusz.str_at(&["apiVersion"]), warning), ("config.k8s.io/v1beta1", false));
    let versions = (statusz.str_at(&["binaryVersion"]), statusz.str_at(&["emulationVersion"]));
    assert_eq!(versions, ("1.36.0", "1.36"));
    let (_, warning, text) = get("/flagz", "application/json;as=Flagz;v=v1alpha1;g=config.k8s.io").await;
    let flagz = Value::from_json(text.as_bytes()).unwrap();
    assert_eq!((flagz.str_at(&["flags", "secure-port"]), warning), ("6443", true));
    let (status, _, text) = get("/flagz", "application/json").await;
    assert_eq!(status, 406);
    assert!(text.contains("accepted: application/json, application/yaml, text/plain"), "{text}");
    f.tasks.close().await;
}

#[tokio::test]
async fn checks_are_left_out_by_name() {
    let f = start().await;
    let get = async |path: &str| {
        let answer = f.send(Request::get(path).body(Full::default()).unwrap()).await;
        String::from_utf8_lossy(&answer.into_body().collect().await.unwrap().to_bytes()).into_owned()
    };
    let text = get("/readyz?verbose&exclude=etcd&exclude=&exclude=x").await;
    assert!(text.contains("[+]ping ok\n") && text.contains("[+]etcd excluded: ok\n"), "{text}");
    let unknown = "warn: some health checks cannot be excluded: no matches for \"\",\"x\"\n";
    assert!(text.ends_with(&format!("{unknown}readyz check passed\n")), "{text}");
    assert_eq!(get("/livez/etcd").await, "ok");
    let slis = get("/metrics/slis").await;
    assert!(slis.contains("kubernetes_healthcheck{name=\"etcd\",type=\"readyz\"} 1\n"), "{slis}");
    let metrics = get("/metrics").await;
    for line in ["kubernetes_build_info{git_version=\"v1.36.0\",", "process_start_time_seconds "] {
        assert!(metrics.contains(line), "{metrics}");
    }
    f.tasks.close().await;
}

#[tokio::test]
async fn yaml_is_not_streamed() {
    let f = start().await;
    let watch = Request::get(format!("{SECRETS}?watch=1")).header("accept", "application/yaml");
    let refused = f.send(watch.body(Full::default()).unwrap()).await;
    assert_eq!(refused.status(), StatusCode::NOT_ACCEPTABLE);
    let text = refused.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&text);
    let streams = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    assert!(text.contains(&format!("only the following media types are accepted: {streams}")), "{text}");
    f.tasks.close().await;
}

/// kubectl shows the ages that the server counts.
#[tokio::test]
async fn a_watched_tables_ages_are_those_of_the_moment() {
    let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let f = start_with(clock.clone()).await;
    let request = Request::get(format!("{SECRETS}?watch=true"))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let mut watch = f.send(request.body(Full::default()).unwrap()).await.into_body();
    clock.advance(std::time::Duration::from_secs(60));
    f.call(Method::POST, SECRETS, Some(value!({"metadata": {"name": "b"}}))).await;
    let frame = watch.frame().await.unwrap().unwrap().into_data().unwrap();
    let event = Value::from_json(&frame).unwrap();
    let cells = event.array_at(&["object", "rows"])[0].array_at(&["cells"]);
    assert_eq!(cells.last(), Some(&Value::from("0s")));
    f.tasks.close().await;
}

#[tokio::test]
async fn exec_says_what_there_is_not() {
    let f = start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let (status, refused) = f.call(Method::POST, &format!("{pods}/none/exec?command=ls"), None).await;
    assert_eq!((status, refused.str_at(&["message"])), (StatusCode::NOT_FOUND, "pods \"none\" not found"));
    let containers = value!([{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]);
    let pod = value!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": containers}});
    f.call(Method::POST, pods, Some(pod)).await;
    for (query, message) in [
        ("", "a container name must be specified for pod p, choose one of: [a b]"),
        ("container=c&", "container c is not valid for pod p"),
        ("container=a&", "pods \"n\" not found"),
    ] {
        let (_, refused) = f.call(Method::POST, &format!("{pods}/p/exec?{query}command=ls"), None).await;
        assert_eq!(refused.str_at(&["message"]), message);
    }
    f.call(Method::POST, "/api/v1/nodes", Some(value!({"metadata": {"name": "n"}}))).await;
    for subresource in ["exec?container=a&command=ls", "attach?container=a", "portforward"] {
        let (_, refused) = f.call(Method::POST, &format!("{pods}/p/{subresource}"), None).await;
        assert_eq!(refused.str_at(&["message"]), "Upgrade request required");
    }
    f.tasks.close().await;
}

#[tokio::test]
async fn old_clients_get_openapi_in_protobuf() {
    let f = start().await;
    let get = Request::get("/openapi/v2")
        .header("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf");
    let response = f.send(get.body(Full::default()).unwrap()).await;
    let media_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    assert_eq!(response.headers()["content-type"], media_type);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    // Field 1, swagger.
    assert_eq!(body[..5], [0x0a, 3, b'2', b'.', b'0']);
    f.tasks.close().await;
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_upstreams_words() {
    let f = start().await;
    let check = async |method: Method, path: &str, code: u16, message: &str| {
        let (status, answer) = f.call(method, path, None).await;
        assert_eq!((status.as_u16(), answer.str_at(&["message"])), (code, message), "{path}");
    };
    let nowhere = "the server could not find the requested resource";
    check(Method::GET, "/api/v1/nothing", 404, nowhere).await;
    check(Method::GET, "/nothing", 404, "").await;
    check(Method::GET, &format!("{SECRETS}/x"), 404, "secrets \"x\" not found").await;
    let not_allowed = "the server does not allow this method on the requested resource";
    check(Method::PUT, SECRETS, 405, not_allowed).await;
    check(Method::POST, "/version", 405, not_allowed).await;
    check(Method::GET, "/api/v1/watch", 500, "").await;
    check(Method::GET, "/api/v1/namespaces/default/namespaces", 404, nowhere).await;
    check(Method::DELETE, &SECRETS.replace("v1/", "v1/watch/"), 405, not_allowed).await;
    let dots = "Name parameter invalid: \"..\": may not be '..'";
    check(Method::GET, &format!("{SECRETS}/%2e%2e"), 400, dots).await;
    check(Method::GET, "/api/v1/componentstatuses/x", 404, "componentstatus \"x\" not found").await;
    let unwatched = "watch is not supported on resources of kind \"componentstatuses\"";
    check(Method::GET, "/api/v1/componentstatuses?watch=true", 405, unwatched).await;
    f.tasks.close().await;
}

/// What is looked at first, as upstream answers it.
#[tokio::test]
async fn requests_that_are_wrong_in_several_ways_are_told_the_first() {
    let f = start().await;
    const PATCH: &str = "application/merge-patch+json";
    const LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let maps = "/api/v1/namespaces/default/configmaps";
    f.call(Method::POST, maps, Some(value!({"metadata": {"name": "a"}}))).await;
    let other = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"k": 1}}"#;
    let cases = [
        // A method, before what it is about.
        (
            "BREW",
            "configmaps/nope",
            "",
            "",
            "",
            405,
            "the server does not allow this method on the requested resource",
        ),
        // Whether there is such an object, before how it is to be shown.
        ("GET", "configmaps/nope", LIST, "", "", 404, "configmaps \"nope\" not found"),
        (
            "GET",
            "configmaps/a",
            LIST,
            "",
            "",
            406,
            "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)",
        ),
        // How a patch is written, before what its client reads.
        ("PATCH", "configmaps/a", "text/html", "text/plain", "{}", 415, "415: Unsupported Media Type"),
        (
            "GET",
            "configmaps?limit=x",
            "text/html",
            "",
            "",
            406,
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf, application/json;stream=watch, \
             application/vnd.kubernetes.protobuf;stream=watch",
        ),
        // Options of an update, before how its object is written; of a create after.
        (
            "PUT",
            "configmaps/a?fieldValidation=x",
            "",
            "text/plain",
            "{}",
            422,
            "UpdateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"x\": supported values: \
             \"\", \"Ignore\", \"Strict\", \"Warn\"",
        ),
        (
            "POST",
            "configmaps?fieldValidation=x",
            "",
            "text/plain",
            "{}",
            415,
            "the body of the request was in an unknown format - accepted media types include: application/json, \
             application/yaml, application/vnd.kubernetes.protobuf",
        ),
        // What is wrong with an object, before that it is another.
        (
            "POST",
            "secrets",
            "",
            "APPLICATION/JSON",
            other,
            400,
            "ConfigMap in version \"v1\" cannot be handled as a Secret: json: cannot unmarshal number into Go struct field \
             ConfigMap.data of type string",
        ),
        ("PATCH", "/configmaps/a", "", PATCH, "{}", 400, "Namespace parameter required."),
    ];
    for (method, path, accept, content_type, body, code, message) in cases {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method.parse().unwrap();
        let namespace = if path.starts_with('/') { "" } else { "default" };
        let path = format!("/api/v1/namespaces/{namespace}/{}", path.trim_start_matches('/'));
        *request.uri_mut() = path.parse().unwrap();
        for (name, text) in [("accept", accept), ("content-type", content_type)] {
            if !text.is_empty() {
                request.headers_mut().insert(name, text.parse().unwrap());
            }
        }
        let response = f.send(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let answer = Value::from_json(&body).unwrap_or_default();
        assert_eq!((status.as_u16(), answer.str_at(&["message"])), (code, message), "{method} {path}");
    }
    f.tasks.close().await;
}

#[tokio::test]
async fn a_scale_has_columns_of_its_own() {
    let f = start().await;
    let body = value!({"metadata": {"name": "d"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }});
    f.call(Method::POST, "/apis/apps/v1/namespaces/default/deployments", Some(body)).await;
    let get = Request::get("/apis/apps/v1/namespaces/default/deployments/d/scale")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let response = f.send(get.body(Full::default()).unwrap()).await;
    let table = Value::from_json(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let columns = table.array_at(&["columnDefinitions"]).iter().map(|column| column.str_at(&["name"]));
    assert_eq!(columns.collect::<Vec<_>>(), ["Name", "Desired", "Available", "Age"]);
    let cells = table.array_at(&["rows"])[0].array_at(&["cells"]);
    assert_eq!(cells[..3], [Value::from("d"), Value::from(2), Value::from(0)]);
    f.tasks.close().await;
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Defines hats, and waits until they are served at the path that it answers.
async fn serve_hats(f: &Fixture) -> &'static str {
    let schema = value!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer", "default": 3, "maximum": 5},
    }}}});
    let mut definition = value!({
        "metadata": {"name": "hats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "hats", "kind": "Hat"},
            "versions": [{"name": "v1", "served": true, "storage": true}],
        },
    });
    definition.at_mut(&["spec", "versions"]).as_array_mut().unwrap().make_mut()[0]
        .set(&["schema", "openAPIV3Schema"], schema);
    let (status, made) = f.call(Method::POST, DEFINITIONS, Some(definition)).await;
    assert_eq!(status, StatusCode::CREATED, "{made:?}");
    let hats = "/apis/example.com/v1/namespaces/default/hats";
    while f.call(Method::GET, hats, None).await.0 != StatusCode::OK {
        tokio::task::yield_now().await;
    }
    hats
}

/// Upstream has one handler for all custom resources, which looks at paths in its own way.
#[tokio::test]
async fn paths_of_custom_resources_are_looked_at_by_one_handler() {
    let f = start().await;
    let hats = serve_hats(&f).await;
    let hat = value!({"apiVersion": "example.com/v1", "kind": "Hat", "metadata": {"name": "h"}});
    let (status, made) = f.call(Method::POST, &format!("{hats}/another-name"), Some(hat.clone())).await;
    assert_eq!((status, made.str_at(&["metadata", "name"])), (StatusCode::CREATED, "h"));
    let other = |name: &str| Method::from_bytes(name.as_bytes()).unwrap();
    for (method, path, code, message) in [
        (Method::HEAD, hats.to_owned(), 200, ""),
        (Method::PUT, hats.to_owned(), 400, "name must be provided"),
        (other("FOO"), hats.to_owned(), 405, " is not supported on resources of kind \"hats.example.com\""),
        (Method::GET, format!("{hats}/h/status"), 404, "hats.example.com \"h\" not found"),
        (Method::DELETE, format!("{hats}/h/x/y"), 404, "hats.example.com \"h\" not found"),
        (Method::GET, "/apis/example.com/v1/hats/h".to_owned(), 404, ""),
        (Method::POST, "/apis/example.com/v1/hats".to_owned(), 404, ""),
        (Method::GET, "/apis/example.com/v1/hats".to_owned(), 200, ""),
        (Method::DELETE, "/apis/example.com/v1".to_owned(), 200, ""),
        (
            Method::DELETE,
            "/apis/apps/v1".to_owned(),
            405,
            "the server does not allow this method on the requested resource",
        ),
    ] {
        let body = matches!(method, Method::POST | Method::PUT).then(|| hat.clone());
        let (status, answer) = f.call(method.clone(), &path, body).await;
        assert_eq!((status.as_u16(), answer.str_at(&["message"])), (code, message), "{method} {path}");
    }
    let not_shown = |accept: &'static str| {
        let request = Request::get(format!("{hats}/h")).header("accept", accept);
        f.send(request.body(Full::default()).unwrap())
    };
    for (accept, message) in [
        ("text/plain", "only the following media types are accepted: application/json"),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "content is not a list"),
    ] {
        let answer = not_shown(accept).await.into_body().collect().await.unwrap().to_bytes();
        let status = Value::from_json(&answer).unwrap();
        assert!(status.str_at(&["message"]).starts_with(message), "{status:?}");
    }
    f.tasks.close().await;
}

#[tokio::test]
async fn a_custom_resource_is_served_once_its_definition_is_established() {
    let f = start().await;
    let hats = serve_hats(&f).await;
    let hat = |size: i64| value!({"apiVersion": "example.com/v1", "kind": "Hat", "metadata": {"generateName": "h-"}, "spec": {"size": size}});
    let (status, refused) = f.call(Method::POST, hats, Some(hat(9))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
    let empty = value!({"apiVersion": "example.com/v1", "kind": "Hat", "metadata": {"name": "h"}, "spec": {"brim": 1}});
    let (_, made) = f.call(Method::POST, hats, Some(empty)).await;
    assert_eq!(made.get("spec"), Some(&value!({"size": 3})));
    let watch = Request::get(format!(
        "{hats}?watch=1&resourceVersion={}",
        made.str_at(&["metadata", "resourceVersion"])
    ));
    let watch = f.send(watch.body(Full::default()).unwrap()).await;
    f.call(Method::DELETE, &format!("{DEFINITIONS}/hats.example.com"), None).await;
    // A watch hears of the end of its object, then ends itself.
    let events = watch.into_body().collect().await.unwrap().to_bytes();
    let event = Value::from_json(&events).unwrap();
    assert_eq!((event.str_at(&["type"]), event.str_at(&["object", "metadata", "name"])), ("DELETED", "h"));
    while f.call(Method::GET, hats, None).await.0 != StatusCode::NOT_FOUND {
        tokio::task::yield_now().await;
    }
    f.tasks.close().await;
}

/// Requests whose bodies never end have seats; who finds none is told to come back, and does.
#[tokio::test]
async fn too_many_requests_at_a_time_are_turned_away() {
    use tokio::io::AsyncWriteExt as _;
    // What the catch-all level has where there are no flow schemas.
    const SEATS: usize = 13;
    let f = start().await;
    let mut slow = Vec::new();
    for _ in 0..SEATS {
        let mut stream = tokio::net::TcpStream::connect(f.address).await.unwrap();
        let head = format!(
            "POST {SECRETS} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let get = || Request::get(SECRETS).body(Full::default()).unwrap();
    // The last of them may not have arrived yet.
    let refused = loop {
        let answer = f.send(get()).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    let metrics = f.send(Request::get("/metrics").body(Full::default()).unwrap()).await;
    assert_eq!(metrics.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(slow);
    while f.send(get()).await.status() != StatusCode::OK {}
    f.tasks.close().await;
}

/// What a connection answers to bytes that no client library would send.
async fn raw(f: &Fixture, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(f.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_is_not_escaped_in_a_target_is_taken_as_it_is() {
    let f = start().await;
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let answer = raw(&f, &get("/api/v1/namespaces/default/secrets?labelSelector=rank>5&x={\"y\"}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("SecretList"), "{answer}");
    let answer = raw(&f, &get("/api/v1/secrets?fieldSelector=metadata.name==a")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let answer = raw(&f, &get("/api/v1/secrets?fieldSelector=metadata.name>a")).await;
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request") && answer.contains("invalid selector"),
        "{answer}"
    );
    // A parameter that cannot be read is none.
    let answer = raw(&f, &get("/api/v1/secrets?fieldSelector=%zz&limit=1")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let answer = raw(&f, &get("/api/v1/namespaces/%zz/secrets")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 Bad Request"), "{answer}");
    assert!(!head.contains("audit-id"), "nothing else has seen it: {answer}");
    assert_eq!(body, "400 Bad Request");
    f.tasks.close().await;
}

#[tokio::test]
async fn an_api_server_tells_how_it_serves_and_who_serves_beside_it() {
    let f = start().await;
    let service = value!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1.far.example.com"},
        "spec": {"group": "far.example.com", "version": "v1", "groupPriorityMinimum": 10, "versionPriority": 10,
            "service": {"namespace": "default", "name": "none"}, "insecureSkipTLSVerify": true}});
    let services = "/apis/apiregistration.k8s.io/v1/apiservices";
    assert_eq!(f.call(Method::POST, services, Some(service)).await.0, StatusCode::CREATED);
    let mut request = Request::new(Full::default());
    *request.uri_mut() = "/metrics".parse().unwrap();
    let answer = f.send(request).await.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(answer.to_vec()).unwrap();
    for line in [
        "aggregator_unavailable_apiservice{name=\"v1.far.example.com\"} 1",
        "apiserver_request_sli_duration_seconds_count{component=\"apiserver\",group=\"apiregistration.k8s.io\",\
         resource=\"apiservices\",scope=\"cluster\",subresource=\"\",verb=\"POST\",version=\"v1\"} 1",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} in {text}");
    }
    f.tasks.close().await;
}
