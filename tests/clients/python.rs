//! The official Python client: `objects.py` uses what it has, `history.py` holds it against kills of the service.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Kubectl, Service, run, tool};

fn script(name: &str, kubectl: &Kubectl) -> Command {
    let mut command = Command::new(tool("DRYDOCK_TEST_PYTHON", "python3"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name));
    command.env("KUBECONFIG", &kubectl.kubeconfig);
    command
}

#[test]
fn typed_and_dynamic_objects_patches_and_refusals() {
    let service = Service::start_with(&["--speed", "20"]);
    let kubectl = service.cluster("python", 1);
    assert_eq!(run(&mut script("objects.py", &kubectl)), "done\n");
}

#[test]
fn watches_go_on_over_restarts_and_lose_and_repeat_nothing() {
    let mut service = Service::start();
    let kubectl = service.cluster("python", 0);
    let mut child = script("history.py", &kubectl);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut line = || lines.next().and_then(Result::ok).expect("the script goes on");
    for end in [Service::kill, Service::kill, Service::stop, Service::kill] {
        assert_eq!(line(), "written");
        end(&mut service);
        service.launch();
    }
    // The load came through the last restart, too.
    assert_eq!(line(), "written");
    drop(child.stdin.take());
    while !line().ends_with("events") {}
    assert!(child.wait().expect("python ends").success());
}
