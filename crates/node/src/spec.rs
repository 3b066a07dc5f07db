//! What a simulated node is told about itself.

use drydock_machinery::{Map, Value, value};

/// A node to be played. Resource lists are as in the API: `{"cpu": "4", "memory": "16Gi", "pods": "110"}`.
#[derive(Clone, Debug, Default)]
pub struct NodeSpec {
    pub name: String,
    /// Known to the kubelet itself only on some clouds; otherwise the cloud controller fills it in.
    pub provider_id: Option<String>,
    pub capacity: Map,
    /// Capacity less reservations; empty for the same as capacity.
    pub allocatable: Map,
    /// Besides the well-known ones (`kubernetes.io/hostname`, `os`, `arch`), which are added.
    pub labels: Map,
    pub annotations: Map,
    /// With which the node registers, such as `node.cloudprovider.kubernetes.io/uninitialized`.
    pub taints: Vec<Taint>,
    /// Type and address, such as (`InternalIP`, `10.0.1.7`). The first InternalIP is the host IP of pods.
    pub addresses: Vec<(String, String)>,
    /// Where pod IPs come from when the Node has no `spec.podCIDR`.
    pub pod_cidr: Option<String>,
    pub info: NodeInfo,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taint {
    pub key: String,
    pub value: String,
    pub effect: String,
}

/// `v1.NodeSystemInfo`, the parts that differ between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// With its `v`: `v1.36.0`.
    pub kubelet_version: String,
    pub os_image: String,
    pub kernel_version: String,
    pub container_runtime_version: String,
    /// `linux`.
    pub operating_system: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    pub machine_id: String,
    pub system_uuid: String,
    pub boot_id: String,
}

impl Default for NodeInfo {
    fn default() -> Self {
        Self {
            kubelet_version: "v1.36.0".to_owned(),
            os_image: "Drydock Linux".to_owned(),
            kernel_version: "6.12.0".to_owned(),
            container_runtime_version: "containerd://2.1.4".to_owned(),
            operating_system: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            machine_id: String::new(),
            system_uuid: String::new(),
            boot_id: String::new(),
        }
    }
}

impl NodeSpec {
    /// The address under which the node's pods see their host.
    pub(crate) fn host_ip(&self) -> &str {
        let internal = self.addresses.iter().find(|(kind, _)| kind == "InternalIP");
        internal.map_or("", |(_, address)| address.as_str())
    }
}

impl Taint {
    pub(crate) fn to_value(&self) -> Value {
        let mut taint = value!({"key": self.key, "effect": self.effect});
        if !self.value.is_empty() {
            taint.set(&["value"], self.value.clone());
        }
        taint
    }
}
