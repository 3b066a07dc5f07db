//! kubectl's connections to containers, over WebSocket and over SPDY, and proxies.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use common::{Kubectl, Service, text};

const POD: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a.txt: alpha}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: web
    image: nginx
    ports: [{containerPort: 80, name: http}]
    volumeMounts: [{name: conf, mountPath: /conf}]
  volumes: [{name: conf, configMap: {name: conf}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 8080, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {selector: {app: none}, ports: [{name: http, port: 80}]}
";

struct Session<'a> {
    kubectl: &'a Kubectl,
    websockets: &'a str,
}

impl Session<'_> {
    /// Standard output, standard error and exit code.
    fn run(&self, args: &[&str], input: &[u8]) -> (String, String, Option<i32>) {
        let mut child = self
            .kubectl
            .command(args)
            .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", self.websockets)
            .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", self.websockets)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        let feed = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("kubectl ends");
        feed.join().expect("fed");
        (text(&output.stdout), text(&output.stderr), output.status.code())
    }

    fn check_exec(&self) {
        let (out, err, code) = self.run(&["exec", "web", "--", "cat", "/conf/a.txt"], b"");
        assert_eq!((out.as_str(), code), ("alpha", Some(0)), "{err}");
        let script = "echo out; echo err >&2; exit 3";
        let (out, err, code) = self.run(&["exec", "web", "--", "sh", "-c", script], b"");
        assert_eq!((out.as_str(), code), ("out\n", Some(3)), "{err}");
        assert_eq!(err, "err\ncommand terminated with exit code 3\n");
        let large = vec![b'x'; 300_000];
        let (out, err, code) = self.run(&["exec", "-i", "web", "--", "wc", "-c"], &large);
        assert_eq!((out.as_str(), code), ("300000\n", Some(0)), "{err}");
        let (_, err, code) = self.run(&["exec", "web", "--", "nginx"], b"");
        assert_eq!(code, Some(1));
        assert!(err.contains("exec: \"nginx\": executable file not found in $PATH"), "{err}");
        let (_, err, _) = self.run(&["exec", "web", "-c", "no", "--", "ls"], b"");
        assert_eq!(err, "error: container no is not valid for pod web out of: web\n");
    }

    fn check_port_forward(&self) {
        let mut child = self
            .kubectl
            .command(&["port-forward", "pod/web", ":80"])
            .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", self.websockets)
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = lines.next().expect("a line").expect("text");
        let port = line.split(" -> ").next().and_then(|part| part.rsplit(':').next()).expect("a port");
        for _ in 0..2 {
            let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).expect("a connection");
            stream
                .write_all(b"GET /hostname HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                .expect("write");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("read");
            assert!(answer.ends_with("\r\n\r\nweb"), "{answer}");
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[test]
fn containers_and_ports_are_reached_in_both_protocols_and_through_proxies() {
    let service = Service::start();
    let kubectl = service.cluster("streams", 1);
    kubectl.feed(&["create"], POD);
    kubectl.ok(&["wait", "pod/web", "--for=condition=Ready", "--timeout=60s"]);
    for websockets in ["true", "false"] {
        let session = Session { kubectl: &kubectl, websockets };
        session.check_exec();
        session.check_port_forward();
    }
    let local = service.path("local.txt");
    std::fs::write(&local, "local").expect("a file");
    kubectl.ok(&["cp", &local.to_string_lossy(), "web:/tmp/copied.txt"]);
    assert_eq!(kubectl.ok(&["exec", "web", "--", "cat", "/tmp/copied.txt"]), "local");

    let raw = |path: &str| kubectl.ok(&["get", "--raw", path]);
    assert_eq!(raw("/api/v1/namespaces/default/pods/web:80/proxy/hostname"), "web");
    kubectl.until(&["endpoints", "web"], "{.subsets[0].ports[0].port}", "80");
    assert_eq!(raw("/api/v1/namespaces/default/services/web:http/proxy/hostname"), "web");
    assert_eq!(raw("/api/v1/namespaces/default/services/http:web:8080/proxy/echo?msg=hi"), "hi");
    let refusal = kubectl.fails(&["get", "--raw", "/api/v1/namespaces/default/services/empty:http/proxy/"]);
    assert!(refusal.contains("no endpoints available for service \"empty\""), "{refusal}");
    let refusal = kubectl.fails(&["get", "--raw", "/api/v1/namespaces/default/pods/web:81/proxy/"]);
    assert!(refusal.contains("error trying to reach service: dial tcp"), "{refusal}");
    let node = kubectl.get(&["pod", "web"], "{.spec.nodeName}");
    assert_eq!(raw(&format!("/api/v1/nodes/{node}/proxy/healthz")), "ok");
    assert!(raw(&format!("/api/v1/nodes/{node}/proxy/pods")).contains("\"name\":\"web\""));
    assert!(raw(&format!("/api/v1/nodes/{node}:10250/proxy/stats/summary")).contains("\"nodeName\""));
}
