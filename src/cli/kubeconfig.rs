//! Kubeconfig files: written whole, or merged into the one that kubectl uses.
//!
//! A file is replaced in one step, so that it is never half written, and only its owner can read it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};

use super::CliError;

/// The file that kubectl writes to.
pub(super) fn default_file() -> Result<PathBuf, CliError> {
    if let Some(list) = std::env::var_os("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty())
    {
        return Ok(first);
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home =
        home.ok_or_else(|| CliError::Usage("neither KUBECONFIG nor HOME is set; use --output FILE".into()))?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

pub(super) fn write(file: &Path, text: &str) -> Result<(), CliError> {
    replace(file, text)?;
    eprintln!("kubeconfig written to {}", file.display());
    Ok(())
}

/// Adds what `text` has to `file`, in place of entries of the same names, and makes its context the current one.
pub(super) fn merge(file: &Path, text: &str) -> Result<(), CliError> {
    let old = match std::fs::read_to_string(file) {
        Ok(old) => old,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(anyhow!(error).context(format!("cannot read {}", file.display())).into()),
    };
    let merged = merged(&old, text).with_context(|| format!("{} was left as it is", file.display()))?;
    replace(file, &serde_saphyr::to_string(&merged).map_err(anyhow::Error::from)?)?;
    let context = merged["current-context"].as_str().unwrap_or_default();
    eprintln!("merged into {}; the current context is {context:?}", file.display());
    Ok(())
}

fn merged(old: &str, new: &str) -> Result<Value> {
    let empty = old.trim().is_empty();
    let mut base: Value = if empty {
        json!({ "apiVersion": "v1", "kind": "Config", "preferences": {} })
    } else {
        serde_saphyr::from_str(old).context("it is not YAML")?
    };
    let new: Value = serde_saphyr::from_str(new).context("the downloaded kubeconfig is not YAML")?;
    if !base.is_object() {
        bail!("it is not a kubeconfig");
    }
    refuse_foreign(&base, &new)?;
    for list in ["clusters", "contexts", "users"] {
        let added = new[list].as_array().cloned().unwrap_or_default();
        if base[list].is_null() {
            base[list] = json!([]);
        }
        let Some(entries) = base[list].as_array_mut() else { bail!("its {list} are not a list") };
        for entry in added {
            match entries.iter_mut().find(|old| old["name"] == entry["name"]) {
                Some(old) => *old = entry,
                None => entries.push(entry),
            }
        }
    }
    base["current-context"] = new["current-context"].clone();
    Ok(base)
}

/// A cluster of somebody else's that happens to have the same name must not be lost. One of ours has the same host, though
/// after it was made anew another port.
fn refuse_foreign(base: &Value, new: &Value) -> Result<()> {
    let entries = |config: &Value, list: &str| config[list].as_array().cloned().unwrap_or_default();
    for cluster in entries(new, "clusters") {
        let Some(old) = entries(base, "clusters").into_iter().find(|old| old["name"] == cluster["name"])
        else {
            continue;
        };
        let (server, host) = (&old["cluster"]["server"], host_of(&cluster["cluster"]["server"]));
        if host_of(server) != host {
            bail!("it has another cluster {} at {server}; use --output FILE", cluster["name"]);
        }
    }
    for context in entries(new, "contexts") {
        let old = entries(base, "contexts").into_iter().find(|old| old["name"] == context["name"]);
        if old.is_some_and(|old| old["context"]["cluster"] != context["context"]["cluster"]) {
            bail!("it has a context {} of another cluster; use --output FILE", context["name"]);
        }
    }
    Ok(())
}

fn host_of(server: &Value) -> Option<String> {
    let uri: http::Uri = server.as_str()?.parse().ok()?;
    uri.host().map(str::to_owned)
}

fn replace(file: &Path, text: &str) -> Result<()> {
    let folder =
        file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Through a link, if kubectl's file is one.
    let target = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = PathBuf::from(name);
    let written = write_private(&fresh, text).and_then(|()| std::fs::rename(&fresh, &target));
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written.with_context(|| format!("cannot write {}", file.display()))
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "
apiVersion: v1
kind: Config
clusters: [{name: dev, cluster: {server: 'https://127.0.0.1:20000'}}]
users: [{name: dev, user: {token: new}}]
contexts: [{name: dev, context: {cluster: dev, user: dev}}]
current-context: dev
";

    #[test]
    fn merging_replaces_what_has_the_same_name_and_keeps_the_rest() {
        let old = "
apiVersion: v1
kind: Config
preferences: {colors: true}
clusters: [{name: work, cluster: {server: 'https://work'}}, {name: dev, cluster: {server: 'https://127.0.0.1:19999'}}]
users: [{name: work, user: {token: 'yes'}}]
contexts: null
current-context: work
";
        let merged = merged(old, NEW).unwrap();
        let again: Value = serde_saphyr::from_str(&serde_saphyr::to_string(&merged).unwrap()).unwrap();
        assert_eq!(again, merged, "what is written reads the same");
        assert_eq!(merged["current-context"], "dev");
        assert_eq!(merged["preferences"]["colors"], true);
        assert_eq!(merged["clusters"][0]["cluster"]["server"], "https://work");
        assert_eq!(merged["clusters"][1]["cluster"]["server"], "https://127.0.0.1:20000");
        assert_eq!(merged["users"][0]["user"]["token"], "yes");
        assert_eq!(merged["users"][1]["user"]["token"], "new");
        assert_eq!(merged["contexts"][0]["name"], "dev");
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        for old in ["- a list", "clusters: 3", "a: [unclosed"] {
            std::fs::write(&file, old).unwrap();
            let error = merge(&file, NEW).unwrap_err().to_string();
            assert!(error.contains("was left as it is"), "{error}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), old);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_belongs_to_another_cluster_of_that_name_is_not_replaced() {
        for (old, says) in [
            (
                "clusters: [{name: dev, cluster: {server: 'https://dev.example:6443'}}]",
                "it has another cluster \"dev\" at \"https://dev.example:6443\"; use --output FILE",
            ),
            (
                "contexts: [{name: dev, context: {cluster: work, user: work}}]",
                "it has a context \"dev\" of another cluster; use --output FILE",
            ),
        ] {
            assert_eq!(merged(old, NEW).unwrap_err().to_string(), says);
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/config");
        merge(&file, NEW).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
