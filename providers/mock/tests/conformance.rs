//! The provider seam's suite, on the mock cloud: in memory, and kept in a file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drydock_cloud_api::CloudProvider;
use drydock_cloud_api::conformance::Subject;
use drydock_provider_mock::{MockCloud, MockConfig, MockProvider};
use drydock_runtime::Clock;

struct Mock {
    provider: Arc<MockProvider>,
    clock: Clock,
    _folder: Option<tempfile::TempDir>,
}

fn start() -> jiff::Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn subject(cloud: &Arc<MockCloud>, folder: Option<tempfile::TempDir>) -> Mock {
    let clock = Clock::manual(start());
    Mock { provider: cloud.provider(clock.clone()), clock, _folder: folder }
}

#[async_trait]
impl Subject for Mock {
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
        self.clock.advance(Duration::from_millis(500));
    }

    async fn stop_by_hand(&self, instance_id: &str) {
        assert!(self.provider.stop_by_hand(instance_id));
    }
}

mod in_memory {
    use super::*;

    drydock_cloud_api::conformance_suite!(subject(&MockCloud::in_memory(MockConfig::default()), None));
}

mod in_a_file {
    use super::*;

    fn opened() -> Mock {
        let folder = tempfile::tempdir().unwrap();
        let cloud = MockCloud::open(&folder.path().join("mock.jsonl"), MockConfig::default()).unwrap();
        subject(&cloud, Some(folder))
    }

    drydock_cloud_api::conformance_suite!(opened());
}
