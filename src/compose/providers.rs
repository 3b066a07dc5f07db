//! The clouds of this build.

use std::sync::Arc;

use drydock_cloud_api::{CloudProvider, Faults, Layers, Retry};
use drydock_provider_mock::{MockCloud, MockConfig};
use drydock_runtime::Clock;

use crate::config::Config;
use crate::service::{Provider, Providers};

/// Makes a provider whose waiting is on a cluster's clock.
pub(super) type ForClock = Arc<dyn Fn(&Clock) -> Arc<dyn CloudProvider> + Send + Sync>;

/// A cloud, described and ready to be used on any clock.
struct Cloud {
    provider: Provider,
    for_clock: ForClock,
}

/// All clouds, the default first.
pub(super) struct Clouds(Vec<Cloud>);

impl Clouds {
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(Self(vec![
            mock(config)?,
            #[cfg(feature = "aws")]
            aws(config),
        ]))
    }

    pub(super) fn describe(&self) -> Providers {
        Providers::new(self.0.iter().map(|cloud| cloud.provider.clone()).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<ForClock> {
        self.0.iter().find(|cloud| cloud.provider.name() == name).map(|cloud| cloud.for_clock.clone())
    }
}

/// What is the same around all providers: retries, and the fault points that tests arm.
fn layers() -> Layers {
    Layers::default().retry(Retry::default()).layer(Arc::new(Faults::default()))
}

fn mock(config: &Config) -> anyhow::Result<Cloud> {
    let cloud = MockCloud::open(&config.data_dir.join("mock-cloud.journal"), MockConfig::default())?;
    let provider = Provider {
        cloud: cloud.provider(Clock::scaled(config.speed)),
        description: "a cloud in memory, for everything that needs no real machines".to_owned(),
        endpoint: None,
        default_region: "us-east-1".to_owned(),
        default_instance_type: "m5.large".to_owned(),
    };
    let for_clock: ForClock = Arc::new(move |clock| layers().around(cloud.provider(clock.clone())));
    Ok(Cloud { provider, for_clock })
}

#[cfg(feature = "aws")]
fn aws(config: &Config) -> Cloud {
    use drydock_cloud_api::{Layer, Throttle};
    use drydock_provider_aws::{AwsConfig, AwsProvider};

    /// The buckets of EC2's describing actions, which are most of the calls ("Request throttling for the EC2 API").
    const EC2_RATE: f64 = 20.0;
    const EC2_BURST: f64 = 100.0;

    let endpoint = config.aws_endpoint.clone();
    let cloud = AwsProvider::new(AwsConfig { endpoint: endpoint.clone(), ..AwsConfig::default() });
    let provider = Provider {
        cloud: Arc::new(cloud.clone()),
        description: "Amazon EC2, or LocalStack in its place".to_owned(),
        endpoint,
        default_region: "us-east-1".to_owned(),
        default_instance_type: "m5.large".to_owned(),
    };
    // One for all clusters: EC2 counts what an account asks for.
    let throttle: Arc<dyn Layer> = Arc::new(Throttle::new(EC2_RATE, EC2_BURST));
    let for_clock: ForClock =
        Arc::new(move |_| layers().layer(throttle.clone()).around(Arc::new(cloud.clone())));
    Cloud { provider, for_clock }
}
