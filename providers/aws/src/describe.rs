//! EC2's instances as the seam has them.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Instance as Ec2Instance, InstanceStateName};
use drydock_cloud_api::{Address, AddressKind, Instance, InstanceFailure, InstanceState};

use crate::names::{CLIENT_TOKEN, NODEGROUP};

pub(crate) fn instance(found: &Ec2Instance, region: &str) -> Instance {
    let id = found.instance_id().unwrap_or_default();
    let zone = found.placement().and_then(|placement| placement.availability_zone()).unwrap_or_default();
    let tags: BTreeMap<String, String> = found
        .tags()
        .iter()
        .map(|tag| (tag.key().unwrap_or_default().to_owned(), tag.value().unwrap_or_default().to_owned()))
        .collect();
    let tag = |name: &str| tags.get(name).cloned().unwrap_or_default();
    let client_token = Some(tag(CLIENT_TOKEN)).filter(|token| !token.is_empty());
    let token = client_token.or_else(|| found.client_token().map(str::to_owned)).unwrap_or_default();
    Instance {
        provider_id: format!("aws:///{zone}/{id}"),
        id: id.to_owned(),
        node_name: node_name(found),
        node_pool: tag(NODEGROUP),
        state: state(found),
        instance_type: found.instance_type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        zone: zone.to_owned(),
        region: region.to_owned(),
        addresses: addresses(found),
        client_token: token,
        failure: failure(found),
        tags,
    }
}

/// What EC2 says of an instance that it ended by itself: `Server.InsufficientInstanceCapacity`,
/// `Client.VolumeLimitExceeded`. Those that somebody ended have reasons as well.
fn failure(found: &Ec2Instance) -> Option<InstanceFailure> {
    const BY_SOMEBODY: [&str; 3] =
        ["Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown", "Server.ScheduledStop"];
    let reason = found.state_reason().filter(|_| state(found).is_ending())?;
    let code = reason.code().filter(|code| !code.is_empty() && !BY_SOMEBODY.contains(code))?;
    let (_, name) = code.split_once('.')?;
    let message = format!("{code}: {}", reason.message().unwrap_or("no message"));
    Some(InstanceFailure { kind: crate::error::by_code(name, &message, 400), message })
}

pub(crate) fn state(found: &Ec2Instance) -> InstanceState {
    match found.state().and_then(|state| state.name()) {
        Some(InstanceStateName::Running) => InstanceState::Running,
        Some(InstanceStateName::Stopping) => InstanceState::Stopping,
        Some(InstanceStateName::Stopped) => InstanceState::Stopped,
        Some(InstanceStateName::ShuttingDown) => InstanceState::ShuttingDown,
        Some(InstanceStateName::Terminated) => InstanceState::Terminated,
        _ => InstanceState::Pending,
    }
}

/// The private DNS name, as EKS names nodes. EC2 forgets it when the instance is terminated.
fn node_name(found: &Ec2Instance) -> String {
    found.private_dns_name().unwrap_or_default().to_owned()
}

/// In the order of cloud-provider-aws.
fn addresses(found: &Ec2Instance) -> Vec<Address> {
    let mut out: Vec<Address> = Vec::new();
    let mut add = |kind, address: Option<&str>| {
        let Some(address) = address.filter(|address| !address.is_empty()) else { return };
        let address = Address { kind, address: address.to_owned() };
        if !out.contains(&address) {
            out.push(address);
        }
    };
    for interface in found.network_interfaces() {
        for ip in interface.private_ip_addresses() {
            add(AddressKind::InternalIP, ip.private_ip_address());
        }
    }
    add(AddressKind::InternalIP, found.private_ip_address());
    add(AddressKind::ExternalIP, found.public_ip_address());
    add(AddressKind::InternalDNS, found.private_dns_name());
    add(AddressKind::Hostname, found.private_dns_name());
    add(AddressKind::ExternalDNS, found.public_dns_name());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{InstanceState as Ec2State, StateReason};
    use drydock_cloud_api::CloudErrorKind;

    #[test]
    fn an_instance_that_ec2_ended_says_why() {
        let why = |state, code: &str| {
            let reason = StateReason::builder().code(code).message("m").build();
            let state = Ec2State::builder().name(state).build();
            failure(&Ec2Instance::builder().state(state).state_reason(reason).build()).map(|f| f.kind)
        };
        let terminated = InstanceStateName::Terminated;
        assert_eq!(why(terminated.clone(), "Client.UserInitiatedShutdown"), None);
        assert_eq!(why(terminated.clone(), "terminated"), None);
        assert_eq!(why(InstanceStateName::Stopped, "Server.InternalError"), None);
        assert_eq!(
            why(terminated.clone(), "Server.InsufficientInstanceCapacity"),
            Some(CloudErrorKind::InsufficientCapacity)
        );
        assert_eq!(
            why(terminated.clone(), "Client.VolumeLimitExceeded"),
            Some(CloudErrorKind::QuotaExceeded)
        );
        assert_eq!(
            why(terminated.clone(), "Server.SpotInstanceTermination"),
            Some(CloudErrorKind::InsufficientCapacity)
        );
        assert_eq!(why(terminated, "Server.InternalError"), Some(CloudErrorKind::Internal));
    }
}
