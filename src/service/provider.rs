//! The providers that this service has, and what they say of regions and instance types.

use std::sync::Arc;
use std::time::Duration;

use drydock_cloud_api::{CloudErrorKind, CloudProvider};
use drydock_runtime::wall;

use super::error::{Result, ServiceError};

/// A cloud that clusters may have their nodes in.
#[derive(Clone)]
pub struct Provider {
    pub cloud: Arc<dyn CloudProvider>,
    /// One sentence for people.
    pub description: String,
    /// Where its API is, if not where the cloud's own is.
    pub endpoint: Option<String>,
    pub default_region: String,
    pub default_instance_type: String,
}

impl Provider {
    pub fn name(&self) -> &'static str {
        self.cloud.name()
    }
}

/// All of them, the default first.
#[derive(Clone)]
pub struct Providers(Arc<[Provider]>);

/// How long a request of a user waits for a cloud.
const PATIENCE: Duration = Duration::from_secs(3);

impl Providers {
    pub fn new(providers: Vec<Provider>) -> Self {
        Self(providers.into())
    }

    pub fn provider_list(&self) -> &[Provider] {
        &self.0
    }

    /// # Errors
    /// When there is none of that name.
    pub fn provider_get(&self, name: &str) -> Result<&Provider> {
        self.0
            .iter()
            .find(|provider| provider.name() == name)
            .ok_or_else(|| ServiceError::NotFound { kind: "provider", name: name.to_owned() })
    }

    /// The one to take when none is named.
    pub fn default(&self) -> Option<&Provider> {
        self.0.first()
    }

    pub(super) fn check(&self, name: &str) -> Result<&Provider, String> {
        let names: Vec<_> = self.0.iter().map(Provider::name).collect();
        self.provider_get(name).map_err(|_| format!("{name:?} must be one of {}", names.join(", ")))
    }
}

impl Provider {
    /// Regions to offer. Empty when the cloud cannot be asked now.
    pub async fn regions(&self) -> Vec<String> {
        let Some(zones) = self.cloud.zones() else { return Vec::new() };
        wall::timeout(PATIENCE, zones.regions()).await.and_then(Result::ok).unwrap_or_default()
    }

    /// Whether the cloud has the region. A cloud that cannot be asked now does not refuse.
    pub(super) async fn check_region(&self, region: &str) -> Result<(), String> {
        let word = !region.is_empty()
            && region.len() <= 63
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !word {
            return Err(self.no_region(region).await);
        }
        let Some(zones) = self.cloud.zones() else { return Ok(()) };
        match wall::timeout(PATIENCE, zones.zones(region)).await {
            Some(Err(error)) if refuses(error.kind) => Err(self.no_region(region).await),
            Some(Ok(zones)) if zones.is_empty() => Err(self.no_region(region).await),
            _ => Ok(()),
        }
    }

    async fn no_region(&self, region: &str) -> String {
        let (known, name) = (self.regions().await, self.name());
        if known.is_empty() {
            return format!("{region:?} must be a region of {name}, such as {:?}", self.default_region);
        }
        format!("{region:?} must be a region of {name}: one of {}", known.join(", "))
    }

    /// Whether the region has these zones.
    pub(super) async fn check_zones(&self, region: &str, wanted: &[String]) -> Vec<(usize, String)> {
        let Some(zones) = self.cloud.zones().filter(|_| !wanted.is_empty()) else { return Vec::new() };
        let Some(Ok(known)) = wall::timeout(PATIENCE, zones.zones(region)).await else { return Vec::new() };
        let strange = wanted.iter().enumerate().filter(|(_, zone)| !known.contains(zone));
        strange.map(|(i, zone)| (i, format!("{zone:?} must be one of {}", known.join(", ")))).collect()
    }

    /// Whether the cloud has the instance type. A cloud that cannot be asked now does not refuse.
    pub(super) async fn check_instance_type(&self, region: &str, name: &str) -> Result<(), String> {
        let Some(instances) = self.cloud.instances() else {
            return Err(format!("{} cannot make instances", self.name()));
        };
        match wall::timeout(PATIENCE, instances.instance_type(region, name)).await {
            Some(Err(error)) if refuses(error.kind) => {
                Err(format!("{name:?} is not an instance type of {}: {}", self.name(), error.message))
            }
            _ => Ok(()),
        }
    }
}

fn refuses(kind: CloudErrorKind) -> bool {
    matches!(kind, CloudErrorKind::NotFound | CloudErrorKind::InvalidRequest)
}
