//! What a pool's machines are given to boot with: enough for a real one to find its cluster and to join it.
//!
//! Absent: clouds whose machines nobody boots. Simulated kubelets do not read it; external ones will.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::database::cluster::ClusterRecord;
use crate::database::node_pool::NodePoolRecord;

/// How machines of one cluster find it.
pub(super) struct Boot {
    provider: String,
    cluster: String,
    endpoint: String,
    /// PEM in base64, as a kubeconfig has it.
    certificate_authority: String,
    service_cidr: String,
}

impl Boot {
    pub(super) fn new(cluster: &ClusterRecord, endpoint: String, ca_pem: &str) -> Self {
        Self {
            provider: cluster.scope.provider.clone(),
            cluster: cluster.name.clone(),
            endpoint,
            certificate_authority: STANDARD.encode(ca_pem),
            service_cidr: cluster.service_cidr.clone(),
        }
    }

    /// The pool's user data, the same at every call.
    pub(super) fn user_data(&self, pool: &NodePoolRecord) -> String {
        match self.provider.as_str() {
            "aws" => self.node_config(pool),
            _ => String::new(),
        }
    }

    /// `NodeConfig` of EKS's nodeadm, in the MIME form that its images read
    /// (<https://awslabs.github.io/amazon-eks-ami/nodeadm/>).
    fn node_config(&self, pool: &NodePoolRecord) -> String {
        let mut labels = format!("eks.amazonaws.com/nodegroup={}", pool.name);
        for (key, value) in &pool.labels {
            labels.push_str(&format!(",{key}={value}"));
        }
        let mut flags = format!("    - \"--node-labels={labels}\"\n");
        let taints: Vec<String> = pool
            .taints
            .iter()
            .map(|taint| format!("{}={}:{}", taint.key, taint.value, taint.effect))
            .collect();
        if !taints.is_empty() {
            flags.push_str(&format!("    - \"--register-with-taints={}\"\n", taints.join(",")));
        }
        let Self { cluster, endpoint, certificate_authority, service_cidr, .. } = self;
        format!(
            "MIME-Version: 1.0\n\
             Content-Type: multipart/mixed; boundary=\"//\"\n\
             \n\
             --//\n\
             Content-Type: application/node.eks.aws\n\
             \n\
             ---\n\
             apiVersion: node.eks.aws/v1alpha1\n\
             kind: NodeConfig\n\
             spec:\n\
             \x20 cluster:\n\
             \x20   name: \"{cluster}\"\n\
             \x20   apiServerEndpoint: \"{endpoint}\"\n\
             \x20   certificateAuthority: \"{certificate_authority}\"\n\
             \x20   cidr: \"{service_cidr}\"\n\
             \x20 kubelet:\n\
             \x20   flags:\n\
             {flags}\n\
             --//--\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::node_pool::{Kubelet, NodePoolState, Observed, Taint};

    #[test]
    fn machines_on_ec2_boot_with_a_node_config() {
        let boot = Boot {
            provider: "aws".into(),
            cluster: "dev".into(),
            endpoint: "https://127.0.0.1:20001".into(),
            certificate_authority: "Q0E=".into(),
            service_cidr: "10.96.0.0/12".into(),
        };
        let pool = NodePoolRecord {
            uid: "u".into(),
            cluster_uid: "c".into(),
            name: "workers".into(),
            instance_type: "m5.large".into(),
            nodes: 1,
            version: "1.36".into(),
            kubelet: Kubelet::Simulated,
            zones: Vec::new(),
            labels: [("tier".to_owned(), "web".to_owned())].into(),
            taints: vec![Taint { key: "gpu".into(), value: "yes".into(), effect: "NoSchedule".into() }],
            spot: false,
            state: NodePoolState::Creating,
            reason: None,
            observed: Observed::default(),
            revision: 1,
            created_at: String::new(),
            updated_at: String::new(),
        };
        let text = boot.user_data(&pool);
        let yaml = text.split("---\n").nth(1).and_then(|rest| rest.split("\n--//--").next()).unwrap();
        let config: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(
            config,
            serde_json::json!({
                "apiVersion": "node.eks.aws/v1alpha1",
                "kind": "NodeConfig",
                "spec": {
                    "cluster": {
                        "name": "dev",
                        "apiServerEndpoint": "https://127.0.0.1:20001",
                        "certificateAuthority": "Q0E=",
                        "cidr": "10.96.0.0/12",
                    },
                    "kubelet": {"flags": [
                        "--node-labels=eks.amazonaws.com/nodegroup=workers,tier=web",
                        "--register-with-taints=gpu=yes:NoSchedule",
                    ]},
                },
            })
        );
        assert!(
            text.starts_with("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"//\"\n\n--//\n")
        );
        assert_eq!(Boot { provider: "mock".into(), ..boot }.user_data(&pool), "");
    }
}
