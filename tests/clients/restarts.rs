//! client-go's informers, by way of kubectl's loops over them, while the service is killed under them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout};

use crate::common::{Kubectl, Service, text};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  progressDeadlineSeconds: 100000
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {nodeSelector: {sea: calm}, containers: [{name: web, image: nginx}]}
";

/// kubectl's three ways to wait for a deployment.
struct Waiting {
    status: Child,
    said: BufReader<ChildStdout>,
    waits: [Child; 2],
}

impl Waiting {
    fn begin(kubectl: &Kubectl) -> Self {
        let wait =
            |wanted: &str| kubectl.begin(&["wait", "deployment/web", wanted, "--timeout=120s", "-v=6"]);
        let waits = [wait("--for=condition=Available"), wait("--for=jsonpath={.status.readyReplicas}=3")];
        let mut status = kubectl.begin(&["rollout", "status", "deployment/web", "--timeout=120s"]);
        let said = BufReader::new(status.stdout.take().expect("a pipe"));
        Self { status, said, waits }
    }

    /// Returns once all three watch: none outlives a server that it has not reached yet.
    fn follow(&mut self) {
        self.waits.iter_mut().for_each(until_watching);
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        assert!(line.starts_with("Waiting for deployment "), "{line}");
    }

    fn end(mut self) {
        let mut said = String::new();
        self.said.read_to_string(&mut said).expect("text");
        end(self.status);
        assert!(said.ends_with("deployment \"web\" successfully rolled out\n"), "{said}");
        for wait in self.waits {
            assert_eq!(end(wait), "deployment.apps/web condition met\n");
        }
    }
}

/// kubectl says at `-v=6` what it asked for once it is answered.
fn until_watching(kubectl: &mut Child) {
    let mut said = BufReader::new(kubectl.stderr.as_mut().expect("a pipe")).lines();
    let watches = said.any(|line| line.expect("text").contains("watch=true"));
    assert!(watches, "kubectl ended before it watched");
}

fn end(child: Child) -> String {
    let output = child.wait_with_output().expect("kubectl ends");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn rollout_status_and_wait_outlive_the_service() {
    let mut service = Service::start_with(&["--speed", "20"]);
    let kubectl = service.cluster("informers", 1);
    kubectl.feed(&["apply"], WEB);
    let mut waiting = [Waiting::begin(&kubectl), Waiting::begin(&kubectl.oldest())];
    for one in &mut waiting {
        one.follow();
    }
    for _ in 0..2 {
        service.kill();
        service.launch();
        kubectl.until_ready();
    }
    kubectl.ok(&["label", "node", "--all", "sea=calm"]);
    waiting.into_iter().for_each(Waiting::end);
}
