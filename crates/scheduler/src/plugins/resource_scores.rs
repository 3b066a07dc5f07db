//! Scores by how full nodes are, and by the images they have.

use drydock_machinery::Key;

use crate::cluster::Cluster;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::profile::{Fit, Strategy};
use crate::resources::{Resources, is_scalar};

/// NodeResourcesFit, by the strategy of its arguments.
pub(super) fn fit(args: &Fit, pod: &PodInfo, node: &NodeInfo) -> i64 {
    let (asked, used) = (&pod.scoring_requests, &node.scoring_requested);
    let (mut sum, mut weights) = (0, 0);
    for (name, weight) in &args.resources {
        let Some(have) = compared(name, asked, node) else { continue };
        let wanted = asked.amount(name) + used.amount(name);
        let score = match &args.strategy {
            Strategy::LeastAllocated => percentage((have - wanted).max(0), have),
            Strategy::MostAllocated => percentage(wanted.min(have), have),
            Strategy::RequestedToCapacityRatio(shape) => {
                let score = along(shape, if wanted > have { 100 } else { percentage(wanted, have) });
                // Only what scores at all is in the mean.
                if score == 0 {
                    continue;
                }
                score
            }
        };
        sum += score * weight;
        weights += weight;
    }
    match args.strategy {
        _ if weights == 0 => 0,
        Strategy::RequestedToCapacityRatio(_) => (sum as f64 / weights as f64).round() as i64,
        _ => sum / weights,
    }
}

/// How much of the resource the node has; None where nodes are not compared by it.
fn compared(name: &str, asked: &Resources, node: &NodeInfo) -> Option<i64> {
    let counts = !is_scalar(name) || asked.scalar(name) != 0;
    Some(node.allocatable.amount(name)).filter(|have| counts && *have > 0)
}

fn percentage(part: i64, whole: i64) -> i64 {
    i64::try_from(i128::from(part) * 100 / i128::from(whole)).unwrap_or(0)
}

/// The score at a utilization: on the line between the points on both sides of it. Points' scores are 0 to 10.
fn along(shape: &[(i64, i64)], utilization: i64) -> i64 {
    let Some(i) = shape.iter().position(|(at, _)| utilization <= *at) else {
        return shape.last().map_or(0, |(_, score)| score * 10);
    };
    let (at, score) = shape[i];
    let Some((before, score_before)) = i.checked_sub(1).map(|i| shape[i]) else { return score * 10 };
    score_before * 10 + (score - score_before) * 10 * (utilization - before) / (at - before)
}

/// Whether the resources' shares stay what they are, wherever the pod goes.
pub(super) fn asks_for_nothing(resources: &[Key], pod: &PodInfo) -> bool {
    resources.iter().all(|name| pod.requests.amount(name) == 0)
}

/// NodeResourcesBalancedAllocation: 75 and more, the more alike the pod makes the shares of the resources.
pub(super) fn balanced(resources: &[Key], pod: &PodInfo, node: &NodeInfo) -> i64 {
    let (asked, used) = (&pod.requests, &node.requested);
    let known: Vec<(&str, i64)> =
        resources.iter().filter_map(|name| Some((name.as_str(), compared(name, asked, node)?))).collect();
    let balance = |wanted: &dyn Fn(&str) -> i64| {
        let shares = known.iter().map(|(name, have)| (wanted(name) as f64 / *have as f64).min(1.0));
        ((1.0 - deviation(&shares.collect::<Vec<_>>())) * 100.0) as i64
    };
    let after = balance(&|name| asked.amount(name) + used.amount(name));
    50 + (50 + after - balance(&|name| used.amount(name))) / 2
}

/// The standard deviation.
fn deviation(shares: &[f64]) -> f64 {
    match shares {
        [] | [_] => 0.0,
        [a, b] => ((a - b) / 2.0).abs(),
        _ => {
            let count = shares.len() as f64;
            let mean = shares.iter().sum::<f64>() / count;
            (shares.iter().map(|share| (share - mean) * (share - mean)).sum::<f64>() / count).sqrt()
        }
    }
}

const MIN_IMAGE: i64 = 23 * 1024 * 1024;
const MAX_IMAGE_PER_CONTAINER: i64 = 1000 * 1024 * 1024;

/// ImageLocality: nodes that have the images, and more so when many nodes have them.
pub(super) fn image_locality(cluster: &Cluster, pod: &PodInfo, nodes: &[&NodeInfo]) -> Vec<i64> {
    if nodes.iter().all(|node| node.images.is_empty()) {
        return vec![0; nodes.len()];
    }
    let total = cluster.nodes().len().max(1) as f64;
    let lists = ["initContainers", "containers"];
    let containers = lists.iter().flat_map(|list| pod.object.array_at(&["spec", list]));
    let mut images: Vec<String> =
        containers.map(|container| normalized(container.str_at(&["image"]))).collect();
    let max = MAX_IMAGE_PER_CONTAINER * (images.len().max(1) as i64);
    let volumes = pod.object.array_at(&["spec", "volumes"]).iter();
    let volumes =
        volumes.map(|volume| volume.str_at(&["image", "reference"])).filter(|image| !image.is_empty());
    images.extend(volumes.map(normalized));
    let spread: Vec<f64> = images
        .iter()
        .map(|image| {
            let have = cluster.nodes().iter().filter(|node| node.images.contains_key(image.as_str())).count();
            have as f64 / total
        })
        .collect();
    let score = |node: &&NodeInfo| {
        let sizes = images.iter().zip(&spread);
        let sum: i64 = sizes
            .filter_map(|(image, spread)| Some((*node.images.get(image.as_str())? as f64 * spread) as i64))
            .sum();
        (sum.clamp(MIN_IMAGE, max) - MIN_IMAGE) * 100 / (max - MIN_IMAGE)
    };
    nodes.iter().map(score).collect()
}

/// With `:latest` when there is no tag.
fn normalized(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or("");
    if last.contains(':') || image.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_lie_on_the_lines_between_the_points() {
        let shape = [(20, 2), (60, 10), (100, 0)];
        let scores = [0, 20, 30, 60, 80, 100].map(|utilization| along(&shape, utilization));
        assert_eq!(scores, [20, 20, 40, 100, 50, 0]);
        assert_eq!(along(&[(0, 10), (50, 5)], 90), 50, "beyond the last point it stays");
    }
}
