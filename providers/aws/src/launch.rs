//! Launching one machine, once.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    InstanceMarketOptionsRequest, InstanceType, LaunchTemplateSpecification, MarketType, ResourceType,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drydock_cloud_api::{CloudError, CloudErrorKind, ClusterRef, Instance, LaunchRequest};

use crate::describe;
use crate::error::{code, map};
use crate::names::{self, CLIENT_TOKEN};
use crate::network::Network;

/// The machine that was launched with a token, in whatever state.
pub(crate) async fn by_token(
    client: &Client,
    cluster: &ClusterRef,
    token: &str,
) -> Result<Option<Instance>, CloudError> {
    let reply = client
        .describe_instances()
        .filters(names::owned_by(cluster))
        .filters(names::filter(format!("tag:{CLIENT_TOKEN}"), &[token]))
        .send()
        .await
        .map_err(map("DescribeInstances"))?;
    let mut found = reply.reservations().iter().flat_map(|reservation| reservation.instances());
    Ok(found.next().map(|instance| describe::instance(instance, &cluster.region)))
}

/// Runs an instance from the pool's template. The caller has looked for the token, and holds its lock.
pub(crate) async fn run(
    client: &Client,
    network: &Network,
    request: &LaunchRequest,
) -> Result<Instance, CloudError> {
    const OPERATION: &str = "RunInstances";
    let cluster = &request.cluster;
    let template = LaunchTemplateSpecification::builder()
        .launch_template_name(names::launch_template(cluster, &request.node_pool))
        .version("$Latest")
        .build();
    let mut tags = names::tags(cluster, Some(&request.node_pool), &request.tags);
    tags.insert(CLIENT_TOKEN.into(), request.client_token.clone());
    let user_data = Some(&request.user_data).filter(|text| !text.is_empty());
    let spot = InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).build();
    let outcome = client
        .run_instances()
        .min_count(1)
        .max_count(1)
        .client_token(&request.client_token)
        .launch_template(template)
        .instance_type(InstanceType::from(request.instance_type.as_str()))
        .subnet_id(network.subnet(request.zone.as_deref())?)
        .set_user_data(user_data.map(|text| STANDARD.encode(text)))
        .set_image_id(request.params.get("image").cloned())
        .set_instance_market_options(request.spot.then_some(spot))
        .tag_specifications(names::tag_specification(ResourceType::Instance, &tags))
        .send()
        .await;
    match outcome {
        Ok(reply) => {
            reply.instances().first().map(|found| describe::instance(found, &cluster.region)).ok_or_else(
                || CloudError::new(CloudErrorKind::Internal, OPERATION, "the answer names no instance"),
            )
        }
        // The token's instance was terminated: it is still known for a while.
        Err(error) if code(&error) == "IdempotentInstanceTerminated" => {
            by_token(client, cluster, &request.client_token).await?.ok_or_else(|| map(OPERATION)(error))
        }
        Err(error) => Err(map(OPERATION)(error)),
    }
}
