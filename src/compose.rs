//! The composition root: the one place that names concrete providers and control planes.

use std::sync::Arc;

use drydock_provider_mock::{MockCloud, MockConfig};
use drydock_runtime::Clock;

use crate::config::Config;
use crate::server::{Backends, StartError};
use crate::service::{Provider, Providers};

/// Opens what this build has: every provider.
///
/// # Errors
/// When the mock cloud's file cannot be used.
pub async fn backends(config: &Config) -> anyhow::Result<Backends> {
    let _providers = providers(config)?;
    anyhow::bail!("this build has no control planes yet")
}

fn providers(config: &Config) -> anyhow::Result<Providers> {
    let cloud = MockCloud::open(&config.data_dir.join("mock-cloud.journal"), MockConfig::default())?;
    let mock = Provider {
        cloud: cloud.provider(Clock::real()),
        description: "a cloud in memory, for everything that needs no real machines".to_owned(),
        endpoint: None,
        default_region: "us-east-1".to_owned(),
        default_instance_type: "m5.large".to_owned(),
    };
    Ok(Providers::new(vec![mock]))
}

#[expect(dead_code, reason = "until the control planes are joined")]
type Unused = (Arc<()>, StartError);
