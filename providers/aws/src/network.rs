//! Subnets, which are found, and the cluster's security group, which is made.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{IpPermission, ResourceType, Subnet, UserIdGroupPair};
use drydock_cloud_api::{CloudError, CloudErrorKind, ClusterRef};
use std::collections::BTreeMap;

use crate::error::{code, map};
use crate::names;

/// Where instances may go.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) vpc: String,
    subnets: Vec<(String, String)>,
}

/// Which parameter of a pool names its subnets, separated by commas.
const SUBNETS_PARAM: &str = "subnets";

impl Network {
    /// The subnets that the pool names, else those tagged for the cluster, else those of the default VPC.
    pub(crate) async fn find(
        client: &Client,
        cluster: &ClusterRef,
        params: &BTreeMap<String, String>,
    ) -> Result<Self, CloudError> {
        let named: Vec<&str> = params
            .get(SUBNETS_PARAM)
            .into_iter()
            .flat_map(|names| names.split(','))
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        let describe = client.describe_subnets();
        let mut found = if named.is_empty() {
            let tagged =
                names::filter(format!("tag:kubernetes.io/cluster/{}", cluster.name), &["owned", "shared"]);
            subnets(describe.filters(tagged)).await?
        } else {
            let ids = named.iter().map(|&name| name.to_owned()).collect();
            subnets(describe.set_subnet_ids(Some(ids))).await.map_err(|error| match error.kind {
                CloudErrorKind::NotFound => CloudError { kind: CloudErrorKind::InvalidRequest, ..error },
                _ => error,
            })?
        };
        if found.is_empty() {
            let default = names::filter("default-for-az", &["true"]);
            found = subnets(client.describe_subnets().filters(default)).await?;
        }
        let Some(vpc) = found.first().and_then(Subnet::vpc_id).map(str::to_owned) else {
            let message = format!(
                "no subnet to use: region {} has no default VPC, and no subnet is tagged kubernetes.io/cluster/{}",
                cluster.region, cluster.name
            );
            return Err(CloudError::new(CloudErrorKind::InvalidRequest, "DescribeSubnets", message));
        };
        let mut subnets: Vec<(String, String)> = found
            .iter()
            .filter(|subnet| subnet.vpc_id() == Some(&vpc))
            .filter_map(|s| Some((s.availability_zone()?.to_owned(), s.subnet_id()?.to_owned())))
            .collect();
        subnets.sort();
        Ok(Self { vpc, subnets })
    }

    /// The zones that have a subnet, sorted.
    pub(crate) fn zones(&self) -> Vec<String> {
        let mut zones: Vec<String> = self.subnets.iter().map(|(zone, _)| zone.clone()).collect();
        zones.dedup();
        zones
    }

    /// A subnet of the zone, or any.
    pub(crate) fn subnet(&self, zone: Option<&str>) -> Result<&str, CloudError> {
        let mut fitting = self.subnets.iter().filter(|(have, _)| zone.is_none_or(|zone| zone == have));
        fitting.next().map(|(_, subnet)| subnet.as_str()).ok_or_else(|| {
            let zone = zone.unwrap_or("any zone");
            let message = format!("no subnet of {} is in {zone}", self.vpc);
            CloudError::new(CloudErrorKind::InvalidRequest, "DescribeSubnets", message)
        })
    }
}

async fn subnets(
    request: aws_sdk_ec2::operation::describe_subnets::builders::DescribeSubnetsFluentBuilder,
) -> Result<Vec<Subnet>, CloudError> {
    let reply = request.send().await.map_err(map("DescribeSubnets"))?;
    Ok(reply.subnets.unwrap_or_default())
}

/// The cluster's security group in the VPC, if it has one.
pub(crate) async fn security_group(
    client: &Client,
    cluster: &ClusterRef,
    vpc: &str,
) -> Result<Option<String>, CloudError> {
    let reply = client
        .describe_security_groups()
        .filters(names::owned_by(cluster))
        .filters(names::filter("vpc-id", &[vpc]))
        .send()
        .await
        .map_err(map("DescribeSecurityGroups"))?;
    Ok(reply.security_groups().first().and_then(|group| group.group_id()).map(str::to_owned))
}

/// Makes the cluster's security group unless it is there: its members reach each other, and out.
pub(crate) async fn ensure_security_group(
    client: &Client,
    cluster: &ClusterRef,
    vpc: &str,
) -> Result<String, CloudError> {
    let group = match security_group(client, cluster, vpc).await? {
        Some(group) => group,
        None => create_security_group(client, cluster, vpc).await?,
    };
    // Each time: a kill may have come between the group and its rule.
    let itself = UserIdGroupPair::builder().group_id(&group).build();
    let rule = IpPermission::builder().ip_protocol("-1").user_id_group_pairs(itself).build();
    let outcome =
        client.authorize_security_group_ingress().group_id(&group).ip_permissions(rule).send().await;
    match outcome {
        Err(error) if code(&error) != "InvalidPermission.Duplicate" => {
            Err(map("AuthorizeSecurityGroupIngress")(error))
        }
        _ => Ok(group),
    }
}

async fn create_security_group(
    client: &Client,
    cluster: &ClusterRef,
    vpc: &str,
) -> Result<String, CloudError> {
    let tags = names::tags(cluster, None, &BTreeMap::new());
    let reply = client
        .create_security_group()
        .group_name(names::security_group(cluster))
        .description(format!("Nodes of cluster {}", cluster.name))
        .vpc_id(vpc)
        .tag_specifications(names::tag_specification(ResourceType::SecurityGroup, &tags))
        .send()
        .await
        .map_err(map("CreateSecurityGroup"))?;
    Ok(reply.group_id.unwrap_or_default())
}

/// Deletes all security groups of the cluster.
pub(crate) async fn delete_security_groups(client: &Client, cluster: &ClusterRef) -> Result<(), CloudError> {
    let reply = client
        .describe_security_groups()
        .filters(names::owned_by(cluster))
        .send()
        .await
        .map_err(map("DescribeSecurityGroups"))?;
    for group in reply.security_groups() {
        let id = group.group_id().unwrap_or_default();
        match client.delete_security_group().group_id(id).send().await {
            Err(error) if code(&error) != "InvalidGroup.NotFound" => {
                return Err(map("DeleteSecurityGroup")(error));
            }
            _ => {}
        }
    }
    Ok(())
}
