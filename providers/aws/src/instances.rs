//! The seam's machines over EC2.

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use drydock_cloud_api::{
    CloudError, CloudErrorKind, ClusterRef, Instance, InstanceType, Instances, LaunchRequest, PoolRequest,
};

use crate::error::{code, map};
use crate::names::{self, CLUSTER_UID};
use crate::network::{self, Network};
use crate::template::{self, Content};
use crate::{AwsProvider, describe, launch};

/// All states but `terminated`: an instance in it is gone, though EC2 shows it for an hour.
const EXISTING: &[&str] = &["pending", "running", "stopping", "stopped", "shutting-down"];

impl AwsProvider {
    async fn client(&self, cluster: &ClusterRef) -> Client {
        self.inner.clients.region(&cluster.region).await
    }

    async fn image(
        &self,
        client: &Client,
        pool: &PoolRequest,
        kind: &InstanceType,
    ) -> Result<String, CloudError> {
        if let Some(image) = pool.params.get("image") {
            return Ok(image.clone());
        }
        let emulated = self.inner.clients.is_emulated();
        self.inner.images.find(client, emulated, &pool.cluster.region, &kind.architecture).await
    }
}

#[async_trait]
impl Instances for AwsProvider {
    async fn prepare_pool(&self, pool: &PoolRequest) -> Result<Vec<String>, CloudError> {
        let cluster = &pool.cluster;
        let client = self.client(cluster).await;
        let kind = self.inner.types.get(&client, &cluster.region, &pool.instance_type).await?;
        let _one_at_a_time = self.inner.locks.lock(&cluster.uid).await;
        let network = Network::find(&client, cluster, &pool.params).await?;
        for zone in &pool.zones {
            network.subnet(Some(zone))?;
        }
        let image = self.image(&client, pool, &kind).await?;
        let security_group = network::ensure_security_group(&client, cluster, &network.vpc).await?;
        template::ensure(&client, &Content { pool, image, security_group }).await?;
        Ok(if pool.zones.is_empty() { network.zones() } else { pool.zones.clone() })
    }

    async fn release_pool(&self, cluster: &ClusterRef, node_pool: &str) -> Result<(), CloudError> {
        let client = self.client(cluster).await;
        template::delete(&client, cluster, Some(node_pool)).await
    }

    async fn release_cluster(&self, cluster: &ClusterRef) -> Result<(), CloudError> {
        let client = self.client(cluster).await;
        // EC2 would refuse, too, but not every emulator does.
        if let Some(instance) = self.list(cluster).await?.first() {
            let message =
                format!("DependencyViolation: {} still uses the cluster's security group", instance.id);
            return Err(CloudError::new(CloudErrorKind::InUse, "DeleteSecurityGroup", message));
        }
        template::delete(&client, cluster, None).await?;
        network::delete_security_groups(&client, cluster).await
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, CloudError> {
        let cluster = &request.cluster;
        let client = self.client(cluster).await;
        // An emulator would launch any type.
        self.inner.types.get(&client, &cluster.region, &request.instance_type).await?;
        let _one_at_a_time = self.inner.locks.lock(&request.client_token).await;
        if let Some(found) = launch::by_token(&client, cluster, &request.client_token).await? {
            return Ok(found);
        }
        let network = Network::find(&client, cluster, &request.params).await?;
        launch::run(&client, &network, request).await
    }

    async fn list(&self, cluster: &ClusterRef) -> Result<Vec<Instance>, CloudError> {
        let client = self.client(cluster).await;
        let mut pages = client
            .describe_instances()
            .filters(names::owned_by(cluster))
            .filters(names::filter("instance-state-name", EXISTING))
            .into_paginator()
            .items()
            .send();
        let mut out = Vec::new();
        while let Some(reservation) = pages.next().await {
            let reservation = reservation.map_err(map("DescribeInstances"))?;
            out.extend(
                reservation.instances().iter().map(|found| describe::instance(found, &cluster.region)),
            );
        }
        Ok(out)
    }

    async fn get(&self, cluster: &ClusterRef, id: &str) -> Result<Option<Instance>, CloudError> {
        let client = self.client(cluster).await;
        match client.describe_instances().instance_ids(id).send().await {
            Ok(reply) => {
                let mut found = reply.reservations().iter().flat_map(|reservation| reservation.instances());
                let found = found.next().map(|instance| describe::instance(instance, &cluster.region));
                Ok(found.filter(|instance| instance.tags.get(CLUSTER_UID) == Some(&cluster.uid)))
            }
            Err(error) if code(&error).starts_with("InvalidInstanceID") => Ok(None),
            Err(error) => Err(map("DescribeInstances")(error)),
        }
    }

    async fn terminate(&self, cluster: &ClusterRef, id: &str) -> Result<(), CloudError> {
        // Only the cluster's own.
        let Some(instance) = self.get(cluster, id).await? else { return Ok(()) };
        if instance.state.is_ending() {
            return Ok(());
        }
        let client = self.client(cluster).await;
        match client.terminate_instances().instance_ids(id).send().await {
            Err(error) if code(&error).starts_with("InvalidInstanceID") => Ok(()),
            Err(error) => Err(map("TerminateInstances")(error)),
            Ok(_) => Ok(()),
        }
    }

    async fn instance_type(&self, region: &str, name: &str) -> Result<InstanceType, CloudError> {
        let client = self.inner.clients.region(region).await;
        self.inner.types.get(&client, region, name).await
    }
}
