//! What instance types have: asked of EC2 once, else from the table of facts.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{InstanceType as Ec2Type, InstanceTypeInfo};
use drydock_cloud_api::{CloudError, CloudErrorKind, InstanceType, catalog};
use parking_lot::Mutex;

use crate::error::map;

const OPERATION: &str = "DescribeInstanceTypes";

#[derive(Default)]
pub(crate) struct Types {
    /// By region and name.
    known: Mutex<HashMap<(String, String), InstanceType>>,
}

impl Types {
    pub(crate) async fn get(
        &self,
        client: &Client,
        region: &str,
        name: &str,
    ) -> Result<InstanceType, CloudError> {
        let key = (region.to_owned(), name.to_owned());
        if let Some(known) = self.known.lock().get(&key) {
            return Ok(known.clone());
        }
        let found = ask(client, name).await?;
        self.known.lock().insert(key, found.clone());
        Ok(found)
    }
}

async fn ask(client: &Client, name: &str) -> Result<InstanceType, CloudError> {
    let reply = client.describe_instance_types().instance_types(Ec2Type::from(name)).send().await;
    let unknown = || {
        let message = format!("InvalidInstanceType: the instance type {name:?} does not exist");
        CloudError::new(CloudErrorKind::InvalidRequest, OPERATION, message)
    };
    match reply {
        Ok(reply) => reply.instance_types().first().and_then(|info| facts(name, info)).ok_or_else(unknown),
        Err(error) => match map(OPERATION)(error) {
            error if error.kind == CloudErrorKind::Unsupported => catalog::aws(name).ok_or_else(unknown),
            error => Err(error),
        },
    }
}

fn facts(name: &str, info: &InstanceTypeInfo) -> Option<InstanceType> {
    let cpus = u64::try_from(info.v_cpu_info()?.default_v_cpus()?).ok()?;
    let mib = u64::try_from(info.memory_info()?.size_in_mib()?).ok()?;
    let network = info.network_info();
    let interfaces = network.and_then(|network| network.maximum_network_interfaces());
    let ips = network.and_then(|network| network.ipv4_addresses_per_interface());
    let max_pods = match (interfaces, ips) {
        (Some(interfaces), Some(ips)) => catalog::max_pods_by_interfaces(
            u32::try_from(interfaces).unwrap_or(0),
            u32::try_from(ips).unwrap_or(0),
        ),
        _ => catalog::DEFAULT_MAX_PODS,
    };
    let architectures = info.processor_info().map(|processor| processor.supported_architectures());
    let arm = architectures.is_some_and(|all| all.iter().any(|one| one.as_str() == "arm64"));
    let gpus: i32 = info.gpu_info().map_or(0, |gpus| gpus.gpus().iter().filter_map(|gpu| gpu.count()).sum());
    let mut extended = BTreeMap::new();
    if gpus > 0 {
        extended.insert("nvidia.com/gpu".to_owned(), u64::try_from(gpus).unwrap_or(0));
    }
    Some(InstanceType {
        name: name.to_owned(),
        cpu_millis: cpus * 1000,
        memory_bytes: mib << 20,
        extended,
        architecture: if arm { "arm64" } else { "amd64" }.to_owned(),
        max_pods,
    })
}
