//! API services without a service: this server answers for them. Those of custom resources come and go with their
//! definitions, see `definitions::api_services`.

use drydock_auth::Reader as _;
use drydock_machinery::{ObjectMeta as _, Status};

use super::availability::write;
use super::{GROUP, PLURAL};
use crate::registry::Registry;
use crate::server::Core;

pub(super) async fn sync(core: &Core) {
    for service in core.registry.cache.list(GROUP, PLURAL, "") {
        if service.at(&["spec", "service", "name"]).is_some() {
            continue;
        }
        if let Err(error) = report_available(&core.registry, service.name()).await {
            tracing::debug!(%error, name = service.name(), "an APIService's condition was not written");
        }
    }
}

/// What is served here is available.
pub(crate) async fn report_available(registry: &Registry, name: &str) -> Result<(), Status> {
    let verdict = ("True", "Local", "Local APIServices are always available".to_owned());
    write(registry, name, &verdict).await
}
