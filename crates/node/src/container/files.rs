//! The files that a container's processes see: a few of every system, the pod's volumes, and what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drydock_client::Client;
use drydock_machinery::{Object, ObjectMeta, Value};

use super::environment::hostname;
use super::scratch::{Entry, Scratch};
use super::volumes;

const DIRECTORIES: [&str; 14] = [
    "/bin", "/dev", "/etc", "/home", "/lib", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr",
    "/usr/bin", "/var",
];

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    File(Arc<Vec<u8>>),
    Directory,
}

/// The files of one container.
pub(crate) struct Files {
    pod: String,
    /// Where the container's own files are kept.
    own: String,
    scratch: Arc<Scratch>,
    fixed: BTreeMap<String, Arc<Vec<u8>>>,
    directories: BTreeSet<String>,
    mounts: Vec<Mount>,
    root_read_only: bool,
}

/// Where a volume is seen.
pub(crate) struct Mount {
    path: String,
    /// The volume's name; None when what it holds is written by the kubelet alone.
    volume: Option<String>,
    sub_path: String,
    read_only: bool,
}

impl Files {
    pub(crate) async fn resolve(
        client: &Client,
        pod: &Object,
        container: &Value,
        run: &str,
        scratch: Arc<Scratch>,
    ) -> Self {
        let mut files = Self {
            pod: pod.uid().to_owned(),
            own: format!("c/{}/{run}", container.str_at(&["name"])),
            scratch,
            fixed: BTreeMap::new(),
            directories: DIRECTORIES.iter().map(|&path| path.to_owned()).collect(),
            mounts: Vec::new(),
            root_read_only: container.bool_at(&["securityContext", "readOnlyRootFilesystem"]),
        };
        files.directories.insert("/".to_owned());
        files.add_system(pod);
        for mount in container.array_at(&["volumeMounts"]) {
            files.mount(client, pod, container, mount).await;
        }
        // The longest path that fits decides.
        files.mounts.sort_by_key(|mount| std::cmp::Reverse(mount.path.len()));
        files
    }

    fn add_system(&mut self, pod: &Object) {
        let (name, namespace) = (hostname(pod), pod.namespace());
        let ip = pod.str_at(&["status", "podIP"]);
        let hosts = format!(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost \
             ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\t\
             ip6-allrouters\n{ip}\t{name}\n"
        );
        let resolv = format!(
            "search {namespace}.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n\
             options ndots:5\n"
        );
        for (path, text) in [
            ("/etc/hostname", format!("{name}\n")),
            ("/etc/hosts", hosts),
            ("/etc/resolv.conf", resolv),
            ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n".to_owned()),
            ("/etc/group", "root:x:0:\n".to_owned()),
            ("/etc/os-release", "NAME=\"Drydock simulated container\"\nID=drydock\n".to_owned()),
            ("/dev/null", String::new()),
        ] {
            self.fixed.insert(path.to_owned(), Arc::new(text.into_bytes()));
        }
    }

    async fn mount(&mut self, client: &Client, pod: &Object, container: &Value, mount: &Value) {
        let path = normal("/", mount.str_at(&["mountPath"]));
        let name = mount.str_at(&["name"]);
        let Some(volume) =
            pod.array_at(&["spec", "volumes"]).iter().find(|one| one.str_at(&["name"]) == name)
        else {
            return;
        };
        let content = volumes::content(client, pod, container, volume).await;
        let sub_path = mount.str_at(&["subPath"]);
        let is_fixed = content.is_some();
        for (file, bytes) in content.unwrap_or_default() {
            let bytes = Arc::new(bytes);
            if file == sub_path {
                self.fixed.insert(path.clone(), bytes);
            } else if let Some(below) = below(&file, sub_path) {
                let whole = format!("{path}/{below}");
                self.add_parents(&whole);
                self.fixed.insert(whole, bytes);
            }
        }
        self.add_parents(&path);
        if !self.fixed.contains_key(&path) {
            self.directories.insert(path.clone());
        }
        self.mounts.push(Mount {
            path,
            volume: (!is_fixed).then(|| name.to_owned()),
            sub_path: sub_path.trim_matches('/').to_owned(),
            read_only: mount.bool_at(&["readOnly"]),
        });
    }

    fn add_parents(&mut self, path: &str) {
        let slashes = path.char_indices().filter(|(at, c)| *c == '/' && *at > 0);
        self.directories.extend(slashes.map(|(at, _)| path[..at].to_owned()));
    }

    /// Where what is written to a path is kept, and whether it may be written.
    fn place(&self, path: &str) -> (String, Result<(), &'static str>) {
        let read_only = |is: bool| if is { Err("Read-only file system") } else { Ok(()) };
        let found = self.mounts.iter().find_map(|mount| {
            let rest = path.strip_prefix(mount.path.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((mount, rest))
        });
        match found {
            Some((Mount { volume: Some(volume), sub_path, read_only: fixed, .. }, rest)) => {
                let sub_path = if sub_path.is_empty() { String::new() } else { format!("/{sub_path}") };
                (format!("v/{volume}{sub_path}{rest}"), read_only(*fixed))
            }
            Some((mount, rest)) => (format!("f{}{rest}", mount.path), read_only(true)),
            None => (format!("{}{path}", self.own), read_only(self.root_read_only)),
        }
    }

    pub(crate) fn find(&self, path: &str) -> Option<Found> {
        match self.scratch.get(&self.pod, &self.place(path).0) {
            Some(Entry::File(content)) => return Some(Found::File(content)),
            Some(Entry::Directory) => return Some(Found::Directory),
            None => {}
        }
        if let Some(content) = self.fixed.get(path) {
            return Some(Found::File(content.clone()));
        }
        if path == "/bin" || path == "/usr/bin" || self.directories.contains(path) {
            return Some(Found::Directory);
        }
        super::commands::is_program(path).then(|| Found::File(Arc::default()))
    }

    /// The names in a directory, sorted, and whether each is a directory.
    pub(crate) fn list(&self, directory: &str) -> BTreeMap<String, bool> {
        let prefix = if directory == "/" { "/".to_owned() } else { format!("{directory}/") };
        let mut all = BTreeMap::new();
        for path in self.directories.range(prefix.clone()..).take_while(|path| path.starts_with(&prefix)) {
            if let Some(name) = first_name(&path[prefix.len()..]) {
                all.insert(name.to_owned(), true);
            }
        }
        for path in self.fixed.range(prefix.clone()..).map(|(path, _)| path) {
            let Some(rest) = path.strip_prefix(&prefix) else { break };
            if !rest.contains('/') {
                all.insert(rest.to_owned(), false);
            }
        }
        let kept = format!("{}/", self.place(directory).0.trim_end_matches('/'));
        for (path, entry) in self.scratch.below(&self.pod, &kept) {
            if let Some(name) = first_name(&path) {
                let deeper = path.contains('/') || entry == Entry::Directory;
                *all.entry(name.to_owned()).or_default() |= deeper;
            }
        }
        if matches!(directory, "/bin" | "/usr/bin") {
            all.extend(super::commands::NAMES.iter().map(|&name| (name.to_owned(), false)));
        }
        all
    }

    /// # Errors
    /// The system's text.
    pub(crate) fn write(&self, path: &str, content: Vec<u8>, append: bool) -> Result<(), &'static str> {
        if path == "/dev/null" {
            return Ok(());
        }
        let (kept, allowed) = self.place(path);
        allowed?;
        let full = |_| "No space left on device";
        if append && self.scratch.append(&self.pod, &kept, &content).map_err(full)? {
            return Ok(());
        }
        let mut whole = Vec::new();
        match self.find(path) {
            Some(Found::Directory) => return Err("Is a directory"),
            Some(Found::File(old)) if append => whole.extend_from_slice(&old),
            Some(Found::File(_)) => {}
            None => self.check_parent(path)?,
        }
        whole.extend(content);
        self.keep(path, Entry::File(Arc::new(whole)))
    }

    /// # Errors
    /// The system's text.
    pub(crate) fn make_directory(&self, path: &str) -> Result<(), &'static str> {
        if self.find(path).is_some() {
            return Err("File exists");
        }
        self.check_parent(path)?;
        self.keep(path, Entry::Directory)
    }

    /// Also makes what is missing above it.
    ///
    /// # Errors
    /// The system's text.
    pub(crate) fn make_directories(&self, path: &str) -> Result<(), &'static str> {
        let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([path.len()]);
        for part in ends.map(|at| &path[..at]) {
            if self.find(part) != Some(Found::Directory) {
                self.make_directory(part)?;
            }
        }
        Ok(())
    }

    /// # Errors
    /// The system's text; what the container came with cannot be removed.
    pub(crate) fn remove(&self, path: &str) -> Result<(), &'static str> {
        let (kept, allowed) = self.place(path);
        allowed?;
        if self.scratch.get(&self.pod, &kept).is_none() {
            return Err(if self.find(path).is_some() {
                "Device or resource busy"
            } else {
                "No such file or directory"
            });
        }
        self.scratch.remove(&self.pod, &kept);
        Ok(())
    }

    fn keep(&self, path: &str, entry: Entry) -> Result<(), &'static str> {
        let (kept, allowed) = self.place(path);
        allowed?;
        self.scratch.put(&self.pod, &kept, entry).map_err(|_| "No space left on device")
    }

    fn check_parent(&self, path: &str) -> Result<(), &'static str> {
        let parent =
            path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
        match self.find(parent) {
            Some(Found::Directory) => Ok(()),
            Some(Found::File(_)) => Err("Not a directory"),
            None => Err("No such file or directory"),
        }
    }
}

fn first_name(path: &str) -> Option<&str> {
    path.split('/').next().filter(|name| !name.is_empty())
}

/// What of a volume's file is seen through a sub path.
fn below<'a>(file: &'a str, sub_path: &str) -> Option<&'a str> {
    match sub_path.trim_matches('/') {
        "" => Some(file),
        sub_path => file.strip_prefix(sub_path)?.strip_prefix('/'),
    }
}

/// A path from the root, without `.` and `..`.
pub(crate) fn normal(directory: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
