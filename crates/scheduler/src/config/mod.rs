//! Reads a `kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration`.
//!
//! A document is read strictly, and everything that is wrong with it is named, in upstream's words where upstream has
//! some (`pkg/scheduler/apis/config/validation`, and what its framework says of plugins when it starts). Refused beyond
//! that are extenders, plugins that are not here, and profiles that upstream takes but cannot schedule a pod with.
//!
//! What is about the program rather than its decisions (`leaderElection`, `clientConnection`, `parallelism`, profiling)
//! is checked and has no effect: the scheduler is part of the cluster's control plane.

mod affinity;
mod args;
mod plugins;
mod program;
mod spread;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::document::Fields;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::plugin::Plugin;
use crate::profile::{Args, Backoff, Configuration, DEFAULT_SCHEDULER, Profile};

const VERSION: &str = "kubescheduler.config.k8s.io/v1";
const KIND: &str = "KubeSchedulerConfiguration";
/// Plugins that were removed in the version.
const REMOVED: [&str; 4] = ["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"];

impl Configuration {
    /// Reads the document.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(document: &Value) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let mut out = Self { profiles: Vec::new(), document: document.clone(), ..Self::default() };
        if let Some(mut fields) = Fields::document(document, KIND, &[VERSION], &mut errors) {
            program::check(&mut fields, &mut errors);
            let mut of_percentage = FieldErrors::new();
            let percentage = percentage(&mut fields, &mut of_percentage);
            out.profiles = read_profiles(&mut fields, percentage.unwrap_or(0), &mut errors);
            errors.append(of_percentage);
            out.backoff = backoff(&mut fields, &mut errors);
            refuse_extenders(&mut fields, &mut errors);
            fields.finish(&mut errors);
        }
        if errors.is_empty() { Ok(out) } else { Err(errors) }
    }
}

/// Of how many nodes in a hundred one is chosen.
fn percentage(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Option<usize> {
    let name = "percentageOfNodesToScore";
    let given = fields.integer(name, errors)?;
    let read = usize::try_from(given).ok().filter(|percentage| *percentage <= 100);
    if read.is_none() {
        errors.invalid(&fields.child(name), given, "not in valid range [0-100]");
    }
    read
}

fn backoff(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Backoff {
    let first = fields.integer("podInitialBackoffSeconds", errors).unwrap_or(1);
    let last = fields.integer("podMaxBackoffSeconds", errors).unwrap_or(10);
    if first <= 0 {
        errors.invalid(&fields.child("podInitialBackoffSeconds"), first, "must be greater than 0");
    }
    if last < first {
        let why = "must be greater than or equal to PodInitialBackoffSeconds";
        errors.invalid(&fields.child("podMaxBackoffSeconds"), last, why);
    }
    let seconds = |number: i64| Duration::from_secs(u64::try_from(number).unwrap_or(0));
    Backoff { first: seconds(first), last: seconds(last) }
}

fn refuse_extenders(fields: &mut Fields<'_>, errors: &mut FieldErrors) {
    let Some(extenders) = fields.value("extenders") else { return };
    if extenders.as_array().is_none_or(|extenders| !extenders.is_empty()) {
        let why = "extenders are not supported: the cluster's scheduler asks no other programs";
        errors.forbidden(&fields.child("extenders"), why);
    }
}

fn read_profiles(
    fields: &mut Fields<'_>,
    percentage_of_all: usize,
    errors: &mut FieldErrors,
) -> Vec<Arc<Profile>> {
    let path = fields.child("profiles");
    let given = fields.objects("profiles", errors);
    if given.is_empty() {
        return vec![Arc::new(Profile::default().with_percentage(percentage_of_all))];
    }
    // Only a profile that is alone has a name by default.
    let default_name = if given.len() == 1 { DEFAULT_SCHEDULER } else { "" };
    let mut read: Vec<ReadProfile> = Vec::new();
    for fields in given {
        let one = read_profile(fields, default_name, percentage_of_all, errors);
        if let Some(first) = read.iter().position(|earlier| earlier.profile.name == one.profile.name) {
            let first = path.index(first).child("schedulerName").to_string();
            errors.duplicate(&one.path.child("schedulerName"), first);
        }
        if read.first().is_some_and(|first| first.queue_sort != one.queue_sort) {
            let path = one.path.child("plugins").child("queueSort");
            errors.invalid_shown(&path, &one.queue_sort, "must be the same for all profiles");
        }
        read.push(one);
    }
    read.into_iter().map(|one| Arc::new(one.profile)).collect()
}

struct ReadProfile {
    path: FieldPath,
    profile: Profile,
    /// As upstream shows it.
    queue_sort: String,
}

fn read_profile(
    mut fields: Fields<'_>,
    default_name: &str,
    percentage_of_all: usize,
    errors: &mut FieldErrors,
) -> ReadProfile {
    let path = fields.path().clone();
    let name = fields.given_text("schedulerName", errors).unwrap_or(default_name).to_owned();
    if name.is_empty() {
        errors.required(&fields.child("schedulerName"), "");
    }
    let percentage = percentage(&mut fields, errors).unwrap_or(percentage_of_all);
    let queue_sort = fields.value("plugins").and_then(|plugins| plugins.get("queueSort"));
    let queue_sort = plugins::shown(queue_sort.unwrap_or(&Value::Null));
    let selection = plugins::read(&mut fields, &name, errors);
    let args = read_args(&mut fields, errors);
    fields.finish(errors);
    let profile = Profile::new(name, percentage, selection.points, &selection.weights, args);
    ReadProfile { path, profile, queue_sort }
}

fn read_args(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Args {
    let mut out = Args::default();
    let mut seen = Vec::new();
    for mut entry in fields.objects("pluginConfig", errors) {
        let (path, name) = (entry.path().clone(), entry.text("name", errors));
        if seen.contains(&name) {
            errors.duplicate(&path, name);
        }
        seen.push(name);
        if let Some(args) = entry.object("args", errors) {
            match Plugin::parse(name) {
                Some(plugin) => args::read(plugin, args, &mut out, errors),
                None => plugins::refuse_config(name, &path, errors),
            }
        } else if Plugin::parse(name).is_none() {
            plugins::refuse_config(name, &path, errors);
        }
        entry.finish(errors);
    }
    out
}
