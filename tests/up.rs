//! `drydock up`: one command from nothing to a working kubectl, and everything is found again by the next.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::Kubectl;

/// `drydock up` on `data`, and what it printed until it was ready.
fn up(data: &Path) -> (Child, String) {
    let mut child = Command::new(common::binary())
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut told = String::new();
    while !told.contains("Ctrl-C stops") {
        let read = stdout.read_line(&mut told).expect("standard output");
        if read == 0 {
            let _ = child.wait();
            panic!("up ended before it was ready:\n{told}");
        }
    }
    std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
    (child, told)
}

/// Ctrl-C, after which it must end well.
fn interrupt(mut child: Child) {
    common::run(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let status = child.wait().expect("wait");
    assert!(status.success(), "up ended with {status}");
}

#[cfg(unix)]
fn files_are_private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        assert_eq!(meta.permissions().mode() & 0o077, 0, "{}", path.display());
        if meta.is_dir() {
            files_are_private(&path);
        }
    }
}

#[test]
fn a_first_cluster_in_one_command_and_found_again_by_the_next() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A folder that is there already, and that anybody may look into.
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    let kubeconfig = data.join("dev.kubeconfig");
    let kubectl = Kubectl::new(kubeconfig.clone());
    let ready = "{.items[*].status.conditions[?(@.type=='Ready')].status}";

    let (first, told) = up(&data);
    #[cfg(unix)]
    files_are_private(&data);
    assert!(told.contains("cluster dev is ready: Kubernetes 1.36, 3 nodes, https://"), "{told}");
    assert!(told.contains(&format!("export KUBECONFIG={}", kubeconfig.display())), "{told}");
    assert!(told.contains("kubectl get nodes"), "{told}");
    kubectl.until(&["nodes"], ready, "True True True");
    kubectl.ok(&["create", "deployment", "web", "--image=nginx"]);
    kubectl.until(&["deployment", "web"], "{.status.readyReplicas}", "1");
    let identity = |kubectl: &Kubectl| {
        let uid = "{.items[*].metadata.uid}";
        (kubectl.get(&["nodes"], uid), kubectl.get(&["deployments"], uid), kubectl.get(&["pods"], uid))
    };
    let before = identity(&kubectl);
    let credentials = std::fs::read(&kubeconfig).expect("a kubeconfig");
    interrupt(first);

    // The kubeconfig handed out by the first goes on working with the second.
    std::fs::write(folder.path().join("kept"), credentials).expect("write");
    let (second, told) = up(&data);
    assert!(told.contains("cluster dev is ready: Kubernetes 1.36, 3 nodes, https://"), "{told}");
    let kept = Kubectl::new(folder.path().join("kept"));
    assert_eq!(identity(&kept), before);
    assert_eq!(kubectl.get(&["nodes"], ready), "True True True");
    interrupt(second);
}
