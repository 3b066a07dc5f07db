//! API services without a service: this server answers for them. Those of custom resources come and go by themselves.

use std::collections::BTreeSet;

use drydock_auth::Reader as _;
use drydock_client::resources::API_SERVICES;
use drydock_client::{Client, DeleteOptions};
use drydock_machinery::{ObjectMeta as _, Status, value};

use super::availability::write;
use super::{GROUP, PLURAL};
use crate::server::Core;

/// Marks an API service that is made and removed with the resources it is for.
const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

pub(super) async fn sync(core: &Core) {
    if let Some(client) = core.registry.loopback.get()
        && let Err(error) = register(core, client).await
    {
        tracing::debug!(%error, "API services of custom resources were not brought in line");
    }
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

/// One for each group and version of custom resources.
async fn register(core: &Core, client: &Client) -> Result<(), Status> {
    let table = core.registry.resources.table();
    let custom = table.iter().filter(|resource| resource.custom.is_some());
    let wanted: BTreeSet<(&str, &str)> =
        custom.map(|resource| (&*resource.gvr.group, &*resource.gvr.version)).collect();
    for (group, version) in &wanted {
        let name = format!("{version}.{group}");
        if core.registry.cache.get(GROUP, PLURAL, "", &name).is_some() {
            continue;
        }
        let service = value!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": name, "labels": {AUTOMANAGED: "true"}},
            "spec": {"group": *group, "version": *version, "groupPriorityMinimum": 1000, "versionPriority": 100},
        });
        match client.create(&API_SERVICES, service).await {
            Err(status) if !status.is_already_exists() => return Err(status),
            _ => {}
        }
    }
    for service in core.registry.cache.list(GROUP, PLURAL, "") {
        let of = (service.str_at(&["spec", "group"]), service.str_at(&["spec", "version"]));
        if service.label(AUTOMANAGED) == Some("true") && !wanted.contains(&of) {
            let options = DeleteOptions::of_uid(service.uid());
            match client.delete(&API_SERVICES, "", service.name(), options).await {
                Err(status) if !status.is_not_found() && !status.is_conflict() => return Err(status),
                _ => {}
            }
        }
    }
    Ok(())
}
