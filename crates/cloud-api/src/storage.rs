//! What a cloud's clusters store on. The volumes themselves are not the cloud's business here: simulated nodes mount
//! nothing.

/// The driver of a cloud's disks and the storage classes that its clusters come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The CSI driver's name: `ebs.csi.aws.com`.
    pub driver: &'static str,
    /// The node label that says where a disk can be reached from.
    pub topology_key: &'static str,
    /// How many disks a node takes.
    pub disks_per_node: u32,
    /// Sizes are multiples of this, in bytes.
    pub size_step: u64,
    pub classes: &'static [StorageClass],
}

/// A StorageClass that a cluster begins with. Its volumes are deleted with their claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageClass {
    pub name: &'static str,
    /// The driver's name, or the one that its volumes had when Kubernetes itself made them.
    pub provisioner: &'static str,
    pub parameters: &'static [(&'static str, &'static str)],
    /// Claims that name no class get it.
    pub is_default: bool,
    /// A volume is made where the first pod that uses it is to run; otherwise at once.
    pub waits_for_consumer: bool,
    pub allows_expansion: bool,
}
