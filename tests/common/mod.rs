//! What the tests of the whole product share: a service of one's own, and the real clients.

#![expect(dead_code, unreachable_pub, reason = "each test binary uses a part of this one file")]

pub mod proxy;
pub mod tls_server;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use drydock_runtime::Stopwatch;

/// A `drydock serve` on a data folder that outlives it, so that it can be killed and started again.
pub struct Service {
    folder: tempfile::TempDir,
    extra: Vec<String>,
    child: Option<Child>,
    pub url: String,
}

impl Service {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments of `serve`.
    pub fn start_with(extra: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let extra = extra.iter().map(|arg| (*arg).to_owned()).collect();
        let mut service = Self { folder, extra, child: None, url: String::new() };
        service.launch();
        service
    }

    /// Starts the service on its data folder.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "the service runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log");
        let mut child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.data_dir())
            .args(&self.extra)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        self.url = loop {
            line.clear();
            let read = stdout.read_line(&mut line).expect("standard output");
            assert!(read > 0, "the service ended:\n{}", self.log());
            if let Some(at) = line.find("http://") {
                break line[at..].split_whitespace().next().unwrap_or_default().to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        self.child = Some(child);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the service runs");
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    /// Asks the service to stop, as Ctrl-C does, and waits for it.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("the service runs");
        run(Command::new("kill").args(["-INT", &child.id().to_string()]));
        let status = child.wait().expect("wait");
        assert!(status.success(), "the service ended with {status}:\n{}", self.log());
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("service.log")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The CLI, pointed at this service.
    pub fn drydock(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(args).env("DRYDOCK_SERVER", &self.url).output().expect("the binary starts")
    }

    /// The CLI, which must succeed; its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.drydock(args);
        assert!(
            output.status.success(),
            "drydock {}:\n{}\n{}",
            args.join(" "),
            text(&output.stderr),
            self.log()
        );
        text(&output.stdout)
    }

    /// Creates a cluster on the mock provider and answers kubectl for it.
    pub fn cluster(&self, name: &str, nodes: u32) -> Kubectl {
        self.ok(&["cluster", "create", name, "--nodes", &nodes.to_string(), "--wait"]);
        self.kubectl(name)
    }

    pub fn kubectl(&self, cluster: &str) -> Kubectl {
        let kubeconfig = self.path(&format!("{cluster}.kubeconfig"));
        self.ok(&["cluster", "kubeconfig", cluster, "--output", &kubeconfig.to_string_lossy()]);
        Kubectl::new(kubeconfig)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the service's log:\n{}", self.log());
        }
    }
}

/// Real kubectl with a kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    pub kubeconfig: PathBuf,
    program: PathBuf,
}

impl Kubectl {
    /// The newest of the versions that clusters are to serve.
    pub fn new(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig, program: tool("DRYDOCK_TEST_KUBECTL", "kubectl") }
    }

    /// The same with the oldest of them.
    pub fn oldest(&self) -> Self {
        let program = tool("DRYDOCK_TEST_KUBECTL_OLDEST", "kubectl-1.27");
        Self { program, ..self.clone() }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        command.env("KUBECACHEDIR", self.kubeconfig.with_extension("cache"));
        command
    }

    /// Starts it with its output piped.
    pub fn begin(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kubectl starts")
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("kubectl starts")
    }

    /// Must succeed; its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "kubectl {}:\n{}", args.join(" "), text(&output.stderr));
        text(&output.stdout)
    }

    /// Must fail; its standard error.
    pub fn fails(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(
            !output.status.success(),
            "kubectl {} should fail:\n{}",
            args.join(" "),
            text(&output.stdout)
        );
        text(&output.stderr)
    }

    /// `kubectl ARGS -f -` with `manifest`; must succeed.
    pub fn feed(&self, args: &[&str], manifest: &str) -> String {
        use std::io::Write as _;
        let mut command = self.command(args);
        command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl starts");
        child.stdin.take().expect("a pipe").write_all(manifest.as_bytes()).expect("kubectl reads");
        let output = child.wait_with_output().expect("kubectl ends");
        assert!(output.status.success(), "kubectl {}:\n{}", args.join(" "), text(&output.stderr));
        text(&output.stdout)
    }

    /// The values of a JSONPath.
    pub fn get(&self, what: &[&str], jsonpath: &str) -> String {
        let output = format!("jsonpath={jsonpath}");
        self.ok(&[&["get"], what, &["-o", &output]].concat())
    }

    /// Repeats a request for the cluster's readiness until it is ready.
    pub fn until_ready(&self) {
        eventually("the cluster is ready", || {
            let output = self.output(&["get", "--raw", "/readyz"]);
            if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
        });
    }

    /// Repeats a get until it answers `wanted`.
    pub fn until(&self, what: &[&str], jsonpath: &str, wanted: &str) {
        let output = format!("jsonpath={jsonpath}");
        let args = [&["get"], what, &["-o", &output]].concat();
        eventually(&format!("{jsonpath} of {} is {wanted:?}", what.join(" ")), || {
            let got = text(&self.output(&args).stdout);
            if got == wanted { Ok(()) } else { Err(got) }
        });
    }
}

/// Repeats `check` until it is Ok, for at most a minute; panics with what it said last.
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Result<T, String>) -> T {
    let watch = Stopwatch::start();
    loop {
        match check() {
            Ok(value) => return value,
            Err(last) if watch.elapsed() > Duration::from_secs(60) => {
                panic!("not in a minute: {what}; last: {last}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// A tool that `cargo xtask test` installed, or else the one on the PATH.
pub fn tool(variable: &str, name: &str) -> PathBuf {
    if let Some(told) = std::env::var_os(variable) {
        return told.into();
    }
    let target = binary().parent().and_then(Path::parent).expect("a target folder");
    let installed = target.join("test-tools/bin").join(name);
    if installed.exists() { installed } else { name.into() }
}

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_drydock"))
}

pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", text(&output.stderr));
    text(&output.stdout)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
