//! Commands in a simulated container, against the fake server.

use std::sync::Arc;

use drydock_client::dialer::{DialError, ExecOptions, Exit, NodeDialer};
use drydock_client::resources::{CONFIG_MAPS, PODS, SECRETS};
use drydock_machinery::{Object, Value, value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tests::{Played, find, is, played, pod, spec};

struct Fixture {
    played: Played,
    pod: Arc<Object>,
}

async fn start() -> Fixture {
    let played = played();
    played.agents.add(spec());
    let client = played.server.client();
    let config = value!({"metadata": {"name": "conf", "namespace": "d"}, "data": {"a.txt": "alpha\n", "b.txt": "beta\n"}});
    client.create(&CONFIG_MAPS, config).await.unwrap();
    let secret = value!({"metadata": {"name": "s", "namespace": "d"}, "data": {"key": "aGlkZGVu"}});
    client.create(&SECRETS, secret).await.unwrap();
    let extra = value!({
        "volumes": [
            {"name": "conf", "configMap": {"name": "conf"}},
            {"name": "data", "emptyDir": {}},
            {"name": "info", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        ],
        "containers": [{
            "name": "c", "image": "nginx:1", "ports": [{"containerPort": 80}],
            "resources": {"limits": {"memory": "64Mi"}},
            "env": [
                {"name": "GREETING", "value": "hello $(WHO)"}, {"name": "WHO", "value": "you"},
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            ],
            "envFrom": [{"prefix": "CONF_", "configMapRef": {"name": "conf"}}],
            "volumeMounts": [
                {"name": "conf", "mountPath": "/etc/conf"}, {"name": "data", "mountPath": "/data"},
                {"name": "info", "mountPath": "/info"},
                {"name": "conf", "mountPath": "/one/file", "subPath": "a.txt"},
            ],
        }],
    });
    let mut made = pod("p", extra);
    made.set(&["metadata", "labels", "app"], "web");
    client.create(&PODS, made).await.unwrap();
    played.server.until(|server| is(server, "p", "Ready")).await;
    let pod = find(&played.server, "p").unwrap();
    Fixture { played, pod }
}

impl Fixture {
    async fn run(&self, command: &[&str], input: &str, tty: bool) -> (String, String, Exit) {
        let options = ExecOptions {
            container: "c".to_owned(),
            command: Some(command.iter().map(|&word| word.to_owned()).collect()),
            stdin: true,
            stdout: true,
            stderr: !tty,
            tty,
        };
        let mut streams = self.played.agents.exec(&self.pod, options).await.unwrap();
        let (mut stdin, mut stdout) = (streams.stdin.take().unwrap(), streams.stdout.take().unwrap());
        let (mut out, mut err) = (String::new(), String::new());
        let feed = async {
            let _ = stdin.write_all(input.as_bytes()).await;
            let _ = stdin.shutdown().await;
        };
        let errors = async {
            if let Some(mut from) = streams.stderr.take() {
                from.read_to_string(&mut err).await.unwrap();
            }
        };
        let (exit, ..) = tokio::join!(streams.exit, feed, stdout.read_to_string(&mut out), errors);
        (out, err, exit)
    }

    async fn sh(&self, script: &str, output: &str, code: u8) {
        let (out, err, exit) = self.run(&["sh", "-c", script], "in\nput\n", false).await;
        assert_eq!((out.as_str(), exit), (output, Exit::Code(code)), "{script}: {err}");
    }
}

#[tokio::test]
async fn scripts_see_the_containers_environment_and_files() {
    let f = start().await;
    f.sh("echo $GREETING $WHO; printenv SECRET NODE", "hello $(WHO) you\nhidden\na\n", 0).await;
    f.sh("env | grep '^CONF_' | sort", "CONF_a.txt=alpha\nCONF_b.txt=beta\n", 0).await;
    f.sh("hostname; whoami; pwd", "p\nroot\n/\n", 0).await;
    f.sh("cat /etc/conf/a.txt /one/file; ls /etc/conf", "alpha\nalpha\na.txt\nb.txt\n", 0).await;
    f.sh("cat /info/labels", "app=\"web\"", 0).await;
    f.sh("cat", "in\nput\n", 0).await;
    f.sh("cat /nowhere || echo no", "no\n", 0).await;
    f.sh("nothing", "", 127).await;
    f.sh("exit 3", "", 3).await;
    f.sh("false && echo a; true && echo b; ! true || echo c", "b\nc\n", 0).await;
    f.sh("echo a b | wc -w; echo \"$(echo x; echo y)\" | tail -n 1", "2\ny\n", 0).await;
    f.sh("for f in /etc/conf/*.txt; do basename $f; done", "a.txt\nb.txt\n", 0).await;
    f.sh("[ ! ! a = a ] && [ ! b = a ] && ! test ! a && echo yes", "yes\n", 0).await;
    // As deep as it is long: nothing of it may be on the stack.
    f.sh(&format!("test {} a && echo yes", "! ".repeat(100_000)), "yes\n", 0).await;
    f.sh("i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i ${X:-none}", "3 none\n", 0).await;
    f.sh("if test -f /etc/hostname; then echo yes; else echo no; fi", "yes\n", 0).await;
    f.sh("echo '*' \"*\" \\$HOME 'a b'", "* * $HOME a b\n", 0).await;
    f.sh("echo out; echo err >&2; (exit 4)", "out\n", 4).await;
    f.sh("date +%Y >/dev/null; sleep 1; echo done", "done\n", 0).await;
    f.sh("while true; do :; done", "", 137).await;
    f.played.tasks.close().await;
}

#[tokio::test]
async fn what_is_written_stays_while_the_pod_is_there() {
    let f = start().await;
    f.sh("echo one >/data/x; echo two >>/data/x; mkdir -p /data/d/e; touch /data/d/e/f", "", 0).await;
    f.sh("cat /data/x; ls /data; ls /data/d/e", "one\ntwo\nd\nx\nf\n", 0).await;
    f.sh("echo no >/etc/conf/a.txt", "", 1).await;
    f.sh("rm -r /data/d; ls /data", "x\n", 0).await;
    f.sh("tar cf - /data/x | tar xf - -C /tmp; cat /tmp/data/x", "one\ntwo\n", 0).await;
    f.sh("cat >/data/big; wc -c </data/big; head -c 3 /data/big", "7\nin\n", 0).await;
    f.played.tasks.close().await;
}

#[tokio::test]
async fn a_command_that_is_not_there_is_refused_by_the_runtime() {
    let f = start().await;
    let (.., exit) = f.run(&["nginx", "-t"], "", false).await;
    let Exit::Failed(why) = exit else { panic!("{exit:?}") };
    assert!(why.ends_with("exec: \"nginx\": executable file not found in $PATH"), "{why}");
    let (.., exit) = f.run(&["/opt/run"], "", false).await;
    let Exit::Failed(why) = exit else { panic!("{exit:?}") };
    assert!(why.ends_with("exec: \"/opt/run\": stat /opt/run: no such file or directory"), "{why}");
    let options =
        ExecOptions { container: "no".to_owned(), command: Some(Vec::new()), ..ExecOptions::default() };
    let refused = f.played.agents.exec(&f.pod, options).await.map(|_| ()).unwrap_err();
    let text = "container not found (\"no\")".to_owned();
    assert_eq!(refused, DialError::Refused { code: 500, text });
    f.played.tasks.close().await;
}

#[tokio::test]
async fn a_shell_on_a_terminal_prompts_echoes_and_survives_interrupts() {
    let f = start().await;
    for (typed, shown, code) in [
        ("echo hx\x7fi\r", "/ # echo hx\x08 \x08i\r\nhi\r\n/ # ", 0),
        ("cd /data\r", "/ # cd /data\r\n/data # ", 0),
        ("exit 5\r", "/ # exit 5\r\n", 5),
        ("\x04", "/ # ", 0),
    ] {
        let (out, _, exit) = f.run(&["sh"], typed, true).await;
        assert_eq!((out.as_str(), exit), (shown, Exit::Code(code)));
    }
    let (_, _, exit) = f.run(&["sleep", "infinity"], "\x03", true).await;
    assert_eq!(exit, Exit::Code(130));
    f.played.tasks.close().await;
}

#[tokio::test]
async fn declared_ports_answer_and_others_refuse() {
    let f = start().await;
    let agents = &f.played.agents;
    agents.forwardable(&f.pod).await.unwrap();
    let mut stream = agents.port_forward(&f.pod, 80).await.unwrap();
    stream.write_all(b"GET /hostname HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\np"), "{answer}");
    let Err(refused) = agents.port_forward(&f.pod, 81).await else { panic!("81 is not declared") };
    assert!(refused.contains("dial tcp4 127.0.0.1:81: connect: connection refused"), "{refused}");
    let address = f.pod.str_at(&["status", "podIP"]).parse().unwrap();
    assert!(agents.pod_network(address, 80).await.unwrap().is_ok());
    let Some(Err(refused)) = agents.pod_network(address, 81).await else { panic!("81 is not declared") };
    assert_eq!(refused, format!("dial tcp {address}:81: connect: connection refused"));
    assert!(agents.pod_network([10, 9, 9, 9].into(), 80).await.is_none());
    f.played.tasks.close().await;
}

#[tokio::test]
async fn a_kubelet_tells_of_its_pods() {
    let f = start().await;
    let get = async |path: &str| {
        let mut stream = f.played.agents.kubelet("a").await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    };
    assert_eq!(get("/healthz").await, "ok");
    let pods = Value::from_json(get("/pods").await.as_bytes()).unwrap();
    assert_eq!(pods.array_at(&["items"])[0].str_at(&["metadata", "name"]), "p");
    let summary = Value::from_json(get("/stats/summary").await.as_bytes()).unwrap();
    assert_eq!(summary.array_at(&["pods"])[0].str_at(&["podRef", "name"]), "p");
    let metrics = get("/metrics/resource").await;
    assert!(
        metrics.contains("container_memory_working_set_bytes{container=\"c\",namespace=\"d\",pod=\"p\"}"),
        "{metrics}"
    );
    assert_eq!(get("/nothing").await, "404 page not found\n");
    assert!(f.played.agents.kubelet("b").await.is_err());
    f.played.tasks.close().await;
}
