//! EC2's instances as the seam has them.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Instance as Ec2Instance, InstanceStateName};
use drydock_cloud_api::{Address, AddressKind, Instance, InstanceState};

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
        tags,
    }
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
