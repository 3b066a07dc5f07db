//! What a tenant's scheduler explains, in the service's terms.

use drydock_scheduler::{Explanation, NodeVerdict, Plugin, Verdict};

use crate::service::scheduling::{FilterVerdict, NodeScheduling, Objection, PluginScore, Scheduling};

pub(super) fn scheduling(namespace: &str, pod: &str, explained: Explanation) -> Scheduling {
    let objection =
        |(plugin, reason): (Plugin, String)| Objection { plugin: plugin.name().to_owned(), reason };
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let filters = explained.filters;
    let nodes: Vec<_> = explained.nodes.into_iter().map(|node| one(&filters, node)).collect();
    let top = nodes.iter().filter_map(|node| node.total).max();
    let best = nodes.iter().filter(|node| top.is_some() && node.total == top);
    Scheduling {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        profile: explained.profile,
        node: some(explained.node),
        held: explained.held.map(objection),
        refused: explained.refusal.map(objection),
        message: some(explained.message),
        best: best.map(|node| node.name.clone()).collect(),
        nodes,
    }
}

fn one(filters: &[Plugin], node: NodeVerdict) -> NodeScheduling {
    let passed = |plugin: &Plugin| FilterVerdict {
        plugin: plugin.name().to_owned(),
        passed: true,
        reasons: Vec::new(),
    };
    match node.verdict {
        Verdict::Rejected { plugin, reasons } => {
            let mut asked: Vec<_> = filters.iter().take_while(|one| **one != plugin).map(passed).collect();
            asked.push(FilterVerdict { plugin: plugin.name().to_owned(), passed: false, reasons });
            NodeScheduling {
                name: node.node,
                feasible: false,
                filters: asked,
                scores: Vec::new(),
                total: None,
            }
        }
        Verdict::Feasible { scores, total } => {
            let scores = scores.into_iter().map(|score| PluginScore {
                plugin: score.plugin.name().to_owned(),
                normalized: score.normalized,
                weight: score.weight,
                weighted: score.weighted,
            });
            NodeScheduling {
                name: node.node,
                feasible: true,
                filters: filters.iter().map(passed).collect(),
                scores: scores.collect(),
                total: Some(total),
            }
        }
    }
}
