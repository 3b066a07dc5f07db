//! Scores by how full nodes are, and by the images they have.

use crate::cluster::Cluster;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// NodeResourcesFit with LeastAllocated: the emptier, the better.
pub(super) fn least_allocated(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let (asked, used, have) = (&pod.scoring_requests, &node.scoring_requested, &node.allocatable);
    let resources =
        [(asked.milli_cpu + used.milli_cpu, have.milli_cpu), (asked.memory + used.memory, have.memory)];
    let scores = resources.into_iter().filter(|(_, have)| *have > 0).map(|(wanted, have)| {
        if wanted > have {
            0
        } else {
            i64::try_from(i128::from(have - wanted) * 100 / i128::from(have)).unwrap_or(0)
        }
    });
    let (sum, count) = scores.fold((0, 0), |(sum, count), score| (sum + score, count + 1));
    if count == 0 { 0 } else { sum / count }
}

/// Whether the shares of CPU and memory stay what they are, wherever the pod goes.
pub(super) fn asks_for_nothing(pod: &PodInfo) -> bool {
    pod.requests.milli_cpu == 0 && pod.requests.memory == 0
}

/// NodeResourcesBalancedAllocation: 75 and more, the more alike the pod makes the shares of CPU and memory.
pub(super) fn balanced(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let (asked, used, have) = (&pod.requests, &node.requested, &node.allocatable);
    let share = |wanted: i64, have: i64| (wanted as f64 / have as f64).min(1.0);
    let balance = |cpu: i64, memory: i64| {
        if have.milli_cpu == 0 || have.memory == 0 {
            return 100;
        }
        let apart = (share(cpu, have.milli_cpu) - share(memory, have.memory)) / 2.0;
        ((1.0 - apart.abs()) * 100.0) as i64
    };
    let after = balance(asked.milli_cpu + used.milli_cpu, asked.memory + used.memory);
    50 + (50 + after - balance(used.milli_cpu, used.memory)) / 2
}

const MIN_IMAGE: i64 = 23 * 1024 * 1024;
const MAX_IMAGE_PER_CONTAINER: i64 = 1000 * 1024 * 1024;

/// ImageLocality: nodes that have the images, and more so when many nodes have them.
pub(super) fn image_locality(cluster: &Cluster, pod: &PodInfo, nodes: &[&NodeInfo]) -> Vec<i64> {
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
