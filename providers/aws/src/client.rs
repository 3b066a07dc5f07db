//! One SDK client per region, made when first needed.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::Credentials;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// How to reach the account.
#[derive(Clone, Debug, Default)]
pub struct AwsConfig {
    /// Where EC2 is: `http://127.0.0.1:4566` for LocalStack. None for AWS itself, unless `AWS_ENDPOINT_URL` or
    /// `AWS_ENDPOINT_URL_EC2` says otherwise.
    pub endpoint: Option<String>,
    /// The profile of the shared configuration files; None for the SDK's own choice.
    pub profile: Option<String>,
    /// The machine image; None for a fitting Amazon Linux.
    pub image: Option<String>,
}

impl AwsConfig {
    /// The endpoint in use, if it is not AWS's own.
    pub(crate) fn custom_endpoint(&self) -> Option<String> {
        let variable = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
        self.endpoint
            .clone()
            .or_else(|| variable("AWS_ENDPOINT_URL_EC2"))
            .or_else(|| variable("AWS_ENDPOINT_URL"))
    }
}

pub(crate) struct Clients {
    config: AwsConfig,
    endpoint: Option<String>,
    shared: OnceCell<SdkConfig>,
    by_region: Mutex<HashMap<String, Client>>,
}

impl Clients {
    pub(crate) fn new(config: AwsConfig) -> Self {
        let endpoint = config.custom_endpoint();
        Self { config, endpoint, shared: OnceCell::new(), by_region: Mutex::default() }
    }

    /// Whether this is some emulator rather than AWS.
    pub(crate) fn is_emulated(&self) -> bool {
        self.endpoint.is_some()
    }

    pub(crate) async fn region(&self, region: &str) -> Client {
        if let Some(client) = self.by_region.lock().get(region) {
            return client.clone();
        }
        let shared = self.shared.get_or_init(|| self.load()).await;
        let mut config = aws_sdk_ec2::config::Builder::from(shared).region(Region::new(region.to_owned()));
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint);
        }
        let client = Client::from_conf(config.build());
        self.by_region.lock().entry(region.to_owned()).or_insert(client).clone()
    }

    async fn load(&self) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(Duration::from_secs(30))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // Every client names its own; this keeps the loader from asking around for one.
            .region(Region::from_static("us-east-1"));
        if let Some(profile) = &self.config.profile {
            loader = loader.profile_name(profile);
        }
        let has_own = self.config.profile.is_some()
            || ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"].iter().any(|name| std::env::var_os(name).is_some());
        if self.is_emulated() && !has_own {
            // An emulator takes any; without some the SDK would ask an instance metadata service that is not there.
            loader = loader.credentials_provider(Credentials::new("test", "test", None, None, "drydock"));
        }
        loader.load().await
    }
}
