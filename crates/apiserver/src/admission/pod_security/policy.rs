//! The levels that a namespace's labels ask for.

use std::fmt;

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level as of a Kubernetes version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LevelVersion {
    pub(super) level: Level,
    /// The minor version; [`LATEST`] for the newest.
    pub(super) minor: u32,
}

pub(super) const LATEST: u32 = u32::MAX;

impl LevelVersion {
    pub(super) const PRIVILEGED: Self = Self { level: Level::Privileged, minor: LATEST };
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        if self.minor == LATEST {
            write!(f, "{level}:latest")
        } else {
            write!(f, "{level}:v1.{}", self.minor)
        }
    }
}

/// What a namespace enforces, warns of, and wants in the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: LevelVersion,
    pub(super) warn: LevelVersion,
    pub(super) audit: LevelVersion,
}

impl Policy {
    /// The policy of a namespace, and what is wrong with its labels. Nothing is enforced by default.
    pub(super) fn of(namespace: &Value) -> (Self, FieldErrors) {
        let privileged = LevelVersion::PRIVILEGED;
        let mut policy = Self { enforce: privileged, warn: privileged, audit: privileged };
        let mut errors = FieldErrors::new();

        let enforce = level(namespace, "enforce", &mut errors);
        if let Some(level) = enforce {
            policy.enforce.level = level.unwrap_or(Level::Restricted);
        }
        if let Some(minor) = version(namespace, "enforce", &mut errors) {
            policy.enforce.minor = minor;
        }
        if let Some(level) = level(namespace, "audit", &mut errors) {
            policy.audit.level = level.unwrap_or(Level::Privileged);
        }
        if let Some(minor) = version(namespace, "audit", &mut errors) {
            policy.audit.minor = minor;
        }
        let warn = level(namespace, "warn", &mut errors);
        if let Some(level) = warn {
            policy.warn.level = level.unwrap_or(Level::Privileged);
        }
        let warn_version = version(namespace, "warn", &mut errors);
        if let Some(minor) = warn_version {
            policy.warn.minor = minor;
        }
        if warn.is_none() && enforce.flatten().is_some_and(|level| level > policy.warn.level) {
            policy.warn.level = policy.enforce.level;
            if warn_version.is_none() {
                policy.warn.minor = policy.enforce.minor;
            }
        }
        (policy, errors)
    }

    pub(super) fn is_privileged(&self) -> bool {
        [self.enforce, self.warn, self.audit].iter().all(|mode| mode.level == Level::Privileged)
    }
}

/// The level a label names; Some(None) when it names none.
fn level(namespace: &Value, mode: &str, errors: &mut FieldErrors) -> Option<Option<Level>> {
    let key = format!("pod-security.kubernetes.io/{mode}");
    let text = namespace.label(&key)?;
    let level = match text {
        "privileged" => Some(Level::Privileged),
        "baseline" => Some(Level::Baseline),
        "restricted" => Some(Level::Restricted),
        _ => None,
    };
    if level.is_none() {
        errors.invalid(&label_path(&key), text, "must be one of privileged, baseline, restricted");
    }
    Some(level)
}

fn version(namespace: &Value, mode: &str, errors: &mut FieldErrors) -> Option<u32> {
    let key = format!("pod-security.kubernetes.io/{mode}-version");
    let text = namespace.label(&key)?;
    if text == "latest" {
        return Some(LATEST);
    }
    let minor = text.strip_prefix("v1.").filter(|minor| *minor == "0" || !minor.starts_with(['0', '+']));
    let minor = minor.and_then(|minor| minor.parse().ok());
    if minor.is_none() {
        errors.invalid(&label_path(&key), text, "must be \"latest\" or \"v1.x\"");
    }
    Some(minor.unwrap_or(LATEST))
}

fn label_path(key: &str) -> FieldPath {
    FieldPath::new("metadata").child("labels").key(key)
}
