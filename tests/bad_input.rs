//! Bad input to the product: refused with a message that says what is wrong, and nothing changes.

mod common;

use std::process::{Command, Output};

use common::{Service, text};

/// A `drydock serve` that must not start; what it says.
fn refused(args: &[&str]) -> String {
    let output = Command::new(common::binary()).arg("serve").args(args).output().expect("the binary starts");
    assert!(!output.status.success(), "serve {args:?} should have been refused");
    text(&output.stderr)
}

fn both(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_cli_names_the_field_at_fault_and_nothing_changes() {
    let service = Service::start();
    for (args, says) in [
        (&["Not_OK"][..], "name"),
        (&["a", "--version", "1.12"], "version"),
        (&["a", "--pod-cidr", "10.0.0.0/99"], "podCidr"),
        (&["a", "--pod-cidr", "10.0.0.0/8", "--service-cidr", "10.96.0.0/12"], "serviceCidr"),
        (&["a", "--nodes", "1", "--instance-type", "huge"], "instanceType"),
        (&["a", "--provider", "vapour"], "provider"),
        (&["a", "--region", "nowhere!"], "region"),
        (&["a", "--region", "us-east-9"], "region"),
        (&["a", "--nodes=-1"], "--nodes"),
        (&["a", "--nodes", "-1"], "--nodes"),
        (&["a", "--colour", "red"], "--colour"),
    ] {
        let output = service.drydock(&[&["cluster", "create"], args].concat());
        assert!(!output.status.success(), "{args:?}");
        let told = both(&output);
        assert!(told.contains(says), "{args:?} should name {says}: {told}");
    }
    let unchanged = service.ok(&["cluster", "list", "-o", "json"]);
    assert!(!unchanged.contains("\"name\""), "{unchanged}");
    let operations = service.ok(&["operation", "list", "-o", "json"]);
    assert!(!operations.contains("\"id\""), "{operations}");
}

#[test]
fn files_of_the_cli_are_checked_as_strictly() {
    let service = Service::start();
    for (name, content, says) in [
        ("unknown.yaml", "name: a\nnodes: 3\n", "nodes"),
        ("broken.yaml", "name: a\n  version: x\n", "the body is not YAML: line 2 column 10"),
        ("broken.json", "{\"name\": ", "the body is not JSON: EOF while parsing a value at line 1"),
        ("broken", "\n{\"name\": \"a\",}", "the body is not JSON: trailing comma at line 2"),
        ("twice.json", "{\"name\": \"a\", \"name\": \"b\"}", "the field \"name\" is given twice"),
    ] {
        let path = service.path(name);
        std::fs::write(&path, content).expect("write");
        let output = service.drydock(&["cluster", "create", "-f", &path.to_string_lossy()]);
        assert!(!output.status.success(), "{name}");
        let told = both(&output);
        assert!(told.contains(says), "{name} should say {says}: {told}");
    }
    let unchanged = service.ok(&["cluster", "list", "-o", "json"]);
    assert!(!unchanged.contains("\"name\""), "{unchanged}");
}

#[test]
fn names_that_yaml_could_take_for_something_else_are_names() {
    let service = Service::start();
    let config = service.path("merged");
    let names = ["0", "true", "null", "1e3"];
    for name in names {
        service.cluster(name, 0);
        let merge = ["cluster", "kubeconfig", name, "--merge"];
        let mut command = Command::new(common::binary());
        common::run(command.args(merge).env("DRYDOCK_SERVER", &service.url).env("KUBECONFIG", &config));
        assert!(service.ok(&["cluster", "get", name, "-o", "yaml"]).contains(&format!("name: \"{name}\"")));
    }
    let kubectl = common::Kubectl::new(config);
    for name in names {
        assert!(kubectl.ok(&["--context", name, "get", "namespaces"]).contains("kube-system"), "{name}");
    }
}

#[test]
fn a_damaged_management_database_is_refused_and_left_byte_for_byte() {
    let mut service = Service::start();
    service.stop();
    let path = service.data_dir().join("drydock.db");
    let good = std::fs::read(&path).expect("a database");
    let mut damaged = good.clone();
    damaged.iter_mut().skip(100).step_by(97).for_each(|byte| *byte ^= 0x5a);
    std::fs::write(&path, &damaged).expect("write");
    let data = service.data_dir();
    let told = refused(&["--listen", "127.0.0.1:0", "--data-dir", &data.to_string_lossy()]);
    assert!(told.contains("drydock.db is damaged"), "{told}");
    assert!(std::fs::read(&path).expect("a database") == damaged, "the file was changed");
    std::fs::write(&path, &good).expect("write");
    service.launch();
}

#[test]
fn a_damaged_tenant_fails_alone() {
    let mut service = Service::start();
    service.cluster("good", 0);
    let known = folders(&service);
    service.cluster("bad", 0);
    let bad =
        folders(&service).into_iter().find(|folder| !known.contains(folder)).expect("a folder of its own");
    service.stop();
    let path = bad.join("state.db");
    let garbage = vec![0x5a_u8; 64 * 1024];
    std::fs::write(&path, &garbage).expect("write");
    let _ = std::fs::remove_file(bad.join("state.db-wal"));
    service.launch();
    common::eventually("the undamaged cluster is open", || {
        let output = service.drydock(&["cluster", "kubeconfig", "good"]);
        if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
    });
    let good = service.kubectl("good");
    common::eventually("the undamaged cluster serves", || {
        let output = good.output(&["get", "namespaces"]);
        if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
    });
    let told = common::eventually("the damaged cluster is said to have failed", || {
        let told = service.ok(&["cluster", "get", "bad", "-o", "json"]);
        if told.contains("\"failed\"") { Ok(told) } else { Err(told) }
    });
    assert!(told.contains("state.db"), "the reason names the file: {told}");
    assert!(std::fs::read(&path).expect("the file") == garbage, "the damaged file was changed");
}

#[test]
fn a_cluster_whose_file_is_gone_fails_alone_and_is_not_made_anew() {
    let mut service = Service::start();
    service.cluster("bad", 0);
    let folder = folders(&service).pop().expect("a folder of its own");
    service.cluster("good", 0);
    service.stop();
    let kept = std::fs::read(folder.join("state.db")).expect("a file");
    std::fs::remove_file(folder.join("state.db")).expect("removed");
    service.launch();
    let failed = || {
        common::eventually("the cluster is said to have failed", || {
            let told = service.ok(&["cluster", "get", "bad", "-o", "json"]);
            if told.contains("\"failed\"") { Ok(told) } else { Err(told) }
        })
    };
    let told = failed();
    assert!(told.contains("state.db is missing or empty") && told.contains("StateLost"), "{told}");
    common::eventually("the other serves", || {
        let output = service.drydock(&["cluster", "kubeconfig", "good"]);
        if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
    });
    // It is tried again and again, and by each start, and stays so until its file is back.
    service.stop();
    service.launch();
    assert!(!folder.join("state.db").exists());
    std::fs::write(folder.join("state.db"), kept).expect("restored");
    common::eventually("the restored cluster serves", || {
        let output = service.drydock(&["cluster", "kubeconfig", "bad"]);
        if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
    });
}

#[test]
fn a_cluster_whose_port_is_taken_says_which() {
    let mut service = Service::start();
    service.cluster("dev", 0);
    let told = service.ok(&["cluster", "get", "dev", "-o", "json"]);
    let cluster: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let address =
        cluster["endpoint"].as_str().expect("an endpoint").trim_start_matches("https://").to_owned();
    service.stop();
    let holder = std::net::TcpListener::bind(&address).expect("the cluster's port");
    service.launch();
    common::eventually("the cluster says so", || {
        let told = service.ok(&["cluster", "get", "dev"]);
        let says = told.contains(&format!("cannot listen on {address}"));
        if says && told.contains("failed") { Ok(()) } else { Err(told) }
    });
    drop(holder);
    common::eventually("it serves when the port is free", || {
        let output = service.drydock(&["cluster", "kubeconfig", "dev"]);
        if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
    });
}

fn folders(service: &Service) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(service.data_dir().join("clusters")).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn a_taken_port_and_a_taken_folder_say_which() {
    let service = Service::start();
    let address = service.url.trim_start_matches("http://").trim_end_matches('/');
    let other = service.path("other");
    let told = refused(&["--listen", address, "--data-dir", &other.to_string_lossy()]);
    assert!(told.contains(address) && told.contains("is taken by another program"), "{told}");

    let data = service.data_dir();
    let told = refused(&["--listen", "127.0.0.1:0", "--data-dir", &data.to_string_lossy()]);
    assert!(told.contains(&*data.to_string_lossy()) && told.contains("in use by another drydock"), "{told}");
    service.ok(&["cluster", "list"]);
}

#[test]
fn no_open_address_without_a_token() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let told = refused(&["--listen", "0.0.0.0:0", "--data-dir", &data.to_string_lossy()]);
    assert!(told.contains("token"), "{told}");
    assert!(!data.join("drydock.db").exists(), "nothing is made by a service that is refused");
}

#[test]
fn numbers_that_cannot_be_are_refused_by_the_flag_they_are_given_to() {
    for (args, says) in [
        (&["node-pool", "scale", "p", "-c", "a", "--nodes", "-1"][..], "'--nodes <N>'"),
        (&["node-pool", "create", "p", "-c", "a", "--nodes", "1.5"], "'--nodes <N>'"),
        (&["up", "--nodes", "-3"], "'--nodes <N>'"),
        (&["cluster", "clock", "a", "--advance", "-5m"], "'--advance <DURATION>'"),
        (&["operation", "wait", "x", "--timeout", "-5"], "'--timeout <DURATION>'"),
        (&["serve", "--speed", "-1"], "speed: -1 must be 0, which stops the clock, or between 0.001"),
        (&["serve", "--speed", "fast"], "'--speed <N>'"),
    ] {
        let output = Command::new(common::binary()).args(args).output().expect("the binary starts");
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains(says), "{args:?} should name {says}: {told}");
    }
}
