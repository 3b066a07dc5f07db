//! Kubernetes versions that clusters may have.

/// A minor version of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// `1.36`.
    pub name: &'static str,
    pub default: bool,
}

/// Newest first.
pub const VERSIONS: [Version; 4] = [
    Version { name: "1.36", default: true },
    Version { name: "1.35", default: false },
    Version { name: "1.34", default: false },
    Version { name: "1.33", default: false },
];

pub const DEFAULT_VERSION: &str = VERSIONS[0].name;

/// The number of a minor version: 36 of `1.36`, and of what is none the default's.
pub(crate) fn minor(version: &str) -> u32 {
    const DEFAULT: u32 = 36;
    version.rsplit('.').next().and_then(|number| number.parse().ok()).unwrap_or(DEFAULT)
}

pub(super) fn check(version: &str) -> Result<(), String> {
    let names = VERSIONS.map(|version| version.name);
    if names.contains(&version) {
        return Ok(());
    }
    Err(format!("{version:?} must be one of {}", names.join(", ")))
}
