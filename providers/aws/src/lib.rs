//! EC2, through aws-sdk-ec2: on LocalStack or for real.
//!
//! What a cluster has in its account, all of it tagged with the cluster's UID (`drydock:cluster-uid`), by which alone it
//! is found again:
//! * a security group `eks-cluster-sg-NAME-UID`, shared by all its pools, in the VPC of its subnets;
//! * per pool a launch template, with a version for each change;
//! * instances, which also carry `kubernetes.io/cluster/NAME=owned`, `eks:cluster-name`, `eks:nodegroup-name`, and the
//!   token they were launched with.
//!
//! A launch is idempotent twice over: by EC2's ClientToken, and, since LocalStack ignores that, by looking for the
//! token's tag first, one launch of a token at a time.
//!
//! Owns caches of facts that do not change (instance types, images) and nothing else. Absent: retries, which are a
//! layer's; load balancers and routes (EKS has neither by itself: its pods have VPC addresses).

mod client;
mod describe;
mod error;
mod images;
mod instances;
mod launch;
mod locks;
mod names;
mod network;
mod template;
mod types;
mod zones;

use std::sync::Arc;

use drydock_cloud_api::{CloudProvider, Instances, Storage, StorageClass, Zones};

pub use client::AwsConfig;
use client::Clients;
use images::Images;
use locks::Locks;
use types::Types;

/// An AWS account, or a LocalStack. Clones are the same.
#[derive(Clone)]
pub struct AwsProvider {
    inner: Arc<Inner>,
}

struct Inner {
    clients: Clients,
    locks: Locks,
    types: Types,
    images: Images,
}

impl AwsProvider {
    /// Connects when first used: credentials and endpoint are not checked here.
    pub fn new(config: AwsConfig) -> Self {
        let images = Images::new(config.image.clone());
        let inner =
            Inner { clients: Clients::new(config), locks: Locks::default(), types: Types::default(), images };
        Self { inner: Arc::new(inner) }
    }
}

impl CloudProvider for AwsProvider {
    fn name(&self) -> &'static str {
        "aws"
    }

    fn instances(&self) -> Option<Arc<dyn Instances>> {
        Some(Arc::new(self.clone()))
    }

    fn zones(&self) -> Option<Arc<dyn Zones>> {
        Some(Arc::new(self.clone()))
    }

    fn storage(&self) -> Option<Storage> {
        Some(STORAGE)
    }
}

/// As EKS with the EBS driver. Since Kubernetes 1.30 EKS makes `gp2` no default any more, and claims without a class
/// wait there until somebody has made one; here they work.
const STORAGE: Storage = Storage {
    driver: "ebs.csi.aws.com",
    topology_key: "topology.kubernetes.io/zone",
    disks_per_node: 26,
    size_step: 1 << 30,
    classes: &[StorageClass {
        name: "gp2",
        provisioner: "kubernetes.io/aws-ebs",
        parameters: &[("fsType", "ext4"), ("type", "gp2")],
        is_default: true,
        waits_for_consumer: true,
        allows_expansion: false,
    }],
};

impl std::fmt::Debug for AwsProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AwsProvider")
    }
}
