//! What pods ask for and nodes have.

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Key, Map, Value};

/// CPU counts 100 thousandths for a container that asks for none, when nodes are compared by how full they are.
const DEFAULT_MILLI_CPU: i64 = 100;
/// And memory 200 MB.
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts of resources. CPU is in thousandths, the rest in its own unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    pub milli_cpu: i64,
    pub memory: i64,
    pub ephemeral_storage: i64,
    /// Extended resources and huge pages, sorted by name.
    pub scalars: Vec<(Key, i64)>,
}

impl Resources {
    /// From a `ResourceList`; `pods` is left out.
    pub fn from_list(list: &Map) -> Self {
        let mut out = Self::default();
        for (name, value) in list.iter() {
            let quantity = Quantity::of(Some(value));
            match name.as_str() {
                "cpu" => out.milli_cpu = quantity.milli_value(),
                "memory" => out.memory = quantity.value(),
                "ephemeral-storage" => out.ephemeral_storage = quantity.value(),
                "pods" => {}
                _ => out.scalars.push((name.clone(), quantity.value())),
            }
        }
        out
    }

    /// Of the resource with the name, in its own unit; CPU in thousandths.
    pub(crate) fn amount(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.milli_cpu,
            "memory" => self.memory,
            "ephemeral-storage" => self.ephemeral_storage,
            _ => self.scalar(name),
        }
    }

    pub fn scalar(&self, name: &str) -> i64 {
        self.scalars.iter().find(|(have, _)| have == name).map_or(0, |(_, amount)| *amount)
    }

    pub fn add(&mut self, other: &Self) {
        self.merge(other, |a, b| a + b);
    }

    pub fn subtract(&mut self, other: &Self) {
        self.merge(other, |a, b| a - b);
    }

    fn raise_to(&mut self, other: &Self) {
        self.merge(other, i64::max);
    }

    fn merge(&mut self, other: &Self, combine: fn(i64, i64) -> i64) {
        self.milli_cpu = combine(self.milli_cpu, other.milli_cpu);
        self.memory = combine(self.memory, other.memory);
        self.ephemeral_storage = combine(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.scalars {
            match self.scalars.binary_search_by(|(have, _)| have.cmp(name)) {
                Ok(i) => self.scalars[i].1 = combine(self.scalars[i].1, *amount),
                Err(i) => self.scalars.insert(i, (name.clone(), combine(0, *amount))),
            }
        }
    }

    /// Whether this is more than `other` of something that is `asked` for.
    pub(crate) fn exceeds(&self, other: &Self, asked: &Self) -> bool {
        (asked.milli_cpu > 0 && self.milli_cpu > other.milli_cpu)
            || (asked.memory > 0 && self.memory > other.memory)
            || (asked.ephemeral_storage > 0 && self.ephemeral_storage > other.ephemeral_storage)
            || asked.scalars.iter().any(|(name, asked)| *asked > 0 && self.scalar(name) > other.scalar(name))
    }

    pub fn is_zero(&self) -> bool {
        self.milli_cpu == 0
            && self.memory == 0
            && self.ephemeral_storage == 0
            && self.scalars.iter().all(|(_, amount)| *amount == 0)
    }
}

/// Whether the resource is one that Kubernetes does not know by itself (`IsExtendedResourceName`).
pub(crate) fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// Whether nodes are compared by the resource only for pods that ask for it.
pub(crate) fn is_scalar(name: &str) -> bool {
    !matches!(name, "cpu" | "memory" | "ephemeral-storage" | "pods" | "storage")
}

/// What a pod asks for: its containers together, or what its init containers need at their worst moment; sidecars
/// count for both. Pod-level requests override, overhead comes on top.
pub(crate) fn pod_requests(pod: &Value) -> Resources {
    combined(pod, |container| Resources::from_list(container.object_at(&["resources", "requests"])))
}

/// As [`pod_requests`], with a default for containers that ask for no CPU or memory.
pub(crate) fn pod_requests_for_scoring(pod: &Value) -> Resources {
    combined(pod, |container| {
        let list = container.object_at(&["resources", "requests"]);
        let mut resources = Resources::from_list(list);
        if !list.contains_key("cpu") {
            resources.milli_cpu = DEFAULT_MILLI_CPU;
        }
        if !list.contains_key("memory") {
            resources.memory = DEFAULT_MEMORY;
        }
        resources
    })
}

fn combined(pod: &Value, of: impl Fn(&Value) -> Resources) -> Resources {
    let mut total = Resources::default();
    for container in pod.array_at(&["spec", "containers"]) {
        total.add(&of(container));
    }
    let mut sidecars = Resources::default();
    let mut worst = Resources::default();
    for container in pod.array_at(&["spec", "initContainers"]) {
        let own = of(container);
        if container.str_at(&["restartPolicy"]) == "Always" {
            total.add(&own);
            sidecars.add(&own);
            worst.raise_to(&sidecars);
        } else {
            let mut with_sidecars = own;
            with_sidecars.add(&sidecars);
            worst.raise_to(&with_sidecars);
        }
    }
    total.raise_to(&worst);
    override_by_pod_level(pod, &mut total);
    total.add(&Resources::from_list(pod.object_at(&["spec", "overhead"])));
    total
}

fn override_by_pod_level(pod: &Value, total: &mut Resources) {
    let list = pod.object_at(&["spec", "resources", "requests"]);
    let level = Resources::from_list(list);
    for (name, _) in list.iter() {
        match name.as_str() {
            "cpu" => total.milli_cpu = level.milli_cpu,
            "memory" => total.memory = level.memory,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn init_containers_count_at_their_worst_and_sidecars_always() {
        let ask = |cpu: &str| value!({"requests": {"cpu": cpu}});
        let mut pod = value!({"spec": {
            "containers": [{"name": "a"}, {"name": "b"}],
            "initContainers": [{"name": "side", "restartPolicy": "Always"}, {"name": "big"}],
        }});
        for (list, cpus) in [("containers", ["1", "500m"]), ("initContainers", ["100m", "2"])] {
            let containers = pod.at_mut(&["spec", list]).as_array_mut().unwrap().make_mut();
            for (container, cpu) in containers.iter_mut().zip(cpus) {
                container.set(&["resources"], ask(cpu));
            }
        }
        assert_eq!(pod_requests(&pod).milli_cpu, 2100);
        pod.set(&["spec", "overhead"], value!({"cpu": "50m"}));
        assert_eq!(pod_requests(&pod).milli_cpu, 2150);
        pod.set(&["spec", "resources", "requests"], value!({"cpu": "3"}));
        assert_eq!(pod_requests(&pod).milli_cpu, 3050);
    }
}
