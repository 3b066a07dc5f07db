//! The composition root: the one place that names concrete providers and control planes.

mod boot;
mod plane;
mod planes;
mod providers;
mod scheduling;

use std::sync::Arc;

use crate::config::Config;
use crate::server::Backends;

/// Opens what this build has: every provider, and control planes of `drydock-tenant`.
///
/// # Errors
/// When the mock cloud's file cannot be used.
pub async fn backends(
    config: &Config,
    records: Arc<dyn drydock_cloud::PoolRecords>,
) -> anyhow::Result<Backends> {
    let clouds = providers::Clouds::open(config)?;
    let providers = clouds.describe();
    let control_planes = Arc::new(planes::Planes::new(config, clouds, records));
    Ok(Backends { providers, control_planes })
}
