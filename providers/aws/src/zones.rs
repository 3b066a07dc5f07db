//! Regions and availability zones.

use async_trait::async_trait;
use drydock_cloud_api::{CloudError, Zones};

use crate::AwsProvider;
use crate::error::map;
use crate::names::filter;

/// Where the list of regions is asked for.
const HOME: &str = "us-east-1";

#[async_trait]
impl Zones for AwsProvider {
    async fn regions(&self) -> Result<Vec<String>, CloudError> {
        let client = self.inner.clients.region(HOME).await;
        let reply = client.describe_regions().send().await.map_err(map("DescribeRegions"))?;
        let mut names: Vec<String> =
            reply.regions().iter().filter_map(|region| region.region_name()).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    async fn zones(&self, region: &str) -> Result<Vec<String>, CloudError> {
        let client = self.inner.clients.region(region).await;
        let reply = client
            .describe_availability_zones()
            .filters(filter("state", &["available"]))
            .filters(filter("zone-type", &["availability-zone"]))
            .send()
            .await
            .map_err(map("DescribeAvailabilityZones"))?;
        let zones = reply.availability_zones().iter().filter_map(|zone| zone.zone_name());
        let mut names: Vec<String> = zones.map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }
}
