//! The command line against a service: what people read, what scripts read, exit codes.

use std::process::{Command, Output};

use drydock::database::cluster::Reason;
use drydock::service::control_plane::Trouble;
use serde_json::Value;

use crate::harness::World;

impl World {
    /// Runs the real binary, without blocking the service in this process.
    async fn cli(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
        command
            .args(args)
            .env("DRYDOCK_SERVER", &self.url)
            .env("HOME", self.folder.path())
            .env_remove("KUBECONFIG");
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Standard output of a run that succeeds.
    async fn cli_ok(&self, args: &[&str]) -> String {
        let output = self.cli(args).await;
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Exit code and standard error of a run that fails.
    async fn cli_fails(&self, args: &[&str]) -> (i32, String) {
        let output = self.cli(args).await;
        assert!(!output.status.success(), "{args:?}: {}", text(&output.stdout));
        (output.status.code().unwrap(), text(&output.stderr))
    }

    /// Replaces what differs from run to run.
    fn masked(&self, text: &str) -> String {
        let mut out = String::new();
        for word in text.replace(&self.url, "URL").split_inclusive([' ', '\n', '`', '/']) {
            let bare = word.trim_end_matches([' ', '\n', '`', '/']);
            let rest = &word[bare.len()..];
            let mask = match bare {
                _ if bare.starts_with("op-") => "OPERATION",
                _ if uuid::Uuid::try_parse(bare).is_ok() => "UID",
                _ if bare.starts_with("127.0.0.1:") => "ENDPOINT",
                _ if bare.len() > 19 && bare.ends_with('Z') && bare.starts_with("20") => "TIME",
                _ => bare,
            };
            out.push_str(mask);
            out.push_str(rest);
        }
        out
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_tables() {
    let world = World::new().await;
    let mut golden = String::new();
    for args in [
        "cluster list",
        "cluster create dev --nodes 2 --wait",
        "cluster create web --version 1.34 --region eu-west-1 --label team=a --wait",
        "cluster list",
        "cluster list --region eu-west-1",
        "cluster get web",
        "node-pool create gpu --cluster dev --instance-type g5.xlarge --taint gpu=yes:NoSchedule --label a=b --wait",
        "node-pool scale default --cluster dev --nodes 3 --wait",
        "node-pool list --cluster dev",
        "node-pool get gpu --cluster dev",
        "node-pool delete gpu --cluster dev --wait",
        "provider list",
        "provider get mock",
        "cluster clock dev --advance 5m -o yaml",
        "operation list --type nodePoolDelete",
        "operation list --cluster dev",
        "cluster delete web --wait",
        "cluster kubeconfig dev",
    ] {
        let args: Vec<_> = args.split(' ').collect();
        let output = world.cli_ok(&args).await;
        golden.push_str(&format!("$ drydock {}\n{}\n", args.join(" "), world.masked(&output)));
    }
    // Columns move with what is in them, and ages with time.
    let golden: Vec<_> = golden.lines().map(squeeze).collect();
    insta::assert_snapshot!(golden.join("\n"));
}

/// One space for many, and no ages.
fn squeeze(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let digits = word.strip_suffix('s').unwrap_or_default();
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) { "AGE" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_read_json_and_yaml() {
    let world = World::new().await;
    let created = world.cli_ok(&["cluster", "create", "dev", "--nodes", "1", "--wait", "-o", "json"]).await;
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!((&created["name"], &created["state"]), (&"dev".into(), &"active".into()));
    let list: Value = serde_json::from_str(&world.cli_ok(&["cluster", "list", "-o", "json"]).await).unwrap();
    assert_eq!(list["items"][0], created);
    let yaml: Value =
        serde_saphyr::from_str(&world.cli_ok(&["cluster", "get", "dev", "-o", "yaml"]).await).unwrap();
    assert_eq!(yaml, created);
    let operation =
        world.cli_ok(&["node-pool", "scale", "default", "-c", "dev", "--nodes", "2", "-o", "json"]).await;
    let operation: Value = serde_json::from_str(&operation).unwrap();
    let id = operation["id"].as_str().unwrap();
    let done: Value =
        serde_json::from_str(&world.cli_ok(&["operation", "wait", id, "-o", "json"]).await).unwrap();
    assert_eq!(done["state"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_and_have_codes() {
    let world = World::new().await;
    world.cluster("dev", 1).await;
    let check = async |args: &[&str], code: i32, says: &str| {
        let (found, stderr) = world.cli_fails(args).await;
        assert_eq!((found, world.masked(&stderr).as_str()), (code, says), "{args:?}");
    };
    check(&["cluster", "get", "none"], 3, "error: there is no cluster \"none\"\n").await;
    check(
        &["cluster", "create", "Bad", "--version", "1.2"],
        4,
        "error: the request is invalid\n  name: \"Bad\" must be 1 to 63 lower case letters, digits or '-', and begin and \
         end with a letter or digit\n  version: \"1.2\" must be one of 1.36, 1.35, 1.34, 1.33\n",
    )
    .await;
    check(&["cluster", "create", "dev"], 5, "error: there is a cluster \"dev\" already\n").await;
    check(
        &["cluster", "list", "--server", "https://x"],
        2,
        "error: --server: \"https://x\" must be of the form http://HOST:PORT\n",
    )
    .await;
    let (code, stderr) = world.cli_fails(&["cluster", "list", "--server", "http://127.0.0.1:1"]).await;
    assert!(
        code == 6 && stderr.contains("cannot reach the service at http://127.0.0.1:1"),
        "{code} {stderr}"
    );
    assert!(stderr.contains("Is it running?"), "{stderr}");
    world.fakes.change(|state| {
        let trouble = Trouble { reason: Reason::new("InvalidRequest", "no such image"), permanent: true };
        state.troubled.insert("bad".into(), trouble);
        state.held.insert("default".into());
    });
    // What it says on the way depends on how fast one looks.
    let (code, stderr) = world.cli_fails(&["node-pool", "create", "bad", "--cluster", "dev", "--wait"]).await;
    assert!(code == 7 && stderr.ends_with("\nerror: node pool dev/bad: no such image\n"), "{code} {stderr}");
    let (code, stderr) = world
        .cli_fails(&["node-pool", "scale", "default", "-c", "dev", "--nodes", "9", "-w", "--timeout", "1s"])
        .await;
    assert!(code == 8 && stderr.contains("1 of 9 nodes are ready"), "{code} {stderr}");
    let (code, _) = world.cli_fails(&["cluster", "create"]).await;
    assert_eq!(code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubeconfigs_are_written_and_merged() {
    let world = World::new().await;
    world.cluster("dev", 0).await;
    let file = world.folder.path().join("some/where.yaml");
    world.cli_ok(&["cluster", "kubeconfig", "dev", "--output", file.to_str().unwrap()]).await;
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        world.cli_ok(&["cluster", "kubeconfig", "dev"]).await
    );
    world.cli_ok(&["cluster", "kubeconfig", "dev", "--merge", "--credential", "token"]).await;
    let merged = std::fs::read_to_string(world.folder.path().join(".kube/config")).unwrap();
    let merged: Value = serde_saphyr::from_str(&merged).unwrap();
    assert_eq!(merged["current-context"], "dev");
    assert_eq!(merged["users"][0]["user"]["note"], "Token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_created_from_a_file() {
    let world = World::new().await;
    let file = world.folder.path().join("cluster.yaml");
    std::fs::write(&file, "name: dev\nversion: '1.33'\nnodePools:\n- name: a\n  nodes: 1\n").unwrap();
    let file = file.to_str().unwrap();
    world.cli_ok(&["cluster", "create", "-f", file, "--wait"]).await;
    assert_eq!(world.get("/v1/clusters/dev").await.json["version"], "1.33");
    std::fs::write(file, "name: [x\n").unwrap();
    let (code, stderr) = world.cli_fails(&["cluster", "create", "-f", file]).await;
    assert!(code == 4 && stderr.contains("the body is not YAML"), "{code} {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn help_teaches_and_completions_are_written() {
    let world = World::new().await;
    let mut golden = String::new();
    for args in
        ["--help", "serve --help", "cluster create --help", "cluster clock --help", "node-pool scale --help"]
    {
        let args: Vec<_> = args.split(' ').collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
        let output = command.args(&args).env("COLUMNS", "110").output().unwrap();
        golden.push_str(&format!("$ drydock {}\n{}\n", args.join(" "), text(&output.stdout)));
    }
    insta::assert_snapshot!(golden);
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.cli_ok(&["completions", shell]).await.contains("drydock"), "{shell}");
    }
}
