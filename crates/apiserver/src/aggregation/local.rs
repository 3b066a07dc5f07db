//! API services without a service: this server answers for them. Those of custom resources come and go with their
//! definitions, see `definitions::api_services`.

use drydock_auth::Reader as _;
use drydock_machinery::ObjectMeta as _;

use super::availability::write;
use super::{GROUP, PLURAL};
use crate::server::Core;

pub(super) async fn sync(core: &Core) {
    for service in core.registry.cache.list(GROUP, PLURAL, "") {
        if service.at(&["spec", "service", "name"]).is_some() {
            continue;
        }
        let verdict = ("True", "Local", "Local APIServices are always available".to_owned());
        if let Err(error) = write(core, service.name(), &verdict).await {
            tracing::debug!(%error, name = service.name(), "an APIService's condition was not written");
        }
    }
}
