//! Why a pod fits nowhere, in upstream's words.

use std::collections::BTreeMap;
use std::fmt;

use crate::dra::Release;
use crate::plugin::Plugin;
use crate::plugins::Rejection;

/// Per node, what was against it.
#[derive(Clone, Debug, Default)]
pub struct FitError {
    pub nodes: usize,
    /// Said of the whole pod before any node was looked at, and by which plugin.
    pub pre_filter: Option<(Plugin, String)>,
    /// What went wrong, so that it is not known whether the pod fits.
    pub error: Option<Box<str>>,
    /// By node.
    pub rejections: Vec<(String, Rejection)>,
    /// What the attempt at preemption found.
    pub post_filter: String,
    /// What a claim gives up to make room for the pod.
    pub(crate) release: Release,
}

impl FitError {
    /// The plugins that rejected, as a set of bits.
    pub fn rejected_by(&self) -> u32 {
        let bits = self.rejections.iter().map(|(_, rejection)| rejection.plugin.bit());
        let pre = self.pre_filter.as_ref().map_or(0, |(plugin, _)| plugin.bit());
        bits.fold(pre, |all, bit| all | bit)
    }

    /// The reason of the pod's condition.
    pub fn reason(&self) -> &'static str {
        if self.error.is_some() { "SchedulerError" } else { "Unschedulable" }
    }
}

impl std::error::Error for FitError {}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.error {
            return f.write_str(error);
        }
        if self.nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        write!(f, "0/{} nodes are available", self.nodes)?;
        if let Some((_, reason)) = &self.pre_filter {
            write!(f, ": {reason}.")?;
        } else if !self.rejections.is_empty() {
            let reasons = self.rejections.iter().flat_map(|(_, rejection)| rejection.reasons.iter());
            write!(f, ": {}.", histogram(reasons.map(String::as_str)))?;
        }
        if !self.post_filter.is_empty() {
            write!(f, " {}", self.post_filter)?;
        }
        Ok(())
    }
}

/// `2 Insufficient cpu, 1 Too many pods`, sorted as text.
pub(crate) fn histogram<'a>(reasons: impl IntoIterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut texts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    texts.sort();
    texts.join(", ")
}
