//! Why a pod fits nowhere, in upstream's words.

use std::collections::BTreeMap;
use std::fmt;

use crate::plugins::{Plugin, Rejection};

/// Per node, what was against it.
#[derive(Clone, Debug, Default)]
pub struct FitError {
    pub nodes: usize,
    /// Said of the whole pod before any node was looked at.
    pub pre_filter: Option<String>,
    /// By node.
    pub rejections: Vec<(String, Rejection)>,
    /// What the attempt at preemption found.
    pub post_filter: String,
}

impl FitError {
    /// The plugins that rejected, as a set of bits.
    pub fn rejected_by(&self) -> u32 {
        let bits = self.rejections.iter().map(|(_, rejection)| rejection.plugin.bit());
        let pre = if self.pre_filter.is_some() { Plugin::VolumeBinding.bit() } else { 0 };
        bits.fold(pre, |all, bit| all | bit)
    }
}

impl std::error::Error for FitError {}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        write!(f, "0/{} nodes are available", self.nodes)?;
        if let Some(reason) = &self.pre_filter {
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
