//! Which image machines boot from.

use std::collections::HashMap;

use aws_sdk_ec2::Client;
use drydock_cloud_api::{CloudError, CloudErrorKind};
use parking_lot::Mutex;

use crate::error::map;
use crate::names;

/// What emulators offer, the best first.
const EMULATED: &[&str] = &["amazon-eks-node-*", "al2023-ami-2023*", "amzn2-ami-hvm-*", "*"];

#[derive(Default)]
pub(crate) struct Images {
    configured: Option<String>,
    /// By region and architecture.
    found: Mutex<HashMap<(String, String), String>>,
}

impl Images {
    pub(crate) fn new(configured: Option<String>) -> Self {
        Self { configured, ..Self::default() }
    }

    /// The configured image; else on AWS the latest Amazon Linux 2023, which EC2 itself resolves; else one that the
    /// emulator has.
    pub(crate) async fn find(
        &self,
        client: &Client,
        emulated: bool,
        region: &str,
        architecture: &str,
    ) -> Result<String, CloudError> {
        if let Some(image) = &self.configured {
            return Ok(image.clone());
        }
        let arch = if architecture == "arm64" { "arm64" } else { "x86_64" };
        if !emulated {
            let parameter = format!("al2023-ami-kernel-default-{arch}");
            return Ok(format!("resolve:ssm:/aws/service/ami-amazon-linux-latest/{parameter}"));
        }
        let key = (region.to_owned(), arch.to_owned());
        if let Some(image) = self.found.lock().get(&key) {
            return Ok(image.clone());
        }
        for name in EMULATED {
            let reply = client
                .describe_images()
                .filters(names::filter("name", &[name]))
                .filters(names::filter("architecture", &[arch]))
                .send()
                .await
                .map_err(map("DescribeImages"))?;
            if let Some(image) = reply.images().iter().filter_map(|image| image.image_id()).min() {
                self.found.lock().insert(key, image.to_owned());
                return Ok(image.to_owned());
            }
        }
        let message = format!("no {arch} image in {region}; configure one");
        Err(CloudError::new(CloudErrorKind::InvalidRequest, "DescribeImages", message))
    }
}
