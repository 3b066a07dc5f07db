//! The provider and the node pools over it, against a real LocalStack: that of `DRYDOCK_TEST_LOCALSTACK` (its endpoint),
//! else the one that `localstack/start.sh` starts, which goes on running for the next test.

mod chain;
mod proxy;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drydock_cloud_api::conformance::Subject;
use drydock_cloud_api::{CloudErrorKind, CloudProvider, Instances, Layers, Retry};
use drydock_provider_aws::{AwsConfig, AwsProvider};
use drydock_runtime::wall;

/// Where LocalStack answers.
///
/// # Panics
/// When there is none and none can be started: its tests prove nothing without.
fn endpoint() -> String {
    if let Ok(endpoint) = std::env::var("DRYDOCK_TEST_LOCALSTACK") {
        return endpoint;
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../localstack/start.sh");
    let output = Command::new(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
    assert!(
        output.status.success(),
        "LocalStack is needed and could not be started: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn provider(endpoint: &str) -> AwsProvider {
    AwsProvider::new(AwsConfig { endpoint: Some(endpoint.to_owned()), ..AwsConfig::default() })
}

/// An EC2 client of somebody else.
fn console(endpoint: &str) -> aws_sdk_ec2::Client {
    let config = aws_sdk_ec2::config::Builder::new()
        .behavior_version(aws_sdk_ec2::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_ec2::config::Region::from_static("us-east-1"))
        .credentials_provider(aws_sdk_ec2::config::Credentials::new("test", "test", None, None, "console"))
        .endpoint_url(endpoint)
        .build();
    aws_sdk_ec2::Client::from_conf(config)
}

struct LocalStack {
    endpoint: String,
    provider: Arc<dyn CloudProvider>,
}

fn localstack() -> LocalStack {
    let endpoint = endpoint();
    let layers = Layers::default().retry(Retry::default());
    LocalStack { provider: layers.around(Arc::new(provider(&endpoint))), endpoint }
}

#[async_trait]
impl Subject for LocalStack {
    fn provider(&self) -> Arc<dyn CloudProvider> {
        self.provider.clone()
    }

    fn region(&self) -> String {
        "us-east-1".into()
    }

    fn instance_type(&self) -> String {
        "t3.medium".into()
    }

    async fn settle(&self) {
        wall::sleep(Duration::from_millis(100)).await;
    }

    async fn stop_by_hand(&self, instance_id: &str) {
        console(&self.endpoint).stop_instances().instance_ids(instance_id).send().await.unwrap();
    }
}

mod conformance {
    use super::*;

    drydock_cloud_api::conformance_suite!(localstack());
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_unreachable() {
    let instances = provider("http://127.0.0.1:1").instances().unwrap();
    let subject = LocalStack { endpoint: String::new(), provider: Arc::new(provider("http://127.0.0.1:1")) };
    let cluster = drydock_cloud_api::conformance::unique_cluster(&subject);
    let error = instances.list(&cluster).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unreachable, "{error}");
    assert!(error.message.to_lowercase().contains("refused"), "{error}");
    let error = instances.instance_type("us-east-1", "t3.medium").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn what_localstack_knows_of_types_agrees_with_the_table_of_facts() {
    let subject = localstack();
    let instances: Arc<dyn Instances> = subject.provider.instances().unwrap();
    for name in [
        "t3.small",
        "t3.medium",
        "t3a.large",
        "m5.large",
        "m6i.4xlarge",
        "c5.xlarge",
        "r5.2xlarge",
        "m6g.large",
    ] {
        let asked = instances.instance_type("us-east-1", name).await.unwrap();
        assert_eq!(Some(asked), drydock_cloud_api::catalog::aws(name), "{name}");
    }
}
